"""What the plan in force in each quarter-hour said of it, so that plan and reality can be shown beside each other.

Revision ID: 0002
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the table; it fills from the next plan on."""
    op.execute(
        """
        create table plan_step (
            home_id integer not null references home,
            at timestamptz not null,
            version bigint not null,
            mode text not null,
            reason text not null,
            soc_percent real not null,
            primary key (home_id, at)
        )"""
    )
    op.execute("comment on table plan_step is 'what the plan in force in each quarter-hour said of it'")
    op.execute(
        "comment on column plan_step.soc_percent is 'expected at the end of the slot that holds the quarter-hour'"
    )


def downgrade() -> None:
    """Drop it."""
    op.execute("drop table plan_step")
