"""The processes under test: started, killed, frozen and thawed by their recorded process ids; none outlives the run."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)
_PATIENCE_S = 12.0
# The kernel's signal comes when the *thread* that started a child ends: so one thread starts all of them.
_STARTER = ThreadPoolExecutor(1, thread_name_prefix="starter")


class FaultsError(Exception):
    """The harness itself could not do its work; no statement about what is tested."""


def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def program(name: str) -> str:
    """Return the path of one of our commands, installed beside the Python that runs this."""
    return str(Path(sys.executable).parent / name)


def wait_until(condition: Callable[[], object], limit_s: float, what: str, every_s: float = 0.05) -> float:
    """Wait for a condition, looking every ``every_s``, and return how long it took [s].

    Raises:
        FaultsError: It took longer than ``limit_s``.
    """
    began_s = time.monotonic()
    while not condition():
        if time.monotonic() - began_s > limit_s:
            raise FaultsError(f"{what}: not within {limit_s:g} s")
        time.sleep(every_s)
    return time.monotonic() - began_s


def end_with_parent(how: int = signal.SIGTERM) -> None:
    """Ask the kernel for a signal when whoever started this process is gone, even killed (runs before the program)."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, how)


def _die_with_parent() -> None:
    end_with_parent(signal.SIGKILL)


class Part:
    """One process that can be started again and again."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        environment: dict[str, str] | None = None,
        uid: int | None = None,
        gid: int | None = None,
    ) -> None:
        self.name, self.command, self.log = name, list(command), log
        self.environment = environment or {}
        self.kills: list[float] = []
        """When it was killed [s since 1970]."""
        self.starts: list[float] = []
        self.freezes: list[tuple[float, float]] = []
        self._uid, self._gid = uid, gid
        self._process: subprocess.Popen[bytes] | None = None
        self._frozen_s = 0.0

    @property
    def pid(self) -> int | None:
        """The process id, or None when it does not run."""
        if self._process is None or self._process.poll() is not None:
            return None
        return self._process.pid

    def start(self) -> None:
        """Start it; it must not run."""
        if self.pid is not None:
            raise FaultsError(f"{self.name} runs already")
        self._process = _STARTER.submit(self._spawn).result()
        self.starts.append(time.time())

    def _spawn(self) -> subprocess.Popen[bytes]:
        user: dict[str, Any] = {} if self._uid is None else {"user": self._uid, "group": self._gid, "extra_groups": []}
        with self.log.open("ab") as output:
            return subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | self.environment,
                cwd="/",
                start_new_session=True,
                preexec_fn=_die_with_parent,
                **user,
            )

    def kill(self) -> float:
        """End it as a power cut would (SIGKILL) and return when [s since 1970]."""
        process = self._running()
        at_s = time.time()
        process.kill()
        process.wait(_PATIENCE_S)
        self.kills.append(at_s)
        return at_s

    def stop(self) -> int | None:
        """Ask it to end, and insist after a while; return its exit code."""
        if self._process is None:
            return None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(self.stop_signal)
            try:
                self._process.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        return self._process.wait()

    stop_signal = signal.SIGTERM

    def freeze(self) -> None:
        """Stop it in its tracks (SIGSTOP)."""
        self._running().send_signal(signal.SIGSTOP)
        self._frozen_s = time.time()

    def thaw(self) -> None:
        """Let it go on (SIGCONT)."""
        self._running().send_signal(signal.SIGCONT)
        self.freezes.append((self._frozen_s, time.time()))

    def memory_mb(self) -> float:
        """Return its resident memory [MB]."""
        for line in Path(f"/proc/{self._running().pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024 / 1e6
        raise FaultsError(f"{self.name} has no memory figure")

    def log_tail(self, lines: int = 12) -> str:
        """Return the end of what it has written."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            raise FaultsError(f"{self.name} does not run; its log ends with:\n{self.log_tail()}")
        return self._process
