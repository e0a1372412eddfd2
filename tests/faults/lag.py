"""How old the newest stored reading of each home is, sampled by a thread of its own while something goes wrong."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import TracebackType

import psycopg

_EVERY_S = 0.25


class LagMeter:
    """Samples age(newest stored reading) of homes; an age includes what a home itself waits for (poll and flush)."""

    def __init__(self, url: str, prefix: str) -> None:
        self.samples: list[tuple[float, float]] = []
        """(instant [s since 1970], age of the newest reading of one home [s])."""
        self._url, self._prefix = url, prefix
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="lag meter")

    def __enter__(self) -> LagMeter:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()

    def _sample(self) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            while not self._stopping.wait(_EVERY_S):
                rows = connection.execute(
                    "select extract(epoch from max(l.at))::float8 from latest l join device d on d.id = l.device_id"
                    " join home h on h.id = d.home_id where h.agent like %s group by h.id",
                    (self._prefix + "%",),
                ).fetchall()
                now_s = time.time()
                self.samples += [(now_s, now_s - float(at_s)) for (at_s,) in rows if at_s is not None]

    def percentile_s(self, percent: float, since_s: float, until_s: float) -> float:
        """Return a percentile of the ages in a span [s]; infinite where nothing was sampled."""
        ages = sorted(age for at_s, age in list(self.samples) if since_s <= at_s <= until_s)
        return ages[min(len(ages) - 1, int(len(ages) * percent / 100))] if ages else float("inf")


def peak_memory_mb(pid: int) -> float:
    """Return the most resident memory a process has had [MB]."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024 / 1e6
