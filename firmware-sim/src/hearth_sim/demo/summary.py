"""What a demo lived, as numbers: from the hub's books, checked against the simulated house's truth."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console
from rich.table import Table

MAX_BALANCE_ERROR = 0.005


def since(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Return what the house lived between two of its reports: energies as differences, the rest as it ended."""
    return after | {name: value - before[name] for name, value in after.items() if name.endswith("_wh")}


def summarise(
    report: dict[str, Any], reconciliation: dict[str, Any], truth: dict[str, Any], days: float, real_s: float
) -> dict[str, Any]:
    """Join the hub's report, the reconciliation of both ends and the house's truth.

    The balance error is the load the hub measured (grid + inverter, integrated over the readings) against the load
    the house really had, as a share of the latter. A write that only renews a lease is counted as a refresh.
    """
    measured_wh, true_wh = float(report["energy_wh"]["load"]), float(truth["load_wh"])
    writes = truth["register_writes"]
    return {
        "days": days,
        "speed_x": round(days * 86400 / real_s, 1),
        "real_s": round(real_s, 1),
        "readings": {**report["readings"], "reconciled": bool(reconciliation["reconciled"])},
        "energy_balance_error": round(abs(measured_wh - true_wh) / true_wh, 6) if true_wh else None,
        "energy_wh": {"measured": report["energy_wh"], "true": {k: v for k, v in truth.items() if k.endswith("_wh")}},
        "plans": report["plans"],
        "limits_broken": truth["limits_broken"],
        "register_writes_per_device_day": {
            device: round((n["writes"] - n["refreshes"]) / days, 1) for device, n in writes.items()
        },
        "lease_refreshes_per_device_day": {device: round(n["refreshes"] / days, 1) for device, n in writes.items()},
        "forecast": report["forecast"],
        "money_eur": report["money_eur"],
    }


def failures(summary: dict[str, Any]) -> list[str]:
    """Return what makes this demo a failed one, in words."""
    wrong = []
    if not summary["readings"]["reconciled"]:
        wrong.append("the readings of agent and hub do not reconcile: hearth-hub reconcile shows which")
    error = summary["energy_balance_error"]
    if error is None or error > MAX_BALANCE_ERROR:
        wrong.append(f"the energy balance is off by {error} (allowed: {MAX_BALANCE_ERROR})")
    if summary["limits_broken"]:
        wrong.append(f"{len(summary['limits_broken'])} limits were broken, first: {summary['limits_broken'][0]}")
    return wrong


def print_table(console: Console, summary: dict[str, Any]) -> None:
    """Print the summary for a person."""
    table = Table(title=f"{summary['days']:g} days lived in {summary['real_s']:.0f} s ({summary['speed_x']:.0f}x)")
    table.add_column("what")
    table.add_column("figure", justify="right")
    readings, plans, money = summary["readings"], summary["plans"], summary["money_eur"]
    for key in ("produced", "stored", "spooled", "gaps", "dead_lettered"):
        table.add_row(f"readings {key.replace('_', '-')}", f"{readings[key]:,}")
    table.add_row("readings reconcile", "yes" if readings["reconciled"] else "NO")
    table.add_row("energy balance error", _share(summary["energy_balance_error"]))
    table.add_row("limits broken", str(len(summary["limits_broken"])))
    table.add_section()
    table.add_row("plans made", str(plans["made"]))
    table.add_row("plan, p50 / p99", f"{_number(plans['solve_ms_p50'], 1)} / {_number(plans['solve_ms_p99'], 1)} ms")
    table.add_row("broken wishes", str(plans["broken_wishes"]))
    table.add_row(
        "forecast skill, load / PV",
        f"{_share(summary['forecast']['load_skill'])} / {_share(summary['forecast']['pv_skill'])}",
    )
    for device, count in summary["register_writes_per_device_day"].items():
        table.add_row(
            f"register writes a day, {device}",
            f"{count:g} (+ {summary['lease_refreshes_per_device_day'][device]:g} refreshes)",
        )
    table.add_section()
    for key in ("no_battery", "night_timer", "self_consumption", "realised", "perfect_foresight", "regret"):
        table.add_row(f"cost, {key.replace('_', ' ')}", f"{_number(money[key], 2)} EUR")
    console.print(table)


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"


def as_json(summary: dict[str, Any]) -> str:
    """Return the summary as it is written to a file."""
    return json.dumps(summary, indent=2, sort_keys=True) + "\n"
