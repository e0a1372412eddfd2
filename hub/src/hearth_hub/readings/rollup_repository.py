"""SQL of the roll-up: which spans are stale, what is made anew of them, and what is forgotten after that."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg import sql

from hearth_hub.database.pool import Connection
from hearth_hub.readings.aggregates import DAY, QUARTER, Width, upsert
from hearth_hub.readings.repository import QUARTER_COLUMNS
from hearth_hub.timing import instant_s

# One number for everybody who rolls up or takes away: the worker, a report, retention.
_LOCK = 0x726F_6C6C
_MOST_SPANS = 20_000
_MOST_HOME_DAYS = 500


@dataclass(frozen=True)
class Portion:
    """Stale spans of one window of time, of many homes together."""

    ids: list[int]
    start: datetime
    homes: list[int]
    froms: list[datetime]
    """First reading of each home in the window."""
    untils: list[datetime]
    """Last reading of each home in the window."""

    def span(self) -> tuple[datetime, datetime]:
        """Return the first and the last reading of all homes."""
        return min(self.froms), max(self.untils)


def floored(at: datetime, width: Width) -> datetime:
    """Return the start of the bucket that holds an instant."""
    return instant_s(at.timestamp() // width.seconds * width.seconds)


def after(at: datetime, width: Width) -> datetime:
    """Return the end of the bucket that holds an instant."""
    return floored(at, width) + timedelta(seconds=width.seconds)


async def lock(connection: Connection) -> None:
    """Wait until nobody else rolls up, and keep it so to the end of the transaction."""
    await connection.execute("select pg_advisory_xact_lock(%s)", [_LOCK])


async def is_continuous(connection: Connection) -> bool:
    """Tell whether TimescaleDB keeps the aggregates."""
    cursor = await connection.execute("select relkind = 'v' from pg_class where oid = to_regclass('reading_1min')")
    row = await cursor.fetchone()
    return bool(row and row[0])


@dataclass(frozen=True)
class Which:
    """Which stale spans are meant."""

    home_id: int | None = None
    """Only of this home; None = of all."""
    upto_id: int | None = None
    """None later than this one; None = all."""


_CHOSEN = "(%(home)s::int is null or home_id = %(home)s) and (%(upto)s::bigint is null or id <= %(upto)s)"


async def last_stale_id(connection: Connection) -> int:
    """Return the newest span's number; 0 when nothing is stale."""
    cursor = await connection.execute("select coalesce(max(id), 0) from stale")
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def newest_stale(connection: Connection, which: Which) -> datetime | None:
    """Return the newest reading that something stale may hold; None when nothing is stale.

    A span that reaches beyond every reading, as a clock that was years ahead leaves it, is not walked through.
    """
    cursor = await connection.execute(
        "select coalesce((select max(at) from reading where at <= s.newest), s.oldest) from"  # noqa: S608  text from above
        f" (select max(until_at) as newest, min(from_at) as oldest from stale where {_CHOSEN}) s"
        " where s.newest is not null",
        {"home": which.home_id, "upto": which.upto_id},
    )
    row = await cursor.fetchone()
    return row[0] if row else None


async def take(connection: Connection, start: datetime, newest: datetime, which: Which) -> Portion | None:
    """Return what is stale from ``start`` to the ``newest`` reading."""
    cursor = await connection.execute(
        "select array_agg(id), home_id, greatest(min(from_at), %(start)s), least(max(until_at), %(newest)s) from"  # noqa: S608
        f" (select id, home_id, from_at, until_at from stale where until_at >= %(start)s and {_CHOSEN}"
        " order by id limit %(most)s) s group by home_id",
        {"start": start, "newest": newest, "home": which.home_id, "upto": which.upto_id, "most": _MOST_SPANS},
    )
    rows = await cursor.fetchall()
    if not rows:
        return None
    ids = [one for row in rows for one in row[0]]
    spans = [(home, first, last) for _, home, first, last in rows if first <= last]
    return Portion(ids, start, *([span[column] for span in spans] for column in range(3)))


async def aggregate(connection: Connection, portion: Portion, width: Width) -> None:
    """Make the buckets anew that a portion touches."""
    cursor = await connection.execute(
        "select array_agg(d.id), array_agg(s.from_at), array_agg(s.until_at) from device d"
        " join unnest(%s::int[], %s::timestamptz[], %s::timestamptz[]) as s (home_id, from_at, until_at)"
        " on s.home_id = d.home_id",
        [
            portion.homes,
            [floored(at, width) for at in portion.froms],
            [after(at, width) for at in portion.untils],
        ],
    )
    row = await cursor.fetchone()
    if row is None or row[0] is None:
        return
    first, last = portion.span()
    span = {"start": floored(first, width), "end": after(last, width)}
    await connection.execute(
        upsert(width, len(row[0])).encode(), span | {"devices": row[0], "froms": row[1], "untils": row[2]}
    )


async def compose_quarters(connection: Connection, portion: Portion) -> None:
    """Make the flows of each home and quarter-hour anew that a portion touches.

    The same rules as `hearth_hub.readings.flows.compose` (a test compares): a sum with a missing part is missing.
    """
    first, last = portion.span()
    await connection.execute(
        _COMPOSE,
        {
            "homes": portion.homes,
            "froms": [floored(at, QUARTER) for at in portion.froms],
            "untils": [floored(at, QUARTER) for at in portion.untils],
            "start": floored(first, QUARTER),
            "end": after(last, QUARTER),
        },
    )


async def mark_days(connection: Connection, portion: Portion) -> None:
    """Remember which days a portion touches."""
    await connection.execute(
        "insert into stale_day (home_id, at) select home_id, day from"
        " unnest(%s::int[], %s::timestamptz[], %s::timestamptz[]) as s (home_id, from_at, until_at),"
        " generate_series(from_at, until_at, interval '1 day') day on conflict do nothing",
        [portion.homes, [floored(at, DAY) for at in portion.froms], [floored(at, DAY) for at in portion.untils]],
    )


async def take_days(connection: Connection, home_id: int | None) -> Portion | None:
    """Claim some of the days that were marked."""
    cursor = await connection.execute(
        "delete from stale_day where (home_id, at) in (select home_id, at from stale_day"
        " where %(home)s::int is null or home_id = %(home)s order by at desc limit %(most)s) returning home_id, at",
        {"home": home_id, "most": _MOST_HOME_DAYS},
    )
    rows = await cursor.fetchall()
    if not rows:
        return None
    days = [at for _, at in rows]
    return Portion([], min(days), [home for home, _ in rows], days, days)


async def forget(connection: Connection, portion: Portion) -> None:
    """Delete the spans of a portion; what lies before its window stays stale."""
    await connection.execute("delete from stale where id = any(%s) and from_at >= %s", [portion.ids, portion.start])
    await connection.execute(
        "update stale set until_at = %(start)s::timestamptz - interval '1 microsecond'"
        " where id = any(%(ids)s) and from_at < %(start)s and until_at >= %(start)s",
        {"ids": portion.ids, "start": portion.start},
    )


async def refresh(connection: Connection, width: Width, start: datetime, end: datetime) -> None:
    """Have TimescaleDB compute whole buckets anew where readings have changed; not inside a transaction."""
    statement = sql.SQL("call refresh_continuous_aggregate({}, {}, {})")
    await connection.execute(statement.format(*(sql.Literal(value) for value in (width.table, start, end))))


async def computed_until(connection: Connection) -> dict[str, datetime]:
    """Return up to when TimescaleDB has computed each aggregate; it reads later readings as they are."""
    cursor = await connection.execute(
        "select c.user_view_name::text, _timescaledb_functions.to_timestamp(w.watermark)"
        " from _timescaledb_catalog.continuous_agg c join _timescaledb_catalog.continuous_aggs_watermark w"
        " on w.mat_hypertable_id = c.mat_hypertable_id where c.user_view_schema = current_schema()"
        " and _timescaledb_functions.to_timestamp(w.watermark) > '1900-01-01'"  # it says so of nothing too
    )
    return dict(await cursor.fetchall())


_IN_SOURCES = "kind in ('hybrid_inverter', 'pv', 'battery')"


def _total(name: str, parts: dict[str, str]) -> str:
    """Add up a power over the devices of some kinds; missing when one of them is missing."""
    value = " ".join(f"when '{kind}' then {column}" for kind, column in parts.items())
    kinds = ", ".join(f"'{kind}'" for kind in parts)
    of_kind, value = f"filter (where kind in ({kinds}))", f"case kind {value} end"
    return f"case when bool_and(({value}) is not null) {of_kind} then sum({value}) {of_kind} end as {name}"


_TOTALS = ", ".join(
    (
        _total("grid_w", {"grid_meter": "power_w"}),
        _total("pv_w", {"hybrid_inverter": "pv_power_w", "pv": "power_w"}),
        _total("battery_w", {"hybrid_inverter": "battery_power_w", "battery": "power_w"}),
        _total("sources_w", dict.fromkeys(("hybrid_inverter", "pv", "battery"), "power_w")),
        _total("ev_w", {"ev_charger": "power_w"}),
        _total("heat_pump_w", {"heat_pump": "power_w"}),
        f"bool_or({_IN_SOURCES}) as has_sources",
        f"avg(soc_percent) filter (where {_IN_SOURCES}) as soc_percent",
    )
)
_COMPOSE = (
    "with touched as (select home_id, at from"  # noqa: S608  own names
    " unnest(%(homes)s::int[], %(froms)s::timestamptz[], %(untils)s::timestamptz[]) as s (home_id, from_at, until_at),"
    " generate_series(from_at, until_at, interval '15 minutes') at),"
    " part as materialized (select device_id, at, power_w, pv_power_w, battery_power_w, soc_percent from reading_15min"
    " where at >= %(start)s and at < %(end)s"
    " and device_id = any(array(select id from device where home_id = any(%(homes)s)))),"
    f" total as (select t.home_id, t.at, {_TOTALS} from touched t join device d on d.home_id = t.home_id"
    " left join part p on p.device_id = d.id and p.at = t.at group by t.home_id, t.at),"
    " flow as (select *, case when has_sources then grid_w + sources_w else grid_w end as load_w from total)"
    f" insert into quarter (home_id, at, {', '.join(QUARTER_COLUMNS)}) select home_id, at, {', '.join(QUARTER_COLUMNS)}"
    f" from flow where num_nonnulls({', '.join(QUARTER_COLUMNS)}) > 0 on conflict (home_id, at) do update set"
    f" {', '.join(f'{name} = excluded.{name}' for name in QUARTER_COLUMNS)}"
).encode()
