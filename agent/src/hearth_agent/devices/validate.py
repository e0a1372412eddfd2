"""The meaning of a profile, checked before a device is touched: every error names field, value and remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from hearth_agent.devices.profile import (
    REGISTERS,
    VARIABLES,
    ControlKind,
    ControlSpec,
    PointSpec,
    Profile,
    Protocol,
    RegisterType,
    SafetyClass,
    Source,
    Write,
)
from hearth_agent.devices.sunspec_models import UnknownModelError, definition
from hearth_core.errors import ConfigError
from hearth_core.points import POINTS, is_known


def check_profile(profile: Profile, source: str) -> None:
    """Check what the grammar cannot express.

    Raises:
        ConfigError: The first thing that is wrong.
    """
    for name, point in profile.points.items():
        _check_point(profile, name, point, source)
    _check_overlaps(profile, source)
    for kind, control in profile.controls.items():
        _check_control(profile, kind, control, source)


def sources(name: str, point: PointSpec) -> Iterator[tuple[str, Source]]:
    """Yield every source of a point with the field that names it."""
    if point.terms:
        for index, term in enumerate(point.terms):
            yield f"points.{name}.terms[{index}]", term
    else:
        yield f"points.{name}", point


def register_type(profile: Profile, source: Source) -> RegisterType:
    """Return a plain source's type, with the profile's default."""
    return source.type or profile.type


def _check_point(profile: Profile, name: str, point: PointSpec, source: str) -> None:
    if not is_known(name):
        close = difflib.get_close_matches(name, POINTS, n=1)
        meant = f"Did you mean {close[0]!r}?" if close else "Use a name of the vocabulary, or a named extra x_..."
        raise ConfigError(source, f"points.{name}", name, meant)
    if point.terms and (point.address is not None or point.model is not None):
        raise ConfigError(source, f"points.{name}", "terms and address", "Give either terms or one source.")
    for field, one in sources(name, point):
        _check_source(profile, field, one, source)


def _check_source(profile: Profile, field: str, one: Source, source: str) -> None:
    if one.scale == 0:
        raise ConfigError(source, f"{field}.scale", one.scale, "A scale of 0 makes every value 0; use 1 for none.")
    if profile.protocol is Protocol.SUNSPEC:
        if one.model is None or one.point is None:
            raise ConfigError(source, field, one.address, "A SunSpec profile names model and point, not addresses.")
        for model in one.models:
            _check_model_point(field, model, one.point, one.module, source)
        return
    if one.address is None:
        raise ConfigError(source, f"{field}.address", None, "Give the 0-based wire address of the register.")
    if register_type(profile, one) is RegisterType.STR:
        raise ConfigError(source, f"{field}.type", "str", "A point is a number; texts belong to identity.")


def _check_model_point(field: str, model: int, point: str, module: int | None, source: str) -> None:
    try:
        model_definition = definition(model)
    except UnknownModelError as error:
        raise ConfigError(source, f"{field}.model", model, str(error)) from error
    known = model_definition.fixed if module is None else model_definition.repeating
    if point not in known:
        close = difflib.get_close_matches(point, known, n=1)
        meant = f"Did you mean {close[0]!r}?" if close else f"Points of model {model}: {', '.join(known)}."
        raise ConfigError(source, f"{field}.point", point, meant)


def _check_overlaps(profile: Profile, source: str) -> None:
    taken: dict[tuple[int, int], str] = {}
    for name, point in profile.points.items():
        for field, one in sources(name, point):
            if one.address is None:
                continue
            function = one.fc or profile.fc
            for register in range(one.address, one.address + REGISTERS[register_type(profile, one)]):
                other = taken.setdefault((function, register), field)
                if other != field:
                    remedy = (
                        f"Register {register} (function {function}) already belongs to {other}; correct one of them."
                    )
                    raise ConfigError(source, f"{field}.address", one.address, remedy)


def _check_control(profile: Profile, kind: ControlKind, control: ControlSpec, source: str) -> None:
    field = f"controls.{kind}"
    if not control.safe:
        raise ConfigError(source, f"{field}.safe", [], "Say what puts the device back into its own mode.")
    if control.safety_class is SafetyClass.TIMED and (control.lease_s is None or not control.refresh):
        remedy = "A control of class T needs lease_s and refresh; use class S when the device never reverts."
        raise ConfigError(source, f"{field}.lease_s", control.lease_s, remedy)
    if control.safety_class is not SafetyClass.TIMED and (control.lease_s is not None or control.refresh):
        raise ConfigError(source, f"{field}.lease_s", control.lease_s, "Only class T has lease_s and refresh.")
    if control.min_a > control.max_a:
        raise ConfigError(source, f"{field}.min_a", control.min_a, f"It must not be above max_a {control.max_a:g}.")
    for part, writes in (("order", control.order), ("refresh", control.refresh), ("safe", control.safe)):
        for index, write in enumerate(writes):
            _check_write(profile, kind, f"{field}.{part}[{index}]", write, source, constant=part == "safe")


def _check_write(profile: Profile, kind: ControlKind, field: str, write: Write, source: str, *, constant: bool) -> None:
    if isinstance(write.value, str):
        if constant:
            raise ConfigError(source, f"{field}.value", write.value, "A safe state is made of numbers only.")
        if write.value not in VARIABLES[kind]:
            remedy = f"Use a number or one of: {', '.join(sorted(VARIABLES[kind]))}."
            raise ConfigError(source, f"{field}.value", write.value, remedy)
    if write.scale == 0:
        raise ConfigError(source, f"{field}.scale", write.scale, "Use 1 for none.")
    if profile.protocol is Protocol.SUNSPEC:
        _check_sunspec_write(field, write, source)
        return
    if write.address is None:
        raise ConfigError(source, f"{field}.address", None, "Give the 0-based address of the holding register.")
    if write.percent_of is not None:
        _check_source(profile, f"{field}.percent_of", write.percent_of, source)
    if write.type is RegisterType.STR:
        raise ConfigError(source, f"{field}.type", "str", "An order is a number.")
    _check_plain_writable(profile, field, write, source)


def _check_sunspec_write(field: str, write: Write, source: str) -> None:
    if write.model is None or write.point is None:
        raise ConfigError(source, field, write.address, "A SunSpec profile names model and point, not addresses.")
    _check_model_point(field, write.model, write.point, None, source)
    if not definition(write.model).fixed[write.point].writable:
        remedy = f"The SunSpec model {write.model} declares it read-only; use a writable point."
        raise ConfigError(source, f"{field}.point", write.point, remedy)
    if write.percent_of is not None and write.percent_of.point is not None:
        for model in write.percent_of.models:
            _check_model_point(f"{field}.percent_of", model, write.percent_of.point, write.percent_of.module, source)


def _check_plain_writable(profile: Profile, field: str, write: Write, source: str) -> None:
    """A control writes holding registers; a point measured (not set) at the same address is read-only."""
    for name, point in profile.points.items():
        for _, one in sources(name, point):
            if one.address != write.address:
                continue
            if (one.fc or profile.fc) == 4:
                remedy = f"It is the read-only input register of {name}; give the holding register that sets it."
                raise ConfigError(source, f"{field}.address", write.address, remedy)
