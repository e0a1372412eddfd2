"""Minutes, quarter-hours and days of every device, because the key of a reading is for writing it.

With TimescaleDB readings become a hypertable and the three are continuous aggregates; otherwise they are tables that
the worker keeps. Both have the same names and columns.

Revision ID: 0004
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import Connection, text

revision = "0004"
down_revision = "0003"

# Written out instead of taken from the vocabulary: a migration must do tomorrow what it did today (a test compares).
_POINTS = (
    *("power_w", "power_l1_w", "power_l2_w", "power_l3_w", "voltage_l1_v", "voltage_l2_v", "voltage_l3_v"),
    *("current_l1_a", "current_l2_a", "current_l3_a", "frequency_hz"),
    *("import_energy_wh", "export_energy_wh", "energy_wh", "pv_power_w", "pv_energy_wh"),
    *("battery_power_w", "battery_charge_energy_wh", "battery_discharge_energy_wh", "soc_percent", "current_limit_a"),
    *("session_energy_wh", "outdoor_temperature_c", "water_temperature_c", "flow_temperature_c"),
    *("vehicle_state", "operating_state"),
)
_COUNTERS = {
    *("import_energy_wh", "export_energy_wh", "energy_wh", "pv_energy_wh"),
    *("battery_charge_energy_wh", "battery_discharge_energy_wh"),
}
_METERED = ("import_energy_wh", "export_energy_wh")
_FLOWS = ("power_w", "pv_power_w", "battery_power_w", "soc_percent")
_STATES = {"vehicle_state", "operating_state"}

# name, what it is made of, width; for TimescaleDB how often it is refreshed, how near to the present, and how long its
# chunks are
_WIDTHS = (
    ("reading_1min", "reading", "1 minute", "5 minutes", "10 minutes", "1 day"),
    ("reading_15min", "reading_1min", "15 minutes", "15 minutes", "30 minutes", "15 days"),
    ("reading_1day", "reading_15min", "1 day", "1 hour", "1 hour", "1 year"),
)
# A home may come back after a week; what it brings must still be row by row, and inside what a refresh looks at.
_LATE = "15 days"
_COLUMNSTORE_AFTER = "14 days"
_AGGREGATES_IN_COLUMNSTORE_AFTER = "16 days"


def upgrade() -> None:
    """Create the aggregates in the way the server can."""
    if _has_timescale(op.get_bind()):
        _use_timescale()
    else:
        for name, *_ in _WIDTHS:
            op.execute(_table(name))
            # a read from the key alone needs pages that vacuum has seen
            op.execute(
                f"alter table {name} set (autovacuum_vacuum_scale_factor = 0.02,"
                " autovacuum_vacuum_insert_scale_factor = 0.02)"
            )
    op.execute(
        "create table stale_day (home_id integer not null references home, at timestamptz not null,"
        " primary key (home_id, at))"
    )
    op.execute("comment on table stale_day is 'days that reading_1day has not taken in yet'")
    # everything that is there has to be taken in once, newest first
    op.execute(
        "insert into stale (home_id, from_at, until_at) select h.id, r.first, r.last from home h,"
        " (select min(at) as first, max(at) as last from reading) r where r.first is not null"
    )


def downgrade() -> None:
    """Drop the aggregates; what TimescaleDB made of readings stays as it is."""
    is_continuous = op.get_bind().execute(
        text("select relkind = 'v' from pg_class where oid = 'reading_1min'::regclass")
    )
    kind = "materialized view" if is_continuous.scalar() else "table"
    for name, *_ in reversed(_WIDTHS):
        op.execute(f"drop {kind} {name}")
    op.execute("drop table stale_day")


def _has_timescale(connection: Connection) -> bool:
    """Tell whether continuous aggregates can be had here; where it is allowed, the extension is created."""
    installed = "select count(*) from pg_extension where extname = 'timescaledb'"
    if not connection.execute(text(installed)).scalar():
        available = "select count(*) from pg_available_extensions where name = 'timescaledb'"
        superuser = "select usesuper from pg_user where usename = current_user"
        if not connection.execute(text(available)).scalar() or not connection.execute(text(superuser)).scalar():
            return False
        # creating it on a server that has not preloaded it would end the session
        preloaded = connection.execute(text("show shared_preload_libraries")).scalar() or ""
        if "timescaledb" not in [name.strip() for name in preloaded.split(",")]:
            return False
        op.execute("create extension timescaledb")
    # the Apache edition has neither columnstore nor continuous aggregates
    return connection.execute(text("select current_setting('timescaledb.license', true)")).scalar() == "timescale"


def _use_timescale() -> None:
    op.execute(
        "select create_hypertable('reading', by_range('at', interval '1 day'), create_default_indexes => false,"
        " migrate_data => true, if_not_exists => true)"
    )
    op.execute(
        "alter table reading set (timescaledb.enable_columnstore, timescaledb.segmentby = 'device_id',"
        " timescaledb.orderby = 'at')"
    )
    op.execute(
        f"call add_columnstore_policy('reading', after => interval '{_COLUMNSTORE_AFTER}', if_not_exists => true)"
    )
    for name, source, width, every, behind, chunk in _WIDTHS:
        op.execute(
            f"create materialized view {name} with (timescaledb.continuous, timescaledb.materialized_only = false,"
            f" timescaledb.chunk_interval = '{chunk}') as {_definition(source, width)} with no data"
        )
        op.execute(
            f"alter materialized view {name} set (timescaledb.enable_columnstore = true,"
            " timescaledb.segmentby = 'device_id', timescaledb.orderby = 'at')"
        )
        op.execute(f"call add_columnstore_policy('{name}', after => interval '{_AGGREGATES_IN_COLUMNSTORE_AFTER}')")
        op.execute(
            f"select add_continuous_aggregate_policy('{name}', start_offset => interval '{_LATE}',"
            f" end_offset => interval '{behind}', schedule_interval => interval '{every}')"
        )


def _table(name: str) -> str:
    columns = []
    for point in _POINTS:
        if point in _COUNTERS:
            columns += [f"{point}_{which} double precision" for which in ("first", "last", "top")]
        else:
            columns.append(f"{point} {'smallint' if point in _STATES else 'real'}")
    return (
        f"create table {name} (device_id integer not null, at timestamptz not null, readings integer not null,"
        f" {', '.join(columns)}, primary key (device_id, at){_included(name)})"
    )


def _included(name: str) -> str:
    """Return what the key carries beside the row.

    Rows are written minute by minute for all homes, so those of one device lie far apart; the key has them together.
    """
    ends = {"reading_1min": ("last",), "reading_15min": ("first", "last", "top")}.get(name)
    if ends is None:
        return ""
    counters = [one for one in _POINTS if one in _COUNTERS and (len(ends) > 1 or one in _METERED)]
    carried = [*_FLOWS, *(f"{one}_{end}" for one in counters for end in ends)]
    return f" include ({', '.join(carried)})"


def _definition(source: str, width: str) -> str:
    of_readings = source == "reading"
    bucket = f"time_bucket(interval '{width}', at)"
    count = "count(*)" if of_readings else "sum(readings)"
    selected = ["device_id", f"{bucket} as at", f"{count}::integer as readings"]
    for point in _POINTS:
        if point in _COUNTERS:
            first, last, top = (
                [point] * 3 if of_readings else [f"{point}_{which}" for which in ("first", "last", "top")]
            )
            selected += [
                f"{_first(first)} as {point}_first",
                f"{_last(last)} as {point}_last",
                f"max({top}) as {point}_top",
            ]
        else:
            selected.append(f"{_last(point) if point in _STATES else f'avg({point})::real'} as {point}")
    return f"select {', '.join(selected)} from {source} group by device_id, {bucket}"  # noqa: S608  names from above


def _first(name: str) -> str:
    return f"(array_agg({name} order by at) filter (where {name} is not null))[1]"


def _last(name: str) -> str:
    return f"(array_agg({name} order by at) filter (where {name} is not null))[count({name})::integer]"
