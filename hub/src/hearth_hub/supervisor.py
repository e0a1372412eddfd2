"""`hearth-hub run`: everything the hub is, started in order, watched, and ended in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping

from hearth_core.errors import ConfigError
from hearth_hub.database.embedded import EmbeddedPostgres
from hearth_hub.database.migrate import migrate
from hearth_hub.keys import load_key
from hearth_hub.parts import PARTS, SUPERVISED
from hearth_hub.prices.source import read_prices
from hearth_hub.settings import Settings

logger = logging.getLogger(__name__)

_TERM_S = 2.5  # together with PostgreSQL's own stop within the 5 s a service manager is promised
_LONGEST_BACK_OFF_S = 10.0
_STEADY_S = 30.0  # a part that lived this long is started again at once
_READY_S = 60.0


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
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # until the supervisor takes over: through `finally`, too
    server: EmbeddedPostgres | None = None
    try:
        if settings.database_url is None:
            server = EmbeddedPostgres(settings.data_dir / "postgres")
            server.start()
            url = server.url("postgres")
        else:
            url = settings.database_url.get_secret_value()
        migrate(url)
        asyncio.run(_supervise(settings, {**os.environ, "HEARTH_HUB_DATABASE_URL": url}))
    finally:
        if server is not None:
            server.stop()


async def _supervise(settings: Settings, environment: Mapping[str, str]) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with asyncio.TaskGroup() as group:
        for part in PARTS:
            group.create_task(_keep_running(part, environment, stopping))
        group.create_task(_tell_when_ready(settings, stopping))


async def _keep_running(part: str, environment: Mapping[str, str], stopping: asyncio.Event) -> None:
    """Start a part, and start it again whenever it ends by itself, later each time."""
    back_off_s = 0.5
    while not stopping.is_set():
        began_s = time.monotonic()
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "hearth_hub.cli",
            part,
            stdin=asyncio.subprocess.PIPE,  # never written: its end tells the part that we are gone
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**environment, SUPERVISED: "1"},
            start_new_session=True,  # Ctrl-C is for the supervisor; it ends the parts
        )
        told = asyncio.create_task(_pass_on(part, child))
        ended, stop = asyncio.create_task(child.wait()), asyncio.create_task(stopping.wait())
        await asyncio.wait({ended, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if stopping.is_set():
            await _end(child)
            await told
            return
        await told
        if time.monotonic() - began_s > _STEADY_S:
            back_off_s = 0.5
        logger.error("%s ended, starting it again", part, extra={"code": child.returncode, "in_s": back_off_s})
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), back_off_s)
        back_off_s = min(2 * back_off_s, _LONGEST_BACK_OFF_S)


async def _end(child: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        child.terminate()
    try:
        await asyncio.wait_for(child.wait(), _TERM_S)
    except TimeoutError:
        child.kill()
        await child.wait()


async def _pass_on(part: str, child: asyncio.subprocess.Process) -> None:
    """Print what a part says, with its name in front."""
    if child.stdout is None:
        return
    while True:
        try:
            line = await child.stdout.readline()
        except ValueError:
            continue  # a line longer than the buffer; the rest of it follows
        if not line:
            return
        sys.stderr.write(f"{part:7} {line.decode(errors='replace')}")
        sys.stderr.flush()


async def _tell_when_ready(settings: Settings, stopping: asyncio.Event) -> None:
    """Print one line on stdout once the API answers."""
    deadline_s = time.monotonic() + _READY_S
    while not stopping.is_set() and time.monotonic() < deadline_s:
        if await _healthy(settings):
            sys.stdout.write(f"ready http://{settings.host}:{settings.port}\n")
            sys.stdout.flush()
            return
        await asyncio.sleep(0.1)


async def _healthy(settings: Settings) -> bool:
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_connection(settings.host, settings.port), 1)
    except (OSError, TimeoutError):
        return False
    try:
        writer.write(b"GET /api/health HTTP/1.0\r\n\r\n")
        first = await asyncio.wait_for(reader.readline(), 2)
    except (OSError, TimeoutError):
        return False
    else:
        return b" 200 " in first
    finally:
        writer.close()
