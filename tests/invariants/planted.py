"""Known-bad variants of the guards. The harness has to find each of them, or it proves nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from hearth_agent.control import asked, battery, caps, ev, guards, heat, phases, step, switching, tally
from hearth_agent.control.orders import HeaterState, State
from hearth_agent.plan import checks, store


class Planted(NamedTuple):
    """One bug: which invariant it breaks, and how it is put in."""

    name: str
    invariant: str
    plant: Callable[[pytest.MonkeyPatch], None]
    seed: int = 2026
    """One with which it is found soon."""
    home_steps: int = 400


def _without_guard(name: str) -> Callable[[pytest.MonkeyPatch], None]:
    def plant(patch: pytest.MonkeyPatch) -> None:
        kept = tuple(one for one in step._GUARDS if one.__name__ != name)
        assert len(kept) == len(step._GUARDS) - 1
        patch.setattr(step, "_GUARDS", kept)

    return plant


def _constant(module: object, name: str, value: object) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda patch: patch.setattr(module, name, value)


def _watch_sees_no_danger(patch: pytest.MonkeyPatch) -> None:
    real = phases.watch

    def watch(*args: Any) -> tuple[phases.Danger, State]:
        danger, state = real(*args)
        return phases.Danger(over=False, blind=danger.blind), state

    patch.setattr(step, "watch", watch)


def _step_trusts_any_clock(patch: pytest.MonkeyPatch) -> None:
    real = step.step

    def trusting(*args: Any, **more: Any) -> Any:
        return real(*args, **{**more, "time_trusted": True})

    patch.setattr(step, "step", trusting)


def _step_follows_nobody(patch: pytest.MonkeyPatch) -> None:
    real = step.step

    def refusing(house: Any, state: Any, measured: Any, plan: Any, *args: Any, **more: Any) -> Any:
        return real(house, state, measured, None, *args, **more)

    patch.setattr(step, "step", refusing)


def _overrides_never_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(step, "in_force", lambda overrides, state, *_, **__: (dict(overrides), state))


def _own_wishes_are_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(step, "in_force", lambda overrides, state, *_, **__: ({}, state))


def _causes_forgotten(patch: pytest.MonkeyPatch) -> None:
    real = ev.steer_cars
    patch.setattr(step, "steer_cars", lambda *args: real(*args)._replace(causes={}))


def _any_version(patch: pytest.MonkeyPatch) -> None:
    real = checks.check_plan
    patch.setattr(store, "check_plan", lambda plan, home, last, now_ms: real(plan, home, 0, now_ms))


def _any_signature(patch: pytest.MonkeyPatch) -> None:
    from hearth_core.messages import Envelope, decode

    patch.setattr(store, "unseal", lambda sealed, key, kind: decode(decode(sealed, Envelope).payload.encode(), kind))


def _no_floor(patch: pytest.MonkeyPatch) -> None:
    def needs(heater: Any, state: HeaterState, reading: Any, tick_s: float) -> str:
        return ""

    patch.setattr(heat, "_needs_heat", needs)


def _phases_under_load(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(switching, "_STILL_A", 99.0)
    real = switching.switch_phases

    def at_once(car: Any, limit_a: float, *args: Any) -> Any:
        changed = real(car._replace(limit_a=0.0), limit_a, *args)
        return (limit_a, changed[1]) if changed[1].phases != car.state.phases else changed

    patch.setattr(ev, "switch_phases", at_once)


def _phases_far_apart(patch: pytest.MonkeyPatch) -> None:
    real = phases.Room.fits

    def fits(self: phases.Room, lines: Any, by_a: float) -> bool:
        self.spread_a = None
        return real(self, lines, by_a)

    patch.setattr(phases.Room, "fits", fits)


def _orders_outlive_slots(patch: pytest.MonkeyPatch) -> None:
    real = battery._planned
    patch.setattr(battery, "SHORTEST_ORDER_S", 1e9)

    def planned(*args: Any) -> Any:
        order = real(*args)
        return None if order is None else order._replace(until_s=1e18)

    patch.setattr(battery, "_planned", planned)


def _cars_in_a_hurry(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ev, "SHORTEST_S", 0.0)


PLANTED = (
    Planted("powers as wild as asked", "I-1", _constant(asked, "_power", lambda heater, wanted_w: wanted_w), seed=1),
    Planted("the fuse does not bind the battery", "I-2", _without_guard("guard_fuse"), seed=5),
    Planted("an overloaded phase is never noticed", "I-2", _watch_sees_no_danger, seed=3),
    Planted("recent promises are forgotten", "I-2", _constant(tally, "CLAIM_S", 0.0), seed=5),
    Planted("phases may be far apart", "I-3", _phases_far_apart, seed=1),
    Planted("the charge band is open", "I-4", _without_guard("guard_charge_band"), seed=2),
    Planted("feed-in has no limit", "I-5", _without_guard("guard_export"), seed=24),
    Planted("the grid operator is not heard", "I-5", _constant(step, "import_budget_w", lambda *_: None), seed=14),
    Planted("cars switch as often as asked", "I-6", _cars_in_a_hurry, seed=1),
    Planted("phases change under load", "I-6", _phases_under_load, seed=25),
    Planted("heaters may be blocked for ever", "I-7", _no_floor, seed=16),
    Planted("modes do not dwell", "I-7", _constant(heat, "_in_time", lambda heater, state, wish, tick_s: wish), seed=1),
    Planted("an old plan may come back", "I-8", _any_version, seed=17),
    Planted("nobody checks signatures", "I-8", _any_signature, seed=6),
    Planted("an order outlives its slot", "I-9", _orders_outlive_slots, seed=11),
    Planted("a missing meter is borne for ever", "I-12", _constant(phases, "METER_GRACE_S", 1e9), seed=3),
    Planted("any clock is trusted", "I-13", _step_trusts_any_clock, seed=0),
    Planted("overrides never end", "I-14", _overrides_never_end, seed=16),
    Planted("the owner is not heard", "I-14", _own_wishes_are_ignored, seed=8),
    Planted("no daily budget", "I-15", _constant(caps, "has", lambda *_: True), home_steps=3_000, seed=1),
    Planted("no first look", "I-17", _constant(phases, "FIRST_READ_S", 0.0), seed=1),
    Planted(
        "slot edges come early", "I-18", _constant(asked, "slot_time_s", lambda plan, at_s, offset_s: at_s), seed=14
    ),
    Planted("a step that fails", "I-19", _constant(guards, "STEP_W", 0.0), seed=0),
    Planted("no causes", "I-20", _causes_forgotten, seed=1),
    Planted("the owner's switches do nothing", "I-21", _without_guard("guard_owner"), seed=3),
    Planted("nothing is ever followed", "I-22", _step_follows_nobody, seed=6),
)
