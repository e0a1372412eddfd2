"""With everything in order the plan's energy really flows: guards that refuse everything would be safe and useless."""

from __future__ import annotations

from random import Random

import pytest
from tests.invariants.world import CarBody, HeaterBody, World

from hearth_agent.control.house import Charger, Heater, House
from hearth_agent.control.orders import State
from hearth_agent.control.step import step
from hearth_core.messages import HeatMode, LoadPlan, LoadSlot, Mode, Plan, Slot
from hearth_core.site import Limits
from hearth_models.battery import Battery

START_S = 1_459_728_000.0
HOUR_S = 3_600
_DT_S = 5.0
MODES = [(Mode.HOLD, 0.0), (Mode.CHARGE_FROM_GRID, 3_000.0), (Mode.HOLD, 0.0), (Mode.EXPORT, 2_000.0)]
CAR_A = [0.0, 10.0, 6.0, 0.0]
PUMP = [HeatMode.NORMAL, HeatMode.FORCED, HeatMode.BLOCKED, HeatMode.NORMAL]


def plan_for(house: House) -> Plan:
    start_ms = int(START_S * 1000)
    slots = [
        Slot(
            start_ms=start_ms + 1000 * HOUR_S * i,
            mode=mode,
            reason="as planned",
            power_w=power_w,
            import_eur_per_kwh=0.3,
            export_eur_per_kwh=0.08,
            marginal_eur_per_kwh=0.2,
            load_w=0.0,
            pv_w=0.0,
            battery_w=0.0,
            grid_w=0.0,
            soc_percent=50.0,
        )
        for i, (mode, power_w) in enumerate(MODES)
    ]
    car = LoadPlan(device=house.chargers[0].id, slots=[LoadSlot(current_a=amps) for amps in CAR_A])
    pump = LoadPlan(device=house.heaters[0].id, slots=[LoadSlot(heat_mode=mode) for mode in PUMP])
    return Plan(
        home="anna",
        version=1,
        issued_ms=start_ms,
        valid_from_ms=start_ms,
        valid_until_ms=start_ms + 1000 * HOUR_S * len(MODES),
        step_s=HOUR_S,
        slots=slots,
        policy="modes",
        loads=[car, pump],
    )


def test_a_nominal_day_is_really_lived() -> None:
    house = House(
        limits=Limits(main_fuse_a=35.0),
        battery=Battery(20_000, 5_000, 4_000, 10.0, 95.0),
        chargers=(Charger(id="car", lines=(1, 2, 0)),),
        heaters=(Heater(id="pump", rated_w=2_000.0),),
    )
    world = World(house, Random(1), [CarBody(house.chargers[0])], [HeaterBody(house.heaters[0])])
    plan, state = plan_for(house), State()
    car_wh, battery_wh, pump_wh = [0.0] * 4, [0.0] * 4, [0.0] * 4
    for tick in range(int(4 * HOUR_S / _DT_S)):
        now_s = tick * _DT_S
        world.live(_DT_S)
        outcome = step(house, state, world.truth(), plan, START_S + now_s, now_s)
        state = outcome.state
        world.obey(outcome.commands)
        hour = int(now_s // HOUR_S)
        car_wh[hour] += world.cars[0].drawn_a * 3 * 230 * _DT_S / HOUR_S
        battery_wh[hour] += world.battery_w * _DT_S / HOUR_S
        pump_wh[hour] += world.heaters[0].power_w * _DT_S / HOUR_S
    # 3 % are a minute or two of waiting and of following
    assert car_wh == pytest.approx([0.0, 6_900.0, 4_140.0, 0.0], rel=0.03, abs=150.0)
    assert battery_wh == pytest.approx([0.0, -3_000.0, 0.0, 2_000.0], rel=0.03, abs=60.0)
    assert pump_wh[1] == pytest.approx(2_000.0, rel=0.03)
    assert pump_wh[2] < 20.0
