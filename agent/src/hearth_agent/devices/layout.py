"""Where every point of a profile lies on one device, and how its number is made from registers.

A plain profile knows its addresses; a SunSpec device is asked for its chain of models first, because optional
models and the float setting move everything behind them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from hearth_agent.devices.controls import Write
from hearth_agent.devices.profile import Poll, Profile
from hearth_agent.devices.question import READ_COILS, READ_HOLDING, WRITE_COIL
from hearth_agent.devices.registers import REGISTERS, RegisterType, Source, WordOrder
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
    zero: frozenset[int] = frozenset()
    """Raw values that stand for 0."""


@dataclass(frozen=True)
class LaidOutPoint:
    """A point as the sum of its places."""

    name: str
    poll: Poll
    places: tuple[Place, ...]
    codes: Mapping[int, int]
    low: float
    high: float


class Block(NamedTuple):
    """One model of a device: the address of its id register, and how many registers follow its length."""

    model: int
    address: int
    length: int


@dataclass(frozen=True)
class Chain:
    """The models one SunSpec device has, in their order; a model may come again (meters behind an inverter)."""

    blocks: tuple[Block, ...]

    @property
    def models(self) -> frozenset[int]:
        """Which models there are."""
        return frozenset(block.model for block in self.blocks)

    def find(self, models: Collection[int], occurrence: int = 1) -> Block | None:
        """Return the n-th block of the first of these models that occurs so often; None when there is none."""
        for model in models:
            blocks = [block for block in self.blocks if block.model == model]
            if len(blocks) >= occurrence:
                return blocks[occurrence - 1]
        return None


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
    if source.address is not None:
        return Place(
            fc=source.fc or profile.fc,
            address=source.address,
            type=source.type or profile.type,
            word_order=source.word_order or profile.word_order,
            missing=frozenset(profile.missing(source)),
            factor=source.scale * source.sign,
            scale_factor_address=None,
            zero=frozenset(source.zero),
        )
    block = chain.find(source.models, source.occurrence) if chain is not None else None
    return _sunspec_place(block, source) if block is not None else None


def write_place(profile: Profile, write: Write, chain: Chain | None) -> Place | None:
    """Place one register of an order where it can be read back, or None when the device does not have it."""
    if write.address is not None:
        fc = READ_COILS if write.fc == WRITE_COIL else READ_HOLDING
        word_order = write.word_order or profile.word_order
        return Place(fc, write.address, write.type, word_order, frozenset(), write.scale, None)
    source = Source(model=write.model, point=write.point)
    block = chain.find(source.models) if chain is not None else None
    return _sunspec_place(block, source) if block is not None else None


def _sunspec_place(block: Block, source: Source) -> Place | None:
    model, address, length = block
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
        fc=READ_HOLDING,
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
