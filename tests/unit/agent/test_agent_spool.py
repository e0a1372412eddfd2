"""The spool: dense, counted, bounded, honest about what it lost, and not stopped by a damaged file."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hearth_agent.devices.snapshot import Measured
from hearth_agent.events import EventLog
from hearth_agent.spool.records import Columns
from hearth_agent.spool.recovery import open_store
from hearth_agent.spool.spool import Spool
from hearth_agent.spool.store import SpoolStore
from hearth_core.clock import ManualClock
from hearth_core.messages import Readings, decode

DAY_S = 86_400.0
BIG = 100_000_000
CAP = 12_000


def columns(count: int = 1, start_ms: int = 0, device: str = "grid") -> dict[str, Columns]:
    at_ms = [start_ms + 1000 * i for i in range(count)]
    return {device: Columns(at_ms, {"power_w": [float(i) for i in range(count)]})}


def fill(store: SpoolStore, records: int, at_ms: int = 0) -> None:
    for index in range(records):
        store.append(columns(2, index * 10_000), {}, at_ms or index * 10_000)


def read_all(store: SpoolStore, start: int = 1) -> list[Readings]:
    """Return every record as a message of its own."""
    messages: list[Readings] = []
    seq = start
    while seq <= store.last_seq:
        (record,) = store.fetch(seq, 1, BIG)
        messages.append(decode(record.payload, Readings))
        seq = record.through + 1
    return messages


def test_sequence_numbers_are_dense_and_counts_run_on_over_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite"
    store = SpoolStore(path, DAY_S, BIG)
    fill(store, 3)
    store.acknowledge(2)
    epoch = store.epoch
    store.close()
    again = SpoolStore(path, DAY_S, BIG)
    fill(again, 2)
    assert again.epoch == epoch
    assert again.acked == 2
    messages = read_all(again)
    assert [m.seq for m in messages] == [1, 2, 3, 4, 5]
    assert {m.epoch for m in messages} == {epoch}
    assert [m.batches[0].produced for m in messages] == [2, 4, 6, 8, 10]
    assert again.tallies() == [("grid", 10, 6)]


def test_it_writes_ahead_and_syncs_fully(tmp_path: Path) -> None:
    """Anything less loses committed readings in a power cut."""
    store = SpoolStore(tmp_path / "spool.sqlite", DAY_S, BIG)
    assert store._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert store._db.execute("PRAGMA synchronous").fetchone() == (2,)


def test_acknowledged_records_stay_for_the_local_history_and_then_go(tmp_path: Path) -> None:
    store = SpoolStore(tmp_path / "spool.sqlite", 1000.0, BIG)
    fill(store, 360)
    store.acknowledge(350)
    for index in range(360, 730):
        store.append(columns(2, index * 10_000), {}, index * 10_000)
    first = next(store._table.heads()).seq
    assert first > 1
    kept = [m.seq for m in read_all(store, first)]
    assert set(range(351, 731)) <= set(kept)
    assert store.tallies() == [("grid", 1460, 760)]


def produced_minus_gaps(messages: list[Readings], device: str = "grid") -> tuple[int, int, int]:
    stored = sum(len(b.at_ms) for m in messages for b in m.batches if b.device == device)
    gaps = sum(g.count for m in messages for g in m.gaps if g.device == device)
    produced = max(
        [b.produced for m in messages for b in m.batches if b.device == device]
        + [g.produced for m in messages for g in m.gaps if g.device == device]
    )
    return produced, stored, gaps


def test_over_the_cap_the_oldest_give_way_and_are_declared(tmp_path: Path) -> None:
    """An outage longer than the card is large must not fill the card, nor lose anything silently."""
    store = SpoolStore(tmp_path / "spool.sqlite", DAY_S, CAP)
    fill(store, 10)
    store.acknowledge(4)
    for index in range(10, 400):
        store.append(columns(2, index * 10_000), {}, index * 10_000)
    messages = read_all(store, 5)
    assert messages[0].through is not None
    assert [m.gaps[0].reason for m in messages if m.gaps] == ["the spool reached its size cap"]
    position = 4
    for message in messages:
        assert message.seq == position + 1
        position = message.last_seq
    assert position == 400
    produced, stored, gaps = produced_minus_gaps(messages)
    assert produced == 800
    assert stored + gaps == 800 - 8  # eight readings were acknowledged before
    gap = messages[0].gaps[0]
    assert gap.from_ms == 40_000
    assert gap.until_ms == messages[1].batches[0].at_ms[0] - 10_000 + 1
    assert store._table.used_bytes() <= CAP
    assert store.tallies() == [("grid", 800, 792)]


def test_acknowledged_records_give_way_before_others(tmp_path: Path) -> None:
    store = SpoolStore(tmp_path / "spool.sqlite", DAY_S, CAP)
    fill(store, 200)
    store.acknowledge(190)
    for index in range(200, 300):
        store.append(columns(2, index * 10_000), {}, index * 10_000)
    assert next(store._table.heads()).seq > 1
    messages = read_all(store, 191)
    assert not any(m.gaps for m in messages)
    assert [m.seq for m in messages] == list(range(191, 301))


def test_a_hub_that_was_restored_gets_everything_again(tmp_path: Path) -> None:
    store = SpoolStore(tmp_path / "spool.sqlite", DAY_S, BIG)
    fill(store, 20)
    store.acknowledge(20)
    store.acknowledge(7)
    assert [m.seq for m in read_all(store, 8)] == list(range(8, 21))
    assert store.tallies() == [("grid", 40, 26)]


def test_what_a_restored_hub_lacks_and_nobody_has_is_a_gap(tmp_path: Path) -> None:
    store = SpoolStore(tmp_path / "spool.sqlite", 100.0, BIG)
    fill(store, 360)
    store.acknowledge(360)
    for index in range(360, 730):
        store.append(columns(2, index * 10_000), {}, index * 10_000)
    store.acknowledge(0)
    messages = read_all(store)
    assert messages[0].seq == 1
    assert messages[0].through == messages[1].seq - 1
    assert messages[0].gaps[0].until_ms == messages[1].batches[0].at_ms[0]
    produced, stored, gaps = produced_minus_gaps(messages)
    assert produced == 1460
    assert stored + gaps == 1460


def test_a_failed_flush_changes_nothing(tmp_path: Path) -> None:
    store = SpoolStore(tmp_path / "spool.sqlite", DAY_S, BIG)
    fill(store, 2)
    store._db.execute("PRAGMA query_only=ON")
    with pytest.raises(sqlite3.OperationalError):
        store.append(columns(device="new"), {}, 0)
    store._db.execute("PRAGMA query_only=OFF")
    fill(store, 1)
    messages = read_all(store)
    assert [m.seq for m in messages] == [1, 2, 3]
    assert messages[-1].batches[0].produced == 6


def test_a_file_that_is_no_database_is_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite"
    path.write_bytes(b"this is not a database, it is a letter" * 100)
    store, trouble = open_store(path, DAY_S, BIG, 42, devices=["grid"])
    fill(store, 1)
    assert trouble is not None
    assert "0 readings moved" in trouble
    assert (tmp_path / "spool-42.quarantine").exists()
    hole, reading = read_all(store)
    assert [(gap.device, gap.count) for gap in hole.gaps] == [("grid", 0)]
    assert reading.batches[0].produced == 2


def test_what_can_be_read_of_a_damaged_file_moves_into_the_new_epoch(tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite"
    store = SpoolStore(path, DAY_S, BIG)
    for index in range(400):
        store.append(columns(2, index * 10_000), {}, index * 10_000)
    store.acknowledge(10)
    old_epoch = store.epoch
    store.close()
    damage(path)
    again, trouble = open_store(path, DAY_S, BIG, 5_000_000)
    assert trouble is not None
    assert again.epoch != old_epoch
    messages = read_all(again)
    assert 300 < len(messages) < 400
    assert [m.seq for m in messages] == list(range(1, len(messages) + 1))
    instants = [at for m in messages for b in m.batches for at in b.at_ms]
    assert len(set(instants)) == len(instants)
    assert min(instants) >= 10 * 10_000
    assert max(instants) == 399 * 10_000 + 1000
    assert again.tallies() == [("grid", 780, 780)]  # what could not be read is counted as lost
    unknown, exact = [g for m in messages for g in m.gaps]
    assert exact.count == 780 - len(instants)
    assert exact.from_ms is not None
    assert exact.until_ms is not None
    assert not any(exact.from_ms + 1000 < at < exact.until_ms for at in instants)
    assert (unknown.count, unknown.until_ms) == (0, 5_000_000)


@pytest.mark.parametrize("column", ["at_ms", "unacked", "counts", "body", "through", "name", "meta"])
@pytest.mark.parametrize("value", [None, 7.5, "text"])
def test_a_column_that_damage_turned_into_something_else_stops_nothing(
    tmp_path: Path, column: str, value: float | str | None
) -> None:
    path = tmp_path / "spool.sqlite"
    store = SpoolStore(path, DAY_S, BIG)
    fill(store, 5)
    store.close()
    turn(path, column, value)
    again, trouble = open_store(path, DAY_S, BIG, 5_000_000, devices=["grid"])
    fill(again, 1)
    messages = read_all(again)
    readings = sum(len(batch.at_ms) for message in messages for batch in message.batches)
    gaps = [gap for message in messages for gap in message.gaps]
    is_hole = any(gap.count == 0 and gap.device == "grid" for gap in gaps)  # of a size nobody can know
    assert readings + sum(gap.count for gap in gaps) == 12 or is_hole, f"what is not here is declared: {trouble}"


def turn(path: Path, column: str, value: float | str | None) -> None:
    """Give a column of the newest record, every name, or every fact another value, whatever the schema says."""
    with sqlite3.connect(path) as db:
        table = column if column in {"name", "meta"} else "record"
        first, *others = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
        key = first if table == "meta" else f"{first} INTEGER PRIMARY KEY"
        db.execute(f"CREATE TABLE loose ({', '.join([key, *others])})")
        db.execute(f"INSERT INTO loose SELECT * FROM {table}")
        db.execute(f"DROP TABLE {table}")
        db.execute(f"ALTER TABLE loose RENAME TO {table}")
        target = {"name": "text", "meta": "value"}.get(column, column)
        where = "" if table != "record" else " WHERE seq = (SELECT max(seq) FROM record)"
        db.execute(f"UPDATE {table} SET {target} = ?{where}", (value,))
    db.close()


def damage(path: Path) -> None:
    """Overwrite four pages in the middle, as a worn card does."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2 // 512 * 512)
        file.write(random.Random(1).randbytes(4 * 512))


def kinds(events: EventLog) -> list[str]:
    """Return what was told, and forget it."""
    told = []
    while (event := events.first()) is not None:
        told.append(event.kind)
        events.told(event)
    return told


@asynccontextmanager
async def running_spool(path: Path, cap: int = BIG) -> AsyncIterator[tuple[Spool, EventLog]]:
    clock = ManualClock(1_459_728_000.0)
    events = EventLog(clock)
    spool = Spool(path, clock, events, DAY_S, cap)
    try:
        yield spool, events
    finally:
        await spool.close()


def reading(value: float = 1.0) -> Measured:
    return Measured(0.0, {"power_w": value})


async def test_one_flush_is_one_record_with_every_device(tmp_path: Path) -> None:
    async with running_spool(tmp_path / "spool.sqlite") as (spool, _):
        spool.add("grid", 1000, Measured(0.0, {"power_w": 1.23456789, "frequency_hz": 50.0}))
        spool.add("grid", 2000, reading(2.0))
        spool.add("inverter", 1000, reading(3.0))
        await spool.flush()
        (record,) = await spool.fetch(1, 8, BIG)
        message = decode(record.payload, Readings)
        assert [b.device for b in message.batches] == ["grid", "inverter"]
        assert message.batches[0].points == {"power_w": [1.235, 2.0], "frequency_hz": [50.0, None]}
        await spool.flush()
        assert spool.last_seq == 1


async def test_a_folder_that_cannot_be_written_is_told_once_and_forgotten_when_it_can(tmp_path: Path) -> None:
    """Control and measuring go on; the readings wait in memory."""
    blocker = tmp_path / "folder"
    blocker.write_text("in the way")
    async with running_spool(blocker / "spool.sqlite") as (spool, events):
        for index in range(3):
            spool.add("grid", 1000 * index, reading())
            await spool.flush()
        assert len(events) == 1
        blocker.unlink()
        await spool.flush()
        (record,) = await spool.fetch(1, 8, BIG)
        assert decode(record.payload, Readings).batches[0].at_ms == [0, 1000, 2000]


async def test_readings_that_no_longer_fit_in_memory_become_a_gap(tmp_path: Path) -> None:
    blocker = tmp_path / "folder"
    blocker.write_text("in the way")
    async with running_spool(blocker / "spool.sqlite") as (spool, _):
        for index in range(2050):
            spool.add("grid", 1000 * index, reading())
        await spool.flush()
        blocker.unlink()
        await spool.flush()
        messages = [decode(r.payload, Readings) for seq in range(1, 11) for r in await spool.fetch(seq, 1)]
        (gap,) = messages[0].gaps
        assert (gap.count, gap.from_ms, gap.until_ms) == (50, 0, 49_001)
        assert [m.batches[0].produced for m in messages] == list(range(250, 2051, 200))
        assert messages[-1].batches[0].at_ms[-1] == 2049 * 1000


async def test_damage_while_running_costs_an_event_and_no_new_reading(tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite"
    async with running_spool(path) as (spool, events):
        for index in range(300):
            spool.add("grid", 1000 * index, reading())
            await spool.flush()
        epoch = spool.epoch
        await spool._run(lambda: spool._store and spool._store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)"))
        await spool._run(lambda: spool._store and spool._store._db.execute("PRAGMA cache_size=1"))
        path.write_bytes(b"\0" * path.stat().st_size)
        for index in range(300, 310):
            spool.add("grid", 1000 * index, reading())
            await spool.flush()
        assert spool.epoch != epoch
        assert "spool_quarantined" in kinds(events)
        records = [r for seq in range(1, spool.last_seq + 1) for r in await spool.fetch(seq, 1)]
        instants = [at for r in records for b in decode(r.payload, Readings).batches for at in b.at_ms]
        assert set(range(300_000, 310_000, 1000)) <= set(instants)


async def test_an_old_copy_of_the_file_begins_a_new_epoch(tmp_path: Path) -> None:
    """A restored SD card would use sequence numbers a second time, and the hub would ignore those readings."""
    async with running_spool(tmp_path / "spool.sqlite") as (spool, events):
        spool.add("grid", 1000, reading())
        await spool.flush()
        epoch = spool.epoch
        await spool.acknowledge(500)
        assert spool.epoch != epoch
        assert kinds(events) == ["spool_quarantined"]
        (record,) = await spool.fetch(1, 8, BIG)
        assert decode(record.payload, Readings).batches[0].at_ms == [1000]
        assert [(t.produced, t.spooled) for t in await spool.tallies()] == [(1, 1)]
