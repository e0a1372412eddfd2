"""Known to be bad: an agent that takes the broker's PUBACK for "stored" and deletes the record.

It must fail F-02. Changed of the real one: `Session._publish` (sends one message, returns with its PUBACK) acknowledges
and deletes readings, and `Session._heed` (the hub has spoken) listens only to the answer to the birth.
"""

from __future__ import annotations

import time

from hearth_agent.cli import main
from hearth_agent.uplink import link
from hearth_agent.uplink.session import Session
from hearth_core import topics
from hearth_core.messages import Readings, decode


class TrustingSession(Session):
    """Trusts the broker."""

    _taken: set[int] = set()  # noqa: RUF012  one process has one session at a time, and a new one begins anew

    async def _publish(self, part: str, payload: bytes, *, retain: bool) -> None:
        await super()._publish(part, payload, retain=retain)
        if part == topics.READINGS:
            await self._forget(decode(payload, Readings))

    async def _forget(self, sent: Readings) -> None:
        self._taken.update(range(sent.seq, sent.last_seq + 1))
        upto = self._spool.acked
        while upto + 1 in self._taken:
            upto += 1
        await self._spool.acknowledge(upto)
        self._window.acknowledge(upto, time.monotonic())
        store = self._spool._store
        if store is not None:
            query = "DELETE FROM record WHERE coalesce(through, seq) <= ? AND seq < ?"
            await self._spool._run(lambda: store._db.execute(query, (upto, store.last_seq)))

    async def _heed(self, payload: bytes) -> None:
        if not self._answered:
            self._taken.clear()
            await super()._heed(payload)


if __name__ == "__main__":
    vars(link)["Session"] = TrustingSession
    main()
