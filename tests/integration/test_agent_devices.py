"""The agent's drivers on real sockets: a whole house is read; a failing device harms no other and invents no value."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from tests.tasks import end

from hearth_agent.devices.catalogue import shipped_profile
from hearth_agent.devices.device import Device
from hearth_agent.devices.poller import Poller
from hearth_agent.devices.profile import Poll
from hearth_agent.devices.snapshot import Measured, Snapshot
from hearth_agent.events import EventLog
from hearth_core.clock import ManualClock, RealClock
from hearth_core.messages import Event
from hearth_core.points import POINTS
from hearth_sim.recorded import parse_instant
from hearth_sim.testing import Answer, HouseOptions, RunningHouse, running_house

START = parse_instant("2016-04-04T11:00:00Z")
PROFILES = {
    "grid": "eastron-sdm630",
    "inverter": "sunspec-hybrid",
    "charger": "go-e",
    "heat-pump": "nibe-s-series",
}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def events(clock: ManualClock) -> EventLog:
    return EventLog(clock)


@pytest.fixture
async def running(clock: ManualClock) -> AsyncIterator[RunningHouse]:
    async with running_house(clock, options=HouseOptions(soc_percent=40.0)) as house:
        clock.now_s += 3600
        yield house


def connect(running: RunningHouse, name: str, clock: ManualClock, events: EventLog) -> Device:
    return Device(name, shipped_profile(PROFILES[name]), running.host, running.ports[name], 1, clock, events)


async def measure(device: Device, poll: Poll = Poll.POLL) -> dict[str, float]:
    measured = await device.measure(poll)
    assert measured is not None
    return dict(measured.values)


async def test_every_value_of_a_house_is_what_its_physics_say(
    running: RunningHouse, clock: ManualClock, events: EventLog
) -> None:
    """Signs, units and word orders of four makers, against the simulated physics behind them."""
    devices = {name: connect(running, name, clock, events) for name in PROFILES}
    values = {name: await measure(device) for name, device in devices.items()}
    flows = running.house.flows
    grid_w, inverter_w = values["grid"]["power_w"], values["inverter"]["power_w"]
    assert grid_w == pytest.approx(flows.load_w - flows.inverter_w, abs=1.0)
    assert inverter_w == pytest.approx(flows.inverter_w, abs=1.0)
    assert grid_w + inverter_w == pytest.approx(flows.load_w, abs=2.0)
    assert values["inverter"]["soc_percent"] == pytest.approx(running.house.soc_percent, abs=0.02)
    assert values["charger"]["power_w"] == pytest.approx(flows.ev_w, abs=1.0)
    assert values["heat-pump"]["power_w"] == pytest.approx(flows.heat_pump_w, abs=1.0)
    lines = sum(values["grid"][f"power_l{n}_w"] for n in (1, 2, 3))
    assert lines == pytest.approx(grid_w, abs=2.0)
    for name, device in devices.items():
        assert set(values[name]) <= set(device.profile.points)
        for point, value in values[name].items():
            assert POINTS[point].low <= value <= POINTS[point].high
        device.close()
    assert devices["inverter"].describe(controlled=False).serial
    assert len(events) == 0


async def test_a_poll_costs_few_requests(running: RunningHouse, clock: ManualClock, events: EventLog) -> None:
    expected = {"grid": 1, "inverter": 2, "charger": 2, "heat-pump": 4}
    for name, most in expected.items():
        device = connect(running, name, clock, events)
        await measure(device)
        before = running.servers[name].requests
        await measure(device)
        assert running.servers[name].requests - before <= most
        device.close()


@pytest.mark.parametrize("answer", [Answer.NOT_AVAILABLE, Answer.GARBAGE, Answer.BROKEN_FRAMES, Answer.REFUSING])
@pytest.mark.parametrize("name", list(PROFILES))
async def test_nonsense_is_missing_and_never_zero(
    running: RunningHouse, clock: ManualClock, events: EventLog, name: str, answer: Answer
) -> None:
    device = connect(running, name, clock, events)
    await measure(device)
    running.faults[name].answer = answer
    measured = await device.measure()
    values = dict(measured.values) if measured else {}
    for point, value in values.items():
        assert math.isfinite(value)
        assert POINTS[point].low <= value <= POINTS[point].high
    if answer is not Answer.GARBAGE:
        assert "power_w" not in values
    device.close()


async def test_an_outage_is_told_once_each_way(running: RunningHouse, clock: ManualClock, events: EventLog) -> None:
    """A night without the charger must not be a thousand events."""
    device = connect(running, "charger", clock, events)
    await measure(device)
    await running.unplug("charger")
    for _ in range(5):
        assert await device.measure() is None
    assert [e.kind for e in _drain(events)] == ["device_unreachable"]
    await running.plug_in("charger")
    async with asyncio.timeout(10):
        while await device.measure() is None:  # noqa: ASYNC110  this is how the agent finds it
            await asyncio.sleep(0.05)
    assert [e.kind for e in _drain(events)] == ["device_back"]
    device.close()


def _drain(events: EventLog) -> list[Event]:
    drained: list[Event] = []
    while (event := events.first()) is not None:
        drained.append(event)
        events.told(event)
    return drained


async def test_a_device_that_hangs_delays_no_other(running: RunningHouse, events: EventLog) -> None:
    """The grid meter is read on the beat while the inverter's connection stands and says nothing."""
    clock = RealClock()
    running.faults["inverter"].answer = Answer.SILENT
    taken: dict[str, list[float]] = {"grid": [], "inverter": []}

    def take(device: str, at_ms: int, measured: Measured) -> None:
        taken[device].append(time.monotonic())

    snapshot = Snapshot()
    devices = [Device(n, shipped_profile(PROFILES[n]), running.host, running.ports[n], 1, clock, events) for n in taken]
    tasks = [asyncio.create_task(Poller(d, clock, snapshot, take, 0.25, 0.25).run()) for d in devices]
    await asyncio.sleep(2.6)
    for task in tasks:
        await end(task)
    assert len(taken["grid"]) >= 8
    assert taken["inverter"] == []
    assert [e.kind for e in _drain(events)] == ["device_unreachable"]


async def test_between_two_polls_only_what_limits_need_is_read(
    running: RunningHouse, clock: ManualClock, events: EventLog
) -> None:
    device = connect(running, "grid", clock, events)
    snapshot = Snapshot()
    poller = Poller(device, clock, snapshot, lambda *_: None, 10.0, 5.0)
    await poller.poll()
    before_w = snapshot.value("grid", "power_w", clock.monotonic(), 60.0)
    clock.now_s += 300
    await poller.refresh()
    after_w = snapshot.value("grid", "power_w", clock.monotonic(), 60.0)
    assert before_w is not None
    assert after_w is not None
    flows = running.house.flows
    assert after_w == pytest.approx(flows.load_w - flows.inverter_w, abs=1.0)
    assert after_w != before_w
    # what was not read again kept its age
    assert snapshot.value("grid", "frequency_hz", clock.monotonic(), 60.0) is None
    assert snapshot.value("grid", "frequency_hz", clock.monotonic(), 600.0) is not None
    device.close()


async def test_polls_keep_the_common_phase_of_the_clock(
    running: RunningHouse, clock: ManualClock, events: EventLog
) -> None:
    """Meter and inverter read at the same moment add up to the load."""
    instants: list[int] = []
    device = connect(running, "grid", clock, events)
    poller = Poller(device, clock, Snapshot(), lambda _, at_ms, __: instants.append(at_ms), 10.0, 5.0)
    clock.now_s += 3.7
    task = asyncio.create_task(poller.run())
    async with asyncio.timeout(5):
        while len(instants) < 6:  # noqa: ASYNC110  the poller has no event for a test
            await asyncio.sleep(0.005)
    await end(task)
    assert instants[0] % 10_000 == 3_700  # the first values at once
    del instants[0]
    assert all(at_ms % 10_000 == 0 for at_ms in instants)
    assert [b - a for a, b in pairwise(instants)] == [10_000] * (len(instants) - 1)
    device.close()


async def test_another_device_behind_the_address_is_not_taken_for_an_inverter(
    running: RunningHouse, clock: ManualClock, events: EventLog
) -> None:
    profile = shipped_profile("sunspec-hybrid")
    device = Device("inverter", profile, running.host, running.ports["grid"], 1, clock, events)
    assert await device.measure() is None
    event = events.first()
    assert event is not None
    assert "no SunSpec map" in event.text
