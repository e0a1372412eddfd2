"""An agent that is killed in mid-flight, again and again, and a hub that is: nothing lost, nothing counted twice."""

import json
import random
import time
from pathlib import Path

import pytest
from rich.console import Console

from hearth_sim.demo.conductor import Home, open_home
from hearth_sim.demo.run import drain
from hearth_sim.demo.settings import AGENT, DemoSettings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
SEED = 7


def live(home: Home, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        home.children.check()
        time.sleep(0.1)


def test_kill_9_of_the_agent_loses_nothing_that_was_committed(tmp_path: Path) -> None:
    settings = DemoSettings(
        state=tmp_path, start_s=1_460_358_000.0, speed=120.0, days=None, headless=True, json_path=None, fresh=True,
        http_port=18_000, seed=SEED,
    )  # fmt: skip
    chance = random.Random(SEED)
    with open_home(settings) as home:
        home.start(Console(quiet=True))
        home.pace.go()
        for _ in range(4):
            live(home, chance.uniform(1.0, 4.0))
            home.kill("agent")
            home.start_agent()
        for _ in range(3):
            live(home, 6.0)
            home.stop_agent()
            books = drain(home)
            if not books["totals"]["spooled"]:
                break
            # what it could not deliver in the seconds it has for its goodbye waits on its disk for the next start
            home.start_agent()
        ends = json.loads(home.hub_command("reconcile", "--home", AGENT, "--json"))
    assert books["reconciled"] is True
    assert books["totals"]["spooled"] == 0
    assert ends["reconciled"] is True
    assert books["totals"]["dead_lettered"] == 0
