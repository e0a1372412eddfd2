"""How long the dashboard's most frequent questions take on thirty days of a hundred homes."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from psycopg import AsyncConnection
from tests.bench.bench_stack import running_stack

from hearth_hub.database.embedded import EmbeddedPostgres
from hearth_hub.homes.repository import Home, find_home
from hearth_hub.readings.days import daily_energies
from hearth_hub.readings.repository import latest
from hearth_hub.readings.service import series
from hearth_hub.timing import milliseconds

HOMES = 100
DAYS = 30
_RUNS = 200
_END = datetime(2026, 6, 30, tzinfo=UTC)
_GRID = {"power_w": "400 * sin(n / 40.0) + device.id", "voltage_l1_v": "230", "frequency_hz": "50"}
_INVERTER = {"power_w": "300 * cos(n / 50.0)", "pv_power_w": "greatest(0, 4000 * sin(n / 230.0))"} | {
    "battery_power_w": "500 * sin(n / 90.0)",
    "soc_percent": "50 + 40 * sin(n / 300.0)",
}
_COUNTERS = {
    "grid_meter": ("import_energy_wh", "export_energy_wh"),
    "hybrid_inverter": ("energy_wh", "pv_energy_wh", "battery_charge_energy_wh", "battery_discharge_energy_wh"),
}
_SITE = (
    '{"name": "Bench", "timezone": "Europe/Berlin", "latitude": 47.7, "longitude": 9.2, "price_zone": "NL",'
    ' "limits": {"main_fuse_a": 35}, "tariff": {}}'
)


def query_times_ms(folder: Path, server: EmbeddedPostgres) -> dict[str, dict[str, float]]:
    """Fill a database and return median and 95th percentile of each question [ms]."""
    with running_stack(folder, server, "queries") as stack:
        with psycopg.connect(stack.database_url, autocommit=True) as connection:
            _fill(connection)
        return asyncio.run(_measure(stack.database_url))


def _fill(connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    connection.execute(
        "insert into home (agent, site) select 'home-' || n, %s from generate_series(1, %s) n", [_SITE, HOMES]
    )
    for device, kind in (("grid", "grid_meter"), ("inverter", "hybrid_inverter")):
        connection.execute("insert into device (home_id, device, kind) select id, %s, %s from home", [device, kind])
    for table, step_s in (("reading_1min", 60), ("reading_15min", 900), ("reading_1day", 86_400)):
        for day in range(DAYS):
            start = _END - timedelta(days=DAYS - day)
            for kind, gauges in (("grid_meter", _GRID), ("hybrid_inverter", _INVERTER)):
                _fill_day(connection, table, step_s, start, kind, gauges)
    for kind, gauges in (("grid_meter", _GRID), ("hybrid_inverter", _INVERTER)):
        names = ", ".join(gauges)
        connection.execute(
            f"insert into latest (device_id, at, {names}) select device.id, %s, {', '.join(gauges.values())}"
            " from device, generate_series(1, 1) n where kind = %s",
            [_END, kind],
        )
    connection.execute("vacuum analyze")


def _fill_day(
    connection: psycopg.Connection[tuple[Any, ...]],
    table: str,
    step_s: int,
    start: datetime,
    kind: str,
    gauges: dict[str, str],
) -> None:
    columns, values = ["device_id", "at", "readings", *gauges], [*gauges.values()]
    minute = "(extract(epoch from at) / 60)"
    for name in _COUNTERS[kind]:
        columns += [f"{name}_first", f"{name}_last", f"{name}_top"]
        values += [f"{minute} * 10", f"({minute} + {step_s - 10} / 60.0) * 10"]
        values += [values[-1]]
    connection.execute(
        f"insert into {table} ({', '.join(columns)}) select device.id, at, %s, {', '.join(values)}"
        " from generate_series(%s::timestamptz, %s, make_interval(secs => %s)) with ordinality as s(at, n), device"
        " where kind = %s order by at, device.id",
        [step_s // 10, start, start + timedelta(days=1, seconds=-step_s), step_s, kind],
    )


async def _measure(url: str) -> dict[str, dict[str, float]]:
    rng = random.Random(1)
    async with await AsyncConnection.connect(url, autocommit=True) as connection:
        homes = [await find_home(connection, f"home-{number}") for number in range(1, HOMES + 1)]

        async def newest(home: Home) -> object:
            return await latest(connection, home.id)

        async def one_day(home: Home) -> object:
            start = _END - timedelta(days=rng.randrange(1, DAYS))
            return await series(connection, home, milliseconds(start), milliseconds(start + timedelta(days=1)), 60)

        async def thirty_days(home: Home) -> object:
            return await daily_energies(connection, home, milliseconds(_END - timedelta(days=30)), milliseconds(_END))

        return {
            "latest": await _times_ms(newest, homes, rng),
            "day_at_1_min": await _times_ms(one_day, homes, rng),
            "daily_energies_30": await _times_ms(thirty_days, homes, rng),
        }


async def _times_ms(
    ask: Callable[[Home], Awaitable[object]], homes: list[Home | None], rng: random.Random
) -> dict[str, float]:
    times_ms = []
    for number in range(_RUNS + 20):
        home = rng.choice(homes)
        assert home is not None
        began_s = time.perf_counter()
        await ask(home)
        if number >= 20:  # the first ones prepare their statements
            times_ms.append((time.perf_counter() - began_s) * 1000)
    return {"p50": round(float(np.percentile(times_ms, 50)), 2), "p95": round(float(np.percentile(times_ms, 95)), 2)}
