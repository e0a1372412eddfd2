"""Which controls of a home get a lease."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from hearth_agent.control.books import Books
from hearth_agent.control.leases import SILENCE_S, Lease
from hearth_agent.devices.controls import ControlKind, ControlSpec, Write
from hearth_agent.devices.device import Device
from hearth_agent.events import EventLog
from hearth_agent.settings import Home
from hearth_core.clock import Clock

_MISSED_STEPS = 3
_ONE_OF_A_KIND = (ControlKind.BATTERY_INTERVAL, ControlKind.PV_LIMIT)


def make_leases(
    home: Home, devices: Mapping[str, Device], books: Books, clock: Clock, events: EventLog
) -> dict[tuple[str, ControlKind], Lease]:
    """Return a lease for every control the agent may use: of devices that are controlled, not only watched.

    One battery and one roof are steered.
    """
    leases: dict[tuple[str, ControlKind], Lease] = {}
    for settings in home.settings.devices:
        if not home.controlled(settings.id):
            continue
        left_out = home.left_out(settings.id)
        for kind, control in home.profiles[settings.id].controls.items():
            if kind in left_out:
                continue
            if kind in _ONE_OF_A_KIND and any(kind is other for _, other in leases):
                continue
            leases[settings.id, kind] = Lease(
                devices[settings.id],
                kind,
                within(control, settings.max_current_a),
                books,
                clock,
                events,
                keeps_orders_ok=settings.keeps_orders_ok,
                silence_s=max(SILENCE_S, _MISSED_STEPS * home.settings.control_s),
            )
    return leases


def within(control: ControlSpec, most_a: float | None) -> ControlSpec:
    """Return a control whose safe state sets no more current than the wiring bears."""
    if most_a is None:
        return control
    lists = [control.order, *control.cases.values()]
    currents = {_place(write) for writes in lists for write in writes if write.value == "current_a"}
    safe = [
        msgspec.structs.replace(write, value=min(float(write.value), most_a)) if _place(write) in currents else write
        for write in control.safe
    ]
    return msgspec.structs.replace(control, safe=safe)


def _place(write: Write) -> tuple[int | None, int | None, str | None]:
    return write.address, write.model, write.point
