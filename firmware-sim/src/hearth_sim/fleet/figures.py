"""What a fleet did: counts while it runs, one result at the end."""

from __future__ import annotations

import resource
import sys
import time
from array import array

import msgspec

_BINS_MS = 300_000


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one run; a value is one point at one instant."""

    homes: int
    connections: int
    """Connections made, storms and repairs included."""
    connections_lost: int
    """Broken by others than the storm."""
    produced_readings: int
    produced_values: int
    acknowledged_readings: int
    resent_readings: int
    unacknowledged_readings: int
    messages_sent: int
    """All kinds: readings, status, birth."""
    values_sent_per_s: float
    values_acknowledged_per_s: float
    latency_readings: int
    """How many readings the latencies are of: sampled when all homes were connected and their backlog was through."""
    latency_p50_ms: float | None
    """From sampled to acknowledged."""
    latency_p99_ms: float | None
    latency_max_ms: float | None
    drain_s: float | None
    """From the first connection until the last home's backlog was acknowledged; None while some is not."""
    live_lag_max_ms: float | None
    """While backlog drains, from sampled until the broker took the live reading; the hub's watermark cannot tell."""
    cpu_share: float
    """Of one core, over all the seconds."""
    cpu_share_connected: float | None
    """The same from when every home was connected."""
    rss_mb: float
    """The most memory this process had."""
    ready_s: float | None
    """Until every home was connected."""
    seconds: float
    """From the first connection to the last acknowledgement that was waited for."""


class Figures:
    """Counters of a running fleet."""

    def __init__(self, series: int) -> None:
        self._series = series
        self._began_s, self._cpu_s = time.monotonic(), time.process_time()
        self._ended_s: float | None = None
        self._ended_cpu_s = 0.0
        self._latency = array("I", bytes(4 * _BINS_MS))
        self._latency_max_ms: float | None = None
        self.latencies_from_ms: int | None = None
        """Readings sampled before this instant are not counted; None until all homes are connected."""
        self.connected = 0
        """Homes that are connected now."""
        self.connections = self.connections_lost = 0
        self.messages = self.readings_sent = self.resent = self.acknowledged = self.produced = 0
        self.homes_draining = 0
        self.drain_s: float | None = None
        self.live_lag_max_ms: float | None = None
        self.ready_s: float | None = None
        self._ready_cpu_s = 0.0

    def begin(self) -> None:
        """Start the watch."""
        self._began_s, self._cpu_s = time.monotonic(), time.process_time()

    def note_ready(self) -> None:
        """Note that every home is connected: latencies count from here on."""
        self.ready_s, self._ready_cpu_s = self.elapsed_s(), time.process_time()
        self.latencies_from_ms = int(time.time() * 1000)

    def elapsed_s(self) -> float:
        """Return the time since the beginning, or of the whole run once it has ended [s]."""
        return (self._ended_s or time.monotonic()) - self._began_s

    def end(self) -> None:
        """Stop the watch: what follows is goodbye."""
        self._ended_s, self._ended_cpu_s = time.monotonic(), time.process_time()

    def note_latency(self, sampled_ms: int, now_ms: float) -> None:
        """Count how long a live reading took to be acknowledged."""
        if self.latencies_from_ms is None or sampled_ms < self.latencies_from_ms:
            return
        latency_ms = max(0.0, now_ms - sampled_ms)
        self._latency[min(int(latency_ms), _BINS_MS - 1)] += 1
        self._latency_max_ms = max(self._latency_max_ms or 0.0, latency_ms)

    def note_live_lag(self, lag_ms: float) -> None:
        """Note how long a live reading waited beside backlog."""
        self.live_lag_max_ms = max(self.live_lag_max_ms or 0.0, lag_ms)

    def note_drained(self) -> None:
        """Note that one home's backlog is acknowledged."""
        self.homes_draining -= 1
        if self.homes_draining == 0:
            self.drain_s = self.elapsed_s()

    def percentile_ms(self, share: float) -> float | None:
        """Return the latency that this share of the readings did not exceed [ms]."""
        total = sum(self._latency)
        if total == 0:
            return None
        rank, below = share * total, 0
        for latency_ms, count in enumerate(self._latency):
            below += count
            if below >= rank:
                return min(float(latency_ms + 1), self._latency_max_ms or 0.0)
        return self._latency_max_ms

    def result(self, homes: int, unacknowledged: int) -> Result:
        """Return the figures of the run."""
        seconds, cpu_s = max(self.elapsed_s(), 1e-3), (self._ended_cpu_s or time.process_time()) - self._cpu_s
        connected = None
        if self.ready_s is not None and seconds > self.ready_s:
            connected = (cpu_s + self._cpu_s - self._ready_cpu_s) / (seconds - self.ready_s)
        return Result(
            homes=homes,
            connections=self.connections,
            connections_lost=self.connections_lost,
            produced_readings=self.produced,
            produced_values=self.produced * self._series,
            acknowledged_readings=self.acknowledged,
            resent_readings=self.resent,
            unacknowledged_readings=unacknowledged,
            messages_sent=self.messages,
            values_sent_per_s=round(self.readings_sent * self._series / seconds, 1),
            values_acknowledged_per_s=round(self.acknowledged * self._series / seconds, 1),
            latency_readings=sum(self._latency),
            latency_p50_ms=self.percentile_ms(0.5),
            latency_p99_ms=self.percentile_ms(0.99),
            latency_max_ms=_rounded(self._latency_max_ms),
            drain_s=_rounded(self.drain_s, 3),
            live_lag_max_ms=_rounded(self.live_lag_max_ms),
            cpu_share=round(cpu_s / seconds, 4),
            cpu_share_connected=_rounded(connected, 4),
            rss_mb=round(_most_memory_mb(), 1),
            ready_s=_rounded(self.ready_s, 3),
            seconds=round(seconds, 3),
        )


def _rounded(value: float | None, digits: int = 1) -> float | None:
    return None if value is None else round(value, digits)


def _most_memory_mb() -> float:
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1e6 if sys.platform == "darwin" else most * 1024 / 1e6
