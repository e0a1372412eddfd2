"""What a fleet does, checked before anything starts."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hearth_core import topics
from hearth_core.broker import BrokerAddress
from hearth_core.errors import ConfigError
from hearth_sim.fleet.values import SERIES
from hearth_sim.mqtt import read_broker

MAX_HOMES = 99_999
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_MQTT_5 = 5


@dataclass(frozen=True)
class FleetSettings:
    """The whole order; durations in real seconds."""

    mqtt_url: str
    homes: int
    series: int = 20
    interval_s: float = 10.0
    duration_s: float = 60.0
    """Counted from when every home is connected."""
    backlog_s: float = 0.0
    """History that waits in each home's spool when it connects first; 0 is none."""
    storm_s: float = 0.0
    """All connections break and come back every so many seconds; 0 is never."""
    start_spread_s: float = 0.0
    """The first connections are spread over this time."""
    until_acked: bool = False
    """Go on until the backlog is acknowledged, then until everything is."""
    limit_s: float = 600.0
    """How long to wait for acknowledgements after the duration, and for the first connections."""
    seed: int = 1
    name: str = "fleet"
    """Homes are called ``<name>-00001`` and so on."""

    @property
    def interval_ms(self) -> int:
        """Time between two readings of a home [ms]."""
        return round(self.interval_s * 1000)

    @property
    def backlog_records(self) -> int:
        """Records of one home that wait at the start."""
        return int(self.backlog_s * 1000) // self.interval_ms

    def checked_broker(self) -> BrokerAddress:
        """Check everything and return the broker's address.

        Raises:
            ConfigError: Something cannot be done.
        """
        broker = read_broker(self.mqtt_url)
        if broker.protocol != _MQTT_5:
            raise ConfigError("command line", "mqtt", "protocol=3.1.1", "A fleet speaks MQTT 5 only; leave it out.")
        _check("homes", self.homes, 1, MAX_HOMES)
        if self.series > len(SERIES):
            remedy = f"An inverter has at most {len(SERIES)} points; start more homes for more values."
            raise ConfigError("command line", "series", self.series, remedy)
        _check("series", self.series, 1, len(SERIES))
        _check("interval", self.interval_s, 0.05, 3600)
        _check("duration", self.duration_s, 0, 31 * 86_400)
        _check("backlog", self.backlog_s, 0, 31 * 86_400)
        _check("start-spread", self.start_spread_s, 0, 3600)
        _check("limit", self.limit_s, 1, 86_400)
        if self.storm_s and self.storm_s < 1:
            raise ConfigError("command line", "storm", self.storm_s, "Use at least 1s, or leave it out.")
        if not topics.is_name(f"{self.name}-{MAX_HOMES}"):
            remedy = "Use lower case letters, digits and dashes, at most 57."
            raise ConfigError("command line", "name", self.name, remedy)
        return broker


def _check(field: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ConfigError("command line", field, value, f"Use {low:g} to {high:g}.")


def parse_duration(field: str, text: str) -> float:
    """Read ``500ms``, ``10s``, ``5m``, ``24h``, ``7d`` or plain seconds.

    Raises:
        ConfigError: It is none of these.

    Example:
        >>> parse_duration("backlog", "24h")
        86400.0
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)?", text.strip())
    if found is None:
        raise ConfigError("command line", field, text, "Write e.g. 500ms, 10s, 5m, 24h or 7d.")
    return float(found[1]) * _UNITS_S[found[2] or "s"]
