"""A device profile as data: which registers hold which points, and how a device may be steered.

A profile is a YAML file; these classes are its grammar, `hearth_agent.devices.validate` its meaning.
Addresses are 0-based wire addresses.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from hearth_core.points import DeviceKind

Address = Annotated[int, Meta(ge=0, le=65535)]


class RegisterType(StrEnum):
    """How a number lies in registers; bytes inside a register are always high byte first."""

    U16 = "u16"
    S16 = "s16"
    U32 = "u32"
    S32 = "s32"
    U64 = "u64"
    F32 = "f32"
    STR = "str"


REGISTERS = {
    RegisterType.U16: 1,
    RegisterType.S16: 1,
    RegisterType.U32: 2,
    RegisterType.S32: 2,
    RegisterType.U64: 4,
    RegisterType.F32: 2,
}


class WordOrder(StrEnum):
    """Which register of a long number comes first: ``big`` = the high word, the Modbus norm."""

    BIG = "big"
    LITTLE = "little"


class Poll(StrEnum):
    """When a point is read."""

    CONTROL = "control"  # with every poll, and again each control period while the controller guards a limit
    POLL = "poll"  # with every poll


class SafetyClass(StrEnum):
    """What a device does with an order nobody repeats."""

    TIMED = "T"  # reverts by itself: refresh at half its time
    STICKY = "S"  # keeps it for ever: the agent writes the safe state at start, stop and loss
    FLASH = "F"  # stores it in flash: never written cyclically


class _Data(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Profile data never changes while an agent runs, and a misspelt key is refused."""


class Source(_Data, frozen=True, kw_only=True):
    """Where one number comes from: a register (``address``), or a point of a SunSpec model."""

    address: Address | None = None
    fc: Literal[3, 4] | None = None
    type: RegisterType | None = None
    word_order: WordOrder | None = None
    nan: list[int] = []
    """Raw values (as unsigned integers) that mean missing."""
    model: int | list[int] | None = None
    """SunSpec model, or models of which the first one the device has is taken."""
    point: str | None = None
    module: Annotated[int, Meta(ge=1, le=20)] | None = None
    """Which block of a repeating SunSpec group, from 1."""
    scale: float = 1.0
    sign: Literal[1, -1] = 1

    @property
    def models(self) -> list[int]:
        """The SunSpec models to try, in order."""
        if self.model is None:
            return []
        return self.model if isinstance(self.model, list) else [self.model]


class PointSpec(Source, frozen=True, kw_only=True):
    """One point of the vocabulary: a source, or the sum of several terms."""

    poll: Poll = Poll.POLL
    terms: list[Source] = []
    codes: dict[int, int] = {}
    """Translation of a state code; a code that is not listed is missing."""


class IdentityText(_Data, frozen=True, kw_only=True):
    """A text register read once after connecting."""

    address: Address
    count: Annotated[int, Meta(ge=1, le=64)]
    fc: Literal[3, 4] = 3


class Identity(_Data, frozen=True, kw_only=True):
    """Who the device is; fixed text in the profile, or registers that tell it."""

    serial: IdentityText | None = None


class Write(_Data, frozen=True, kw_only=True):
    """One register of an order: a number, or a variable of the control."""

    address: Address | None = None
    type: RegisterType = RegisterType.U16
    word_order: WordOrder = WordOrder.BIG
    model: int | None = None
    point: str | None = None
    value: float | str
    scale: float = 1.0
    """Register value x scale = value (plain registers; SunSpec points bring their own scale factor)."""
    percent_of: Source | None = None
    """The device wants the value as percent of this quantity, which it tells itself."""


class ControlSpec(_Data, frozen=True, kw_only=True):
    """How one thing a device can do is ordered."""

    safety_class: SafetyClass = msgspec.field(name="class")
    lease_s: Annotated[float, Meta(ge=2, le=3600)] | None = None
    """Class T: the device is back in its own mode when so long nothing was written [s]."""
    order: Annotated[list[Write], Meta(min_length=1)]
    refresh: list[Write] = []
    """Class T: what is written again to keep the order alive; it must also restore it."""
    safe: list[Write]
    """Back to the device's own mode."""
    min_a: Annotated[float, Meta(ge=0, le=80)] = 6.0
    max_a: Annotated[float, Meta(ge=0, le=80)] = 16.0


class ControlKind(StrEnum):
    """What can be ordered, and the variables each order offers to the profile."""

    BATTERY_INTERVAL = "battery_interval"
    EV_CURRENT = "ev_current"


VARIABLES: dict[ControlKind, frozenset[str]] = {
    # the battery may run between -charge_w and discharge_w (+ = discharge); negative values force the other way
    ControlKind.BATTERY_INTERVAL: frozenset({"charge_w", "discharge_w", "grid_charge", "lease_s"}),
    ControlKind.EV_CURRENT: frozenset({"current_a", "paused", "allowed"}),
}


class Protocol(StrEnum):
    """How registers are found."""

    REGISTERS = "registers"
    SUNSPEC = "sunspec"


class Profile(_Data, frozen=True, kw_only=True):
    """One kind of device, as its maker documents it."""

    profile: Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9-]{0,62}$")]
    kind: DeviceKind
    manufacturer: str
    model: str
    notes: str = ""
    source: str
    """Where the register facts come from."""
    protocol: Protocol = Protocol.REGISTERS
    port: Annotated[int, Meta(ge=1, le=65535)] = 502
    unit: Annotated[int, Meta(ge=0, le=255)] = 1
    max_registers: Annotated[int, Meta(ge=1, le=125)] = 125
    max_gap: Annotated[int, Meta(ge=0, le=124)] = 0
    """Registers between two wanted ones that may be read along; 0 where a device refuses gaps."""
    timeout_s: Annotated[float, Meta(ge=0.1, le=5)] = 1.5
    fc: Literal[3, 4] = 3
    type: RegisterType = RegisterType.U16
    word_order: WordOrder = WordOrder.BIG
    points: Annotated[dict[str, PointSpec], Meta(min_length=1)]
    identity: Identity = Identity()
    controls: dict[ControlKind, ControlSpec] = {}
