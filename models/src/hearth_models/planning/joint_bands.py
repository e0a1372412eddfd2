"""A battery whose efficiency is stated by bands of power, in the joint programme.

The efficiency jumps at the edge of a band, so each power is in one band and one direction. The linear programme may
mix them; where it does, or where it runs a band below its edge, switches decide.
"""

from __future__ import annotations

import numpy as np

from hearth_models.arrays import BoolArray, FloatArray
from hearth_models.planning.joint import Joint
from hearth_models.planning.problem import EfficiencyBand
from hearth_models.planning.programme import TINY, Choice, Parts, total

# A power is this much above the edge of the band below [kW]; so it is still when it is told in watts.
_ABOVE_KW = 1e-3


def stated_bands(joint: Joint, bands: list[EfficiencyBand], most_kw: FloatArray, side: int) -> tuple[Parts, Parts]:
    """Add AC power that is in one of some bands.

    Args:
        joint: The programme.
        bands: The lowest first.
        most_kw: Most power of each step.
        side: -1 = into the cells, +1 = out of them.

    Returns:
        The bands [kW], and what each adds to the storage rows.
    """
    parts, cells = [], []
    for band, least_kw in zip(bands, _edges_kw(bands), strict=True):
        widest_kw = np.minimum(band.up_to_w / 1000, most_kw)
        upper_kw = np.where(widest_kw > least_kw, widest_kw, 0.0)
        power = joint.programme.columns(joint.n, upper=upper_kw)
        parts.append((power, upper_kw))
        cells.append((power, joint.hours * (-band.efficiency if side < 0 else 1 / band.efficiency)))
    return parts, cells


def one_band(joint: Joint, bands: list[EfficiencyBand], into: Parts, out_of: Parts) -> None:
    """Let power be in one band and direction of each step only."""
    programme, n = joint.programme, joint.n
    parts, least_kw = [*into, *out_of], 2 * _edges_kw(bands)
    switches = [programme.switches(n) for _ in parts]
    for (power, most), least, is_in in zip(parts, least_kw, switches, strict=True):
        programme.rows([(power, 1.0), (is_in, -most)], upper=0.0)
        # a band that cannot be reached has no least power either
        programme.rows([(power, 1.0), (is_in, -np.minimum(least, most))], lower=0.0)
    programme.rows([(is_in, 1.0) for is_in in switches], upper=1.0)
    shares = [(power, np.where(most > 0, 1 / np.maximum(most, TINY), 0.0)) for power, most in parts]
    programme.rows(shares, upper=1.0)

    def is_broken(values: FloatArray) -> BoolArray:
        powers = np.array([values[power] for power, _ in parts])
        is_used = powers > TINY
        is_low = powers < np.array(least_kw)[:, None] - TINY
        broken: BoolArray = (is_used.sum(axis=0) > 1) | (is_used & is_low).any(axis=0)
        return np.tile(broken, len(parts))

    def settle(values: FloatArray) -> FloatArray:
        inward = total(into, values) - total(out_of, values)
        band = np.searchsorted(np.array(least_kw[: len(bands)])[1:], np.abs(inward), side="right")
        place = np.where(inward < -TINY, band + len(bands), band)
        reachable = np.array([most for _, most in parts])[place, np.arange(n)] > 0
        chosen = np.zeros((len(parts), n))
        chosen[np.where(reachable, place, 0), np.arange(n)] = 1.0
        return chosen.ravel()

    columns = np.concatenate(switches)
    programme.choices.append(Choice(columns, is_broken, settle, np.tile(joint.is_burning, len(parts))))
    programme.rest.append((columns, np.zeros(len(columns))))


def _edges_kw(bands: list[EfficiencyBand]) -> list[float]:
    return [0.0, *(band.up_to_w / 1000 + _ABOVE_KW for band in bands[:-1])]
