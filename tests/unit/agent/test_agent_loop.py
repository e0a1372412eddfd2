"""The controller's task: from the site file and the snapshot to what each lease is told."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from tests.proofs import prove

from hearth_agent.app import Agent
from hearth_agent.control.balance import Breach
from hearth_agent.control.measuring import FRESH_S
from hearth_agent.control.orders import GridCaps
from hearth_agent.devices.profile import Case, ControlKind
from hearth_agent.devices.snapshot import Measured
from hearth_agent.plan.overrides import LOCAL_NAME, write_local
from hearth_agent.settings import load_home
from hearth_core.clock import ManualClock
from hearth_core.messages import Override

NOW_S = 1_459_728_000.0
SITE = """
agent: anna
data_dir: data
site:
  name: Anna
  timezone: Europe/Berlin
  latitude: 47.66
  longitude: 9.18
  price_zone: DE-LU
  limits: {main_fuse_a: 20, slot_spread_s: 600}
  tariff: {export_eur_per_kwh: 0.08}
  battery: {capacity_wh: 10000, max_charge_w: 5000, max_discharge_w: 4000}
devices:
  - {id: grid, profile: eastron-sdm630, host: 127.0.0.1}
  - {id: inverter, profile: sunspec-hybrid, host: 127.0.0.3, controlled: true}
  - {id: left, profile: go-e, host: 127.0.0.4, controlled: true, keeps_orders_ok: true, phase_rotation: [2, 3, 1],
     max_current_a: 12}
  - {id: right, profile: go-e, host: 127.0.0.2}
  - {id: pump, profile: pump.yaml, host: 127.0.0.5, controlled: true, keeps_orders_ok: true, phase_rotation: [1],
     heater: {rated_w: 2000, comfort_floor_c: 18, legionella: [{hours: ["02:00-05:00"], days: [sun]}]}}
"""
PUMP = """
profile: pump
kind: heat_pump
manufacturer: M
model: M
source: bench
points: {power_w: {address: 1}, flow_temperature_c: {address: 2}}
controls:
  heat_mode: {class: S, order: [{address: 3, value: mode}], safe: [{address: 3, value: 1}]}
"""


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW_S)


@pytest.fixture
def agent(tmp_path: Path, clock: ManualClock) -> Agent:
    (tmp_path / "pump.yaml").write_text(PUMP)
    path = tmp_path / "agent.yaml"
    path.write_text(SITE)
    (tmp_path / "data").mkdir()
    prove(path)
    return Agent(load_home(path), clock)


def see(agent: Agent, at_s: float, grid_a: float = 2.0, left_a: float = 0.0) -> None:
    """Let the pollers have read everything at an instant."""
    lines = {f"current_l{line}_a": grid_a for line in (1, 2, 3)} | {
        f"power_l{line}_w": 230 * grid_a for line in (1, 2, 3)
    }
    agent.snapshot.poll("grid", Measured(at_s, {"power_w": 690 * grid_a, **lines}))
    agent.snapshot.poll("inverter", Measured(at_s, {"battery_power_w": 0.0, "soc_percent": 50.0, "pv_power_w": 0.0}))
    for car in ("left", "right"):
        amps = left_a if car == "left" else 0.0
        agent.snapshot.poll(
            car, Measured(at_s, {f"current_l{line}_a": amps for line in (1, 2, 3)} | {"vehicle_state": 3.0})
        )
    agent.snapshot.poll("pump", Measured(at_s, {"power_w": 500.0, "flow_temperature_c": 30.0}))


def test_the_house_is_what_the_site_file_says(agent: Agent) -> None:
    house = agent.controller._house
    left, right = house.chargers
    assert (left.id, left.lines, left.max_a, left.controlled) == ("left", (1, 2, 0), 12.0, True)
    assert (right.id, right.lines, right.max_a, right.controlled) == ("right", (0, 1, 2), 16.0, False)
    (pump,) = house.heaters
    assert (pump.id, pump.lines, pump.rated_w, pump.has_power, pump.floor_c) == ("pump", (0,), 2_000.0, False, 18.0)
    assert pump.legionella[0].hours == ("02:00-05:00",)
    assert (house.battery_id, house.pv_rated_w, house.timezone.key) == ("inverter", None, "Europe/Berlin")
    assert house.cases == {Case.LIMIT, Case.HOLD, Case.CHARGE, Case.DISCHARGE}
    offsets = [house.battery_offset_s, left.offset_s, right.offset_s, pump.offset_s]
    assert len(set(offsets)) == 4
    assert all(0 <= one <= 600 for one in offsets)


def test_watched_devices_have_no_lease_and_get_no_command(agent: Agent) -> None:
    told = {
        (lease.device.id, kind) for (lease, kind) in zip(agent.controller.leases, agent.controller._leases, strict=True)
    }
    assert {device for device, _ in told} == {"inverter", "left", "pump"}
    see(agent, NOW_S)
    commands = agent.controller.tick().commands
    assert set(commands.cars) == {"left"}
    assert set(commands.heaters) == {"pump"}
    assert ("left", ControlKind.EV_CURRENT) in agent.controller._leases


def test_each_lease_is_told_its_part(agent: Agent, clock: ManualClock) -> None:
    """20 A on every phase for five seconds: the car gives way."""
    see(agent, NOW_S)
    agent.controller.tick()
    leases = agent.controller._leases
    assert leases["left", ControlKind.EV_CURRENT]._wanted is None  # whose safe state keeps to the wiring
    assert leases["inverter", ControlKind.BATTERY_INTERVAL]._wanted is None
    assert leases["pump", ControlKind.HEAT_MODE]._wanted is None
    for _ in range(7):
        clock.now_s += 1
        see(agent, clock.now_s, grid_a=22.0, left_a=12.0)
        agent.controller.tick()
    # 19 A may flow, 10 A are others'
    assert leases["left", ControlKind.EV_CURRENT]._wanted == {"current_a": 9.0, "paused": 0.0, "allowed": 1.0}


def test_a_phase_without_a_current_is_judged_by_its_power(agent: Agent) -> None:
    powers = {"power_w": 2_300.0, "power_l1_w": 4_600.0, "power_l2_w": -2_300.0, "power_l3_w": 0.0}
    agent.snapshot.poll("grid", Measured(NOW_S, {**powers, "voltage_l2_v": 250.0, "current_l3_a": 0.5}))
    assert agent.controller.measure().phase_a == (20.0, -9.2, 0.5)
    agent.snapshot.poll("left", Measured(NOW_S, {"current_l1_a": 10.0, "power_l2_w": 2_300.0, "power_l3_w": 0.0}))
    assert agent.controller.measure().cars["left"].line_a == (10.0, 10.0, 0.0)
    agent.snapshot.poll("grid", Measured(NOW_S, {"power_w": 2_300.0, "current_l1_a": 11.0}))
    assert agent.controller.measure().phase_a == (None, None, None)


def test_a_home_with_one_phase_has_one_power(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "agent.yaml"
    site = SITE[: SITE.index("  - {id: grid")].replace("main_fuse_a: 20", "main_fuse_a: 40, phases: 1")
    path.write_text(site + "  - {id: grid, profile: eastron-sdm230, host: 127.0.0.1}\n")
    agent = Agent(load_home(path), clock)
    agent.snapshot.poll("grid", Measured(NOW_S, {"power_w": -2_300.0, "current_l1_a": 11.0}))
    assert agent.controller.measure().phase_a == (-11.0,)


def test_what_a_device_is_told_and_why_is_seen_by_who_looks(
    agent: Agent, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    wish = Override(
        home="anna",
        version=7,
        device="left",
        issued_ms=int(NOW_S * 1000),
        until_ms=int(NOW_S * 1000) + 3_600_000,
        current_a=0.0,
    )
    write_local(agent._home.data_dir / LOCAL_NAME, [wish])
    caplog.set_level("INFO", "hearth_agent.control.loop")
    for _ in range(3):
        clock.now_s += 1
        see(agent, clock.now_s)
        agent.controller.tick()
    (line,) = [record.message for record in caplog.records if record.message.startswith("left ev_current")]
    assert line == "left ev_current: paused, because of override: the owner paused it (override 7)"
    assert agent._reason() == "covers the house itself: there is no valid plan; left: the owner paused it"
    assert "left" in agent.mood()


def test_a_device_whose_control_was_withdrawn_counts_as_watched(agent: Agent, clock: ManualClock) -> None:
    see(agent, NOW_S)
    agent.controller.tick()
    breach = Breach(check="soc", text="its signs are odd", concerns="store")
    agent.controller.guard._withdraw(breach)
    assert set(agent.controller.tick().commands.cars) == {"left"}
    house = agent.controller._house
    assert house.battery is None
    assert agent.controller._leases["inverter", ControlKind.BATTERY_INTERVAL]._wanted is None
    assert "no battery is steered; control of inverter is withdrawn" in agent._reason()
    agent.controller.guard._withdraw(msgspec.structs.replace(breach, concerns="charger"))
    clock.now_s += 1
    see(agent, clock.now_s, grid_a=40.0, left_a=12.0)
    assert agent.controller.tick().commands.cars == {}
    assert agent.controller._house.chargers[0].controlled is False


def test_a_device_is_let_go_in_the_step_that_withdraws_control_and_for_that_reason(
    agent: Agent, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    until_ms = int(NOW_S * 1000) + 3_600_000
    wish = Override(
        home="anna", version=7, device="left", issued_ms=int(NOW_S * 1000), until_ms=until_ms, current_a=0.0
    )
    write_local(agent._home.data_dir / LOCAL_NAME, [wish])
    caplog.set_level("INFO", "hearth_agent.control.loop")
    for _ in range(100):
        clock.now_s += 10
        see(agent, clock.now_s, grid_a=-5.0)  # feeds out what nobody delivers
        agent.snapshot.poll("inverter", Measured(clock.now_s, {"power_w": 0.0, "soc_percent": 50.0}))
        agent.controller.tick()
        if not agent.controller.guard.may_order("left"):
            break
    told = [record.message for record in caplog.records if record.message.startswith("left ev_current")]
    assert told == [
        "left ev_current: paused, because of override: the owner paused it (override 7)",
        "left ev_current: its own mode, because of control was withdrawn",
    ]
    assert agent.controller._leases["left", ControlKind.EV_CURRENT]._wanted is None


def test_the_grid_operators_limits_are_asked_once_a_step(agent: Agent) -> None:
    """Each question is a look at its sources, which keeps time and writes the journal."""
    asked: list[float] = []

    def limits() -> GridCaps:
        asked.append(NOW_S)
        return GridCaps(export_w=5_000.0)

    agent.controller.grid = limits
    see(agent, NOW_S)
    agent.controller.tick()
    assert asked == [NOW_S]


def test_values_older_than_a_minute_are_missing(agent: Agent, clock: ManualClock) -> None:
    see(agent, NOW_S)
    clock.now_s += FRESH_S
    measured = agent.controller.measure()
    assert (measured.grid_w, measured.soc_percent) == (1_380.0, 50.0)
    assert measured.cars["left"].wanting is True
    clock.now_s += 0.1
    measured = agent.controller.measure()
    assert (measured.grid_w, measured.soc_percent, measured.battery_w, measured.pv_w) == (None,) * 4
    assert measured.phase_a == (None, None, None)
    assert measured.cars["left"].line_a == (None, None, None)
    assert measured.cars["left"].wanting is None
    assert measured.heaters["pump"].power_w is None
    assert measured.heaters["pump"].temperature_c == 30.0  # temperatures are polled less often
    clock.now_s += 600
    assert agent.controller.measure().heaters["pump"].temperature_c is None


def test_meters_are_read_more_often_near_the_fuse(agent: Agent) -> None:
    see(agent, NOW_S, grid_a=11.0)
    agent.controller.tick()
    assert not agent.pollers["grid"].wanted_fresh
    see(agent, NOW_S, grid_a=11.0, left_a=6.0)  # a car that may have to give way
    agent.controller.tick()
    assert agent.pollers["grid"].wanted_fresh
    see(agent, NOW_S, grid_a=11.0)
    agent.controller.tick()
    assert not agent.pollers["grid"].wanted_fresh
    see(agent, NOW_S, grid_a=12.1)
    agent.controller.tick()
    assert {id_ for id_, poller in agent.pollers.items() if poller.wanted_fresh} == {
        "grid",
        "inverter",
        "left",
        "right",
    }


BATTERY_HOME = """
  - {id: grid, profile: eastron-sdm630, host: 127.0.0.1}
  - {id: store, profile: sunspec-der-battery, host: 127.0.0.3, controlled: true}
  - {id: east, profile: goodwe-dt, host: 127.0.0.4}
  - {id: west, profile: sunspec-pv, host: 127.0.0.5, controlled: true, rated_w: 6000}
"""


def test_a_battery_of_its_own_and_several_roofs_are_measured_steered_and_balanced(
    tmp_path: Path, clock: ManualClock
) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text(SITE[: SITE.index("  - {id: grid")] + BATTERY_HOME.lstrip("\n"))
    prove(path)
    agent = Agent(load_home(path), clock)
    lines = {f"current_l{line}_a": 2.0 for line in (1, 2, 3)} | {f"power_l{line}_w": -400.0 for line in (1, 2, 3)}
    agent.snapshot.poll("grid", Measured(NOW_S, {"power_w": -1_200.0, **lines}))
    agent.snapshot.poll("store", Measured(NOW_S, {"power_w": -800.0, "soc_percent": 40.0}))
    agent.snapshot.poll("east", Measured(NOW_S, {"power_w": 2_000.0}))
    agent.snapshot.poll("west", Measured(NOW_S, {"power_w": 1_500.0}))
    measured = agent.controller.measure()
    assert (measured.battery_w, measured.soc_percent, measured.pv_w) == (-800.0, 40.0, 1_500.0)
    flows = agent._flows()
    assert (flows.load_w, flows.pv_w, agent._charge()) == (1_500.0, 3_500.0, 40.0)
    assert agent.controller._house.battery_id == "store"
    assert Case.LIMIT not in agent.controller._house.cases
    assert agent.controller.tick().commands.battery is not None
    agent.snapshot.poll("east", Measured(NOW_S, {}))
    assert (agent._flows().load_w, agent._flows().pv_w) == (-500.0, 1_500.0)  # at two in the night it is asleep
    clock.now_s += 12 * 3600  # noon
    for device, values in (("grid", {"power_w": -1_200.0}), ("store", {"power_w": -800.0}), ("west", {"power_w": 0.0})):
        agent.snapshot.poll(device, Measured(clock.monotonic(), values))
    assert agent._flows().load_w is None  # half of the roofs is a wrong number


@pytest.mark.parametrize("accepted", [True, False])
def test_only_the_controls_that_keep_orders_need_the_owners_word(
    tmp_path: Path, clock: ManualClock, accepted: bool
) -> None:
    path = tmp_path / "agent.yaml"
    meter = "  - {id: grid, profile: eastron-sdm630, host: 127.0.0.1}\n"
    car = "  - {id: car, profile: amperfied-connect, host: 127.0.0.2, controlled: true}\n"
    path.write_text(SITE[: SITE.index("  - {id: grid")] + meter + car)
    prove(path)
    path.write_text(path.read_text().replace("keeps_orders_ok: true", f"keeps_orders_ok: {str(accepted).lower()}"))
    agent = Agent(load_home(path), clock)
    kinds = {kind for _, kind in agent.controller._leases}
    assert kinds == {ControlKind.EV_CURRENT} | ({ControlKind.EV_PHASES} if accepted else set())
    (charger,) = agent.controller._house.chargers
    assert (charger.controlled, charger.switchable) == (True, accepted)
    told = []
    while (event := agent.events.first()) is not None:
        told.append((event.kind, event.device, event.text))
        agent.events.told(event)
    left_out = [text for kind, device, text in told if (kind, device) == ("control_left_out", "car")]
    assert [text.split()[0] for text in left_out] == ([] if accepted else ["ev_phases"])
    assert agent.controller.tick().commands.cars.keys() == {"car"}
