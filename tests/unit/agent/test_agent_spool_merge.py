"""Whatever way the backlog is cut into messages, the hub ends up with the rows the agent wrote, each once."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth_agent.spool.compact import Names, UnreadableError, pack_body, pack_counts, unpack_body, unpack_counts
from hearth_agent.spool.merge import MAX_BYTES, MAX_ROWS, make, mergeable, message
from hearth_agent.spool.records import Columns, Lost, SpoolRecord, build_record
from hearth_agent.spool.store import SpoolStore
from hearth_core.messages import DeviceBatch, Readings, decode

Row = tuple[int, dict[str, float]]
VALUES = st.one_of(
    st.floats(-1e12, 1e12).map(lambda value: round(value, 3)), st.sampled_from([0.0, 1e17, -1e300, 0.001, -0.001])
)
POINTS = st.dictionaries(st.sampled_from(["power_w", "frequency_hz", "x_a", "x_b"]), VALUES, min_size=1)
FLUSH = st.fixed_dictionaries(
    {},
    optional={device: st.lists(POINTS, min_size=1, max_size=4) for device in ("grid", "inverter")},
)
SPOOL = st.lists(st.tuples(FLUSH, st.sampled_from([0, 0, 0, 3])), min_size=1, max_size=25)


def columns(rows: list[dict[str, float]], start_ms: int) -> Columns:
    names = dict.fromkeys(name for values in rows for name in values)
    at_ms = [start_ms + 7 * i for i in range(len(rows))]
    return Columns(at_ms, {name: [values.get(name) for values in rows] for name in names})


def records_of(flushes: list[tuple[dict[str, list[dict[str, float]]], int]]) -> list[SpoolRecord]:
    records: list[SpoolRecord] = []
    for index, (devices, lost) in enumerate(flushes):
        batches = {device: columns(rows, 10_000 * index) for device, rows in devices.items()}
        losses = {"grid": Lost(lost)} if lost else {}
        produced = records[-1].counts if records else {}
        records.append(build_record(index + 1, 10_000 * index + 9_000, batches, losses, [], produced))
    return records


def numbered(batch: DeviceBatch) -> dict[int, Row]:
    """Number the rows as the hub does."""
    first = batch.produced - len(batch.at_ms) + 1
    rows = {}
    for i, at_ms in enumerate(batch.at_ms):
        values = {name: value for name, column in batch.points.items() if (value := column[i]) is not None}
        rows[first + i] = (at_ms, values)
    return rows


def rows_of(messages: list[Readings]) -> dict[str, dict[int, Row]]:
    rows: dict[str, dict[int, Row]] = {}
    for readings in messages:
        for batch in readings.batches:
            known = rows.setdefault(batch.device, {})
            for number, row in numbered(batch).items():
                assert known.setdefault(number, row) == row
    return rows


@settings(deadline=None)
@given(SPOOL, st.lists(st.integers(1, 9), min_size=1))
def test_any_cut_tells_the_same_rows(
    flushes: list[tuple[dict[str, list[dict[str, float]]], int]], cuts: list[int]
) -> None:
    records = records_of(flushes)
    alone = [make("0" * 16, [record]) for record in records]
    merged: list[Readings] = []
    start = 0
    while start < len(records):
        chosen = records[start : start + cuts[len(merged) % len(cuts)]]
        together = mergeable(chosen)
        merged.append(make("0" * 16, together))
        start += len(together)
    assert rows_of(merged) == rows_of(alone)
    assert rows_of(merged + alone) == rows_of(alone)
    covered = [seq for m in merged for seq in range(m.seq, m.last_seq + 1)]
    assert covered == list(range(1, len(records) + 1))
    assert [g for m in merged for g in m.gaps] == [g for m in alone for g in m.gaps]
    assert all(m.through is None for m in merged if m.gaps)


@settings(deadline=None)
@given(SPOOL)
def test_what_is_written_down_is_read_again(flushes: list[tuple[dict[str, list[dict[str, float]]], int]]) -> None:
    names = Names({})
    for record in records_of(flushes):
        batches, gaps = unpack_body(pack_body(record, names), record.at_ms, names)
        assert gaps == record.gaps
        assert unpack_counts(pack_counts(record.counts, names), names) == record.counts
        assert batches == record.batches
    again = Names(dict(names.fresh))
    assert [again.word(number) for number, _ in names.fresh] == [names.word(number) for number, _ in names.fresh]


def test_a_flipped_bit_is_noticed() -> None:
    names = Names({})
    (record,) = records_of([({"grid": [{"power_w": 12.5}]}, 0)])
    body = pack_body(record, names)
    for bit in range(8 * len(body)):
        damaged = bytearray(body)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(UnreadableError):
            unpack_body(bytes(damaged), record.at_ms, names)


def test_a_message_keeps_its_limits() -> None:
    wide = [{f"x_{i}": 1234.567 for i in range(40)}]
    records = records_of([({"grid": wide}, 0) for _ in range(600)])
    first = message("0" * 16, mergeable(records))
    assert 0.7 * MAX_BYTES < len(first.payload) <= MAX_BYTES
    assert decode(first.payload, Readings).batches[0].produced == first.through
    narrow = records_of([({"grid": [{"power_w": 1.0}]}, 0) for _ in range(600)])
    assert message("0" * 16, mergeable(narrow)).through == MAX_ROWS


def test_a_day_of_one_home_is_a_few_dozen_messages(tmp_path: Path) -> None:
    store = SpoolStore(tmp_path / "spool.sqlite", 86_400.0, 100_000_000)
    points: dict[str, list[float | None]] = {f"x_{i}": [230.123 + i] for i in range(20)}
    with store.transaction():
        for index in range(8640):
            store.append({"grid": Columns([10_000 * index], points)}, {}, 10_000 * index)
    seq, messages = 1, 0
    while seq <= store.last_seq:
        (record,) = store.fetch(seq, MAX_ROWS, MAX_BYTES)
        assert len(record.payload) <= MAX_BYTES
        assert decode(record.payload, Readings).batches[0].produced == record.through
        seq, messages = record.through + 1, messages + 1
    assert messages < 50
