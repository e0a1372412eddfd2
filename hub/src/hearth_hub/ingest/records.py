"""A message at `readings` becomes a record: what can be stored of it, and what cannot with the reason.

All reading happens here, in the broker's thread, while the database is busy with the messages before.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeGuard

import msgspec
from msgspec import Meta

from hearth_core.errors import PoisonMessageError
from hearth_core.messages import DeviceBatch, Epoch, Gap, Instant, Name, Readings, Sequence, decode
from hearth_core.topics import is_name
from hearth_hub.ingest.book import Count
from hearth_hub.ingest.numbers import Columns, read_columns

MOST_BYTES = 256 * 1024
"""No agent sends more than a quarter of it at a time; what is larger is not even read."""

_EPOCH = re.compile(r"[0-9a-f]{16}")
_LARGEST_COUNT = 2**53
# A message that is no JSON at all, but begins like one of ours: its place can be told, and so its stream goes on.
_HEAD = re.compile(rb'\{"epoch":"([0-9a-f]{16})","seq":(\d{1,16}),"through":(null|\d{1,16}),')


class _Batch(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`DeviceBatch` whose numbers are still text."""

    device: Name
    at_ms: Annotated[list[Instant], Meta(min_length=1, max_length=5000)]
    points: dict[str, msgspec.Raw]
    produced: Sequence


class _Readings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`Readings` whose numbers are still text."""

    epoch: Epoch
    seq: Sequence
    through: Sequence | None = None
    batches: list[_Batch] = []
    gaps: list[Gap] = []


@dataclass(frozen=True)
class Batch:
    """Readings of one device that can be stored."""

    device: str
    columns: Columns
    produced: int


@dataclass(frozen=True)
class Letter:
    """A part of a message, or a whole one, that can never be stored."""

    reason: str
    device: str | None = None
    readings: int = 0
    produced: int = 0
    """Running count of the device after these readings; 0 = not known."""


@dataclass
class Record:
    """What one message says of one home's epoch; it covers the sequence numbers ``seq..through``."""

    agent: str
    epoch: str
    seq: int
    through: int
    raw: bytes
    batches: list[Batch] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)

    @property
    def readings(self) -> int:
        """How many readings it brings."""
        return sum(len(batch.columns) for batch in self.batches)

    def counts(self) -> dict[str, Count]:
        """Return what this record adds to each device it speaks of."""
        counts: dict[str, Count] = {}
        parts = [(batch.device, len(batch.columns), batch.produced) for batch in self.batches]
        parts += [(gap.device, gap.count, gap.produced) for gap in self.gaps]
        parts += [(one.device, one.readings, one.produced) for one in self.letters if one.device and one.produced]
        for device, readings, produced in parts:
            before = counts.get(device)
            if before is not None:
                readings, produced = before.readings + readings, max(before.produced, produced)
            counts[device] = Count(readings, produced)
        return counts

    def take(self, batch: _Batch) -> None:
        """Add a batch, or a letter when its numbers cannot be read."""
        try:
            self.batches.append(Batch(batch.device, read_columns(batch.at_ms, batch.points), batch.produced))
        except PoisonMessageError as error:
            self.letters.append(Letter(str(error), batch.device, len(batch.at_ms), batch.produced))

    def refuse(self, reason: str) -> None:
        """Turn everything it brings into letters."""
        for batch in self.batches:
            self.letters.append(Letter(reason, batch.device, len(batch.columns), batch.produced))
        self.batches = []


def read_record(agent: str, payload: bytes, latest_ms: int) -> Record:
    """Decode a message.

    A batch that is broken, or from the future, costs its own readings only.

    Args:
        agent: Who sent it, from the topic.
        payload: The message.
        latest_ms: No reading can be later than this.

    Raises:
        PoisonMessageError: Not even its epoch and sequence number can be read, so nothing can be acknowledged.
    """
    try:
        check_size(payload)
        record, batches = _read(agent, payload)
    except PoisonMessageError as error:
        record, batches = _salvage(agent, payload, error)
    for batch in batches:
        readings = len(batch.at_ms)
        if batch.produced < readings:
            record.letters.append(Letter(f"produced {batch.produced} is less than its readings", batch.device))
        elif max(batch.at_ms) > latest_ms:
            record.letters.append(Letter("from the future", batch.device, readings, batch.produced))
        else:
            record.take(batch)
    return record


def check_size(payload: bytes) -> None:
    """Raise PoisonMessageError for a message that is too large to be one of ours."""
    if len(payload) > MOST_BYTES:
        raise PoisonMessageError(f"it has more than {MOST_BYTES} bytes")


def _read(agent: str, payload: bytes) -> tuple[Record, list[_Batch]]:
    message = decode(payload, _Readings)
    through = message.seq if message.through is None else message.through
    if through < message.seq:
        raise PoisonMessageError(f"{Readings.__name__}: through {through} is below seq {message.seq}")
    return Record(agent, message.epoch, message.seq, through, payload, gaps=message.gaps), message.batches


def _salvage(agent: str, payload: bytes, error: PoisonMessageError) -> tuple[Record, list[_Batch]]:
    try:
        raw: Any = msgspec.json.decode(payload[: MOST_BYTES + 1])  # what is cut off is no JSON
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        if (head := _HEAD.match(payload)) is None:
            # anew: an error that is raised where it is a variable keeps itself, and the message, alive
            raise PoisonMessageError(str(error)) from None
        raw = msgspec.json.decode(head.group()[:-1] + b"}")
    if not isinstance(raw, dict):
        raise PoisonMessageError(str(error))
    epoch, seq, through = raw.get("epoch"), raw.get("seq"), raw.get("through")
    if not (isinstance(epoch, str) and _EPOCH.fullmatch(epoch) and _is_count(seq)):
        raise PoisonMessageError(str(error))
    through = through if _is_count(through) and through >= seq else seq
    record = Record(agent, epoch, seq, through, payload)
    batches = []
    for item in _items(raw, "batches"):
        try:
            batch = msgspec.convert(item, DeviceBatch)
        except msgspec.ValidationError as reason:
            record.letters.append(_letter(item, str(reason)))
        else:
            points = {name: msgspec.Raw(msgspec.json.encode(values)) for name, values in batch.points.items()}
            batches.append(_Batch(device=batch.device, at_ms=batch.at_ms, points=points, produced=batch.produced))
    for item in _items(raw, "gaps"):
        try:
            record.gaps.append(msgspec.convert(item, Gap))
        except msgspec.ValidationError as reason:
            record.letters.append(_letter(item, str(reason)))
    if not record.letters:
        record.letters.append(Letter(str(error)))
    return record, batches


def _letter(item: Any, reason: str) -> Letter:  # noqa: ANN401  a broken message can hold anything
    if not isinstance(item, dict):
        return Letter(reason)
    device, instants, produced = item.get("device"), item.get("at_ms", item.get("count")), item.get("produced")
    if not (isinstance(device, str) and is_name(device)):
        return Letter(reason)
    readings = len(instants) if isinstance(instants, list) else instants
    if not (_is_count(readings) and _is_count(produced) and produced >= readings):
        return Letter(reason, device)
    return Letter(reason, device, readings, produced)


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _LARGEST_COUNT


def _items(raw: dict[str, Any], name: str) -> list[Any]:
    value = raw.get(name)
    return value if isinstance(value, list) else []
