"""Where to look for devices: hosts and ports, serial lines with their usual settings, and unit ids."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from hearth_agent.devices.catalogue import shipped_names, shipped_profile
from hearth_agent.devices.endpoint import ON_A_LINE, Endpoint
from hearth_agent.devices.profile import Profile, SerialLine, Transport
from hearth_core.errors import ConfigError

_ALWAYS = (1, 2, 3)
_ON_A_LINE = range(1, 11)
_RANGE = re.compile(r"(\d{1,3})(?:-(\d{1,3}))?")
_MOST_UNIT = 255


@dataclass(frozen=True)
class Search:
    """One wire to be searched."""

    endpoint: Endpoint
    units: tuple[int, ...]
    profiles: tuple[Profile, ...]
    """What may be found there."""


def plan(hosts: Sequence[str], serial: str | None, units: str, transport: Transport) -> list[Search]:
    """Return what has to be searched.

    Args:
        hosts: ``HOST`` or ``HOST:PORT``; without a port every port that profiles name is tried.
        serial: A serial device; every line setting that profiles name is tried.
        units: ``1-10,100``; the usual ones when empty.
        transport: What the hosts speak.

    Raises:
        ConfigError: A host, the units or the transport is none.
    """
    if not hosts and serial is None:
        raise ConfigError("command line", "HOST", None, "Name at least one host, or a --serial line.")
    if transport in ON_A_LINE:
        remedy = "Hosts speak tcp or rtu_over_tcp; a line is searched with --serial."
        raise ConfigError("command line", "--transport", transport.value, remedy)
    known = tuple(shipped_profile(name) for name in shipped_names())
    searches = []
    for host in hosts:
        # a gateway hands on to devices that speak RTU themselves
        speakers = tuple(one for one in known if {transport, Transport.RTU} & set(one.transports))
        searches += _of_host(host, _units(units, speakers, _ALWAYS), speakers, transport)
    if serial is not None:
        searches += _of_line(serial, units, known)
    return searches


def _of_host(text: str, units: tuple[int, ...], profiles: tuple[Profile, ...], transport: Transport) -> list[Search]:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or parts.path:
        raise ConfigError("command line", "HOST", text, "Write a host name or address, and :PORT if it is unusual.")
    ports = [port] if port else sorted({one.port for one in profiles})
    return [Search(Endpoint(transport, host=host, port=one), units, profiles) for one in ports]


def _of_line(path: str, units: str, known: Iterable[Profile]) -> list[Search]:
    lines: dict[tuple[Transport, SerialLine], list[Profile]] = {}
    for profile in known:
        for transport in set(ON_A_LINE) & set(profile.transports):
            lines.setdefault((transport, profile.serial), []).append(profile)
    often_first = Counter({line: len(profiles) for line, profiles in lines.items()}).most_common()
    return [
        Search(Endpoint(transport, path=path, line=line), _units(units, profiles, _ON_A_LINE), tuple(profiles))
        for (transport, line), _ in often_first
        for profiles in [lines[transport, line]]
    ]


def _units(text: str, profiles: Iterable[Profile], always: Iterable[int]) -> tuple[int, ...]:
    if not text:
        return tuple(sorted({*always, *(one.unit for one in profiles)}))
    units: dict[int, None] = {}
    for part in text.split(","):
        found = _RANGE.fullmatch(part.strip())
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if not first <= last <= _MOST_UNIT:
            raise ConfigError("command line", "--units", text, "Write ids and ranges, such as 1-10,100,247.")
        units |= dict.fromkeys(range(first, last + 1))
    return tuple(units)
