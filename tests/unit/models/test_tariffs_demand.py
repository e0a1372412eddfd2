"""A month's peak is paid once, whatever the windows, beyond what the month has seen."""

import numpy as np
import pytest
from tests.unit.models.tariffs_help import BERLIN, steps, tariff_of

from hearth_models.planning.inputs import PlanError
from hearth_models.planning.joint_answer import plan_home
from hearth_models.planning.problem import DemandCharge, Problem, Span, read_problem
from hearth_models.tariffs import Metered, SoFar, TariffError, seen, seen_from
from hearth_models.tariffs.demand import demand_charges

TWO_WINDOWS = tariff_of("""
import_kind: fixed
import_eur_per_kwh: 0.2
vat_percent: 10
demand: [{eur_per_kw: 5, step_min: 60, windows: [{hours: ["07:00-09:00", "17:00-20:00"], days: [weekdays]}]}]
""")


def test_windows_become_spans_of_the_plan_one_charge_a_month() -> None:
    """Friday 2024-05-31 16:00 and 72 hours on: 17-20 h that day; Monday 3 June 07-09 h lies 63 h later, in June."""
    start_s = float(steps("2024-05-31T16:00", 1)[0])
    charges = demand_charges(TWO_WINDOWS, start_s, np.full(72, 3600.0), BERLIN, SoFar(peaks_kw=(3.5,)))
    assert charges == [
        DemandCharge(eur_per_kw=5.5, windows=[Span(from_s=3600, until_s=4 * 3600)], incurred_kw=3.5),
        DemandCharge(eur_per_kw=5.5, windows=[Span(from_s=63 * 3600, until_s=65 * 3600)], incurred_kw=0.0),
    ]
    # a plan that begins inside a window begins with it, and both windows of a day are one charge
    (charge,) = demand_charges(
        TWO_WINDOWS, float(steps("2024-06-03T08:30", 1)[0]), np.array([1800.0] + [3600.0] * 11), BERLIN
    )
    assert charge.windows == [Span(from_s=0, until_s=1800), Span(from_s=1800 + 8 * 3600, until_s=1800 + 11 * 3600)]
    with pytest.raises(TariffError, match="peaks_kw"):
        demand_charges(TWO_WINDOWS, start_s, np.full(4, 3600.0), BERLIN, SoFar(peaks_kw=(1.0, 2.0)))


def test_what_is_free_or_paid_anyway_counts_as_incurred() -> None:
    tariff = tariff_of("demand: [{eur_per_kw: 4, free_kw: 2, minimum_kw: 1}, {eur_per_kw: 1}]")
    charges = demand_charges(tariff, 0.0, np.full(4, 900.0), BERLIN, SoFar(peaks_kw=(2.5, 2.5)))
    assert [charge.incurred_kw for charge in charges] == [3.0, 2.5]


def test_the_month_so_far_is_read_from_its_readings() -> None:
    """May saw 9 kW; June, up to 3 June 10:00, 2 kW at 07:00 in the window and 6 kW outside it."""
    at_s = steps("2024-05-31T00:00", 96)
    power = np.full(96, 500.0)
    power[17], power[24 + 12], power[72 + 7], power[72 + 18] = 9000.0, 6000.0, 2000.0, 8000.0
    metered = Metered.of(TWO_WINDOWS, float(at_s[0]), 3600, power, np.full(96, 250.0), np.full(96, np.nan), BERLIN)
    found = seen(TWO_WINDOWS, metered, float(at_s[72 + 10]), BERLIN)
    assert found.peaks_kw == (2.0,)
    assert found.month_import_kwh == pytest.approx((58 - 2) * 0.5 + 6 + 2)
    assert found.month_export_kwh == pytest.approx(58 * 0.25)
    # a month that has just begun has seen nothing
    assert seen(TWO_WINDOWS, metered, float(steps("2024-07-01T00:00", 1)[0]), BERLIN) == SoFar(peaks_kw=(0.0,))


@pytest.mark.parametrize(
    ("terms", "now", "begin"),
    [
        ("tiers: [{eur_per_kwh: 0.1}]", "2024-04-30T23:59", "2024-04-01T00:00"),
        ("tiers: [{eur_per_kwh: 0.1}]", "2024-05-01T00:00", "2024-05-01T00:00"),
        ("net_metering: {period: month, first_month: 7}", "2024-03-31T12:00", "2024-03-01T00:00"),
        ("net_metering: {period: year}", "2024-12-31T23:59", "2024-01-01T00:00"),
        ("net_metering: {period: year, first_month: 7}", "2024-06-30T23:59", "2023-07-01T00:00"),
        ("net_metering: {period: year, first_month: 7}", "2024-07-01T00:00", "2024-07-01T00:00"),
    ],
)
def test_readings_are_needed_since_the_local_start_of_the_month_or_the_period(terms: str, now: str, begin: str) -> None:
    now_s, begin_s = (float(steps(at, 1)[0]) for at in (now, begin))
    assert seen_from(tariff_of(terms), now_s, BERLIN) == begin_s


def problem(charges: list[DemandCharge]) -> Problem:
    """A car that needs 6 kWh in four hours; cheap in the first and the last."""
    return Problem(
        start="2026-01-15T18:00:00+01:00",
        steps_s=[3600.0] * 4,
        import_eur_per_kwh=[0.10, 0.30, 0.30, 0.10],
        export_eur_per_kwh=[0.0] * 4,
        load_w=[0.0] * 4,
        demand_charges=charges,
        cars=read_problem(CAR).cars,
    )


CAR = b"""{
"start": "2026-01-15T18:00:00+01:00", "steps_s": [3600],
"import_eur_per_kwh": [0], "export_eur_per_kwh": [0], "load_w": [0],
"cars": [{"name": "car", "capacity_wh": 60000, "stored_wh": 50000, "target_wh": 56000, "min_a": 0.1, "efficiency": 1.0}]
}"""


def test_two_windows_form_one_peak_and_leave_the_rest_alone() -> None:
    """The first and the last hour share 6 kWh: a peak of 3 kW for 3 EUR/kW is 9 EUR, once.

    Outside the windows the car would charge for 0.20 EUR/kWh more, 1.20 EUR in all, and no peak.
    """
    windows = [Span(from_s=0, until_s=3600), Span(from_s=3 * 3600, until_s=4 * 3600)]
    dear = plan_home(problem([DemandCharge(eur_per_kw=3.0, windows=windows)]))
    assert dear.grid_w[0] + dear.grid_w[3] == pytest.approx(0, abs=1)
    # at 0.30 EUR/kW one peak of 3 kW costs 0.90, two would cost 1.80 and send the car to the dear hours
    cheap = plan_home(problem([DemandCharge(eur_per_kw=0.30, windows=windows)]))
    assert cheap.grid_w == pytest.approx([3000, 0, 0, 3000], abs=1)
    assert cheap.money_eur.grid == pytest.approx(0.6 + 0.9, abs=0.01)
    # up to what the month has seen it is free
    seen_already = plan_home(problem([DemandCharge(eur_per_kw=3.0, windows=windows, incurred_kw=2.0)]))
    assert seen_already.grid_w[0] == pytest.approx(2000, abs=1)
    assert seen_already.grid_w[3] == pytest.approx(2000, abs=1)


def test_a_window_that_ends_before_it_begins_is_refused() -> None:
    text = CAR.replace(
        b'"load_w"', b'"demand_charges": [{"eur_per_kw": 1, "windows": [{"from_s": 5, "until_s": 5}]}], "load_w"'
    )
    with pytest.raises(PlanError, match=r"demand_charges\[0\].windows\[0\].until_s"):
        read_problem(text)
