"""The files of a demo's home: what survives an interruption, and the agent's own YAML."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import msgspec
import yaml

from hearth_core.errors import PermanentError
from hearth_sim.demo.ports import HOST
from hearth_sim.demo.settings import AGENT, DEVICES, DemoSettings
from hearth_sim.home import demo_site


@dataclass
class Progress:
    """How far a demo has come, written often, so that an interrupted one goes on where it was."""

    start_s: float
    at_s: float
    history_loaded: bool = False


class HomeFolder:
    """One demo's folder; one demo at a time."""

    def __init__(self, settings: DemoSettings) -> None:
        self.path = settings.state.resolve()
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = self._take()
        if settings.fresh:
            for entry in self.path.iterdir():
                if entry.name != "lock":
                    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    def _take(self) -> IO[str]:
        lock = (self.path / "lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise PermanentError(
                f"{self.path}: another demo lives here. End it first, or give this one its own folder: --state DIR"
            ) from error
        return lock

    def release(self) -> None:
        """Let another demo have the folder."""
        self._lock.close()

    @property
    def clock(self) -> Path:
        """The file every process reads the time from."""
        return self.path / "clock"

    @property
    def house_report(self) -> Path:
        """Where the simulated house writes the truth."""
        return self.path / "house.json"

    def load(self) -> Progress | None:
        """Return how far an earlier demo came, or None."""
        path = self.path / "progress.json"
        return Progress(**json.loads(path.read_text())) if path.exists() else None

    def save(self, progress: Progress) -> None:
        """Write how far this demo has come; a torn file is impossible."""
        fresh = self.path / "progress.json.new"
        fresh.write_text(json.dumps(asdict(progress)))
        os.replace(fresh, self.path / "progress.json")  # noqa: PTH105  atomic, and says so

    def write_agent_file(
        self, settings: DemoSettings, mqtt_url: str, public_key: str, base_port: int, profile_hashes: dict[str, str]
    ) -> Path:
        """Write the agent's YAML, as an installer would, and return its path."""
        path = self.path / "agent.yaml"
        content = {
            "agent": AGENT,
            "data_dir": str(self.path / "agent"),
            "hub": {"mqtt_url": mqtt_url, "public_key": public_key},
            "poll_s": settings.poll_s,
            "control_s": settings.control_s,
            "flush_s": settings.flush_s,
            "site": msgspec.to_builtins(demo_site()),
            "devices": [
                {
                    "id": device,
                    "profile": profile,
                    "host": HOST,
                    "port": base_port + offset,
                    "unit": 1,
                    "controlled": controlled,
                    "keeps_orders_ok": controlled,
                    "proof": _proof(profile, profile_hashes[profile], f"{HOST}:{base_port + offset} unit 1"),
                }
                for offset, (device, profile, controlled) in enumerate(DEVICES)
            ],
        }
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return path


def _proof(profile: str, profile_sha256: str, endpoint: str) -> dict[str, object]:
    """Return the proof of a device that was built to measure rightly: nothing was tested, and it says so."""
    return {
        "date": "2016-01-01T00:00:00Z",
        "by": "the demo",
        "method": "simulated house",
        "profile": profile,
        "profile_sha256": profile_sha256,
        "endpoint": endpoint,
        "site_phases": demo_site().limits.phases,
    }
