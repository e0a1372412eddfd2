"""What plans said, beside what happened."""

from __future__ import annotations

from typing import Any

from hearth_hub.database.pool import Connection
from hearth_hub.plans import repository
from hearth_hub.plans.quarters import QUARTER_MS, quarter_of, said_of
from hearth_hub.timing import instant


async def past(connection: Connection, home_id: int, start_ms: int, end_ms: int, now_ms: int) -> dict[str, Any]:
    """Return what the plan in force in each quarter-hour said of it, columnar; None where there was no plan.

    Nothing is said of quarter-hours that have not begun: the plan that will be in force in them is not made yet.

    Args:
        connection: Database.
        home_id: Home.
        start_ms: Start of the span; floored to the quarter-hour.
        end_ms: End of the span, exclusive.
        now_ms: Now.
    """
    start_ms = quarter_of(start_ms)
    running_ms = quarter_of(now_ms)
    quarters = await repository.quarters_between(connection, home_id, instant(start_ms), instant(end_ms))
    if (plan := await repository.in_force_since_before(connection, home_id, running_ms)) is not None:
        quarters += said_of(plan, quarter_of(plan.issued_ms) + QUARTER_MS, running_ms + QUARTER_MS)
    n_steps = -((start_ms - end_ms) // QUARTER_MS)
    columns: dict[str, list[Any]] = {name: [None] * n_steps for name in ("mode", "soc_percent", "reason")}
    for one in quarters:
        step = (one.start_ms - start_ms) // QUARTER_MS
        if 0 <= step < n_steps:
            for name, values in columns.items():
                values[step] = getattr(one, name)
    return {"start_ms": start_ms, "step_s": QUARTER_MS // 1000, **columns}
