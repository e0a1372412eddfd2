"""The homes of a directory: every CSV with ``load_w``, or ``load_w_NAME`` columns, and their PV beside them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import TZPATH, ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from hearth_core.errors import ConfigError
from hearth_models.features import Place
from hearth_models.series import Recorded, read_columns, read_header

_ANYWHERE = Place("Europe/Berlin", 50.1, 8.7)
_ZONE = re.compile(r"\b(?:Africa|America|Asia|Atlantic|Australia|Europe|Indian|Pacific)/[A-Za-z_/]+[a-z]\b")
_ISO6709 = re.compile(r"([+-])(\d{2})(\d{2})(?:\d{2})?([+-])(\d{3})(\d{2})(?:\d{2})?")
_DAY_S = 86_400
# A PV column that belongs to a load column: the load's own suffix behind one of these.
_PV_NAMES = ("pv_w", "pv_model_w")


@dataclass(frozen=True)
class RecordedHome:
    """A recorded home and where it stands."""

    name: str
    load: Recorded
    pv: Recorded | None
    place: Place
    place_from: str
    """How the place was found: told, the zone named in the README beside the file, the sun on the roof, or a guess."""


def find_homes(folder: Path, wanted: str | None = None, place: Place | None = None) -> Iterator[RecordedHome]:
    """Find homes in a directory and below it; a file that holds no load is passed over.

    A file's home is named after its folder when it is the only one there, else after the file's columns:
    ``fontana_home1``. ``wanted`` may be such a name, its end (``home1``), or a folder's name (all homes in it).

    Args:
        folder: Where to look.
        wanted: Which homes; all when None.
        place: Where they stand; found out when None.

    Raises:
        ConfigError: Nothing is found, or a file that is wanted cannot be read.
    """
    if not folder.is_dir():
        raise ConfigError(
            str(folder), "--homes", "no directory", "Give a directory with recorded homes (.csv, .csv.gz)."
        )
    seen: list[str] = []
    any_found = False
    for path in sorted([*folder.rglob("*.csv"), *folder.rglob("*.csv.gz")]):
        # a file that is no table of a home must not keep the others from being lived
        columns = read_header(path)
        for load in [name for name in columns if name == "load_w" or name.startswith("load_w_")]:
            suffix = load.removeprefix("load_w")
            group = path.parent.name if path.parent != folder else path.name.split(".")[0]
            name = group + suffix
            seen.append(name)
            if wanted is not None and wanted not in (name, group, suffix.removeprefix("_"), path.name.split(".")[0]):
                continue
            any_found = True
            yield _read(path, name, load, next((p + suffix for p in _PV_NAMES if p + suffix in columns), None), place)
    if not any_found:
        there = ", ".join(seen) or "no file with a column load_w or load_w_NAME"
        raise ConfigError(str(folder), "--home", wanted or "", f"There is: {there}.")


def _read(path: Path, name: str, load: str, pv: str | None, place: Place | None) -> RecordedHome:
    recorded = read_columns(path, [load, *([pv] if pv else [])])
    roof = recorded[1] if pv else None
    if place is not None:
        return RecordedHome(name, recorded[0], roof, place, "told")
    found = _from_readme(path.parent / "README.md")
    if found is not None:
        return RecordedHome(name, recorded[0], roof, found, "README")
    if roof is not None and (seen := _from_sun(roof)) is not None:
        return RecordedHome(name, recorded[0], roof, seen, "sun")
    return RecordedHome(name, recorded[0], roof, _ANYWHERE, "guess")


def _from_readme(path: Path) -> Place | None:
    """Take the first time zone that the text beside the file names, and the coordinates of its city."""
    if not path.is_file():
        return None
    for zone in _ZONE.findall(path.read_text(encoding="utf-8", errors="replace")):
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError):
            continue
        return _city(zone) or Place(zone, _ANYWHERE.latitude, _ANYWHERE.longitude)
    return None


def _city(zone: str) -> Place | None:
    for folder in TZPATH:
        table = Path(folder) / "zone.tab"
        if not table.is_file():
            continue
        for line in table.read_text(encoding="utf-8").splitlines():
            parts = line.split("\t")
            if len(parts) > 2 and parts[2] == zone and (match := _ISO6709.fullmatch(parts[1])):
                south, lat_d, lat_m, west, lon_d, lon_m = match.groups()
                latitude = (int(lat_d) + int(lat_m) / 60) * (-1 if south == "-" else 1)
                return Place(zone, latitude, (int(lon_d) + int(lon_m) / 60) * (-1 if west == "-" else 1))
    return None


def _from_sun(pv: Recorded) -> Place | None:
    """Take the longitude from when the roof yields most, the clock from the longitude, and a middle latitude."""
    hour = (pv.start_s + pv.step_s * (np.arange(len(pv.values)) + 0.5)) % _DAY_S / 3600
    power = np.nan_to_num(pv.values)
    if power.sum() <= 0:
        return None
    turn = np.angle(np.sum(power * np.exp(2j * np.pi * hour / 24))) / (2 * np.pi) * 24 % 24
    longitude = (12 - turn + 12) % 24 * 15 - 180
    offset = round(longitude / 15)
    return Place("Etc/GMT" + (f"{-offset:+d}" if offset else ""), _ANYWHERE.latitude, float(longitude))
