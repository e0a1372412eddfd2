"""Finding a profile by name: those that ship with the agent, or a file of the installer's own."""

from __future__ import annotations

from functools import cache
from importlib import resources
from itertools import groupby
from pathlib import Path

from hearth_agent.devices.controls import ControlKind, ControlSpec, cases_of
from hearth_agent.devices.profile import Profile
from hearth_agent.devices.validate import check_profile
from hearth_core.config import parse_yaml
from hearth_core.errors import ConfigError
from hearth_core.points import DeviceKind

_FOLDER = resources.files("hearth_agent.devices") / "profiles"


@cache
def shipped_names() -> tuple[str, ...]:
    """Return the names of the profiles that come with the agent."""
    files = (entry.name for entry in _FOLDER.iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in files if name.endswith(".yaml")))


def parse_profile(text: str, source: str) -> Profile:
    """Read a profile and check its meaning.

    Raises:
        ConfigError: With file, field, value and remedy.
    """
    profile = parse_yaml(text, source, Profile)
    check_profile(profile, source)
    return profile


def read_profile(path: Path) -> Profile:
    """Read and check a profile file.

    Raises:
        ConfigError: The file cannot be read, or is wrong.
    """
    return parse_profile(read_text(path), str(path))


def read_text(path: Path) -> str:
    """Read a file.

    Raises:
        ConfigError: It cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), "the file", str(path), f"It cannot be read: {error}.") from error


@cache
def shipped_profile(name: str) -> Profile:
    """Return a shipped profile; ``name`` is one of `shipped_names`."""
    file = f"{name}.yaml"
    return parse_profile((_FOLDER / file).read_text(encoding="utf-8"), file)


def profile_page() -> str:
    """Return the shipped profiles as a page of Markdown, by kind of device and name (docs/device-profiles.md)."""
    rows = [
        "# Device profiles that come with the agent",
        "",
        f"{len(shipped_names())} profiles; `make schemas` writes this page from them. What a profile is, what the",
        "classes of its controls mean and how to add a device: [devices.md](devices.md).",
        "",
    ]
    rows += ["| profile | device | speaks | what can be ordered, with its class | source |", "|---|---|---|---|---|"]
    kinds = list(DeviceKind)
    by_kind = sorted((shipped_profile(name) for name in shipped_names()), key=lambda one: kinds.index(one.kind))
    for kind, profiles in groupby(by_kind, key=lambda one: one.kind):
        rows.append(f"| **{kind.replace('_', ' ')}** | | | | |")
        for one in profiles:
            speaks = ", ".join(transport.replace("_", " ") for transport in one.transports)
            orders = ", ".join(_order(kind, control) for kind, control in one.controls.items()) or "only read"
            rows.append(f"| {one.profile} | {one.manufacturer} {one.model} | {speaks} | {orders} | {one.source} |")
    return "\n".join(rows)


def _order(kind: ControlKind, control: ControlSpec) -> str:
    cases = f" ({', '.join(sorted(cases_of(kind, control)))})" if control.cases and not control.order else ""
    return f"{kind.replace('_', ' ')}{cases} {control.safety_class}"
