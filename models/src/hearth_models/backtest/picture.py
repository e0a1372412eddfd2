"""The picture of a lived year: what was saved from month to month, and what the battery did hour by hour."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import matplotlib as mpl
import matplotlib.dates as mdates
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hearth_models.arrays import FloatArray
from hearth_models.backtest.outcome import Outcome, Year
from hearth_models.features import utc_offsets_s

_DAY_S = 86_400


def draw(outcome: Outcome, year: Year, path: Path) -> None:
    """Draw a year to an SVG or PNG file.

    Args:
        outcome: What it cost.
        year: How it was lived.
        path: Where to; its ending says which kind.
    """
    # the same year gives the same file, byte for byte
    mpl.rcParams["svg.hashsalt"] = "hearth"
    mpl.rcParams["svg.fonttype"] = "none"
    figure = Figure(figsize=(10, 7), layout="constrained")
    saved, grid, charge = figure.subplots(3, 1, height_ratios=(3, 2, 2), sharex=True)
    life = year.life
    days = int(life.days)
    dates = [datetime.fromtimestamp(life.start_s + day * _DAY_S, tz=UTC) for day in range(days)]
    for name, power_w, colour in (
        ("self-consumption rule", year.rule.grid_w, "#9a9a9a"),
        ("Hearth", year.hearth.grid_w, "#d2551f"),
        ("perfect foresight", year.foresight_w, "#2a6f97"),
    ):
        without, cost = _daily_eur(year, life.net_w), _daily_eur(year, power_w)
        saved.plot(dates, np.cumsum(without - cost), label=name, color=colour)
    saved.set_ylabel("saved against no battery [EUR]\n(before what is left in store)")
    saved.legend(loc="upper left", frameon=False)
    costs = outcome.cost_eur
    share = "-" if outcome.captured_of_oracle is None else f"{outcome.captured_of_oracle * 100:.0f} %"
    saved.set_title(
        f"{outcome.home}: {outcome.days:.0f} days, {costs.no_battery:.0f} EUR without battery, {costs.hearth:.0f} EUR "
        f"with Hearth; {share} of what perfect foresight saves"
    )
    _heat_map(figure, grid, year, year.hearth.grid_w / 1000, "grid [kW]", "RdBu_r", 5.0)
    _heat_map(
        figure, charge, year, year.hearth.stored_wh / life.battery.capacity_wh * 100, "charge [%]", "viridis", None
    )
    charge.xaxis.set_major_formatter(mdates.ConciseDateFormatter(mdates.AutoDateLocator()))
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def _daily_eur(year: Year, grid_w: FloatArray) -> FloatArray:
    life = year.life
    per_day, days = _DAY_S // life.step_s, int(life.days)
    cost = life.market.cost_eur(grid_w, np.full(len(grid_w), life.step_s / 3600))
    daily: FloatArray = cost[: days * per_day].reshape(days, per_day).sum(axis=1)
    return daily


def _heat_map(
    figure: Figure, axes: Axes, year: Year, values: FloatArray, label: str, colours: str, most: float | None
) -> None:
    """Draw days from left to right and the local hour from bottom to top."""
    life = year.life
    at_s = life.start_s + life.step_s * np.arange(len(values), dtype=np.float64)
    local_s = at_s + utc_offsets_s(at_s, life.home.place.timezone)
    per_day = _DAY_S // life.step_s
    day = ((local_s - local_s[0] // _DAY_S * _DAY_S) // _DAY_S).astype(np.int64)
    slot = (local_s % _DAY_S // life.step_s).astype(np.int64)
    table = np.full((per_day, int(day.max()) + 1), np.nan)
    table[slot, day] = values
    first = mdates.date2num(datetime.fromtimestamp(local_s[0] // _DAY_S * _DAY_S, tz=UTC))
    extent = (first, first + table.shape[1], 0.0, 24.0)
    span = {"vmin": -most, "vmax": most} if most else {"vmin": 0, "vmax": 100}
    image = axes.imshow(table, aspect="auto", origin="lower", extent=extent, cmap=colours, interpolation="none", **span)
    axes.set_ylabel("local hour")
    axes.set_yticks([0, 6, 12, 18, 24])
    figure.colorbar(image, ax=axes, label=label)
