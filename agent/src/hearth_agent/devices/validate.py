"""The meaning of a profile, checked before a device is touched: every error names field, value and remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from hearth_agent.devices.profile import Identity, IdentityCheck, PointSpec, Profile, Protocol
from hearth_agent.devices.registers import REGISTERS, RegisterType, Source
from hearth_agent.devices.sunspec_models import UnknownModelError, definition
from hearth_agent.devices.validate_controls import control_problems
from hearth_core.errors import ConfigError
from hearth_core.points import POINTS, is_known

_LAST_REGISTER = 65535


def check_profile(profile: Profile, source: str) -> None:
    """Check what the grammar cannot express.

    Raises:
        ConfigError: The first thing that is wrong.
    """
    for problem in problems(profile, source):
        raise problem


def problems(profile: Profile, source: str) -> Iterator[ConfigError]:
    """Yield everything that is wrong with a profile the grammar has accepted."""
    for name, point in profile.points.items():
        yield from _point_problems(profile, name, point, source)
    yield from _overlaps(profile, source)
    yield from _identity_problems(profile, source)
    for kind, control in profile.controls.items():
        for field, one in control_problems(profile, kind, control, source):
            yield from [one] if isinstance(one, ConfigError) else _source_problems(profile, field, one, source)


def sources(name: str, point: PointSpec) -> Iterator[tuple[str, Source]]:
    """Yield every source of a point with the field that names it."""
    if point.terms:
        for index, term in enumerate(point.terms):
            yield f"points.{name}.terms[{index}]", term
    else:
        yield f"points.{name}", point


def _point_problems(profile: Profile, name: str, point: PointSpec, source: str) -> Iterator[ConfigError]:
    field = f"points.{name}"
    known = POINTS.get(name)
    if not is_known(name):
        close = difflib.get_close_matches(name, POINTS, n=1)
        meant = f"Did you mean {close[0]!r}?" if close else "Use a name of the vocabulary, or a named extra x_..."
        yield ConfigError(source, field, name, meant)
    elif known is None and not point.unit:
        yield ConfigError(source, f"{field}.unit", point.unit, "An extra needs its unit; '1' where it has none.")
    if known is not None and point.unit not in (None, known.unit):
        remedy = f"The vocabulary's unit is {known.unit or 'none'}: scale the number to it and leave unit out."
        yield ConfigError(source, f"{field}.unit", point.unit, remedy)
    wrong = [code for code in point.codes.values() if known is not None and not known.low <= code <= known.high]
    if known is not None and wrong:
        yield ConfigError(source, f"{field}.codes", wrong[0], f"The vocabulary says: {known.text}.")
    if point.terms and (point.address is not None or point.model is not None):
        yield ConfigError(source, field, "terms and address", "Give either terms or one source.")
    for where, one in sources(name, point):
        yield from _source_problems(profile, where, one, source)


def _source_problems(profile: Profile, field: str, one: Source, source: str) -> Iterator[ConfigError]:
    if one.scale == 0:
        yield ConfigError(source, f"{field}.scale", one.scale, "A scale of 0 makes every value 0; use 1 for none.")
    sunspec = profile.protocol is Protocol.SUNSPEC
    if one.address is not None:
        if one.model is not None or one.point is not None:
            yield ConfigError(source, field, one.address, "Give either an address, or model and point.")
        yield from _register_problems(profile, field, one, source)
    elif not sunspec and one.model is not None:
        yield ConfigError(source, f"{field}.model", one.model, "Only a profile with protocol: sunspec has models.")
    elif not sunspec:
        yield ConfigError(source, f"{field}.address", None, "Give the 0-based wire address of the register.")
    elif one.model is None or one.point is None:
        yield ConfigError(source, field, None, "Give model and point (or the address of a register beside the models).")
    else:
        for model in one.models:
            yield from model_point_problems(field, model, one.point, one.module, source)


def _register_problems(profile: Profile, field: str, one: Source, source: str) -> Iterator[ConfigError]:
    kind = one.type or profile.type
    if kind is RegisterType.STR:
        yield ConfigError(source, f"{field}.type", "str", "A point is a number; texts belong to identity.")
        return
    if (one.address or 0) + REGISTERS[kind] - 1 > _LAST_REGISTER:
        yield ConfigError(source, f"{field}.address", one.address, f"A {kind} does not fit there; the last is 65535.")
    if REGISTERS[kind] > profile.max_registers:
        remedy = f"A {kind} has {REGISTERS[kind]} registers, a request at most max_registers {profile.max_registers}."
        yield ConfigError(source, f"{field}.type", str(kind), remedy)


def model_point_problems(field: str, model: int, point: str, module: int | None, source: str) -> Iterator[ConfigError]:
    """Yield what is wrong with the name of a SunSpec point."""
    try:
        model_definition = definition(model)
    except UnknownModelError as error:
        yield ConfigError(source, f"{field}.model", model, str(error))
        return
    known = model_definition.fixed if module is None else model_definition.repeating
    if point not in known:
        close = difflib.get_close_matches(point, known, n=1)
        meant = f"Did you mean {close[0]!r}?" if close else f"Points of model {model}: {', '.join(known)}."
        yield ConfigError(source, f"{field}.point", point, meant)


def _overlaps(profile: Profile, source: str) -> Iterator[ConfigError]:
    """A register belongs to one point, unless one makes a sum or a state of what another tells as it is."""
    taken: dict[tuple[int, int], tuple[str, Source, bool]] = {}
    for name, point in profile.points.items():
        for field, one in sources(name, point):
            kind = one.type or profile.type
            if one.address is None or kind is RegisterType.STR:
                continue
            derived = bool(point.terms or point.codes)
            for register in range(one.address, one.address + REGISTERS[kind]):
                other, there, also = taken.setdefault((one.fc or profile.fc, register), (field, one, derived))
                same = there.address == one.address and (there.type or profile.type) is kind
                if other != field and not (same and (derived or also)):
                    remedy = f"Register {register} already belongs to {other}; correct one of them."
                    yield ConfigError(source, f"{field}.address", one.address, remedy)
                    break


def _identity_problems(profile: Profile, source: str) -> Iterator[ConfigError]:
    identity = profile.identity
    for index, check in enumerate(identity.checks):
        yield from _check_problems(f"identity.checks[{index}]", check, source)
    if profile.protocol is Protocol.SUNSPEC:
        for model in identity.sunspec_models:
            yield from model_point_problems("identity.sunspec_models", model, "ID", None, source)
    elif identity != Identity(
        serial=identity.serial, model=identity.model, firmware=identity.firmware, checks=identity.checks
    ):
        remedy = "Only a profile with protocol: sunspec is known by models and manufacturers; give checks."
        yield ConfigError(source, "identity", identity.sunspec_models or identity.manufacturers, remedy)


def _check_problems(field: str, check: IdentityCheck, source: str) -> Iterator[ConfigError]:
    ranged = check.low is not None or check.high is not None
    if bool(check.equals) + ranged + (check.contains is not None) != 1:
        yield ConfigError(source, field, check.address, "Give exactly one of: equals, contains, or low and high.")
    elif (check.contains is not None) != (check.type is RegisterType.STR):
        yield ConfigError(
            source, f"{field}.type", str(check.type), "contains goes with type: str and nothing else does."
        )
    if check.low is not None and check.high is not None and check.low > check.high:
        yield ConfigError(source, f"{field}.low", check.low, f"It must not be above high {check.high:g}.")
