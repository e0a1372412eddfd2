"""Known to be bad: a spool that is content with `synchronous=NORMAL`, where the last commits are in nobody's hands."""

from __future__ import annotations

from tests.faults.powercut_keepers import SpoolKeeper

from hearth_agent.spool.store import SpoolStore


class NormalStore(SpoolStore):
    """Commits without waiting for the disk."""

    def _prepare(self) -> None:
        super()._prepare()
        self._db.execute("PRAGMA synchronous=NORMAL")


class NormalSpoolKeeper(SpoolKeeper):
    """The harness must see it lose what it called committed."""

    store = NormalStore
