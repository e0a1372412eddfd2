"""Finding a profile by name: those that ship with the agent, or a file of the installer's own."""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path

from hearth_agent.devices.profile import Profile
from hearth_agent.devices.validate import check_profile
from hearth_core.config import parse_yaml
from hearth_core.errors import ConfigError

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
