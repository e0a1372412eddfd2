"""How old a reading is when it can first be seen in SQL."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import numpy as np
import psycopg

_LOOK_S = 0.05
_DEVICES = 300


@dataclass
class Probe:
    """Looks at the newest reading of some devices all the time, as a dashboard does."""

    database_url: str
    _stopping: threading.Event = field(default_factory=threading.Event)
    _lags_s: list[float] = field(default_factory=list)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Probe:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self) -> None:
        seen: dict[int, float] = {}
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            chosen = [
                row[0] for row in connection.execute("select id from device order by random() limit %s", [_DEVICES])
            ]
            while not self._stopping.wait(_LOOK_S):
                rows = connection.execute(
                    "select device_id, extract(epoch from at)::float8 from latest where device_id = any(%s)", [chosen]
                ).fetchall()
                now_s = time.time()
                for device, at_s in rows:
                    if device in seen and at_s > seen[device]:
                        self._lags_s.append(now_s - at_s)
                    seen[device] = at_s

    def percentiles_s(self) -> dict[str, float]:
        """Return the median, the 99th percentile and the largest lag seen [s], and of how many readings."""
        if not self._lags_s:
            raise SystemExit("the probe saw no reading at all")
        lags = np.array(self._lags_s)
        return {
            "p50": round(float(np.percentile(lags, 50)), 3),
            "p99": round(float(np.percentile(lags, 99)), 3),
            "max": round(float(lags.max()), 3),
            "readings": len(lags),
        }
