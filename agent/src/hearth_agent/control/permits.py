"""What a device may be told now of what is wanted of it: as far as profile, owner, registers and time allow it."""

from __future__ import annotations

import logging

from hearth_agent.control.books import Books
from hearth_agent.control.wording import Variables, case_of, may_raise, meet
from hearth_agent.devices.controls import ControlKind, ControlSpec, Write, cases_of
from hearth_agent.devices.device import Device
from hearth_agent.events import EventLog

logger = logging.getLogger(__name__)


class Permits:
    """The rules of one control; every reason to leave a device in its own mode is told once."""

    def __init__(
        self,
        device: Device,
        kind: ControlKind,
        control: ControlSpec,
        books: Books,
        events: EventLog,
        *,
        keeps_orders_ok: bool,
    ) -> None:
        self._device, self._kind, self._control = device.id, kind, control
        self._name = f"{device.id}/{kind}"
        self._budget, self._events, self._keeps_orders_ok = books.budget, events, keeps_orders_ok
        lists = [control.order, control.safe, *control.cases.values()]
        self._registers = {name_of(device, write) for writes in lists for write in writes}
        self._told: set[str] = set()
        self.latches = False
        """It was seen that the device would not end an order by itself although its class says so."""

    def permitted(self, wanted: Variables | None, written: Variables | None, since_change_s: float) -> Variables | None:
        """Return the order to be in force.

        Args:
            wanted: What the controller wants.
            written: What is in force.
            since_change_s: How long ago that was changed [s].
        """
        if wanted is None or (self.latches and not self._keeps_orders_ok):
            return None
        if not self.can_be_told(wanted):
            self._tell_once("order_unsayable", f"{self._name}: its profile has no registers for this kind of order")
            return None
        if wanted == written:
            return wanted
        if since_change_s < self._control.write_spacing_s:
            wanted = self._calmed(wanted, written)
        return wanted if wanted is None or wanted == written or self.has_room() else None

    def _calmed(self, wanted: Variables, written: Variables | None) -> Variables | None:
        """Return what may be told so soon after the last change: only less than is in force."""
        if not may_raise(self._kind, written, wanted):
            return wanted
        if written is None:
            return None
        calmed = meet(self._kind, written, wanted)
        return calmed if self.can_be_told(calmed) else None

    def can_be_told(self, order: Variables) -> bool:
        """Tell whether the profile has registers for an order."""
        return bool(self._control.order) or case_of(self._kind, order) in cases_of(self._kind, self._control)

    def has_room(self) -> bool:
        """Tell whether the day's budget bears another order and the safe state after it."""
        per_day = self._control.writes_per_day
        if per_day is None or self._budget.has_room(self._registers, per_day):
            self._told.discard("write_budget_spent")
            return True
        text = f"{self._name}: {per_day} writes a day are spent; it stays in its own mode until tomorrow"
        self._tell_once("write_budget_spent", text)
        return False

    def found_latching(self) -> None:
        """Note that the device does not keep the time after which it should revert."""
        self.latches = True
        ends = "its supervisor ends it" if self._keeps_orders_ok else "it is left in its own mode"
        text = f"{self._name}: does not keep its reversion time, so an order would last for ever; {ends}"
        self._tell_once("control_latches", text)

    def _tell_once(self, kind: str, text: str) -> None:
        if kind not in self._told:
            self._told.add(kind)
            self._events.error(kind, text, self._device)


def name_of(device: Device, write: Write) -> str:
    """Return the name of a register for the daily budget."""
    return f"{device.id}/{write.address}" if write.address is not None else f"{device.id}/{write.model}.{write.point}"
