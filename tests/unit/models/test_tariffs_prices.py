"""Marginal prices are those a hand computes, by the clock on the wall, also on the days it is moved."""

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from tests.unit.models.tariffs_help import BERLIN, steps, tariff_of

from hearth_core.errors import ConfigError
from hearth_core.tariff import ExportKind, Tariff
from hearth_models.arrays import FloatArray
from hearth_models.tariffs import SoFar, TariffError, prices, read_tariff


def flat(at_s: FloatArray, price: float = 0.0) -> FloatArray:
    return np.full(len(at_s), price)


NIGHT = tariff_of("""
import_kind: time_of_use
import_eur_per_kwh: 0.30
import_windows: [{name: night, hours: ["22:00-06:00"], eur_per_kwh: 0.20}]
""")


def test_spot_prices_are_those_a_hand_computes() -> None:
    """(0.05 + 0.16) * 1.19 = 0.2499; (-0.20 + 0.16) * 1.19 = -0.0476; feed-in 0.05 - 0.01 = 0.04."""
    at_s = steps("2024-06-01T00:00", 2)
    tariff = Tariff(
        import_adder_eur_per_kwh=0.16, vat_percent=19, export_kind=ExportKind.SPOT, export_eur_per_kwh=-0.01
    )
    buy, sell = prices(tariff, at_s, np.array([0.05, -0.20]), BERLIN)
    assert buy == pytest.approx([0.2499, -0.0476])
    assert sell == pytest.approx([0.04, -0.21])
    _, sell = prices(Tariff(export_eur_per_kwh=0.08), at_s, np.array([0.05, np.nan]), BERLIN)
    assert sell == pytest.approx([0.08, 0.08])


def test_factor_share_and_windows_of_fees() -> None:
    """Mon 17:00 in Q1: 0.10 * 1.02 + 0.15 = 0.252, at 13:00 0.102 + 0.05 = 0.152; in Q2 at 17:00 0.102 + 0.05."""
    tariff = tariff_of("""
import_factor: 1.02
fees: [{name: Grid, eur_per_kwh: 0.05, windows: [{hours: ["17:00-20:00"], quarters: [1, 4], eur_per_kwh: 0.15}]}]
export_kind: spot
export_share: 0.9
export_eur_per_kwh: -0.005
""")
    for day, hour, expected in (("2024-01-08", 17, 0.252), ("2024-01-08", 13, 0.152), ("2024-04-08", 17, 0.152)):
        buy, sell = prices(tariff, steps(f"{day}T{hour}:00", 1), np.array([0.10]), BERLIN)
        assert buy == pytest.approx([expected])
        assert sell == pytest.approx([0.085])


def test_weekdays_and_weekends_are_told_apart() -> None:
    tariff = tariff_of("""
export_kind: time_of_use
export_windows: [{days: [weekends], eur_per_kwh: 0.02}, {days: [mon], hours: ["00:00-12:00"], eur_per_kwh: 0.04}]
export_eur_per_kwh: 0.08
""")
    # Friday 2024-05-31 12:00 and every twelve hours on
    at_s = steps("2024-05-31T12:00", 7, 12 * 3600)
    _, sell = prices(tariff, at_s, flat(at_s), BERLIN)
    assert sell == pytest.approx([0.08, 0.02, 0.02, 0.02, 0.02, 0.04, 0.08])


@pytest.mark.parametrize(
    ("day", "hours", "cheap"),
    # 00-06 and 22-24 are eight hours of 24; the clock leaves 02-03 out in March and lives it twice in October
    [("2024-03-30", 24, 8), ("2024-03-31", 23, 7), ("2024-10-27", 25, 9)],
)
def test_the_night_has_an_hour_less_in_march_and_one_more_in_october(day: str, hours: int, cheap: int) -> None:
    at_s = steps(f"{day}T00:00", hours)
    buy, _ = prices(NIGHT, at_s, flat(at_s), BERLIN)
    assert int((buy == 0.20).sum()) == cheap
    assert buy[-2:] == pytest.approx([0.20, 0.20])
    assert buy[-3] == pytest.approx(0.30)


def test_a_year_of_quarter_hours_agrees_with_the_calendar_step_by_step() -> None:
    tariff = tariff_of("""
import_kind: time_of_use
import_eur_per_kwh: 0.1
import_windows:
  - {hours: ["16:00-21:00"], days: [weekdays], months: [6, 7, 8, 9], eur_per_kwh: 0.5}
  - {hours: ["16:30-21:15"], days: [weekdays], months: [1, 2, 3, 4, 5, 10, 11, 12], eur_per_kwh: 0.4}
""")
    at_s = datetime(2024, 1, 1, tzinfo=UTC).timestamp() + 900 * np.arange(366 * 96, dtype=np.float64)
    buy, _ = prices(tariff, at_s, flat(at_s), "America/Los_Angeles")
    zone = ZoneInfo("America/Los_Angeles")
    for step in range(0, len(at_s), 7):
        local = datetime.fromtimestamp(at_s[step], tz=zone)
        clock = local.hour * 60 + local.minute
        is_summer = 6 <= local.month <= 9
        begin, end, dear = (960, 1260, 0.5) if is_summer else (990, 1275, 0.4)
        expected = dear if local.weekday() < 5 and begin <= clock < end else 0.1
        assert buy[step] == expected, local


def test_quarter_hours_are_averaged_over_the_hours_they_are_billed_in() -> None:
    """(0.1 + 0.2 + 0.3 + 0.4) / 4 = 0.25; the second hour lacks one: (0 + 0 + 0.6) / 3 = 0.2."""
    at_s = steps("2024-10-27T02:00", 8, 900)  # both hours are called two o'clock
    market = np.array([0.1, 0.2, 0.3, 0.4, 0.0, 0.0, 0.6, np.nan])
    buy, _ = prices(Tariff(market_step_min=60), at_s, market, BERLIN)
    assert buy == pytest.approx([0.25] * 4 + [0.2] * 4)
    buy, _ = prices(Tariff(), at_s, market, BERLIN)
    np.testing.assert_array_equal(buy, market)
    # the hours of India begin at half past in UTC
    buy, _ = prices(
        Tariff(market_step_min=60), steps("2024-05-05T02:00", 8, 900, "Asia/Kolkata"), market, "Asia/Kolkata"
    )
    assert buy == pytest.approx([0.25] * 4 + [0.2] * 4)


def test_feed_in_may_go_unpaid_while_the_market_is_negative() -> None:
    at_s = steps("2024-06-01T00:00", 3)
    market = np.array([-0.01, 0.0, 0.02])
    fixed = Tariff(export_eur_per_kwh=0.08, is_export_paid_when_negative=False)
    assert prices(fixed, at_s, market, BERLIN)[1] == pytest.approx([0, 0.08, 0.08])
    spot = Tariff(export_kind=ExportKind.SPOT, export_eur_per_kwh=-0.005, is_export_paid_when_negative=False)
    assert prices(spot, at_s, market, BERLIN)[1] == pytest.approx([0, -0.005, 0.015])


TIERED = tariff_of("""
import_kind: fixed
import_eur_per_kwh: 0.10
vat_percent: 10
tiers: [{up_to_kwh: 100, eur_per_kwh: 0.0}, {up_to_kwh: 300, eur_per_kwh: 0.05}, {eur_per_kwh: 0.2}]
""")


@pytest.mark.parametrize(
    ("consumed_kwh", "expected"), [(0, 0.11), (99.9, 0.11), (100, 0.165), (299, 0.165), (300, 0.33), (9_000, 0.33)]
)
def test_the_tier_is_the_one_the_month_has_reached(consumed_kwh: float, expected: float) -> None:
    at_s = steps("2024-01-31T22:00", 4)
    buy, _ = prices(TIERED, at_s, flat(at_s), BERLIN, SoFar(month_import_kwh=consumed_kwh))
    # February begins at the first tier
    assert buy == pytest.approx([expected, expected, 0.11, 0.11])


NET = tariff_of("""
import_kind: time_of_use
import_eur_per_kwh: 0.30
import_windows: [{hours: ["00:00-12:00"], eur_per_kwh: 0.20}]
vat_percent: 20
fees: [{name: Levy, eur_per_kwh: 0.05, is_credited: false}]
export_eur_per_kwh: 0.04
net_metering: {period: month}
""")


def test_feed_in_is_worth_the_credited_price_while_the_balance_is_an_import() -> None:
    """Import 1.2 * (0.20 + 0.05) = 0.30 and 1.2 * 0.35 = 0.42; credited are 1.2 * 0.20 = 0.24 and 1.2 * 0.30 = 0.36."""
    at_s = steps("2024-05-31T11:00", 2)
    buy, sell = prices(NET, at_s, flat(at_s), BERLIN, SoFar(period_import_kwh=10, period_export_kwh=9))
    assert buy == pytest.approx([0.30, 0.42])
    assert sell == pytest.approx([0.24, 0.36])


def test_a_surplus_makes_import_cheap_and_feed_in_cheaper() -> None:
    """The gain of crediting is 0.36 - 0.04 = 0.32 in the afternoon, 0.20 in the morning.

    50 kWh were fed in, all in the afternoon: mean gain 0.32, of which 40 / 50 is had. One more kWh of import gains
    0.32: 0.30 - 0.32 and 0.42 - 0.32. One more kWh fed in earns 0.04 + 0.8 * (0.20 - 0.32) = -0.056 in the morning,
    and 0.04 in the afternoon.
    """
    at_s = steps("2024-05-31T11:00", 2)
    seen = SoFar(period_import_kwh=40, period_export_kwh=50, period_gain_eur=50 * 0.32)
    buy, sell = prices(NET, at_s, flat(at_s), BERLIN, seen)
    assert buy == pytest.approx([-0.02, 0.10])
    assert sell == pytest.approx([-0.056, 0.04])
    # the next month begins anew
    at_s = steps("2024-06-01T11:00", 2)
    ahead_s = np.concatenate([steps("2024-05-31T11:00", 1), at_s])
    buy, sell = prices(NET, ahead_s, flat(ahead_s), BERLIN, seen)
    assert buy[1:] == pytest.approx([0.30, 0.42])
    assert sell[1:] == pytest.approx([0.24, 0.36])


def test_what_cannot_be_priced_is_refused() -> None:
    at_s = steps("2024-05-31T11:00", 2)
    with pytest.raises(TariffError, match="day_ahead_eur_per_kwh"):
        prices(NIGHT, at_s, np.zeros(3), BERLIN)
    with pytest.raises(TariffError, match="at_s"):
        prices(NIGHT, at_s[::-1], np.zeros(2), BERLIN)


def test_a_tariff_is_read_from_yaml_and_from_json(tmp_path: Path) -> None:
    path = tmp_path / "tariff.json"
    path.write_text('{"import_kind": "fixed", "import_eur_per_kwh": 0.3}')
    assert read_tariff(path).import_eur_per_kwh == 0.3
    with pytest.raises(ConfigError, match="Give a readable"):
        read_tariff(tmp_path / "none.yaml")
    path.write_text("import_kind: fixed")
    with pytest.raises(ConfigError) as caught:
        read_tariff(path)
    assert (caught.value.source, caught.value.field) == (str(path), "import_eur_per_kwh")
