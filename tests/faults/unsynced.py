"""What is on a disk after its power was cut: files and folders that know what was flushed and what was not."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

SECTOR = 512
_KEPT_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


class Write(NamedTuple):
    """Bytes that were written at an offset."""

    offset: int
    data: bytes


@dataclass
class File:
    """What programs see, what is on the disk, and the changes between the two (a write, or a new size)."""

    live: bytearray = field(default_factory=bytearray)
    durable: bytes = b""
    unsynced: list[Write | int] = field(default_factory=list)

    def change(self, what: Write | int) -> None:
        """Write, or set the size; a cut may undo it until the next `sync`."""
        _apply(self.live, what)
        self.unsynced.append(what)

    def sync(self) -> None:
        """Make what programs see durable."""
        self.durable = bytes(self.live)
        self.unsynced.clear()

    def survivor(self, rng: random.Random) -> bytes:
        """Return the content after a cut."""
        content = bytearray(self.durable)
        kept = rng.choice(_KEPT_SHARES)
        for change in self.unsynced:
            if isinstance(change, int):
                if rng.random() < kept:
                    _apply(content, change)
                continue
            for start, end in _sectors(change):
                if rng.random() < kept:
                    _apply(content, Write(start, change.data[start - change.offset : end - change.offset]))
        return bytes(content)


def _apply(content: bytearray, what: Write | int) -> None:
    size = what if isinstance(what, int) else what.offset
    if len(content) < size:
        content.extend(bytes(size - len(content)))
    if isinstance(what, int):
        del content[size:]
    else:
        content[what.offset : what.offset + len(what.data)] = what.data


def _sectors(write: Write) -> list[tuple[int, int]]:
    """Return the (start, end) of the part of each sector that a write touches."""
    end = write.offset + len(write.data)
    edges = [write.offset, *range((write.offset // SECTOR + 1) * SECTOR, end, SECTOR), end]
    return [(edges[i], edges[i + 1]) for i in range(len(edges) - 1)]


@dataclass
class Folder:
    """Names as programs see them, names on the disk, and the changes between the two, in order."""

    parent: Folder | None = None
    live: dict[str, File | Folder] = field(default_factory=dict)
    durable: dict[str, File | Folder] = field(default_factory=dict)
    unsynced: list[dict[str, File | Folder | None]] = field(default_factory=list)

    def change(self, names: dict[str, File | Folder | None]) -> None:
        """Set and remove (None) names in one step; a cut may undo it until the next `sync`."""
        _rename(self.live, names)
        self.unsynced.append(names)

    def sync(self) -> None:
        """Make the names durable, and this folder's own: making a folder is one step of the journal."""
        self.durable = dict(self.live)
        self.unsynced.clear()
        for name, node in self.parent.live.items() if self.parent else ():
            if node is self:
                assert self.parent is not None
                self.parent.durable[name] = self

    def save(self, place: Path, rng: random.Random) -> None:
        """Write what survives a cut into an ordinary folder."""
        place.mkdir()
        names = dict(self.durable)
        for change in self.unsynced[: rng.randint(0, len(self.unsynced))]:
            _rename(names, change)
        for name, node in names.items():
            if isinstance(node, Folder):
                node.save(place / name, rng)
            else:
                (place / name).write_bytes(node.survivor(rng))


def _rename(names: dict[str, File | Folder], change: dict[str, File | Folder | None]) -> None:
    for name, node in change.items():
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node
