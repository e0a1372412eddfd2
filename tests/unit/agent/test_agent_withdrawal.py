"""Control is withdrawn when the balance stops closing, and stays so across restarts until the next proof."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.proofs import prove

from hearth_agent.cli import main
from hearth_agent.control.withdrawal import Guard, withdrawals
from hearth_agent.devices.snapshot import Measured, Snapshot
from hearth_agent.events import EventLog
from hearth_agent.settings import Home, load_home
from hearth_core.clock import ManualClock

HOME = """
agent: anna
data_dir: data
balance: {minutes: 3}
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
  - {id: inverter, profile: sunspec-hybrid, host: 10.0.0.3, controlled: true}
  - {id: charger, profile: go-e, host: 10.0.0.4, controlled: true}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "agent.yaml"
    path.write_text(HOME)
    return prove(path)


def lived(home: Home, minutes: int, values: dict[str, dict[str, float]]) -> tuple[Guard, list[str]]:
    """Let the same readings come for some minutes; return the guard and the kinds of its events."""
    clock, snapshot = ManualClock(1_460_000_000.0), Snapshot()
    events = EventLog(clock)
    guard = Guard(home, snapshot, clock, events)
    for _ in range(minutes * 60):
        for device, points in values.items():
            snapshot.poll(device, Measured(clock.monotonic(), points))
        guard.watch()
        clock.now_s += 1.0
    kinds = []
    while (event := events.first()) is not None:
        kinds.append(f"{event.kind} {event.device}")
        events.told(event)
    return guard, kinds


SOUND = {
    "grid": {"power_w": 300.0},
    "inverter": {"power_w": 2_000.0, "pv_power_w": 1_100.0, "battery_power_w": 1_000.0, "soc_percent": 50.0},
    "charger": {"power_w": 1_500.0},
}


def test_a_sound_home_keeps_control(config: Path) -> None:
    guard, kinds = lived(load_home(config), 10, SOUND)
    assert guard.may_order("inverter")
    assert guard.note == ""
    assert kinds == []


def test_a_meter_that_contradicts_the_inverter_ends_all_control(config: Path) -> None:
    home = load_home(config)
    guard, kinds = lived(home, 10, {**SOUND, "grid": {"power_w": -3_000.0}})
    assert not guard.may_order("inverter")
    assert not guard.may_order("charger")
    assert kinds == ["control_withdrawn inverter", "control_withdrawn charger"]
    assert guard.note == "; control of inverter, charger is withdrawn"
    assert "the house would consume -1000 W" in guard.why_not("inverter")
    assert "hearth-agent commission --device inverter" in guard.why_not("inverter")


def test_an_inverter_that_contradicts_itself_ends_its_own_control_only(config: Path) -> None:
    battery_turned = {**SOUND["inverter"], "battery_power_w": -1_000.0}
    guard, _ = lived(load_home(config), 5, {**SOUND, "inverter": battery_turned})
    assert not guard.may_order("inverter")
    assert guard.may_order("charger")


def test_a_charger_that_draws_more_than_the_house_is_no_longer_steered(config: Path) -> None:
    guard, _ = lived(load_home(config), 5, {**SOUND, "charger": {"power_w": 11_000.0}})
    assert guard.may_order("inverter")
    assert not guard.may_order("charger")


def test_a_withdrawal_outlives_a_restart_and_ends_with_the_next_proof(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lived(load_home(config), 5, {**SOUND, "charger": {"power_w": 11_000.0}})
    again, kinds = lived(load_home(config), 5, SOUND)
    assert not again.may_order("charger")
    assert kinds == ["watched_only charger"]
    monkeypatch.setattr("sys.argv", ["hearth-agent", "check", "-c", str(config)])
    with pytest.raises(SystemExit):
        main()
    assert "control was withdrawn, because charger and other consumers" in capsys.readouterr().out
    # a new proof has another date
    config.write_text(config.read_text().replace("2016-01-01", "2016-04-08"))
    proved, kinds = lived(load_home(config), 5, SOUND)
    assert proved.may_order("charger")
    assert kinds == []


def test_a_file_of_withdrawals_that_cannot_be_read_withdraws_everything(config: Path) -> None:
    home = load_home(config)
    home.data_dir.mkdir()
    (home.data_dir / "withdrawn.json").write_text("{")
    assert set(withdrawals(home)) == {"grid", "inverter", "charger"}
    guard, _ = lived(home, 1, SOUND)
    assert not guard.may_order("inverter")


def test_unmetered_pv_is_allowed_for(config: Path) -> None:
    """A balcony's 800 W that nobody measures: without a word about them the house would consume less than nothing."""
    balcony = {**SOUND, "grid": {"power_w": -2_500.0}, "charger": {"power_w": 0.0}}
    assert not lived(load_home(config), 5, balcony)[0].may_order("inverter")
    (config.parent / "data" / "withdrawn.json").unlink()
    config.write_text(config.read_text().replace("minutes: 3", "minutes: 3, unmetered_pv_w: 800"))
    assert lived(load_home(config), 5, balcony)[0].may_order("inverter")
