"""What each invariant says, what proves it, and the table of a run for docs/safety.md."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

BEGIN, END = "<!-- invariants: begin -->", "<!-- invariants: end -->"
_HEAD = "| id | invariant | proved by | premise held |\n|---|---|---|---|"


class Invariant(NamedTuple):
    """One line of the table."""

    id: str
    text: str
    proof: str


_LIFE = "lived steps"
INVARIANTS = (
    Invariant(
        "I-1",
        "every set-point is finite and inside the limits of site and device; only steered devices are told",
        _LIFE,
    ),
    Invariant("I-2", "no command raises a phase above fuse x 0.95; above the fuse for 5 s, shed within 10 s", _LIFE),
    Invariant("I-3", "no car pushes the phases apart beyond the limit; one that does is shed within 10 s", _LIFE),
    Invariant("I-4", "the charge band holds, with hysteresis; nothing is forced while the charge is unknown", _LIFE),
    Invariant("I-5", "export and import limits hold", _LIFE),
    Invariant("I-6", "cars get 0 or from 6 A up, are on and off for 60 s, change phases at 0 A, 60 s apart", _LIFE),
    Invariant("I-7", "heaters: dwell, starts an hour, longest block, comfort floor, legionella window", _LIFE),
    Invariant(
        "I-8",
        "a plan counts only if signed, for this home, newer, finite and of a sane time; else the old one stays",
        "letters through the real plan store; `test_agent_plan_store`",
    ),
    Invariant("I-9", "without a valid plan each device has its own mode; no order outlives its slot", _LIFE),
    Invariant(
        "I-10", "a timed order is refreshed at half the device's time; none latches unasked", "`test_agent_leases`"
    ),
    Invariant("I-11", "after a failed write the device is unknown and told its safe state only", "`test_agent_leases`"),
    Invariant(
        "I-12",
        "an old value is missing; without the grid meter cars pause, and nothing is forced or driven",
        f"{_LIFE}; ages: `test_agent_loop`",
    ),
    Invariant("I-13", "a jump of the wall clock changes the slot only; untrusted, no plan is followed", _LIFE),
    Invariant("I-14", "owner and site beat the hub; an override ends by itself", _LIFE),
    Invariant("I-15", "switches and forced cycles a day, and raises a minute, have a cap", _LIFE),
    Invariant("I-16", "a forecast that cannot be is replaced by the naive one and told", "`test_agent_forecast`"),
    Invariant(
        "I-17",
        "before the meter was read, own modes only; safe states at start and stop",
        f"{_LIFE}; `test_agent_leases`, `test_killed_agent`",
    ),
    Invariant("I-18", "each device follows slot edges late by its own share of the spread", _LIFE),
    Invariant(
        "I-19", "no value and no plan makes a step fail; a device that hangs delays no other", f"{_LIFE} with a fault"
    ),
    Invariant("I-20", "same inputs, same outputs, byte by byte; every command has a recorded cause", _LIFE),
    Invariant("I-21", "the battery charges no car, and the grid no battery, unless the owner lets them", _LIFE),
    Invariant("I-22", "with everything in order the plan is followed", f"{_LIFE}; `test_days`"),
)


def table(counts: Mapping[str, int], title: str) -> str:
    """Return the table with a line above it that says which run it was."""
    rows = [f"| {one.id} | {one.text} | {one.proof} | {_count(one, counts)} |" for one in INVARIANTS]
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    return "\n".join([f"{title}, {when}.", "", _HEAD, *rows])


def _count(one: Invariant, counts: Mapping[str, int]) -> str:
    return f"{counts[one.id]:,}" if counts.get(one.id) else "-"


def write_table(path: Path, counts: Mapping[str, int], title: str) -> None:
    """Put the table between the marker comments of a page."""
    text = path.read_text()
    before, rest = text.split(BEGIN, 1)
    path.write_text(f"{before}{BEGIN}\n{table(counts, title)}\n{END}{rest.split(END, 1)[1]}")
