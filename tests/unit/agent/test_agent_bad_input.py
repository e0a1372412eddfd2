"""What can never work is refused by `check` and by `run`, with file, field, value and remedy; nothing is started."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hearth_agent.cli import main
from hearth_agent.settings import load_home

GOOD = """
agent: anna
data_dir: data
site:
  name: Anna
  timezone: Europe/Berlin
  latitude: 47.66
  longitude: 9.18
  price_zone: DE-LU
  limits: {main_fuse_a: 35}
  tariff: {}
  battery: {capacity_wh: 10000, max_charge_w: 5000, max_discharge_w: 5000}
devices:
  - {id: grid, profile: eastron-sdm630, host: 10.0.0.2}
  - {id: inverter, profile: sunspec-hybrid, host: 10.0.0.3}
  - {id: charger, profile: go-e, host: 10.0.0.4}
"""
PROFILE = """
profile: mine
kind: ev_charger
manufacturer: M
model: M
source: bench
points: {power_w: {address: 1}, current_limit_a: {address: 7, fc: 4}}
controls:
  ev_current:
    class: S
    order: [{address: 20, value: current_a}]
    safe: [{address: 20, value: 16}]
"""


def meter(text: str) -> str:
    return GOOD.replace("host: 10.0.0.2", f"host: 10.0.0.2, {text}")


def inverter(text: str) -> str:
    return GOOD.replace("host: 10.0.0.3", f"host: 10.0.0.3, {text}")


def charger(text: str) -> str:
    return GOOD.replace("host: 10.0.0.4", f"host: 10.0.0.4, {text}")


def limits(text: str) -> str:
    return GOOD.replace("main_fuse_a: 35", text)


def battery(text: str) -> str:
    return GOOD.replace("capacity_wh: 10000", f"capacity_wh: 10000, {text}")


def grid_limit(text: str) -> str:
    return GOOD + f"grid_limits: [{{name: operator, side: import, {text}}}]\n"


PROOF = (
    f"proof: {{date: '2026-01-01T00:00:00Z', by: me, method: x, profile: go-e, profile_sha256: {'a' * 64}, "
    "endpoint: 'x', site_phases: 3, checks: [{check: ramp, result: passed, text: x}]}"
)
NARROW = battery("min_soc_percent: 92").replace("main_fuse_a: 35", "main_fuse_a: 35, export_limit_w: 0")
# the file, the field, the value and a part of the remedy
MISTAKES = [
    (limits("main_fuse_a: 0"), "site.limits.main_fuse_a", "0", "> 0"),
    (limits("main_fuse_a: 35, phases: 4"), "site.limits.phases", "4", "<= 3"),
    (limits("main_fuse_a: 35, phase_imbalance_a: -1"), "site.limits.phase_imbalance_a", "-1", "> 0"),
    (limits("main_fuse_a: 35, export_limit_w: -1"), "site.limits.export_limit_w", "-1", ">= 0"),
    (battery("min_soc_percent: 60, max_soc_percent: 40"), "min_soc_percent", "60", "below max_soc_percent, 40"),
    (NARROW.replace("10.0.0.3", "10.0.0.3, controlled: true"), "site.limits.export_limit_w", "0", "at least 10 %"),
    (charger("max_current_a: 40"), "devices[2].max_current_a", "40", "main_fuse_a, 35 A"),
    (charger("phase_rotation: [1, 1, 2]"), "devices[2].phase_rotation", "[1, 1, 2]", "each once"),
    (
        charger("phase_rotation: [2]").replace("main_fuse_a: 35", "main_fuse_a: 35, phases: 1"),
        "devices[2].phase_rotation",
        "[2]",
        "from 1 to 1",
    ),
    (inverter("phase_rotation: [1]"), "devices[1].phase_rotation", "[1]", "EV charger"),
    (GOOD.replace("10.0.0.4", "10.0.0.3"), "devices[2].unit", "None", "behind: inverter"),
    (GOOD.replace("10.0.0.4", "10.0.0.3, unit: 1"), "devices[2].unit", "1", "its own unit id"),
    (charger("behind: inverter"), "devices[2].behind", "inverter", "another host"),
    (charger("behind: nobody"), "devices[2].behind", "nobody", "other device"),
    (
        GOOD + "  - {id: roof, profile: sunspec-pv, host: 10.0.0.3, behind: inverter}\n",
        "devices[3].behind",
        "inverter",
        "count twice",
    ),
    (
        GOOD + "  - {id: store, profile: givenergy-aio, host: 10.0.0.9}\n",
        "devices",
        "store",
        "hybrid inverter or battery",
    ),
    (meter("role: grid_meter"), "devices[0].role", "grid_meter", "stand for"),
    (inverter("role: pv"), "devices[1].role", "pv", "Only a meter"),
    (meter("battery_sign: -1"), "devices[0].battery_sign", "-1", "measures no battery"),
    (meter("sign: 0"), "devices[0].sign", "0", "none of: -1, 1"),
    (GOOD + "balance: {minutes: 0}\n", "balance.minutes", "0", ">= 2"),
    (charger("proof: {date: '2016-01-01'}"), "devices[2].proof.date", "2016-01-01", "with its zone"),
    (charger(PROOF.replace("passed", "failed")), "devices[2].proof.checks[0].result", "failed", "passed"),
    (charger(PROOF.replace("a" * 64, "b" * 63)), "devices[2].proof.profile_sha256", "b" * 63, "Give a text"),
    (limits("main_fuse_a: .nan"), "site.limits.main_fuse_a", "nan", "> 0"),
    (limits("main_fuse_a: 35 A"), "site.limits.main_fuse_a", "'35 A'", "Give a number; this is a text"),
    (limits("main_fuse_a: 35, main_fuse_a: 350"), "line 10", "main_fuse_a", "Correct the YAML"),
    (GOOD.replace("host: 10.0.0.3", "host: 10.0.0.3, hots: x"), "devices[1].hots", "x", "'host'"),
    (GOOD.replace("10.0.0.2", "http://10.0.0.2"), "devices[0].host", "http://10.0.0.2", "address alone"),
    (GOOD.replace("10.0.0.2", "'10.0.0.2:502'"), "devices[0].host", "10.0.0.2:502", "the port has a key"),
    (GOOD.replace("10.0.0.2", "''"), "devices[0].host", "''", "address alone"),
    (meter("serial: /dev/ttyUSB0"), "devices[0].host", "10.0.0.2", "not both"),
    (meter("heater: {}"), "devices[0].heater", "rated_w", "Only a heat pump"),
    (inverter("rated_w: 8000"), "devices[1].rated_w", "8000", "can be limited"),
    (inverter("controlled: maybe"), "devices[1].controlled", "maybe", "true or false"),
    (charger("max_current_a: 4"), "devices[2].max_current_a", "4", ">= 6"),
    (GOOD.replace("profile: go-e", "profile: goe"), "devices[2].profile", "goe", "'go-e'"),
    (grid_limit("source: smoke"), "grid_limits[0].source", "smoke", "none of: mqtt, input, modbus"),
    (grid_limit("source: mqtt"), "grid_limits[0].source", "mqtt", "give hub"),
    (grid_limit("source: input, device: nobody, point: power_w, limit_w: 1"), "[0].device", "nobody", "grid, inverter"),
    (grid_limit("source: input, device: grid, point: x_in, limit_w: 1"), "[0].point", "x_in", "no such point"),
    (grid_limit("source: input, device: grid, point: power_w, limit_w: -1"), "[0].limit_w", "-1", ">= 0"),
    (grid_limit("source: mqtt, heartbeat_s: 60"), "[0].failsafe_w", "None", "belong together"),
    ("", "the file", "None", "It is empty"),
    ("- a", "the file", "['a']", "Give keys with values"),
]
PROFILE_MISTAKES = [
    (PROFILE.replace("    safe: [{address: 20, value: 16}]\n", ""), "controls.ev_current.safe", "own mode"),
    (PROFILE.replace("ev_current", "ev_curent"), "controls.ev_curent", "none of: battery_interval, ev_current"),
    (PROFILE.replace("    class: S\n", ""), "controls.ev_current.class", "missing and needed"),
    (PROFILE.replace("safe: [{address: 20, value: 16}]", "safe: []"), "controls.ev_current.safe", "own mode"),
    (PROFILE.replace("order: [{address: 20", "order: [{address: 7"), "order[0].address", "read-only"),
    (PROFILE.replace("safe: [{address: 20", "safe: [{address: 7"), "safe[0].address", "read-only"),
]


def refused(path: Path, command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what a command says to a file that it must refuse with exit code 2."""
    monkeypatch.setattr("sys.argv", ["hearth-agent", command, "--config", str(path)])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert not (path.parent / "data").exists()
    return capsys.readouterr().err


def test_the_home_that_the_mistakes_are_made_of_is_good(tmp_path: Path) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text(GOOD)
    assert load_home(path).warnings == []
    (tmp_path / "mine.yaml").write_text(PROFILE)
    path.write_text(GOOD.replace("go-e", "mine.yaml"))
    assert load_home(path).profiles["charger"].profile == "mine"


@pytest.mark.parametrize("command", ["check", "run"])
@pytest.mark.parametrize(("text", "field", "value", "remedy"), MISTAKES)
def test_a_contradiction_is_refused(
    command: str,
    text: str,
    field: str,
    value: str,
    remedy: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text(text)
    error = refused(path, command, capsys, monkeypatch)
    where, _, told = error.partition(f"{field} = ")
    given, _, advice = told.partition(": ")
    assert f"{path}: " in where
    assert value in given
    assert remedy in advice


@pytest.mark.parametrize("command", ["check", "run"])
@pytest.mark.parametrize(("profile", "field", "remedy"), PROFILE_MISTAKES)
def test_a_profile_that_would_do_harm_is_refused(
    command: str,
    profile: str,
    field: str,
    remedy: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "mine.yaml").write_text(profile)
    path = tmp_path / "agent.yaml"
    path.write_text(GOOD.replace("go-e", "mine.yaml"))
    error = refused(path, command, capsys, monkeypatch)
    where, _, told = error.partition(f"{field} = ")
    assert str(tmp_path / "mine.yaml") in where
    assert remedy in told


@pytest.mark.parametrize("command", ["check", "run"])
def test_the_process_ends_with_code_2(command: str, tmp_path: Path) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text(limits("main_fuse_a: 0"))
    program = [sys.executable, "-c", "from hearth_agent.cli import main; main()", command, "--config", str(path)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 2
    assert "site.limits.main_fuse_a = 0" in done.stderr
    assert "Traceback" not in done.stderr


STRANGE = [
    (limits("main_fuse_a: 6").replace("10.0.0.4", "10.0.0.4, max_current_a: 6"), "max_charge_w = 5000"),
    (inverter("controlled: true").replace("\n  battery: {capacity_wh: 10000", "\n  # {"), "without site.battery"),
    (charger("controlled: true").replace("main_fuse_a: 35", "main_fuse_a: 10, phases: 3"), "16 A are more than"),
]


@pytest.mark.parametrize(("text", "warning"), STRANGE)
def test_what_a_home_can_live_with_is_only_told(text: str, warning: str, tmp_path: Path) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text(text)
    assert any(warning in one for one in load_home(path).warnings)


def test_a_meter_may_be_read_through_its_inverter(tmp_path: Path) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text(GOOD.replace("10.0.0.2", "10.0.0.3, behind: inverter"))
    assert load_home(path).where("grid") == load_home(path).where("inverter")
