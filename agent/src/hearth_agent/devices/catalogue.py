"""Finding a profile by name: those that ship with the agent, or a file of the installer's own."""

from __future__ import annotations

import difflib
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
    except OSError as error:
        remedy = f"It cannot be read: {error.strerror}. Correct its path or its rights."
        raise ConfigError(str(path), "the file", str(path), remedy) from error
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), "the file", str(path), "It cannot be read: save it as UTF-8 text.") from error


@cache
def shipped_profile(name: str) -> Profile:
    """Return a shipped profile; ``name`` is one of `shipped_names`."""
    file = f"{name}.yaml"
    return parse_profile((_FOLDER / file).read_text(encoding="utf-8"), file)


def find_profile(name: str, folder: Path, source: str, field: str) -> Profile:
    """Return a shipped profile by its name, or read one from a .yaml file.

    Args:
        name: A name of `shipped_names`, or a path.
        folder: What a relative path starts from.
        source: Who asks, for the error.
        field: Where the name was written, for the error.

    Raises:
        ConfigError: There is none, or the file is wrong.
    """
    if name.endswith((".yaml", ".yml")):
        return read_profile(folder / name)
    if name in shipped_names():
        return shipped_profile(name)
    close = difflib.get_close_matches(name, shipped_names(), n=1)
    meant = f"Did you mean {close[0]!r}? " if close else ""
    remedy = f"{meant}`hearth-agent profiles` lists all; or give the path of a .yaml file."
    raise ConfigError(source, field, name, remedy)
