"""A fleet against the hub's own ingest process: an outage's backlog arrives whole, and the books say so."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from hearth_hub.accounts.service import Reconciliation, reconcile
from hearth_hub.database.pool import new_pool
from hearth_sim.fleet.fleet import Fleet
from hearth_sim.fleet.settings import FleetSettings


class Broker(Protocol):
    """The part of the shared fixture used here."""

    url: str


@contextmanager
def ingest(broker: Broker, postgres_url: str, log: Path) -> Iterator[None]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HEARTH_")}
    settings = {
        "HEARTH_HUB_DATA_DIR": str(log.parent),
        "HEARTH_HUB_DATABASE_URL": postgres_url,
        "HEARTH_HUB_MQTT_URL": broker.url,
    }
    with log.open("wb") as stream:
        command = [sys.executable, "-m", "hearth_hub.cli", "ingest"]
        process = subprocess.Popen(command, env=clean | settings, stderr=stream)
    try:
        deadline_s = time.monotonic() + 30
        while b"connected to the broker" not in log.read_bytes():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline_s, log.read_text()
            time.sleep(0.05)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


async def books(postgres_url: str, produced: int) -> Reconciliation:
    """The hub's books, once the last status has been entered."""
    deadline_s = time.monotonic() + 10
    async with new_pool(postgres_url, largest=1) as pool, pool.connection() as connection:
        while True:
            found = await reconcile(connection)
            if found.totals()["produced"] == produced or time.monotonic() > deadline_s:
                rows = await (await connection.execute("select count(*) from dead_letter")).fetchone()
                assert rows == (0,)
                return found
            await asyncio.sleep(0.1)


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_an_hour_of_backlog_of_twenty_homes_is_stored_whole_beside_live_readings(
    mosquitto: Broker, postgres_url: str, tmp_path: Path
) -> None:
    order = FleetSettings(
        mqtt_url=mosquitto.url,
        homes=20,
        interval_s=1.0,
        duration_s=5.0,
        backlog_s=3600.0,
        storm_s=2.0,
        until_acked=True,
        limit_s=80.0,
    )
    with ingest(mosquitto, postgres_url, tmp_path / "log"):
        result = await Fleet(order).run()
        assert result.unacknowledged_readings == 0
        assert result.connections >= 40, "there was a storm"
        assert result.produced_readings == result.acknowledged_readings >= 20 * 3600
        found = await books(postgres_url, result.produced_readings)
    assert found.reconciled
    assert len(found.lines) == 20
    totals = found.totals()
    assert totals["produced"] == totals["stored"] == result.produced_readings
    assert (totals["spooled"], totals["gaps"], totals["dead_lettered"]) == (0, 0, 0)
