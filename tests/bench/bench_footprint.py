"""What the agent takes of the machine it lives on: disk, memory and processor, with ten devices and both models.

    python tests/bench/bench_footprint.py [--seconds 120] [--poll 5] [--no-install]

A real `hearth-agent run` reads the simulated house (meter, inverter, charger, heat pump) and six more meters over
Modbus TCP, controls what can be controlled, spools, and forecasts with two models trained here; Mosquitto takes what
it publishes. Memory and processor time are those of its whole process tree, as the kernel counts them: ``rss_mb`` is
the sum of resident sizes, ``pss_mb`` counts pages that processes share once. The installed size is that of a new
environment with nothing but the agent's locked packages and Hearth's own. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hearth_core.clock import RealClock
from hearth_core.messages import ModelDelivery, Target
from hearth_core.signing import public_key_text, seal
from hearth_models.features import Place
from hearth_models.forecasting import History
from hearth_models.training.train import train
from hearth_sim.home import demo_site
from hearth_sim.modbus_server import ModbusServer
from hearth_sim.sdm630 import Sdm630
from hearth_sim.serving import HouseOptions, HouseServer, build_house

sys.path.insert(0, str(Path(__file__).parents[2]))  # started as a file
from tests.bench.bench_agent import broker
from tests.proofs import prove

ROOT = Path(__file__).parents[2]
DAY_S = 86_400
HISTORY_DAYS = 28
METERS = 6
EXTRA_PROFILE = "eastron-sdm630"
_FIRST_S = 45.0
_TICKS = os.sysconf("SC_CLK_TCK")


def installed_mb(folder: Path, extra: str) -> float:
    """Install the agent alone into a new environment and return its size on the disk [MB]."""
    uv = Path(sys.executable).with_name("uv")
    env = {**os.environ, "VIRTUAL_ENV": str(folder)}
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--require-hashes", "-r", ROOT / f"requirements/{extra}.txt"],
        check=True,
        env=env,
    )
    own = [str(ROOT / part) for part in ("core", "models", "agent")]
    subprocess.run([uv, "pip", "install", "--quiet", "--no-deps", *own], check=True, env=env)
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_symlink()) / 1e6


def history(target: Target, end_s: float) -> History:
    """Return four weeks of a home that lives its days nearly alike."""
    rng = np.random.default_rng(1)
    hour = np.arange(HISTORY_DAYS * 96) % 96 / 4
    if target is Target.LOAD:
        power_w = 500 + 400 * np.exp(-((hour - 19) ** 2) / 6) + rng.gamma(1.0, 80.0, hour.size)
    else:
        sky = np.repeat(rng.uniform(0.3, 1.0, HISTORY_DAYS), 96)
        power_w = np.clip(5000 * np.sin((hour - 6) / 12 * np.pi), 0, None) * sky
    return History(end_s - HISTORY_DAYS * DAY_S, 900, power_w)


def deliver(folder: Path, key: Ed25519PrivateKey, now_s: float) -> float:
    """Train both models and lay them where the agent keeps them; return their size [MB]."""
    folder.mkdir(parents=True)
    end_s = now_s // 900 * 900
    size = 0
    site = demo_site()
    for target in Target:
        past = history(target, end_s)
        model = train(target, past, Place(site.timezone, site.latitude, site.longitude), int(now_s * 1000))
        size += len(model.onnx)
        delivery = ModelDelivery(
            home="bench",
            issued_ms=int(now_s * 1000),
            card=model.card,
            onnx=model.onnx,
            history_start_ms=int(past.start_s * 1000),
            history_w=[float(value) for value in np.round(past.power_w, 1)],
        )
        (folder / f"{target}.sealed").write_bytes(seal(delivery, key))
    return size / 1e6


def agent_file(folder: Path, url: str, key: Ed25519PrivateKey, ports: dict[str, int], poll_s: float) -> Path:
    """Write the agent's YAML: the house, and six more meters."""
    profiles = {"grid": "eastron-sdm630", "inverter": "sunspec-hybrid", "charger": "go-e", "heat-pump": "nibe-s-series"}
    devices = [
        {
            "id": name,
            "profile": profiles.get(name, "meter.yaml"),
            "host": "127.0.0.1",
            "port": port,
            "controlled": name in ("inverter", "charger"),
        }
        for name, port in ports.items()
    ]
    content = {
        "agent": "bench",
        "data_dir": "data",
        "poll_s": poll_s,
        "hub": {"mqtt_url": url, "public_key": public_key_text(key)},
        "site": msgspec.to_builtins(demo_site()),
        "devices": devices,
    }
    meter = ROOT / f"agent/src/hearth_agent/devices/profiles/{EXTRA_PROFILE}.yaml"
    profile = yaml.safe_load(meter.read_text()) | {"profile": "meter", "kind": "appliance"}
    (folder / "meter.yaml").write_text(yaml.safe_dump(profile, sort_keys=False))
    path = folder / "agent.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return prove(path)


class Tree:
    """A process with its children, as /proc tells of them."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def pids(self) -> Iterator[int]:
        """Yield the process and all its descendants that live now."""
        waiting = [self.pid]
        while waiting:
            pid = waiting.pop()
            yield pid
            for task in Path(f"/proc/{pid}/task").iterdir():
                waiting += [int(child) for child in (task / "children").read_text().split()]

    def memory_mb(self, field: str) -> list[float]:
        """Return ``Rss`` or ``Pss`` of each process [MB]."""
        found = []
        for pid in self.pids():
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            found.append(next(int(line.split()[1]) for line in lines if line.startswith(field + ":")) / 1024)
        return found

    def cpu_s(self) -> float:
        """Return the processor time spent so far, ended children included [s]."""
        total = 0.0
        for pid in self.pids():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += sum(int(field) for field in (fields[11:15] if pid == self.pid else fields[11:13])) / _TICKS
        return total


def measure(folder: Path, url: str, seconds: float, poll_s: float) -> dict[str, float | int]:
    """Run house and agent, wait until it lives steadily, and measure."""
    key = Ed25519PrivateKey.generate()
    models_mb = deliver(folder / "data" / "models", key, time.time())
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    house = context.Process(target=serve_house, args=(there,), daemon=True)
    house.start()
    try:
        ports: dict[str, int] = here.recv()
        config = agent_file(folder, url, key, ports, poll_s)
        program = str(Path(sys.executable).with_name("hearth-agent"))
        with (
            (folder / "agent.log").open("wb") as log,
            subprocess.Popen([program, "run", "--config", str(config)], stderr=log) as agent,
        ):
            try:
                return _watch(Tree(agent.pid), seconds) | {"devices": len(ports), "models_mb": round(models_mb, 2)}
            finally:
                agent.terminate()
    finally:
        house.kill()
        house.join()


def serve_house(ready: Connection) -> None:
    """Serve the house and six more meters on free ports, and tell the ports."""

    async def serve() -> None:
        clock = RealClock()
        server = HouseServer(build_house(clock, clock.time(), HouseOptions()))
        await server.start("127.0.0.1", {})
        meters = [ModbusServer([Sdm630(server.house)]) for _ in range(METERS)]
        ports = {f"meter-{index}": await meter.start("127.0.0.1", 0) for index, meter in enumerate(meters)}
        ready.send(server.ports | ports)
        await asyncio.Event().wait()

    asyncio.run(serve())


def _watch(tree: Tree, seconds: float) -> dict[str, float | int]:
    """Look closely while the first forecasts are made, both models loaded, then at the long time in between."""
    loaded = _sampled(tree, _FIRST_S, 0.2)
    before_s, started_s = tree.cpu_s(), time.monotonic()
    between = _sampled(tree, seconds, 2.0)
    share = (tree.cpu_s() - before_s) / (time.monotonic() - started_s)
    return {
        "rss_mb": round(statistics.median(one.rss_mb for one in between), 1),
        "rss_agent_mb": round(max(one.rss_agent_mb for one in loaded + between), 1),
        "rss_forecasting_mb": round(max(one.rss_mb for one in loaded), 1),
        "pss_forecasting_mb": round(max(one.pss_mb for one in loaded), 1),
        "processes_forecasting": max(one.processes for one in loaded),
        "cpu_share_percent": round(100 * share, 2),
    }


class Sample(NamedTuple):
    """What the process tree holds at one instant."""

    rss_mb: float
    rss_agent_mb: float
    pss_mb: float
    processes: int


def _sampled(tree: Tree, seconds: float, every_s: float) -> list[Sample]:
    samples = []
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        time.sleep(every_s)
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, StopIteration):  # a child that just left
            rss, pss = tree.memory_mb("Rss"), tree.memory_mb("Pss")
            samples.append(Sample(sum(rss), rss[0], sum(pss), len(rss)))
    return samples


def main() -> None:
    """Read the command line and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--poll", type=float, default=5.0)
    parser.add_argument("--no-install", action="store_true", help="leave the installed size out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hearth-footprint-") as name:
        folder = Path(name)
        figures: dict[str, float | int] = {}
        if not options.no_install:
            figures["installed_mb"] = round(installed_mb(folder / "env", "agent"), 1)
            shutil.rmtree(folder / "env")
        with broker(folder) as url:
            figures |= measure(folder, url, options.seconds, options.poll)
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
