"""What answers behind one unit id: profiles are held against it, the cheapest questions first.

A profile's identity checks must all hold; then its points are read once and looked at. Every register is asked once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from hearth_agent.commands.polite_link import PoliteLink
from hearth_agent.commands.survey import Survey, read_points
from hearth_agent.devices.bus import Bus, Manners
from hearth_agent.devices.discovery import read_common, walk_chain
from hearth_agent.devices.errors import DeviceError, DeviceLayoutError
from hearth_agent.devices.identity import holds, span, sunspec_holds
from hearth_agent.devices.layout import Chain
from hearth_agent.devices.packing import Span
from hearth_agent.devices.profile import Profile, Protocol
from hearth_agent.devices.registers import RegisterType
from hearth_core.points import EXTRA_PREFIX, POINTS, DeviceKind, PointClass

_MARKER = Span(3, 40000, 40002)
GAP_S = 0.05
# a unit that was heard may leave so many questions in a row unanswered
_MOST_SILENCES = 3
_LOWEST_MAINS_V = 50.0
_ENOUGH = 0.8
# a profile that knows much less of what the device tells is no rival
_RIVAL_SHARE = 0.6
_HYBRID_HOLDS = (DeviceKind.PV, DeviceKind.BATTERY)


class Confidence(IntEnum):
    """How much speaks for a profile."""

    POSSIBLE = 1  # its values make sense, and it knows no better test
    LIKELY = 2  # its checks hold, and they are ranges of numbers
    SURE = 3  # a name, a code or a SunSpec model that only this kind has


@dataclass(frozen=True)
class Candidate:
    """A profile that fits what answers."""

    profile: Profile
    unit: int
    confidence: Confidence
    survey: Survey
    plausible: int
    """How many of its points have values that make sense."""

    @property
    def share(self) -> float:
        """Share of the profile's points that make sense, 0..1."""
        return self.plausible / len(self.profile.points)

    @property
    def rank(self) -> tuple[int, float, int, int, int]:
        """Order of candidates; the highest fits best: more of the vocabulary, fewer extras, more registers behind."""
        extras = sum(name.startswith(EXTRA_PREFIX) for name in self.profile.points)
        sources = sum(len(point.places) for point in self.survey.points)
        return self.confidence, round(self.share, 1), self.plausible - extras, -extras, sources

    def is_same_device(self, other: Candidate) -> bool:
        """Tell whether a device answers on two unit ids: one serial number, or the same counters."""
        if self.profile is not other.profile:
            return False
        serial = self.survey.identity.get("serial")
        if serial:
            return serial == other.survey.identity.get("serial")
        counters = [name for name in self.survey.values if _is_counter(name) and self.survey.values[name] > 0]
        theirs = other.survey.values
        return bool(counters) and all(
            name in theirs and abs(self.survey.values[name] - theirs[name]) <= 1e-3 * theirs[name] for name in counters
        )


@dataclass(frozen=True)
class Found:
    """What one unit id gave; no candidates: something answers that no profile fits."""

    unit: int
    candidates: list[Candidate]

    def chosen(self) -> list[Candidate]:
        """Return the best candidate of each kind of device; a hybrid inverter speaks for its PV and battery."""
        best: dict[DeviceKind, Candidate] = {}
        for one in sorted(self.candidates, key=lambda one: one.rank, reverse=True):
            best.setdefault(one.profile.kind, one)
        if DeviceKind.HYBRID_INVERTER in best:
            for kind in _HYBRID_HOLDS:
                best.pop(kind, None)
        top = max((one.confidence for one in best.values()), default=0)
        return [one for one in best.values() if one.confidence > Confidence.POSSIBLE or top == one.confidence]

    def also(self, one: Candidate) -> list[str]:
        """Return the names of profiles that fit as well as a chosen one: only a person can tell them apart."""
        rivals = (other for other in self.candidates if other.profile.kind is one.profile.kind and other is not one)
        enough = _RIVAL_SHARE * one.rank[2]
        return [other.profile.profile for other in rivals if other.rank[:2] == one.rank[:2] and other.rank[2] >= enough]


async def identify(
    bus: Bus, unit: int, profiles: Sequence[Profile], timeout_s: float, gap_s: float = GAP_S
) -> Found | None:
    """Find out what a unit id is; None when nothing answers.

    Args:
        bus: The wire, not open yet; nobody else uses it meanwhile.
        unit: The unit id.
        profiles: What it may be.
        timeout_s: How long an answer may take [s].
        gap_s: Least pause between two requests; devices known by this unit id may want more [s].

    Raises:
        DeviceError: The connection cannot be made.
    """
    ordered = sorted(profiles, key=lambda one: one.unit != unit)
    gap_s = max([gap_s, *(one.min_gap_s for one in ordered if one.unit == unit)])
    link = PoliteLink(f"unit {unit}", bus, unit, Manners(timeout_s, gap_s))
    await link.open()
    try:
        if not await _answers(link, ordered):
            return None
        return Found(unit, await _Examination(link, unit, ordered).candidates())
    finally:
        link.close()


async def _answers(link: PoliteLink, profiles: Iterable[Profile]) -> bool:
    """Ask at most two questions: what fits the unit id best, and for the SunSpec marker."""
    first = next((span(one.identity.checks[0]) for one in profiles if one.identity.checks), _MARKER)
    for question in dict.fromkeys((first, _MARKER)):
        try:
            await link.ask(question)
        except DeviceError:
            continue
        return True
    return False


class _Examination:
    """Holds profiles against one unit that answers."""

    def __init__(self, link: PoliteLink, unit: int, profiles: Sequence[Profile]) -> None:
        self._link, self._unit, self._profiles = link, unit, profiles
        self._silences = 0

    async def candidates(self) -> list[Candidate]:
        chain, common = await self._sunspec()
        maker = common.get("manufacturer", "").lower()
        found: list[Candidate] = []
        for profile in self._profiles:
            if self._silences >= _MOST_SILENCES:
                break
            if (profile.protocol is Protocol.SUNSPEC) != (chain is not None) and not _is_by(profile, maker):
                continue
            if any(one.share >= _ENOUGH and not _is_by(profile, one.profile.manufacturer) for one in found):
                continue
            try:
                candidate = await self._try(profile, chain, common)
            except DeviceError:
                self._silences += 1
                continue
            if candidate is not None:
                found.append(candidate)
        return found

    async def _sunspec(self) -> tuple[Chain | None, Mapping[str, str]]:
        try:
            chain = await walk_chain(self._link)
            return chain, await read_common(self._link, chain)
        except (DeviceError, DeviceLayoutError):
            return None, {}

    async def _try(self, profile: Profile, chain: Chain | None, common: Mapping[str, str]) -> Candidate | None:
        sunspec = profile.protocol is Protocol.SUNSPEC
        if sunspec and (chain is None or not sunspec_holds(profile.identity, chain, common)):
            return None
        for check in profile.identity.checks:
            if not holds(check, await self._link.ask(span(check))):
                return None
        self._silences = 0
        try:
            told = await read_points(self._link, profile, self._unit, *((chain, common) if sunspec else (None, {})))
        except DeviceLayoutError:
            return None
        plausible = sum(_makes_sense(name, value) for name, value in told.values.items())
        confidence = _confidence(profile)
        if confidence is Confidence.POSSIBLE and plausible < _ENOUGH * len(profile.points):
            return None
        return Candidate(profile, self._unit, confidence, told, plausible) if plausible else None


def _confidence(profile: Profile) -> Confidence:
    identity = profile.identity
    if identity.manufacturers or identity.sunspec_models:
        return Confidence.SURE
    if any(check.equals or check.type is RegisterType.STR for check in identity.checks):
        return Confidence.SURE
    return Confidence.LIKELY if identity.checks else Confidence.POSSIBLE


def _makes_sense(name: str, value: float) -> bool:
    """A voltage of nothing is a phase the device does not have; ranges were looked at when the value was decoded."""
    return not name.startswith("voltage_") or value >= _LOWEST_MAINS_V


def _is_by(profile: Profile, maker: str) -> bool:
    return bool(maker) and maker.lower().startswith(profile.manufacturer.lower().split()[0])


def _is_counter(name: str) -> bool:
    return name in POINTS and POINTS[name].point_class is PointClass.COUNTER
