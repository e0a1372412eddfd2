"""From a value function to a mode: crafted worths, and the promises that hold whatever the plan says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth_core.messages import Mode, Plan, Slot, StoredValue
from hearth_models.battery import Battery
from hearth_models.planning.policy import Worth, choose, decide, interval

BATTERY = Battery(10_000, 5_000, 4_000)


def plan(worth: float, buys: float, sells: float, **changes: Any) -> Plan:
    """A plan of two hours in which a stored kWh is worth the same at every charge."""
    grid = [0.0, 50.0, 100.0]
    stored = StoredValue(store="battery", soc_percent=grid, value_eur=[[worth * soc / 10 for soc in grid]] * 2)
    slots = [
        Slot(
            start_ms=index * 3_600_000,
            mode=Mode.HOLD,
            reason="as planned",
            import_eur_per_kwh=buys,
            export_eur_per_kwh=sells,
            marginal_eur_per_kwh=worth,
            load_w=0,
            pv_w=0,
            battery_w=0,
            grid_w=0,
            soc_percent=50,
        )
        for index in range(2)
    ]
    fields: dict[str, Any] = {
        "home": "anna",
        "version": 1,
        "issued_ms": 0,
        "valid_from_ms": 0,
        "valid_until_ms": 7_200_000,
        "step_s": 3_600,
        "slots": slots,
        "stored_value": stored,
    }
    return Plan(**{**fields, **changes})


@pytest.mark.parametrize(
    ("worth", "buys", "sells", "mode"),
    [
        (0.20, 0.30, 0.08, Mode.SELF_CONSUMPTION),  # worth less than buying, more than selling
        (0.30, 0.31, 0.08, Mode.ABSORB_SURPLUS),  # 0.30 later beats 0.31 x 0.95 now
        (0.070, 0.30, 0.072, Mode.COVER_LOAD),  # the battery will be full anyway: sell the surplus
        (0.40, 0.30, 0.08, Mode.CHARGE_FROM_GRID),
        (0.05, 0.30, 0.20, Mode.EXPORT),
        (0.10, 0.10, 0.10, Mode.HOLD),  # every way through the battery loses
        (0.0, -0.05, -0.06, Mode.CHARGE_FROM_GRID),  # paid for taking
    ],
)
def test_the_mode_follows_from_the_worth(worth: float, buys: float, sells: float, mode: Mode) -> None:
    order = decide(plan(worth, buys, sells), BATTERY, 100.0, 50.0)
    assert order is not None
    assert order.mode is mode
    assert (order.lowest_w, order.highest_w) == pytest.approx(
        interval(mode, _power(order.lowest_w, order.highest_w, mode), BATTERY)
    )
    assert order.reason


def _power(lowest_w: float, highest_w: float, mode: Mode) -> float:
    return -highest_w if mode is Mode.CHARGE_FROM_GRID else lowest_w if mode is Mode.EXPORT else 0.0


def test_intervals_are_what_the_contract_says() -> None:
    assert interval(Mode.SELF_CONSUMPTION, 0, BATTERY) == (-5_000, 4_000)
    assert interval(Mode.ABSORB_SURPLUS, 0, BATTERY) == (-5_000, 0)
    assert interval(Mode.COVER_LOAD, 0, BATTERY) == (0, 4_000)
    assert interval(Mode.HOLD, 0, BATTERY) == (0, 0)
    assert interval(Mode.CHARGE_FROM_GRID, 2_000, BATTERY) == (-5_000, -2_000)
    assert interval(Mode.EXPORT, 9_000, BATTERY) == (4_000, 4_000)


worths, money = st.floats(-0.5, 1.0), st.floats(-0.5, 1.0)


@given(worths, worths, money, money)
def test_nobody_pays_for_feeding_in_what_was_stored(more: float, less: float, buys: float, sells: float) -> None:
    choice = choose(Worth(more, less), buys, sells, BATTERY)
    if choice.mode is Mode.EXPORT:
        assert sells > 0
        assert 0 < choice.power_w <= BATTERY.max_discharge_w
    if choice.mode is Mode.CHARGE_FROM_GRID:
        assert more * 0.96 > buys
        assert 0 < choice.power_w <= BATTERY.max_charge_w
    assert choice == choose(Worth(more, less), buys, sells, BATTERY)


def test_an_unknown_charge_means_plain_self_consumption() -> None:
    order = decide(plan(0.9, 0.1, 0.05), BATTERY, 100.0, None)
    assert order is not None
    assert order.mode is Mode.SELF_CONSUMPTION
    assert "unknown" in order.reason


@pytest.mark.parametrize("at_s", [-1.0, 7_200.0, 1e9])
def test_outside_the_plan_there_is_no_order(at_s: float) -> None:
    assert decide(plan(0.2, 0.3, 0.08), BATTERY, at_s, 50.0) is None


def test_the_rule_and_the_modes_can_be_ordered() -> None:
    rule = decide(plan(0.9, 0.1, 0.05, policy="rule"), BATTERY, 100.0, 50.0)
    assert rule is not None
    assert rule.mode is Mode.SELF_CONSUMPTION
    for changes in ({"policy": "modes"}, {"stored_value": None}):
        order = decide(plan(0.9, 0.1, 0.05, **changes), BATTERY, 100.0, 50.0)
        assert order is not None
        assert (order.mode, order.lowest_w, order.highest_w, order.reason) == (Mode.HOLD, 0, 0, "as planned")


def test_wear_keeps_the_battery_from_small_gains() -> None:
    worn = Battery(10_000, 5_000, 5_000, wear_eur_per_kwh=0.1)
    assert choose(Worth(0.2, 0.2), 0.28, 0.08, BATTERY).mode is Mode.SELF_CONSUMPTION
    assert choose(Worth(0.2, 0.2), 0.28, 0.08, worn).mode is Mode.ABSORB_SURPLUS


def test_at_the_edges_of_the_band_the_slope_inside_counts() -> None:
    for soc in (0.0, 100.0, 120.0):
        order = decide(plan(0.2, 0.3, 0.08), BATTERY, 100.0, soc)
        assert order is not None
        assert order.mode is Mode.SELF_CONSUMPTION


def test_a_very_small_load_is_left_to_the_grid() -> None:
    """The electronics of a 4 kW inverter eat what covering 40 W would save; 2 kW are worth covering."""
    worth = Worth(0.2, 0.2)
    assert choose(worth, 0.25, 0.08, BATTERY, 40.0).mode is Mode.ABSORB_SURPLUS
    assert choose(worth, 0.25, 0.08, BATTERY, 2_000.0).mode is Mode.SELF_CONSUMPTION
    assert choose(worth, 0.25, 0.08, BATTERY).mode is Mode.SELF_CONSUMPTION


@given(worths, money, money, st.floats(-8_000, 8_000))
def test_no_other_mode_earns_more_than_a_margin_beyond_the_chosen_one(
    worth: float, buys: float, sells: float, net_w: float
) -> None:
    """Every interval is lived for an hour with the present net load and valued from the physics alone."""
    if sells > buys:
        buys, sells = sells, buys
    margin = 0.0101 * max(abs(buys), abs(sells))

    def earns(low_w: float, high_w: float) -> tuple[float, float]:
        power_w = min(max(net_w, low_w), high_w)
        grid_w = net_w - power_w
        money_eur = -(grid_w * buys if grid_w > 0 else grid_w * sells)
        return (money_eur - BATTERY.cell_power_w(power_w) * worth) / 1000, power_w

    choice = choose(Worth(worth, worth), buys, sells, BATTERY, net_w)
    chosen, chosen_w = earns(*interval(choice.mode, choice.power_w, BATTERY))
    for mode in Mode:
        if mode is Mode.EXPORT and sells <= 0:
            continue
        for share in (0.25, 0.5, 0.75, 1.0):
            full_w = BATTERY.max_charge_w if mode is Mode.CHARGE_FROM_GRID else BATTERY.max_discharge_w
            other, other_w = earns(*interval(mode, share * full_w, BATTERY))
            assert other <= chosen + margin * (abs(other_w - chosen_w) + abs(chosen_w) + 1) / 1000 + 1e-9
