"""The plan this home follows: the hub's, accepted once and kept over a restart, or one made at home while it is silent.

A plan of the hub passes signature, address, version and window; one made at home never comes near those checks: it is
handed over inside the process, lives in memory only, and loses against every valid plan of the hub.
"""

from __future__ import annotations

import logging
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hearth_agent.events import EventLog
from hearth_agent.files import write_durably
from hearth_agent.plan.checks import PlanRefusedError, check_plan
from hearth_core.clock import Clock, now_ms
from hearth_core.errors import PoisonMessageError, SignatureError
from hearth_core.messages import MAX_PLAN_BYTES, Plan
from hearth_core.signing import unseal

logger = logging.getLogger(__name__)


class PlanStore:
    """Holds the last accepted plan; it lies sealed on the disk, so that it is verified again when read."""

    def __init__(self, path: Path, home: str, key: Ed25519PublicKey | None, clock: Clock, events: EventLog) -> None:
        self._path, self._home, self._key = path, home, key
        self._clock, self._events = clock, events
        self._plan: Plan | None = None
        self._home_plan: Plan | None = None
        self._heard_s = clock.monotonic()
        self._last_refused = b""
        self._restore()

    @property
    def version(self) -> int:
        """Version of the last accepted plan, 0 before the first."""
        return self._plan.version if self._plan else 0

    @property
    def last(self) -> Plan | None:
        """The hub's last accepted plan, whether or not it is over."""
        return self._plan

    def current(self, at_ms: int) -> Plan | None:
        """Return the plan to follow at an instant, the hub's if it is valid; None when there is none."""
        for plan in (self._plan, self._home_plan):
            if _covers(plan, at_ms):
                return plan
        return None

    def hub_covers(self, at_ms: int) -> bool:
        """Tell whether a plan of the hub is valid at an instant."""
        return _covers(self._plan, at_ms)

    def silent_s(self) -> float:
        """Return for how long no plan of the hub was accepted, by a clock that does not jump [s].

        After a restart it counts from when the kept plan was issued, without one from the start of the process.
        """
        return self._clock.monotonic() - self._heard_s

    def follow_home_plan(self, plan: Plan) -> bool:
        """Take a plan that this process made; the hub's versions and its kept plan are left alone.

        Returns:
            Whether it is followed: one that cannot be right is told and left.
        """
        try:
            check_plan(plan, self._home, 0, now_ms(self._clock))
        except PlanRefusedError as error:
            self._events.error("plan_refused", f"made at home: {error}")
            return False
        self._home_plan = plan
        return True

    def offer(self, sealed: bytes) -> bool:
        """Take a plan from the wire if it deserves it; a refusal is told once and changes nothing."""
        if not sealed:
            return False  # a retained plan was cleared
        try:
            plan = self._open(sealed)
            if self._plan == plan:
                return False  # the broker repeats its retained message after every reconnect
            check_plan(plan, self._home, self.version, now_ms(self._clock))
        except (PlanRefusedError, PoisonMessageError, SignatureError) as error:
            if sealed != self._last_refused:
                self._events.warning("plan_refused", str(error))
            self._last_refused = sealed
            return False
        write_durably(self._path, sealed)
        self._plan, self._home_plan = plan, None
        self._heard_s = self._clock.monotonic()
        logger.info("follows plan %d", plan.version)
        return True

    def _open(self, sealed: bytes) -> Plan:
        if len(sealed) > MAX_PLAN_BYTES:
            raise PlanRefusedError(f"{len(sealed)} bytes are more than the {MAX_PLAN_BYTES} a plan may have")
        if self._key is None:
            raise PlanRefusedError("this home has no hub.public_key to check signatures with")
        return unseal(sealed, self._key, Plan)

    def _restore(self) -> None:
        """Go on with the plan of before the restart; its version stands even when its time is over."""
        if self._key is None or not self._path.exists():
            return
        try:
            plan = unseal(self._path.read_bytes(), self._key, Plan)
            check_plan(plan, self._home, 0, min(now_ms(self._clock), plan.valid_until_ms - 1))
        except (OSError, PlanRefusedError, PoisonMessageError, SignatureError) as error:
            logger.warning("the kept plan is not used: %s", error)
            return
        self._plan = plan
        self._heard_s -= max(0.0, (now_ms(self._clock) - plan.issued_ms) / 1000)


def _covers(plan: Plan | None, at_ms: int) -> bool:
    return plan is not None and plan.valid_from_ms <= at_ms < plan.valid_until_ms
