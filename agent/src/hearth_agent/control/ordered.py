"""What every ordered device has to be told to be its own master again, kept on the disk while it is ordered.

The file is written before an order leaves, and says everything in plain registers: whoever reads it needs neither the
profile nor the device's SunSpec chain. The agent reads it when it starts, its supervisor when the agent has died.
The supervisor is small, so this module imports nothing but the standard library.
"""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hearth_agent.files import write_durably

logger = logging.getLogger(__name__)

FILE_NAME = "orders.json"
ALL_BITS = 0xFFFF
_VERSION = 1


@dataclass(frozen=True)
class SafeWrite:
    """Registers (or a coil) to be written from one wire address on."""

    fc: int
    """5 (one coil), 6 (one register) or 16."""
    address: int
    registers: list[int]
    verify: bool = True
    """Whether they can be read back."""
    mask: int = ALL_BITS
    """The bits that are the control's; the others stay as the device has them."""


@dataclass(frozen=True)
class Contact:
    """How a device is reached."""

    host: str
    """Address or name; for a serial line its device file."""
    port: int
    unit: int
    transport: str = "tcp"
    """tcp, rtu_over_tcp, rtu, ascii."""
    baudrate: int = 9600
    parity: str = "N"
    bytesize: int = 8
    stopbits: int = 1
    timeout_s: float = 1.5
    connect_delay_s: float = 0.0
    gap_s: float = 0.0
    """Silence between an answer and the next request [s]."""
    forgets_first_request: bool = False

    @property
    def line(self) -> tuple[str, int]:
        """What only one may talk on at a time."""
        return self.host, self.port


@dataclass(frozen=True)
class Ordered:
    """One control of one device that is not in its own mode, or may not be."""

    device: str
    control: str
    at: Contact
    safe: list[SafeWrite]
    settle_s: float = 0.0

    @property
    def key(self) -> str:
        """The entry's name in the file."""
        return f"{self.device}/{self.control}"


@dataclass
class OrdersFile:
    """The entries, and the file that mirrors them. Threads may change different entries at once."""

    path: Path
    _entries: dict[str, Ordered] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def load(cls, path: Path) -> OrdersFile:
        """Read a file; none, or one that is no such file, holds no entries."""
        try:
            entries = [_ordered(entry) for entry in json.loads(path.read_bytes())["ordered"]]
        except FileNotFoundError:
            entries = []
        except (OSError, ValueError, KeyError, TypeError) as error:
            logger.error("%s is not used: %s", path, error)  # noqa: TRY400  the reason says it all
            entries = []
        return cls(path, {entry.key: entry for entry in entries})

    @property
    def entries(self) -> list[Ordered]:
        """All entries."""
        return list(self._entries.values())

    def put(self, entry: Ordered) -> None:
        """Keep an entry; it is on the disk when this returns.

        Raises:
            OSError: It could not be written.
        """
        with self._lock:
            if self._entries.get(entry.key) == entry:
                return
            self._save(self._entries | {entry.key: entry})

    def drop(self, key: str) -> None:
        """Forget a device that is its own master again.

        Raises:
            OSError: The file could not be written.
        """
        with self._lock:
            if key in self._entries:
                self._save({other: entry for other, entry in self._entries.items() if other != key})

    def _save(self, entries: dict[str, Ordered]) -> None:
        content = {"version": _VERSION, "ordered": [asdict(entry) for entry in entries.values()]}
        write_durably(self.path, json.dumps(content, indent=1).encode())
        self._entries = entries


def _ordered(entry: dict[str, Any]) -> Ordered:
    writes = [SafeWrite(**write) for write in entry["safe"]]
    return Ordered(**(entry | {"at": Contact(**entry["at"]), "safe": writes}))
