"""Three days without the hub cost next to nothing: the home follows its last plan, then makes its own."""

from pathlib import Path

import numpy as np
import pytest
from tests.scenarios.away import DAY, HOUR, Recording, live

from hearth_models.planning.outlook import STEP_S
from hearth_models.series import read_prices
from hearth_sim.home import demo_site
from hearth_sim.recorded import HOUR_S, konstanz, parse_instant, prices_path

DAYS = 3
SILENT_FROM = "2016-04-11T22:00:00Z"


def recorded(*, has_roof: bool) -> Recording:
    """The demo's home, an hour cut into quarters, from its first whole day on."""
    record, market = konstanz(), read_prices(prices_path())
    start_s = -(-record.start_s // 86_400) * 86_400
    first = (start_s - record.start_s) // HOUR_S
    load_w = np.repeat((record.house_w + record.ev_w + record.heat_pump_w)[first:], HOUR_S // STEP_S)
    pv_w = np.repeat(record.pv_w[first:], HOUR_S // STEP_S) if has_roof else np.zeros_like(load_w)
    return Recording(start_s, load_w, pv_w, market.on_grid(start_s, STEP_S, len(load_w) + 2 * DAY))


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("has_roof", [True, False])
def test_three_days_without_the_hub_lose_less_than_three_percent(has_roof: bool, tmp_path: Path) -> None:
    recording = recorded(has_roof=has_roof)
    here = round((parse_instant(SILENT_FROM) - recording.start_s) / STEP_S)
    bills = live(recording, here, DAYS, demo_site(), tmp_path, every=2 * HOUR)
    assert bills.planned_at_home >= 12, "the hub's last plan ends after two days"
    assert bills.without < bills.with_hub + 0.03 * abs(bills.with_hub)
    assert bills.without < bills.rule, "and what is planned at home still earns more than no plan"
