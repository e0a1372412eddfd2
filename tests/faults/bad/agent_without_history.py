"""An agent that keeps nothing the hub has acknowledged: no local history that could repair a hub which lied.

Not bad by itself, but with it a lie shows at once. Changed of the real one: `SpoolStore.acknowledge` also deletes.
"""

from __future__ import annotations

from hearth_agent.cli import main
from hearth_agent.spool import recovery
from hearth_agent.spool.store import SpoolStore


class ForgetfulStore(SpoolStore):
    """Deletes records with their acknowledgement."""

    def acknowledge(self, upto: int) -> None:
        super().acknowledge(upto)
        with self.transaction():
            self._db.execute("DELETE FROM record WHERE coalesce(through, seq) <= ? AND seq < ?", (upto, self.last_seq))


if __name__ == "__main__":
    vars(recovery)["SpoolStore"] = ForgetfulStore
    main()
