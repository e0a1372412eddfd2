"""Real packet loss and real partitions by nftables, where we may: a table of our own, removed at the end."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence

from tests.faults.processes import FaultsError


def nft() -> str | None:
    """Return the path of nft when it is installed and this process may use it."""
    found = shutil.which("nft", path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin")
    if found is None or os.geteuid() != 0:
        return None
    tried = subprocess.run([found, "list", "tables"], capture_output=True, check=False)
    return found if tried.returncode == 0 else None


@contextlib.contextmanager
def dropping(program: str, ports: Sequence[int], share_percent: int = 100) -> Iterator[None]:
    """Drop packets from and to loopback ports while the block lasts.

    Args:
        program: The path of nft.
        ports: Server ports.
        share_percent: How many of a hundred packets.

    Raises:
        FaultsError: nft refuses.
    """
    table = f"hearth_faults_{os.getpid()}"
    chance = "" if share_percent >= 100 else f"numgen random mod 100 < {share_percent} "
    many = ", ".join(map(str, ports))
    lines = (
        f"table inet {table} {{",
        "chain out {",
        "type filter hook output priority 0;",
        f"tcp dport {{ {many} }} {chance}drop",
        f"tcp sport {{ {many} }} {chance}drop",
        "}",
        "}\n",
    )
    rules = "\n".join(lines)
    # one that an earlier run left behind by being killed would only be added to
    subprocess.run([program, "delete", "table", "inet", table], capture_output=True, check=False)
    made = subprocess.run([program, "-f", "-"], input=rules, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise FaultsError(f"nft: {made.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run([program, "delete", "table", "inet", table], check=True)
