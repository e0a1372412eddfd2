"""What could not be stored can be looked at, and stored once the reason is gone; the accounts hold before and after."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from hearth_core.clock import ManualClock
from hearth_core.messages import DeviceBatch, Readings, encode
from hearth_hub.ingest.replay import Outcome, replay
from hearth_hub.ingest.service import Incoming, Ingest, open_message

Connection = psycopg.Connection[tuple[Any, ...]]
NOW_MS = 1_459_728_000_000
TWO_DAYS_MS = 2 * 86_400_000
EPOCH = "00000000000000aa"


@pytest.fixture
def connection(postgres_url: str) -> Iterator[Connection]:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        yield connection


def store(connection: Connection, *messages: Incoming) -> None:
    clock = ManualClock(NOW_MS / 1000)
    Ingest(connection, clock).store([open_message(one, clock) for one in messages])


def record(seq: int, at_ms: list[int], produced: int, device: str = "grid") -> Incoming:
    batch = DeviceBatch(device=device, at_ms=at_ms, points={"power_w": [float(seq)] * len(at_ms)}, produced=produced)
    return Incoming("hearth/anna/readings", encode(Readings(epoch=EPOCH, seq=seq, batches=[batch])))


def hub(postgres_url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the hub as an operator does."""
    return subprocess.run(
        [sys.executable, "-m", "hearth_hub.cli", *arguments],
        env=os.environ | {"HEARTH_HUB_DATABASE_URL": postgres_url},
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )


def test_readings_from_a_clock_that_was_wrong_are_stored_once_their_time_has_come(
    connection: Connection, postgres_url: str
) -> None:
    ahead = [NOW_MS + TWO_DAYS_MS, NOW_MS + TWO_DAYS_MS + 10_000]
    store(connection, record(1, [NOW_MS], 1), record(2, ahead, 3), record(3, [NOW_MS + 1000], 4))
    early = list(replay(connection, ManualClock(NOW_MS / 1000), [1]))
    assert early == [Outcome(1, 0, "from the future")]
    later = list(replay(connection, ManualClock(NOW_MS / 1000 + 3 * 86_400), [1]))
    assert later == [Outcome(1, 2, None)]
    assert connection.execute("select produced, stored, dead_lettered from account").fetchall() == [(4, 4, 0)]
    assert connection.execute("select count(*) from dead_letter").fetchone() == (0,)
    assert hub(postgres_url, "reconcile").returncode == 0


def test_a_conflict_stays_dead_and_nothing_changes(connection: Connection) -> None:
    store(connection, record(1, [NOW_MS], 1), record(2, [NOW_MS, NOW_MS + 1], 3))
    (outcome,) = replay(connection, ManualClock(NOW_MS / 1000), [1])
    assert outcome.trouble == "1 of its instants are taken by other readings"
    assert connection.execute("select produced, stored, dead_lettered from account").fetchall() == [(3, 2, 1)]
    assert connection.execute("select power_w from reading order by at").fetchall() == [(1.0,), (2.0,)]


def test_a_record_nobody_could_count_is_stored_when_it_can_be_read(connection: Connection) -> None:
    """The running count of the next record had told that two readings were in it."""
    whole = record(2, [NOW_MS + 1, NOW_MS + 2], 3)
    torn = Incoming(whole.topic, whole.payload[:-5])
    store(connection, record(1, [NOW_MS], 1), torn, record(3, [NOW_MS + 3], 4))
    assert connection.execute("select produced, stored, dead_lettered from account").fetchall() == [(4, 2, 2)]
    assert next(replay(connection, ManualClock(NOW_MS / 1000), [1])).trouble is not None
    connection.execute("update dead_letter set raw = %s", [whole.payload])  # as a newer release would read it
    assert next(replay(connection, ManualClock(NOW_MS / 1000), [1])) == Outcome(1, 2, None)
    assert connection.execute("select produced, stored, dead_lettered from account").fetchall() == [(4, 4, 0)]


def test_a_message_that_was_sent_again_meanwhile_is_not_stored_twice_nor_said_to_be(connection: Connection) -> None:
    """It arrived as garbage, so nobody knew whose it was; then its sender sent it again."""
    whole = record(1, [NOW_MS, NOW_MS + 1], 2)
    store(connection, Incoming(whole.topic, b"garbage"), Incoming(whole.topic, b"rubbish"))
    connection.execute("update dead_letter set raw = %s", [whole.payload])  # as a newer release would read them
    outcomes = list(replay(connection, ManualClock(NOW_MS / 1000), [1, 2]))
    assert outcomes == [Outcome(1, 2, None), Outcome(2, 0, None)]
    assert connection.execute("select produced, stored, dead_lettered from account").fetchall() == [(2, 2, 0)]


def test_the_operator_sees_the_reason_and_the_home_is_told(connection: Connection, postgres_url: str) -> None:
    store(connection, record(1, [NOW_MS], 1), record(2, [NOW_MS], 2), Incoming("hearth/anna/birth", b"{"))
    listed = hub(postgres_url, "dead-letters", "list", "--home", "anna", "--json")
    letters = [json.loads(line) for line in listed.stdout.splitlines()]
    assert [(one["what"], one["device"], one["readings"]) for one in letters] == [
        ("birth", None, 0),
        ("readings", "grid", 1),
    ]
    assert "conflict" in letters[1]["reason"]
    shown = hub(postgres_url, "dead-letters", "list")
    assert "anna/grid 1 readings: conflict" in shown.stdout
    replayed = hub(postgres_url, "dead-letters", "replay")
    assert (replayed.returncode, replayed.stdout.splitlines()[-1]) == (1, "0 replayed, 2 still dead")
    assert hub(postgres_url, "reconcile", "--json").returncode == 0
    kinds = connection.execute("select kind, device from event order by device nulls first").fetchall()
    assert kinds == [("dead_letter", None), ("dead_letter", "grid")]


def test_reconcile_ends_with_1_when_a_stored_reading_is_missing(connection: Connection, postgres_url: str) -> None:
    store(connection, record(1, [NOW_MS, NOW_MS + 1], 2))
    connection.execute("delete from reading where at = (select min(at) from reading)")
    done = hub(postgres_url, "reconcile", "--home", "anna")
    assert done.returncode == 1
    assert "2 stored, but 1 ROWS IN THE TABLE" in done.stdout
