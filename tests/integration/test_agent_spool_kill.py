"""kill -9 in mid-flight: every record that was committed is there, and the sequence has no hole."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hearth_agent.spool.store import SpoolStore
from hearth_core.messages import Readings, decode

WRITER = """
import sys
from pathlib import Path
from hearth_agent.spool.records import Columns
from hearth_agent.spool.store import SpoolStore

store = SpoolStore(Path(sys.argv[1]), 1e9, 10**9)
print("ready", flush=True)
while True:
    appended = store.append({"grid": Columns([store.last_seq * 1000], {"power_w": [1.0]})}, {}, 0)
    sys.stdout.write(f"{appended.record.seq}\\n")
    sys.stdout.flush()
"""


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_was_committed_survives_a_kill(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "spool.sqlite"
    choose = random.Random(seed)
    told = 0
    for _ in range(4):
        told = write_and_kill(path, choose.randint(20, 200), told)
        store = SpoolStore(path, 1e9, 10**9)
        messages = [decode(store.fetch(seq, 1, 10**9)[0].payload, Readings) for seq in range(1, store.last_seq + 1)]
        store.abandon()
        assert [message.seq for message in messages] == list(range(1, len(messages) + 1))
        assert len(messages) >= told
        assert [message.batches[0].produced for message in messages] == list(range(1, len(messages) + 1))
        told = len(messages)


def write_and_kill(path: Path, records: int, before: int) -> int:
    """Run a writer until it told of so many more commits, kill it, and return the last it told of."""
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        last = before
        for line in writer.stdout:
            last = int(line)
            if last >= before + records:
                break
        writer.send_signal(signal.SIGKILL)
        rest = writer.stdout.read().split("\n")
    complete = [int(line) for line in rest[:-1] if line]
    return complete[-1] if complete else last
