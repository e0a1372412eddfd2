"""The owner's wishes and the grid operator's limits on their way to a home.

Revision ID: 0005
"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create the table."""
    op.execute(
        """
        create table wish (
            home_id integer not null references home,
            kind text not null,
            target text not null,
            version bigint not null,
            ends_at timestamptz,
            is_told boolean not null default false,
            message json not null,
            primary key (home_id, kind, target)
        )"""
    )
    op.execute("comment on table wish is 'what an agent is to be told beside plans and models: one row a topic'")


def downgrade() -> None:
    """Drop it."""
    op.execute("drop table wish")
