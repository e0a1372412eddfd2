"""Daily budgets as buckets that fill slowly: a burst is borne, and no window of a day sees more than the cap.

A bucket starts full at half of the day's cap and gains the other half in a day. So whatever a plan asks for, in any
24 hours at most the cap is spent.
"""

from __future__ import annotations

import msgspec

DAY_S = 86_400.0
SWITCHES_PER_DAY = 200.0
"""Changes of mode a day of a battery, of charging or not of a car, of mode of a heater."""


class Bucket(msgspec.Struct, frozen=True):
    """What is left [share of the day's cap, 0 to 0.5], and when that was reckoned [s]."""

    left: float = 0.5
    at_s: float | None = None


FULL = Bucket()


def refilled(bucket: Bucket, tick_s: float) -> Bucket:
    """Return the bucket as it is at an instant."""
    if bucket.at_s is None:
        return Bucket(bucket.left, tick_s)
    gained = max(tick_s - bucket.at_s, 0.0) / (2 * DAY_S)
    return Bucket(min(bucket.left + gained, 0.5), tick_s)


def has(bucket: Bucket, cost: float, per_day: float, tick_s: float) -> bool:
    """Tell whether so much may be spent now."""
    return refilled(bucket, tick_s).left >= cost / per_day


def spent(bucket: Bucket, cost: float, per_day: float, tick_s: float) -> Bucket:
    """Return the bucket after so much was spent; it may owe."""
    now = refilled(bucket, tick_s)
    return Bucket(now.left - cost / per_day, tick_s)
