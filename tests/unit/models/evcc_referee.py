"""An independent reading of evcc's published rules: is a schedule allowed, and what is it worth?

Written from the published model alone and sharing no code with the planner, it judges evcc's own answers too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Request = dict[str, Any]
Answer = dict[str, Any]

_TOLERANCE_WH = 0.05


@dataclass
class Judgement:
    """What the referee says."""

    faults: list[str]
    """Rules that are broken."""
    worth: float
    """Revenue minus cost plus what is stored at the end, minus every penalty; what evcc maximises."""
    published: float
    """What evcc publishes: without penalties, and what is stored counts from the end of the first step on."""


def judge(request: Request, answer: Answer) -> Judgement:
    """Judge an answer."""
    faults: list[str] = []
    series = request["time_series"]
    n = len(series["gt"])
    grid = request.get("grid") or {}
    over_in = answer.get("grid_import_overshoot") or [0.0] * n
    over_out = answer.get("grid_export_overshoot") or [0.0] * n
    rate = grid.get("prc_p_exc_imp") if grid.get("p_max_imp") is not None else None
    taken = [x if rate is not None else x + o for x, o in zip(answer["grid_import"], over_in, strict=True)]
    given = answer["grid_export"]
    base = _penalty_base(request, rate)
    worth = 0.0
    for t in range(n):
        flow = series["ft"][t] - series["gt"][t] + taken[t] - given[t] - over_out[t]
        flow += sum(b["discharging_power"][t] - b["charging_power"][t] for b in answer["batteries"])
        if abs(flow) > _TOLERANCE_WH:
            faults.append(f"step {t}: {flow:.3f} Wh come from nowhere")
        if taken[t] > _TOLERANCE_WH and given[t] > _TOLERANCE_WH:
            faults.append(f"step {t}: import and export")
        worth += given[t] * series["p_E"][t] - taken[t] * series["p_N"][t]
        worth -= _limit_penalty(grid, series["dt"][t], taken[t], given[t], over_out[t], base, rate, t, faults)
    published = worth_of_money = sum(given[t] * series["p_E"][t] - taken[t] * series["p_N"][t] for t in range(n))
    if rate is not None:
        excess = max(max(0.0, taken[t] * 3600 / series["dt"][t] - grid["p_max_imp"]) for t in range(n))
        worth -= rate * excess
        published = worth_of_money - rate * excess
    for number, (battery, found) in enumerate(zip(request["batteries"], answer["batteries"], strict=True)):
        worth += found["state_of_charge"][-1] * battery["p_a"]
        published += (found["state_of_charge"][-1] - found["state_of_charge"][0]) * battery["p_a"]
        worth -= _battery(number, request, battery, found, taken, given, base, faults)
    return Judgement(faults, worth, published)


def _penalty_base(request: Request, rate: float | None) -> float:
    series = request["time_series"]
    prices = [max(series["p_N"]), max(series["p_E"]), 1e-4, *(b["p_a"] for b in request["batteries"])]
    if rate is not None:
        prices.append(rate * 3600 / min(series["dt"]))
    return float(max(prices))


def _limit_penalty(
    grid: dict[str, Any],
    dt_s: float,
    taken: float,
    given: float,
    over_out: float,
    base: float,
    rate: float | None,
    t: int,
    faults: list[str],
) -> float:
    penalty = 0.0
    if grid.get("p_max_imp") is not None and rate is None:
        penalty += 100 * base * max(0.0, taken - grid["p_max_imp"] * dt_s / 3600)
    if grid.get("p_max_exp") is not None:
        if given > grid["p_max_exp"] * dt_s / 3600 + _TOLERANCE_WH:
            faults.append(f"step {t}: exports more than allowed")
        penalty += 100 * base * (1 - t * 1e-5) * over_out
    return penalty


def _battery(
    number: int,
    request: Request,
    battery: dict[str, Any],
    found: dict[str, Any],
    taken: list[float],
    given: list[float],
    base: float,
    faults: list[str],
) -> float:
    """Return the penalties of a battery, and note what it may not do."""
    dts, n = request["time_series"]["dt"], len(taken)
    eta_c, eta_d = request.get("eta_c", 0.95), request.get("eta_d", 0.95)
    stored, penalty = battery["s_initial"], 0.0
    demand, goal = battery.get("p_demand"), battery.get("s_goal")
    for t in range(n):
        hours = dts[t] / 3600
        charge, discharge = found["charging_power"][t], found["discharging_power"][t]
        where = f"battery {number}, step {t}"
        stored += eta_c * charge - discharge / eta_d
        if abs(stored - found["state_of_charge"][t]) > _TOLERANCE_WH:
            faults.append(f"{where}: stored {found['state_of_charge'][t]} is not {stored:.3f}")
        stored = found["state_of_charge"][t]
        if stored > battery.get("s_capacity", battery["s_max"]) + _TOLERANCE_WH or stored < -_TOLERANCE_WH:
            faults.append(f"{where}: {stored} Wh do not fit")
        if charge > battery["c_max"] * hours + _TOLERANCE_WH or discharge > battery["d_max"] * hours + _TOLERANCE_WH:
            faults.append(f"{where}: more power than it has")
        if charge > _TOLERANCE_WH and discharge > _TOLERANCE_WH:
            faults.append(f"{where}: charges and discharges")
        if not battery.get("charge_from_grid", False) and charge > _TOLERANCE_WH and taken[t] > _TOLERANCE_WH:
            faults.append(f"{where}: charges from the grid")
        if not battery.get("discharge_to_grid", False) and discharge > _TOLERANCE_WH and given[t] > _TOLERANCE_WH:
            faults.append(f"{where}: discharges to the grid")
        asked = min(demand[t], battery["c_max"] * hours) if demand else 0.0
        nearly_full = asked > 0 and stored >= battery["s_max"] - battery["c_min"] * hours - _TOLERANCE_WH
        if _TOLERANCE_WH < charge < battery["c_min"] * hours - _TOLERANCE_WH and not nearly_full:
            faults.append(f"{where}: charges with less than it can")
        penalty += 1000 * base * (max(0.0, stored - battery["s_max"]) + max(0.0, battery["s_min"] - stored))
        if goal and t > 0 and goal[t] > 0:
            penalty += 100 * base * max(0.0, goal[t] - stored)
        if asked > 0 and stored < battery["s_max"] - _TOLERANCE_WH:
            penalty += 100 * base * (1 + (n - t) / n) * max(0.0, asked - charge)
    return penalty
