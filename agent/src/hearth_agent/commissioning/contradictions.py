"""Does the home's balance close? Where it does not, the one mistake that would explain it is looked for and named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from msgspec.structs import replace

from hearth_agent.commissioning.findings import Finding, Result, factor_name
from hearth_agent.control.balance import (
    Bounds,
    consumers_text,
    fuse_text,
    inverter_text,
    load_text,
    phases_text,
)
from hearth_agent.control.flows import Flows, mean_of

_PIECE = 15
"""Looks that are averaged: half a minute."""
_CHECKS = {
    "load": load_text,
    "consumers": consumers_text,
    "inverter": inverter_text,
    "phases": phases_text,
    "fuse": fuse_text,
}
_MOST_NAMED = 3
_HALF = (0.35, 0.65)


class Roles(NamedTuple):
    """Ids of the devices that carry the balance."""

    grid: str
    store: str | None
    """Hybrid inverter or battery."""


class Mistake(NamedTuple):
    """Something that may be wrong: at which device, what to do, and how the flows would be without it."""

    device: str
    remedy: str
    mended: tuple[Flows, ...]


def check_balance(bounds: Bounds, roles: Roles, looks: Sequence[Flows]) -> Iterator[Finding]:
    """Yield one finding: the balance closes, or what contradicts it and why."""
    complete = [one for one in looks if one.grid_w is not None and one.inverter_w is not None]
    pieces = tuple(mean_of(complete[i : i + _PIECE]) for i in range(0, len(complete), _PIECE))
    if not pieces:
        text = "grid meter and inverters were never read at the same time"
        yield _finding(roles.grid, Result.INCONCLUSIVE, text, "see `hearth-agent probe`; repeat it by day if PV sleeps")
        return
    seen = contradictions(bounds, pieces)
    if not seen:
        load_w = [one.load_w or 0.0 for one in pieces]
        text = f"the house consumes {min(load_w):.0f} to {max(load_w):.0f} W, and nothing contradicts it"
        figures = {"lowest_load_w": min(load_w), "highest_load_w": max(load_w)}
        yield _finding(roles.grid, Result.PASSED, text, "", figures)
        return
    explained = [one for one in _mistakes(bounds, roles, pieces) if not contradictions(bounds, one.mended)]
    text = "; ".join(seen.values())
    if not explained:
        remedy = (
            "no single wrong sign or scale explains it; is there a producer that is not read (balance.unmetered_pv_w)?"
        )
        yield _finding(roles.grid, Result.FAILED, text, remedy)
        return
    devices = {one.device for one in explained}
    remedy = ", or ".join(one.remedy for one in explained[:_MOST_NAMED])
    yield _finding(explained[0].device if len(devices) == 1 else roles.grid, Result.FAILED, text, remedy)


def contradictions(bounds: Bounds, pieces: Sequence[Flows]) -> dict[str, str]:
    """Return what is contradicted in most of the pieces in which anything is, by check, in words."""
    found: dict[str, str] = {}
    for name, check in _CHECKS.items():
        texts = [text for piece in pieces if (text := check(bounds, piece))]
        if len(texts) > len(pieces) / 4:
            found[name] = texts[-1]
    return found


def _mistakes(bounds: Bounds, roles: Roles, pieces: tuple[Flows, ...]) -> Iterator[Mistake]:
    """Yield every single mistake that could be, the usual ones first."""
    grid, store = roles
    for one, other in combinations(range(bounds.phases), 2):
        # two currents that belong to each other's voltages are 120 degrees off: both show half their power, reversed
        if all(_is_half(piece, number) for piece in pieces for number in (one, other)):
            names = f"L{one + 1} and L{other + 1} of {grid}"
            remedy = f"the current transformers of {names} have changed places: let each measure its own phase"
            yield Mistake(grid, remedy, tuple(_swapped(piece, one, other) for piece in pieces))
    yield Mistake(grid, f"set `sign: -1` on {grid}", tuple(_grid(one, -1) for one in pieces))
    if store is not None:
        yield Mistake(store, f"set `battery_sign: -1` on {store}", tuple(_store(one, battery=-1) for one in pieces))
        yield Mistake(store, f"set `sign: -1` on {store}", tuple(_store(one, ac=-1) for one in pieces))
    for number in range(bounds.phases):
        remedy = f"the current transformer of L{number + 1} of {grid} is reversed: turn it round"
        yield Mistake(grid, remedy, tuple(_phase(one, number) for one in pieces))
    for factor in (0.001, 0.1, 10.0, 1000.0):
        name = factor_name(1 / factor)
        yield Mistake(grid, f"the power of {grid} is {name}", tuple(_grid(one, factor) for one in pieces))
        if store is not None:
            battery = tuple(_store(one, battery=factor) for one in pieces)
            yield Mistake(store, f"the battery power of {store} is {name}", battery)
            yield Mistake(store, f"the AC power of {store} is {name}", tuple(_store(one, ac=factor) for one in pieces))
            yield Mistake(store, f"the PV power of {store} is {name}", tuple(_store(one, pv=factor) for one in pieces))


def _grid(flows: Flows, factor: float) -> Flows:
    phases = tuple(None if one is None else factor * one for one in flows.phase_w)
    return replace(flows, grid_w=_times(flows.grid_w, factor), phase_w=phases)


def _store(flows: Flows, *, ac: float = 1.0, pv: float = 1.0, battery: float = 1.0) -> Flows:
    return replace(
        flows,
        inverter_w=_times(flows.inverter_w, ac),
        pv_w=_times(flows.pv_w, pv),
        battery_w=_times(flows.battery_w, battery),
    )


def _phase(flows: Flows, number: int) -> Flows:
    power_w = flows.phase_w[number]
    if power_w is None or flows.grid_w is None:
        return flows
    phases = tuple(-one if n == number and one is not None else one for n, one in enumerate(flows.phase_w))
    return replace(flows, grid_w=flows.grid_w - 2 * power_w, phase_w=phases)


def _is_half(flows: Flows, number: int) -> bool:
    power_w, va = flows.phase_w[number], flows.phase_va[number]
    return power_w is not None and va is not None and _HALF[0] * va < abs(power_w) < _HALF[1] * va


def _swapped(flows: Flows, one: int, other: int) -> Flows:
    first_w, second_w = flows.phase_w[one], flows.phase_w[other]
    if first_w is None or second_w is None or flows.grid_w is None:
        return flows
    phases = list(flows.phase_w)
    phases[one], phases[other] = -2 * second_w, -2 * first_w
    return replace(flows, phase_w=tuple(phases), grid_w=flows.grid_w - 3 * (first_w + second_w))


def _times(power_w: float | None, factor: float) -> float | None:
    return None if power_w is None else factor * power_w


def _finding(
    device: str, result: Result, text: str, remedy: str, figures: Mapping[str, float] | None = None
) -> Finding:
    known = dict(figures or {})
    check = "energy balance"
    return Finding(device=device, check=check, result=result, text=text, remedy=remedy, needed=True, figures=known)
