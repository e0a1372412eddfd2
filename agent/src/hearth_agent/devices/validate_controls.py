"""The meaning of a profile's controls: nothing is ordered that cannot be taken back, or that only may be read."""

from __future__ import annotations

from collections.abc import Iterator

from hearth_agent.devices.codec import EncodeError, encode
from hearth_agent.devices.controls import CASES, VARIABLES, ControlKind, ControlSpec, SafetyClass, Write
from hearth_agent.devices.profile import Access, PointSpec, Profile, Protocol
from hearth_agent.devices.question import WRITE_COIL, WRITE_REGISTER
from hearth_agent.devices.registers import REGISTERS, RegisterType, Source
from hearth_agent.devices.sunspec_models import UnknownModelError, definition
from hearth_core.errors import ConfigError
from hearth_core.points import DeviceKind

_STORES = {DeviceKind.BATTERY, DeviceKind.HYBRID_INVERTER}
_HEATERS = {DeviceKind.HEAT_PUMP, DeviceKind.WATER_HEATER, DeviceKind.APPLIANCE}
_HAS: dict[ControlKind, set[DeviceKind]] = {
    ControlKind.BATTERY_INTERVAL: _STORES,
    ControlKind.EV_CURRENT: {DeviceKind.EV_CHARGER},
    ControlKind.EV_PHASES: {DeviceKind.EV_CHARGER},
    ControlKind.HEAT_MODE: _HEATERS,
    ControlKind.HEAT_POWER: _HEATERS,
    ControlKind.PV_LIMIT: {DeviceKind.PV, DeviceKind.HYBRID_INVERTER},
}
Found = Iterator[tuple[str, ConfigError | Source]]
"""Problems with their field, and the sources a control depends on: the caller knows how to check those."""


def control_problems(profile: Profile, kind: ControlKind, control: ControlSpec, source: str) -> Found:
    """Yield everything that is wrong with a control."""
    field = f"controls.{kind}"
    if profile.kind not in _HAS[kind]:
        remedy = f"A {profile.kind} has none; it belongs to {', '.join(sorted(_HAS[kind]))}."
        yield field, ConfigError(source, field, str(kind), remedy)
    for part, value, remedy in _spec_problems(kind, control):
        yield field, ConfigError(source, f"{field}.{part}", value, remedy)
    lists = {"order": control.order, "refresh": control.refresh, "safe": control.safe}
    lists |= {f"cases.{case}": writes for case, writes in control.cases.items()}
    for part, writes in lists.items():
        masked = [write.address for write in writes if write.bits is not None]
        for address in sorted({one for one in masked if one is not None and masked.count(one) > 1}):
            remedy = "Two writes with bits of one register undo each other: join them in one."
            yield field, ConfigError(source, f"{field}.{part}", address, remedy)
        for index, write in enumerate(writes):
            where = f"{field}.{part}[{index}]"
            for problem in _write_problems(profile, kind, where, write, source, constant=part == "safe"):
                yield where, problem
            for name, told in (("percent_of", write.percent_of), ("high_of", write.high_of)):
                if told is not None:
                    yield f"{where}.{name}", told


def _spec_problems(kind: ControlKind, control: ControlSpec) -> Iterator[tuple[str, object, str]]:
    """Yield field, value and remedy of what is wrong with a control as a whole."""
    if not control.safe:
        yield "safe", [], "Say what puts the device back into its own mode."
    if not control.order and not control.cases:
        yield "order", [], "Say which registers make an order: order, or cases."
    for case in sorted(control.cases.keys() - CASES.get(kind, frozenset())):
        known = ", ".join(sorted(CASES.get(kind, frozenset()))) or "no cases, only order"
        yield "cases", str(case), f"A {kind} has {known}."
    empty = [str(case) for case, writes in control.cases.items() if not writes]
    if empty:
        yield f"cases.{empty[0]}", [], "Say which registers make this order, or leave the case out."
    timed = control.safety_class is SafetyClass.TIMED
    if timed and control.lease_s is None:
        yield "lease_s", None, "A control of class T needs lease_s; use class S when the device never reverts."
    if not timed and (control.lease_s is not None or control.refresh_s is not None or control.refresh):
        yield "lease_s", control.lease_s, "Only class T has lease_s, refresh_s and refresh."
    if control.lease_s is not None and control.refresh_s is not None and control.refresh_s > control.lease_s / 2:
        yield "refresh_s", control.refresh_s, f"It must be at most half of lease_s, {control.lease_s / 2:g} s."
    if control.safety_class is SafetyClass.FLASH and control.writes_per_day is None:
        yield "writes_per_day", None, "A control of class F wears out flash: say how often a day it may be written."
    if control.min_a > control.max_a:
        yield "min_a", control.min_a, f"It must not be above max_a {control.max_a:g}."


def _write_problems(
    profile: Profile, kind: ControlKind, field: str, write: Write, source: str, *, constant: bool
) -> Iterator[ConfigError]:
    for part, value, remedy in _value_problems(kind, write, constant=constant):
        yield ConfigError(source, f"{field}.{part}", value, remedy)
    if write.address is not None:
        if write.model is not None or write.point is not None:
            yield ConfigError(source, field, write.address, "Give either an address, or model and point.")
        yield from _register_problems(profile, field, write, source)
    elif profile.protocol is not Protocol.SUNSPEC:
        yield ConfigError(source, f"{field}.address", None, "Give the 0-based address of the holding register.")
    elif write.model is None or write.point is None:
        yield ConfigError(source, field, None, "Give model and point (or the address of a register beside the models).")
    else:
        yield from _sunspec_problems(field, write, write.model, write.point, source)


def _value_problems(kind: ControlKind, write: Write, *, constant: bool) -> Iterator[tuple[str, object, str]]:
    """Yield field, value and remedy of what is wrong with the value of a write."""
    if isinstance(write.value, str):
        if constant:
            yield "value", write.value, "A safe state is made of numbers only."
        elif write.value not in VARIABLES[kind]:
            yield "value", write.value, f"Use a number or one of: {', '.join(sorted(VARIABLES[kind]))}."
    if write.scale == 0:
        yield "scale", write.scale, "Use 1 for none."
    if write.low is not None and write.high is not None and write.low > write.high:
        yield "low", write.low, f"It must not be above high {write.high:g}."
    plain = not isinstance(write.value, str) and not write.codes
    if plain and write.bits is not None and round(float(write.value)) & ~write.bits:
        yield "value", write.value, f"It has bits that are not of {write.bits:#06x}."
    outside = [code for code in write.codes.values() if write.bits is not None and code & ~write.bits]
    if outside and write.bits is not None:
        yield "codes", outside[0], f"It has bits that are not of {write.bits:#06x}."


def _register_problems(profile: Profile, field: str, write: Write, source: str) -> Iterator[ConfigError]:
    if write.type is RegisterType.STR:
        yield ConfigError(source, f"{field}.type", "str", "An order is a number.")
        return
    many = REGISTERS[write.type] > 1
    if many and write.fc == WRITE_REGISTER:
        yield ConfigError(source, f"{field}.fc", write.fc, f"Function 6 writes one register, a {write.type} has more.")
    if write.bits is not None and (many or write.fc == WRITE_COIL):
        yield ConfigError(source, f"{field}.bits", write.bits, "Only a single register has bits.")
    if write.fc == WRITE_COIL:
        return
    if not isinstance(write.value, str) and write.scale != 0 and not write.codes and write.percent_of is None:
        try:
            encode(write.value / write.scale, write.type, profile.word_order)
        except EncodeError as error:
            yield ConfigError(source, f"{field}.value", write.value, f"{error}; correct value, type or scale.")
    yield from _read_only(profile, field, write, source)


def _read_only(profile: Profile, field: str, write: Write, source: str) -> Iterator[ConfigError]:
    """Points are read-only unless they say otherwise, also where holding and input registers share an address."""
    first = write.address or 0
    written = range(first, first + REGISTERS[write.type])
    for name, point in profile.points.items():
        if point.access is Access.BOTH:
            continue
        for one in point.terms or [point]:
            if one.address is None or (one.type or profile.type) is RegisterType.STR:
                continue
            end = one.address + REGISTERS[one.type or profile.type]
            if one.address < written.stop and written.start < end:
                yield ConfigError(source, f"{field}.address", write.address, _remedy(name, point, one, profile))
                return


def _remedy(name: str, point: PointSpec, one: Source, profile: Profile) -> str:
    function = one.fc or profile.fc
    return (
        f"points.{name} is read-only there (function {function}, access {point.access}): write the register that sets "
        f"it, or give points.{name} access: rw when the device lets exactly this one be written."
    )


def _sunspec_problems(field: str, write: Write, model: int, point: str, source: str) -> Iterator[ConfigError]:
    try:
        fixed = definition(model).fixed
    except UnknownModelError as error:
        yield ConfigError(source, f"{field}.model", model, str(error))
        return
    if point not in fixed:
        writable = ", ".join(name for name, known in fixed.items() if known.writable)
        yield ConfigError(source, f"{field}.point", point, f"Writable points of model {model}: {writable}.")
    elif not fixed[point].writable:
        remedy = f"The SunSpec model {model} declares it read-only; use a writable point."
        yield ConfigError(source, f"{field}.point", point, remedy)
