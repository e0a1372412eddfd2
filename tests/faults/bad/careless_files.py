"""Known to be bad: plans put in place before their bytes are on the disk, as `Path.write_bytes` and a rename do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.faults.powercut_keepers import PlanKeeper

from hearth_agent.plan import store


def write_carelessly(path: Path, content: bytes) -> None:
    """Replace a file without a single fsync."""
    beside = path.with_name(path.name + ".new")
    beside.write_bytes(content)
    beside.replace(path)


class CarelessPlanKeeper(PlanKeeper):
    """The harness must see empty, torn or forgotten plans."""

    def write(self, folder: Path, say: Callable[[int], None]) -> None:
        """Write in the careless way; this process does nothing else afterwards."""
        setattr(store, "write_durably", write_carelessly)  # noqa: B010  the module does not export it
        super().write(folder, say)
