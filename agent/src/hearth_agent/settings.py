"""What an installer writes in ``agent.yaml``, checked as a whole before anything is started."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Meta

from hearth_agent.devices.catalogue import find_profile, read_text
from hearth_agent.devices.endpoint import Endpoint
from hearth_agent.devices.profile import ControlKind, Profile, SafetyClass, Transport
from hearth_agent.facts import HeaterFacts
from hearth_agent.grid.sources import GridSource, problems
from hearth_agent.proof import Phase, Proof, flaw
from hearth_agent.reach import check_wire, endpoint_of, where
from hearth_agent.site_checks import check_device, check_site, warnings
from hearth_agent.wiring import Sign, as_wired
from hearth_core.broker import BrokerAddress, parse_broker_url
from hearth_core.config import parse_yaml
from hearth_core.errors import ConfigError
from hearth_core.messages import Name
from hearth_core.points import DeviceKind
from hearth_core.signing import public_key_from_text
from hearth_core.site import Site

PASSWORD_VARIABLE = "HEARTH_AGENT_MQTT_PASSWORD"  # noqa: S105  the name of the variable, not its content
_KEEPS_ORDERS = "it keeps an order when the agent is gone; set keeps_orders_ok: true if its owner accepts that"
_STORES = (DeviceKind.HYBRID_INVERTER, DeviceKind.BATTERY)
# of each of these a home has one at most: two could not be balanced, nor steered together
ONE_OF = (("grid_meter", (DeviceKind.GRID_METER,)), ("hybrid inverter or battery", _STORES))


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
    """False: watched only, never written. True counts only with a proof that holds (see `Home.controlled`)."""
    behind: Name | None = None
    """The device through whose unit this one is read (a meter behind its inverter)."""
    role: DeviceKind | None = None
    """Meters: what is measured, when it is not the grid connection."""
    sign: Sign = 1
    """-1: the device tells its AC powers the other way round."""
    battery_sign: Sign = 1
    """-1: the device tells its battery's power the other way round."""
    max_current_a: Annotated[float, Meta(ge=6, le=80)] | None = None
    """EV chargers: what the wiring allows, when that is less than the profile's limit."""
    phase_rotation: Annotated[list[Phase], Meta(min_length=1, max_length=3)] | None = None
    """EV chargers and heaters: on which of the home's phases its L1, L2, L3 lie (``[2, 3, 1]`` for a rotated one,
    ``[1]`` for one on a single phase); as proved, or in order, when left out."""
    heater: HeaterFacts | None = None
    """Heat pumps and water heaters: what must not happen to them."""
    rated_w: Annotated[float, Meta(gt=0, le=1e6)] = 1e6
    """Inverters whose roof can be turned down: the most it gives [W]."""
    keeps_orders_ok: bool = False
    """The owner accepts orders that this device keeps for ever when nobody takes them back (controls of class S and F).

    Without it such controls are left out; those that end by themselves are used all the same.
    """
    proof: Proof | None = None
    """Written by ``hearth-agent commission``."""


class BalanceSettings(_Section, frozen=True, kw_only=True):
    """How far the home's energy balance may stay open, and how long, before control is withdrawn."""

    tolerance_w: Annotated[float, Meta(ge=20, le=5000)] = 150.0
    tolerance_percent: Annotated[float, Meta(ge=1, le=30)] = 8.0
    """Of the largest power in the balance, on top of ``tolerance_w``."""
    unmetered_pv_w: Annotated[float, Meta(ge=0, le=50_000)] = 0.0
    """Rated power of producers that no device here measures (a balcony's PV) [W]."""
    minutes: Annotated[float, Meta(ge=2, le=120)] = 8.0
    """Minutes of evidence."""


class AgentSettings(_Section, frozen=True, kw_only=True):
    """The whole file."""

    agent: Name
    data_dir: str
    site: Site
    devices: Annotated[list[DeviceSettings], Meta(min_length=1)]
    hub: HubSettings | None = None
    balance: BalanceSettings = BalanceSettings()
    grid_limits: list[GridSource] = []
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
    """By device id, as wired."""
    endpoints: dict[str, Endpoint]
    """By device id; devices with equal ones share a connection."""
    broker: BrokerAddress | None
    public_key: Ed25519PublicKey | None

    @property
    def warnings(self) -> list[str]:
        """What is strange in the file, though the home can live with it."""
        return list(warnings(self.settings, self.profiles))

    def device_of(self, kind: DeviceKind) -> DeviceSettings | None:
        """Return the first device of a kind."""
        return next((d for d in self.settings.devices if self.profiles[d.id].kind is kind), None)

    @property
    def store(self) -> DeviceSettings | None:
        """The device that stores energy: a hybrid inverter, or a battery on the house's own AC."""
        return next((d for d in self.settings.devices if self.profiles[d.id].kind in _STORES), None)

    def device(self, device_id: str) -> DeviceSettings:
        """Return a device's settings by its id."""
        return next(d for d in self.settings.devices if d.id == device_id)

    def where(self, device_id: str) -> str:
        """Return where a device is reached."""
        return where(self.device(device_id), self.profiles[device_id])

    def phases_of(self, device_id: str) -> tuple[int, ...]:
        """Return the home's phases on which a device's L1, L2, L3 lie, as set or as proved; empty when unknown."""
        device = self.device(device_id)
        if device.phase_rotation is not None:
            return tuple(device.phase_rotation)
        return tuple(device.proof.phases) if device.proof is not None else ()

    def controlled(self, device_id: str) -> bool:
        """Tell whether a device may be written: the file says so, and a proof that holds allows it."""
        return not self.why_watched(device_id)

    def why_watched(self, device_id: str) -> str:
        """Return why a device is only watched and what to do about it; "" when it may be controlled."""
        device = self.device(device_id)
        if not device.controlled:
            can = f"; `hearth-agent commission --device {device_id}` proves it and asks"
            return "controlled is not set" + (can if self.profiles[device_id].controls else "")
        grid = self.device_of(DeviceKind.GRID_METER)
        if grid is None:
            return "the home has no grid meter that shows what an order does; add one and run `hearth-agent commission`"
        for one in (device, grid):
            why = flaw(one.proof, self.profiles[one.id], self.where(one.id), self.settings.site.limits.phases)
            if why:
                whose = "" if one is device else f"of the grid meter {one.id}: "
                return f"{whose}{why}; run `hearth-agent commission --device {device_id}`"
        if len(self.left_out(device_id)) == len(self.profiles[device_id].controls):
            return _KEEPS_ORDERS
        return ""

    def left_out(self, device_id: str) -> dict[ControlKind, str]:
        """Return the controls of a device that are not used though it may be controlled, and why."""
        if self.device(device_id).keeps_orders_ok:
            return {}
        controls = self.profiles[device_id].controls
        return {kind: _KEEPS_ORDERS for kind, one in controls.items() if one.safety_class is not SafetyClass.TIMED}


def load_home(path: Path) -> Home:
    """Read and check the file and every profile it names.

    Raises:
        ConfigError: The first thing that is wrong, with file, field, value and remedy.
    """
    source = str(path)
    settings = parse_yaml(read_text(path), source, AgentSettings)
    profiles: dict[str, Profile] = {}
    endpoints: dict[str, Endpoint] = {}
    for index, device in enumerate(settings.devices):
        if device.id in profiles:
            raise ConfigError(source, f"devices[{index}].id", device.id, "Give every device an id of its own.")
        profiles[device.id] = _profile(device, f"devices[{index}]", source, path.parent)
        endpoints[device.id] = endpoint_of(device, profiles[device.id], f"devices[{index}]", source)
        check_wire(endpoints, device.id, f"devices[{index}]", source)
    for what, kinds in ONE_OF:
        same = [device.id for device in settings.devices if profiles[device.id].kind in kinds]
        if len(same) > 1:
            others = "give the others a `role`" if DeviceKind.GRID_METER in kinds else "remove the others"
            raise ConfigError(source, "devices", same, f"One {what} per home can be balanced; {others}.")
    check_site(settings, profiles, source)
    points = {id_: [*one.points] for id_, one in profiles.items()}
    for field, value, remedy in problems(settings.grid_limits, points, has_hub=settings.hub is not None):
        raise ConfigError(source, f"grid_limits{field}", value, remedy)
    broker, key = _hub(settings, source)
    data_dir = path.parent / settings.data_dir
    return Home(
        settings=settings, data_dir=data_dir, profiles=profiles, endpoints=endpoints, broker=broker, public_key=key
    )


def _profile(device: DeviceSettings, field: str, source: str, folder: Path) -> Profile:
    profile = find_profile(device.profile, folder, source, f"{field}.profile")
    check_device(device, profile, field, source)
    return as_wired(profile, device.sign, device.battery_sign, device.role)


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
