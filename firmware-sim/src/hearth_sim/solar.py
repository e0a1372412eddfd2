"""Where the sun stands: enough to know night from day and how clear-sky power bends inside an hour."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
_J2000_S = 946_728_000.0
_DAY_S = 86_400.0


def sine_of_elevation(at_s: FloatArray, latitude: float, longitude: float) -> FloatArray:
    """Return the sine of the sun's elevation above the horizon.

    Low-precision formula of the Astronomical Almanac, good to about 0.01 degrees from 1950 to 2050, without refraction.

    Args:
        at_s: Seconds since 1970 UTC, any shape [s].
        latitude: Degrees north.
        longitude: Degrees east.

    Returns:
        Values in -1..1, same shape; above 0 is day.
    """
    days = (np.asarray(at_s, dtype=np.float64) - _J2000_S) / _DAY_S
    mean_longitude = np.radians(280.460 + 0.9856474 * days)
    anomaly = np.radians(357.528 + 0.9856003 * days)
    ecliptic = mean_longitude + np.radians(1.915 * np.sin(anomaly) + 0.020 * np.sin(2 * anomaly))
    obliquity = np.radians(23.439 - 4e-7 * days)
    declination = np.arcsin(np.sin(obliquity) * np.sin(ecliptic))
    ascension = np.arctan2(np.cos(obliquity) * np.sin(ecliptic), np.cos(ecliptic))
    sidereal = np.radians(280.46061837 + 360.98564736629 * days + longitude)
    hour_angle = sidereal - ascension
    phi = np.radians(latitude)
    sine: FloatArray = np.sin(phi) * np.sin(declination) + np.cos(phi) * np.cos(declination) * np.cos(hour_angle)
    return sine
