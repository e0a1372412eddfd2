"""How the hub's processes log: one line an event, the facts as name=value."""

from __future__ import annotations

import logging
import sys

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class _Fields(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        facts = [f"{name}={value}" for name, value in vars(record).items() if name not in _OWN]
        return " ".join([text, *facts])


def configure() -> None:
    """Send INFO and above of Hearth to stderr, WARNING and above of everybody else."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Fields("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("hearth_hub").setLevel(logging.INFO)
