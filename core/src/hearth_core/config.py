"""Reading the YAML an installer edits: a wrong key is named, with the one that was probably meant."""

from __future__ import annotations

import difflib
import re
from typing import Any, TypeVar

import msgspec
import yaml

from hearth_core.errors import ConfigError
from hearth_core.remedies import remedy

T = TypeVar("T")


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice: the second would silently win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """See `yaml.SafeLoader`."""
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.value == "<<":
                continue
            if key.value in seen:
                problem = f"{key.value} stands here a second time"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_UNKNOWN = re.compile(r"unknown field `(?P<key>[^`]+)`(?: - at `\$\.?(?P<where>[^`]*)`)?")
_MISSING = re.compile(r"missing required field `(?P<key>[^`]+)`")
_KEY = re.compile(r"(?P<text>[^`']*(?:'(?P<key>[^']*)')?.*) - at `key` in `\$\.?(?P<where>[^`]*)`")
_WHERE = re.compile(r" - at `\$\.?(?P<where>[^`]*)`")
# What a Struct's own check refuses begins with the field it is about.
_NAMED = re.compile(r"(?P<field>[a-z_]+(\[\d+\]|\.[a-z_]+)*): ")


def parse_yaml(text: str, source: str, kind: type[T]) -> T:
    """Turn YAML into a checked object.

    Args:
        text: The file's content.
        source: The file's name, for the error.
        kind: A msgspec Struct that refuses unknown fields.

    Raises:
        ConfigError: With field, value and remedy.
    """
    return convert(load_yaml(text, source), source, kind)


def load_yaml(text: str, source: str) -> object:
    """Turn YAML into plain lists and mappings.

    Raises:
        ConfigError: It is no YAML; the field is the line.
    """
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506  safe: it makes nothing but plain data
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}" if mark else "the file"
        raise ConfigError(source, line, str(getattr(error, "problem", error)), "Correct the YAML.") from error


def convert(raw: object, source: str, kind: type[T]) -> T:
    """Turn what `load_yaml` read into a checked object.

    Raises:
        ConfigError: With field, value and remedy.
    """
    try:
        return msgspec.convert(raw, type=kind)
    except msgspec.ValidationError as error:
        raise _explain(str(error), raw, source, kind) from error


def _explain(message: str, raw: object, source: str, kind: type) -> ConfigError:
    if unknown := _UNKNOWN.search(message):
        key, where = unknown["key"], unknown["where"] or ""
        field = f"{where}.{key}" if where else key
        close = difflib.get_close_matches(key, sorted(_field_names(kind)), n=1)
        meant = f"Unknown key. Did you mean {close[0]!r}?" if close else "Unknown key. Remove it."
        value = _look_up(raw, where)
        return ConfigError(source, field, value.get(key) if isinstance(value, dict) else None, meant)
    if key := _KEY.fullmatch(message):
        wrong = key["key"] or ""
        return ConfigError(source, f"{key['where']}.{wrong}".strip("."), wrong, remedy(key["text"], kind, key["where"]))
    located = _WHERE.search(message)
    where = located["where"] if located else ""
    if missing := _MISSING.search(message):
        where = _missing_in(raw, where, missing["key"])
        return ConfigError(source, f"{where}.{missing['key']}".lstrip("."), None, "It is missing and needed.")
    if named := _NAMED.match(message):
        where, message = f"{where}.{named['field']}" if where else named["field"], message[named.end() :]
        return ConfigError(source, where, _look_up(raw, where), _WHERE.sub("", message) + ".")
    if not where and raw is None:
        return ConfigError(source, "the file", None, "It is empty; write it.")
    return ConfigError(source, where or "the file", _look_up(raw, where), remedy(_WHERE.sub("", message), kind, where))


def _missing_in(raw: object, where: str, key: str) -> str:
    """Name the entry of a mapping that lacks a key: msgspec says ``[...]`` for any of them."""
    mapping = _look_up(raw, where.removesuffix("[...]"))
    if not where.endswith("[...]") or not isinstance(mapping, dict):
        return where
    lacking = [name for name, entry in mapping.items() if isinstance(entry, dict) and key not in entry]
    return f"{where.removesuffix('[...]')}.{lacking[0]}" if lacking else where


def _look_up(raw: object, where: str) -> Any:  # noqa: ANN401  a value of a file can be anything
    """Follow a path such as ``devices[0].port``."""
    value: Any = raw
    for step in re.findall(r"[^.\[\]]+", where):
        if isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        elif isinstance(value, dict):
            value = value.get(step)
        else:
            return None
    return value


def _field_names(kind: object, seen: set[object] | None = None) -> set[str]:
    """Collect the field names of a Struct and of every Struct inside it."""
    seen = set() if seen is None else seen
    names: set[str] = set()
    stack = [msgspec.inspect.type_info(kind)]
    while stack:
        info = stack.pop()
        if isinstance(info, msgspec.inspect.StructType):
            if info.cls in seen:
                continue
            seen.add(info.cls)
            names |= {field.encode_name for field in info.fields}
            stack += [field.type for field in info.fields]
        elif isinstance(info, (msgspec.inspect.ListType, msgspec.inspect.VarTupleType)):
            stack.append(info.item_type)
        elif isinstance(info, msgspec.inspect.UnionType):
            stack += list(info.types)
        elif isinstance(info, msgspec.inspect.DictType):
            stack.append(info.value_type)
    return names
