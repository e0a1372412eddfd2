"""Declared gaps are kept, and ingest tells by appending what the aggregates have to take in.

Revision ID: 0003
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"

_STATEMENTS = (
    """
    create table gap (
        id bigint generated always as identity primary key,
        home_id integer not null references home,
        epoch text not null,
        seq bigint not null,
        device_id integer not null references device,
        readings bigint not null,
        from_at timestamptz,
        until_at timestamptz,
        reason text not null
    )""",
    "create index gap_by_home on gap (home_id, epoch)",
    "comment on column gap.seq is 'first record it stands for; 0 = told after the fact'",
    "comment on column gap.readings is '0 = unknown'",
    """
    create table stale (
        id bigint generated always as identity primary key,
        home_id integer not null,
        from_at timestamptz not null,
        until_at timestamptz not null
    )""",
    "comment on table stale is 'spans of readings that the aggregates have not taken in yet'",
    "comment on column stale.until_at is 'the newest reading of the span itself'",
    # what waited for the old mark waits for the new one
    "insert into stale (home_id, from_at, until_at)"
    " select id, stale_from, greatest(stale_from, now()) from home where stale_from is not null",
    "alter table home drop column stale_from",
    "alter table device add column expired bigint not null default 0",
    "comment on column device.expired is 'readings that were stored and have outlived their retention'",
    # rewritten with every commit of ingest: with room beside them no index has to be touched
    *(f"alter table {table} set (fillfactor = 50)" for table in ("latest", "account", "watermark", "home")),
)


def upgrade() -> None:
    """Create and change."""
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Go back; declared gaps are forgotten, their counts in the accounts are not."""
    op.execute("alter table device drop column expired")
    op.execute("alter table home add column stale_from timestamptz")
    op.execute("update home h set stale_from = (select min(from_at) from stale s where s.home_id = h.id)")
    op.execute("drop table stale")
    op.execute("drop table gap")
