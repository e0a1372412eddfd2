"""Minutes, quarter-hours, days and flows are what single readings say, whenever these come, on both engines."""

from __future__ import annotations

import asyncio
import math
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeAlias

import numpy as np
import psycopg
import pytest

from hearth_core.points import POINTS, PointClass
from hearth_hub.database.arrays import microseconds
from hearth_hub.database.pool import new_pool
from hearth_hub.homes.repository import list_devices
from hearth_hub.homes.service import get_home
from hearth_hub.readings.aggregates import WIDTHS, columns
from hearth_hub.readings.days import ENERGIES, energies, local_days
from hearth_hub.readings.flows import Measured, compose
from hearth_hub.readings.repository import QUARTER_COLUMNS
from hearth_hub.readings.roll_up import RollUp
from hearth_hub.readings.service import measured

START = datetime(2026, 3, 27, 22, 41, 13, tzinfo=UTC)
POINT_NAMES = ("power_w", "pv_power_w", "battery_power_w", "soc_percent", "import_energy_wh", "vehicle_state")
KINDS = ("grid_meter", "hybrid_inverter", "pv", "ev_charger", None)

Connection: TypeAlias = psycopg.AsyncConnection[tuple[Any, ...]]
Reading: TypeAlias = tuple[datetime, int, dict[str, float | None]]


@pytest.fixture
async def connection(engine_url: str) -> AsyncIterator[Connection]:
    async with new_pool(engine_url) as pool, pool.connection() as connection:
        yield connection


async def install(connection: Connection, homes: int, kinds: Iterable[str | None] = KINDS) -> list[list[int]]:
    """Create homes with a device of each kind.

    Returns:
        The devices of each home.
    """
    devices = []
    for number in range(homes):
        cursor = await connection.execute("insert into home (agent) values (%s) returning id", [f"home-{number}"])
        row = await cursor.fetchone()
        assert row is not None
        cursor = await connection.execute(
            "insert into device (home_id, device, kind) select %s, 'd' || place, kind"
            " from unnest(%s::text[]) with ordinality as k (kind, place) returning id",
            [row[0], list(kinds)],
        )
        devices.append([device for (device,) in await cursor.fetchall()])
    return devices


async def store(connection: Connection, readings: list[Reading]) -> None:
    """Store readings as ingest does: with the spans that the roll-up has to take in, in one transaction."""
    async with connection.transaction():
        cursor = connection.cursor()
        await cursor.executemany(
            f"insert into reading (at, device_id, {', '.join(POINT_NAMES)}) values (%s, %s, %s, %s, %s, %s, %s, %s)",
            [(at, device, *(points.get(name) for name in POINT_NAMES)) for at, device, points in readings],
        )
        await connection.execute(
            "insert into stale (home_id, from_at, until_at) select d.home_id, min(s.at), max(s.at)"
            " from unnest(%s::int[], %s::timestamptz[]) as s (device_id, at) join device d on d.id = s.device_id"
            " group by d.home_id",
            [[device for _, device, _ in readings], [at for at, *_ in readings]],
        )


def lived(rng: random.Random, device: int, start: datetime, hours: float, every_s: float = 97.0) -> list[Reading]:
    """Measure at uneven instants, with values missing, a counter that begins again, and hours of silence."""
    readings: list[Reading] = []
    at, counter = start, 1000.0 * device
    while at < start + timedelta(hours=hours):
        counter = rng.uniform(0, 3) if rng.random() < 0.005 else counter + rng.uniform(0, 5)
        points: dict[str, float | None] = {
            "power_w": rng.uniform(-3000, 3000),
            "pv_power_w": rng.uniform(0, 3000),
            "battery_power_w": rng.uniform(-3000, 3000),
            "soc_percent": rng.uniform(0, 100),
            "import_energy_wh": counter,
            "vehicle_state": rng.randrange(5),
        }
        readings.append((at, device, {name: value for name, value in points.items() if rng.random() > 0.3}))
        at += timedelta(seconds=rng.uniform(1, 2 * every_s), hours=rng.random() < 0.003 and 3)
    return readings


def bucket_of(at: datetime, seconds: int) -> datetime:
    return datetime.fromtimestamp(at.timestamp() // seconds * seconds, UTC)


def by_hand(readings: list[Reading]) -> list[dict[tuple[int, datetime], dict[str, float | None]]]:
    """Compute every aggregate in plain Python: minutes from readings, the longer ones from the next shorter."""
    rows: list[tuple[int, datetime, dict[str, float | None]]]
    rows = [
        (device, at, {"readings": 1.0, **points}) for at, device, points in sorted(readings, key=lambda one: one[0])
    ]
    found = []
    for width in WIDTHS:
        grouped: dict[tuple[int, datetime], list[dict[str, Any]]] = defaultdict(list)
        for device, at, values in rows:
            grouped[device, bucket_of(at, width.seconds)].append(values)
        made = {key: merged(parts) for key, parts in grouped.items()}
        rows = [(device, at, values) for (device, at), values in sorted(made.items(), key=lambda one: one[0][1])]
        found.append(made)
    return found


def merged(parts: list[dict[str, Any]]) -> dict[str, float | None]:
    def known(*names: str) -> list[float]:
        return [part[name] for part in parts for name in names if part.get(name) is not None]

    result: dict[str, float | None] = {"readings": sum(known("readings"))}
    for name in POINT_NAMES:
        if POINTS[name].point_class is PointClass.COUNTER:
            firsts, lasts, tops = (known(name, f"{name}_{which}") for which in ("first", "last", "top"))
            result |= {
                f"{name}_first": firsts[0] if firsts else None,
                f"{name}_last": lasts[-1] if lasts else None,
                f"{name}_top": max(tops, default=None),
            }
        elif POINTS[name].point_class is PointClass.GAUGE:
            values = known(name)
            result[name] = sum(values) / len(values) if values else None
        else:
            result[name] = known(name)[-1] if known(name) else None
    return result


async def stored(connection: Connection, table: str) -> dict[tuple[int, datetime], dict[str, float | None]]:
    cursor = await connection.execute(f"select {', '.join(columns())} from {table}")
    found = {}
    for row in await cursor.fetchall():
        values = dict(zip(columns(), row, strict=True))
        found[values.pop("device_id"), values.pop("at")] = values
    return found


async def assert_right(connection: Connection, readings: list[Reading]) -> None:
    for width, expected in zip(WIDTHS, by_hand(readings), strict=True):
        found = await stored(connection, width.table)
        assert found.keys() == expected.keys(), width
        for key, values in expected.items():
            for name, value in found[key].items():
                if values.get(name) is None:
                    assert value is None, (width, key, name)
                else:
                    # a mean is stored with seven digits, and means of means of both signs lose some
                    assert value == pytest.approx(values[name], rel=1e-4, abs=1e-2), (width, key, name)


async def flows_of(connection: Connection, home_id: int) -> dict[datetime, list[float | None]]:
    cursor = await connection.execute(
        f"select at, {', '.join(QUARTER_COLUMNS)} from quarter where home_id = %s", [home_id]
    )
    return {at: values for at, *values in await cursor.fetchall()}


async def composed(connection: Connection, home_id: int) -> dict[datetime, list[Any]]:
    """Compose the flows of a home from its devices' quarter-hours with `compose`."""
    devices = await list_devices(connection, home_id)
    found = await stored(connection, "reading_15min")
    times = sorted({at for device, at in found if device in {one.id for one in devices}})
    parts = []
    for device in devices:
        rows = [found.get((device.id, at), {}) for at in times]
        table = [
            np.array([math.nan if row.get(name) is None else row[name] for row in rows], dtype=np.float64)
            for name in ("power_w", "pv_power_w", "battery_power_w", "soc_percent")
        ]
        parts.append(Measured(device.kind, *table))
    flows = compose(parts, len(times))
    result = {}
    for place, at in enumerate(times):
        values = [float(getattr(flows, name)[place]) for name in QUARTER_COLUMNS]
        if not all(math.isnan(value) for value in values):
            result[at] = [None if math.isnan(value) else pytest.approx(value, rel=1e-4, abs=1e-2) for value in values]
    return result


@pytest.mark.timeout(60)
async def test_aggregates_are_what_the_readings_say(connection: Connection) -> None:
    rng = random.Random(1)
    homes = await install(connection, 2)
    readings = [one for home in homes for device in home for one in lived(rng, device, START, 20)]
    await store(connection, readings)
    await RollUp().everything(connection)
    await assert_right(connection, readings)
    for number in range(2):
        home = await get_home(connection, f"home-{number}")
        assert await flows_of(connection, home.id) == await composed(connection, home.id)
    assert await count(connection, "stale") == await count(connection, "stale_day") == 0


@pytest.mark.timeout(60)
async def test_what_comes_a_week_late_ends_up_everywhere(connection: Connection) -> None:
    """A home comes back after a week; meanwhile others have lived on, and both are right afterwards."""
    rng = random.Random(2)
    late, there = await install(connection, 2)
    week = timedelta(days=7)
    on_time = [one for device in there for one in lived(rng, device, START + week - timedelta(hours=2), 3)]
    before = [one for device in late for one in lived(rng, device, START - timedelta(hours=2), 2.0)]
    await store(connection, on_time + before)
    await RollUp().everything(connection)
    await refresh_like_the_policies(connection)
    brought = [one for device in late for one in lived(rng, device, START, 7 * 24 + 1, every_s=900)]
    rng.shuffle(brought)
    for part in range(0, len(brought), 500):  # as a spool drains: in many messages
        await store(connection, brought[part : part + 500])
    more = [one for device in there for one in lived(rng, device, START + week + timedelta(hours=1, minutes=5), 0.2)]
    await store(connection, more)
    await RollUp().everything(connection)
    await assert_right(connection, on_time + before + brought + more)
    for number in range(2):
        home = await get_home(connection, f"home-{number}")
        assert await flows_of(connection, home.id) == await composed(connection, home.id)
        steps = await measured(connection, home, bucket_of(START, 900), 7 * 96, 900)
        kept = await flows_of(connection, home.id)
        for place, value in enumerate(steps.flows.grid_w):
            in_quarter = (kept.get(bucket_of(START, 900) + timedelta(minutes=15 * place)) or [None])[0]
            assert in_quarter == (None if math.isnan(value) else pytest.approx(value, rel=1e-5))


async def test_readings_stored_while_a_roll_up_runs_are_taken_in_by_the_next(
    connection: Connection, engine_url: str
) -> None:
    """A transaction of ingest began before the roll-up, and commits after it."""
    ((grid, *_),) = await install(connection, 1)
    first: list[Reading] = [(START, grid, {"power_w": 100.0})]
    late: list[Reading] = [(START + timedelta(seconds=1), grid, {"power_w": 300.0})]
    await store(connection, first)
    async with await psycopg.AsyncConnection.connect(engine_url) as ingest:
        await ingest.execute("select 1")  # begins the transaction that what follows is a part of
        await store(ingest, late)
        await asyncio.wait_for(RollUp().everything(connection), 10)
        await assert_right(connection, first)
        await ingest.commit()
    assert await count(connection, "stale") == 1
    await RollUp().everything(connection)
    await assert_right(connection, first + late)


async def test_a_clock_that_was_years_ahead_is_not_walked_through(connection: Connection) -> None:
    ((grid, *_),) = await install(connection, 1)
    readings: list[Reading] = [(START, grid, {"power_w": 100.0})]
    await store(connection, readings)
    await connection.execute("update stale set until_at = '2090-01-01'")
    await connection.execute(
        "insert into stale (home_id, from_at, until_at) select id, '1999-01-01', '1999-06-01' from home"
    )
    await RollUp().everything(connection)
    await assert_right(connection, readings)


@pytest.mark.parametrize("timezone", ["Europe/Berlin", "Asia/Kathmandu"])
async def test_daily_energies_over_a_change_of_the_clocks(connection: Connection, timezone: str) -> None:
    """A local day of 23 hours, with a counter that begins again and a hole over midnight."""
    ((grid, inverter, *_),) = await install(connection, 1, ["grid_meter", "hybrid_inverter", "ev_charger"])
    start = datetime(2026, 3, 27, tzinfo=UTC)
    hole = (datetime(2026, 3, 28, 21, 30, tzinfo=UTC), datetime(2026, 3, 29, 4, tzinfo=UTC))
    readings: list[Reading] = []
    counter, last_seen = 500.0, 0.0
    expected: dict[date, float] = defaultdict(float)
    days = list(local_days(timezone, start + timedelta(days=1), start + timedelta(days=3)))
    for minute in range(0, 4 * 24 * 60, 5):
        at = start + timedelta(minutes=minute)
        is_reset = at == datetime(2026, 3, 29, 11, 5, tzinfo=UTC)
        before, counter = counter, 0.0 if is_reset else counter + 10
        if hole[0] <= at < hole[1]:
            continue
        seen, last_seen = counter - (last_seen if at == hole[1] else before), counter
        for day, begin, end in days:
            if begin <= at < end:
                expected[day] += 0.0 if is_reset else seen
        readings.append((at, grid, {"import_energy_wh": counter}))
        readings.append((at, inverter, {"battery_power_w": -600.0 if at.hour < 12 else 1200.0}))
    await store(connection, readings)
    await RollUp().everything(connection)
    home = await get_home(connection, "home-0")
    edges_us = np.array([microseconds(edge) for edge in (days[0][1], *(end for *_, end in days))])
    found = await energies(connection, await list_devices(connection, home.id), edges_us)
    assert found["import_wh"].tolist() == pytest.approx([expected[day] for day, *_ in days])
    assert [(end - begin).total_seconds() / 3600 for _, begin, end in days][:2] == (
        [24.0, 23.0] if timezone == "Europe/Berlin" else [24.0, 24.0]
    )
    powers = [(at, points["battery_power_w"]) for at, device, points in readings if device == inverter]
    for name, sign in (("battery_charge_wh", -1), ("battery_discharge_wh", 1)):
        by_power = [
            sum(abs(power or 0) / 12 for at, power in powers if begin <= at < end and sign * (power or 0) > 0)
            for _, begin, end in days
        ]
        assert found[name].tolist() == pytest.approx(by_power, abs=151)  # a quarter-hour that is measured in part
    assert all(math.isnan(value) for name in ENERGIES[5:] for value in found[name])


async def count(connection: Connection, table: str) -> int:
    cursor = await connection.execute(f"select count(*) from {table}")
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def refresh_like_the_policies(connection: Connection) -> None:
    """Let TimescaleDB compute everything; what comes later is late for it."""
    cursor = await connection.execute("select count(*) from pg_extension where extname = 'timescaledb'")
    if await cursor.fetchone() == (1,):
        for width in WIDTHS:
            await connection.execute(f"call refresh_continuous_aggregate('{width.table}', null, null)")
