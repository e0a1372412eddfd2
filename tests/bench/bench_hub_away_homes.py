"""What three days without the hub cost recorded homes: many such days in each, the real planner, no processes.

    python tests/bench/bench_hub_away_homes.py --homes recorded/ --prices nl_dayahead_60min.csv.gz

A home lives each span twice, with its hub and without (`tests/scenarios/away.py`). One line a home and tariff.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.scenarios.away import DAY, Bills, Recording, live

from hearth_core.errors import ConfigError
from hearth_core.site import BatteryFacts, Limits, Site
from hearth_core.tariff import ExportKind, Tariff
from hearth_models.backtest.homes import RecordedHome, find_homes
from hearth_models.backtest.market import filled, lay
from hearth_models.planning.outlook import STEP_S
from hearth_models.planning.scenarios import PAST_DAYS
from hearth_models.series import Recorded, read_prices

_SPOT = ExportKind.SPOT
TARIFFS = (
    Tariff(
        name="(market + 0.16) x 1.19, spot feed-in", import_adder_eur_per_kwh=0.16, vat_percent=19, export_kind=_SPOT
    ),
    Tariff(name="market + 0.18, 0.08 for feed-in", import_adder_eur_per_kwh=0.18, export_eur_per_kwh=0.08),
    Tariff(name="market's price both ways", export_kind=_SPOT),
)


def recording_of(home: RecordedHome, prices: Recorded) -> Recording:
    """Bring a home and its prices to quarter-hours, from its first whole day on."""
    laid = lay(prices, home.load.start_s, home.load.end_s)
    start_s = -(-max(home.load.start_s, laid.from_s) // 86_400) * 86_400
    n = int((min(home.load.end_s, laid.until_s) - start_s) // STEP_S)
    load_w = filled(home.load.on_grid(start_s, STEP_S, n), STEP_S)
    pv_w = np.zeros(n) if home.pv is None else filled(home.pv.on_grid(start_s, STEP_S, n), STEP_S)
    return Recording(start_s, load_w, pv_w, filled(laid.prices.on_grid(start_s, STEP_S, n + 2 * DAY), STEP_S))


def spans(recording: Recording, count: int, days: int) -> list[int]:
    """Return where the hub falls silent: spread over the record, and over the hours of the day."""
    first, last = (PAST_DAYS + 1) * DAY, len(recording.load_w) - (days + 2) * DAY
    return [int(step) // DAY * DAY + number * 20 % DAY for number, step in enumerate(np.linspace(first, last, count))]


def main() -> int:
    """Live every home and print a table."""
    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--homes", type=Path, required=True)
    parser.add_argument("--home", action="append", help="only these")
    parser.add_argument("--prices", type=Path, required=True)
    parser.add_argument("--spans", type=int, default=10)
    parser.add_argument("--days", type=int, default=3)
    parser.add_argument("--tariffs", type=int, default=len(TARIFFS))
    arguments = parser.parse_args()
    prices = read_prices(arguments.prices)
    print("| home | tariff | spans | with the hub | without | lost | by the rule | worst span |")
    for name in arguments.home or [None]:
        for home in find_homes(arguments.homes, name):
            recording = recording_of(home, prices)
            if len(recording.load_w) < (PAST_DAYS + 3 + arguments.days) * DAY:
                print(f"| {home.name} | too short |")
                continue
            for tariff in TARIFFS[: arguments.tariffs]:
                _row(home, recording, tariff, arguments)
    return 0


def _row(home: RecordedHome, recording: Recording, tariff: Tariff, arguments: argparse.Namespace) -> None:
    site = Site(
        name=home.name,
        timezone=home.place.timezone,
        latitude=home.place.latitude,
        longitude=home.place.longitude,
        price_zone="NL",
        limits=Limits(main_fuse_a=35),
        tariff=tariff,
        battery=BatteryFacts(capacity_wh=10_000, max_charge_w=5_000, max_discharge_w=5_000),
    )
    bills: list[Bills] = []
    for here in spans(recording, arguments.spans, arguments.days):
        with tempfile.TemporaryDirectory() as folder:
            bills.append(live(recording, here, arguments.days, site, Path(folder)))
    sums = {name: sum(getattr(one, name) for one in bills) for name in ("with_hub", "without", "rule")}
    lost = (sums["without"] - sums["with_hub"]) / abs(sums["with_hub"])
    worst = max(one.without - one.with_hub for one in bills)
    figures = f"{sums['with_hub']:.2f} | {sums['without']:.2f} | {lost:.1%} | {sums['rule']:.2f} | {worst:.2f} EUR"
    print(f"| {home.name} | {tariff.name} | {len(bills)} | {figures} |", flush=True)


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except ConfigError as error:
        raise SystemExit(str(error)) from error
