"""Broker, database, hub and homes as real processes on their own ports, for one run of scenarios."""

from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
from tests.faults.asking import ask_accounts, mismatches, newest_s, read_stored, watermark
from tests.faults.background import Background
from tests.faults.broker import Broker
from tests.faults.home import Home
from tests.faults.postgres import Database
from tests.faults.processes import FaultsError, Part, free_port, wait_until
from tests.faults.spoolfile import last_seq
from tests.faults.verdict import Verdict, judge

from hearth_hub.accounts.service import Reconciliation
from hearth_hub.database.migrate import migrate

INGEST = (sys.executable, "-m", "hearth_hub.cli", "ingest")
_DRAIN_S = 120.0


class World:
    """Everything but the homes, which a scenario makes for itself with `homes`."""

    def __init__(
        self,
        seed: int | str,
        *,
        ingests: int = 1,
        ingest: Sequence[str] = INGEST,
        database_folder: Path | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        """Prepare a world; entering it starts broker, database and ingest.

        Args:
            seed: Of every choice made in it.
            ingests: How many ingest processes there are.
            ingest: The ingest program.
            database_folder: Where the database lives; in the world's own folder when left out.
            environment: More variables for the hub.
        """
        self.seed, self.random = seed, random.Random(seed)
        self.background = Background()
        self.folder = Path(tempfile.mkdtemp(prefix="hearth-faults-"))
        self.folder.chmod(0o711)  # PostgreSQL runs as somebody else
        self.broker_port = free_port()
        self.broker_url = f"mqtt://127.0.0.1:{self.broker_port}"
        self._ingests, self._ingest = ingests, ingest
        self._database_folder = database_folder or self.folder / "postgres"
        self._environment = environment or {}
        self._stack = contextlib.ExitStack()
        self.broker: Broker
        self.database: Database
        self.ingests: list[Part] = []

    def __enter__(self) -> World:
        """Start broker, database and ingest."""
        with contextlib.ExitStack() as stack:
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            stack.enter_context(self.background)
            self.broker = Broker(self.folder, self.broker_port)
            self.broker.start()
            stack.callback(self.broker.stop)
            self.database = Database(self._database_folder, self.folder / "postgres.log")
            self.database.start()
            stack.callback(self.database.stop)
            migrate(self.database.url)
            self.ingests = [self._make_ingest(i) for i in range(self._ingests)]
            for part in self.ingests:
                part.start()
                stack.callback(part.stop)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """End everything."""
        self._stack.close()

    def reseed(self, seed: int | str) -> None:
        """Begin the choices anew, for the next scenario."""
        self.seed = seed
        self.random.seed(seed)

    def _make_ingest(self, number: int) -> Part:
        environment = {
            "HEARTH_HUB_DATABASE_URL": self.database.url,
            "HEARTH_HUB_MQTT_URL": self.broker_url,
            "HEARTH_HUB_DATA_DIR": str(self.folder / "hub"),
        }
        name = f"ingest{number or ''}"
        return Part(name, self._ingest, self.folder / f"{name}.log", environment | self._environment)

    def restart(self, part: Part) -> None:
        """Start a killed part again, as its service manager would."""
        part.start()

    # --- homes

    @contextlib.contextmanager
    def homes(self, prefix: str, count: int = 3, *, proxied: bool = False, **options: Any) -> Iterator[list[Home]]:
        """Start homes and end them with the block; their names begin with ``prefix``, which is used once a world.

        Args:
            prefix: Lower case letters, digits and dashes.
            count: How many.
            proxied: Put a proxy between each agent and the broker.
            options: See `Home`.
        """
        with contextlib.ExitStack() as stack:
            homes = []
            for i in range(count):
                seed = self.random.randrange(2**32) if proxied else None
                folder = self.folder / f"{prefix}-{i}"
                home = Home(f"{prefix}-{i}", folder, self.background, self.broker_port, seed=seed, **options)
                stack.callback(home.close)
                homes.append(home)
            for home in homes:
                home.start()
            yield homes

    # --- looking

    def connect(self) -> psycopg.Connection:
        """Return a connection to the database."""
        return psycopg.connect(self.database.url, autocommit=True, connect_timeout=10)

    def newest(self, home: Home) -> float:
        """Return the instant of the newest stored reading of a home [s since 1970]; 0 = none or no database."""
        try:
            with self.connect() as connection:
                return newest_s(connection, home.name)
        except psycopg.OperationalError:
            return 0.0

    def until_fresh(self, homes: Iterable[Home], since_s: float | None = None, limit_s: float = 120.0) -> float:
        """Wait until a reading of each home that was taken after ``since_s`` is stored; return how long it took [s]."""
        since_s = time.time() if since_s is None else since_s
        waiting = list(homes)

        def fresh() -> bool:
            waiting[:] = [home for home in waiting if self.newest(home) <= since_s]
            return not waiting

        names = ", ".join(home.name for home in waiting)
        return wait_until(fresh, limit_s, f"fresh readings of {names}")

    def drained(self, home: Home) -> bool:
        """Tell whether the hub has every record of a home's spool."""
        try:
            epoch, last = last_seq(home.spool)
            with self.connect() as connection:
                return watermark(connection, home.name, epoch) >= last
        except (psycopg.OperationalError, sqlite3.Error, OSError):
            return False

    # --- the end

    def settle(self, homes: Sequence[Home], limit_s: float = _DRAIN_S) -> float:
        """Let devices rest, wait until the hub has everything, stop the agents; return how long draining took [s]."""
        for home in homes:
            home.rest()
        time.sleep(max(home.flush_s for home in homes) + 0.5)
        try:
            took_s = wait_until(lambda: all(self.drained(home) for home in homes), limit_s, "draining", 0.3)
        except FaultsError:
            took_s = limit_s  # the verdict tells what is missing
        for home in homes:
            home.finish()
        return took_s

    def judge(self, homes: Sequence[Home]) -> Verdict:
        """Compare what was produced, committed and stored; the agents have been stopped."""
        total = Verdict()
        with self.connect() as connection:
            for home in homes:
                verdict = judge(home, read_stored(connection, home.name))
                accounts = self.reconcile(home)
                verdict.reconciled = accounts.reconciled
                if not accounts.reconciled:
                    verdict.notes.append(f"{home.name}: not reconciled: {mismatches(accounts)}")
                total.add(verdict)
        return total

    def reconcile(self, home: Home | None = None) -> Reconciliation:
        """Ask the hub's own accounts."""
        return ask_accounts(self.database.url, home.name if home else None)
