"""Writing proofs into the installer's own file: comments and order stay, and the file before is kept beside it."""

from __future__ import annotations

import io
import os
import re
import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from hearth_agent.proof import Proof
from hearth_agent.settings import load_home
from hearth_core.errors import ConfigError

_WIDTH = 160
_LIST = re.compile(r"^devices:[^\n]*\n(?:\s*#[^\n]*\n|\s*\n)*(?P<offset> *)- ", re.MULTILINE)
_MAPPING = re.compile(r"^site:[^\n]*\n(?:\s*#[^\n]*\n|\s*\n)*(?P<indent> +)\w", re.MULTILINE)


class DeviceChange(msgspec.Struct, frozen=True, kw_only=True):
    """What is written at one device."""

    proof: Proof
    controlled: bool | None = None
    """None leaves the setting as it is."""
    keeps_orders_ok: bool | None = None


def write_proofs(path: Path, changes: Mapping[str, DeviceChange], at: datetime) -> Path:
    """Put proofs into a home's file.

    Args:
        path: The file; a link is followed.
        changes: By device id.
        at: Instant that names the copy of the file before.

    Returns:
        The copy.

    Raises:
        ConfigError: The file with the proofs would be wrong; then it is left as it was.
    """
    path = path.resolve()
    text = path.read_text(encoding="utf-8")
    beside = path.with_name(f".{path.name}.new")
    try:
        beside.touch(mode=0o600)
        _copy_owner(path, beside)
        with beside.open("w", encoding="utf-8") as file:
            file.write(with_changes(text, changes))
            file.flush()
            os.fsync(file.fileno())
        load_home(beside)
        backup = path.with_name(f"{path.name}.{at:%Y%m%dT%H%M%SZ}.bak")
        shutil.copy2(path, backup)
        beside.replace(path)
    except ConfigError as error:
        raise ConfigError(str(path), error.field, error.value, f"{error.remedy} The file was not changed.") from error
    finally:
        beside.unlink(missing_ok=True)
    return backup


def _copy_owner(path: Path, beside: Path) -> None:
    """Give the new file mode and owner of the old one: the agent's own user must still be able to read it."""
    shutil.copymode(path, beside)
    owner = path.stat()
    if os.geteuid() == 0:
        os.chown(beside, owner.st_uid, owner.st_gid)


def with_changes(text: str, changes: Mapping[str, DeviceChange]) -> str:
    """Return the file's text with the changes; everything else stays as it is."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = _WIDTH
    # as the installer indents: lists inside lists follow the list of devices
    listed, mapped = _LIST.search(text), _MAPPING.search(text)
    offset = len(listed["offset"]) if listed else 2
    yaml.indent(mapping=len(mapped["indent"]) if mapped else 2, sequence=offset + 2, offset=offset)
    content = yaml.load(text)
    for device in content["devices"]:
        change = changes.get(device["id"])
        if change is not None:
            _change(device, change)
    out = io.StringIO()
    yaml.dump(content, out)
    return out.getvalue()


def _change(device: Any, change: DeviceChange) -> None:  # noqa: ANN401  a mapping of ruamel's, which keeps its comments
    device.fa.set_block_style()
    if change.controlled is not None:
        device["controlled"] = change.controlled
    if change.keeps_orders_ok is not None:
        device["keeps_orders_ok"] = change.keeps_orders_ok
    device["proof"] = _compact(msgspec.to_builtins(change.proof))


def _compact(value: Any) -> Any:  # noqa: ANN401  plain data in, ruamel's out
    """Put lists and mappings of nothing but numbers on one line."""
    if not isinstance(value, dict | list):
        return value
    made: CommentedMap | CommentedSeq
    if isinstance(value, dict):
        made = CommentedMap({key: _compact(one) for key, one in value.items()})
        inside = list(value.values())
    else:
        made, inside = CommentedSeq([_compact(one) for one in value]), value
    if all(isinstance(one, float | int) for one in inside):
        made.fa.set_flow_style()
    return made
