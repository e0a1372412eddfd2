"""The proof that nothing was lost: produced = stored + spooled + gaps + dead-lettered, for every device and epoch."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import Any

from hearth_hub.accounts import repository
from hearth_hub.accounts.repository import AccountRow
from hearth_hub.database.pool import Connection


@dataclass(frozen=True)
class Line:
    """One device in one epoch."""

    home: str
    device: str
    epoch: str
    produced: int
    stored: int
    spooled: int
    """Not here yet, and known to be in the agent's spool."""
    gaps: int
    dead_lettered: int
    missing: int
    """Neither here nor known to be in the spool; negative when there is more than was produced."""
    holds: bool


@dataclass(frozen=True)
class TableCheck:
    """The accounts of a device over all epochs against the rows that are really in the table."""

    home: str
    device: str
    stored: int
    rows: int
    expired: int
    """Removed from the table because they outlived their retention."""
    holds: bool


@dataclass(frozen=True)
class Reconciliation:
    """The result for one home or all."""

    lines: list[Line]
    tables: list[TableCheck]

    @property
    def reconciled(self) -> bool:
        """True when every equation holds and every stored reading is there."""
        return all(line.holds for line in self.lines) and all(check.holds for check in self.tables)

    def totals(self) -> dict[str, int]:
        """Return the sums over devices and epochs."""
        names = ("produced", "stored", "spooled", "gaps", "dead_lettered")
        return {name: sum(getattr(line, name) for line in self.lines) for name in names}

    def as_json(self) -> dict[str, Any]:
        """Return it for a program."""
        return {
            "reconciled": self.reconciled,
            "totals": self.totals(),
            "accounts": [asdict(line) for line in self.lines],
            "tables": [asdict(check) for check in self.tables],
        }


async def reconcile(connection: Connection, home: str | None = None) -> Reconciliation:
    """Compare what agents produced with what the hub has, in one consistent view of the database."""
    async with connection.transaction():
        await connection.execute("set transaction isolation level repeatable read, read only")
        accounts = await repository.accounts(connection, home)
        rows = await repository.count_rows(connection, home)
    stored: dict[tuple[str, str], int] = defaultdict(int)
    for account in accounts:
        stored[account.home, account.device] += account.stored
    tables = [
        TableCheck(*key, stored[key], present, expired, stored[key] == present + expired)
        for key, (present, expired) in sorted(rows.items())
    ]
    return Reconciliation([balance(account) for account in accounts], tables)


def balance(account: AccountRow) -> Line:
    """Check one account.

    The agent's last word may be a minute old: what it has produced since then it may have in its spool too, and what
    it had spooled then may have arrived.
    """
    produced = max(account.produced, account.told_produced)
    outstanding = produced - account.stored - account.gaps - account.dead_lettered
    may_be_spooled = account.told_spooled + max(0, account.produced - account.told_produced)
    if account.told_produced == 0:
        may_be_spooled = 0  # it never told anything of this epoch
    spooled = min(max(outstanding, 0), may_be_spooled)
    missing = outstanding - spooled
    return Line(
        account.home,
        account.device,
        account.epoch,
        produced,
        account.stored,
        spooled,
        account.gaps,
        account.dead_lettered,
        missing,
        missing == 0,
    )
