"""What commands may do to the hybrid inverter: the interval of battery power, the output limit, and their leases.

The meaning of the SunSpec 124 registers is that of a Fronius GEN24: a discharge limit below zero forces charging, a
charge limit below zero forces discharging, and after the reversion time without any write to the block the inverter
goes back to its own self-consumption.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

CHARGE_LIMIT, DISCHARGE_LIMIT = 1, 2  # bits of StorCtl_Mod


@dataclass
class Lease:
    """How long orders hold when nobody renews them."""

    timeout_s: float = 0.0
    """0 = for ever."""
    expires_s: float = math.inf

    def renew(self, at_s: float) -> None:
        """Start the time anew."""
        self.expires_s = at_s + self.timeout_s if self.timeout_s > 0 else math.inf


@dataclass
class StorageControl:
    """The state behind SunSpec models 124 and 123; shares are of the rated power, 1 = 100 %."""

    rated_w: float
    mode: int = 0
    charge_share: float = 1.0
    discharge_share: float = 1.0
    grid_charge: bool = False
    reserve_percent: float = 5.0
    lease: Lease = field(default_factory=Lease)
    connected: bool = True
    output_limited: bool = False
    output_share: float = 1.0
    output_lease: Lease = field(default_factory=Lease)
    reversions: int = 0

    def interval_w(self) -> tuple[float, float]:
        """Return the lowest and highest battery power that orders allow, + = discharge [W].

        Orders that contradict each other (forced to charge and to discharge) stop the battery.
        """
        lowest_w = -self.charge_share * self.rated_w if self.mode & CHARGE_LIMIT else -self.rated_w
        highest_w = self.discharge_share * self.rated_w if self.mode & DISCHARGE_LIMIT else self.rated_w
        return (lowest_w, highest_w) if lowest_w <= highest_w else (0.0, 0.0)

    @property
    def next_expiry_s(self) -> float:
        """The instant at which the next lease in force ends [s]."""
        return min(
            self.lease.expires_s if self.mode else math.inf,
            self.output_lease.expires_s if self.output_limited else math.inf,
        )

    def expire(self, at_s: float) -> bool:
        """Revert what has not been renewed; tell whether anything changed."""
        changed = False
        if self.mode and at_s >= self.lease.expires_s:
            self.mode, changed = 0, True
        if self.output_limited and at_s >= self.output_lease.expires_s:
            self.output_limited, changed = False, True
        self.reversions += changed
        return changed
