"""The rules of a lease on devices of every safety class: what is written, how often, and what is never written."""

from __future__ import annotations

import asyncio
import contextlib
import json
import textwrap
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest
from tests.proofs import prove
from tests.tasks import end

from hearth_agent.control.books import Books
from hearth_agent.control.leases import Lease, LeaseState
from hearth_agent.control.leasing import make_leases, within
from hearth_agent.control.orders import Interval
from hearth_agent.control.wording import Variables, battery_order, ev_order
from hearth_agent.devices.catalogue import parse_profile
from hearth_agent.devices.device import Device
from hearth_agent.devices.profile import ControlKind
from hearth_agent.events import EventLog
from hearth_agent.settings import load_home
from hearth_core.clock import ManualClock
from hearth_sim.recorded_device import RecordedDevice, Written
from hearth_sim.recordings import parse
from hearth_sim.serving_recordings import Served, served

WIDEST = Interval(-5_000.0, 5_000.0)
BANK = parse(
    """
device: bank
source: the test
origin: facts
units: {1: [{address: 0, u16: [0, 16, 0, 0, 0, 0, 0, 0]}, {fc: 4, address: 30, u16: [16]}]}
writable: [{address: 0, count: 8}, {address: 20, count: 1}]
""",
    "bank.yaml",
)
CAR = """
profile: bank-car
kind: ev_charger
manufacturer: Bank
model: Car
source: the test
points: {current_l1_a: {fc: 4, address: 30}}
controls:
  ev_current:
"""
BATTERY = """
profile: bank-battery
kind: hybrid_inverter
manufacturer: Bank
model: Battery
source: the test
points: {battery_power_w: {fc: 4, address: 30}}
controls:
  battery_interval:
    class: T
    lease_s: 60
    refresh_s: 20
    cases:
      limit: [{address: 2, value: charge_limit_w}, {address: 3, value: discharge_limit_w}, {address: 4, value: forced}]
      charge: [{address: 5, value: forced_charge_w}, {address: 4, value: forced}]
      discharge: [{address: 5, value: forced_discharge_w}, {address: 4, value: forced}]
    safe: [{address: 4, value: 0}, {address: 2, value: 9}, {address: 3, value: 9}]
"""


class Bench:
    """One lease on one served bank."""

    def __init__(
        self, lease: Lease, task: asyncio.Task[None], bank: Served, clock: ManualClock, events: EventLog
    ) -> None:
        self.lease, self._task, self.bank, self.clock, self._events = lease, task, bank, clock, events

    async def end(self) -> None:
        """End the task."""
        await end(self._task)

    def writes(self) -> list[tuple[int, tuple[int, ...]]]:
        """Return what was written since the last look."""
        found = [(one.address, one.values) for one in self.bank.device.written]
        self.bank.device.written.clear()
        return found

    def told(self) -> list[str]:
        """Return the kinds of the events since the last look."""
        kinds = []
        while (event := self._events.first()) is not None:
            kinds.append(str(event.kind))
            self._events.told(event)
        return kinds

    async def has(self, order: Variables | None) -> None:
        """Want an order until the device has it."""
        self.lease.want(order)
        await until(lambda: self.lease.state is not LeaseState.UNKNOWN and self.lease.order == order)

    async def steps(self, order: Variables | None, count: int, step_s: float) -> None:
        """Want the same for a while."""
        for _ in range(count):
            self.clock.now_s += step_s
            self.lease.want(order)
            await asyncio.sleep(0.02)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(4):
        while not condition():  # noqa: ASYNC110  what is waited for happens in another server's memory
            await asyncio.sleep(0.005)


async def reconnect(device: Device) -> None:
    """Poll until the device answers again."""
    async with asyncio.timeout(4):
        while await device.measure() is None:  # noqa: ASYNC110  this is how the agent finds it
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def bench(
    folder: Path,
    profile: str,
    *,
    device: RecordedDevice | None = None,
    silence_s: float = 10.0,
    keeps_orders_ok: bool = True,
    clock: ManualClock | None = None,
) -> AsyncIterator[Bench]:
    clock = clock or ManualClock(1_790_000_000.0)
    events = EventLog(clock)
    parsed = parse_profile(profile, "bank.yaml")
    (kind,) = parsed.controls
    async with served([device or RecordedDevice(BANK)]) as bank:
        agent_side = Device("bank", parsed, bank.host, bank.port, 1, clock, events)
        lease = Lease(
            agent_side,
            kind,
            parsed.controls[kind],
            Books(folder, clock),
            clock,
            events,
            keeps_orders_ok=keeps_orders_ok,
            silence_s=silence_s,
        )
        task = asyncio.create_task(lease.run())
        one = Bench(lease, task, bank, clock, events)
        try:
            yield one
        finally:
            await one.end()
            agent_side.close()


def charger(extra: str = "", class_: str = "S") -> str:
    return CAR + textwrap.indent(
        textwrap.dedent(f"""
        class: {class_}
        order: [{{address: 1, value: current_a}}, {{address: 0, value: paused}}]
        safe: [{{address: 1, value: 16}}, {{address: 0, value: 0}}]
        {extra}
        """),
        "    ",
    )


def amps(current_a: float | None) -> Variables | None:
    return ev_order(current_a)


@pytest.mark.parametrize(
    ("wanted", "registers"),
    [
        (Interval(-3_000.0, 2_000.0), {2: 3_000, 3: 2_000, 4: 0}),
        (Interval(-5_000.0, -3_000.0), {5: 3_000, 4: 1}),
        (Interval(1_500.0, 5_000.0), {5: 1_500, 4: 2}),
    ],
)
async def test_each_case_has_registers_of_its_own(tmp_path: Path, wanted: Interval, registers: dict[int, int]) -> None:
    async with bench(tmp_path, BATTERY) as one:
        await one.has(battery_order(wanted, WIDEST, one.lease))
        for address, value in registers.items():
            assert one.bank.device.holds(address) == value
        await one.has(None)
        assert [one.bank.device.holds(address) for address in (4, 2, 3)] == [0, 9, 9]


async def test_a_case_the_profile_lacks_is_never_told(tmp_path: Path) -> None:
    async with bench(tmp_path, BATTERY) as one:
        await one.has(None)
        one.writes()
        await one.steps(battery_order(Interval(0.0, 0.0), WIDEST, one.lease), 3, 1.0)
        assert one.writes() == []
        assert one.lease.state is LeaseState.OWN
        assert one.told() == ["order_unsayable"]


async def test_a_timed_order_without_a_list_of_its_own_is_repeated_whole_and_in_time(tmp_path: Path) -> None:
    async with bench(tmp_path, BATTERY) as one:
        order = battery_order(Interval(-5_000.0, -3_000.0), WIDEST, one.lease)
        await one.has(order)
        one.writes()
        await one.steps(order, 20, 10.0)
        assert one.writes() == [(5, (3_000,)), (4, (1,))] * 10
        assert (one.lease.changes, one.lease.refreshes) == (2, 10)


async def test_a_flash_register_is_written_on_change_only(tmp_path: Path) -> None:
    async with bench(tmp_path, charger("writes_per_day: 50", "F")) as one:
        await one.has(None)
        assert one.writes() == []  # it was in its own mode already
        await one.has(amps(8))
        assert one.writes() == [(1, (8,)), (0, (0,))]
        await one.steps(amps(8), 20, 3_600.0)
        await one.bank.unplug()
        assert await one.lease.device.measure() is None
        await one.bank.plug_in()
        await reconnect(one.lease.device)
        await one.steps(amps(8), 5, 60.0)
        assert one.writes() == []
        one.bank.device.write(16, 1, [16])  # it was restarted, and had forgotten
        one.writes()
        one.lease.device.close()
        await reconnect(one.lease.device)
        one.lease.want(amps(8))
        await until(lambda: one.bank.device.holds(1) == 8)


async def test_a_spent_budget_leaves_the_device_in_its_own_mode_until_tomorrow(tmp_path: Path) -> None:
    day_s = 86_400
    clock = ManualClock(1_790_035_200.0 // day_s * day_s + 3_600)
    profile = charger("writes_per_day: 5", "F")
    async with bench(tmp_path, profile, clock=clock) as one:
        for current_a in (8, 9, 10, 11):  # and the safe state that ends them: five writes
            one.clock.now_s += 60
            await one.has(amps(current_a))
        one.lease.want(amps(12))
        await until(lambda: one.lease.state is LeaseState.OWN)
        assert one.bank.device.holds(1) == 16
        assert "write_budget_spent" in one.told()
        counted = sum(address == 1 for address, _ in one.writes())
        assert counted == 5
    async with bench(tmp_path, profile, clock=clock) as one:  # a restart gives no new budget
        await one.has(None)
        await one.steps(amps(8), 5, 60.0)
        assert one.writes() == []
        one.clock.now_s += day_s
        await one.has(amps(8))


async def test_more_power_waits_for_the_spacing_and_less_never_does(tmp_path: Path) -> None:
    async with bench(tmp_path, charger("write_spacing_s: 300")) as one:
        await one.has(amps(8))
        one.writes()
        await one.steps(amps(12), 5, 10.0)
        assert one.writes() == []
        await one.has(amps(7))
        await one.has(None)  # nor does the safe state
        await one.has(amps(10))  # which is less than its own mode
        await one.steps(amps(16), 3, 10.0)
        assert one.bank.device.holds(1) == 10
        one.clock.now_s += 300
        await one.has(amps(16))


async def test_within_the_spacing_a_battery_is_narrowed_only(tmp_path: Path) -> None:
    profile = BATTERY.replace("lease_s: 60", "lease_s: 60\n    write_spacing_s: 300")
    async with bench(tmp_path, profile) as one:
        await one.has(battery_order(Interval(-3_000.0, 1_000.0), WIDEST, one.lease))
        one.clock.now_s += 60
        one.lease.want(battery_order(Interval(-1_000.0, 4_000.0), WIDEST, one.lease))
        await until(lambda: one.bank.device.holds(2) == 1_000)
        assert one.bank.device.holds(3) == 1_000


async def test_a_charger_that_refuses_is_told_nothing_that_could_raise_its_power(tmp_path: Path) -> None:
    """Its own mode is full power: writing that would blow the fuse the order was for."""

    class Sulking(RecordedDevice):
        sulks = False

        def write(self, function: int, address: int, values: Sequence[int]) -> bool:
            tried.append((address, tuple(values)))
            return self.sulks or super().write(function, address, values)

        def read(self, function: int, address: int, count: int) -> bytes:
            return b"\0\x09" * count if self.sulks else super().read(function, address, count)

    tried: list[tuple[int, tuple[int, ...]]] = []
    device = Sulking(BANK)
    async with bench(tmp_path, charger(), device=device) as one:
        await one.has(amps(8))
        device.sulks = True
        tried.clear()
        one.lease.want(amps(12))
        await until(lambda: one.lease.state is LeaseState.UNKNOWN)
        assert one.told() == ["control_unknown"]
        for _ in range(20):
            one.clock.now_s += 10
            one.lease.want(amps(16))
            await asyncio.sleep(0.02)
        assert max(values[0] for address, values in tried[2:] if address == 1) == 8
        assert len(tried) < 20  # it is not pestered
        device.sulks = False
        one.clock.now_s += 60
        await one.has(amps(16))
        assert one.told() == ["control_back"]


async def test_a_device_that_ignores_an_order_is_not_pestered_and_alarms_once(tmp_path: Path) -> None:
    async with bench(tmp_path, charger()) as one:
        await one.has(amps(8))
        one.told()
        one.bank.server.faults.ignore_writes = True
        requests = one.bank.server.requests
        await one.steps(amps(12), 50, 2.0)
        assert one.told() == ["control_unknown"]
        assert one.bank.server.requests - requests < 60
        one.bank.server.faults.ignore_writes = False
        one.clock.now_s += 60
        await one.has(amps(12))
        assert one.told() == ["control_back"]


@pytest.mark.parametrize("keeps_orders_ok", [True, False])
async def test_a_device_that_does_not_keep_its_reversion_time_latches(tmp_path: Path, keeps_orders_ok: bool) -> None:
    class Forgetful(RecordedDevice):
        def _set(self, fc: int, address: int, value: int) -> None:
            super()._set(fc, address, 0 if address == 7 else value)

    profile = BATTERY.replace("limit: [", "limit: [{address: 7, value: lease_s}, ")
    async with bench(tmp_path, profile, device=Forgetful(BANK), keeps_orders_ok=keeps_orders_ok) as one:
        order = battery_order(Interval(-3_000.0, 2_000.0), WIDEST, one.lease)
        one.lease.want(order)
        await until(lambda: one.bank.device.holds(4) == 0 and "control_latches" in one.told())
        await one.has(order if keeps_orders_ok else None)
        one.writes()
        await one.steps(order, 3, 1.0)
        assert one.writes() == []
        assert one.lease.order == (order if keeps_orders_ok else None)


async def test_registers_that_cannot_be_read_are_not_compared_and_the_others_are_given_time(tmp_path: Path) -> None:
    class Slow(RecordedDevice):
        """Shows what it was told a fifth of a second later."""

        def _set(self, fc: int, address: int, value: int) -> None:
            asyncio.get_running_loop().call_later(0.2, super()._set, fc, address, value)

    profile = charger("settle_s: 0.4").replace("order: [", "order: [{address: 20, value: allowed, verify: false}, ")
    async with bench(tmp_path, profile, device=Slow(BANK)) as one:
        await one.has(amps(8))
        assert one.told() == []
        assert one.bank.device.holds(20) == 1


async def test_a_controller_that_falls_silent_is_taken_for_dead(tmp_path: Path) -> None:
    async with bench(tmp_path, charger(), silence_s=0.5) as one:
        await one.has(amps(8))
        began_s = time.monotonic()
        await until(lambda: one.lease.state is LeaseState.OWN)
        assert time.monotonic() - began_s < 3.0
        assert one.bank.device.holds(1) == 16
        await one.has(amps(8))
        assert one.told() == ["controller_silent", "controller_back"]


async def test_the_way_back_is_on_the_disk_before_the_order_leaves(tmp_path: Path) -> None:
    seen: list[tuple[tuple[int, ...], int]] = []

    def look(written: Written) -> None:
        path = tmp_path / "orders.json"
        seen.append((written.values, len(json.loads(path.read_bytes())["ordered"]) if path.exists() else 0))

    async with bench(tmp_path, charger(), device=RecordedDevice(BANK, told=look)) as one:
        await one.has(amps(8))
        assert ((8,), 1) in seen
        assert await one.lease.release()
        assert seen[-1] == ((0,), 1)
        assert json.loads((tmp_path / "orders.json").read_bytes())["ordered"] == []


async def test_an_order_cut_off_in_the_middle_is_undone(tmp_path: Path) -> None:
    """SIGTERM finds a lease that was in its own mode a moment ago, and perhaps no longer."""
    async with bench(tmp_path, charger()) as one:
        await one.has(None)
        one.bank.server.faults.delay_s = 0.2
        one.lease.want(amps(8))
        await until(lambda: one.bank.device.holds(1) == 8)
        await one.end()
        assert one.lease.state is LeaseState.UNKNOWN
        assert await one.lease.release()
        assert one.bank.device.holds(1) == 16


async def test_a_disk_that_is_full_stops_sticky_orders_only(tmp_path: Path) -> None:
    """Nothing would end an order that nobody knows of; a timed one ends by itself."""
    (tmp_path / "orders.json.new").mkdir()
    async with bench(tmp_path, charger()) as one:
        await one.has(None)
        one.lease.want(amps(8))
        await until(lambda: one.lease.state is LeaseState.UNKNOWN)
        assert one.bank.device.holds(1) == 16
    async with bench(tmp_path, BATTERY) as one:
        await one.has(battery_order(Interval(-5_000.0, -3_000.0), WIDEST, one.lease))


def test_orders_a_device_keeps_need_the_owners_word(tmp_path: Path) -> None:
    site = "{name: A, timezone: Europe/Berlin, latitude: 47, longitude: 9, price_zone: DE-LU, limits: {main_fuse_a: 35}"
    path, clock = tmp_path / "agent.yaml", ManualClock()
    lines = [
        "agent: anna",
        "data_dir: data",
        "control_s: 30",
        f"site: {site}, tariff: {{}}}}",
        "devices:",
        "  - {id: grid, profile: eastron-sdm630, host: g}",
        "  - {id: car, profile: go-e, host: h, controlled: true, keeps_orders_ok: true}",
    ]
    path.write_text("\n".join(lines))
    prove(path)
    for word in (True, False):
        home, events = load_home(path), EventLog(clock)
        devices = {id_: Device(id_, home.profiles[id_], "h", 502, 1, clock, events) for id_ in ("grid", "car")}
        leases = make_leases(home, devices, Books(tmp_path, clock), clock, events)
        assert list(leases) == ([("car", kind) for kind in home.profiles["car"].controls] if word else [])
        assert all(lease.silence_s == 90.0 for lease in leases.values())  # three steps
        path.write_text(path.read_text().replace("keeps_orders_ok: true", "keeps_orders_ok: false"))


def test_a_safe_state_sets_no_more_current_than_the_wiring_bears() -> None:
    control = parse_profile(charger(), "bank.yaml").controls[ControlKind.EV_CURRENT]
    assert [write.value for write in within(control, 10.0).safe] == [10.0, 0]
    assert within(control, 20.0).safe == within(control, None).safe == control.safe
