"""The small process that outlives the agent: ``hearth-agent supervise``.

It starts the agent, listens for its signs of life, and when the agent has died or stands still it ends it, tells every
device that was ordered to be its own master again, and starts it anew. It imports neither the agent's rooms nor
asyncio, so that what can go wrong there cannot go wrong here; the kernel ends the agent when the supervisor dies.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import logging
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from hearth_agent.control.ordered import FILE_NAME, OrdersFile
from hearth_agent.control.reassert import reassert

logger = logging.getLogger("hearth_agent.control.supervisor")  # it runs as __main__

VARIABLE = "HEARTH_HEARTBEAT_FD"
"""Environment variable that tells the agent its end of the pipe."""
STALLED_S = 10.0
"""An agent that gave no sign of life for so long is ended."""
_STARTING_S = 90.0  # a small machine with a slow card takes its time until the first one
_STOPPING_S = 4.5
_REASSERT_S = 5.0
_LAST_REASSERT_S = 2.0  # service managers do not wait for ever
_REASSERT_AGAIN_S = 10.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0
_HEALTHY_S = 120.0
_PR_SET_PDEATHSIG = 1


class Supervisor:
    """Keeps one agent running, and its devices safe while it is not."""

    def __init__(self, command: Sequence[str], data_dir: Path, stalled_s: float = STALLED_S) -> None:
        self._command, self._orders_path, self._stalled_s = command, data_dir / FILE_NAME, stalled_s
        self._stopping = False
        self._wake, waker = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(waker, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)  # only to be woken

    def _stop(self, number: int, _frame: object) -> None:
        self._stopping = True

    def run(self) -> int:
        """Supervise until SIGTERM or SIGINT; return the exit code."""
        pause_s = _FIRST_PAUSE_S
        while True:
            self._make_safe(_REASSERT_S)
            if self._stopping:
                return 0
            started_s = time.monotonic()
            why = self._live_with_agent()
            self._make_safe(_LAST_REASSERT_S if self._stopping else _REASSERT_S)
            if self._stopping:
                logger.info("the agent %s; stopped", why)
                return 0
            pause_s = _FIRST_PAUSE_S if time.monotonic() - started_s > _HEALTHY_S else pause_s
            logger.error("the agent %s; it is started again in %.0f s", why, pause_s)
            self._pause(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _live_with_agent(self) -> str:
        """Run the agent until it has ended; say how."""
        beats, end = os.pipe()
        try:
            agent = self._start(end)
        finally:
            os.close(end)
        try:
            stalled = self._watch(agent, beats)
        finally:
            os.close(beats)
        if self._stopping:
            self._end_gently(agent)
        if agent.poll() is None:
            agent.kill()
        code = agent.wait()
        return "gave no sign of life and was ended" if stalled else f"ended with code {code}"

    def _start(self, end: int) -> subprocess.Popen[bytes]:
        parent = os.getpid()

        def die_with_parent() -> None:
            if sys.platform == "linux":
                ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
                if os.getppid() != parent:
                    os._exit(1)

        return subprocess.Popen(  # noqa: S603  only our own command
            self._command,
            env=os.environ | {VARIABLE: str(end)},
            pass_fds=(end,),
            preexec_fn=die_with_parent,
        )

    def _watch(self, agent: subprocess.Popen[bytes], beats: int) -> bool:
        """Wait until the agent ends, stalls (True), or this process is asked to stop."""
        deadline_s = time.monotonic() + _STARTING_S
        while agent.poll() is None and not self._stopping:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                return True
            ready, _, _ = select.select([beats, self._wake], [], [], left_s)
            if beats in ready and os.read(beats, 4096):
                deadline_s = time.monotonic() + self._stalled_s
            elif beats in ready:  # the agent's end is closed: it is about to be gone
                with contextlib.suppress(subprocess.TimeoutExpired):
                    agent.wait(1.0)
            self._drain()
        return False

    @staticmethod
    def _end_gently(agent: subprocess.Popen[bytes]) -> None:
        agent.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            agent.wait(_STOPPING_S)

    def _make_safe(self, patience_s: float) -> None:
        """Tell every ordered device to be its own master."""
        orders = OrdersFile.load(self._orders_path)
        for failure in reassert(orders, patience_s):
            logger.error("not safe yet: %s", failure)

    def _pause(self, pause_s: float) -> None:
        """Wait before the next start; devices that did not obey are told again meanwhile."""
        deadline_s = time.monotonic() + pause_s
        while not self._stopping and (left_s := deadline_s - time.monotonic()) > 0:
            select.select([self._wake], [], [], min(left_s, _REASSERT_AGAIN_S))
            self._drain()
            if not self._stopping and time.monotonic() + _REASSERT_AGAIN_S < deadline_s:
                self._make_safe(1.0)

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake, 4096)


def main() -> None:
    """Run as the process that `hearth-agent supervise` becomes."""
    parser = argparse.ArgumentParser(description="Keeps hearth-agent running and its devices safe.")
    parser.add_argument("--config", type=Path, required=True, help="the home's agent.yaml")
    parser.add_argument("--data-dir", type=Path, required=True, help="where that file's agent keeps its data")
    parser.add_argument("--stalled-s", type=float, default=STALLED_S, help="end an agent silent for so long [s]")
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    command = [sys.executable, "-m", "hearth_agent", "run", "--config", str(arguments.config)]
    if arguments.verbose:
        command.append("--verbose")
    sys.exit(Supervisor(command, arguments.data_dir, arguments.stalled_s).run())


if __name__ == "__main__":
    main()
