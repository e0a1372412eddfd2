"""Where every point of a profile lies on one device, and how its number is made from registers.

A plain profile knows its addresses; a SunSpec device is asked for its chain of models first, because optional
models and the float setting move everything behind them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from hearth_agent.devices.profile import REGISTERS, Poll, Profile, RegisterType, Source, WordOrder, Write
from hearth_agent.devices.sunspec_models import ModelPoint, definition
from hearth_core.points import POINTS


class Place(NamedTuple):
    """One number in the registers of one device."""

    fc: int
    address: int
    type: RegisterType
    word_order: WordOrder
    missing: frozenset[int]
    """Raw values that mean missing."""
    factor: float
    scale_factor_address: int | None
    """Register (same function code) with the power of ten, read in the same answer."""


@dataclass(frozen=True)
class LaidOutPoint:
    """A point as the sum of its places."""

    name: str
    poll: Poll
    places: tuple[Place, ...]
    codes: Mapping[int, int]
    low: float
    high: float


class Chain(NamedTuple):
    """The models one SunSpec device has: model -> (address of its id register, its length)."""

    models: dict[int, tuple[int, int]]


def lay_out(profile: Profile, chain: Chain | None) -> list[LaidOutPoint]:
    """Place every point of a profile that this device has.

    Args:
        profile: A checked profile.
        chain: The device's SunSpec models; None for plain profiles.

    Returns:
        The points; one whose model the device lacks is left out (and so is always missing).
    """
    laid_out = []
    for name, spec in profile.points.items():
        terms: Iterable[Source] = spec.terms or (spec,)
        places = [place(profile, term, chain) for term in terms]
        found = tuple(one for one in places if one is not None)
        if len(found) == len(places):
            known = POINTS.get(name)
            low, high = (known.low, known.high) if known else (float("-inf"), float("inf"))
            laid_out.append(LaidOutPoint(name, spec.poll, found, spec.codes, low, high))
    return laid_out


def place(profile: Profile, source: Source, chain: Chain | None) -> Place | None:
    """Place one source, or None when the device does not have it."""
    if chain is None:
        kind = source.type or profile.type
        return Place(
            fc=source.fc or profile.fc,
            address=source.address or 0,
            type=kind,
            word_order=source.word_order or profile.word_order,
            missing=frozenset(source.nan),
            factor=source.scale * source.sign,
            scale_factor_address=None,
        )
    for model in source.models:
        if model in chain.models:
            return _sunspec_place(model, chain.models[model], source)
    return None


def write_place(profile: Profile, write: Write, chain: Chain | None) -> Place | None:
    """Place one register of an order, or None when the device does not have it."""
    if chain is None:
        return Place(
            3, write.address or 0, write.type, write.word_order or profile.word_order, frozenset(), write.scale, None
        )
    if write.model is None or write.model not in chain.models:
        return None
    return _sunspec_place(write.model, chain.models[write.model], Source(model=write.model, point=write.point))


def _sunspec_place(model: int, where: tuple[int, int], source: Source) -> Place | None:
    address, length = where
    known = definition(model)
    name = source.point or ""
    if source.module is None:
        point, start = known.fixed[name], address
    else:
        point = known.repeating[name]
        start = address + known.fixed_registers + (source.module - 1) * known.repeating_registers
    if start + point.offset + point.registers > address + 2 + length:
        return None  # this device's model is shorter: it has fewer modules
    return Place(
        fc=3,
        address=start + point.offset,
        type=point.type,
        word_order=WordOrder.BIG,
        missing=frozenset() if point.missing is None else frozenset((point.missing,)),
        factor=source.scale * source.sign,
        scale_factor_address=_scale_factor(address, point, known.fixed),
    )


def _scale_factor(address: int, point: ModelPoint, fixed: Mapping[str, ModelPoint]) -> int | None:
    return address + fixed[point.scale_factor].offset if point.scale_factor else None


def registers_of(one: Place) -> tuple[int, int]:
    """Return the first register and the one after the last that must come from the same answer."""
    first, end = one.address, one.address + REGISTERS[one.type]
    if one.scale_factor_address is not None:
        first, end = min(first, one.scale_factor_address), max(end, one.scale_factor_address + 1)
    return first, end
