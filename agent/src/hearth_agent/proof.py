"""The proof that a device measures and obeys as its profile says, as it stands beside the device in ``agent.yaml``.

`hearth-agent commission` writes it. It speaks of one device at one address, read through one profile in one home: when
any of these changes, the proof is void and the device is watched only until it is proved again.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from hearth_agent.devices.profile import Profile

Phase = Annotated[int, Meta(ge=1, le=3)]
Instant = Annotated[datetime, Meta(tz=True)]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A misspelt key is refused."""


class ProofCheck(_Section, frozen=True, kw_only=True):
    """One thing that was looked at, and what was seen."""

    check: str
    result: Annotated[str, Meta(pattern="^(passed|inconclusive)$")]
    """A proof holds no failed one."""
    text: str
    figures: dict[str, float] = {}


class Answer(_Section, frozen=True, kw_only=True):
    """What a person was asked before the device was moved, and said."""

    question: str
    said_yes: bool
    by: str
    at: Instant


class Proof(_Section, frozen=True, kw_only=True):
    """What was proved, of what, when and by whom."""

    date: Instant
    by: str
    method: str
    """How: ``energy balance and ramp tests``, or what stands for them in a simulated house."""
    profile: str
    profile_sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    endpoint: str
    site_phases: Phase
    phases: list[Phase] = []
    """The home's phases on which its power was seen, in the order of its own; empty when that was not found."""
    checks: list[ProofCheck] = []
    answers: list[Answer] = []


def profile_sha256(profile: Profile) -> str:
    """Return a hash of what a profile means: neither comments, nor defaults that are spelt out, change it."""
    return hashlib.sha256(msgspec.json.encode(_meaning(profile), order="deterministic")).hexdigest()


def flaw(proof: Proof | None, profile: Profile, endpoint: str, site_phases: int) -> str:
    """Return why a proof does not hold for this device, or "" when it does.

    Args:
        proof: What the file says.
        profile: The device's profile as it is wired (see `hearth_agent.wiring`).
        endpoint: Where the device is reached now.
        site_phases: Phases of the home's connection.
    """
    if proof is None:
        return "its signs, units and phases were never proved"
    if proof.endpoint != endpoint:
        return f"its proof is of the device at {proof.endpoint}, not at {endpoint}"
    if proof.profile != profile.profile:
        return f"its proof is for the profile {proof.profile}, not {profile.profile}"
    if proof.profile_sha256 != profile_sha256(profile):
        return f"the profile {profile.profile}, or how it is wired, has changed since its proof"
    if proof.site_phases != site_phases:
        return f"its proof is for a home of {proof.site_phases} phases, not {site_phases}"
    return ""


def _meaning(value: object) -> Any:  # noqa: ANN401  the data of any field
    """Turn profile data into plain data without fields that hold their default.

    A field that a later release adds changes no hash as long as a profile does not use it.
    """
    if isinstance(value, msgspec.Struct):
        kept = {}
        for field in msgspec.structs.fields(value):
            held = getattr(value, field.name)
            default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
            if held != default:
                kept[field.encode_name] = _meaning(held)
        return kept
    if isinstance(value, dict):
        return {str(key): _meaning(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_meaning(one) for one in value]
    return value
