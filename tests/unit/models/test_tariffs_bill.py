"""Invoices to the cent, as a hand does them."""

from decimal import Decimal

import numpy as np
import pytest
from tests.unit.models.tariffs_help import BERLIN, steps, tariff_of

from hearth_core.tariff import Tariff
from hearth_models.arrays import FloatArray
from hearth_models.tariffs import Bill, TariffError, bill


def hourly(
    tariff: Tariff,
    local: str,
    import_kw: FloatArray,
    export_kw: FloatArray | None = None,
    market: FloatArray | None = None,
    step_s: int = 3600,
) -> Bill:
    """Bill mean powers from a local time on."""
    hours = step_s / 3600
    given = np.zeros(len(import_kw)) if export_kw is None else export_kw
    prices = np.full(len(import_kw), np.nan) if market is None else market
    start_s = float(steps(local, 1)[0])
    return bill(tariff, start_s, step_s, import_kw * 1000 * hours, given * 1000 * hours, prices, BERLIN)


def rows(found: Bill) -> list[tuple[str, str, str, str, str]]:
    return [(one.month, one.item, str(one.quantity), str(one.amount_eur), str(one.vat_eur)) for one in found.lines]


def test_day_ahead_with_adder_fee_and_feed_in_on_a_negative_price() -> None:
    """Energy: 2 * 0.10 + 1 * -0.25 + 4 * 0.05 = 0.15; VAT 19 % of it 0.0285 -> 0.03.

    Adder: 7 * 0.02 = 0.14, VAT 0.0266 -> 0.03. Fee: inside 1 * 0.15 = 0.15, VAT 0.0285 -> 0.03; outside 6 * 0.05 =
    0.30, VAT 0.057 -> 0.06. Feed-in by spot: 3 * (-0.25) + 1 * 0.05 = -0.70, so the home pays 0.70, without VAT.
    Sum 0.15 + 0.14 + 0.15 + 0.30 + 0.70 = 1.44, VAT 0.15.
    """
    tariff = tariff_of("""
vat_percent: 19
import_adder_eur_per_kwh: 0.02
fees: [{name: Grid, eur_per_kwh: 0.05, windows: [{name: HT, hours: ["13:00-14:00"], eur_per_kwh: 0.15}]}]
export_kind: spot
""")
    found = hourly(
        tariff, "2024-06-01T12:00", np.array([2.0, 1, 4]), np.array([0.0, 3, 1]), np.array([0.10, -0.25, 0.05])
    )
    assert rows(found) == [
        ("2024-06", "Energy", "7.000", "0.15", "0.03"),
        ("2024-06", "Adder", "7.000", "0.14", "0.03"),
        ("2024-06", "Grid, HT", "1.000", "0.15", "0.03"),
        ("2024-06", "Grid", "6.000", "0.30", "0.06"),
        ("2024-06", "Feed-in", "4.000", "0.70", "0.00"),
    ]
    assert (found.amount_eur, found.vat_eur, found.total_eur) == (Decimal("1.44"), Decimal("0.15"), Decimal("1.59"))
    assert found.unrounded_eur == pytest.approx(0.74 * 1.19 + 0.70)


def test_half_a_cent_goes_away_from_zero_whatever_its_binary_digits() -> None:
    """10 * 0.2345 = 2.345 -> 2.35 (a float says 2.3449..); VAT 10 % of 2.35 = 0.235 -> 0.24; back -1.005 -> -1.01."""
    tariff = tariff_of("""
import_kind: fixed
import_eur_per_kwh: 0.2345
vat_percent: 10
export_eur_per_kwh: 0.1005
""")
    found = hourly(tariff, "2024-06-01T12:00", np.array([10.0]), np.array([10.0]))
    assert rows(found) == [
        ("2024-06", "Energy", "10.000", "2.35", "0.24"),
        ("2024-06", "Feed-in", "10.000", "-1.01", "0.00"),
    ]


@pytest.mark.parametrize(("day", "hours", "night"), [("2024-03-31", 23, 7), ("2024-10-27", 25, 9)])
def test_the_days_the_clock_is_moved(day: str, hours: int, night: int) -> None:
    """1 kW throughout: 7 or 9 kWh at night for 0.20, 16 kWh for 0.30 = 4.80; one day of 0.50."""
    tariff = tariff_of("""
import_kind: time_of_use
import_eur_per_kwh: 0.30
import_windows: [{name: night, hours: ["22:00-06:00"], eur_per_kwh: 0.20}]
standing: [{eur_per_day: 0.5}]
""")
    found = hourly(tariff, f"{day}T00:00", np.ones(hours))
    month = day[:7]
    assert rows(found) == [
        (month, "Energy, night", f"{night}.000", f"{night * 0.2:.2f}", "0.00"),
        (month, "Energy", "16.000", "4.80", "0.00"),
        (month, "Standing charge", "1.000", "0.50", "0.00"),
    ]


def test_months_end_at_local_midnight_and_are_charged_by_their_share() -> None:
    """From 31 January 20:00 to 1 February 04:00 Berlin (19:00 to 03:00 UTC): four hours of 1 kWh on either side.

    A month of 31.00 costs 1.00 for one of 31 days, one of 29.00 costs 1.00 for one of 29.
    """
    monthly = tariff_of("{import_kind: fixed, import_eur_per_kwh: 0.25, standing: [{eur_per_month: 31}]}")
    found = hourly(monthly, "2024-01-31T20:00", np.ones(8))
    assert rows(found) == [
        ("2024-01", "Energy", "4.000", "1.00", "0.00"),
        ("2024-01", "Standing charge", "0.032", "1.00", "0.00"),
        ("2024-02", "Energy", "4.000", "1.00", "0.00"),
        ("2024-02", "Standing charge", "0.034", "1.07", "0.00"),
    ]


def test_tiers_are_crossed_within_a_month_and_begin_anew_in_the_next() -> None:
    """10 kW for 60 h of January: 600 kWh = 100 + 200 + 300 kWh at 0, 0.05 and 0.10: 0 + 10 + 30; February 50 at 0."""
    tariff = tariff_of("""
import_kind: fixed
import_eur_per_kwh: 0.20
vat_percent: 20
tiers: [{up_to_kwh: 100, eur_per_kwh: 0.0}, {up_to_kwh: 300, eur_per_kwh: 0.05}, {eur_per_kwh: 0.10}]
""")
    found = hourly(tariff, "2024-01-29T12:00", np.full(65, 10.0))
    assert rows(found) == [
        ("2024-01", "Energy", "600.000", "120.00", "24.00"),
        ("2024-01", "Tier 1", "100.000", "0.00", "0.00"),
        ("2024-01", "Tier 2", "200.000", "10.00", "2.00"),
        ("2024-01", "Tier 3", "300.000", "30.00", "6.00"),
        ("2024-02", "Energy", "50.000", "10.00", "2.00"),
        ("2024-02", "Tier 1", "50.000", "0.00", "0.00"),
    ]


NETTED = """
import_kind: time_of_use
import_eur_per_kwh: 0.30
import_windows: [{name: day, hours: ["08:00-20:00"], eur_per_kwh: 0.20}]
fees: [{name: Levy, eur_per_kwh: 0.05, is_credited: false}]
vat_percent: 10
export_eur_per_kwh: 0.04
"""


def test_net_metering_by_month_and_by_year_with_a_surplus() -> None:
    """June: 10 kWh at night, 30 kWh fed in by day. July: 25 kWh at night, 5 kWh fed in by night.

    By month. June credits 10 of 30 kWh at 0.20 = 2.00, VAT 0.20; 20 kWh earn 0.04 = 0.80. July credits 5 at 0.30.
    By year: import 35, feed-in 35: all is credited, 30 * 0.20 + 5 * 0.30 = 7.50, VAT 0.75; nothing is left over.
    """
    taken, given = np.zeros(61 * 24), np.zeros(61 * 24)
    taken[22], given[12] = 10.0, 30.0
    taken[31 * 24 + 22], given[31 * 24 + 3] = 25.0, 5.0
    june = [("2024-06", "Energy", "10.000", "3.00", "0.30"), ("2024-06", "Levy", "10.000", "0.50", "0.05")]
    july = [("2024-07", "Energy", "25.000", "7.50", "0.75"), ("2024-07", "Levy", "25.000", "1.25", "0.13")]
    monthly = hourly(tariff_of(NETTED + "net_metering: {period: month}"), "2024-06-01T00:00", taken, given)
    assert rows(monthly) == [
        *june,
        ("2024-06", "Net metering credit", "10.000", "-2.00", "-0.20"),
        ("2024-06", "Feed-in beyond import", "20.000", "-0.80", "0.00"),
        *july,
        ("2024-07", "Net metering credit", "5.000", "-1.50", "-0.15"),
    ]
    yearly = hourly(tariff_of(NETTED + "net_metering: {period: year}"), "2024-06-01T00:00", taken, given)
    assert rows(yearly) == [*june, *july, ("2024-07", "Net metering credit", "35.000", "-7.50", "-0.75")]
    # a year that begins in July parts them again
    parted = tariff_of(NETTED + "net_metering: {period: year, first_month: 7}")
    assert rows(hourly(parted, "2024-06-01T00:00", taken, given)) == rows(monthly)


def test_a_year_of_net_metering_pays_the_surplus_once() -> None:
    """300 kWh a month are bought, 400 fed in: 3600 are credited at 0.30 = 1080.00, 1200 earn 0.05 = 60.00."""
    tariff = tariff_of("""
import_kind: fixed
import_eur_per_kwh: 0.30
export_eur_per_kwh: 0.05
net_metering: {period: year}
""")
    taken, given = np.zeros(366 * 24), np.zeros(366 * 24)
    noons_s = np.concatenate([steps(f"2024-{month:02d}-01T12:00", 1) for month in range(1, 13)])
    begins = ((noons_s - steps("2024-01-01T00:00", 1)) // 3600).astype(int)
    taken[begins], given[begins] = 300.0, 400.0
    found = hourly(tariff, "2024-01-01T00:00", taken, given)
    assert rows(found)[-2:] == [
        ("2024-12", "Net metering credit", "3600.000", "-1080.00", "0.00"),
        ("2024-12", "Feed-in beyond import", "1200.000", "-60.00", "0.00"),
    ]
    assert found.total_eur == Decimal("-60.00")


def test_demand_is_the_highest_mean_of_a_step_in_its_windows() -> None:
    """Monday: the hours 07-08 (12 kW) and 19-20 lie outside 08-12 and 15-19. Inside, quarter hours of 3, 9, 5, 3 kW:

    the highest quarter is 9 kW, the hour's mean 5 kW. 2 kW are free: 7 * 4.00 = 28.00, or 3 * 4.00 = 12.00.
    In the other month nothing is above 2 kW, but 1.5 kW are paid for anyway: 6.00.
    """
    power = np.full(2 * 96, 1.0)
    power[28:32], power[76:80] = 12.0, 12.0
    power[36:40] = [3.0, 9, 5, 3]
    terms = """
import_kind: fixed
import_eur_per_kwh: 0
demand: [{eur_per_kw: 4, step_min: 15, free_kw: 2, minimum_kw: 1.5, windows: [{hours: ["08:00-12:00", "15:00-19:00"]}]}]
"""
    found = hourly(tariff_of(terms), "2024-09-30T00:00", power, step_s=900)
    demand = [row for row in rows(found) if row[1] == "Demand"]
    assert demand == [("2024-09", "Demand", "7.000", "28.00", "0.00"), ("2024-10", "Demand", "1.500", "6.00", "0.00")]
    found = hourly(tariff_of(terms.replace("15, free", "60, free")), "2024-09-30T00:00", power, step_s=900)
    assert ("2024-09", "Demand", "3.000", "12.00", "0.00") in rows(found)
    # hourly readings hide the quarter hours
    found = hourly(tariff_of(terms), "2024-09-30T00:00", power.reshape(-1, 4).mean(axis=1))
    assert ("2024-09", "Demand", "3.000", "12.00", "0.00") in rows(found)


def test_the_repeated_hour_is_two_hours_of_demand() -> None:
    """Both hours from 2 to 3 are called the same; 4 kW and 0 kW are 4 kW at most, not 2."""
    tariff = tariff_of("{import_kind: fixed, import_eur_per_kwh: 0, demand: [{eur_per_kw: 1, step_min: 60}]}")
    power = np.zeros(25)
    power[2] = 4.0
    assert rows(hourly(tariff, "2024-10-27T00:00", power))[-1] == ("2024-10", "Demand", "4.000", "4.00", "0.00")


def test_what_was_not_measured_is_counted_and_missing_prices_are_refused_where_energy_flowed() -> None:
    market = np.array([0.1, np.nan, 0.1])
    found = hourly(Tariff(), "2024-06-01T00:00", np.array([1.0, 0.0, np.nan]), None, market)
    assert (found.unmeasured_steps, found.total_eur) == (1, Decimal("0.10"))
    with pytest.raises(TariffError, match=r"day_ahead_eur_per_kwh: none at 2024-05-31T23:00:00\+00:00.*Energy"):
        hourly(Tariff(), "2024-06-01T00:00", np.array([1.0, 0.1, 0.0]), None, market)
    # net metering pays for feed-in with the price of import
    with pytest.raises(TariffError, match="day_ahead_eur_per_kwh"):
        hourly(tariff_of("net_metering: {}"), "2024-06-01T00:00", np.zeros(3), np.ones(3), market)


def test_impossible_readings_are_refused_by_name() -> None:
    one = np.ones(2)
    for named, arguments in {
        "export_wh: shape": (3600, one, np.ones(3), one),
        "day_ahead_eur_per_kwh: shape": (3600, one, one, np.ones(1)),
        "import_wh: value 1 is -1.0": (3600, np.array([0.0, -1.0]), one, one),
        "export_wh: value 0 is inf": (3600, one, np.array([np.inf, 0.0]), one),
        "step_s: 7200": (7200, one, one, one),
    }.items():
        step_s, taken, given, market = arguments
        with pytest.raises(TariffError, match=named):
            bill(Tariff(), 0.0, step_s, taken, given, market, BERLIN)
