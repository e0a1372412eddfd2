"""Which devices a command speaks to: those of a home's file, or one that the command line describes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from hearth_agent.commands.polite_link import PoliteLink
from hearth_agent.devices.catalogue import find_profile
from hearth_agent.devices.profile import Profile
from hearth_agent.settings import DeviceSettings, load_home
from hearth_core.errors import ConfigError

DeviceId = Annotated[str | None, typer.Argument(help="A device's id in the file.", show_default=False)]
ConfigFile = Annotated[Path | None, typer.Option("--config", "-c", help="The home's agent.yaml.", show_default=False)]
ProfileName = Annotated[
    str, typer.Option("--profile", help="Without a file: the device's profile, or the path of one.", show_default=False)
]
Host = Annotated[str, typer.Option(help="Without a file: the device's address.", show_default=False)]
Port = Annotated[int | None, typer.Option(min=1, max=65535, help="Its port; the profile's.", show_default=False)]
Unit = Annotated[int | None, typer.Option(min=0, max=255, help="Its unit id; the profile's.", show_default=False)]


@dataclass(frozen=True)
class Target:
    """One device and where it is reached."""

    id: str
    profile: Profile
    host: str
    port: int
    unit: int

    @property
    def place(self) -> str:
        """Address and unit, for people."""
        return f"{self.host}:{self.port} unit {self.unit}"

    def link(self) -> PoliteLink:
        """Return a link that is not open yet."""
        profile = self.profile
        return PoliteLink(self.id, self.host, self.port, self.unit, profile.timeout_s, gap_s=profile.min_gap_s)


def target_of(settings: DeviceSettings, profile: Profile) -> Target:
    """Return a device of a home's file."""
    port = profile.port if settings.port is None else settings.port
    unit = profile.unit if settings.unit is None else settings.unit
    return Target(settings.id, profile, settings.host, port, unit)


def targets_in(config: Path, device: str | None) -> list[Target]:
    """Return the devices of a home's file, or one of them.

    Raises:
        ConfigError: The file is wrong, or has no such device.
    """
    home = load_home(config)
    ids = [one.id for one in home.settings.devices]
    if device is not None and device not in ids:
        raise ConfigError(str(config), "devices", device, f"The file has: {', '.join(ids)}.")
    return [target_of(one, home.profiles[one.id]) for one in home.settings.devices if device in (None, one.id)]


def targets(
    device: str | None, config: Path | None, profile: str, host: str, port: int | None, unit: int | None
) -> list[Target]:
    """Return what a command line names: devices of a file, or one by profile and host.

    Raises:
        ConfigError: It names neither or both, or something that is not there.
    """
    if config is not None and not (profile or host):
        return targets_in(config, device)
    if config is None and profile and host:
        found = find_profile(profile, Path(), "command line", "--profile")
        settings = DeviceSettings(id=device or found.profile, profile=profile, host=host, port=port, unit=unit)
        return [target_of(settings, found)]
    remedy = "Name a home's file with --config, or a device with --profile and --host."
    raise ConfigError("command line", "--config", str(config) if config else None, remedy)
