"""Keeps the grid operator's limits: hears every source, holds them over a restart, tells and logs what is in force."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hearth_agent.control.orders import GridCaps
from hearth_agent.events import EventLog
from hearth_agent.files import write_durably
from hearth_agent.grid.held import SILENCE, Held, Signal, advance, cap_w, explain, resolve
from hearth_agent.grid.journal import Journal
from hearth_agent.grid.sources import OWN_NAMES, GridSource, InputSource, ModbusSource, MqttSource
from hearth_core.clock import Clock, now_ms
from hearth_core.errors import PermanentError, PoisonMessageError, SignatureError
from hearth_core.messages import GridLimit, Side
from hearth_core.signing import unseal

logger = logging.getLogger(__name__)

Read = Callable[[str, str], float | None]
"""Returns the fresh value of a device's point; None when it is missing."""
MOST_BYTES = 4096
_FUTURE_MS = 5 * 60 * 1000
_OLDEST_MS = 366 * 86_400 * 1000
_HOUR_S = 3600.0
# time that has passed is written down so often while a limit is in force; a power cut prolongs it by as much at most
_KEEP_EVERY_S = 300.0
# a box that moves its limit every second must not wear out the disk
_KEEP_LEAST_S = 10.0
_MOST_W = 1e9


class GridLimitRefusedError(PermanentError):
    """A message this home does not obey; the text says why."""


class _Kept(msgspec.Struct):
    """What lies on the disk."""

    held: dict[str, Held] = {}
    versions: dict[str, int] = {}
    """Of the last accepted message of each side."""


class GridLimits:
    """Looked at with each step of the controller.

    While nobody knows what time it is, a limit is obeyed whatever its date, and lasts its whole duration.
    """

    def __init__(
        self,
        folder: Path,
        home: str,
        sources: Sequence[GridSource],
        key: Ed25519PublicKey | None,
        clock: Clock,
        events: EventLog,
        time_trusted: Callable[[], bool] = lambda: True,
    ) -> None:
        self._path, self._home, self._key = folder / "grid-limits.json", home, key
        self._clock, self._events, self._time_trusted = clock, events, time_trusted
        self._journal = Journal(folder / "grid-limits.log", clock)
        self._sources = {source.name: source for source in with_mqtt(sources)}
        self._kept = self._restore()
        self._seen: dict[str, float] = {}
        """Last value of each heartbeat point."""
        self._looked_s = self._kept_s = clock.monotonic()
        self._grid_w: float | None = None
        self._is_changed = False
        self._told: dict[str, tuple[float | None, bool]] = {
            name: _told_of(source, self._held(name)) for name, source in self._sources.items()
        }
        self._logged_s = clock.monotonic()
        self._last_refused = b""

    def _held(self, name: str) -> Held:
        return self._kept.held.get(name, Held())

    def offer(self, sealed: bytes) -> bool:
        """Take a message from the wire if it deserves it; a refusal is told once and changes nothing."""
        if not sealed:
            return False  # a retained message was cleared
        try:
            limit = self._open(sealed)
            if limit.home == self._home and limit.version == self._kept.versions.get(limit.side):
                return False  # the broker repeats its retained message after every reconnect
            self._check(limit)
        except (GridLimitRefusedError, PoisonMessageError, SignatureError) as error:
            if sealed != self._last_refused:
                self._events.warning("grid_limit_refused", str(error))
            self._last_refused = sealed
            return False
        source = next(one for one in self._sources.values() if isinstance(one, MqttSource) and one.side is limit.side)
        heard = Signal(is_alive=True, has_limit=True, limit_w=limit.limit_w, duration_s=self._left_s(limit))
        self._kept.versions[limit.side] = limit.version
        self._journal.write("received", source.name, limit.side, limit.limit_w, self._grid_w)
        # at once and not with the next look: what was accepted survives a power cut
        self._change(source, advance(source, self._held(source.name), 0.0, heard))
        self._keep()
        return True

    def _open(self, sealed: bytes) -> GridLimit:
        if len(sealed) > MOST_BYTES:
            raise GridLimitRefusedError(f"{len(sealed)} bytes are more than the {MOST_BYTES} a limit may have")
        if self._key is None:
            raise GridLimitRefusedError("this home has no hub.public_key to check signatures with")
        return unseal(sealed, self._key, GridLimit)

    def _check(self, limit: GridLimit) -> None:
        last = self._kept.versions.get(limit.side, 0)
        if limit.home != self._home:
            raise GridLimitRefusedError(f"it is for {limit.home}, this home is {self._home}")
        if limit.version <= last:
            raise GridLimitRefusedError(f"version {limit.version} is not newer than {last}")
        if self._age_ms(limit) < -_FUTURE_MS:
            raise GridLimitRefusedError("it was issued in the future")
        if self._age_ms(limit) > _OLDEST_MS:
            raise GridLimitRefusedError("it is older than a year")
        if self._left_s(limit) == 0:
            raise GridLimitRefusedError("it is over")
        if not all(math.isfinite(one) for one in (limit.limit_w, limit.duration_s) if one is not None):
            raise GridLimitRefusedError("limit_w or duration_s is no number")

    def _left_s(self, limit: GridLimit) -> float | None:
        """Return for how long a limit still holds that was on its way for a while."""
        if limit.duration_s is None:
            return None
        return max(0.0, limit.duration_s - max(0.0, self._age_ms(limit) / 1000))

    def _age_ms(self, limit: GridLimit) -> int:
        """Return how long ago a limit was issued; 0 while the clock is not believed."""
        return now_ms(self._clock) - limit.issued_ms if self._time_trusted() else 0

    def look(self, read: Read, grid_w: float | None) -> GridCaps:
        """Let time pass, hear the sources at home, and return what holds now.

        Args:
            read: Of the home's devices.
            grid_w: Power at the grid meter, for the log [W].
        """
        elapsed_s = max(0.0, self._clock.monotonic() - self._looked_s)
        self._looked_s += elapsed_s
        self._grid_w = grid_w
        for name, source in self._sources.items():
            self._change(source, advance(source, self._held(name), elapsed_s, self._hear(source, read)))
        is_active = any(cap_w(source, self._held(name)) is not None for name, source in self._sources.items())
        not_kept_s = self._looked_s - self._kept_s
        if (self._is_changed and not_kept_s >= _KEEP_LEAST_S) or (is_active and not_kept_s >= _KEEP_EVERY_S):
            self._keep()
        if self._looked_s - self._logged_s >= _HOUR_S:
            self._logged_s = self._looked_s
            self._log_what_holds()
        return self.caps()

    def caps(self) -> GridCaps:
        """Return what holds as of the last look."""
        return resolve((source, self._held(name)) for name, source in self._sources.items())

    def why(self) -> str:
        """Say which sources hold what, for a person; empty when none does."""
        return explain((source, self._held(name)) for name, source in self._sources.items())

    def _hear(self, source: GridSource, read: Read) -> Signal:
        if isinstance(source, MqttSource):
            return SILENCE  # messages are taken when they come
        value = read(source.device, source.point)
        if value is None or not math.isfinite(value) or abs(value) > _MOST_W:
            return SILENCE
        if isinstance(source, InputSource):
            return Signal(is_alive=True, has_limit=True, limit_w=source.limit_w if value == source.active else None)
        if value < 0:
            return SILENCE
        return Signal(is_alive=self._beats(source, read), has_limit=True, limit_w=value)

    def _beats(self, source: ModbusSource, read: Read) -> bool:
        if source.heartbeat_point is None:
            return True
        beat = read(source.device, source.heartbeat_point)
        if beat is None or beat == self._seen.get(source.name):
            return False
        is_first = source.name not in self._seen
        self._seen[source.name] = beat
        return not is_first  # a number that stood still before this start is no heartbeat yet

    def _change(self, source: GridSource, held: Held) -> None:
        """Take a source's next state; tell and log it when something else holds now."""
        self._kept.held[source.name] = held
        now, before = _told_of(source, held), self._told[source.name]
        if now == before:
            return
        self._is_changed, self._told[source.name] = True, now
        (most_w, is_failsafe), (was_w, was_failsafe) = now, before
        what = "failsafe" if is_failsafe and not was_failsafe else "applied" if most_w is not None else "lifted"
        logged_w = was_w if most_w is None else most_w
        if not self._journal.write(what, source.name, source.side, logged_w, self._grid_w):
            return  # so many changes a day are not told one by one
        if what == "lifted":
            self._events.info("grid_limit_lifted", f"{source.name}: {source.side} is free again")
        elif what == "failsafe":
            text = f"{source.name} lost its heartbeat: {source.side} at most {most_w:.0f} W for two hours or more"
            self._events.warning("grid_limit_failsafe", text)
        else:
            self._events.warning("grid_limit", f"{source.name}: {source.side} at most {most_w:.0f} W")

    def _log_what_holds(self) -> None:
        for name, source in self._sources.items():
            if (most_w := cap_w(source, self._held(name))) is not None:
                self._journal.write("holds", name, source.side, most_w, self._grid_w)

    def _keep(self) -> None:
        self._kept_s, self._is_changed = self._clock.monotonic(), False
        try:
            write_durably(self._path, msgspec.json.encode(self._kept))
        except OSError as error:
            logger.error("grid limits cannot be kept: %s", error)  # noqa: TRY400  no trace needed

    def _restore(self) -> _Kept:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_Kept)
        except FileNotFoundError:
            return _Kept()
        except (OSError, msgspec.MsgspecError) as error:
            # better a failsafe too many than a limit forgotten
            self._events.error("grid_limit", f"what was kept of grid limits is unreadable, failsafes hold: {error}")
            return _Kept(
                held={
                    name: Held(failsafe_for_s=0.0, is_fresh=False)
                    for name, source in self._sources.items()
                    if source.failsafe_w is not None
                }
            )


def _told_of(source: GridSource, held: Held) -> tuple[float | None, bool]:
    """Return what is told of a source: what it holds its side to [W], and whether by its failsafe."""
    return cap_w(source, held), held.failsafe_for_s is not None


def with_mqtt(sources: Sequence[GridSource]) -> list[GridSource]:
    """Return the sources with one for MQTT messages of each side: those are obeyed without being configured."""
    heard = {source.side for source in sources if isinstance(source, MqttSource)}
    added = [MqttSource(name=OWN_NAMES[side], side=side) for side in Side if side not in heard]
    return [*sources, *added]
