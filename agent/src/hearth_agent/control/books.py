"""What leases keep on the disk: how their orders are undone, and how often registers were written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hearth_agent.control.budget import WriteBudget
from hearth_agent.control.ordered import FILE_NAME, Contact, Ordered, OrdersFile, SafeWrite
from hearth_agent.devices.controls import ControlKind
from hearth_agent.devices.device import Device
from hearth_core.clock import Clock

_BUDGET_FILE = "writes.json"


class Books:
    """The orders in force, and the writes of the day."""

    def __init__(self, data_dir: Path, clock: Clock) -> None:
        self.orders = OrdersFile.load(data_dir / FILE_NAME)
        self.budget = WriteBudget(data_dir / _BUDGET_FILE, clock)

    @staticmethod
    def entry(device: Device, kind: ControlKind, safe: Sequence[SafeWrite]) -> Ordered:
        """Return what has to be known to make a device its own master again."""
        profile, endpoint = device.profile, device.endpoint
        at = Contact(
            host=endpoint.path or endpoint.host,
            port=endpoint.port,
            unit=device.unit,
            transport=str(endpoint.transport),
            baudrate=endpoint.line.baudrate,
            parity=endpoint.line.parity,
            bytesize=endpoint.line.bytesize,
            stopbits=endpoint.line.stopbits,
            timeout_s=profile.timeout_s,
            connect_delay_s=profile.connect_delay_s,
            gap_s=profile.min_gap_s,
            forgets_first_request=profile.forgets_first_request,
        )
        settle_s = device.profile.controls[kind].settle_s
        return Ordered(device.id, str(kind), at, list(safe), settle_s)
