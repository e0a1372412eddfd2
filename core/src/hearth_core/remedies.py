"""What to do about a value that a file may not hold, in an installer's words instead of the checker's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import msgspec

_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "bool": "true or false",
    "array": "a list",
    "object": "keys with values",
    "null": "nothing",
}
_NAME = "'^[a-z0-9][a-z0-9-]{0,62}$'"
_NO_CHOICE = re.compile(r"Invalid (enum )?value (?P<value>.*)")
_EXPECTED = re.compile(r"Expected `(?P<wanted>[^`]+)`(?:, got `(?P<got>[^`]+)`)?(?P<rest>.*)")
_BOUND = re.compile(r" (?P<sign>[<>]=?) (?P<bound>[-+0-9.e]+)")


def remedy(message: str, kind: type, where: str) -> str:
    """Return what to do.

    Args:
        message: What msgspec says, without the place.
        kind: The Struct that the file should be.
        where: The place, such as ``devices[0].port``.
    """
    if message.startswith("Invalid RFC3339"):
        return "Give a date and time with its zone, such as 2026-01-31T12:00:00Z."
    if wrong := _NO_CHOICE.fullmatch(message):
        choices = list(dict.fromkeys(_choices(kind, re.findall(r"[^.\[\]]+", where))))
        return f"{wrong['value']} is none of: {', '.join(choices)}." if choices else f"{message}."
    found = _EXPECTED.fullmatch(message)
    if found is None:
        return f"{message}."
    wanted = " or ".join(_KINDS.get(one, one) for one in found["wanted"].split(" | ") if one != "null")
    if found["got"]:
        got = _KINDS.get(found["got"], found["got"])
        return f"Give {wanted}; this is {got}."
    if _NAME in found["rest"]:
        return "Use lower-case letters, digits and hyphens, at most 63, a letter or a digit first."
    bound = _BOUND.fullmatch(found["rest"])
    return f"Give {wanted} {bound['sign']} {float(bound['bound']):g}." if bound else f"Give {wanted}{found['rest']}."


def _choices(kind: type, steps: Sequence[str]) -> Iterator[str]:
    """Yield what may stand at a place, or as a key there, that has a fixed choice."""
    for place in _at(msgspec.inspect.type_info(kind), steps):
        info = place.key_type if isinstance(place, msgspec.inspect.DictType) else place
        if isinstance(info, msgspec.inspect.EnumType):
            yield from (str(one.value) for one in info.cls)
        elif isinstance(info, msgspec.inspect.LiteralType):
            yield from (str(one) for one in info.values)


def _at(info: msgspec.inspect.Type, steps: Sequence[str]) -> Iterator[msgspec.inspect.Type]:
    """Yield the types that a place may have."""
    if isinstance(info, msgspec.inspect.UnionType):
        for one in info.types:
            yield from _at(one, steps)
    elif not steps:
        yield info
    elif isinstance(info, msgspec.inspect.StructType):
        if info.tag_field == steps[0]:
            yield msgspec.inspect.LiteralType(values=(str(info.tag),))
        for field in info.fields:
            if field.encode_name == steps[0]:
                yield from _at(field.type, steps[1:])
    elif isinstance(info, (msgspec.inspect.ListType, msgspec.inspect.VarTupleType)):
        yield from _at(info.item_type, steps[1:])
    elif isinstance(info, msgspec.inspect.DictType):
        yield from _at(info.value_type, steps[1:])
        yield from _at(info.value_type, steps)  # msgspec writes [...] for a key
