"""What an installer writes in ``agent.yaml``, checked as a whole before anything is started."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Meta

from hearth_agent.devices.catalogue import find_profile
from hearth_agent.devices.endpoint import ON_A_LINE, Endpoint
from hearth_agent.devices.profile import ControlKind, Profile, Transport
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


class LineSettings(_Section, frozen=True, kw_only=True):
    """A serial line that is set otherwise than the profile's devices leave the factory."""

    baudrate: Annotated[int, Meta(ge=1200, le=921_600)] | None = None
    parity: Literal["N", "E", "O"] | None = None
    bytesize: Literal[7, 8] | None = None
    stopbits: Literal[1, 2] | None = None


class DeviceSettings(_Section, frozen=True, kw_only=True):
    """One device, at a ``host`` or on a ``serial`` line; all else is the profile's unless given."""

    id: Name
    profile: str
    host: str | None = None
    serial: str | None = None
    """The serial device, e.g. ``/dev/ttyUSB0``."""
    transport: Transport | None = None
    line: LineSettings = LineSettings()
    """With ``serial``: how the line is set."""
    port: Annotated[int, Meta(ge=1, le=65535)] | None = None
    unit: Annotated[int, Meta(ge=0, le=255)] | None = None
    controlled: bool = False
    """False: watched only, never written."""
    keeps_orders_ok: bool = False
    """The owner accepts orders that the device keeps when the agent dies (classes S and F); its supervisor, or else
    its next start, ends them."""
    max_current_a: Annotated[float, Meta(ge=6, le=80)] | None = None
    """EV chargers: what the wiring allows, when that is less than the profile's limit."""


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
    endpoints: dict[str, Endpoint]
    """By device id; devices with equal ones share a connection."""
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
    profiles: dict[str, Profile] = {}
    endpoints: dict[str, Endpoint] = {}
    for index, device in enumerate(settings.devices):
        if device.id in profiles:
            raise ConfigError(source, f"devices[{index}].id", device.id, "Give every device an id of its own.")
        profiles[device.id] = _profile(device, f"devices[{index}]", source, path.parent)
        endpoints[device.id] = endpoint_of(device, profiles[device.id], f"devices[{index}]", source)
        _check_wire(endpoints, device.id, f"devices[{index}]", source)
    for kind in _ONE_OF_A_KIND:
        same = [device.id for device in settings.devices if profiles[device.id].kind is kind]
        if len(same) > 1:
            raise ConfigError(source, "devices", same, f"One {kind} per home can be balanced; remove the others.")
    broker, key = _hub(settings, source)
    data_dir = path.parent / settings.data_dir
    return Home(
        settings=settings, data_dir=data_dir, profiles=profiles, endpoints=endpoints, broker=broker, public_key=key
    )


def _profile(device: DeviceSettings, field: str, source: str, folder: Path) -> Profile:
    profile = find_profile(device.profile, folder, source, f"{field}.profile")
    if device.controlled and not profile.controls:
        remedy = f"The profile {profile.profile} has no controls; set it to false."
        raise ConfigError(source, f"{field}.controlled", value=True, remedy=remedy)
    if device.max_current_a is not None and ControlKind.EV_CURRENT not in profile.controls:
        raise ConfigError(
            source, f"{field}.max_current_a", device.max_current_a, "Only an EV charger has it; remove it."
        )
    return profile


def endpoint_of(device: DeviceSettings, profile: Profile, field: str, source: str) -> Endpoint:
    """Return where a device is reached.

    Raises:
        ConfigError: The device is described by too little, too much, or what its kind does not speak.
    """
    path = device.serial
    if (device.host is None) == (path is None):
        remedy = "Give either host or serial (a device such as /dev/ttyUSB0), and not both."
        raise ConfigError(source, f"{field}.host", device.host, remedy)
    if path is None and device.line != LineSettings():
        raise ConfigError(source, f"{field}.line", device.line, "Only a serial line has it; remove it.")
    if path is not None and device.port is not None:
        raise ConfigError(source, f"{field}.port", device.port, "A serial line has none; remove it.")
    wanted = profile.transports if device.transport is None else (device.transport,)
    fitting = [one for one in wanted if (one in ON_A_LINE) == (path is not None)]
    if not fitting:
        instead = "host" if path is not None else "serial"
        remedy = f"That needs {instead}; behind a gateway, set transport to what the gateway speaks."
        raise ConfigError(source, f"{field}.transport", ", ".join(wanted), remedy)
    if path is None:
        # at a host, Modbus TCP is the usual thing, also where a line is the device's own
        fitting.sort(key=lambda one: one is not Transport.TCP)
        port = profile.port if device.port is None else device.port
        return Endpoint(fitting[0], host=device.host or "", port=port)
    changed = {name: value for name, value in msgspec.structs.asdict(device.line).items() if value is not None}
    return Endpoint(fitting[0], path=path, line=msgspec.structs.replace(profile.serial, **changed))


def _check_wire(endpoints: Mapping[str, Endpoint], id_: str, field: str, source: str) -> None:
    """Refuse a device that wants to speak otherwise than another one on the same wire."""
    own = endpoints[id_]
    for other, endpoint in endpoints.items():
        if endpoint.place == own.place and endpoint != own:
            remedy = f"{other} shares {own.place} and speaks {endpoint.described}; give both the same."
            raise ConfigError(source, f"{field}.{'line' if own.path else 'transport'}", own.described, remedy)


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
