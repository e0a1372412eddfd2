"""Every control of the catalogue on its recording: each kind of order is taken, ends by itself or by the file alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.integration.test_agent_leases import Idle
from tests.tasks import end

from hearth_agent.control.books import Books
from hearth_agent.control.leases import Lease, LeaseState
from hearth_agent.control.ordered import OrdersFile
from hearth_agent.control.orders import Interval
from hearth_agent.control.reassert import reassert
from hearth_agent.control.wording import Variables, battery_order, case_of, ev_order
from hearth_agent.devices.catalogue import shipped_names, shipped_profile
from hearth_agent.devices.controls import ControlKind, ControlSpec, SafetyClass, cases_of
from hearth_agent.devices.device import Device
from hearth_agent.devices.profile import Profile
from hearth_agent.events import EventLog
from hearth_core.clock import ManualClock
from hearth_sim import recordings
from hearth_sim.recorded_device import RecordedDevice
from hearth_sim.serving_recordings import served

WIDEST = Interval(-9_000.0, 9_000.0)
START_S = 1_800_000_000.0


def orders(kind: ControlKind, control: ControlSpec) -> Iterator[Variables]:
    """Yield an order of each kind the device can be told."""
    known = cases_of(kind, control)
    for order in _ORDERS[kind]:
        if case_of(kind, order) in known or not known:
            yield order


def _intervals() -> list[Variables]:
    wanted = [Interval(-2_000.0, 1_500.0), Interval(0.0, 0.0), Interval(-9_000.0, -2_000.0), Interval(1_500.0, 9_000.0)]
    found = [battery_order(one, WIDEST, Idle()) for one in wanted]
    return [one for one in found if one is not None]


_ORDERS: dict[ControlKind, list[Variables]] = {
    ControlKind.BATTERY_INTERVAL: _intervals(),
    ControlKind.EV_CURRENT: [one for one in (ev_order(8.0), ev_order(0.0), ev_order(13.0)) if one],
    ControlKind.EV_PHASES: [{"phases": 1.0}, {"phases": 3.0}],
    ControlKind.HEAT_MODE: [
        {"mode": 0.0, "contact_a": 1.0, "contact_b": 0.0},
        {"mode": 2.0, "contact_a": 0.0, "contact_b": 1.0},
    ],
    ControlKind.HEAT_POWER: [{"power_w": 1_000.0}],
    ControlKind.PV_LIMIT: [{"limit_w": 1_000.0, "limited": 1.0}],
}


def hasty(profile: Profile, kind: ControlKind) -> Profile:
    """Return a profile without pauses: recordings answer at once."""
    control = msgspec.structs.replace(profile.controls[kind], settle_s=0.0, write_spacing_s=0.0)
    return msgspec.structs.replace(profile, controls={kind: control}, min_gap_s=0.0, connect_delay_s=0.0)


def bank(name: str, clock: ManualClock) -> list[RecordedDevice]:
    recording = recordings.load(name)
    file = msgspec.structs.replace(recording.file, min_gap_s=0.0)
    hurried = recordings.Recording(recording.source, file, recording.entries)
    return [RecordedDevice(hurried, unit, clock=clock) for unit in hurried.units]


CONTROLS = [
    (name, kind) for name in shipped_names() if name in recordings.names() for kind in shipped_profile(name).controls
]


@pytest.mark.parametrize(("name", "kind"), CONTROLS, ids=[f"{name}-{kind}" for name, kind in CONTROLS])
async def test_every_order_is_taken_and_ends(tmp_path: Path, name: str, kind: ControlKind) -> None:
    clock = ManualClock(START_S)
    events = EventLog(clock)
    profile = hasty(shipped_profile(name), kind)
    control, devices = profile.controls[kind], bank(name, clock)
    async with served(devices) as running:
        device = Device(name, profile, running.host, running.port, profile.unit, clock, events)
        lease = Lease(device, kind, control, Books(tmp_path, clock), clock, events, keeps_orders_ok=True)
        task = asyncio.create_task(lease.run())
        try:
            for order in orders(kind, control):
                clock.now_s += 1.0
                lease.want(order)
                async with asyncio.timeout(5):
                    while lease.state is LeaseState.UNKNOWN or lease.order != order:
                        told = events.first()
                        assert told is None or told.kind not in ("control_unknown", "order_unsayable"), told
                        await asyncio.sleep(0.002)
        finally:
            await end(task)
            device.close()
        if control.safety_class is SafetyClass.TIMED and any(one.recording.reversions for one in devices):
            clock.now_s += (control.lease_s or 0.0) + 1.0
            for one in devices:
                one.holds(0)
            assert sum(one.reversions for one in devices) >= 1
        books = OrdersFile.load(tmp_path / "orders.json")
        assert [entry.control for entry in books.entries] == [kind]
        assert await asyncio.to_thread(reassert, books, 1.0) == []
