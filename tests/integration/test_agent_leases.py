"""Orders as leases on a simulated inverter and charger: written on change, kept alive, given back, read back."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from tests.tasks import end

from hearth_agent.control.books import Books
from hearth_agent.control.leases import Lease, LeaseState
from hearth_agent.control.orders import Interval
from hearth_agent.control.wording import battery_order, ev_order
from hearth_agent.devices.catalogue import shipped_profile
from hearth_agent.devices.device import Device
from hearth_agent.devices.profile import ControlKind
from hearth_agent.events import EventLog
from hearth_core.clock import ManualClock
from hearth_sim.recorded import parse_instant
from hearth_sim.testing import Answer, HouseOptions, RunningHouse, running_house

START = parse_instant("2016-04-04T01:00:00Z")
WIDEST = Interval(-5_000.0, 5_000.0)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def events(clock: ManualClock) -> EventLog:
    return EventLog(clock)


@pytest.fixture
async def running(clock: ManualClock) -> AsyncIterator[RunningHouse]:
    async with running_house(clock, options=HouseOptions(soc_percent=50.0)) as house:
        yield house


@contextlib.asynccontextmanager
async def leased(running: RunningHouse, name: str, clock: ManualClock, events: EventLog) -> AsyncIterator[Lease]:
    profile, kind = {
        "inverter": ("sunspec-hybrid", ControlKind.BATTERY_INTERVAL),
        "charger": ("go-e", ControlKind.EV_CURRENT),
    }[name]
    device = Device(name, shipped_profile(profile), running.host, running.ports[name], 1, clock, events)
    with tempfile.TemporaryDirectory() as folder:
        lease = Lease(device, kind, device.profile.controls[kind], Books(Path(folder), clock), clock, events)
        task = asyncio.create_task(lease.run())
        try:
            yield lease
        finally:
            await end(task)
            device.close()


class Idle:
    """What is known of a device in its own mode."""

    order = None

    def since_write_s(self) -> float:
        return 0.0


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  what is waited for happens in another server's memory
            await asyncio.sleep(0.005)


async def reconnect(device: Device) -> None:
    """Poll until the device answers again."""
    async with asyncio.timeout(5):
        while await device.measure() is None:  # noqa: ASYNC110  this is how the agent finds it
            await asyncio.sleep(0.05)


async def hold(lease: Lease, wanted: Interval | None) -> None:
    """Want an interval until the device has it."""
    order = battery_order(wanted, WIDEST, lease)
    lease.want(order)
    await until(lambda: lease.state is not LeaseState.UNKNOWN and lease.order == order)


async def test_the_safe_state_comes_first_and_the_own_mode_costs_nothing(
    running: RunningHouse, clock: ManualClock, events: EventLog
) -> None:
    async with leased(running, "inverter", clock, events) as lease:
        await hold(lease, WIDEST)
        assert lease.state is LeaseState.OWN
        written = running.servers["inverter"].written.writes
        for _ in range(200):
            clock.now_s += 5
            lease.want(battery_order(WIDEST, WIDEST, lease))
            await asyncio.sleep(0)
        assert running.servers["inverter"].written.writes == written
        assert (lease.changes, lease.refreshes) == (1, 0)


@pytest.mark.parametrize(
    "wanted",
    [
        Interval(-5_000.0, -3_000.0),  # charge from the grid
        Interval(1_500.0, 5_000.0),  # sell
        Interval(0.0, 0.0),
        Interval(0.0, 5_000.0),
        Interval(-5_000.0, 0.0),
    ],
)
async def test_an_order_reaches_the_battery_with_the_right_sign(
    running: RunningHouse, clock: ManualClock, events: EventLog, wanted: Interval
) -> None:
    """A sign the wrong way round charges when it should sell."""
    async with leased(running, "inverter", clock, events) as lease:
        await hold(lease, wanted)
        control = running.house.storage
        assert control.interval_w() == pytest.approx((wanted.lowest_w, wanted.highest_w), abs=1.0)
        assert control.grid_charge is (wanted.highest_w < 0)
        clock.now_s += 20
        running.house.advance()
        flows = running.house.flows
        if wanted.highest_w < 0:
            assert flows.battery_w == pytest.approx(wanted.highest_w, rel=0.1)
        if wanted.lowest_w > 0:
            assert flows.battery_w == pytest.approx(wanted.lowest_w, rel=0.1)


async def test_an_order_is_kept_alive_and_ends_when_nobody_keeps_it(
    running: RunningHouse, clock: ManualClock, events: EventLog
) -> None:
    """The agent's death must not leave a battery charging from the grid all evening."""
    wanted = Interval(-5_000.0, -3_000.0)
    async with leased(running, "inverter", clock, events) as lease:
        await hold(lease, wanted)
        for _ in range(40):
            clock.now_s += 10
            before = lease.refreshes
            lease.want(battery_order(wanted, WIDEST, lease))
            if lease.since_write_s() >= 30:
                await until(lambda seen=before: lease.refreshes > seen)  # type: ignore[misc]
            running.house.advance()
        assert running.house.storage.mode == 3
        assert running.house.storage.reversions == 0
        assert lease.changes == 2
        assert 10 <= lease.refreshes <= 14
    clock.now_s += 59  # nobody writes any more
    running.house.advance()
    clock.now_s += 2
    running.house.advance()
    assert running.house.storage.mode == 0
    assert running.house.storage.reversions == 1


async def test_a_device_that_confirms_and_does_nothing_is_unknown_until_it_obeys(
    running: RunningHouse, clock: ManualClock, events: EventLog
) -> None:
    """Believing a write would leave the battery in a mode nobody knows of."""
    async with leased(running, "inverter", clock, events) as lease:
        await hold(lease, Interval(-5_000.0, -3_000.0))
        running.faults["inverter"].ignore_writes = True
        lease.want(battery_order(Interval(1_500.0, 5_000.0), WIDEST, lease))
        await until(lambda: lease.state is LeaseState.UNKNOWN)
        event = events.first()
        assert event is not None
        assert event.kind == "control_unknown"
        running.faults["inverter"].ignore_writes = False
        clock.now_s += 5
        await hold(lease, Interval(1_500.0, 5_000.0))
        assert running.house.storage.interval_w()[0] == pytest.approx(1_500.0, abs=1.0)
        assert len(events) == 2


async def test_a_silent_device_does_not_block_whoever_wants_something(
    running: RunningHouse, clock: ManualClock, events: EventLog
) -> None:
    async with leased(running, "inverter", clock, events) as lease:
        await hold(lease, None)
        running.faults["inverter"].answer = Answer.SILENT
        loop = asyncio.get_running_loop()
        started = loop.time()
        for _ in range(100):
            lease.want(battery_order(Interval(-3_000.0, -3_000.0), WIDEST, lease))
        assert loop.time() - started < 0.5


async def test_release_gives_the_device_back_for_good(
    running: RunningHouse, clock: ManualClock, events: EventLog
) -> None:
    async with leased(running, "inverter", clock, events) as lease:
        await hold(lease, Interval(0.0, 0.0))
        assert await lease.release()
        assert running.house.storage.mode == 0
        lease.want(battery_order(Interval(0.0, 0.0), WIDEST, lease))
        await asyncio.sleep(0.1)
        assert running.house.storage.mode == 0


async def test_small_wishes_are_not_worth_a_write_but_less_power_always_is(
    running: RunningHouse, clock: ManualClock, events: EventLog
) -> None:
    async with leased(running, "inverter", clock, events) as lease:
        await hold(lease, Interval(-5_000.0, -2_000.0))
        order = lease.order
        assert battery_order(Interval(-5_000.0, -2_020.0), WIDEST, lease) == order
        assert battery_order(Interval(-5_000.0, -3_000.0), WIDEST, lease) == order  # more, but too soon
        less = battery_order(Interval(-5_000.0, -1_900.0), WIDEST, lease)
        assert less is not None
        assert less["discharge_w"] == -1_900.0
        clock.now_s += 31
        more = battery_order(Interval(-5_000.0, -3_000.0), WIDEST, lease)
        assert more is not None
        assert more["discharge_w"] == -3_000.0


async def test_the_car_is_paused_limited_and_given_back(
    running: RunningHouse, clock: ManualClock, events: EventLog
) -> None:
    charger = running.house.charger
    async with leased(running, "charger", clock, events) as lease:
        for limit_a, forced, current_a in [(0.0, 1, 6.0), (9.7, 0, 9.0), (None, 0, 16.0)]:
            order = ev_order(limit_a)
            lease.want(order)
            await until(lambda wanted=order: lease.state is not LeaseState.UNKNOWN and lease.order == wanted)  # type: ignore[misc]
            assert charger.forced == forced
            assert charger.limit_a == current_a
        # a sticky order is never repeated
        lease.want(ev_order(9.0))
        await until(lambda: lease.order is not None)
        written = running.servers["charger"].written.writes
        clock.now_s += 3600
        lease.want(ev_order(9.0))
        await asyncio.sleep(0.05)
        assert running.servers["charger"].written.writes == written


async def test_a_device_that_was_restarted_is_told_again(
    running: RunningHouse, clock: ManualClock, events: EventLog
) -> None:
    """A charger that lost power forgets its limit; the fuse does not."""
    async with leased(running, "charger", clock, events) as lease:
        lease.want(ev_order(8.0))
        await until(lambda: lease.order is not None)
        await running.unplug("charger")
        assert await lease.device.measure() is None
        running.house.charger.limit_a = 16.0
        await running.plug_in("charger")
        await reconnect(lease.device)
        changes = lease.changes
        lease.want(ev_order(8.0))
        await until(lambda: lease.changes > changes)
        assert running.house.charger.limit_a == 8.0


@contextlib.asynccontextmanager
async def dribbling(clock: ManualClock, events: EventLog) -> AsyncIterator[Device]:
    """A device that accepts and then sends one byte a second, for ever."""

    over, handlers = asyncio.Event(), set[asyncio.Task[None] | None]()

    async def dribble(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError):
            while not (over.is_set() or writer.is_closing()):
                writer.write(b"\0")
                await writer.drain()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(over.wait(), 1.0)
        writer.close()

    server = await asyncio.start_server(dribble, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    device = Device("slow", shipped_profile("sunspec-hybrid"), "127.0.0.1", port, 1, clock, events)
    try:
        yield device
    finally:
        device.close()
        over.set()
        await asyncio.gather(*filter(None, handlers))
        server.close()
        await server.wait_closed()


async def test_devices_that_hang_delay_no_order_of_another(
    running: RunningHouse, clock: ManualClock, events: EventLog, tmp_path: Path
) -> None:
    running.faults["inverter"].answer = Answer.SILENT
    slow_orders = battery_order(Interval(0.0, 0.0), WIDEST, Idle())
    async with (
        leased(running, "charger", clock, events) as charger,
        leased(running, "inverter", clock, events) as silent,
        dribbling(clock, events) as device,
    ):
        kind = ControlKind.BATTERY_INTERVAL
        dribble = Lease(device, kind, device.profile.controls[kind], Books(tmp_path, clock), clock, events)
        task = asyncio.create_task(dribble.run())
        loop = asyncio.get_running_loop()
        slowest_s = 0.0
        for current_a in (8, 9, 10, 11, 12, 13) * 2:
            clock.now_s += 5
            started_s = loop.time()
            silent.want(slow_orders)
            dribble.want(slow_orders)
            order = ev_order(current_a)
            charger.want(order)
            await until(lambda wanted=order: charger.order == wanted)  # type: ignore[misc]
            slowest_s = max(slowest_s, loop.time() - started_s)
            await asyncio.sleep(0.2)
        await end(task)
        assert silent.state is dribble.state is LeaseState.UNKNOWN
        assert slowest_s < 1.0
