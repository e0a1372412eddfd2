"""``hearth-agent discover``: which devices answer, and the lines of agent.yaml that name them.

Nothing is written to any device. One request at a time goes to a host, with pauses between; a unit id that does not
answer is left after two questions.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import msgspec
import typer

from hearth_agent.commands.identify import GAP_S, Candidate, Found, identify
from hearth_agent.commands.scanning import Search, plan
from hearth_agent.devices.bus import Bus
from hearth_agent.devices.endpoint import Endpoint
from hearth_agent.devices.errors import DeviceError
from hearth_agent.devices.profile import Profile, Transport
from hearth_agent.reach import endpoint_of
from hearth_agent.settings import ONE_OF, DeviceSettings
from hearth_core.errors import ConfigError
from hearth_core.points import DeviceKind

_OTHERS = {DeviceKind.GRID_METER: "; a meter of something else takes a role, such as role: pv"}

Progress = Callable[[str], None]


@dataclass
class Result:
    """What a search gave."""

    search: Search
    found: list[Found] = field(default_factory=list)
    trouble: str = ""
    """Why nothing could be asked there."""


def discover(
    hosts: Annotated[list[str] | None, typer.Argument(metavar="HOST[:PORT]...", show_default=False)] = None,
    serial: Annotated[str | None, typer.Option(help="A serial line, such as /dev/ttyUSB0.", show_default=False)] = None,
    units: Annotated[str, typer.Option(help="Unit ids, such as 1-10,100,247; the usual ones when left out.")] = "",
    transport: Annotated[Transport, typer.Option(help="What the hosts speak: tcp or rtu_over_tcp.")] = Transport.TCP,
    timeout: Annotated[float, typer.Option(min=0.1, max=10, help="Seconds that an answer may take.")] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Look for devices, politely, and print a section of agent.yaml for each; nothing is written.

    Exit code 1 when nothing is found.

    Example: hearth-agent discover 192.168.1.20 192.168.1.31:1502 --units 1-3,247
    """
    logging.basicConfig(level=logging.ERROR)
    searches = plan(hosts or [], serial, units, transport)
    results = asyncio.run(search_all(searches, timeout, _progress))
    _progress("")
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(as_data(results))).decode())
    else:
        typer.echo("\n".join(report(results)))
    if not any(one.found for one in results):
        raise typer.Exit(1)


async def search_all(
    searches: Sequence[Search], timeout_s: float, progress: Progress, gap_s: float = GAP_S
) -> list[Result]:
    """Search wires, each host and line on its own and one thing at a time there; see `identify`."""
    by_place: dict[str, list[Search]] = {}
    for one in searches:
        by_place.setdefault(one.endpoint.host or one.endpoint.path, []).append(one)
    groups = await asyncio.gather(*(_search_place(group, timeout_s, gap_s, progress) for group in by_place.values()))
    return [result for group in groups for result in group]


async def _search_place(searches: list[Search], timeout_s: float, gap_s: float, progress: Progress) -> list[Result]:
    results: list[Result] = []
    for one in searches:
        # a serial line is searched with several settings: who was understood is not asked again
        known = {found.unit for result in results for found in result.found if found.candidates}
        known = known if one.endpoint.path else set()
        results.append(await _search(one, known, timeout_s, gap_s, progress))
    return results


async def _search(search: Search, known: set[int], timeout_s: float, gap_s: float, progress: Progress) -> Result:
    result = Result(search)
    for number, unit in enumerate(search.units, start=1):
        if unit in known:
            continue
        progress(f"{search.endpoint.place}: unit {unit} ({number} of {len(search.units)})")
        try:
            # a connection of its own: some devices hang up when they are asked for a unit they do not have
            found = await identify(Bus(search.endpoint), unit, search.profiles, timeout_s, gap_s)
        except DeviceError as error:
            result.trouble = str(error).removeprefix(f"unit {unit} ")
            break
        if found is not None:
            _take(result, found)
    return result


def _take(result: Result, new: Found) -> None:
    """Keep what was found; a device that answers on several ids is kept once, on its usual one if it can be."""
    for index, old in enumerate(result.found):
        pairs = zip(old.chosen(), new.chosen(), strict=False)
        if old.candidates and new.candidates and all(one.is_same_device(other) for one, other in pairs):
            if new.unit == new.chosen()[0].profile.unit:
                result.found[index] = new
            return
    result.found.append(new)


def sections(results: list[Result]) -> list[tuple[Candidate, dict[str, object]]]:
    """Return each device with its entry in agent.yaml."""
    taken: dict[str, int] = {}
    found = []
    for result in results:
        for unit in result.found:
            first = ""
            # an inverter comes before the meter that is read through it
            for one in sorted(unit.chosen(), key=lambda one: one.profile.kind is DeviceKind.GRID_METER):
                name = one.profile.kind.value.replace("_", "-")
                taken[name] = taken.get(name, 0) + 1
                id_ = name if taken[name] == 1 else f"{name}-{taken[name]}"
                section = _section(id_, one, result.search.endpoint)
                found.append((one, section | {"behind": first} if first else section))
                first = first or id_
    return found


def _section(id_: str, one: Candidate, endpoint: Endpoint) -> dict[str, object]:
    profile = one.profile
    section: dict[str, object] = {"id": id_, "profile": profile.profile}
    if endpoint.path:
        section["serial"] = endpoint.path
    else:
        section["host"] = endpoint.host
        if endpoint.port != profile.port:
            section["port"] = endpoint.port
    if endpoint.transport is not _usual_transport(section, profile):
        section["transport"] = endpoint.transport.value
    if one.unit != profile.unit:
        section["unit"] = one.unit
    return section


def _usual_transport(section: dict[str, object], profile: Profile) -> Transport | None:
    """Return what the agent would speak if the section said no more."""
    try:
        return endpoint_of(msgspec.convert(section, DeviceSettings), profile, "the device", "discover").transport
    except ConfigError:
        return None


def report(results: list[Result]) -> list[str]:
    """Return the lines a person reads."""
    lines = []
    # some settings of a serial line may not be possible where others are
    answering = {result.search.endpoint.path for result in results if result.found} - {""}
    for result in results:
        place = result.search.endpoint.place
        if result.trouble and result.search.endpoint.path not in answering:
            lines.append(f"{place}: {result.trouble}")
        for unit in result.found:
            lines += [f"{place} unit {unit.unit}: {_line(unit, one)}" for one in unit.chosen()]
            if not unit.candidates:
                lines.append(f"{place} unit {unit.unit}: answers, but no profile fits")
    entries = sections(results)
    if not entries:
        hint = "Is Modbus switched on in the device's menu? Are address, port and --units right?"
        return [*dict.fromkeys(lines), f"No known device was found. {hint}"]
    lines += [
        "",
        "# For agent.yaml. Look at each with `hearth-agent probe`; `hearth-agent commission` proves signs and units.",
    ]
    for what, kinds in ONE_OF:
        if len(same := [section["id"] for one, section in entries if one.profile.kind in kinds]) > 1:
            others = _OTHERS.get(kinds[0], "")
            lines.append(f"# A home has one {what}: keep one of {', '.join(map(str, same))}.{others}")
    lines.append("devices:")
    for _, section in entries:
        inner = ", ".join(f"{key}: {value}" for key, value in section.items())
        lines.append(f"  - {{{inner}}}")
    return lines


def _line(unit: Found, one: Candidate) -> str:
    how = f"{one.confidence.name.lower()}, {one.plausible} of {len(one.profile.points)} points"
    also = f"; {', '.join(rivals)} would fit too" if (rivals := unit.also(one)) else ""
    return f"{one.profile.profile} ({one.profile.kind.value}), {one.survey.name}: {how}{also}"


def as_data(results: list[Result]) -> list[dict[str, object]]:
    """Return what was found as plain data."""
    entries = {id(one): section for one, section in sections(results)}
    return [
        {
            "place": result.search.endpoint.place,
            "trouble": result.trouble,
            "units": [
                {
                    "unit": unit.unit,
                    "candidates": [_candidate(one, entries.get(id(one))) for one in unit.candidates],
                }
                for unit in result.found
            ],
        }
        for result in results
    ]


def _candidate(one: Candidate, section: dict[str, object] | None) -> dict[str, object]:
    return {
        "profile": one.profile.profile,
        "kind": one.profile.kind.value,
        "confidence": one.confidence.name.lower(),
        "plausible_points": one.plausible,
        "points": len(one.profile.points),
        "identity": dict(one.survey.identity),
        "values": dict(one.survey.values),
        "section": section,
    }


def _progress(text: str) -> None:
    """Show where the search is, on a screen only."""
    if sys.stderr.isatty():
        typer.echo(f"\r\x1b[K{text}", nl=False, err=True)
