"""The owner's own wishes: from the hub, signed, or from this machine's command line; each ends by itself.

Of two wishes for one device the one issued last counts. A wish without content takes back the ones before it.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hearth_agent.events import EventLog
from hearth_agent.files import write_durably
from hearth_agent.plan.checks import FUTURE_MS
from hearth_core.clock import Clock, now_ms
from hearth_core.errors import PermanentError, PoisonMessageError, SignatureError
from hearth_core.messages import Override, decode, encode
from hearth_core.points import DeviceKind
from hearth_core.signing import unseal
from hearth_core.wishes import misfit

logger = logging.getLogger(__name__)

LONGEST_MS = 7 * 86_400 * 1000
MOST_BYTES = 4096
LOCAL_NAME = "overrides.json"
"""File in the data folder that ``hearth-agent override`` writes and a running agent reads."""
_MOST_LOCAL_BYTES = 64 * 1024


class OverrideRefusedError(PermanentError):
    """A wish this home does not follow; the text says why."""


def is_empty(override: Override) -> bool:
    """Tell whether an override asks for nothing, and so takes back the ones before it."""
    return override.battery is None and override.current_a is None and override.heat_mode is None


def check_override(
    override: Override, home: str, kinds: Mapping[str, DeviceKind], at_ms: int, last_version: int = 0
) -> None:
    """Refuse a wish that cannot be right.

    Args:
        override: The wish.
        home: This home.
        kinds: What each of its devices is.
        at_ms: Now.
        last_version: Of the last accepted wish for the device.

    Raises:
        OverrideRefusedError: With the reason.
    """
    if override.home != home:
        raise OverrideRefusedError(f"it is for {override.home}, this home is {home}")
    kind = kinds.get(override.device)
    if kind is None:
        raise OverrideRefusedError(f"device {override.device} is not here; this home has {', '.join(kinds)}")
    if override.version <= last_version:
        raise OverrideRefusedError(f"version {override.version} is not newer than {last_version}")
    if override.issued_ms > at_ms + FUTURE_MS:
        raise OverrideRefusedError("it was issued in the future")
    if override.until_ms <= at_ms:
        raise OverrideRefusedError("it is over")
    if override.until_ms - override.issued_ms > LONGEST_MS or override.until_ms - at_ms > LONGEST_MS:
        raise OverrideRefusedError("it is longer than 7 days")
    if wrong := misfit(kind, override.battery, override.power_w, override.current_a, override.heat_mode):
        raise OverrideRefusedError(f"{wrong[0]} of {override.device}: {wrong[1]}")


class _Active(msgspec.Struct, frozen=True):
    """A wish, and when it ends by a clock that does not jump [s]."""

    override: Override
    ends_s: float


class OverrideStore:
    """Looked at with each step of the controller.

    While nobody knows what time it is, a wish is taken whatever its dates, and lasts as long as it was to last.
    """

    def __init__(
        self,
        folder: Path,
        home: str,
        kinds: Mapping[str, DeviceKind],
        key: Ed25519PublicKey | None,
        clock: Clock,
        events: EventLog,
        time_trusted: Callable[[], bool] = lambda: True,
    ) -> None:
        self._folder, self._home, self._kinds, self._key = folder / "overrides", home, kinds, key
        self._local_path = folder / LOCAL_NAME
        self._clock, self._events, self._time_trusted = clock, events, time_trusted
        self._hub: dict[str, _Active] = {}
        self._local: dict[str, _Active] = {}
        self._local_seen: tuple[int, int] | None = None
        self._last_refused = b""
        self._told: dict[str, Override] = {}
        self._restore()

    def offer(self, sealed: bytes) -> bool:
        """Take a wish from the wire if it deserves it; a refusal is told once and changes nothing."""
        if not sealed:
            return False  # a retained wish was cleared
        try:
            override = self._open(sealed)
            known = self._hub.get(override.device)
            if known is not None and known.override == override:
                return False  # the broker repeats its retained message after every reconnect
            last_version = known.override.version if known is not None else 0
            check_override(override, self._home, self._kinds, self._at_ms(override), last_version)
        except (OverrideRefusedError, PoisonMessageError, SignatureError) as error:
            if sealed != self._last_refused:
                self._events.warning("override_refused", str(error))
            self._last_refused = sealed
            return False
        write_durably(self._folder / f"{override.device}.sealed", sealed)
        self._hub[override.device] = self._active(override)
        return True

    def current(self) -> Mapping[str, Override]:
        """Return the wishes in force, by device; one that has ended by either clock is not among them."""
        self._look_at_local()
        at_ms = now_ms(self._clock) if self._time_trusted() else -math.inf
        tick_s = self._clock.monotonic()
        found: dict[str, Override] = {}
        for device in {*self._hub, *self._local}:
            known = [one[device] for one in (self._hub, self._local) if device in one]
            alive = [one for one in known if at_ms < one.override.until_ms and tick_s < one.ends_s]
            newest = max(alive, key=lambda one: one.override.issued_ms, default=None)
            if newest is not None and not is_empty(newest.override):
                found[device] = newest.override
        self._tell(found)
        return found

    def _active(self, override: Override) -> _Active:
        left_ms = min(override.until_ms - self._at_ms(override), override.until_ms - override.issued_ms)
        return _Active(override, self._clock.monotonic() + left_ms / 1000)

    def _at_ms(self, override: Override) -> int:
        """Return the instant from which a wish is looked at: its own beginning while the clock is not believed."""
        return now_ms(self._clock) if self._time_trusted() else override.issued_ms

    def _open(self, sealed: bytes) -> Override:
        if len(sealed) > MOST_BYTES:
            raise OverrideRefusedError(f"{len(sealed)} bytes are more than the {MOST_BYTES} an override may have")
        if self._key is None:
            raise OverrideRefusedError("this home has no hub.public_key to check signatures with")
        return unseal(sealed, self._key, Override)

    def _restore(self) -> None:
        """Go on with the wishes of before the restart; their versions stand even when their time is over."""
        if self._key is None or not self._folder.is_dir():
            return
        for path in sorted(self._folder.glob("*.sealed")):
            try:
                override = unseal(path.read_bytes(), self._key, Override)
                at_ms = min(max(now_ms(self._clock), override.issued_ms), override.until_ms - 1)
                check_override(override, self._home, self._kinds, at_ms)
            except (OSError, OverrideRefusedError, PoisonMessageError, SignatureError) as error:
                logger.warning("the kept override %s is not used: %s", path.name, error)
                continue
            self._hub[override.device] = self._active(override)

    def _look_at_local(self) -> None:
        """Read the command line's file when it has changed; what is wrong in it is told, the rest counts."""
        try:
            stat = self._local_path.stat()
        except OSError:
            self._local, self._local_seen = {}, None
            return
        seen = (stat.st_mtime_ns, stat.st_ino)
        if seen == self._local_seen:
            return
        self._local_seen = seen
        kept = self._local
        self._local = {}
        for override in self._read_local():
            before = kept.get(override.device)
            if before is not None and before.override == override:
                self._local[override.device] = before  # its end by the steady clock stands
                continue
            try:
                check_override(override, self._home, self._kinds, self._at_ms(override))
            except OverrideRefusedError as error:
                self._events.warning("override_refused", f"{self._local_path.name}: {error}")
                continue
            self._local[override.device] = self._active(override)

    def _read_local(self) -> list[Override]:
        try:
            return read_local(self._local_path)
        except (OSError, PoisonMessageError) as error:
            self._events.warning("override_refused", f"{self._local_path.name}: {error}")
            return []

    def _tell(self, found: dict[str, Override]) -> None:
        for device, override in found.items():
            if self._told.get(device) != override:
                self._events.info("override", describe(override), device)
        for device in self._told:
            if device not in found:
                self._events.info("override_ended", "the plan counts again", device)
        self._told = found


def describe(override: Override) -> str:
    """Say what is wished, for a person."""
    words = [str(override.battery)] if override.battery is not None else []
    words += [f"{override.power_w:g} W"] if override.power_w is not None else []
    words += [f"{override.current_a:g} A"] if override.current_a is not None else []
    words += [str(override.heat_mode)] if override.heat_mode is not None else []
    return " ".join(words) or "as planned"


def read_local(path: Path) -> list[Override]:
    """Read the command line's file; a missing one holds nothing.

    Raises:
        PoisonMessageError: It is too large, or not what the command writes.
    """
    if not path.exists():
        return []
    if path.stat().st_size > _MOST_LOCAL_BYTES:
        raise PoisonMessageError(f"{path.stat().st_size} bytes are more than overrides need")
    return decode(path.read_bytes(), LocalOverrides).overrides


def write_local(path: Path, overrides: list[Override]) -> None:
    """Replace the command line's file as a whole."""
    write_durably(path, encode(LocalOverrides(overrides=overrides)) + b"\n")


class LocalOverrides(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The content of the command line's file, at most one wish a device."""

    overrides: list[Override]
