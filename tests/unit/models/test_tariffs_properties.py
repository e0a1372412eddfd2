"""What holds for every tariff: sums, splits, and prices that are the derivative of the invoice."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.models.tariffs_help import BERLIN, steps, tariff_of

from hearth_core.tariff import Tariff
from hearth_models.arrays import FloatArray
from hearth_models.tariffs import Bill, Metered, bill, prices, seen

PLAIN = (
    """
vat_percent: 19
import_adder_eur_per_kwh: 0.02
market_step_min: 60
fees:
  - name: Grid
    eur_per_kwh: 0.05
    windows: [{name: HT, hours: ["13:00-22:30"], quarters: [1, 4], eur_per_kwh: 0.15}]
export_kind: spot
export_share: 0.9
is_export_paid_when_negative: false
standing: [{eur_per_day: 0.31}]
""",
    """
import_kind: time_of_use
import_windows:
  - {name: week, days: [weekdays], eur_per_kwh: 0.31}
  - {name: weekend, days: [weekends], eur_per_kwh: 0.17}
vat_percent: 7.7
export_kind: time_of_use
export_windows: [{name: noon, hours: ["10:00-15:00"], eur_per_kwh: -0.02}]
export_eur_per_kwh: 0.09
demand: [{eur_per_kw: 3.3, windows: [{hours: ["07:00-20:00"], days: [weekdays]}]}, {eur_per_kw: 1, step_min: 60}]
standing: [{eur_per_month: 12.37}]
""",
)
MONTHLY = (
    """
import_kind: fixed
import_eur_per_kwh: 0.21
vat_percent: 21
tiers: [{up_to_kwh: 90, eur_per_kwh: -0.03}, {up_to_kwh: 500, eur_per_kwh: 0.02}, {eur_per_kwh: 0.11}]
export_eur_per_kwh: 0.05
""",
    """
import_kind: time_of_use
import_eur_per_kwh: 0.21
import_windows: [{name: peak, hours: ["16:00-21:00"], eur_per_kwh: 0.41}]
vat_percent: 10
fees: [{name: Levy, eur_per_kwh: 0.03, is_credited: false}]
tiers: [{up_to_kwh: 60, eur_per_kwh: -0.03}, {eur_per_kwh: 0.02}]
export_kind: spot
net_metering: {period: month}
""",
)
YEARLY = (MONTHLY[1].replace("period: month", "period: year"),)


@dataclass(frozen=True)
class Record:
    """Days of a home in steps, around the end of March, when the clock is moved and the quarter ends."""

    step_s: int
    at_s: FloatArray
    import_wh: FloatArray
    export_wh: FloatArray
    market: FloatArray

    def bill(self, tariff: Tariff, part: slice = slice(None), more_wh: tuple[int, float, float] = (0, 0, 0)) -> Bill:
        taken, given = self.import_wh.copy(), self.export_wh.copy()
        taken[more_wh[0]] += more_wh[1]
        given[more_wh[0]] += more_wh[2]
        start_s = float(self.at_s[part][0])
        return bill(tariff, start_s, self.step_s, taken[part], given[part], self.market[part], BERLIN)

    def metered(self, tariff: Tariff) -> Metered:
        return Metered.of(tariff, float(self.at_s[0]), self.step_s, self.import_wh, self.export_wh, self.market, BERLIN)


@st.composite
def records(draw: st.DrawFn) -> Record:
    step_s = draw(st.sampled_from([900, 1800, 3600]))
    n = draw(st.integers(2, 6)) * 86_400 // step_s
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    load_kw = draw(st.sampled_from([0.1, 1.0, 8.0]))
    sun_kw = draw(st.sampled_from([0.0, 1.0, 8.0]))
    net_wh = (random.exponential(load_kw, n) - random.exponential(sun_kw, n)) * 1000 * step_s / 3600
    return Record(
        step_s,
        steps("2024-03-29T00:00", n, step_s),
        np.maximum(net_wh, 0.0),
        np.maximum(-net_wh, 0.0),
        np.repeat(random.normal(0.05, 0.1, n * step_s // 3600 + 1), 3600 // step_s)[:n],
    )


any_tariff = st.sampled_from([*PLAIN, *MONTHLY, *YEARLY]).map(tariff_of)


@settings(max_examples=60, deadline=None)
@given(any_tariff, records())
def test_the_total_is_the_sum_of_the_lines_and_as_near_to_the_truth_as_rounding_allows(
    tariff: Tariff, record: Record
) -> None:
    found = record.bill(tariff)
    assert found.total_eur == sum(line.amount_eur + line.vat_eur for line in found.lines)
    assert all(line.total_eur == round(line.total_eur, 2) for line in found.lines)
    # half a cent of the amount, with its VAT, and half a cent of VAT
    assert abs(float(found.total_eur) - found.unrounded_eur) <= 0.0112 * len(found.lines)
    energy = sum(line.quantity for line in found.lines if line.item.startswith("Energy"))
    assert abs(float(energy) - record.import_wh.sum() / 1000) < 0.001 * len(found.lines)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([*PLAIN, *MONTHLY]).map(tariff_of), records())
def test_two_invoices_split_at_the_month_are_the_one_of_both(tariff: Tariff, record: Record) -> None:
    border = int(np.searchsorted(record.at_s, steps("2024-04-01T00:00", 1)[0]))
    parts = [slice(0, border), slice(border, None)] if border < len(record.at_s) else [slice(None)]
    lines = [line for part in parts for line in record.bill(tariff, part).lines]
    assert lines == record.bill(tariff).lines


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(PLAIN).map(tariff_of), records(), st.data())
def test_prices_are_the_derivative_of_the_invoice(tariff: Tariff, record: Record, data: st.DataObject) -> None:
    # what a peak costs is the demand charge's, not the price's
    tariff = msgspec.structs.replace(tariff, demand=())
    step = data.draw(st.integers(0, len(record.at_s) - 1))
    buy, sell = prices(tariff, record.at_s, record.market, BERLIN)
    _assert_derivative(tariff, record, step, float(buy[step]), float(sell[step]))


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([*MONTHLY, *YEARLY]).map(tariff_of), records(), st.data())
def test_with_tiers_and_net_metering_they_are_its_derivative_at_the_sums_so_far(
    tariff: Tariff, record: Record, data: st.DataObject
) -> None:
    march = record.at_s < steps("2024-04-01T00:00", 1)[0]
    if not march.all():  # one month at a time, tiers count anew in the next
        series = (record.at_s, record.import_wh, record.export_wh, record.market)
        record = Record(record.step_s, *(values[march] for values in series))
    end_s = float(record.at_s[-1])
    found = seen(tariff, record.metered(tariff), end_s + 1, BERLIN)
    step = data.draw(st.integers(0, len(record.at_s) - 1))
    buy, sell = prices(tariff, record.at_s, record.market, BERLIN, found)
    _assert_derivative(tariff, record, step, float(buy[step]), float(sell[step]))


def _assert_derivative(tariff: Tariff, record: Record, step: int, buy: float, sell: float) -> None:
    before = record.bill(tariff).unrounded_eur
    small_wh = 0.01
    dearer = record.bill(tariff, more_wh=(step, small_wh, 0.0)).unrounded_eur - before
    cheaper = record.bill(tariff, more_wh=(step, 0.0, small_wh)).unrounded_eur - before
    assert abs(dearer / small_wh * 1000 - buy) < 1e-4
    assert abs(-cheaper / small_wh * 1000 - sell) < 1e-4
