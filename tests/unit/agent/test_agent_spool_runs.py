"""The spool over bad times: a cut-off run, a full disk, a failing one, an old file, a clock that jumps."""

from __future__ import annotations

import contextlib
import json
import resource
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from hearth_agent.devices.snapshot import Measured
from hearth_agent.events import EventLog
from hearth_agent.spool import reserve
from hearth_agent.spool.records import Columns
from hearth_agent.spool.recovery import open_store
from hearth_agent.spool.spool import Spool
from hearth_agent.spool.store import SpoolStore
from hearth_core.clock import ManualClock
from hearth_core.messages import DeviceBatch, Gap, Readings, decode, encode

DAY_S = 86_400.0
BIG = 100_000_000
START_S = 1_780_000_000.0
START_MS = 1_780_000_000_000


def grid(at_ms: int) -> dict[str, Columns]:
    return {"grid": Columns([at_ms], {"power_w": [1.5]})}


def read_all(store: SpoolStore, start: int = 1) -> list[Readings]:
    messages: list[Readings] = []
    seq = start
    while seq <= store.last_seq:
        (record,) = store.fetch(seq, 1, BIG)
        messages.append(decode(record.payload, Readings))
        seq = record.through + 1
    return messages


def gaps(store: SpoolStore) -> list[Gap]:
    return [gap for message in read_all(store) for gap in message.gaps]


def opened(path: Path, now_ms: int, agent: str | None = None) -> SpoolStore:
    store, trouble = open_store(path, DAY_S, BIG, now_ms, agent=agent)
    assert trouble is None
    return store


def test_a_run_that_was_cut_off_is_declared_by_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite"
    store = opened(path, START_MS)
    store.append(grid(START_MS + 9_000), {}, START_MS + 10_000)
    store.append(grid(START_MS + 19_000), {}, START_MS + 20_000)
    store.acknowledge(1)
    kill(store, path)
    again = opened(path, START_MS + 25_000)
    (gap,) = gaps(again)
    assert (gap.device, gap.count, gap.produced) == ("grid", 0, 2)
    assert (gap.from_ms, gap.until_ms) == (START_MS + 19_000, START_MS + 25_000)
    assert again.tallies() == [("grid", 2, 2)]  # the word for record 1 came after the last flush
    kill(again, path)
    third = opened(path, START_MS + 3_600_000)
    assert (gaps(third)[1].from_ms, gaps(third)[1].until_ms) == (START_MS + 25_000, START_MS + 3_600_000)
    third.close()


def test_a_switch_that_was_cut_off_is_finished(tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite"
    old = opened(path, START_MS)
    old.append(grid(START_MS), {}, START_MS)
    old.close()
    ready = opened(path.with_name("spool.sqlite.ready"), START_MS)
    epoch = ready.epoch
    ready.close()
    store = opened(path, START_MS + 1)
    assert store.epoch == epoch
    assert path.with_name(f"spool-{START_MS + 1}.quarantine").exists()


def kill(store: SpoolStore, path: Path) -> None:
    """Leave the files as a kill -9 leaves them."""
    copies = {part: part.read_bytes() for part in path.parent.glob("spool.sqlite*")}
    store.abandon()
    for part in path.parent.glob("spool.sqlite*"):
        part.unlink()
    for part, content in copies.items():
        part.write_bytes(content)


def test_a_run_that_was_closed_declares_nothing(tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite"
    for run in range(3):
        store = opened(path, START_MS + 100_000 * run)
        assert store.acked == run
        store.append(grid(START_MS + 100_000 * run), {}, START_MS + 100_000 * run)
        store.acknowledge(run + 1)
        store.close()
    assert gaps(opened(path, START_MS + 400_000)) == []


def test_a_run_cut_off_before_its_first_flush_is_declared_from_the_last_stored_reading(tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite"
    store = opened(path, START_MS)
    store.append(grid(START_MS), {}, START_MS)
    store.close()
    kill(opened(path, START_MS + 500_000), path)
    (gap,) = gaps(opened(path, START_MS + 502_000))
    assert (gap.from_ms, gap.until_ms) == (START_MS, START_MS + 502_000)


def test_the_hole_of_each_device_begins_at_its_own_last_reading(tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite"
    store = opened(path, START_MS)
    store.append(grid(START_MS) | {"ev": Columns([START_MS + 1_000], {"power_w": [0.0]})}, {}, START_MS + 10_000)
    store.append(grid(START_MS + 19_000), {}, START_MS + 20_000)
    kill(store, path)
    again, _ = open_store(path, DAY_S, BIG, START_MS + 60_000, ["grid", "ev", "new"])
    found = {gap.device: (gap.from_ms, gap.until_ms) for gap in gaps(again)}
    until_ms = START_MS + 60_000
    # nothing is known of the new one: from the oldest record that was looked at
    expected = {"grid": START_MS + 19_000, "ev": START_MS + 1_000, "new": START_MS + 10_000}
    assert found == {device: (from_ms, until_ms) for device, from_ms in expected.items()}


@pytest.mark.parametrize("harm", ["delete", "flip"])
@pytest.mark.parametrize("records_before", [0, 3])
def test_a_log_that_is_lost_after_an_orderly_restart_is_a_hole(tmp_path: Path, harm: str, records_before: int) -> None:
    """The file by itself must say that a run was on: the note of it must not be lost with the log."""
    path, devices = tmp_path / "spool.sqlite", ["grid"]
    if records_before:
        store, _ = open_store(path, DAY_S, BIG, START_MS, devices)
        for index in range(records_before):
            store.append(grid(START_MS + 1000 * index), {}, START_MS + 1000 * index)
        store.close()
    store, _ = open_store(path, DAY_S, BIG, START_MS + 10_000, devices)
    for index in range(5):
        store.append(grid(START_MS + 20_000 + 1000 * index), {}, START_MS + 20_000 + 1000 * index)
    kill(store, path)
    log = path.with_name("spool.sqlite-wal")
    if harm == "delete":
        log.unlink()
    else:
        content = bytearray(log.read_bytes())
        content[40:56] = bytes(byte ^ 0xFF for byte in content[40:56])  # in the first frame: nothing after it counts
        log.write_bytes(content)
    again, trouble = open_store(path, DAY_S, BIG, START_MS + 90_000, devices)
    assert trouble is None
    assert again.was_cut_off
    (gap,) = gaps(again)
    from_ms = START_MS + 1000 * (records_before - 1) if records_before else START_MS + 10_000
    assert (gap.device, gap.count, gap.from_ms, gap.until_ms) == ("grid", 0, from_ms, START_MS + 90_000)
    assert again.last_seq == records_before + 1


def test_a_clock_that_was_set_back_leaves_no_negative_hole(tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite"
    store = opened(path, START_MS)
    store.append(grid(START_MS), {}, START_MS)
    kill(store, path)
    again = opened(path, 5_000)
    again.append(grid(6_000), {}, 6_000)
    (gap,) = gaps(again)
    assert (gap.from_ms, gap.until_ms) == (None, None)
    assert [m.seq for m in read_all(again)] == [1, 2, 3]


def test_a_lost_log_is_a_hole_up_to_now(tmp_path: Path) -> None:
    """Nobody knows how many flushes were in it, and the numbers in it must not be used a second time."""
    path = tmp_path / "spool.sqlite"
    store = opened(path, START_MS)
    store.append(grid(START_MS), {}, START_MS)
    store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    store.append(grid(START_MS + 10_000), {}, START_MS + 10_000)
    kill(store, path)
    path.with_name("spool.sqlite-wal").unlink()
    again = opened(path, START_MS + 900_000)
    assert again.last_seq == 2
    assert [(g.from_ms, g.until_ms) for g in gaps(again)] == [(START_MS, START_MS + 900_000)]


def stored_instants(store: SpoolStore) -> list[int]:
    return [at for message in read_all(store) for batch in message.batches for at in batch.at_ms]


@pytest.mark.parametrize("damaged", [False, True])
def test_a_file_of_another_home_is_put_aside_and_nothing_of_it_is_sent(tmp_path: Path, damaged: bool) -> None:
    path = tmp_path / "spool.sqlite"
    store = opened(path, START_MS, "bert")
    for index in range(200):
        store.append(grid(START_MS + 1000 * index), {}, START_MS + 1000 * index)
    epoch = store.epoch
    store.close()
    if damaged:  # its last page; whose file it is can still be read
        with path.open("r+b") as file:
            file.seek(-512, 2)
            file.write(b"\xff" * 512)
    mine, trouble = open_store(path, DAY_S, BIG, START_MS + 500_000, ["grid"], "anna")
    assert trouble is not None
    assert ("damaged" if damaged else "another agent's (bert)") in trouble
    assert "0 readings moved" in trouble
    assert mine.epoch != epoch
    assert (mine.last_seq, mine.tallies()) == (0, [])
    mine.append(grid(START_MS + 501_000), {}, START_MS + 501_000)
    assert stored_instants(mine) == [START_MS + 501_000]
    epoch = mine.epoch
    mine.close()
    aside = path.with_name(f"spool-{START_MS + 500_000}.quarantine")
    assert aside.exists()
    assert opened(path, START_MS + 600_000, "anna").epoch == epoch


def test_a_file_without_a_name_is_ones_own_and_gets_the_name(tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite"
    store = opened(path, START_MS)
    store.append(grid(START_MS), {}, START_MS)
    epoch = store.epoch
    store.close()
    store = opened(path, START_MS + 10_000, "anna")
    assert (store.epoch, stored_instants(store)) == (epoch, [START_MS])
    store.close()
    _, trouble = open_store(path, DAY_S, BIG, START_MS + 20_000, agent="bert")
    assert trouble is not None
    assert "another agent's (anna)" in trouble


def test_a_damaged_record_is_a_gap_and_blocks_nothing(tmp_path: Path) -> None:
    store = opened(tmp_path / "spool.sqlite", START_MS)
    for index in range(5):
        store.append(grid(START_MS + 1000 * index), {}, START_MS + 1000 * index)
    store._db.execute("UPDATE record SET body = x'0102030405' WHERE seq = 3")
    messages = [decode(store.fetch(seq, 10, BIG)[0].payload, Readings) for seq in (1, 3, 4)]
    assert [(m.seq, m.last_seq) for m in messages] == [(1, 2), (3, 3), (4, 5)]
    (gap,) = messages[1].gaps
    assert (gap.count, gap.produced, gap.device) == (1, 3, "grid")
    assert store.unreadable == 1


def test_a_missing_record_is_a_gap_and_blocks_nothing(tmp_path: Path) -> None:
    store = opened(tmp_path / "spool.sqlite", START_MS)
    for index in range(6):
        store.append(grid(START_MS + 1000 * index), {}, START_MS + 1000 * index)
    store._db.execute("DELETE FROM record WHERE seq IN (3, 4)")
    missing = decode(store.fetch(3, 10, BIG)[0].payload, Readings)
    assert (missing.seq, missing.last_seq) == (3, 4)
    (gap,) = missing.gaps
    assert (gap.count, gap.produced, gap.from_ms, gap.until_ms) == (2, 4, START_MS + 1000, START_MS + 4000)


def test_a_file_of_the_first_layout_keeps_epoch_and_numbers(tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite"
    epoch = "0123456789abcdef"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript(
            "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
            "CREATE TABLE record (seq INTEGER PRIMARY KEY, through INTEGER NOT NULL, at_ms INTEGER NOT NULL,"
            " counts TEXT NOT NULL, payload BLOB NOT NULL);"
            "CREATE TABLE mark (seq INTEGER PRIMARY KEY, counts TEXT NOT NULL);"
        )
        db.executemany("INSERT INTO meta VALUES (?, ?)", [("epoch", epoch), ("acked", "4")])
        db.execute("INSERT INTO mark VALUES (2, ?)", (json.dumps({"grid": 2}),))
        for seq in range(3, 8):
            batch = DeviceBatch(device="grid", at_ms=[seq * 1000], points={"power_w": [seq / 8]}, produced=seq)
            payload = encode(Readings(epoch=epoch, seq=seq, batches=[batch]))
            db.execute("INSERT INTO record VALUES (?, ?, 0, ?, ?)", (seq, seq, json.dumps({"grid": seq}), payload))
        db.commit()
    store, trouble = open_store(path, DAY_S, BIG, 8_000)
    assert trouble is None
    assert (store.epoch, store.acked, store.last_seq) == (epoch, 4, 7)
    messages = read_all(store, 3)
    assert [m.batches[0].points["power_w"] for m in messages] == [[seq / 8] for seq in range(3, 8)]
    assert [m.batches[0].produced for m in messages] == [3, 4, 5, 6, 7]
    store.append(grid(9_000), {}, 9_000)
    assert (store.last_seq, store.tallies()) == (8, [("grid", 8, 4)])
    assert not list(tmp_path.glob("*.quarantine"))


def test_a_flush_touches_little(tmp_path: Path) -> None:
    """One small page in most flushes; a card must live for years."""
    path = tmp_path / "spool.sqlite"
    store = opened(path, START_MS)
    log = path.with_name("spool.sqlite-wal")
    points: dict[str, list[float | None]] = {f"x_{i}": [1234.567 * i] for i in range(20)}
    store.append({"grid": Columns([START_MS], points)}, {}, START_MS)
    before = log.stat().st_size
    for index in range(100):
        at_ms = START_MS + 10_000 * index
        store.append({"grid": Columns([at_ms], points)}, {}, at_ms)
        store.acknowledge(index)
    assert (log.stat().st_size - before) / 100 < 1500


@contextlib.asynccontextmanager
async def running_spool(path: Path, cap: int = BIG) -> AsyncIterator[tuple[Spool, EventLog, ManualClock]]:
    clock = ManualClock(START_S)
    events = EventLog(clock)
    spool = Spool(path, clock, events, DAY_S, cap, devices=["grid"], agent="anna")
    try:
        yield spool, events, clock
    finally:
        await spool.close()


def kinds(events: EventLog) -> list[str]:
    told = []
    while (event := events.first()) is not None:
        told.append(event.kind)
        events.told(event)
    return told


async def flush(spool: Spool, clock: ManualClock, times: int) -> None:
    for _ in range(times):
        clock.now_s += 10.0
        spool.add("grid", int(clock.now_s * 1000), Measured(0.0, {"power_w": 1.5}))
        await spool.flush()


async def everything(spool: Spool, start: int = 1) -> list[Readings]:
    messages: list[Readings] = []
    seq = start
    while seq <= spool.last_seq:
        (record,) = await spool.fetch(seq, 1)
        messages.append(decode(record.payload, Readings))
        seq = record.through + 1
    return messages


async def on_disk(spool: Spool, statement: str) -> None:
    store = spool._store
    assert store is not None
    await spool._run(lambda: store._db.execute(statement).fetchone())


async def test_on_a_full_disk_acknowledged_records_make_room_then_gaps_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reserve, "_FREE_BYTES", 2**62)  # no disk has so much room
    async with running_spool(tmp_path / "spool.sqlite") as (spool, events, clock):
        await flush(spool, clock, 300)
        await spool.acknowledge(0)
        await spool.acknowledge(100)
        (tmp_path / "spool.reserve").touch()
        await on_disk(spool, "PRAGMA max_page_count=1")  # as many pages as there are
        await flush(spool, clock, 20)
        assert kinds(events) == ["disk_full"]
        assert not any(m.gaps for m in await everything(spool, 101))
        assert not (tmp_path / "spool.reserve").exists()
        await flush(spool, clock, 480)
        assert spool.last_seq == 800
        messages = await everything(spool, 101)
        (gap,) = [gap for m in messages for gap in m.gaps]
        stored = sum(len(b.at_ms) for m in messages for b in m.batches)
        assert gap.count + stored == 700
        assert gap.until_ms is not None
        assert set(kinds(events)) == {"spool_full"}
        await on_disk(spool, "PRAGMA max_page_count=1000000")
        monkeypatch.setattr(reserve, "_FREE_BYTES", 0)
        await flush(spool, clock, 1)
        assert kinds(events) == ["disk_has_room"]
        assert (tmp_path / "spool.reserve").stat().st_size > 0


@contextlib.contextmanager
def no_file_grows_beyond(size: int) -> Iterator[None]:
    """Make the kernel refuse: SQLite calls it an I/O error."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_after_an_io_error_the_file_is_trusted_no_more(tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite"
    async with running_spool(path) as (spool, events, clock):
        await flush(spool, clock, 50)
        await spool.acknowledge(0)
        await spool.acknowledge(10)
        epoch = spool.epoch
        with no_file_grows_beyond(1024):
            await flush(spool, clock, 3)
            assert spool._store is None
        assert kinds(events) == ["spool_failed"]
        await flush(spool, clock, 1)
        assert spool.epoch != epoch
        assert kinds(events) == ["spool_quarantined", "spool_works"]
        instants = [at for m in await everything(spool) for b in m.batches for at in b.at_ms]
        assert instants == [START_MS + 10_000 * i for i in range(11, 55)]
        assert [(t.produced, t.spooled) for t in await spool.tallies()] == [(44, 44)]


async def test_a_hub_that_knows_numbers_this_file_never_sent_means_an_old_copy(tmp_path: Path) -> None:
    """Also when the old copy has grown past what the hub has before the hub's first word arrives."""
    path = tmp_path / "spool.sqlite"
    async with running_spool(path) as (spool, _, clock):
        await flush(spool, clock, 10)
    async with running_spool(path) as (spool, events, clock):
        clock.now_s += 1000.0
        await flush(spool, clock, 20)
        epoch = spool.epoch
        await spool.acknowledge(15)
        assert spool.epoch != epoch
        assert kinds(events) == ["spool_quarantined"]
        assert sum(len(b.at_ms) for m in await everything(spool) for b in m.batches) == 30


async def test_a_hub_that_has_seen_more_than_the_file_holds_means_lost_records(tmp_path: Path) -> None:
    """The numbers of records that were lost with the log must not be used again, acknowledged or not."""
    path = tmp_path / "spool.sqlite"
    async with running_spool(path) as (spool, _, clock):
        await flush(spool, clock, 10)
        await spool.acknowledge(0)
        await spool.acknowledge(4)
    async with running_spool(path) as (spool, events, clock):
        clock.now_s += 1000.0
        await flush(spool, clock, 20)
        epoch = spool.epoch
        await spool.acknowledge(4, 12)  # 11 and 12 are of a run whose log was lost
        assert spool.epoch != epoch
        assert kinds(events) == ["spool_quarantined"]
        instants = [at for m in await everything(spool) for b in m.batches for at in b.at_ms]
        assert len(instants) == len(set(instants)) == 26
        epoch = spool.epoch
        await spool.acknowledge(0)
        await flush(spool, clock, 1)
        await spool.acknowledge(0, spool.last_seq)
        assert spool.epoch == epoch
        await spool.acknowledge(0, spool.last_seq + 1)
        assert spool.epoch != epoch


async def test_a_run_that_was_cut_off_is_told(tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite"
    store = opened(path, START_MS, "anna")
    store.append(grid(START_MS), {}, START_MS)
    kill(store, path)
    async with running_spool(path) as (spool, events, _):
        assert await spool.open()
        assert kinds(events) == ["spool_cut_off"]
    async with running_spool(path) as (spool, events, _):
        assert await spool.open()
        assert kinds(events) == []


@pytest.mark.parametrize("jump_s", [7200.0, -3 * DAY_S, -START_S + 5.0])
async def test_a_clock_that_jumps_neither_loses_nor_reorders(tmp_path: Path, jump_s: float) -> None:
    async with running_spool(tmp_path / "spool.sqlite") as (spool, _, clock):
        await flush(spool, clock, 400)
        await spool.acknowledge(0)
        await spool.acknowledge(350)
        clock.now_s += jump_s
        await flush(spool, clock, 400)
        messages = await everything(spool)
        assert [m.seq for m in messages] == list(range(1, 801))
        assert [m.batches[0].produced for m in messages] == list(range(1, 801))
