"""Recorded homes and prices from CSV files: a regular grid in UTC, empty fields for what is missing."""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from hearth_core.errors import ConfigError
from hearth_models.arrays import FloatArray

_TIME = "timestamp_utc"
_PRICE = re.compile(r"price_\w+_per_[mk]wh")


@dataclass(frozen=True)
class Recorded:
    """A regular series: ``values[i]`` holds from ``start_s + i step_s`` on, NaN where missing."""

    start_s: float
    step_s: int
    values: FloatArray

    @property
    def end_s(self) -> float:
        """Where the last step ends [s]."""
        return self.start_s + self.step_s * len(self.values)

    def on_grid(self, start_s: float, step_s: int, n_steps: int) -> FloatArray:
        """Return the value that holds at the start of each step of another grid, NaN outside, shape (n_steps,)."""
        index = np.floor((start_s + step_s * np.arange(n_steps) - self.start_s) / self.step_s).astype(np.int64)
        inside = (index >= 0) & (index < len(self.values))
        return np.where(inside, self.values[np.clip(index, 0, len(self.values) - 1)], np.nan)


def read_columns(path: Path, columns: list[str]) -> list[Recorded]:
    """Read columns of a CSV or CSV.gz file with a ``timestamp_utc`` column.

    Raises:
        ConfigError: The file cannot be read, a column is missing, a value is no number, or the grid is not regular;
            names the file, the field, the value and the remedy.
    """
    source = str(path)
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
        rows = list(csv.DictReader(text.splitlines()))
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(source, "the file", str(error), "Give a readable .csv or .csv.gz file.") from error
    if len(rows) < 2:
        raise ConfigError(source, "rows", len(rows), "At least two rows are needed.")
    for name in (_TIME, *columns):
        if name not in rows[0]:
            raise ConfigError(source, "column", name, f"The file has: {', '.join(rows[0])}.")
    times_s = np.array([_instant(source, line, row[_TIME]) for line, row in enumerate(rows, start=2)])
    steps = np.diff(times_s)
    if steps[0] <= 0 or (steps != steps[0]).any():
        line = int(np.flatnonzero((steps != steps[0]) | (steps <= 0))[0]) + 3
        raise ConfigError(source, f"line {line}", rows[line - 2][_TIME], "Rows must follow each other at one step.")
    tables = [[_number(source, line, name, row[name]) for line, row in enumerate(rows, start=2)] for name in columns]
    return [Recorded(float(times_s[0]), int(steps[0]), np.array(table)) for table in tables]


def read_prices(path: Path) -> Recorded:
    """Read prices per kWh from the first column called ``price_*_per_mwh`` or ``price_*_per_kwh``, currency as it is.

    Raises:
        ConfigError: See `read_columns`.
    """
    names = [name for name in read_header(path) if _PRICE.fullmatch(name)] or ["price_eur_per_mwh"]
    (prices,) = read_columns(path, names[:1])
    return Recorded(prices.start_s, prices.step_s, prices.values / (1000 if names[0].endswith("_mwh") else 1))


def read_header(path: Path) -> list[str]:
    """Return the names of a CSV file's columns; none where it cannot be read as one."""
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8") as file:
            return next(csv.reader(file), [])
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error):
        return []


def _instant(source: str, line: int, text: str) -> float:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(source, f"line {line}", text, "Write times as 2016-01-01T00:00:00Z.") from error
    if at.tzinfo is None:
        raise ConfigError(source, f"line {line}", text, "Add Z: times are UTC.")
    return at.timestamp()


def _number(source: str, line: int, name: str, text: str | None) -> float:
    if not text:
        return float("nan")
    try:
        return float(text)
    except ValueError as error:
        raise ConfigError(source, f"line {line}, {name}", text, "Write a number, or nothing when missing.") from error
