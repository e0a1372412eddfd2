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


class WordOrder(StrEnum):
    """Which register of a long number comes first: ``big`` = the high word, the Modbus norm."""

    BIG = "big"
    LITTLE = "little"


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
    occurrence: Annotated[int, Meta(ge=1, le=10)] = 1
    """Which of several equal SunSpec models of one chain, from 1 (meters behind an inverter)."""
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
    access: Access = Access.READ
    unit: str | None = None
    """Unit of the number after ``scale``; the vocabulary's for its points, and needed for extras (``x_...``)."""
    terms: list[Source] = []
    codes: dict[int, int] = {}
    """Translation of a state code; a code that is not listed is missing."""


class IdentityText(_Data, frozen=True, kw_only=True):
    """A text register read once after connecting."""

    address: Address
    count: Annotated[int, Meta(ge=1, le=64)]
    fc: Literal[3, 4] = 3
    low_byte_first: bool = False


class IdentityCheck(_Data, frozen=True, kw_only=True):
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


class Identity(_Data, frozen=True, kw_only=True):
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


class SerialLine(_Data, frozen=True, kw_only=True):
    """A device's serial settings as it leaves the factory."""

    baudrate: Annotated[int, Meta(ge=1200, le=921_600)] = 9600
    parity: Literal["N", "E", "O"] = "N"
    bytesize: Literal[7, 8] = 8
    stopbits: Literal[1, 2] = 1


class Write(_Data, frozen=True, kw_only=True):
    """One register of an order: a number, or a variable of the control."""

    address: Address | None = None
    fc: Literal[5, 6, 16] | None = None
    """5 writes a coil; None is the profile's ``write_fc``."""
    type: RegisterType = RegisterType.U16
    word_order: WordOrder | None = None
    model: int | None = None
    point: str | None = None
    value: float | str
    codes: dict[int, int] = {}
    """What the register must hold for each value of the variable; a value that is not listed cannot be ordered."""
    scale: float = 1.0
    """Register value x scale = value (plain registers; SunSpec points bring their own scale factor)."""
    low: float | None = None
    high: float | None = None
    """The value is clipped to this range (after ``percent_of``, before ``scale``)."""
    high_of: Source | None = None
    """The device tells the highest value itself."""
    bits: Annotated[int, Meta(ge=1, le=0xFFFF)] | None = None
    """Only these bits of the register are the order's; the others are kept as the device has them."""
    verify: bool = True
    """Read back after writing; False for registers that cannot be read or change by themselves."""
    percent_of: Source | None = None
    """The device wants the value as percent of this quantity, which it tells itself."""


class Case(StrEnum):
    """What kind of order it is, for devices that take each through other registers."""

    LIMIT = "limit"  # battery: own mode, within limits that include 0
    HOLD = "hold"  # battery: neither charge nor discharge
    CHARGE = "charge"  # battery: forced charge
    DISCHARGE = "discharge"  # battery: forced discharge
    PAUSE = "pause"  # EV: no charging
    RUN = "run"  # EV: charging with at most a current


class ControlSpec(_Data, frozen=True, kw_only=True):
    """How one thing a device can do is ordered."""

    safety_class: SafetyClass = msgspec.field(name="class")
    lease_s: Annotated[float, Meta(ge=2, le=3600)] | None = None
    """Class T: the device is back in its own mode when so long nothing was written [s]."""
    refresh_s: Annotated[float, Meta(ge=1, le=1800)] | None = None
    """Class T: how often it is written again, at most half of ``lease_s``; half when left out [s]."""
    order: list[Write] = []
    """The registers of every order, unless ``cases`` has its own list."""
    cases: dict[Case, list[Write]] = {}
    """Orders that are said through registers of their own. Each list must undo what the others leave behind.
    Without ``order`` the device can be told the cases named here and nothing else."""
    refresh: list[Write] = []
    """Class T: what is written again to keep the order alive; it must also restore it. Empty: the order itself."""
    safe: list[Write] = []
    """Back to the device's own mode; a control without it is refused."""
    settle_s: Annotated[float, Meta(ge=0, le=30)] = 0.0
    """How long the device takes until a write can be read back [s]."""
    write_spacing_s: Annotated[float, Meta(ge=0, le=86_400)] = 0.0
    """Shortest time between two changed orders; a safe state never waits [s]."""
    writes_per_day: Annotated[int, Meta(ge=1, le=100_000)] | None = None
    """Most changed orders a day; needed for class F."""
    min_a: Annotated[float, Meta(ge=0, le=80)] = 6.0
    max_a: Annotated[float, Meta(ge=0, le=80)] = 16.0


class ControlKind(StrEnum):
    """What can be ordered; `VARIABLES` are the numbers each order offers to the profile."""

    BATTERY_INTERVAL = "battery_interval"
    EV_CURRENT = "ev_current"
    EV_PHASES = "ev_phases"
    HEAT_MODE = "heat_mode"
    HEAT_POWER = "heat_power"
    PV_LIMIT = "pv_limit"


VARIABLES: dict[ControlKind, frozenset[str]] = {
    # the battery may run between -charge_w and discharge_w (+ = discharge); negative values force the other way.
    # charge_limit_w and discharge_limit_w are the same, never below 0; forced_w is what is forced (+ = discharge),
    # forced_charge_w and forced_discharge_w its two sides; forced is 0 none, 1 charge, 2 discharge
    ControlKind.BATTERY_INTERVAL: frozenset(
        {
            "charge_w",
            "discharge_w",
            "grid_charge",
            "charge_limit_w",
            "discharge_limit_w",
            "forced",
            "forced_w",
            "forced_charge_w",
            "forced_discharge_w",
            "lease_s",
        }
    ),
    ControlKind.EV_CURRENT: frozenset({"current_a", "paused", "allowed", "lease_s"}),
    ControlKind.EV_PHASES: frozenset({"phases", "lease_s"}),
    # SG-Ready: 0 blocked, 1 normal, 2 recommended, 3 forced on; the two contacts A:B of the same
    ControlKind.HEAT_MODE: frozenset({"mode", "contact_a", "contact_b", "lease_s"}),
    ControlKind.HEAT_POWER: frozenset({"power_w", "lease_s"}),
    ControlKind.PV_LIMIT: frozenset({"limit_w", "limited", "lease_s"}),
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
    points: Annotated[dict[str, PointSpec], Meta(min_length=1)]
    identity: Identity = Identity()
    controls: dict[ControlKind, ControlSpec] = {}
