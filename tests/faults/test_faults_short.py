"""The short run of the fault scenarios: real processes that are killed, frozen, cut off and fed poison."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_RUN = Path(__file__).with_name("run.py")
_LIMIT_S = 420.0
_LANES = 4


@pytest.fixture(scope="module")
def results() -> dict[str, dict[str, Any]]:
    """The JSON lines of one short run, by id."""
    if not shutil.which("mosquitto", path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/usr/local/sbin"):
        if os.environ.get("CI") == "true":
            pytest.fail("mosquitto is missing, and in CI its tests must run")
        pytest.skip("mosquitto is not installed (Debian package mosquitto)")
    command = [sys.executable, str(_RUN), "--short", "--lanes", str(_LANES)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            output, _ = process.communicate(timeout=_LIMIT_S)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
    return {line["id"]: line for line in map(json.loads, output.splitlines())}


def _ids() -> list[str]:
    listed = subprocess.run([sys.executable, _RUN, "--list", "--short"], capture_output=True, text=True, check=True)
    return [line.split()[0] for line in listed.stdout.splitlines()]


def _alone(id_: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(_RUN), "--short", "--only", id_],
        capture_output=True,
        text=True,
        check=False,
        timeout=_LIMIT_S,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.slow
@pytest.mark.timeout(_LIMIT_S + 30)
@pytest.mark.parametrize("id_", _ids())
def test_acceptance_is_met(results: dict[str, dict[str, Any]], id_: str) -> None:
    assert id_ in results, "it did not come to an end"
    line = results[id_]
    if "skipped" in line:
        pytest.skip(str(line["skipped"]))
    if not line["passed"] and line.get("lost") == 0 and line.get("dup") == 0:
        # the lanes share the machine, and some acceptances are times: what took too long there is measured alone;
        # a reading that is lost or stored twice is never excused
        warning = f"{id_} was too slow beside others and is run alone: {line['failures']}"
        print(warning, file=sys.stderr)
        line = _alone(id_)
    assert line["passed"], json.dumps(line)
