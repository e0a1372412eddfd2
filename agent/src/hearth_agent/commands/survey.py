"""One device read once and completely: its identity, its points, and the registers each of them came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hearth_agent.commands.polite_link import PoliteLink
from hearth_agent.commands.targets import Target
from hearth_agent.devices.codec import text
from hearth_agent.devices.discovery import read_common, walk_chain
from hearth_agent.devices.errors import DeviceLayoutError
from hearth_agent.devices.identity import check_identity, span
from hearth_agent.devices.layout import Chain, LaidOutPoint, lay_out
from hearth_agent.devices.packing import Span
from hearth_agent.devices.profile import IdentityText, Profile, Protocol
from hearth_agent.devices.readplan import ReadPlan
from hearth_agent.devices.registers import REGISTERS


@dataclass(frozen=True)
class Survey:
    """What a device told."""

    profile: Profile
    unit: int
    identity: Mapping[str, str]
    """``manufacturer``, ``model``, ``firmware``, ``serial``, as far as it tells them."""
    chain: Chain | None
    points: list[LaidOutPoint]
    values: Mapping[str, float]
    """Points that are present, in canonical units and signs."""
    image: Mapping[tuple[int, int], int]
    """(function code, address) -> register."""

    @property
    def make(self) -> str:
        """Maker and model."""
        maker = self.identity.get("manufacturer") or self.profile.manufacturer
        return f"{maker} {self.identity.get('model') or self.profile.model}"

    @property
    def name(self) -> str:
        """Maker, model and serial number, for people."""
        return f"{self.make} {self.identity.get('serial', '')}".rstrip()

    def sources(self, point: LaidOutPoint) -> list[tuple[Span, list[int | None]]]:
        """Return the registers a point comes from, scale factors after their values; None where nothing was told."""
        found = []
        for one in point.places:
            spans = [Span(one.fc, one.address, one.address + REGISTERS[one.type])]
            if one.scale_factor_address is not None:
                spans.append(Span(one.fc, one.scale_factor_address, one.scale_factor_address + 1))
            found += [(span, [self.image.get((span.fc, at)) for at in range(span.address, span.end)]) for span in spans]
        return found


async def survey_target(target: Target) -> Survey:
    """Connect, read everything once, and hang up.

    Raises:
        DeviceError: The device cannot be reached, or is not what its profile says.
    """
    async with target.opened() as link:
        return await survey(link, target.profile, target.unit)


async def survey(link: PoliteLink, profile: Profile, unit: int) -> Survey:
    """Read everything a profile knows over an open link.

    Raises:
        DeviceError: The device does not answer.
        DeviceLayoutError: It is something else than the profile says.
    """
    chain = await walk_chain(link) if profile.protocol is Protocol.SUNSPEC else None
    common = await read_common(link, chain) if chain else {}
    await check_identity(profile, link, chain, common)
    return await read_points(link, profile, unit, chain, common)


async def read_points(
    link: PoliteLink, profile: Profile, unit: int, chain: Chain | None, common: Mapping[str, str]
) -> Survey:
    """Read the identity and the points of a device whose SunSpec chain is known, if it is one.

    Raises:
        DeviceError: The device does not answer.
        DeviceLayoutError: It has none of the profile's points.
    """
    points = lay_out(profile, chain)
    if not points:
        raise DeviceLayoutError("it has none of the profile's points")
    identity = common or await _read_identity(link, profile)
    plan = ReadPlan(points, profile.max_registers, profile.max_gap, alone=profile.one_value_per_request)
    values = plan.decode([await link.ask(request) for request in plan.requests])
    return Survey(profile, unit, identity, chain, points, values, link.image)


async def _read_identity(link: PoliteLink, profile: Profile) -> dict[str, str]:
    texts = {name: getattr(profile.identity, name) for name in ("model", "firmware", "serial")}
    found = {}
    for name, where in texts.items():
        if isinstance(where, IdentityText):
            registers = await link.ask(span(where))
            if registers is not None:
                found[name] = text(registers, low_byte_first=where.low_byte_first)
    return found
