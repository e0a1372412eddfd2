"""A message at `readings` becomes a record: what can be stored of it, and what cannot with the reason."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import msgspec

from hearth_core.errors import PoisonMessageError
from hearth_core.messages import DeviceBatch, Gap, Readings, decode
from hearth_core.topics import is_name
from hearth_hub.ingest.book import Count

_EPOCH = re.compile(r"[0-9a-f]{16}")
_LARGEST_COUNT = 2**53


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
    """One spool record of one home's epoch; it covers the sequence numbers ``seq..through``."""

    agent: str
    epoch: str
    seq: int
    through: int
    raw: bytes
    batches: list[DeviceBatch] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)

    def counts(self) -> dict[str, Count]:
        """Return what this record adds to each device it speaks of."""
        counts: dict[str, Count] = {}
        parts = [(batch.device, Count(len(batch.at_ms), batch.produced)) for batch in self.batches]
        parts += [(gap.device, Count(gap.count, gap.produced, is_gap=True)) for gap in self.gaps]
        parts += [
            (letter.device, Count(letter.readings, letter.produced))
            for letter in self.letters
            if letter.device and letter.produced
        ]
        for device, count in parts:
            before = counts.get(device, Count(0, 0))
            counts[device] = Count(
                before.readings + count.readings, max(before.produced, count.produced), before.is_gap or count.is_gap
            )
        return counts


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
        message = decode(payload, Readings)
    except PoisonMessageError as error:
        record = _salvage(agent, payload, error)
    else:
        record = Record(agent, message.epoch, message.seq, message.last_seq, payload, message.batches, message.gaps)
    early = [batch for batch in record.batches if max(batch.at_ms) <= latest_ms]
    for batch in record.batches:
        if max(batch.at_ms) > latest_ms:
            record.letters.append(Letter("from the future", batch.device, len(batch.at_ms), batch.produced))
    record.batches = early
    return record


def _salvage(agent: str, payload: bytes, error: PoisonMessageError) -> Record:
    try:
        raw: Any = msgspec.json.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise error from None
    if not isinstance(raw, dict):
        raise error
    epoch, seq, through = raw.get("epoch"), raw.get("seq"), raw.get("through")
    if not (isinstance(epoch, str) and _EPOCH.fullmatch(epoch) and _is_count(seq)):
        raise error
    through = through if _is_count(through) and through >= seq else seq
    record = Record(agent, epoch, seq, through, payload)
    for item in _items(raw, "batches"):
        try:
            record.batches.append(msgspec.convert(item, DeviceBatch))
        except msgspec.ValidationError as reason:
            record.letters.append(_letter(item, str(reason)))
    for item in _items(raw, "gaps"):
        try:
            record.gaps.append(msgspec.convert(item, Gap))
        except msgspec.ValidationError as reason:
            record.letters.append(_letter(item, str(reason)))
    if not record.letters:
        record.letters.append(Letter(str(error)))
    return record


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
