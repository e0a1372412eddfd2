"""Where the file says that a device is reached: at a host or on a serial line, and in which words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from hearth_agent.devices.endpoint import ON_A_LINE, Endpoint, is_host
from hearth_agent.devices.profile import Profile, Transport
from hearth_core.errors import ConfigError

if TYPE_CHECKING:
    from hearth_agent.settings import DeviceSettings, LineSettings


def where(device: DeviceSettings, profile: Profile) -> str:
    """Return where a device is reached, as people and proofs name it."""
    port = profile.port if device.port is None else device.port
    unit = profile.unit if device.unit is None else device.unit
    place = device.serial or f"{device.host}:{port}"
    return f"{place} unit {unit}"


def endpoint_of(device: DeviceSettings, profile: Profile, field: str, source: str) -> Endpoint:
    """Return where a device is reached.

    Raises:
        ConfigError: The device is described by too little, too much, or what its kind does not speak.
    """
    path = device.serial
    if (device.host is None) == (path is None):
        remedy = "Give either host or serial (a device such as /dev/ttyUSB0), and not both."
        raise ConfigError(source, f"{field}.host", device.host, remedy)
    if path is None and _given(device.line):
        raise ConfigError(source, f"{field}.line", _given(device.line), "Only a serial line has it; remove it.")
    if device.host is not None and not is_host(device.host):
        remedy = "Write a name or an address alone, such as 192.168.1.20; the port has a key of its own."
        raise ConfigError(source, f"{field}.host", device.host, remedy)
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
    return Endpoint(fitting[0], path=path, line=msgspec.structs.replace(profile.serial, **_given(device.line)))


def _given(line: LineSettings) -> dict[str, Any]:
    return {name: value for name, value in msgspec.structs.asdict(line).items() if value is not None}


def check_wire(endpoints: Mapping[str, Endpoint], id_: str, field: str, source: str) -> None:
    """Refuse a device that wants to speak otherwise than another one on the same wire.

    Raises:
        ConfigError: The wire is described in two ways.
    """
    own = endpoints[id_]
    for other, endpoint in endpoints.items():
        if endpoint.place == own.place and endpoint != own:
            remedy = f"{other} shares {own.place} and speaks {endpoint.described}; give both the same."
            raise ConfigError(source, f"{field}.{'line' if own.path else 'transport'}", own.described, remedy)
