"""Every reading is stored once, whatever the broker, the network or the processes do to it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from hearth_core.clock import ManualClock
from hearth_core.messages import Ack, AgentState, Birth, DeviceBatch, DeviceInfo, Gap, Readings, Status, Tally, encode
from hearth_core.points import POINTS, DeviceKind
from hearth_core.site import Limits, Site
from hearth_core.tariff import Tariff
from hearth_hub.ingest.repository.letters import DEAD_LETTERS_KEPT, DeadLetter, insert_letters
from hearth_hub.ingest.service import Acks, Incoming, Ingest, open_message
from hearth_hub.timing import instant

NOW_MS = 1_459_728_000_000  # 2016-04-04
EPOCH = "00000000000000aa"


@pytest.fixture
def connection(postgres_url: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        yield connection


class Door:
    """Ingest as its process uses it: messages are read, then stored."""

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        self._clock = ManualClock(NOW_MS / 1000)
        self._ingest = Ingest(connection, self._clock)

    def store(self, messages: Sequence[Incoming]) -> Acks:
        return self._ingest.store([open_message(one, self._clock) for one in messages])


@pytest.fixture
def ingest(connection: psycopg.Connection[tuple[Any, ...]]) -> Door:
    return Door(connection)


def readings(seq: int, at_ms: int | None = None, produced: int | None = None, power_w: float = 1.0) -> Incoming:
    """One record with one reading of one device."""
    at_ms = NOW_MS + seq * 10_000 - 3_600_000 if at_ms is None else at_ms
    batch = DeviceBatch(device="grid", at_ms=[at_ms], points={"power_w": [power_w]}, produced=produced or seq)
    return message(Readings(epoch=EPOCH, seq=seq, batches=[batch]))


def message(content: Readings, agent: str = "anna") -> Incoming:
    return Incoming(f"hearth/{agent}/readings", encode(content))


def account(connection: psycopg.Connection[tuple[Any, ...]]) -> dict[str, int]:
    row = connection.execute("select produced, stored, gaps, dead_lettered from account").fetchone()
    assert row is not None
    rows = connection.execute("select count(*) from reading").fetchone()
    assert rows is not None
    assert row[1] == rows[0], "the account says other than the table"
    return dict(zip(("produced", "stored", "gaps", "dead_lettered"), row, strict=True))


def test_reading_has_exactly_the_columns_of_the_vocabulary(connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    """A point without a column would be lost without a word."""
    types = {"gauge": "real", "counter": "double precision", "state": "smallint"}
    for table in ("reading", "latest"):
        rows = connection.execute(
            "select column_name, data_type from information_schema.columns where table_name = %s", [table]
        ).fetchall()
        columns = dict(rows)
        for name in ("at", "device_id", "extra"):
            del columns[name]
        assert columns == {name: types[point.point_class] for name, point in POINTS.items()}


def test_duplicates_and_reordering_store_each_reading_once(
    ingest: Door, connection: psycopg.Connection[tuple[Any, ...]]
) -> None:
    """The agent resends whatever was not acknowledged, and a shared subscription loses the order."""
    rng = random.Random(4)
    stream = [readings(seq) for seq in range(1, 201)] * 3
    rng.shuffle(stream)
    while stream:
        size = rng.randint(1, 20)
        acks = ingest.store(stream[:size])
        stream = stream[size:]
    assert acks["anna"][-1].upto == 200
    assert account(connection) == {"produced": 200, "stored": 200, "gaps": 0, "dead_lettered": 0}
    pending = connection.execute("select count(*) from pending").fetchone()
    assert pending == (0,)


def test_the_acknowledgement_never_jumps_over_a_hole(ingest: Door) -> None:
    """Acknowledging the highest instead of the contiguous one would let the agent delete what never came."""
    assert ingest.store([readings(1), readings(3), readings(4)]) == {"anna": [Ack(epoch=EPOCH, upto=1, ahead=4)]}
    assert ingest.store([readings(2)]) == {"anna": [Ack(epoch=EPOCH, upto=4, ahead=4)]}


def test_a_conflicting_reading_is_a_dead_letter_and_the_first_one_stays(
    ingest: Door, connection: psycopg.Connection[tuple[Any, ...]]
) -> None:
    ingest.store([readings(1, NOW_MS, power_w=5.0)])
    ingest.store([readings(2, NOW_MS, power_w=6.0), readings(3, NOW_MS - 1)])
    assert account(connection) == {"produced": 3, "stored": 2, "gaps": 0, "dead_lettered": 1}
    assert connection.execute("select power_w from reading where at = %s", [instant(NOW_MS)]).fetchone() == (5.0,)
    reason = connection.execute("select reason, readings from dead_letter").fetchall()
    assert reason == [("conflict: another reading of that instant exists", 1)]


def test_a_gap_counts_what_was_dropped_but_not_what_was_stored_before(
    ingest: Door, connection: psycopg.Connection[tuple[Any, ...]]
) -> None:
    """The acknowledgement of 1 and 2 was lost; then the agent, out of space, dropped 1 to 6 and declared them."""
    ingest.store([readings(1), readings(2), readings(4)])
    gap = Gap(device="grid", count=6, produced=6, reason="spool full")
    acks = ingest.store([message(Readings(epoch=EPOCH, seq=1, through=6, gaps=[gap]))])
    assert acks["anna"] == [Ack(epoch=EPOCH, upto=6, ahead=6)]
    assert account(connection) == {"produced": 6, "stored": 3, "gaps": 3, "dead_lettered": 0}
    ingest.store([readings(5), readings(7)])
    assert account(connection) == {"produced": 7, "stored": 4, "gaps": 3, "dead_lettered": 0}


@pytest.mark.parametrize(
    ("payload", "acked", "dead"),
    [
        (b"\xff\xfe garbage", None, 0),
        (b"[" * 5000, None, 0),
        (b"{}", None, 0),
        (b'{"epoch":"00000000000000aa","seq":true}', None, 0),
        (b'{"epoch":"00000000000000aa","seq":1,"batches":7}', 1, 0),
        (b'{"epoch":"00000000000000aa","seq":1,"surprise":1}', 1, 0),
        (b'{"epoch":"00000000000000aa","seq":1,"through":null,"batches":[{"device":"grid","at_ms":[1e400],', 1, 0),
        (
            b'{"epoch":"00000000000000aa","seq":1,"batches":[{"device":"grid","at_ms":[1,2],"produced":2,'
            b'"points":{"power_x":[1,2]}}]}',
            1,
            2,
        ),
        (
            b'{"epoch":"00000000000000aa","seq":1,"batches":[{"device":"grid","at_ms":[1,2],"produced":2,'
            b'"points":{"power_w":[1]}}]}',
            1,
            2,
        ),
        (
            b'{"epoch":"00000000000000aa","seq":1,"batches":[{"device":"grid","at_ms":[253402300799999],"produced":1,'
            b'"points":{}}]}',
            1,
            1,
        ),
    ],
)
def test_poison_is_kept_as_a_dead_letter_and_the_watermark_moves_on(
    ingest: Door,
    connection: psycopg.Connection[tuple[Any, ...]],
    payload: bytes,
    acked: int | None,
    dead: int,
) -> None:
    """One bad record must neither stop the home's stream nor vanish."""
    acks = ingest.store([Incoming("hearth/anna/readings", payload), Incoming("hearth/anna/nonsense", b"{}")])
    assert acks == ({"anna": [Ack(epoch=EPOCH, upto=acked, ahead=acked)]} if acked else {})
    letters = connection.execute("select agent, raw, readings from dead_letter order by id").fetchall()
    assert sorted(letters) == sorted([("anna", payload, dead), ("anna", b"{}", 0)])
    if dead:
        assert account(connection) == {"produced": dead, "stored": 0, "gaps": 0, "dead_lettered": dead}


def test_readings_of_an_unreadable_record_are_counted_by_the_next_one(
    ingest: Door, connection: psycopg.Connection[tuple[Any, ...]]
) -> None:
    """Nobody can say how many readings were in a broken record, but the running count can."""
    broken = Incoming("hearth/anna/readings", b'{"epoch":"00000000000000aa","seq":2,"batches":"?"}')
    ingest.store([readings(1), broken, readings(3, produced=12)])
    assert account(connection) == {"produced": 12, "stored": 2, "gaps": 0, "dead_lettered": 10}


def test_a_message_the_database_refuses_does_not_stop_the_others(
    ingest: Door, connection: psycopg.Connection[tuple[Any, ...]]
) -> None:
    """PostgreSQL refuses the NUL character in text; retrying such a batch for ever would stop every home."""
    event = b'{"at_ms":1,"level":"info","kind":"x","text":"a\\u0000b"}'
    acks = ingest.store([readings(1), Incoming("hearth/anna/event", event), readings(2)])
    assert acks["anna"][-1] == Ack(epoch=EPOCH, upto=2, ahead=2)
    assert connection.execute("select what, raw from dead_letter").fetchall() == [("event", event)]


def test_a_broken_batch_is_counted_once_however_often_its_message_is_tried(
    connection: psycopg.Connection[tuple[Any, ...]],
) -> None:
    """The whole batch is tried again when the database was gone, or refused another message of it."""
    clock = ManualClock(NOW_MS / 1000)
    torn = message(
        Readings(
            epoch=EPOCH,
            seq=1,
            batches=[
                DeviceBatch(device="grid", at_ms=[NOW_MS, NOW_MS + 1], points={"power_w": [1.0, 2.0]}, produced=2)
            ],
        )
    )
    torn = Incoming(torn.topic, torn.payload.replace(b"[1.0,2.0]", b"[1.0]"))
    event = Incoming("hearth/anna/event", b'{"at_ms":1,"level":"info","kind":"x","text":"a\\u0000b"}')
    opened = [open_message(one, clock) for one in (torn, event)]
    ingest = Ingest(connection, clock)
    for _ in range(2):
        ingest.store(opened)
    assert account(connection) == {"produced": 2, "stored": 0, "gaps": 0, "dead_lettered": 2}
    letters = connection.execute("select sum(readings) from dead_letter where what = 'readings'").fetchone()
    assert letters == (2,)


def test_dead_letters_have_a_cap(connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    letters = [DeadLetter("anna", "readings", str(number), b"x" * 100_000) for number in range(DEAD_LETTERS_KEPT)]
    for _ in range(2):
        insert_letters(connection, instant(NOW_MS), [DeadLetter("a", "b", "c", b"")] * DEAD_LETTERS_KEPT)
    insert_letters(connection, instant(NOW_MS), letters[:3])
    row = connection.execute("select count(*), max(length(raw)) from dead_letter").fetchone()
    assert row == (DEAD_LETTERS_KEPT, 64 * 1024)


def test_values_outside_their_range_are_missing_and_extras_are_kept(
    ingest: Door, connection: psycopg.Connection[tuple[Any, ...]]
) -> None:
    points: dict[str, list[float | None]] = {"power_w": [1e9], "vehicle_state": [3.0], "x_fan_rpm": [900.0]}
    batch = DeviceBatch(device="charger", at_ms=[NOW_MS], points=points, produced=1)
    ingest.store([message(Readings(epoch=EPOCH, seq=1, batches=[batch]))])
    row = connection.execute("select power_w, vehicle_state, extra from reading").fetchone()
    assert row == (None, 3, {"x_fan_rpm": 900.0})
    assert connection.execute("select vehicle_state from latest").fetchone() == (3,)


def test_latest_keeps_the_newest_reading_when_old_ones_arrive_late(
    ingest: Door, connection: psycopg.Connection[tuple[Any, ...]]
) -> None:
    ingest.store([readings(1, NOW_MS, power_w=7.0)])
    ingest.store([readings(2, NOW_MS - 86_400_000, power_w=1.0)])
    assert connection.execute("select power_w from latest").fetchone() == (7.0,)


def test_the_roll_up_is_told_the_spans_that_changed(
    ingest: Door, connection: psycopg.Connection[tuple[Any, ...]]
) -> None:
    """A live reading beside backlog of last week must not make the whole week stale."""
    week_ago = NOW_MS - 7 * 86_400_000
    ingest.store([readings(2, NOW_MS), readings(1, week_ago), readings(3, week_ago + 60_000)])
    spans = connection.execute("select from_at, until_at from stale order by from_at").fetchall()
    assert spans == [(instant(week_ago), instant(week_ago + 60_000)), (instant(NOW_MS), instant(NOW_MS))]


def merged(seq: int, through: int) -> Incoming:
    """Records ``seq..through`` of `readings` as one message."""
    numbers = range(seq, through + 1)
    batch = DeviceBatch(
        device="grid",
        at_ms=[NOW_MS + number * 10_000 - 3_600_000 for number in numbers],
        points={"power_w": [1.0] * len(numbers)},
        produced=through,
    )
    return message(Readings(epoch=EPOCH, seq=seq, through=through, batches=[batch]))


def test_merged_records_are_stored_once_however_they_are_cut(
    ingest: Door, connection: psycopg.Connection[tuple[Any, ...]]
) -> None:
    """An agent that sends again merges anew; nothing of it may be stored, or counted as a conflict, twice."""
    rng = random.Random(11)
    acked = 0
    while acked < 300:
        start = min(300, rng.randint(max(1, acked - 20), acked + 5))
        messages = [merged(start, min(300, start + rng.randint(0, 40))), readings(rng.randint(acked + 1, 300))]
        rng.shuffle(messages)
        acked = ingest.store(messages)["anna"][-1].upto
    assert account(connection) == {"produced": 300, "stored": 300, "gaps": 0, "dead_lettered": 0}
    assert connection.execute("select count(*) from dead_letter").fetchone() == (0,)


def test_two_processes_share_the_homes_and_nothing_is_stored_twice(
    connection: psycopg.Connection[tuple[Any, ...]], postgres_url: str
) -> None:
    """A shared subscription gives any record to any process, also the same one to both after a broken connection."""
    rng = random.Random(5)
    stream = [
        Incoming(f"hearth/home-{home}/readings", readings(seq).payload) for home in range(6) for seq in range(1, 61)
    ]

    def work(seed: int) -> None:
        mine = stream * 2
        random.Random(seed).shuffle(mine)
        with psycopg.connect(postgres_url, autocommit=True) as own:
            door = Door(own)
            while mine:
                door.store(mine[:17])
                del mine[:17]

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(work, [rng.random(), rng.random()]))
    totals = "select count(*), sum(produced), sum(stored), sum(dead_lettered) from account"
    assert connection.execute(totals).fetchone() == (6, 360, 360, 0)
    assert connection.execute("select count(*) from reading").fetchone() == (360,)
    assert connection.execute("select count(*), min(upto) from watermark").fetchone() == (6, 60)


def test_a_declared_gap_is_kept_with_its_span(ingest: Door, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    """A homeowner who sees a hole in a chart shall be able to read why."""
    until = NOW_MS + 9_000
    holes = [
        Gap(device="grid", count=3, produced=4, reason="spool full"),
        Gap(device="meter", count=0, produced=0, reason="power cut", from_ms=NOW_MS, until_ms=until),
    ]
    declared = message(Readings(epoch=EPOCH, seq=2, through=4, gaps=holes))
    ingest.store([readings(1), declared, declared])
    ingest.store([declared])
    rows = connection.execute(
        "select d.device, readings, from_at, until_at, reason from gap join device d on d.id = gap.device_id order by 1"
    ).fetchall()
    assert rows == [("grid", 3, None, None, "spool full"), ("meter", 0, instant(NOW_MS), instant(until), "power cut")]


def birth() -> Birth:
    site = Site(
        name="Anna's home",
        timezone="Europe/Berlin",
        latitude=47.7,
        longitude=9.2,
        price_zone="NL",
        limits=Limits(main_fuse_a=35),
        tariff=Tariff(),
    )
    devices = [DeviceInfo(id="grid", kind=DeviceKind.GRID_METER, profile="eastron-sdm630", points=["power_w"])]
    return Birth(session="s", at_ms=NOW_MS, epoch=EPOCH, software="1", site=site, devices=devices)


def test_birth_is_answered_with_the_watermark_of_the_database(
    ingest: Door, connection: psycopg.Connection[tuple[Any, ...]]
) -> None:
    """A hub restored from a backup must be believed, or the readings in between are lost."""
    ingest.store([readings(1), readings(2)])
    born = Incoming("hearth/anna/birth", encode(birth()))
    assert ingest.store([born])["anna"] == [Ack(epoch=EPOCH, upto=2, ahead=2)]
    assert connection.execute("select kind from device").fetchone() == ("grid_meter",)
    status = Status(
        state=AgentState.ONLINE,
        session="s",
        at_ms=NOW_MS,
        epoch=EPOCH,
        tallies=[Tally(device="grid", produced=9, spooled=7)],
    )
    ingest.store([Incoming("hearth/anna/status", encode(status))])
    assert connection.execute("select told_produced, told_spooled from account").fetchone() == (9, 7)
    assert connection.execute("select state from home").fetchone() == ("online",)
