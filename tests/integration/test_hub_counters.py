"""Energy from counters: a reset adds what came after it, a rounding adds nothing."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from hearth_core.clock import ManualClock
from hearth_core.messages import DeviceBatch, Readings, encode
from hearth_hub.ingest.service import Incoming, Ingest, open_message
from hearth_hub.readings.energy import counter_increase, integrated
from hearth_hub.readings.roll_up import RollUp

START = datetime(2016, 4, 4, tzinfo=UTC)
START_MS = int(START.timestamp() * 1000)


@pytest.fixture
async def asking(postgres_url: str) -> AsyncIterator[psycopg.AsyncConnection[tuple[object, ...]]]:
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection:
        yield connection


def store(postgres_url: str, points: dict[str, list[float | None]]) -> None:
    n = len(next(iter(points.values())))
    at_ms = [START_MS + 60_000 * k for k in range(n)]
    record = Readings(
        epoch="00000000000000aa",
        seq=1,
        batches=[DeviceBatch(device="inverter", at_ms=at_ms, points=points, produced=n)],
    )
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        clock = ManualClock(START.timestamp())
        Ingest(connection, clock).store([open_message(Incoming("hearth/anna/readings", encode(record)), clock)])


async def test_a_reset_counts_and_a_rounding_does_not(
    postgres_url: str, asking: psycopg.AsyncConnection[tuple[object, ...]]
) -> None:
    """A counter of 3 MWh that is rounded down by 0.4 Wh must not add 3 MWh."""
    store(postgres_url, {"energy_wh": [3_000_000.4, 3_000_000.0, 3_000_010.0, 5.0, None, 25.0]})
    await RollUp().everything(asking)
    end = START + timedelta(hours=1)
    grown = await counter_increase(asking, [1], "energy_wh", START, end)
    assert grown == pytest.approx(-0.4 + 10.0 + 5.0 + 20.0)
    # from one reading to another, both inside of minutes whose edges are read one by one
    inside = await counter_increase(
        asking, [1], "energy_wh", START + timedelta(seconds=61), START + timedelta(seconds=181)
    )
    assert inside == pytest.approx(10.0 + 5.0)
    assert await counter_increase(asking, [1], "energy_wh", START, START + timedelta(seconds=30)) is None
    assert await counter_increase(asking, [1], "energy_wh", end + timedelta(hours=2), end + timedelta(hours=3)) is None


async def test_only_what_is_drawn_is_integrated_on_demand(
    postgres_url: str, asking: psycopg.AsyncConnection[tuple[object, ...]]
) -> None:
    """600 W delivered, then 1200 W drawn, a reading a minute: trapezoids by hand."""
    store(postgres_url, {"power_w": [600.0, 600.0, -1200.0, -1200.0, -1200.0]})
    end = START + timedelta(hours=1)
    drawn = await integrated(asking, [1], "power_w", START, end, only_negative=True)
    assert drawn == pytest.approx(-(0.5 * 1200 + 1200 + 1200) / 60)
    both = await integrated(asking, [1], "power_w", START, end)
    assert both == pytest.approx((600 + 0.5 * (600 - 1200) - 1200 - 1200) / 60)
