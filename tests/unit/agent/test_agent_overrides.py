"""The owner's wishes: from the hub or from the command line, for a while, whatever happens to the clock."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from hearth_agent.cli import app
from hearth_agent.events import EventLog
from hearth_agent.plan.overrides import LOCAL_NAME, OverrideStore, write_local
from hearth_core.clock import ManualClock, RealClock
from hearth_core.errors import ConfigError
from hearth_core.messages import HeatMode, Mode, Override, encode
from hearth_core.points import DeviceKind
from hearth_core.signing import seal

KEY = Ed25519PrivateKey.generate()
NOW_S = 1_459_728_000.0
NOW_MS = int(NOW_S * 1000)
HOUR_MS = 3_600_000
KINDS = {
    "inverter": DeviceKind.HYBRID_INVERTER,
    "charger": DeviceKind.EV_CHARGER,
    "heat-pump": DeviceKind.HEAT_PUMP,
    "grid": DeviceKind.GRID_METER,
}


class TwoClocks(ManualClock):
    """A wall clock that jumps beside one that does not."""

    jump_s = 0.0

    def time(self) -> float:
        return self.now_s + self.jump_s


def wish(**values: Any) -> Override:
    base: dict[str, Any] = {
        "home": "anna",
        "version": 5,
        "device": "inverter",
        "issued_ms": NOW_MS,
        "until_ms": NOW_MS + 2 * HOUR_MS,
    }
    if not {"battery", "current_a", "heat_mode"} & set(values):
        values["battery"] = Mode.HOLD
    return Override(**{**base, **values})


def make(folder: Path, clock: ManualClock | None = None) -> tuple[OverrideStore, TwoClocks, EventLog]:
    clock = clock if isinstance(clock, TwoClocks) else TwoClocks(NOW_S)
    events = EventLog(clock)
    return OverrideStore(folder, "anna", KINDS, KEY.public_key(), clock, events), clock, events


def test_a_wish_holds_until_its_end_and_over_a_restart(tmp_path: Path) -> None:
    store, clock, _ = make(tmp_path)
    assert store.offer(seal(wish(), KEY))
    assert store.current() == {"inverter": wish()}
    again, _, _ = make(tmp_path, clock)
    assert again.current() == {"inverter": wish()}
    clock.now_s += 2 * 3600
    assert again.current() == {}
    assert store.current() == {}


@pytest.mark.parametrize("jump_s", [-NOW_S, -3 * 86_400.0])
def test_it_ends_by_the_steady_clock_when_the_wall_clock_is_wrong(tmp_path: Path, jump_s: float) -> None:
    store, clock, _ = make(tmp_path)
    store.offer(seal(wish(), KEY))
    clock.jump_s = jump_s
    assert store.current() == {"inverter": wish()}
    clock.now_s += 2 * 3600 + 1
    assert store.current() == {}


def test_after_a_restart_with_a_clock_of_1970_it_lasts_no_longer_than_it_was_to(tmp_path: Path) -> None:
    store, clock, _ = make(tmp_path)
    store.offer(seal(wish(), KEY))
    clock.jump_s = -NOW_S
    again, _, _ = make(tmp_path, clock)
    assert again.current() == {"inverter": wish()}
    clock.now_s += 2 * 3600 + 1
    assert again.current() == {}


@pytest.mark.parametrize("jump_s", [-NOW_S, 30 * 86_400.0])
def test_a_wish_is_taken_while_nobody_knows_the_time_and_ends_by_the_steady_clock(
    tmp_path: Path, jump_s: float
) -> None:
    clock, trusted = TwoClocks(NOW_S), False
    clock.jump_s = jump_s
    store = OverrideStore(tmp_path, "anna", KINDS, KEY.public_key(), clock, EventLog(clock), lambda: trusted)
    assert store.offer(seal(wish(), KEY))
    clock.now_s += 2 * 3600 - 1
    assert store.current() == {"inverter": wish()}
    clock.now_s += 1
    assert store.current() == {}
    assert store.offer(seal(wish(version=6), KEY))
    clock.jump_s, trusted = 0.0, True  # the network has told the time, and this wish was over long ago
    assert store.current() == {}


def test_the_newest_version_of_a_device_counts_and_others_are_left_alone(tmp_path: Path) -> None:
    store, _, events = make(tmp_path)
    car = wish(device="charger", current_a=0.0)
    newer = wish(version=6, battery=Mode.EXPORT, power_w=2000.0)
    for one in (wish(), car, newer):
        assert store.offer(seal(one, KEY))
    assert not store.offer(seal(wish(), KEY)), "a replay"
    assert store.current() == {"inverter": newer, "charger": car}
    again, _, _ = make(tmp_path)
    assert not again.offer(seal(wish(), KEY)), "a replay after a restart"
    assert len(events) == 3


def test_a_wish_for_nothing_takes_back_the_one_before(tmp_path: Path) -> None:
    store, _, _ = make(tmp_path)
    store.offer(seal(wish(), KEY))
    cleared = Override(home="anna", version=6, device="inverter", issued_ms=NOW_MS + 1, until_ms=NOW_MS + HOUR_MS)
    assert store.offer(seal(cleared, KEY))
    assert store.current() == {}


@pytest.mark.parametrize(
    ("sealed", "reason"),
    [
        (seal(wish(), Ed25519PrivateKey.generate()), "signed by key"),
        (seal(wish(), KEY).replace(b"hold", b"export", 1), "signed by key"),
        (encode(wish()), "Envelope"),
        (b"not json", "Envelope"),
        (b"x" * 5000, "bytes are more"),
        (seal(wish(home="bob"), KEY), "it is for bob"),
        (seal(wish(device="boiler"), KEY), "device boiler"),
        (seal(wish(device="grid"), KEY), "battery of grid: it is not for a device of the kind grid_meter"),
        (seal(wish(device="charger", heat_mode=HeatMode.FORCED), KEY), "heat_mode of charger"),
        (seal(wish(current_a=10.0), KEY), "current_a of inverter"),
        (seal(wish(until_ms=NOW_MS), KEY), "it is over"),
        (seal(wish(issued_ms=0, until_ms=HOUR_MS), KEY), "it is over"),
        (seal(wish(until_ms=NOW_MS + 169 * HOUR_MS), KEY), "longer than 7 days"),
        (seal(wish(issued_ms=0), KEY), "longer than 7 days"),
        (seal(wish(until_ms=253_402_300_799_000), KEY), "longer than 7 days"),
        (seal(wish(issued_ms=NOW_MS + 301_000), KEY), "in the future"),
        (seal(wish(battery=Mode.EXPORT), KEY), "power_w"),
        (seal(wish(power_w=100.0), KEY), "power_w"),
    ],
)
def test_a_wish_that_cannot_be_right_is_refused_and_told_once(tmp_path: Path, sealed: bytes, reason: str) -> None:
    store, _, events = make(tmp_path)
    assert not store.offer(sealed)
    assert not store.offer(sealed)
    told = events.first()
    assert told is not None
    assert reason in told.text
    assert len(events) == 1
    assert store.current() == {}


def test_the_command_lines_file_is_taken_while_the_agent_runs(tmp_path: Path) -> None:
    store, clock, events = make(tmp_path)
    store.offer(seal(wish(), KEY))
    here = wish(version=NOW_MS, issued_ms=NOW_MS + 1000, battery=Mode.ABSORB_SURPLUS)
    clock.now_s += 2
    write_local(tmp_path / LOCAL_NAME, [here, wish(device="boiler")])
    assert store.current() == {"inverter": here}, "the wish issued last counts; a wrong one spoils no other"
    (tmp_path / LOCAL_NAME).write_text("{torn")
    assert store.current() == {"inverter": wish()}
    (tmp_path / LOCAL_NAME).unlink()
    assert store.current() == {"inverter": wish()}
    kinds = []
    while (event := events.first()) is not None:
        kinds.append(event.kind)
        events.told(event)
    assert kinds.count("override_refused") == 2


CONFIG = """
agent: anna
data_dir: data
site:
  name: Anna
  timezone: Europe/Berlin
  latitude: 47.7
  longitude: 9.2
  price_zone: DE-LU
  limits: {main_fuse_a: 35}
  tariff: {}
devices:
  - {id: grid, profile: eastron-sdm630, host: 127.0.0.1}
  - {id: inverter, profile: sunspec-hybrid, host: 127.0.0.2}
  - {id: charger, profile: go-e, host: 127.0.0.3}
"""


def test_the_command_sets_lists_and_clears(tmp_path: Path) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text(CONFIG)
    run = CliRunner()
    config = ["--config", str(path)]
    wished = ["inverter", "--mode", "charge_from_grid", "--power-w", "2000", "--for", "2h"]
    assert run.invoke(app, ["override", "set", *wished, *config]).exit_code == 0
    assert run.invoke(app, ["override", "set", "charger", "--current-a", "0", "--for", "30min", *config]).exit_code == 0
    listed = run.invoke(app, ["override", "list", *config]).output
    assert "charge_from_grid 2000 W" in listed
    assert "charger          0 A" in listed
    clock = RealClock()
    store = OverrideStore(tmp_path / "data", "anna", KINDS, None, clock, EventLog(clock))
    assert store.current()["inverter"].power_w == 2000
    assert set(store.current()) == {"inverter", "charger"}
    run.invoke(app, ["override", "clear", "inverter", *config])
    assert set(store.current()) == {"charger"}
    run.invoke(app, ["override", "clear", *config])
    assert store.current() == {}
    assert "nothing" in run.invoke(app, ["override", "list", *config]).output


@pytest.mark.parametrize(
    "arguments",
    [
        ["boiler", "--mode", "hold", "--for", "2h"],
        ["grid", "--mode", "hold", "--for", "2h"],
        ["inverter", "--for", "2h"],
        ["inverter", "--mode", "hold", "--for", "2 weeks"],
        ["inverter", "--mode", "hold", "--for", "8d"],
        ["inverter", "--mode", "export", "--for", "2h"],
        ["inverter", "--mode", "export", "--power-w", "nan", "--for", "2h"],
        ["inverter", "--mode", "export", "--power-w", "-5", "--for", "2h"],
        ["charger", "--current-a", "3", "--for", "2h"],
    ],
)
def test_the_command_refuses_what_the_agent_would(tmp_path: Path, arguments: list[str]) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text(CONFIG)
    done = CliRunner().invoke(app, ["override", "set", *arguments, "--config", str(path)])
    assert isinstance(done.exception, ConfigError)
    assert not (tmp_path / "data").exists()
