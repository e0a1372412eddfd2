"""One home under test: a real agent with its own file, in front of witness devices, perhaps behind a proxy."""

from __future__ import annotations

import shutil
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.faults.background import Background
from tests.faults.processes import Part, program
from tests.faults.proxy import Proxy
from tests.faults.spoolfile import Committed, read_spool
from tests.faults.witness import POINTS, Witness

from hearth_core.signing import public_key_text

KEY = Ed25519PrivateKey.generate()
"""The hub's key, as the homes know it."""
_PROFILE = Path(__file__).with_name("witness.yaml")
AGENT = (program("hearth-agent"),)


class Home:
    """An agent, its devices, and what was on its disk each time it died."""

    def __init__(
        self,
        name: str,
        folder: Path,
        background: Background,
        broker_port: int,
        *,
        devices: int = 10,
        flush_s: float = 1.0,
        poll_s: float = 1.0,
        seed: int | None = None,
        agent: Sequence[str] = AGENT,
        settings: str = "",
        environment: dict[str, str] | None = None,
    ) -> None:
        """Prepare a home; `start` starts it.

        Args:
            name: The agent's name.
            folder: Gets its configuration, data and log.
            background: Where witnesses and proxy run.
            broker_port: Port of the broker.
            devices: How many witnesses it reads, each with 20 points.
            flush_s: The agent's flush interval [s].
            poll_s: Its poll interval [s], at least 1.
            seed: Not None puts a proxy between agent and broker, with this seed.
            agent: The program; ``run --config FILE`` is added.
            settings: More lines for agent.yaml, e.g. ``spool_cap_mb: 1``.
            environment: More variables for the agent.
        """
        self.name, self.folder, self.flush_s, self.poll_s = name, folder, flush_s, poll_s
        self.data = folder / "data"
        self.snapshots: list[Committed] = []
        self._background = background
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(_PROFILE, folder / _PROFILE.name)
        self.witnesses = {f"w{i:02}": Witness() for i in range(devices)}
        for witness in self.witnesses.values():
            witness.start(background)
        self.proxy = None if seed is None else Proxy(broker_port, seed)
        if self.proxy is not None:
            self.proxy.start(background)
        config = folder / "agent.yaml"
        config.write_text(self._config(self.proxy.port if self.proxy else broker_port, settings))
        self.agent = Part(name, [*agent, "run", "--config", str(config)], folder / "agent.log", environment)

    def _config(self, broker_port: int, settings: str) -> str:
        head = textwrap.dedent(f"""
            agent: {self.name}
            data_dir: data
            poll_s: {self.poll_s:g}
            flush_s: {self.flush_s:g}
            hub: {{mqtt_url: "mqtt://127.0.0.1:{broker_port}", public_key: "{public_key_text(KEY)}"}}
            site:
              name: {self.name}
              timezone: Europe/Berlin
              latitude: 47.7
              longitude: 9.2
              price_zone: DE-LU
              limits: {{main_fuse_a: 35}}
              tariff: {{}}
            """)
        lines = [
            f"  - {{id: {id_}, profile: witness.yaml, host: 127.0.0.1, port: {one.port}, unit: 1}}"
            for id_, one in self.witnesses.items()
        ]
        return head + settings + "\ndevices:\n" + "\n".join(lines) + "\n"

    @property
    def spool(self) -> Path:
        """The spool file."""
        return self.data / "spool.sqlite"

    def produced(self) -> int:
        """Readings the agent has surely received."""
        return sum(len(witness.confirmed) for witness in self.witnesses.values())

    def values(self) -> int:
        """Values the agent has surely received: readings times points."""
        return POINTS * self.produced()

    def start(self) -> None:
        """Start the agent."""
        self.agent.start()

    def kill(self) -> float:
        """Kill the agent and note what its disk holds at that moment; return when [s since 1970]."""
        at_s = self.agent.kill()
        self.note()
        return at_s

    def note(self) -> None:
        """Keep what the spool holds now; the agent must not run."""
        if self.spool.exists():
            self.snapshots.append(read_spool(self.spool))

    def spool_acked(self) -> int:
        """Return how far the hub's word had come when the spool's newest record was written."""
        return read_spool(self.spool).acked

    def polls_since(self, at_s: float) -> bool:
        """Tell whether every device was read after an instant."""
        return all(witness.answered_since(at_s) for witness in self.witnesses.values())

    def rest(self, resting: bool = True) -> None:
        """Let the devices refuse to be read, so that nothing new comes."""
        for witness in self.witnesses.values():
            witness.resting = resting

    def finish(self) -> None:
        """Stop the agent in order and note what its disk holds."""
        self.agent.stop()
        self.note()

    def close(self) -> None:
        """End everything of this home."""
        self.agent.stop()
        for witness in self.witnesses.values():
            witness.stop(self._background)
        if self.proxy is not None:
            self.proxy.stop(self._background)

    def outages(self) -> list[tuple[float, float]]:
        """Return the spans in which readings may be missing: a flush before each kill, until it polled again."""
        spans = []
        for killed_s in self.agent.kills:
            started_s = next((at_s for at_s in self.agent.starts if at_s > killed_s), time.time())
            spans.append((killed_s - self.flush_s - 2 * self.poll_s, started_s))
        return spans
