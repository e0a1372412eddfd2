"""Prices and times as a homeowner says them."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo


def cents(eur_per_kwh: float) -> str:
    """Return a price in words, e.g. ``0.28 EUR/kWh``; three digits where two would say nothing."""
    digits = 3 if abs(eur_per_kwh) < 0.02 else 2
    return f"{eur_per_kwh:.{digits}f} EUR/kWh"


def clock(at_s: float, timezone: str) -> str:
    """Return the local time of day, e.g. ``18:15``."""
    return datetime.fromtimestamp(at_s, tz=ZoneInfo(timezone)).strftime("%H:%M")


def span(start_s: float, end_s: float, timezone: str) -> str:
    """Return a local time span, e.g. ``18:00-21:00``."""
    return f"{clock(start_s, timezone)}-{clock(end_s, timezone)}"
