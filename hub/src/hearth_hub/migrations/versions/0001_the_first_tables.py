"""The first tables: homes, readings with their accounts, and what the hub makes of them.

Revision ID: 0001
"""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None

# Written out instead of taken from the vocabulary: a migration must do tomorrow what it did today (a test compares).
_POINT_COLUMNS = """
    power_w real, power_l1_w real, power_l2_w real, power_l3_w real,
    voltage_l1_v real, voltage_l2_v real, voltage_l3_v real,
    current_l1_a real, current_l2_a real, current_l3_a real, frequency_hz real,
    import_energy_wh double precision, export_energy_wh double precision, energy_wh double precision,
    pv_power_w real, pv_energy_wh double precision,
    battery_power_w real, battery_charge_energy_wh double precision, battery_discharge_energy_wh double precision,
    soc_percent real, current_limit_a real, session_energy_wh real,
    outdoor_temperature_c real, water_temperature_c real, flow_temperature_c real,
    vehicle_state smallint, operating_state smallint,
    extra jsonb
"""

_TABLES = (
    """
    create table home (
        id integer generated always as identity primary key,
        agent text not null unique,
        site jsonb,
        software text not null default '',
        epoch text,
        state text not null default 'unknown',
        mode text not null default '',
        reason text not null default '',
        plan_version bigint not null default 0,
        lag_s real not null default 0,
        status_at timestamptz,
        stale_from timestamptz
    )""",
    "comment on column home.stale_from is 'oldest reading stored since the quarter-hours were last rolled up'",
    """
    create table device (
        id integer generated always as identity primary key,
        home_id integer not null references home,
        device text not null,
        kind text,
        profile text not null default '',
        manufacturer text not null default '',
        model text not null default '',
        serial text not null default '',
        points jsonb not null default '[]',
        controlled boolean not null default false,
        unique (home_id, device)
    )""",
    "comment on column device.kind is 'null until the birth certificate tells it'",
    # (at, device_id) and not the other way round: readings arrive in the order of time (1.8 times faster to write).
    # No foreign key: ingest has just looked the device up, and a check per row would cost more than the row.
    f"create table reading (at timestamptz not null, device_id integer not null, {_POINT_COLUMNS},"
    " primary key (at, device_id))",
    f"create table latest (device_id integer primary key references device, at timestamptz not null, {_POINT_COLUMNS})",
    """
    create table watermark (
        home_id integer not null references home,
        epoch text not null,
        upto bigint not null default 0,
        primary key (home_id, epoch)
    )""",
    """
    create table pending (
        home_id integer not null references home,
        epoch text not null,
        seq bigint not null,
        through bigint not null,
        counts jsonb not null,
        primary key (home_id, epoch, seq)
    )""",
    "comment on table pending is 'records stored above the watermark; counts is {device: [readings, running count]}'",
    """
    create table account (
        home_id integer not null references home,
        epoch text not null,
        device_id integer not null references device,
        produced bigint not null default 0,
        settled bigint not null default 0,
        stored bigint not null default 0,
        gaps bigint not null default 0,
        dead_lettered bigint not null default 0,
        told_produced bigint not null default 0,
        told_spooled bigint not null default 0,
        told_at timestamptz,
        primary key (home_id, epoch, device_id)
    )""",
    "comment on column account.settled is 'running count of the device at the watermark'",
    """
    create table dead_letter (
        id bigint generated always as identity primary key,
        at timestamptz not null,
        agent text not null,
        what text not null,
        epoch text,
        seq bigint,
        device text,
        readings integer not null default 0,
        reason text not null,
        raw bytea not null
    )""",
    """
    create table quarter (
        home_id integer not null references home,
        at timestamptz not null,
        grid_w real, pv_w real, battery_w real, load_w real, ev_w real, heat_pump_w real, soc_percent real,
        primary key (home_id, at)
    )""",
    "comment on table quarter is 'means of every quarter-hour, kept by the worker'",
    """
    create table price (
        zone text not null,
        at timestamptz not null,
        step_s integer not null,
        eur_per_kwh double precision not null,
        published_at timestamptz not null,
        primary key (zone, at)
    )""",
    """
    create table forecast (
        home_id integer primary key references home,
        issued_at timestamptz not null,
        message json not null
    )""",
    """
    create table expectation (
        home_id integer not null references home,
        target text not null,
        at timestamptz not null,
        issued_at timestamptz not null,
        p50_w real not null,
        naive_w real not null,
        primary key (home_id, target, at)
    )""",
    "comment on table expectation is 'what was expected of each step about a day ahead, beside the naive forecast'",
    """
    create table plan (
        home_id integer not null references home,
        version bigint not null,
        issued_at timestamptz not null,
        policy text not null,
        solve_ms real not null,
        broken_wishes integer not null,
        message json,
        primary key (home_id, version)
    )""",
    """
    create table model (
        home_id integer not null references home,
        target text not null,
        version text not null,
        made_at timestamptz not null,
        card json not null,
        onnx bytea not null,
        primary key (home_id, target, version)
    )""",
    """
    create table event (
        id bigint generated always as identity primary key,
        home_id integer not null references home,
        at timestamptz not null,
        level text not null,
        kind text not null,
        device text,
        text text not null,
        unique nulls not distinct (home_id, at, kind, device, text)
    )""",
    """
    create table savings (
        home_id integer not null references home,
        day date not null,
        realised_eur double precision not null,
        no_battery_eur double precision not null,
        self_consumption_eur double precision not null,
        night_timer_eur double precision not null,
        perfect_foresight_eur double precision not null,
        complete boolean not null,
        primary key (home_id, day)
    )""",
)


def upgrade() -> None:
    """Create everything."""
    for statement in _TABLES:
        op.execute(statement)


def downgrade() -> None:
    """Drop everything, newest first."""
    for name in (
        *("savings", "event", "model", "plan", "expectation", "forecast", "price", "quarter", "dead_letter"),
        *("account", "pending", "watermark", "latest", "reading", "device", "home"),
    ):
        op.execute(f"drop table {name}")
