"""What a plan says of quarter-hours."""

from __future__ import annotations

import pytest

from hearth_core.messages import Mode, Plan, Slot
from hearth_hub.plans.quarters import QUARTER_MS, quarter_of, said_of

START_MS = 1_459_900_800_000


def plan(step_s: int, n_slots: int) -> Plan:
    slots = [
        Slot(
            start_ms=START_MS + number * step_s * 1000,
            mode=Mode.HOLD,
            reason=str(number),
            import_eur_per_kwh=0.3,
            export_eur_per_kwh=0.1,
            marginal_eur_per_kwh=0.2,
            load_w=1,
            pv_w=0,
            battery_w=0,
            grid_w=1,
            soc_percent=number,
        )
        for number in range(n_slots)
    ]
    until_ms = START_MS + n_slots * step_s * 1000
    return Plan(
        home="anna",
        version=7,
        issued_ms=START_MS,
        valid_from_ms=START_MS,
        valid_until_ms=until_ms,
        step_s=step_s,
        slots=slots,
    )


@pytest.mark.parametrize(
    ("step_s", "reasons"),
    [(300, ["0", "3"]), (900, ["0", "1", "2", "3", "4", "5"]), (1800, ["0", "0", "1", "1", "2", "2", "3", "3"])],
)
def test_a_quarter_takes_the_slot_that_holds_its_beginning_and_the_plan_ends_where_it_ends(
    step_s: int, reasons: list[str]
) -> None:
    said = said_of(plan(step_s, 4 if step_s == 1800 else 6), START_MS, START_MS + 8 * QUARTER_MS)
    assert [one.reason for one in said] == reasons
    assert [one.start_ms for one in said] == [START_MS + number * QUARTER_MS for number in range(len(said))]
    assert {one.version for one in said} == {7}


def test_a_plan_says_nothing_of_what_was_before_it_or_of_an_empty_span() -> None:
    made = plan(900, 6)
    assert [one.start_ms for one in said_of(made, START_MS - QUARTER_MS, START_MS + QUARTER_MS)] == [START_MS]
    assert said_of(made, START_MS + QUARTER_MS, START_MS + QUARTER_MS) == []


def test_an_instant_belongs_to_the_quarter_that_began_before_it() -> None:
    assert quarter_of(START_MS) == quarter_of(START_MS + QUARTER_MS - 1) == START_MS
