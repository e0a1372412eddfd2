"""Day-ahead prices from a file, each day's visible only once the market would have published it."""

from __future__ import annotations

import csv
import gzip
import io
import math
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

from hearth_core.errors import ConfigError

_MARKET = ZoneInfo("Europe/Brussels")
# SDAC results are public at about 12:45 market time, for the whole next market day.
_PUBLISHED_AT = time(12, 45)
_STEPS_S = (900, 1800, 3600)


@dataclass(frozen=True)
class PricePoint:
    """The price of one market step."""

    at: datetime
    step_s: int
    eur_per_kwh: float
    published_at: datetime


def published_at(at: datetime) -> datetime:
    """Return when the price of an instant becomes known: 12:45 market time on the day before its market day."""
    day = at.astimezone(_MARKET).date() - timedelta(days=1)
    return datetime.combine(day, _PUBLISHED_AT, _MARKET).astimezone(UTC)


def read_prices(path: Path) -> list[PricePoint]:
    """Read a price file: CSV, plain or .gz, with ``timestamp_utc,price_eur_per_mwh``.

    Raises:
        ConfigError: The file cannot be read; names the line, the value and the remedy.
    """
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        remedy = f"Set HEARTH_HUB_PRICES_FILE to a readable CSV file ({error})."
        raise ConfigError("environment", "HEARTH_HUB_PRICES_FILE", str(path), remedy) from error
    rows = list(csv.DictReader(io.StringIO(text)))
    if not rows or not {"timestamp_utc", "price_eur_per_mwh"} <= rows[0].keys():
        first = text.splitlines()[0] if text else ""
        raise ConfigError(str(path), "line 1", first, "The columns must be timestamp_utc,price_eur_per_mwh.")
    times, values = [], []
    for number, row in enumerate(rows, start=2):
        try:
            at = datetime.fromisoformat(row["timestamp_utc"])
            value = float(row["price_eur_per_mwh"])
        except (TypeError, ValueError) as error:
            raise ConfigError(str(path), f"line {number}", ",".join(map(str, row.values())), f"{error}.") from error
        times.append(at if at.tzinfo else at.replace(tzinfo=UTC))
        values.append(value)
    step_s = _step_s(path, times)
    known_at = {day: published_at(day) for day in {_market_noon(at) for at in times}}
    return [
        PricePoint(at, step_s, value / 1000, known_at[_market_noon(at)])
        for at, value in zip(times, values, strict=True)
        if math.isfinite(value)
    ]


def _market_noon(at: datetime) -> datetime:
    return datetime.combine(at.astimezone(_MARKET).date(), time(12), _MARKET)


def _step_s(path: Path, times: list[datetime]) -> int:
    seconds = [at.timestamp() for at in times]
    step_s = int(min((later - earlier for earlier, later in pairwise(seconds)), default=3600))
    if step_s not in _STEPS_S or any(second % step_s for second in seconds):
        raise ConfigError(str(path), "timestamp_utc", step_s, "Rows must be in order, 15, 30 or 60 minutes apart.")
    return step_s
