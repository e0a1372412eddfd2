"""``hearth-sim`` as a process: ready, ended, restarted, and refusing what cannot work."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hearth_core.clock import ClockConductor
from hearth_sim.recorded import parse_instant

START = "2016-04-04T06:00:00Z"
# the house comes up in 3 s on an idle machine
pytestmark = pytest.mark.slow
PROGRAM = [sys.executable, "-c", "from hearth_sim.cli import main; main()"]


def four_free_ports() -> int:
    for base in range(20_000 + os.getpid() % 9000, 60_000, 7):
        probes = [socket.socket() for _ in range(4)]
        try:
            for number, probe in enumerate(probes):
                probe.bind(("127.0.0.1", base + number))
        except OSError:
            continue
        finally:
            for probe in probes:
                probe.close()
        return base
    raise AssertionError("no four ports in a row are free")


@contextmanager
def house(folder: Path, base: int, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    arguments = ["house", "--base-port", str(base), "--start", START, "--report", str(folder / "house.json"), *more]
    environment = {**os.environ, "HEARTH_CLOCK": f"file:{folder / 'clock'}"}
    with subprocess.Popen([*PROGRAM, *arguments], stdout=subprocess.PIPE, env=environment) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield process
        finally:
            process.kill()


def test_a_house_ends_in_time_and_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    conductor = ClockConductor(tmp_path / "clock", parse_instant(START))
    base = four_free_ports()
    report = tmp_path / "house.json"
    with house(tmp_path, base) as process:
        conductor.set_speed(7200)
        time.sleep(2.5)  # more than one report
        process.send_signal(signal.SIGKILL)
        process.wait(5)
    killed = json.loads(report.read_text())
    assert killed["load_wh"] > 0
    with house(tmp_path, base) as process:
        began_s = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
        assert time.monotonic() - began_s < 5
    final = json.loads(report.read_text())
    assert final["since_ms"] == killed["since_ms"] == int(parse_instant(START) * 1000)
    assert final["at_ms"] > killed["at_ms"]
    assert final["load_wh"] > killed["load_wh"]
    battery = final["battery_discharge_wh"] - final["battery_charge_wh"]
    net = final["grid_import_wh"] - final["grid_export_wh"]
    assert final["load_wh"] == pytest.approx(net + final["pv_wh"] + battery, abs=0.01)


@pytest.mark.parametrize(
    ("arguments", "clue"),
    [
        (["house", "--start", "2016-04-04T06:00:00"], "time zone"),
        (["house", "--start", "2016-04-04T06:00:00Z"], "days before the clock"),
        (["house", "--soc", "2"], "soc = 2.0"),
        (["house", "--report", "/no/such/folder/house.json"], "report"),
        (["serve", "--device", "toaster"], "toaster"),
        (["house", "--only", "toaster"], "toaster"),
        (["history", "--mqtt", "http://x", "--until", START], "mqtt"),
        (["history", "--mqtt", "mqtt://127.0.0.1:1", "--until", START, "--agent", "No Name"], "agent"),
        (["history", "--mqtt", "mqtt://127.0.0.1:1", "--until", "2016-02-22T00:00:00Z"], "until"),
    ],
)
def test_bad_input_is_explained_and_nothing_starts(arguments: list[str], clue: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "HEARTH_CLOCK"}
    done = subprocess.run([*PROGRAM, *arguments], capture_output=True, text=True, timeout=20, env=environment)
    assert done.returncode == 2
    assert clue in done.stderr
    assert "Traceback" not in done.stderr
    assert "ready" not in done.stdout


def test_a_taken_port_is_explained(tmp_path: Path) -> None:
    ClockConductor(tmp_path / "clock", parse_instant(START))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        arguments = ["serve", "--device", "sdm630", "--port", str(port)]
        environment = {**os.environ, "HEARTH_CLOCK": f"file:{tmp_path / 'clock'}"}
        done = subprocess.run([*PROGRAM, *arguments], capture_output=True, text=True, timeout=20, env=environment)
    assert done.returncode == 2
    assert str(port) in done.stderr
    assert "Choose another port" in done.stderr
