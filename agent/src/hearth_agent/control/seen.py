"""What of the measured values can be true: everything that no house can have counts as missing."""

from __future__ import annotations

from hearth_agent.control.orders import CarReading, HeaterReading, Measurements

MOST = 1e6
"""A measurement beyond this (W or A) is no measurement; NaN is not within it either."""
_COLDEST_C, _HOTTEST_C = -60.0, 120.0


def believable(measured: Measurements) -> Measurements:
    """Replace everything that is no number a house can have by missing."""
    return Measurements(
        grid_w=_clean(measured.grid_w),
        phase_a=tuple(map(_clean, measured.phase_a)),
        battery_w=_clean(measured.battery_w),
        soc_percent=_within(measured.soc_percent, 0.0, 100.0),
        pv_w=_within(measured.pv_w, 0.0, MOST),
        cars={
            id_: CarReading(line_a=tuple(map(_clean, one.line_a)), wanting=one.wanting)
            for id_, one in measured.cars.items()
        },
        heaters={
            id_: HeaterReading(
                power_w=_within(one.power_w, 0.0, MOST),
                temperature_c=_within(one.temperature_c, _COLDEST_C, _HOTTEST_C),
            )
            for id_, one in measured.heaters.items()
        },
    )


def _clean(value: float | None) -> float | None:
    return value if value is not None and abs(value) <= MOST else None


def _within(value: float | None, low: float, high: float) -> float | None:
    return value if value is not None and low <= value <= high else None
