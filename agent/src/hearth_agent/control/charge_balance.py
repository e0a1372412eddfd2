"""Does the state of charge move as the battery's power says?

Followed in windows that end when a good part of the capacity has flowed one way. A single odd window is borne, because
battery managers correct their own count now and then; two in a row are not.
"""

from __future__ import annotations

import msgspec

from hearth_agent.control.flows import Flows

_WINDOW_SHARE = 0.08
_LONGEST_GAP_S = 300.0
_MOVED_PERCENT = 2.0
_TOO_MUCH, _TOO_LITTLE = 4.0, 0.2
# near its ends a battery's count stands still or jumps
_LOWEST_PERCENT, _HIGHEST_PERCENT = 12.0, 95.0
_ODD_WINDOWS = 2


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """One window: where it began, and what has flowed out of the battery since."""

    at_s: float | None = None
    from_percent: float | None = None
    delivered_wh: float = 0.0
    odd: int = 0
    """Odd windows in a row."""


def follow_charge(charge: Charge, flows: Flows, capacity_wh: float | None) -> tuple[Charge, str]:
    """Go on by one look; return what is contradicted in words, or "".

    Args:
        charge: The window so far.
        flows: Battery power [W, + = discharge] and state of charge [%], means of about a minute.
        capacity_wh: None: the home has no battery that is known.
    """
    soc, power_w = flows.soc_percent, flows.battery_w
    if capacity_wh is None or soc is None or power_w is None:
        return charge, ""
    if charge.at_s is None or charge.from_percent is None or flows.at_s - charge.at_s > _LONGEST_GAP_S:
        return _anew(flows, charge.odd), ""
    delivered_wh = charge.delivered_wh + power_w * (flows.at_s - charge.at_s) / 3600
    if not _LOWEST_PERCENT <= soc <= _HIGHEST_PERCENT:
        return _anew(flows, charge.odd), ""
    if abs(delivered_wh) < _WINDOW_SHARE * capacity_wh:
        return msgspec.structs.replace(charge, at_s=flows.at_s, delivered_wh=delivered_wh), ""
    expected = -100.0 * delivered_wh / capacity_wh
    moved = soc - charge.from_percent
    odd = charge.odd + 1 if _is_odd(moved, expected) else 0
    if odd < _ODD_WINDOWS:
        return _anew(flows, odd), ""
    verb = "delivered" if delivered_wh > 0 else "took"
    text = (
        f"the battery {verb} {abs(delivered_wh):.0f} Wh, but its charge moved by {moved:+.1f} %, not {expected:+.1f} %"
    )
    return _anew(flows, odd), text


def _is_odd(moved: float, expected: float) -> bool:
    share = moved / expected
    opposite = share < 0 and abs(moved) >= _MOVED_PERCENT
    return opposite or share > _TOO_MUCH or abs(share) < _TOO_LITTLE


def _anew(flows: Flows, odd: int) -> Charge:
    return Charge(at_s=flows.at_s, from_percent=flows.soc_percent, delivered_wh=0.0, odd=odd)
