"""What several commands read from the command line."""

from __future__ import annotations

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from hearth_core.errors import ConfigError
from hearth_models.features import Place

OPTIONS = "the command line"


def read_place(text: str) -> Place:
    """Read a place.

    Args:
        text: ``TIMEZONE,LATITUDE,LONGITUDE``.

    Raises:
        ConfigError: It is no place.
    """
    remedy = "Write TIMEZONE,LATITUDE,LONGITUDE, e.g. Europe/Berlin,47.66,9.17."
    parts = text.split(",")
    if len(parts) != 3:
        raise ConfigError(OPTIONS, "--place", text, remedy)
    try:
        ZoneInfo(parts[0])
        return Place(parts[0], float(parts[1]), float(parts[2]))
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ConfigError(OPTIONS, "--place", text, remedy) from error
