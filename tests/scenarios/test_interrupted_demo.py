"""`make demo` interrupted at random moments, even killed: nothing keeps running, nothing is lost, it goes on."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
SEED = 11
BIN = Path(sys.executable).parent
ENDED_WITHIN_S = 20.0


def start(state: Path) -> subprocess.Popen[bytes]:
    command = [str(BIN / "hearth-sim"), "demo", "--headless", "--state", str(state), "--port", "18900"]
    with (state.parent / "demo.log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def parts_of(state: Path) -> list[str]:
    """Every process that lives by this demo's clock, PostgreSQL apart: its next start adopts that."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes()
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if f"HEARTH_CLOCK=file:{state}/".encode() in environment and "postgres" not in command:
            found.append(command)
    return found


def wait_for_the_end(state: Path) -> list[str]:
    deadline = time.monotonic() + ENDED_WITHIN_S
    while (left := parts_of(state)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return left


@pytest.mark.skipif(sys.platform != "linux", reason="looks for left-over processes in /proc, which only Linux has")
def test_interrupted_and_killed_it_leaves_nothing_running_and_loses_nothing(tmp_path: Path) -> None:
    state = tmp_path / "home"
    state.mkdir()
    chance = random.Random(SEED)
    ways = [(signal.SIGINT, 8.0), (signal.SIGKILL, 22.0), (signal.SIGTERM, 4.0), (signal.SIGINT, 30.0)]
    for way, after_s in ways:
        demo = start(state)
        time.sleep(after_s * chance.uniform(0.7, 1.3))
        assert demo.poll() is None, (tmp_path / "demo.log").read_text()[-3000:]
        assert parts_of(state)
        demo.send_signal(way)
        code = demo.wait(40)
        assert code == (-signal.SIGKILL if way is signal.SIGKILL else 0)
        assert wait_for_the_end(state) == [], f"after {way.name}"
    environment = os.environ | {"HEARTH_HUB_DATA_DIR": str(state / "hub")}
    done = subprocess.run(
        [str(BIN / "hearth-hub"), "reconcile", "--json"], env=environment, capture_output=True, timeout=60, check=False
    )
    books = json.loads(done.stdout)
    assert books["reconciled"] is True, books
    assert books["totals"]["dead_lettered"] == 0
    assert books["totals"]["produced"] > 0
