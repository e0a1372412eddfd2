"""Where the sun stands and what a cloudless sky gives; enough to know night from day and the shape of a clear day.

Declination and equation of time: J. W. Spencer, "Fourier series representation of the position of the sun",
Search 2(5), 1971 (about 0.05 degrees and 0.6 minutes). Clear sky: B. Haurwitz, "Insolation in relation to cloudiness
and cloud density", Journal of Meteorology 2, 1945, in the form pvlib uses. Horizon, turbidity and refraction are left
out.
"""

from __future__ import annotations

import numpy as np

from hearth_models.arrays import FloatArray

_DAY_S = 86_400.0
# 1970-01-01 is day 1 of its year; the mean tropical year keeps later years in step within a day.
_YEAR_DAYS = 365.2425


def elevation_degrees(at_s: FloatArray, latitude: float, longitude: float) -> FloatArray:
    """Return the height of the sun's centre above the horizon, -90..90.

    Args:
        at_s: Instants, seconds since 1970-01-01 UTC, shape (n,).
        latitude: Degrees north.
        longitude: Degrees east.
    """
    days = at_s / _DAY_S
    angle = 2 * np.pi * np.mod(days, _YEAR_DAYS) / _YEAR_DAYS
    declination = (
        0.006918
        - 0.399912 * np.cos(angle)
        + 0.070257 * np.sin(angle)
        - 0.006758 * np.cos(2 * angle)
        + 0.000907 * np.sin(2 * angle)
        - 0.002697 * np.cos(3 * angle)
        + 0.00148 * np.sin(3 * angle)
    )
    equation_min = 229.18 * (
        0.000075
        + 0.001868 * np.cos(angle)
        - 0.032077 * np.sin(angle)
        - 0.014615 * np.cos(2 * angle)
        - 0.040849 * np.sin(2 * angle)
    )
    solar_min = np.mod(days, 1.0) * 1440 + 4 * longitude + equation_min
    hour_angle = np.radians(solar_min / 4 - 180)
    north = np.radians(latitude)
    sine = np.sin(north) * np.sin(declination) + np.cos(north) * np.cos(declination) * np.cos(hour_angle)
    height: FloatArray = np.degrees(np.arcsin(np.clip(sine, -1.0, 1.0)))
    return height


def clear_sky_w_per_m2(elevation: FloatArray) -> FloatArray:
    """Return the global horizontal irradiance of a cloudless sky at a height of the sun in degrees [W/m2]."""
    sine = np.sin(np.radians(elevation))
    up = sine > 0
    safe = np.where(up, sine, 1.0)
    irradiance: FloatArray = np.where(up, 1098.0 * safe * np.exp(-0.057 / safe), 0.0)
    return irradiance
