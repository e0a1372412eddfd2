"""What an installer writes in ``agent.yaml``, checked as a whole before anything is started."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Annotated

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Meta

from hearth_agent.devices.catalogue import read_profile, shipped_names, shipped_profile
from hearth_agent.devices.profile import ControlKind, Profile
from hearth_agent.facts import HeaterFacts, Line
from hearth_core.broker import BrokerAddress, parse_broker_url
from hearth_core.config import parse_yaml
from hearth_core.errors import ConfigError
from hearth_core.messages import Name
from hearth_core.points import DeviceKind
from hearth_core.signing import public_key_from_text
from hearth_core.site import Site

PASSWORD_VARIABLE = "HEARTH_AGENT_MQTT_PASSWORD"  # noqa: S105  the name of the variable, not its content
_ONE_OF_A_KIND = (DeviceKind.GRID_METER, DeviceKind.HYBRID_INVERTER)


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A misspelt key is refused."""


class HubSettings(_Section, frozen=True, kw_only=True):
    """Where the hub is reached, and the key its plans are signed with (``hearth-hub key`` prints it)."""

    mqtt_url: str
    public_key: str


class DeviceSettings(_Section, frozen=True, kw_only=True):
    """One device; port and unit are the profile's unless given."""

    id: Name
    profile: str
    host: str
    port: Annotated[int, Meta(ge=1, le=65535)] | None = None
    unit: Annotated[int, Meta(ge=0, le=255)] | None = None
    controlled: bool = False
    """False: watched only, never written."""
    max_current_a: Annotated[float, Meta(ge=6, le=80)] | None = None
    """EV chargers: what the wiring allows, when that is less than the profile's limit."""
    lines: Annotated[tuple[Line, ...], Meta(min_length=1, max_length=3)] = (1, 2, 3)
    """The phases of the house that its own L1, L2, L3 are wired to: ``[2, 3, 1]`` for a rotated one, ``[1]`` for one
    on a single phase."""
    heater: HeaterFacts | None = None
    """Heat pumps and water heaters: what must not happen to them."""
    rated_w: Annotated[float, Meta(gt=0, le=1e6)] = 1e6
    """Inverters whose roof can be turned down: the most it gives [W]."""


class AgentSettings(_Section, frozen=True, kw_only=True):
    """The whole file."""

    agent: Name
    data_dir: str
    site: Site
    devices: Annotated[list[DeviceSettings], Meta(min_length=1)]
    hub: HubSettings | None = None
    poll_s: Annotated[float, Meta(ge=1, le=30)] = 10.0
    control_s: Annotated[float, Meta(ge=0.5, le=30)] = 1.0
    flush_s: Annotated[float, Meta(ge=1, le=300)] = 10.0
    history_days: Annotated[float, Meta(ge=0.1, le=60)] = 7.0
    spool_cap_mb: Annotated[float, Meta(ge=1, le=100_000)] = 256.0


class Home(msgspec.Struct, frozen=True, kw_only=True):
    """Settings with everything they name resolved."""

    settings: AgentSettings
    data_dir: Path
    profiles: dict[str, Profile]
    """By device id."""
    broker: BrokerAddress | None
    public_key: Ed25519PublicKey | None

    def device_of(self, kind: DeviceKind) -> DeviceSettings | None:
        """Return the first device of a kind."""
        return next((d for d in self.settings.devices if self.profiles[d.id].kind is kind), None)


def load_home(path: Path) -> Home:
    """Read and check the file and every profile it names.

    Raises:
        ConfigError: The first thing that is wrong, with file, field, value and remedy.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), "the file", str(path), f"It cannot be read: {error}.") from error
    settings = parse_yaml(text, str(path), AgentSettings)
    source = str(path)
    profiles = {}
    for index, device in enumerate(settings.devices):
        if device.id in profiles:
            raise ConfigError(source, f"devices[{index}].id", device.id, "Give every device an id of its own.")
        profiles[device.id] = _profile(device, f"devices[{index}]", source, path.parent)
    for kind in _ONE_OF_A_KIND:
        same = [device.id for device in settings.devices if profiles[device.id].kind is kind]
        if len(same) > 1:
            raise ConfigError(source, "devices", same, f"One {kind} per home can be balanced; remove the others.")
    broker, key = _hub(settings, source)
    data_dir = path.parent / settings.data_dir
    return Home(settings=settings, data_dir=data_dir, profiles=profiles, broker=broker, public_key=key)


def _profile(device: DeviceSettings, field: str, source: str, folder: Path) -> Profile:
    if device.profile.endswith((".yaml", ".yml")):
        profile = read_profile(folder / device.profile)
    elif device.profile in shipped_names():
        profile = shipped_profile(device.profile)
    else:
        close = difflib.get_close_matches(device.profile, shipped_names(), n=1)
        meant = f"Did you mean {close[0]!r}? " if close else ""
        remedy = f"{meant}Known profiles: {', '.join(shipped_names())}, or the path of a .yaml file."
        raise ConfigError(source, f"{field}.profile", device.profile, remedy)
    if device.controlled and not profile.controls:
        remedy = f"The profile {profile.profile} has no controls; set it to false."
        raise ConfigError(source, f"{field}.controlled", value=True, remedy=remedy)
    if device.max_current_a is not None and ControlKind.EV_CURRENT not in profile.controls:
        raise ConfigError(
            source, f"{field}.max_current_a", device.max_current_a, "Only an EV charger has it; remove it."
        )
    return profile


def _hub(settings: AgentSettings, source: str) -> tuple[BrokerAddress | None, Ed25519PublicKey | None]:
    if settings.hub is None:
        return None, None
    try:
        broker = parse_broker_url(settings.hub.mqtt_url, os.environ.get(PASSWORD_VARIABLE))
    except ValueError as error:
        raise ConfigError(source, "hub.mqtt_url", settings.hub.mqtt_url, f"{error}.") from error
    try:
        key = public_key_from_text(settings.hub.public_key)
    except ValueError as error:
        remedy = "Put the line here that `hearth-hub key` prints."
        raise ConfigError(source, "hub.public_key", settings.hub.public_key, remedy) from error
    return broker, key
