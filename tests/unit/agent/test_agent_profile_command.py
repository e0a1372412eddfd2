"""Who writes a profile is told every mistake with its line; the documentation shows what the code knows."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from hearth_agent.cli import app
from hearth_agent.devices.catalogue import shipped_names
from hearth_agent.devices.problems import find_problems
from hearth_agent.devices.profile import Profile
from hearth_agent.devices.profile_page import shipped_page

DOCS = Path(__file__).parents[3] / "docs"
BAD = """\
profile: my-charger
kind: ev_charger
manufacturer: Me
model: One
source: my bench
max_registers: 500
points:
  power_w: {address: 1}
  voltage_l1_v: {address: 2, scale: 0}
  current_l1_a:
    adress: 3
controls:
  ev_current:
    class: S
    order:
      - {address: 1, value: current_a}
      - {address: 9, value: paused}
    safe: []
  ev_phases:
    class: Q
    safe: []
"""


def places(text: str) -> list[tuple[str, str]]:
    return [(error.source, error.field) for error in find_problems(text, "my.yaml")[1]]


def test_every_part_that_is_no_such_thing_is_told_with_its_line() -> None:
    assert places(BAD) == [
        ("my.yaml:11", "points.current_l1_a.adress"),
        ("my.yaml:20", "controls.ev_phases.class"),
        ("my.yaml:6", "max_registers"),
    ]


def test_the_meaning_is_checked_when_the_rest_of_the_file_can_be_read() -> None:
    text = BAD.replace("max_registers: 500", "max_registers: 100").replace("adress", "address")
    assert places(text) == [
        ("my.yaml:20", "controls.ev_phases.class"),
        ("my.yaml:9", "points.voltage_l1_v.scale"),
        ("my.yaml:18", "controls.ev_current.safe"),
        ("my.yaml:16", "controls.ev_current.order[0].address"),
    ]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("points: [", ("my.yaml", "line 1")),
        ("- 1", ("my.yaml:1", "the file")),
        (BAD[: BAD.index("points:")] + "points: {power_w: 3}\n", ("my.yaml:7", "points.power_w")),
    ],
)
def test_a_file_that_is_no_profile_at_all_is_told_as_one(text: str, place: tuple[str, str]) -> None:
    assert place in places(text)


def test_the_command_tells_all_and_ends_with_2(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text(BAD)
    result = CliRunner().invoke(app, ["profile", "check", str(file)])
    assert result.exit_code == 2
    lines = result.output.splitlines()
    assert len(lines) == 3
    assert lines[0] == f"{file}:11: points.current_l1_a.adress = 3: Unknown key. Did you mean 'address'?"


def test_a_good_profile_is_described(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text(BAD[: BAD.index("  voltage")].replace("500", "100"))
    result = CliRunner().invoke(app, ["profile", "check", str(file)])
    assert result.exit_code == 0
    assert "my-charger" in result.output


def test_the_schema_and_the_table_in_the_documentation_are_those_of_the_code() -> None:
    schema = json.loads((DOCS / "profile.schema.json").read_text())
    assert schema == json.loads(json.dumps(msgspec.json.schema(Profile))), "run: make schemas"
    assert (DOCS / "device-profiles.md").read_text() == shipped_page() + "\n", "run: make schemas"
    assert all(f"| {name} |" in shipped_page() for name in shipped_names())


def test_the_example_of_the_documentation_is_a_good_profile() -> None:
    page = (DOCS / "devices.md").read_text()
    example = "\n".join(line[4:] for line in page.splitlines() if line.startswith("    "))
    profile, problems = find_problems(example, "devices.md")
    assert problems == []
    assert profile is not None
    assert profile.profile == "my-hybrid"
