"""``hearth-agent diagnose``: everything a bug report needs in one file, and nothing that is nobody's business.

Every part is gathered on its own: a broken spool, a wrong file or a dead device leaves its reason in the bundle, not a
hole. All texts pass `hearth_agent.commands.redact` before they are packed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer
import yaml

from hearth_agent import __version__
from hearth_agent.commands.dump import read_all, recording, serial_numbers
from hearth_agent.commands.masking import mask_text
from hearth_agent.commands.probe import describe
from hearth_agent.commands.redact import blot_out, redact_file, secrets_in
from hearth_agent.commands.spool_report import spool_report
from hearth_agent.commands.survey import survey
from hearth_agent.commands.targets import Target, targets_of
from hearth_agent.devices.errors import DeviceError
from hearth_agent.events import TAIL_NAME
from hearth_agent.settings import PASSWORD_VARIABLE, Home, load_home
from hearth_core.errors import ConfigError

_ONE_DEVICE_S = 60.0
_SMALL_BYTES = 256 * 1024
_PACKAGES = ("hearth-core", "hearth-models", "aiomqtt", "msgspec", "numpy", "onnxruntime", "pymodbus", "pyserial")


def diagnose(
    config: Annotated[Path, typer.Option("--config", "-c", help="The home's agent.yaml.", show_default=False)],
    out: Annotated[Path, typer.Option(help="The bundle to write.")] = Path("hearth-diagnose.zip"),
) -> None:
    """Gather a bundle for a bug report: versions, settings, devices with raw registers, events, spool.

    Passwords, keys, coordinates and serial numbers are left out. The devices are read once, and never written.

    Example: hearth-agent diagnose --config agent.yaml --out report.zip
    """
    logging.basicConfig(level=logging.CRITICAL)
    parts = asyncio.run(gather(config))
    try:
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as bundle:
            for name, text in parts.items():
                bundle.writestr(name, text)
    except OSError as error:
        raise ConfigError("command line", "--out", str(out), f"It cannot be written: {error.strerror}.") from error
    for name, text in parts.items():
        typer.echo(f"  {name:<34} {len(text.encode()):>8} bytes")
    typer.echo(f"{out}: written. Look through it before you send it to anybody.")


async def gather(config: Path) -> dict[str, str]:
    """Return the bundle's files with their texts, redacted."""
    text = _text_of(config)
    secrets = secrets_in(text)
    if password := os.environ.get(PASSWORD_VARIABLE):
        secrets.add(password)
    parts = {"versions.txt": _versions(), "agent.yaml": _settings(text)}
    try:
        home = load_home(config)
    except ConfigError as error:
        parts["check.txt"] = f"{error}\n"
        if (data_dir := _data_dir(config, text)) is not None:
            parts |= _of_data_dir(data_dir)
    else:
        parts["check.txt"] = "The file is good.\n"
        parts |= _own_profiles(home, config.parent) | _of_data_dir(home.data_dir)
        parts |= await _of_devices(home, config.parent)
    return {name: blot_out(part, secrets) for name, part in parts.items()}


def _text_of(config: Path) -> str:
    try:
        return config.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _versions() -> str:
    lines = [
        f"hearth-agent {__version__}",
        f"Python {platform.python_version()} on {platform.platform()} {platform.machine()}",
        f"written {datetime.now(tz=UTC):%Y-%m-%d %H:%M:%S} UTC",
    ]
    for package in _PACKAGES:
        try:
            lines.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            lines.append(f"{package} is not installed")
    return "\n".join(lines) + "\n"


def _settings(text: str) -> str:
    try:
        return redact_file(text) if text else "# The file cannot be read.\n"
    except yaml.YAMLError:
        return "# The file is no YAML and so is left out: what is secret in it cannot be told.\n"


def _data_dir(config: Path, text: str) -> Path | None:
    """Return the data folder of a file that is wrong elsewhere; None when it names none: other folders are private."""
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError:
        raw = None
    named = raw.get("data_dir") if isinstance(raw, dict) else None
    return config.parent / named if isinstance(named, str) else None


def _of_data_dir(folder: Path) -> dict[str, str]:
    parts = {"spool.txt": spool_report(folder), "files.txt": _guarded(_listing, folder)}
    # small files that tell what the agent has been doing: events, orders, budgets, overrides
    told = [path for path in (folder / TAIL_NAME, *sorted(folder.glob("*.json"))) if path.is_file()]
    return parts | {path.name: _guarded(_end_of, path) for path in told}


def _own_profiles(home: Home, folder: Path) -> dict[str, str]:
    """Return the profiles that did not come with the agent."""
    own = {one.profile for one in home.settings.devices if one.profile.endswith((".yaml", ".yml"))}
    return {f"profiles/{Path(name).name}": _guarded(_end_of, folder / name) for name in sorted(own)}


def _listing(folder: Path) -> str:
    lines = []
    for path in sorted(folder.rglob("*")):
        facts = path.stat()
        changed = datetime.fromtimestamp(facts.st_mtime, tz=UTC)
        lines.append(f"{facts.st_size:>12} {changed:%Y-%m-%d %H:%M:%S} {path.relative_to(folder)}")
    return "\n".join(lines) + "\n"


def _end_of(path: Path) -> str:
    return path.read_bytes()[-_SMALL_BYTES:].decode("utf-8", errors="replace")


def _guarded(work: Callable[[Path], str], path: Path) -> str:
    try:
        return work(path)
    except OSError as error:
        return f"This cannot be read: {error}\n"


async def _of_devices(home: Home, folder: Path) -> dict[str, str]:
    """Return what each device tells, with its registers; those behind one wire are read one after the other."""
    wires: dict[str, list[Target]] = {}
    for target in targets_of(home, folder):
        wires.setdefault(target.bus.endpoint.place, []).append(target)
    groups = await asyncio.gather(*(_of_wire(targets) for targets in wires.values()))
    return {name: text for group in groups for name, text in group.items()}


async def _of_wire(targets: list[Target]) -> dict[str, str]:
    parts: dict[str, str] = {}
    for target in targets:
        name = f"devices/{target.id}"
        try:
            async with asyncio.timeout(_ONE_DEVICE_S):
                parts |= await _of_device(target, name)
        except DeviceError as error:
            parts[f"{name}.txt"] = f"{target.id} ({target.profile.profile}) at {target.place}: {error}\n"
        except TimeoutError:
            parts[f"{name}.txt"] = f"{target.id} at {target.place}: not read within {_ONE_DEVICE_S:g} s\n"
    return parts


async def _of_device(target: Target, name: str) -> dict[str, str]:
    async with target.opened() as link:
        found = await survey(link, target.documented, target.unit)
        await read_all(link, found)
        registers = recording(link, found)
    make = mask_text(found.make, serial_numbers(found))
    lines = [f"{target.id} ({make}) at {target.place}", *describe(target, found)[1:]]
    return {f"{name}.txt": "\n".join(lines) + "\n", f"{name}.yaml": registers}
