"""A device's registers as a recording: the same file tests decode and the simulator serves.

More is read than the points need: whole SunSpec models, identity registers, and what a control writes, so that the
simulator can take orders. Serial numbers are masked (`hearth_agent.commands.masking`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from hearth_agent import __version__
from hearth_agent.commands.masking import SerialText, mask_image, mask_text, runs
from hearth_agent.commands.polite_link import PoliteLink
from hearth_agent.commands.survey import Survey
from hearth_agent.devices.codec import text
from hearth_agent.devices.controls import Write
from hearth_agent.devices.identity import span
from hearth_agent.devices.layout import Chain, write_place
from hearth_agent.devices.packing import Span
from hearth_agent.devices.profile import Profile
from hearth_agent.devices.question import READ_COILS
from hearth_agent.devices.registers import REGISTERS
from hearth_agent.devices.sunspec_models import definition

_COMMON = 1
_REGISTERS_A_LINE = 16
_USUAL_LONGEST = 125


async def read_all(link: PoliteLink, survey: Survey) -> None:
    """Read what the survey left out; a register the device refuses is left out of the recording.

    Raises:
        DeviceError: The device does not answer.
    """
    profile = survey.profile
    wanted = [span(check) for check in profile.identity.checks]
    wanted += [Span(fc, address, address + count) for fc, address, count in _controlled(profile, survey.chain)]
    if survey.chain is not None:
        wanted += list(_whole_models(survey.chain, min(profile.max_registers, _USUAL_LONGEST)))
    for one in wanted:
        await link.ask(one)


def recording(link: PoliteLink, survey: Survey) -> str:
    """Return the recording as YAML.

    Args:
        link: What was asked and answered.
        survey: What was made of it.
    """
    profile = survey.profile
    places = _serial_places(survey)
    serials = serial_numbers(survey)
    image = mask_image(link.image, places, serials)
    who = mask_text(survey.make, serials)
    lines = [
        "# Serial numbers are masked.",
        f"device: {profile.profile}",
        f"source: {json.dumps(f'{who}, read with the profile {profile.profile} by hearth-agent {__version__}')}",
        "origin: recorded",
    ]
    if profile.max_registers != _USUAL_LONGEST:
        lines.append(f"max_registers: {profile.max_registers}")
    if profile.one_value_per_request:
        lines.append("one_value_per_request: true")
    lines += ["units:", f"  {survey.unit}:"]
    chunks = _answered(link) if profile.one_value_per_request else list(_lines(image))
    lines += [f"    - {{fc: {fc}, address: {address}, {_words(image, fc, address, n)}}}" for fc, address, n in chunks]
    lines += _told(profile, survey.chain)
    lines += ["expect:", *(f"  {name}: {value:.10g}" for name, value in sorted(survey.values.items()))]
    return "\n".join(lines) + "\n"


def _answered(link: PoliteLink) -> list[tuple[int, int, int]]:
    return sorted((one.fc, one.address, one.end - one.address) for one, answered in link.requests.items() if answered)


def _lines(image: Mapping[tuple[int, int], int]) -> Iterator[tuple[int, int, int]]:
    for run in runs(image):
        fc, first = run[0]
        for start in range(0, len(run), _REGISTERS_A_LINE):
            yield fc, first + start, min(_REGISTERS_A_LINE, len(run) - start)


def _words(image: Mapping[tuple[int, int], int], fc: int, address: int, count: int) -> str:
    words = [image[fc, address + i] for i in range(count)]
    if fc == READ_COILS:
        return f"u16: {words}"
    return f'hex: "{" ".join(f"{word:04X}" for word in words)}"'


def _told(profile: Profile, chain: Chain | None) -> list[str]:
    """Return which registers take orders, as far as the profile knows."""
    places = sorted(_controlled(profile, chain))
    if not places:
        return []
    functions = {write.fc or profile.write_fc for write in _writes(profile)}
    spans = [f"  - {{fc: {fc}, address: {address}, count: {count}}}" for fc, address, count in places]
    return ["writable:", *spans, f"write_functions: {sorted(functions)}"]


def _writes(profile: Profile) -> Iterator[Write]:
    for control in profile.controls.values():
        yield from (*control.order, *control.refresh, *control.safe)
        for writes in control.cases.values():
            yield from writes


def _controlled(profile: Profile, chain: Chain | None) -> set[tuple[int, int, int]]:
    """Return function code, address and count of the registers that controls write."""
    places = (write_place(profile, write, chain) for write in _writes(profile))
    return {(one.fc, one.address, REGISTERS[one.type]) for one in places if one is not None}


def _whole_models(chain: Chain, longest: int) -> Iterator[Span]:
    for block in chain.blocks:
        end = block.address + 2 + block.length
        for address in range(block.address, end, longest):
            yield Span(3, address, min(address + longest, end))
    last = chain.blocks[-1]
    yield Span(3, last.address + 2 + last.length, last.address + 4 + last.length)  # the end marker with its length


def _serial_places(survey: Survey) -> list[SerialText]:
    places = []
    where = survey.profile.identity.serial
    if where is not None:
        places.append(SerialText(where.fc, where.address, where.count, where.low_byte_first))
    if survey.chain is not None:
        point = definition(_COMMON).fixed["SN"]
        commons = [block for block in survey.chain.blocks if block.model == _COMMON]
        places += [SerialText(3, block.address + point.offset, point.registers) for block in commons]
    return places


def serial_numbers(survey: Survey) -> set[str]:
    """Return the serial numbers a device told, as texts."""
    found = {survey.identity.get("serial", "")}
    for place in _serial_places(survey):
        words = [survey.image.get((place.fc, place.address + i), 0) for i in range(place.count)]
        found.add(text(words, low_byte_first=place.low_byte_first))
    return found - {""}
