"""The balance over recorded days: a sound home is never accused, a wrong sign or scale is, and soon."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache

import pytest
from msgspec.structs import replace

from hearth_agent.control.balance import Balance, Bounds, look
from hearth_agent.control.charge_balance import Charge, follow_charge
from hearth_agent.control.flows import Flows
from hearth_core.clock import ManualClock
from hearth_sim.recorded import parse_instant
from hearth_sim.serving import HouseOptions, build_house
from hearth_sim.sunspec_models import battery_dc_w, pv_dc_w

BOUNDS = Bounds(capacity_wh=10_000.0, inverter_share=0.45)
POLL_S = 10
Change = Callable[[Flows], Flows]


@cache
def recorded(day: str) -> list[Flows]:
    """One day of the recorded house, its battery in its own mode, as devices with 2 % of error would tell it."""
    start_s = parse_instant(f"{day}T00:00:00Z")
    clock, noise, looks = ManualClock(start_s), random.Random(1), []
    house = build_house(clock, start_s, HouseOptions())
    for step in range(86_400 // POLL_S):
        clock.now_s = start_s + step * POLL_S
        house.advance()
        supply, flows = house.supply(), house.flows
        looks.append(
            Flows(
                at_s=house.at_s,
                grid_w=1.02 * supply.power_w + noise.gauss(0, 20),
                phase_w=tuple(1.02 * phase.power_w for phase in supply.phases),
                phase_va=tuple(phase.apparent_va for phase in supply.phases),
                inverter_w=0.98 * flows.inverter_w + noise.gauss(0, 20),
                pv_w=pv_dc_w(house),
                battery_w=battery_dc_w(house),
                soc_percent=house.soc_percent,
                has_dc=True,
                car_w=flows.ev_w,
                consumers_w=flows.ev_w + flows.heat_pump_w,
            )
        )
    return looks


def first_breach(looks: list[Flows], change: Change) -> tuple[float, str, str] | None:
    """Return minutes until control is withdrawn, the check and whom it concerns."""
    balance = Balance()
    for flows in looks:
        balance, breaches = look(BOUNDS, balance, change(flows))
        if breaches:
            return (flows.at_s - looks[0].at_s) / 60, breaches[0].check, breaches[0].concerns
    return None


@pytest.mark.parametrize("day", ["2016-01-10", "2016-04-05", "2016-07-03"])
def test_a_sound_home_is_never_accused(day: str) -> None:
    assert first_breach(recorded(day), lambda flows: flows) is None


def grid(factor: float, flows: Flows) -> Flows:
    """A meter all of whose powers are wrong by a factor, and its currents by the factor's size."""
    size = abs(factor)
    return replace(
        flows,
        grid_w=factor * (flows.grid_w or 0),
        phase_w=tuple(factor * (one or 0) for one in flows.phase_w),
        phase_va=tuple(size * (one or 0) for one in flows.phase_va),
    )


def phase_2(flows: Flows) -> Flows:
    """The current transformer of L2 is the wrong way round."""
    l1, l2, l3 = (one or 0.0 for one in flows.phase_w)
    return replace(flows, phase_w=(l1, -l2, l3), grid_w=l1 - l2 + l3)


def swapped(flows: Flows) -> Flows:
    """The transformers of L1 and L2 have changed places: their currents are 120 degrees off."""
    l1, l2, l3 = (one or 0.0 for one in flows.phase_w)
    return replace(flows, phase_w=(-l2 / 2, -l1 / 2, l3), grid_w=l3 - (l1 + l2) / 2)


# how long it takes depends on what flows: a wrong meter shows when the home draws power, or when the sun's power steps
FAULTS: list[tuple[str, Change, str, float]] = [
    ("2016-07-03", lambda f: grid(-1, f), "all", 15 * 60),
    ("2016-01-10", lambda f: grid(-1, f), "all", 6 * 60),
    ("2016-01-10", phase_2, "all", 6 * 60),
    ("2016-01-10", swapped, "all", 6 * 60),
    ("2016-01-10", lambda f: grid(10, f), "all", 10 * 60),
    ("2016-01-10", lambda f: grid(1000, f), "all", 10),
    ("2016-01-10", lambda f: replace(f, battery_w=-(f.battery_w or 0)), "store", 10),
    ("2016-01-10", lambda f: replace(f, battery_w=10 * (f.battery_w or 0)), "store", 10),
    ("2016-01-10", lambda f: replace(f, battery_w=(f.battery_w or 0) / 1000), "store", 10),
    ("2016-01-10", lambda f: replace(f, inverter_w=-(f.inverter_w or 0)), "all", 10),
    ("2016-01-10", lambda f: replace(f, inverter_w=10 * (f.inverter_w or 0)), "store", 10),
    ("2016-01-10", lambda f: replace(f, consumers_w=f.consumers_w + 3_000), "charger", 10),
]


@pytest.mark.parametrize(("day", "change", "concerns", "minutes"), FAULTS)
def test_a_fault_takes_control_away(day: str, change: Change, concerns: str, minutes: float) -> None:
    found = first_breach(recorded(day), change)
    assert found is not None
    assert found[0] <= minutes
    assert found[2] == concerns


def test_a_minute_of_contradiction_is_borne() -> None:
    """A load that starts between the readings of two devices looks like a contradiction for a moment."""
    looks = [
        replace(flows, grid_w=-9_000.0) if step % 60 < 6 else flows for step, flows in enumerate(recorded("2016-01-10"))
    ]
    assert first_breach(looks, lambda flows: flows) is None


def test_a_missing_meter_proves_nothing() -> None:
    assert first_breach(recorded("2016-01-10"), lambda flows: replace(flows, grid_w=None)) is None


def charge_texts(power_w: float, percent_per_hour: float, hours: float) -> list[str]:
    charge, texts = Charge(), []
    for minute in range(int(hours * 60)):
        flows = Flows(at_s=60.0 * minute, battery_w=power_w, soc_percent=50 + percent_per_hour * minute / 60)
        charge, text = follow_charge(charge, flows, 10_000.0)
        texts += [text] if text else []
    return texts


def test_a_charge_that_moves_against_the_power_is_found_after_two_windows() -> None:
    assert charge_texts(2_000.0, -20.0, 1.5) == []
    assert "moved by +" in charge_texts(2_000.0, 20.0, 1.5)[0]
    assert charge_texts(2_000.0, 20.0, 0.4) == []
    assert charge_texts(2_000.0, 0.0, 1.5)


def test_a_battery_manager_may_correct_itself_once() -> None:
    charge, texts, soc = Charge(), [], 50.0
    for minute in range(90):
        soc += -2_000 / 10_000 * 100 / 60 + (15.0 if minute == 30 else 0.0)
        charge, text = follow_charge(charge, Flows(at_s=60.0 * minute, battery_w=2_000.0, soc_percent=soc), 10_000.0)
        texts += [text] if text else []
    assert texts == []
