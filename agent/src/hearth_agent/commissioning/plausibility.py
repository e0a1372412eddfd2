"""Does a device's own set of numbers hang together? Units and scales that are wrong are named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median, quantiles

from hearth_agent.commissioning.findings import Finding, Result, factor_name
from hearth_agent.commissioning.sampling import Sample, column, rows
from hearth_agent.devices.profile import Profile

_LINES = (1, 2, 3)
_VOLTS, _VOLT_RANGE = 230.0, (90.0, 280.0)
_HERTZ, _HERTZ_RANGES = 50.0, ((49.0, 51.0), (59.0, 61.0))
_LEAST_VA = 60.0
_MOST_POWER_FACTOR, _LEAST_POWER_FACTOR = 1.15, 0.12
_LEAST_WH, _LEAST_TICKS = 20.0, 4
_PROFILE_REMEDY = "correct the point's scale in a copy of the profile, or the device's setting"


def check_device(device: str, profile: Profile, samples: Sequence[Sample], phases: int) -> Iterator[Finding]:
    """Yield what can be said of one device from its own values.

    Args:
        device: Its id.
        profile: As wired.
        samples: Some minutes.
        phases: Of the home.
    """
    if not any(device in one.values for one in samples):
        yield _failed(device, "answers", "it never answered", "see `hearth-agent probe`: host, port, unit, wiring")
        return
    for line in _LINES[:phases]:
        yield from _voltage(device, f"voltage_l{line}_v", samples, line)
    yield from _frequency(device, samples)
    yield from _phase_sum(device, samples, phases)
    yield from _apparent_power(device, samples, phases)
    for counter, side in _counters(profile):
        yield from _counter(device, counter, side, samples)


def _voltage(device: str, point: str, samples: Sequence[Sample], line: int) -> Iterator[Finding]:
    values = column(samples, device, point)
    if not values:
        return
    volts = median(values)
    text = f"L{line} has {volts:.0f} V"
    if _VOLT_RANGE[0] <= volts <= _VOLT_RANGE[1]:
        yield _passed(device, f"voltage L{line}", text, volts=volts)
    elif volts < 1.0:
        remedy = f"connect L{line}, or correct site.limits.phases"
        yield _failed(device, f"voltage L{line}", text, remedy, volts=volts)
    else:
        name = factor_name(volts / _VOLTS, 0.4)
        yield _failed(
            device, f"voltage L{line}", f"{text}, {name or 'which no home has'}", _PROFILE_REMEDY, volts=volts
        )


def _frequency(device: str, samples: Sequence[Sample]) -> Iterator[Finding]:
    values = column(samples, device, "frequency_hz")
    if not values:
        return
    hertz = median(values)
    if any(low <= hertz <= high for low, high in _HERTZ_RANGES):
        yield _passed(device, "frequency", f"{hertz:.2f} Hz", hertz=hertz)
    else:
        text = f"{hertz:.2f} Hz, {factor_name(hertz / _HERTZ, 0.25) or 'which no grid has'}"
        yield _failed(device, "frequency", text, _PROFILE_REMEDY, hertz=hertz)


def _phase_sum(device: str, samples: Sequence[Sample], phases: int) -> Iterator[Finding]:
    """The total must be the sum of the phases."""
    found = rows(samples, device, ["power_w", *(f"power_l{n}_w" for n in _LINES[:phases])])
    if not found:
        return
    gap_w = median(abs(total - sum(each)) for total, *each in found)
    size_w = median(max(abs(total), *map(abs, each)) for total, *each in found)
    if gap_w <= 10.0 + 0.03 * size_w:
        yield _passed(device, "sum of phases", f"total and sum of phases differ by {gap_w:.0f} W", gap_w=gap_w)
        return
    total_w, sum_w = median(row[0] for row in found), median(sum(row[1:]) for row in found)
    name = factor_name(total_w / sum_w, 0.1) if sum_w else ""
    text = f"the total is {total_w:.0f} W, its phases are {sum_w:.0f} W together{'; ' if name else ''}{name}"
    yield _failed(device, "sum of phases", text, _PROFILE_REMEDY, total_w=total_w, phases_w=sum_w)


def _apparent_power(device: str, samples: Sequence[Sample], phases: int) -> Iterator[Finding]:
    """Power must not exceed voltage times current; a power factor that is a power of ten is a scale."""
    factors, highest_va = [], 0.0
    for line in _LINES[:phases]:
        for watts, volts, amps in rows(samples, device, [f"{name}_l{line}_{unit}" for name, unit in _WHAT]):
            highest_va = max(highest_va, volts * abs(amps))
            if volts * abs(amps) > _LEAST_VA:
                factors.append(abs(watts) / (volts * abs(amps)))
    if highest_va == 0.0:
        return
    if len(factors) < phases:
        text = f"hardly any current flows ({highest_va:.0f} VA at most)"
        yield _unsure(device, "power factor", text, "repeat it while something of 1 kW runs")
        return
    factor = quantiles(factors, n=10)[-1] if len(factors) > 1 else factors[0]
    text = f"power is {factor:.4g} of voltage times current"
    if factor > _MOST_POWER_FACTOR:
        name = factor_name(factor, 0.9) or "more than there can be"
        yield _failed(device, "power factor", f"{text}: {name}", _PROFILE_REMEDY, factor=factor)
    elif factor < _LEAST_POWER_FACTOR:
        remedy = "repeat it while something of 1 kW runs; if it stays so, the scale of power or current is wrong"
        yield _unsure(device, "power factor", text, remedy, factor=factor)
    else:
        yield _passed(device, "power factor", text, factor=factor)


_WHAT = (("power", "w"), ("voltage", "v"), ("current", "a"))


def _counters(profile: Profile) -> Iterator[tuple[str, int]]:
    """Yield the counters that integrate ``power_w``, each with the sign of power that it counts."""
    for counter, side in (("import_energy_wh", 1), ("export_energy_wh", -1), ("energy_wh", 1)):
        if counter in profile.points and "power_w" in profile.points:
            yield counter, side


def _counter(device: str, counter: str, side: int, samples: Sequence[Sample]) -> Iterator[Finding]:
    """A counter must grow by the energy that its power says."""
    known = [one for one in samples if {counter, "power_w"} <= one.values.get(device, {}).keys()]
    if len(known) < 2:
        return
    grown_wh = known[-1].values[device][counter] - known[0].values[device][counter]
    flowed_wh, other_wh = _energy(device, known, side), _energy(device, known, -side)
    figures = {"counted_wh": grown_wh, "integrated_wh": flowed_wh}
    text = f"{counter} grew by {grown_wh:.0f} Wh, its power says {flowed_wh:.0f} Wh"
    if max(flowed_wh, grown_wh) < _LEAST_WH:
        yield _unsure(device, counter, text, "too little flowed; a longer --watch-s shows it", **figures)
    elif 0.7 * flowed_wh - 5 <= grown_wh <= 1.4 * flowed_wh + 5:
        yield _passed(device, counter, text, **figures)
    elif flowed_wh < 0.3 * other_wh and 0.7 * other_wh <= grown_wh <= 1.4 * other_wh:
        remedy = f"the sign of power and that of the counters contradict each other: set `sign: -1` on {device}"
        yield _failed(device, counter, f"{text}; the other direction says {other_wh:.0f} Wh", remedy, **figures)
    elif _ticks(column(known, device, counter)) < _LEAST_TICKS:
        yield _unsure(device, counter, text, "the counter is coarse; a longer --watch-s shows it", **figures)
    elif flowed_wh > 0 and (name := factor_name(grown_wh / flowed_wh)):
        yield _failed(device, counter, f"{text}: counter {name}", _PROFILE_REMEDY, **figures)
    else:
        yield _unsure(device, counter, text, "compare it with the device's own display", **figures)


def _ticks(values: Sequence[float]) -> int:
    """Return how often a counter went up."""
    return sum(new > old for old, new in pairwise(values))


def _energy(device: str, samples: Sequence[Sample], side: int) -> float:
    """Integrate the positive (side 1) or negative part of power [Wh]."""
    total = 0.0
    for old, new in pairwise(samples):
        mean_w = (max(side * old.values[device]["power_w"], 0) + max(side * new.values[device]["power_w"], 0)) / 2
        total += mean_w * (new.at_s - old.at_s) / 3600
    return total


def _passed(device: str, check: str, text: str, **figures: float) -> Finding:
    return Finding(device=device, check=check, result=Result.PASSED, text=text, figures=figures)


def _failed(device: str, check: str, text: str, remedy: str, **figures: float) -> Finding:
    return Finding(device=device, check=check, result=Result.FAILED, text=text, remedy=remedy, figures=figures)


def _unsure(device: str, check: str, text: str, remedy: str, **figures: float) -> Finding:
    return Finding(device=device, check=check, result=Result.INCONCLUSIVE, text=text, remedy=remedy, figures=figures)
