"""The flows of a home add up, and what is missing stays missing."""

from __future__ import annotations

import numpy as np

from hearth_core.points import DeviceKind
from hearth_hub.readings.flows import Measured, compose

NAN = float("nan")


def device(
    kind: DeviceKind, power_w: list[float], pv: list[float] | None = None, battery: list[float] | None = None
) -> Measured:
    missing = np.full(len(power_w), np.nan)
    return Measured(
        kind,
        np.array(power_w),
        missing if pv is None else np.array(pv),
        missing if battery is None else np.array(battery),
        missing,
    )


def test_load_is_grid_plus_the_ac_side_of_the_inverter() -> None:
    """PV and battery meet the busbar only through the inverter: adding them too would count them twice."""
    flows = compose(
        [
            device(DeviceKind.GRID_METER, [-500.0]),
            device(DeviceKind.HYBRID_INVERTER, [2000.0], pv=[2600.0], battery=[-500.0]),
            device(DeviceKind.EV_CHARGER, [300.0]),
            device(DeviceKind.HEAT_PUMP, [200.0]),
        ],
        1,
    )
    assert flows.load_w.tolist() == [1500.0]
    assert flows.house_w.tolist() == [1000.0]
    assert flows.pv_w.tolist() == [2600.0]
    assert flows.battery_w.tolist() == [-500.0]


def test_a_silent_inverter_makes_the_load_missing_and_not_wrong() -> None:
    flows = compose([device(DeviceKind.GRID_METER, [100.0, 100.0]), device(DeviceKind.HYBRID_INVERTER, [NAN, 50.0])], 2)
    assert np.isnan(flows.load_w[0])
    assert flows.load_w[1] == 150.0


def test_a_silent_charger_makes_the_house_missing_but_an_absent_one_does_not() -> None:
    grid = device(DeviceKind.GRID_METER, [100.0])
    assert np.isnan(compose([grid, device(DeviceKind.EV_CHARGER, [NAN])], 1).house_w[0])
    assert compose([grid], 1).house_w.tolist() == [100.0]
    assert np.isnan(compose([grid], 1).ev_w[0])
