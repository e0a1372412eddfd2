"""Which devices a command speaks to: those of a home's file, or one that the command line describes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from hearth_agent.commands.polite_link import PoliteLink
from hearth_agent.devices.bus import Bus, manners_of
from hearth_agent.devices.catalogue import find_profile
from hearth_agent.devices.endpoint import Endpoint
from hearth_agent.devices.errors import DeviceLayoutError, not_as_profiled
from hearth_agent.devices.profile import Profile
from hearth_agent.reach import endpoint_of
from hearth_agent.settings import DeviceSettings, Home, load_home
from hearth_core.errors import ConfigError

DeviceId = Annotated[str | None, typer.Argument(help="A device's id in the file.", show_default=False)]
ConfigFile = Annotated[Path | None, typer.Option("--config", "-c", help="The home's agent.yaml.", show_default=False)]
ProfileName = Annotated[
    str, typer.Option("--profile", help="Without a file: the device's profile, or the path of one.", show_default=False)
]
Host = Annotated[str | None, typer.Option(help="Without a file: the device's address.", show_default=False)]
Serial = Annotated[str | None, typer.Option(help="Or its serial line, such as /dev/ttyUSB0.", show_default=False)]
Port = Annotated[int | None, typer.Option(min=1, max=65535, help="Its port; else the profile's.", show_default=False)]
Unit = Annotated[int | None, typer.Option(min=0, max=255, help="Its unit id; else the profile's.", show_default=False)]


@dataclass(frozen=True)
class Target:
    """One device and where it is reached."""

    id: str
    profile: Profile
    """As the home uses it."""
    documented: Profile
    """As its maker documents it: what a recording is read with."""
    bus: Bus
    """Shared with the other targets behind the same endpoint."""
    unit: int

    @property
    def place(self) -> str:
        """Address and unit, for people."""
        return f"{self.bus.endpoint.place} unit {self.unit}"

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[PoliteLink]:
        """Connect, and hang up in the end.

        Raises:
            DeviceError: The device cannot be reached, or is not what its profile says.
        """
        link = PoliteLink(self.id, self.bus, self.unit, manners_of(self.profile))
        try:
            await link.open()
            yield link
        except DeviceLayoutError as error:
            raise not_as_profiled(self.id, self.profile.profile, error) from error
        finally:
            link.close()


def targets_of(home: Home, folder: Path) -> list[Target]:
    """Return the devices of a home; ``folder`` is where its file lies."""
    buses = {endpoint: Bus(endpoint) for endpoint in home.endpoints.values()}
    targets = []
    for one in home.settings.devices:
        documented = find_profile(one.profile, folder, str(folder), f"devices.{one.id}.profile")
        targets.append(_target(one, home.profiles[one.id], documented, buses[home.endpoints[one.id]]))
    return targets


def _target(settings: DeviceSettings, profile: Profile, documented: Profile, bus: Bus) -> Target:
    unit = profile.unit if settings.unit is None else settings.unit
    return Target(settings.id, profile, documented, bus, unit)


def named(
    device: str | None,
    config: Path | None,
    profile: str,
    host: str | None,
    serial: str | None,
    port: int | None,
    unit: int | None,
) -> list[Target]:
    """Return what a command line names: devices of a file, or one by its profile and where it is.

    Raises:
        ConfigError: It names neither or both, or something that is not there.
    """
    if config is not None and not (profile or host or serial):
        return _of_file(config, device)
    if config is None and profile:
        found = find_profile(profile, Path(), "command line", "--profile")
        name = device or found.profile
        one = DeviceSettings(id=name, profile=profile, host=host, serial=serial, port=port, unit=unit)
        return [_target(one, found, found, Bus(_endpoint(one, found)))]
    remedy = "Name a home's file with --config, or a device with --profile and --host or --serial."
    raise ConfigError("command line", "--config", str(config) if config else None, remedy)


def _endpoint(one: DeviceSettings, profile: Profile) -> Endpoint:
    try:
        return endpoint_of(one, profile, "-", "command line")
    except ConfigError as error:  # a key of the file is an option here
        raise ConfigError(error.source, error.field.replace("-.", "--"), error.value, error.remedy) from error


def _of_file(config: Path, device: str | None) -> list[Target]:
    found = targets_of(load_home(config), config.parent)
    ids = [one.id for one in found]
    if device is not None and device not in ids:
        raise ConfigError(str(config), "devices", device, f"Name one of: {', '.join(ids)}.")
    return [one for one in found if device in (None, one.id)]
