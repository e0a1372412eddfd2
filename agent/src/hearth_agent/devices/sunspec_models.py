"""The SunSpec information models the agent speaks: where each point lies inside its model.

Read from the SunSpec Alliance's own JSON definitions (folder ``sunspec_json``, Apache-2.0), never typed by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import msgspec

from hearth_agent.devices.registers import RegisterType
from hearth_core.errors import PermanentError

_FOLDER = resources.files("hearth_agent.devices") / "sunspec_json"
_HEADER = 2  # model id and length

# SunSpec type -> register type, raw value that means "not implemented"
_TYPES: dict[str, tuple[RegisterType, int | None]] = {
    "int16": (RegisterType.S16, 0x8000),
    "sunssf": (RegisterType.S16, 0x8000),
    "uint16": (RegisterType.U16, 0xFFFF),
    "enum16": (RegisterType.U16, 0xFFFF),
    "bitfield16": (RegisterType.U16, 0xFFFF),
    "count": (RegisterType.U16, 0xFFFF),
    "acc16": (RegisterType.U16, 0),
    "int32": (RegisterType.S32, 0x80000000),
    "uint32": (RegisterType.U32, 0xFFFFFFFF),
    "enum32": (RegisterType.U32, 0xFFFFFFFF),
    "bitfield32": (RegisterType.U32, 0xFFFFFFFF),
    "acc32": (RegisterType.U32, 0),
    "uint64": (RegisterType.U64, 2**64 - 1),
    "acc64": (RegisterType.U64, 0),
    "float32": (RegisterType.F32, None),
    "string": (RegisterType.STR, None),
}


class UnknownModelError(PermanentError):
    """The agent has no definition of this SunSpec model."""


@dataclass(frozen=True)
class ModelPoint:
    """One point: its offset counts from the model's id register (or from its block's start, for repeating ones)."""

    name: str
    offset: int
    registers: int
    type: RegisterType
    missing: int | None
    scale_factor: str | None
    """Name of the point that holds the power of ten."""
    writable: bool


@dataclass(frozen=True)
class ModelDefinition:
    """One model: points at fixed offsets, and a group that repeats after them."""

    model: int
    fixed: Mapping[str, ModelPoint]
    fixed_registers: int
    repeating: Mapping[str, ModelPoint]
    repeating_registers: int


@cache
def definition(model: int) -> ModelDefinition:
    """Return the definition of a model.

    Raises:
        UnknownModelError: There is none among the agent's files.
    """
    file = _FOLDER / f"model_{model}.json"
    if not file.is_file():
        known = sorted(int(e.name[6:-5]) for e in _FOLDER.iterdir() if e.name.startswith("model_"))
        raise UnknownModelError(f"The agent knows the SunSpec models {', '.join(map(str, known))}.")
    group: dict[str, Any] = msgspec.json.decode(file.read_bytes())["group"]
    fixed, fixed_registers = _lay_out(group["points"])
    # a group that comes once belongs to the model as it is, and nobody reads it here
    blocks = [one for one in group.get("groups", []) if one.get("count", 1) != 1]
    repeating, repeating_registers = _lay_out(blocks[0]["points"]) if blocks else ({}, 0)
    return ModelDefinition(model, fixed, fixed_registers, repeating, repeating_registers)


def _lay_out(points: list[dict[str, Any]]) -> tuple[dict[str, ModelPoint], int]:
    laid_out: dict[str, ModelPoint] = {}
    offset = 0
    for point in points:
        known = _TYPES.get(point["type"])
        if known is not None:
            # a scale factor in the files may carry a stray blank
            factor = point.get("sf")
            laid_out[point["name"]] = ModelPoint(
                name=point["name"],
                offset=offset,
                registers=point["size"],
                type=known[0],
                missing=known[1],
                scale_factor=str(factor).strip() if factor is not None else None,
                writable=point.get("access") == "RW",
            )
        offset += point["size"]
    return laid_out, offset
