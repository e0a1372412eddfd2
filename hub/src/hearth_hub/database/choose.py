"""Which database a single command asks."""

from __future__ import annotations

from types import TracebackType

from hearth_core.errors import ConfigError
from hearth_hub.database.embedded import EmbeddedPostgres
from hearth_hub.settings import Settings


class CommandDatabase:
    """The database of the settings, for one ``with``.

    The embedded server is used where it runs already; otherwise it is started for the command and stopped again.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._started: EmbeddedPostgres | None = None

    def __enter__(self) -> str:
        """Return the database's address.

        Raises:
            ConfigError: There is no database yet.
        """
        if self._settings.database_url is not None:
            return self._settings.database_url.get_secret_value()
        folder = self._settings.data_dir / "postgres"
        if not folder.exists():
            remedy = "Run `hearth-hub run` first, or set HEARTH_HUB_DATABASE_URL."
            raise ConfigError("environment", "HEARTH_HUB_DATA_DIR", str(self._settings.data_dir), remedy)
        server = EmbeddedPostgres(folder)
        if server.pid is None:
            server.start()
            self._started = server
        return server.url("postgres")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop what was started."""
        if self._started is not None:
            self._started.stop()
