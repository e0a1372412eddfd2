"""The invoice of a span, line by line, from metered energy.

Rounding: the amount of each line is rounded to the cent, halves away from zero; VAT is reckoned from the rounded amount
and rounded alike; totals are sums of rounded figures. So every sum of lines is exact, and each can be done by hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal

import msgspec
import numpy as np

from hearth_core.tariff import Tariff
from hearth_models.arrays import FloatArray
from hearth_models.tariffs.local import day_counts
from hearth_models.tariffs.metered import Metered
from hearth_models.tariffs.parts import Part

_CENT = Decimal("0.01")


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One item of one month. Quantity times price is the amount but for rounding; negative is to the home's favour."""

    month: str
    """Such as 2024-03."""
    item: str
    quantity: Decimal
    unit: str
    """kWh, kW, days or months."""
    price_eur: Decimal
    """Per unit, before VAT; a mean where prices vary."""
    amount_eur: Decimal
    """Before VAT."""
    vat_eur: Decimal
    unrounded_eur: float
    """VAT included; for comparisons that must not jump by cents."""

    @property
    def total_eur(self) -> Decimal:
        """Amount and VAT."""
        return self.amount_eur + self.vat_eur


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice; lines are in the order of months, and in each month in the order of the tariff."""

    lines: list[Line]
    unmeasured_steps: int
    """Steps without a reading; they were billed as if nothing had flowed."""

    @property
    def amount_eur(self) -> Decimal:
        """Sum before VAT."""
        return sum((line.amount_eur for line in self.lines), Decimal(0))

    @property
    def vat_eur(self) -> Decimal:
        """Sum of VAT."""
        return sum((line.vat_eur for line in self.lines), Decimal(0))

    @property
    def total_eur(self) -> Decimal:
        """What is to be paid; negative is a credit."""
        return self.amount_eur + self.vat_eur

    @property
    def unrounded_eur(self) -> float:
        """What would be paid without rounding."""
        return sum(line.unrounded_eur for line in self.lines)


def bill(
    tariff: Tariff,
    start_s: float,
    step_s: int,
    import_wh: FloatArray,
    export_wh: FloatArray,
    day_ahead_eur_per_kwh: FloatArray,
    timezone: str,
) -> Bill:
    """Return the invoice of a span; arrays have one value a step, shape (n,).

    A step belongs to the month and window it begins in. Net metering is settled in the last month of each period that
    the span touches; when feed-in is more than import, each kWh fed in is credited with the same share. A day that the
    span touches is charged for whole, a month by its share of days; demand by the peaks the span has seen.

    Args:
        tariff: The tariff.
        start_s: Begin of the first step [s].
        step_s: Length of a step, at most an hour.
        import_wh: Energy from the grid; NaN where not measured.
        export_wh: Energy into the grid; NaN where not measured.
        day_ahead_eur_per_kwh: Market price; NaN where unknown or the tariff has no use for it.
        timezone: The home's.

    Raises:
        TariffError: Arrays differ in length, energy is negative, or a price is missing; the field is named.
    """
    metered = Metered.of(tariff, start_s, step_s, import_wh, export_wh, day_ahead_eur_per_kwh, timezone)
    rate = Decimal(str(tariff.vat_percent)) / 100
    lines = [
        *(item for part in metered.parts for item in _energy(part, metered, metered.import_kwh, rate)),
        *_tiers(tariff, metered, rate),
        *_feed_in(tariff, metered, rate),
        *_demand(tariff, metered, rate),
        *_standing(tariff, metered, rate),
    ]
    # sorting keeps the order within a month
    unmeasured = int((metered.is_measured == 0).sum())
    return Bill(lines=sorted(lines, key=lambda line: line.month), unmeasured_steps=unmeasured)


def _energy(part: Part, metered: Metered, kwh: FloatArray, rate: Decimal, sign: float = 1.0) -> Iterator[Line]:
    """Yield a line for each month and window in which energy flowed."""
    names = [*part.labels, ""]
    # -1, outside all windows, becomes the last
    window = part.window % len(names)
    keys, back = np.unique(metered.local.month * len(names) + window, return_inverse=True)
    energy = np.bincount(back, kwh)
    worth = np.bincount(back, kwh * part.eur_per_kwh)
    for key, quantity, amount in zip(keys.tolist(), energy.tolist(), worth.tolist(), strict=True):
        if quantity:
            label = names[key % len(names)]
            name = f"{part.name}, {label}" if label else part.name
            yield _line(key // len(names), name, quantity, "kWh", sign * amount, rate)


def _tiers(tariff: Tariff, metered: Metered, rate: Decimal) -> Iterator[Line]:
    if not tariff.tiers:
        return
    months, back = np.unique(metered.local.month, return_inverse=True)
    consumed = metered.import_kwh - (metered.export_kwh if tariff.net_metering else 0.0)
    for month, total in zip(months.tolist(), np.bincount(back, consumed).tolist(), strict=True):
        begin = 0.0
        for number, tier in enumerate(tariff.tiers, start=1):
            end = np.inf if tier.up_to_kwh is None else tier.up_to_kwh
            quantity = max(0.0, min(total, end) - begin)
            if quantity:
                yield _line(month, f"Tier {number}", quantity, "kWh", quantity * tier.eur_per_kwh, rate)
            begin = end


def _feed_in(tariff: Tariff, metered: Metered, rate: Decimal) -> Iterator[Line]:
    """Yield what feed-in earns: by month, or by period after what net metering credits."""
    if tariff.net_metering is None:
        yield from _energy(metered.feed_in, metered, metered.export_kwh, Decimal(0), sign=-1.0)
        return
    periods, back = np.unique(metered.local.period(tariff.net_metering), return_inverse=True)
    bought, sold = np.bincount(back, metered.import_kwh), np.bincount(back, metered.export_kwh)
    credit = np.bincount(back, metered.export_kwh * metered.credit_eur_per_kwh)
    rest = np.bincount(back, metered.export_kwh * metered.feed_in.eur_per_kwh)
    for number in range(len(periods)):
        if not sold[number]:
            continue
        month = int(metered.local.month[back == number][-1])
        credited_kwh = min(bought[number], sold[number])
        share = credited_kwh / sold[number]
        if credited_kwh:
            yield _line(month, "Net metering credit", credited_kwh, "kWh", -share * credit[number], rate)
        if share < 1:
            rest_kwh = sold[number] - credited_kwh
            yield _line(month, "Feed-in beyond import", rest_kwh, "kWh", -(1 - share) * rest[number], Decimal(0))


def _demand(tariff: Tariff, metered: Metered, rate: Decimal) -> Iterator[Line]:
    for demand in tariff.demand:
        for month in np.unique(metered.local.month).tolist():
            peak_kw = metered.peak_kw(demand, metered.local.month == month)
            billed_kw = max(peak_kw - demand.free_kw, demand.minimum_kw)
            if billed_kw > 0:
                yield _line(month, demand.name, billed_kw, "kW", billed_kw * demand.eur_per_kw, rate)


def _standing(tariff: Tariff, metered: Metered, rate: Decimal) -> Iterator[Line]:
    _, first = np.unique(metered.local.day, return_index=True)
    months, counts = np.unique(metered.local.month[first], return_counts=True)
    lengths = day_counts(months).tolist()
    for charge in tariff.standing:
        for month, count, length in zip(months.tolist(), counts.tolist(), lengths, strict=True):
            if charge.eur_per_day is not None:
                yield _line(month, charge.name, count, "days", count * charge.eur_per_day, rate)
            else:
                share = count / length
                yield _line(month, charge.name, share, "months", share * (charge.eur_per_month or 0.0), rate)


def _line(month: int, item: str, quantity: float, unit: str, amount_eur: float, vat_rate: Decimal) -> Line:
    amount = _cents(_decimal(amount_eur))
    return Line(
        month=f"{1970 + month // 12}-{month % 12 + 1:02d}",
        item=item,
        quantity=_decimal(quantity).quantize(Decimal("0.001"), ROUND_HALF_UP),
        unit=unit,
        price_eur=_decimal(amount_eur / quantity).quantize(Decimal("0.000001"), ROUND_HALF_UP),
        amount_eur=amount,
        vat_eur=_cents(amount * vat_rate),
        unrounded_eur=amount_eur * float(1 + vat_rate),
    )


def _decimal(value: float) -> Decimal:
    """Return a sum without its binary noise, which must not decide where half a cent goes."""
    return Decimal(repr(round(float(value), 9)))


def _cents(value: Decimal) -> Decimal:
    # adding 0 turns -0.00 into 0.00
    return value.quantize(_CENT, ROUND_HALF_UP) + 0
