"""Everything that is wrong with a profile's file, each with its line: what `hearth-agent profile check` tells.

The agent itself stops at the first mistake (`hearth_agent.devices.catalogue`); who writes a profile wants all of them.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from hearth_agent.devices.controls import ControlSpec
from hearth_agent.devices.profile import PointSpec, Profile
from hearth_agent.devices.validate import problems
from hearth_core.config import convert, load_yaml
from hearth_core.errors import ConfigError

_PARTS: dict[str, type] = {"points": PointSpec, "controls": ControlSpec}


def find_problems(text: str, source: str) -> tuple[Profile | None, list[ConfigError]]:
    """Read a profile and find all its mistakes.

    Args:
        text: The file's content.
        source: The file's name.

    Returns:
        The profile, None where there are mistakes; and the mistakes, whose ``source`` is ``file:line``.
    """
    try:
        raw = load_yaml(text, source)
    except ConfigError as error:
        return None, [error]
    found: list[ConfigError] = []
    profile = None
    sound, lost = _sound_parts(raw, source, found)
    try:
        profile = convert(sound, source, Profile)
    except ConfigError as error:
        found.append(error)
    else:
        if not lost:
            found += problems(profile, source)
    document = yaml.compose(text, Loader=yaml.SafeLoader)
    return (None if found else profile), [_with_line(error, document) for error in found]


def _sound_parts(raw: object, source: str, found: list[ConfigError]) -> tuple[object, bool]:
    """Leave out the points and controls that are no such thing; tell also whether a whole section is lost with them."""
    if not isinstance(raw, dict):
        return raw, False
    sound: dict[str, Any] = dict(raw)
    lost = False
    for section, kind in _PARTS.items():
        entries = raw.get(section)
        if not isinstance(entries, dict):
            continue
        good = {}
        for name, entry in entries.items():
            try:
                convert(entry, source, kind)
            except ConfigError as error:
                inner = "" if error.field == "the file" else f".{error.field}"
                found.append(ConfigError(source, f"{section}.{name}{inner}", error.value, error.remedy))
            else:
                good[name] = entry
        if section == "points" and entries and not good:
            good, lost = {"power_w": {}}, True  # so that the rest of the file can still be looked at
        sound[section] = good
    return sound, lost


def _with_line(error: ConfigError, document: yaml.Node | None) -> ConfigError:
    """Add the line of the innermost part of the field that the file has."""
    node, line = document, 1
    for step in re.findall(r"[^.\[\]]+", error.field):
        if isinstance(node, yaml.MappingNode):
            entry = next(((key, value) for key, value in node.value if key.value == step), None)
            if entry is None:
                break
            line, node = entry[0].start_mark.line + 1, entry[1]
        elif isinstance(node, yaml.SequenceNode) and step.isdigit() and int(step) < len(node.value):
            node = node.value[int(step)]
            line = node.start_mark.line + 1
        else:
            break
    return ConfigError(f"{error.source}:{line}", error.field, error.value, error.remedy)
