"""A device profile as data: which registers hold which points, and how a device may be steered.

A profile is a YAML file; these classes are its grammar, `hearth_agent.devices.validate` its meaning.
Addresses are 0-based wire addresses.
"""

# ruff: noqa: RUF012  a Struct copies an empty default for each object
from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from msgspec import Meta

from hearth_agent.devices.controls import (
    CASES,
    VARIABLES,
    Case,
    ControlKind,
    ControlSpec,
    SafetyClass,
    Write,
)
from hearth_agent.devices.registers import MISSING, REGISTERS, Address, Data, RegisterType, Source, WordOrder
from hearth_core.points import DeviceKind

__all__ = [
    "CASES",
    "REGISTERS",
    "VARIABLES",
    "Access",
    "Case",
    "ControlKind",
    "ControlSpec",
    "Identity",
    "IdentityCheck",
    "IdentityText",
    "PointSpec",
    "Poll",
    "Profile",
    "Protocol",
    "RegisterType",
    "SafetyClass",
    "SerialLine",
    "Source",
    "Transport",
    "WordOrder",
    "Write",
]


class Poll(StrEnum):
    """When a point is read."""

    CONTROL = "control"  # with every poll, and again each control period while the controller guards a limit
    POLL = "poll"  # with every poll
    SLOW = "slow"  # once a minute: temperatures, counters of a device that answers slowly
    ONCE = "once"  # after connecting: ratings and limits the device tells


class Access(StrEnum):
    """What may be done with a point's register."""

    READ = "r"
    BOTH = "rw"


class Transport(StrEnum):
    """How frames reach the device."""

    TCP = "tcp"
    RTU = "rtu"  # over a serial line
    RTU_OVER_TCP = "rtu_over_tcp"  # a transparent serial server
    ASCII = "ascii"  # over a serial line


class PointSpec(Source, frozen=True, kw_only=True):
    """One point of the vocabulary: a source, or the sum of several terms."""

    poll: Poll = Poll.POLL
    access: Access = Access.READ
    unit: str | None = None
    """Unit of the number after ``scale``; the vocabulary's for its points, and needed for extras (``x_...``)."""
    terms: list[Source] = []
    codes: dict[int, int] = {}
    """Translation of a state code; a code that is not listed is missing."""


class IdentityText(Data, frozen=True, kw_only=True):
    """A text register read once after connecting."""

    address: Address
    count: Annotated[int, Meta(ge=1, le=64)]
    fc: Literal[3, 4] = 3
    low_byte_first: bool = False


class IdentityCheck(Data, frozen=True, kw_only=True):
    """Something only this kind of device answers: a register with one of few values, or a text that contains a word."""

    address: Address
    fc: Literal[3, 4] = 3
    type: RegisterType = RegisterType.U16
    word_order: WordOrder = WordOrder.BIG
    count: Annotated[int, Meta(ge=1, le=64)] = 1
    """Registers of a text."""
    low_byte_first: bool = False
    equals: list[int] = []
    low: float | None = None
    high: float | None = None
    """A number's plausible range (both ends count)."""
    contains: str | None = None
    scale: float = 1.0


class Identity(Data, frozen=True, kw_only=True):
    """Who the device is; fixed text in the profile, or registers that tell it."""

    serial: IdentityText | None = None
    model: IdentityText | None = None
    firmware: IdentityText | None = None
    checks: list[IdentityCheck] = []
    """All must hold before the device is taken for this profile's; SunSpec profiles are known by their chain."""
    sunspec_models: list[int] = []
    """SunSpec: the device must have one of these."""
    manufacturers: list[str] = []
    """SunSpec: what the common model's maker must begin with, any when empty."""


class SerialLine(Data, frozen=True, kw_only=True):
    """A device's serial settings as it leaves the factory."""

    baudrate: Annotated[int, Meta(ge=1200, le=921_600)] = 9600
    parity: Literal["N", "E", "O"] = "N"
    bytesize: Literal[7, 8] = 8
    stopbits: Literal[1, 2] = 1


class Protocol(StrEnum):
    """How registers are found."""

    REGISTERS = "registers"
    SUNSPEC = "sunspec"


class Profile(Data, frozen=True, kw_only=True):
    """One kind of device, as its maker documents it."""

    profile: Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9-]{0,62}$")]
    kind: DeviceKind
    manufacturer: str
    model: str
    notes: str = ""
    source: str
    """Where the register facts come from."""
    protocol: Protocol = Protocol.REGISTERS
    transports: Annotated[tuple[Transport, ...], Meta(min_length=1)] = (Transport.TCP,)
    """What the device speaks, the usual one first."""
    serial: SerialLine = SerialLine()
    port: Annotated[int, Meta(ge=1, le=65535)] = 502
    unit: Annotated[int, Meta(ge=0, le=255)] = 1
    max_registers: Annotated[int, Meta(ge=1, le=125)] = 125
    max_gap: Annotated[int, Meta(ge=0, le=124)] = 0
    """Registers between two wanted ones that may be read along; 0 where a device refuses gaps."""
    one_value_per_request: bool = False
    """The device answers only requests for exactly one of its values."""
    min_gap_s: Annotated[float, Meta(ge=0, le=5)] = 0.0
    """Silence between an answer and the next request on the same connection [s]."""
    connect_delay_s: Annotated[float, Meta(ge=0, le=20)] = 0.0
    """Wait after connecting before the first request [s]."""
    forgets_first_request: bool = False
    """The first request after a pause is not answered and has to be sent again."""
    timeout_s: Annotated[float, Meta(ge=0.1, le=10)] = 1.5
    fc: Literal[3, 4] = 3
    write_fc: Literal[6, 16] = 16
    type: RegisterType = RegisterType.U16
    word_order: WordOrder = WordOrder.BIG
    nan: dict[RegisterType, list[int]] = {}
    """Raw values that mean missing, for types where this maker's are not the usual ones (registers.MISSING)."""
    points: Annotated[dict[str, PointSpec], Meta(min_length=1)]
    identity: Identity = Identity()
    controls: dict[ControlKind, ControlSpec] = {}

    def missing(self, source: Source) -> list[int]:
        """Return the raw values that mean missing at a plain register: its own, else the profile's, else the type's."""
        if source.nan is not None:
            return source.nan
        kind = source.type or self.type
        return self.nan.get(kind, MISSING.get(kind, []))
