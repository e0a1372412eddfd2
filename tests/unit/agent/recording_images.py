"""Reads recordings for the profile tests, with an encoder that shares no line with the agent."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[3] / "firmware-sim" / "src" / "hearth_sim" / "recordings"
_LETTERS = {"u16": "H", "s16": "h", "u32": "I", "s32": "i", "u64": "Q", "s64": "q", "f32": "f", "f64": "d"}

_REGISTERS = {kind: struct.calcsize(">" + letter) // 2 for kind, letter in _LETTERS.items()}


@dataclass(frozen=True)
class Writable:
    address: int
    count: int = 1
    fc: int = 3


@dataclass(frozen=True)
class RecordingFile:
    writable: tuple[Writable, ...]
    write_functions: tuple[int, ...]
    gaps: str


@dataclass(frozen=True)
class Recording:
    unit: int
    expect: dict[str, float]
    file: RecordingFile
    images: dict[tuple[int, int], dict[int, int]] = field(default_factory=dict)

    def registers(self, unit: int, fc: int) -> dict[int, int]:
        return self.images.get((unit, fc), {})


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(name: str) -> Recording:
    raw = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    writable = tuple(
        Writable(one["address"], max(one.get("count", 1), _REGISTERS[one.get("type", "u16")]), one.get("fc", 3))
        for one in raw.get("writable", [])
    )
    file = RecordingFile(writable, tuple(raw.get("write_functions", (6, 16))), raw.get("gaps", "refuse"))
    recording = Recording(next(iter(raw["units"])), raw.get("expect", {}), file)
    for unit, entries in raw["units"].items():
        for entry in entries:
            codes = (3, 4) if raw.get("one_map") and entry.get("fc", 3) in (3, 4) else (entry.get("fc", 3),)
            for code in codes:
                image = recording.images.setdefault((unit, code), {})
                for offset, word in enumerate(_words(entry)):
                    assert entry["address"] + offset not in image, f"{name}: {entry} overlaps another"
                    image[entry["address"] + offset] = word
    return recording


def _words(entry: dict[str, Any]) -> list[int]:
    if "hex" in entry:
        return [int(group, 16) for group in entry["hex"].split()]
    if "text" in entry:
        count = entry.get("count") or (len(entry["text"]) + 1) // 2
        order = "<" if entry.get("low_byte_first") else ">"
        return list(struct.unpack(f"{order}{count}H", entry["text"].encode().ljust(2 * count, b"\0")))
    (kind,) = entry.keys() & _LETTERS.keys()
    numbers = entry[kind] if isinstance(entry[kind], list) else [entry[kind]]
    words: list[int] = []
    for number in numbers:
        data = struct.pack(">" + _LETTERS[kind], number)
        one = list(struct.unpack(f">{len(data) // 2}H", data))
        words += one[::-1] if entry.get("word_order") == "little" else one
    return words
