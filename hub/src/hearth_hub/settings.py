"""What an operator can set, all by environment (``HEARTH_HUB_...``)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from hearth_core.errors import ConfigError
from hearth_hub.mqtt import Broker

LATE_DAYS = 15
"""What is measured may come this late, and still ends up in every aggregate."""


class Settings(BaseSettings):
    """One class for every process of the hub."""

    model_config = SettingsConfigDict(env_prefix="HEARTH_HUB_", frozen=True)

    database_url: SecretStr | None = None
    """``postgresql://...``; unset = a PostgreSQL of our own in ``data_dir``."""
    data_dir: Path = Path(".data/hub")
    """Signing key and, without ``database_url``, the database."""
    mqtt_url: str = "mqtt://127.0.0.1:1883"
    """``mqtt://host:port``, with ``?protocol=3.1.1`` for a broker that does not speak MQTT 5."""
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8000
    planning_token: Annotated[SecretStr | None, Field(min_length=16)] = None
    """What callers of ``/api/plan`` and evcc must bring; unset = whoever reaches the port may ask."""
    prices_file: Path | None = None
    """Day-ahead prices: CSV (also .gz) with ``timestamp_utc,price_eur_per_mwh``."""
    prices_zone: str = "NL"
    """The bidding zone of that file; homes of other zones see no prices from it."""

    raw_days: Annotated[int, Field(ge=0)] = 90
    """How many days single readings are kept; 0 = for ever. More than 15: a home may come back after a week."""
    minute_days: Annotated[int, Field(ge=0)] = 400
    """How many days the means of minutes are kept; 0 = for ever. Quarter-hours and days are always kept."""

    @field_validator("raw_days", "minute_days")
    @classmethod
    def _longer_than_what_comes_late(cls, value: int) -> int:
        if 0 < value <= LATE_DAYS:
            raise ValueError(f"use 0 (for ever) or more than {LATE_DAYS} days")
        return value

    @field_validator("mqtt_url")
    @classmethod
    def _known_broker(cls, value: str) -> str:
        Broker.from_url(value)
        return value

    @property
    def broker(self) -> Broker:
        """The broker of ``mqtt_url``."""
        return Broker.from_url(self.mqtt_url)


def load_settings() -> Settings:
    """Read the settings.

    Raises:
        ConfigError: A variable has a value that cannot be used.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "HEARTH_HUB_" + "_".join(str(part) for part in first["loc"]).upper()
        shown = "(hidden)" if name.endswith("_TOKEN") else first["input"]
        raise ConfigError("environment", name, shown, first["msg"] + ".") from error
