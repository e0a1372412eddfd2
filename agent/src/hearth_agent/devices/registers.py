"""The smallest words of a profile: how a number lies in registers, and where one number comes from."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Address = Annotated[int, Meta(ge=0, le=65535)]


class RegisterType(StrEnum):
    """How a number lies in registers; bytes inside a register are always high byte first."""

    U16 = "u16"
    S16 = "s16"
    U32 = "u32"
    S32 = "s32"
    U64 = "u64"
    S64 = "s64"
    F32 = "f32"
    F64 = "f64"
    STR = "str"


REGISTERS = {
    RegisterType.U16: 1,
    RegisterType.S16: 1,
    RegisterType.U32: 2,
    RegisterType.S32: 2,
    RegisterType.U64: 4,
    RegisterType.S64: 4,
    RegisterType.F32: 2,
    RegisterType.F64: 4,
}

# What makers put into a register that has nothing to say; floats say NaN. A profile may know other patterns.
MISSING: dict[RegisterType, list[int]] = {
    RegisterType.U16: [0xFFFF],
    RegisterType.S16: [0x8000],
    RegisterType.U32: [0xFFFF_FFFF],
    RegisterType.S32: [0x8000_0000],
    RegisterType.U64: [0xFFFF_FFFF_FFFF_FFFF],
    RegisterType.S64: [0x8000_0000_0000_0000],
}


class WordOrder(StrEnum):
    """Which register of a long number comes first: ``big`` = the high word, the Modbus norm."""

    BIG = "big"
    LITTLE = "little"


class Data(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Profile data never changes while an agent runs, and a misspelt key is refused."""


class Source(Data, frozen=True, kw_only=True):
    """Where one number comes from: a register (``address``), or a point of a SunSpec model.

    A SunSpec profile may mix both: what a maker has beside the models lies at fixed addresses.
    """

    address: Address | None = None
    fc: Literal[3, 4] | None = None
    type: RegisterType | None = None
    word_order: WordOrder | None = None
    nan: list[int] | None = None
    """Raw values (as unsigned integers) that mean missing; None is the profile's rule for the type, [] is none."""
    zero: list[int] = []
    """Raw values that stand for 0: a string that is not fitted, no current."""
    model: int | list[int] | None = None
    """SunSpec model, or models of which the first one the device has is taken."""
    point: str | None = None
    module: Annotated[int, Meta(ge=1, le=20)] | None = None
    """Which block of a repeating SunSpec group, from 1."""
    occurrence: Annotated[int, Meta(ge=1, le=10)] = 1
    """Which of several such SunSpec models of one chain, from 1 (meters behind an inverter)."""
    scale: float = 1.0
    sign: Literal[1, -1] = 1

    @property
    def models(self) -> list[int]:
        """The SunSpec models to try, in order."""
        if self.model is None:
            return []
        return self.model if isinstance(self.model, list) else [self.model]
