"""The demo's own parts: ends what it starts, never reports a broken home as a good one, slows rather than lies."""

import copy
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from hearth_core.clock import ClockConductor
from hearth_core.errors import PermanentError
from hearth_sim.demo.home_files import HomeFolder, Progress
from hearth_sim.demo.pace import Pace
from hearth_sim.demo.ports import free_port, is_free
from hearth_sim.demo.processes import ChildDiedError, Children
from hearth_sim.demo.settings import DemoSettings
from hearth_sim.demo.summary import failures, since, summarise

REPORT: dict[str, Any] = {
    "readings": {"produced": 10, "stored": 10, "spooled": 0, "gaps": 0, "dead_lettered": 0},
    "energy_wh": {"load": 20_000.0},
    "plans": {"made": 4, "solve_ms_p50": 5.0, "solve_ms_p99": 9.0, "broken_wishes": 0},
    "forecast": {"load_skill": 0.1, "pv_skill": 0.2},
    "money_eur": {
        "realised": 1.0,
        "no_battery": 2.0,
        "self_consumption": 1.2,
        "night_timer": 1.3,
        "perfect_foresight": 0.9,
        "regret": 0.1,
    },
}
TRUTH: dict[str, Any] = {
    "load_wh": 20_010.0,
    "limits_broken": [],
    "register_writes": {"inverter": {"writes": 120, "refreshes": 100}},
}


def settings(state: Path, *, fresh: bool = False) -> DemoSettings:
    return DemoSettings(
        state=state,
        start_s=1_460_325_600.0,
        speed=60.0,
        days=None,
        headless=True,
        json_path=None,
        fresh=fresh,
        http_port=8000,
        seed=1,
    )


def summary(report: dict[str, Any] = REPORT, truth: dict[str, Any] = TRUTH, reconciled: bool = True) -> dict[str, Any]:
    return summarise(copy.deepcopy(report), {"reconciled": reconciled}, truth, days=2.0, real_s=240.0)


def test_a_good_home_passes_with_its_figures() -> None:
    result = summary()
    assert failures(result) == []
    assert result["speed_x"] == 720.0
    assert result["energy_balance_error"] == pytest.approx(10 / 20_010, abs=1e-6)
    assert result["register_writes_per_device_day"] == {"inverter": 10.0}
    assert result["readings"]["reconciled"] is True


@pytest.mark.parametrize(
    ("result", "word"),
    [
        (summary(reconciled=False), "reconcile"),
        (summary(truth=TRUTH | {"load_wh": 20_200.0}), "balance"),
        (summary(truth=TRUTH | {"load_wh": 0.0}), "balance"),
        (summary(truth=TRUTH | {"limits_broken": [{"limit": "main_fuse"}]}), "main_fuse"),
    ],
)
def test_a_broken_home_fails_and_says_why(result: dict[str, Any], word: str) -> None:
    wrong = failures(result)
    assert len(wrong) == 1
    assert word in wrong[0]


def test_only_what_the_house_lived_while_measured_counts() -> None:
    assert since({"load_wh": 5.0, "at_ms": 1}, {"load_wh": 25.0, "at_ms": 9}) == {"load_wh": 20.0, "at_ms": 9}


def test_time_slows_when_control_is_late_and_recovers(tmp_path: Path) -> None:
    conductor = ClockConductor(tmp_path / "clock", 0.0)
    pace = Pace(conductor, 600.0, control_s=5.0)
    pace.go()
    for _ in range(3):
        pace.adapt(20.0)
    slowed = conductor.clock.speed
    assert slowed == pytest.approx(600.0 * 0.8**3)
    pace.adapt(4.0)
    assert conductor.clock.speed == slowed
    for _ in range(50):
        pace.adapt(0.0)
    assert conductor.clock.speed == 600.0
    pace.adapt(None)
    assert conductor.clock.speed == 600.0


def test_a_folder_has_one_demo_and_remembers_it(tmp_path: Path) -> None:
    folder = HomeFolder(settings(tmp_path))
    with pytest.raises(PermanentError, match="another demo"):
        HomeFolder(settings(tmp_path))
    folder.save(Progress(1.0, 2.0, history_loaded=True))
    folder.release()
    again = HomeFolder(settings(tmp_path))
    assert again.load() == Progress(1.0, 2.0, history_loaded=True)
    again.release()
    fresh = HomeFolder(settings(tmp_path, fresh=True))
    assert fresh.load() is None
    fresh.release()


def test_a_taken_port_is_stepped_over() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert not is_free(port)
        assert free_port(port) != port


def test_a_part_that_dies_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    with Children(tmp_path, {}) as children:
        child = children.start("talker", [sys.executable, "-c", "print('no disk left'); raise SystemExit(3)"])
        child.process.wait(10)
        with pytest.raises(ChildDiedError, match=r"code 3.*(?s:.)*no disk left"):
            children.check()


def test_leaving_ends_every_part_even_one_that_ignores_sigterm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hearth_sim.demo.processes._PATIENCE_S", 0.5)
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    )
    with Children(tmp_path, {}) as children:
        child = children.start("stubborn", [sys.executable, "-c", stubborn])
        deadline = time.monotonic() + 10
        while "up" not in child.log.read_text() and time.monotonic() < deadline:
            time.sleep(0.02)
    assert child.process.returncode == -signal.SIGKILL


def test_killing_the_demo_itself_leaves_nothing_running(tmp_path: Path) -> None:
    """make demo may be killed with -9; the home's processes must not live on as orphans."""
    script = (
        "import sys, time; from pathlib import Path; from hearth_sim.demo.processes import Children\n"
        f"children = Children(Path({str(tmp_path)!r}), {{}})\n"
        "print(children.start('part', ['sleep', '60']).process.pid, flush=True); time.sleep(60)"
    )
    demo = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert demo.stdout is not None
    pid = int(demo.stdout.readline())
    demo.kill()
    demo.wait()
    demo.stdout.close()
    deadline = time.monotonic() + 5
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_running(pid)


def is_running(pid: int) -> bool:
    """A zombie has ended: only its parent has not looked yet."""
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().split()[2] != "Z"
