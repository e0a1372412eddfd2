"""The results as a Markdown table, put between two marker comments of a page."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.faults.scenario import Scenario

BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"
_HEAD = "| id | fault | acceptance | what was seen | passed |\n|---|---|---|---|---|"
_LEFT_OUT = frozenset(("id", "seed", "passed", "failures", "notes", "took_s", "at", "values"))


def write_table(path: Path, chosen: Sequence[Scenario], results: Sequence[dict[str, Any]], title: str) -> None:
    """Put the table into the page; a page without the markers gets them at its end."""
    text = path.read_text() if path.exists() else "# What was proved with faults\n"
    if BEGIN not in text or END not in text:
        text = f"{text.rstrip()}\n\n{BEGIN}\n{END}\n"
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    path.write_text(f"{before}{BEGIN}\n{table(chosen, results, title)}\n{END}{after}")


def table(chosen: Sequence[Scenario], results: Sequence[dict[str, Any]], title: str) -> str:
    """Return the table with a line above it that says which run it was."""
    scenarios = {one.id: one for one in chosen}
    rows = [_row(scenarios[result["id"]], result) for result in results]
    values = sum(result["values"] for result in results)
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    head = f"{title}, {when}: {values:,} values in all; 0/0 = none lost, none twice."
    return "\n".join([head, "", _HEAD, *rows])


def _row(one: Scenario, result: dict[str, Any]) -> str:
    cells = (one.id, one.fault, one.acceptance, _seen(result), "yes" if result["passed"] else "**no**")
    return "| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in cells) + " |"


def _seen(result: dict[str, Any]) -> str:
    always = f"{result['lost']} lost, {result['dup']} twice of {result['values']:,} values"
    shown = [always] if result["values"] else []
    books = ("produced", "committed", "stored", "lost", "dup")
    shown += [
        _figure(name, value)
        for name, value in result.items()
        if name not in _LEFT_OUT and name not in books and value not in (0, 0.0, None, "")
    ]
    return ", ".join(shown + [f"**{text}**" for text in result["failures"]])


def _figure(name: str, value: object) -> str:
    """Write ``recovery_s`` 2.5 as "recovery 2.5 s"."""
    for unit in ("ms", "s", "mb"):
        if name.endswith(f"_{unit}") and not name.endswith("_per_s"):
            return f"{name.removesuffix(f'_{unit}').replace('_', ' ')} {value} {unit.replace('mb', 'MB')}"
    return f"{name.replace('_per_s', ' per s').replace('_', ' ')} {value}"
