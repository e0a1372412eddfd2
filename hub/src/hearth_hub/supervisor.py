"""`hearth-hub run`: everything the hub is, started together, watched, and ended in order.

The parts load their code while the database starts and is migrated, and begin when they are told: most of a cold start
is loading, and it would be a pity to do it afterwards. One thread a part; the main thread takes the signals.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping

from hearth_core.errors import ConfigError
from hearth_hub.database.embedded import EmbeddedPostgres
from hearth_hub.keys import load_key
from hearth_hub.parts import GO, PARTS, SUPERVISED
from hearth_hub.prices.source import read_prices
from hearth_hub.settings import Settings

logger = logging.getLogger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_TERM_S = 2.5  # together with PostgreSQL's own stop within the 5 s a service manager is promised
_LONGEST_BACK_OFF_S = 10.0
_STEADY_S = 30.0  # a part that lived this long is started again at once
_READY_S = 60.0
_LOOK_S = 0.05
_LONGEST_LINE = 64 * 1024


def check(settings: Settings) -> None:
    """Look at everything that can be wrong before anything is started.

    Raises:
        ConfigError: The port is in use, the prices file or the key cannot be read.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            where = f"{settings.host}:{settings.port}"
            remedy = f"Set HEARTH_HUB_PORT to a free one, or end what listens there ({error.strerror})."
            raise ConfigError("environment", "HEARTH_HUB_PORT", where, remedy) from error
    if settings.prices_file is not None:
        read_prices(settings.prices_file)
    load_key(settings.data_dir)


def run(settings: Settings) -> None:
    """Run the hub until SIGTERM or SIGINT.

    Raises:
        ConfigError: See `check`; or the database does not answer.
        PermanentError: PostgreSQL does not start.
    """
    check(settings)
    server: EmbeddedPostgres | None = None
    if settings.database_url is None:
        server = EmbeddedPostgres(settings.data_dir / "postgres")
        url = server.url("postgres")
    else:
        url = settings.database_url.get_secret_value()
    parts = _Parts({**os.environ, "HEARTH_HUB_DATABASE_URL": url, SUPERVISED: "1"})
    for number in _SIGNALS:
        signal.signal(number, _end)
    try:
        parts.start()
        from hearth_hub.database.migrate import load_tools, migrate  # only now: the parts load beside it

        if server is not None:
            if not server.exists:
                threading.Thread(target=load_tools, name="load", daemon=True).start()
            server.start()
        migrate(url)
        parts.let_begin()
        _tell_when_ready(settings)
        threading.Event().wait()
    finally:
        _ignore_signals()
        parts.end()
        if server is not None:
            server.stop()


def _end(*_: object) -> None:
    """End from wherever the main thread is, through its ``finally``."""
    _ignore_signals()
    sys.exit(0)


def _ignore_signals() -> None:
    """Let no further signal cut the orderly end short."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


class _Parts:
    """The processes of the hub; one that ends by itself is started again, later each time."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._may_begin = threading.Event()
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._threads = [threading.Thread(target=self._keep_running, args=(part,), name=part) for part in PARTS]

    def start(self) -> None:
        """Let every part load."""
        for thread in self._threads:
            thread.start()

    def let_begin(self) -> None:
        """Let every part work: the database is ready."""
        self._may_begin.set()
        with self._lock:
            for child in self._children.values():
                _tell(child)

    def end(self) -> None:
        """End every part; one that does not obey in time is killed."""
        self._ending.set()
        with self._lock:
            children = list(self._children.values())
        for child in children:
            child.terminate()
        deadline_s = time.monotonic() + _TERM_S
        for child in children:
            try:
                child.wait(max(0.0, deadline_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _keep_running(self, part: str) -> None:
        back_off_s = 0.5
        while (child := self._launch(part)) is not None:
            began_s = time.monotonic()
            with child:
                _pass_on(part, child)
            if time.monotonic() - began_s > _STEADY_S:
                back_off_s = 0.5
            if not self._ending.is_set():
                logger.error("%s ended, starting it again", part, extra={"code": child.returncode, "in_s": back_off_s})
            self._ending.wait(back_off_s)
            back_off_s = min(2 * back_off_s, _LONGEST_BACK_OFF_S)

    def _launch(self, part: str) -> subprocess.Popen[bytes] | None:
        """Start a part, unless it is time to end; under the lock, so that `end` and `let_begin` miss none."""
        with self._lock:
            if self._ending.is_set():
                return None
            child = self._children[part] = subprocess.Popen(  # noqa: S603  our own program
                [sys.executable, "-m", "hearth_hub.cli", part],
                stdin=subprocess.PIPE,  # tells the part to begin; its end tells it that we are gone
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,  # Ctrl-C is for the supervisor; it ends the parts
            )
            if self._may_begin.is_set():
                _tell(child)
            return child


def _tell(child: subprocess.Popen[bytes]) -> None:
    if child.stdin is not None:
        with contextlib.suppress(BrokenPipeError, ValueError):  # it has ended, and will be started again
            os.write(child.stdin.fileno(), GO)


def _pass_on(part: str, child: subprocess.Popen[bytes]) -> None:
    """Print what a part says, with its name in front, until it ends."""
    if child.stdout is None:
        return
    while line := child.stdout.readline(_LONGEST_LINE):
        sys.stderr.write(f"{part:7} {line.decode(errors='replace')}")
        sys.stderr.flush()


def _tell_when_ready(settings: Settings) -> None:
    """Print one line on stdout once the API answers."""
    deadline_s = time.monotonic() + _READY_S
    while time.monotonic() < deadline_s:
        if _healthy(settings):
            sys.stdout.write(f"ready http://{settings.host}:{settings.port}\n")
            sys.stdout.flush()
            return
        time.sleep(_LOOK_S)
    logger.error("the API has not answered yet", extra={"after_s": _READY_S})


def _healthy(settings: Settings) -> bool:
    try:
        with socket.create_connection((settings.host, settings.port), 2) as connection:
            connection.sendall(b"GET /api/health HTTP/1.0\r\n\r\n")
            return b" 200 " in connection.recv(64)
    except OSError:
        return False
