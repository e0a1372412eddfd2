"""The controls of a profile: what a device can be told, through which registers, and what lasts when nobody repeats it.

Values are canonical (hearth_core.points: units and signs) until ``scale``, ``codes`` and ``percent_of`` make them this
device's.
"""

# ruff: noqa: RUF012  a Struct copies an empty default for each object
from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from hearth_agent.devices.registers import Address, Data, RegisterType, Source, WordOrder


class SafetyClass(StrEnum):
    """What a device does with an order nobody repeats."""

    TIMED = "T"  # reverts by itself: refresh at half its time
    STICKY = "S"  # keeps it for ever: the agent writes the safe state at start, stop and loss
    FLASH = "F"  # stores it in flash: never written cyclically


class Write(Data, frozen=True, kw_only=True):
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
    """What the register must hold for each value of the variable, as it stands there; a value that is not listed
    cannot be ordered."""
    scale: float = 1.0
    """Register value x scale = value (plain registers; SunSpec points bring their own scale factor)."""
    low: float | None = None
    high: float | None = None
    """The value is clipped to this range (after ``percent_of``, before ``scale``)."""
    high_of: Source | None = None
    """The device tells the highest value itself; one that does not tell it is not told anything."""
    bits: Annotated[int, Meta(ge=1, le=0xFFFF)] | None = None
    """Only these bits of the register are the order's, the others are kept as the device has them. The value is
    the register's with all other bits 0."""
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


class ControlSpec(Data, frozen=True, kw_only=True):
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

CASES: dict[ControlKind, frozenset[Case]] = {
    ControlKind.BATTERY_INTERVAL: frozenset({Case.LIMIT, Case.HOLD, Case.CHARGE, Case.DISCHARGE}),
    ControlKind.EV_CURRENT: frozenset({Case.PAUSE, Case.RUN}),
}


def cases_of(kind: ControlKind, control: ControlSpec) -> frozenset[Case]:
    """Return the kinds of order a device can be told; empty for controls that have only one kind."""
    return CASES.get(kind, frozenset()) if control.order else frozenset(control.cases)


def writes_of(control: ControlSpec, case: Case | None) -> list[Write]:
    """Return the registers of an order, in the order they are written."""
    return control.cases.get(case, control.order) if case is not None else control.order
