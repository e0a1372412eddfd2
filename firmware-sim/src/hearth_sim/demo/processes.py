"""Child processes that end with the demo, whatever ends the demo."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from hearth_core.errors import HearthError

_PR_SET_PDEATHSIG = 1
# every part promises to end within 5 s of SIGTERM; whoever breaks the promise is killed
_PATIENCE_S = 8.0


class ChildDiedError(HearthError):
    """A part of the home ended by itself."""

    def __init__(self, name: str, code: int, log: Path) -> None:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-12:]) if log.exists() else ""
        super().__init__(f"{name} ended with code {code}; the end of {log}:\n{tail}")


@dataclass
class Child:
    """One running part."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def check(self) -> None:
        """Raise `ChildDiedError` when the part has ended."""
        code = self.process.poll()
        if code is not None:
            raise ChildDiedError(self.name, code, self.log)

    def kill(self) -> None:
        """Kill the part, stopped first so that it cannot react, and its children (which only Linux tells)."""
        pid = self.process.pid
        os.kill(pid, signal.SIGSTOP)
        listed = Path(f"/proc/{pid}/task/{pid}/children")
        children = [int(child) for child in listed.read_text().split()] if listed.exists() else []
        for one in (*children, pid):
            os.kill(one, signal.SIGKILL)

    def stop(self) -> int:
        """End the part and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()


def _die_with_parent() -> None:
    """Ask the kernel for a SIGTERM when the demo itself is killed (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Children:
    """Starts parts and stops them in reverse order."""

    def __init__(self, log_folder: Path, environment: dict[str, str]) -> None:
        self._log_folder = log_folder
        self._environment = os.environ | environment
        self._children: list[Child] = []
        log_folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Children:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in reversed(self._children):
            child.stop()

    def start(self, name: str, arguments: list[str], environment: dict[str, str] | None = None) -> Child:
        """Start a part in a session of its own, so that Ctrl-C reaches the demo alone."""
        log = self._log_folder / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(  # noqa: S603  only our own commands
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment | (environment or {}),
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        child = Child(name, process, log)
        self._children.append(child)
        return child

    def check(self) -> None:
        """Raise `ChildDiedError` when any part has ended by itself."""
        for child in self._children:
            child.check()

    def finish(self, child: Child) -> int:
        """Stop one part for good and return its exit code."""
        self._children.remove(child)
        return child.stop()

    def run(self, name: str, arguments: list[str], timeout_s: float) -> subprocess.CompletedProcess[bytes]:
        """Run a command to its end and return what it printed."""
        return subprocess.run(  # noqa: S603  only our own commands
            arguments,
            env=self._environment,
            capture_output=True,
            timeout=timeout_s,
            check=False,
            preexec_fn=_die_with_parent,
        )


def command(name: str) -> str:
    """Return the path of one of our commands, installed beside the Python that runs this."""
    return str(Path(sys.executable).parent / name)


def wait_until(condition: Callable[[], object], timeout_s: float, what: str, children: Children) -> None:
    """Wait for ``condition()`` to become true, looking after the children meanwhile.

    Raises:
        HearthError: It did not within ``timeout_s``.
    """
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        children.check()
        if time.monotonic() > deadline_s:
            raise HearthError(f"{what}: nothing after {timeout_s:g} s; see the logs")
        time.sleep(0.1)
