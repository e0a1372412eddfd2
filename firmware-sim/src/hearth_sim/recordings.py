"""Recordings: what a device holds in its registers, as one YAML file that tests, simulator and agent share.

A recording knows no profile. It is laid down from the vendor's tables (``origin: facts``) or dumped from a device
(``origin: recorded``), and says in ``expect`` what a right reading of it gives. `hearth_sim.recorded_device` makes it a
device that answers, refuses, takes orders and forgets them again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, field

from hearth_core.config import parse_yaml
from hearth_core.errors import ConfigError
from hearth_sim.recording_values import Address, Data, FunctionCode, Values, encode

_FOLDER = resources.files("hearth_sim") / "recordings"
_EITHER = (3, 4)
UnitId = Annotated[int, Meta(ge=0, le=255)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]


class Span(Data, frozen=True, kw_only=True):
    """Registers that belong together."""

    address: Address
    count: Annotated[int, Meta(ge=1, le=65536)] = 1
    fc: FunctionCode = 3


class Writable(Span, frozen=True, kw_only=True):
    """Registers a device lets itself be told; those that no entry of ``units`` names can be written but not read."""

    low: float | None = None
    high: float | None = None
    """The device refuses a number outside low..high (exception 3)."""
    type: Literal["u16", "s16", "u32", "s32", "f32"] = "u16"
    word_order: Literal["big", "little"] = "big"


class Period(Data, frozen=True, kw_only=True):
    """A register that holds how long the device waits; 0 is for ever."""

    address: Address
    fc: FunctionCode = 3
    type: Literal["u16", "u32"] = "u16"
    word_order: Literal["big", "little"] = "big"
    scale: float = 1.0
    """Register value x scale = seconds."""


class Reversion(Data, frozen=True, kw_only=True):
    """Class T: what the device writes itself when nobody feeds it."""

    after_s: Seconds | None = None
    after: Period | None = None
    fed_by: Literal["any", "writes"] | list[Span]
    """Writes that start the time anew; ``writes`` = any write, ``any`` = any request."""
    then: Annotated[list[Values], Meta(min_length=1)]


class RecordingFile(Data, frozen=True, kw_only=True):
    """The file as it is written."""

    device: Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9-]{0,62}$")]
    source: str
    origin: Literal["facts", "recorded"]
    notes: str = ""
    units: Annotated[dict[UnitId, list[Values]], Meta(min_length=1)]
    one_map: bool = False
    """Functions 3 and 4 read the same registers."""
    writable: tuple[Writable, ...] = ()
    write_functions: tuple[Literal[5, 6, 16], ...] = (6, 16)
    gaps: Literal["refuse", "allow"] = "refuse"
    """What a read over registers that no entry names gives: exception 2, or zeros."""
    one_value_per_request: bool = False
    max_registers: Annotated[int, Meta(ge=1, le=125)] = 125
    min_gap_s: Annotated[float, Meta(ge=0, le=5)] = 0.0
    """A request that comes sooner after an answer is not answered [s]."""
    reverts: Reversion | list[Reversion] | None = None
    expect: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Recording:
    """A checked recording."""

    source: str
    """The file it came from."""
    file: RecordingFile
    entries: Mapping[tuple[int, int], Mapping[int, list[int]]]
    """By unit and function code: first register of each value -> its registers."""

    @property
    def device(self) -> str:
        """Its name."""
        return self.file.device

    @property
    def units(self) -> tuple[int, ...]:
        """Unit ids it answers on, as the file lists them."""
        return tuple(self.file.units)

    @property
    def unit(self) -> int:
        """The unit id that ``expect`` speaks of: the first of the file."""
        return self.units[0]

    @property
    def expect(self) -> Mapping[str, float]:
        """Canonical points and what a right reading of them gives."""
        return self.file.expect

    @property
    def reversions(self) -> list[Reversion]:
        """What the device takes back by itself."""
        reverts = self.file.reverts
        if reverts is None:
            return []
        return reverts if isinstance(reverts, list) else [reverts]

    def registers(self, unit: int, fc: int) -> dict[int, int]:
        """Return address -> register (or bit) as function ``fc`` reads them on a unit; empty where it has none."""
        values = self.entries.get((unit, fc), {})
        return {address + i: word for address, words in values.items() for i, word in enumerate(words)}


def names() -> tuple[str, ...]:
    """Return the names of the recordings that come with the simulator."""
    files = (entry.name for entry in _FOLDER.iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in files if name.endswith(".yaml")))


def load(name_or_path: str | Path) -> Recording:
    """Read a recording.

    Args:
        name_or_path: A name of `names`, any part of one that no other has (``sdm630``), or a .yaml file.

    Raises:
        ConfigError: There is none of this name, or the file is wrong: with file, field, value and remedy.
    """
    if isinstance(name_or_path, Path) or name_or_path.endswith((".yaml", ".yml")):
        path = Path(name_or_path)
        try:
            return parse(path.read_text(encoding="utf-8"), str(path))
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or error
            raise ConfigError(str(path), "the file", str(path), f"It cannot be read: {why}.") from error
    file = f"{_full_name(name_or_path)}.yaml"
    return parse((_FOLDER / file).read_text(encoding="utf-8"), file)


def _full_name(part: str) -> str:
    known = names()
    if part in known:
        return part
    # whole words first: "go-e" is no part of "goodwe-et", "p30" one of "keba-p30"
    fitting = [name for name in known if f"-{part}-" in f"-{name}-"] or [name for name in known if part in name]
    if len(fitting) == 1:
        return fitting[0]
    every = "`hearth-sim serve --list` prints all; or give a --file."
    remedy = f"It fits {', '.join(fitting)}; say which." if fitting else every
    raise ConfigError("recordings", "device", part, remedy)


def parse(text: str, source: str) -> Recording:
    """Check a recording's text.

    Raises:
        ConfigError: With file, field, value and remedy.
    """
    file = parse_yaml(text, source, RecordingFile)
    entries: dict[tuple[int, int], dict[int, list[int]]] = {}
    taken: set[tuple[int, int, int]] = set()
    for unit, listed in file.units.items():
        for index, values in enumerate(listed):
            where = f"units.{unit}[{index}]"
            codes = _EITHER if file.one_map and values.fc in _EITHER else (values.fc,)
            address = values.address
            for registers in encode(values, source, where):
                for fc in codes:
                    claimed = {(unit, fc, address + i) for i in range(len(registers))}
                    if claimed & taken:
                        remedy = f"Another entry holds registers from {address} already; name each register once."
                        raise ConfigError(source, f"{where}.address", values.address, remedy)
                    taken |= claimed
                    entries.setdefault((unit, fc), {})[address] = registers
                address += len(registers)
    recording = Recording(source, file, entries)
    for index, reversion in enumerate(recording.reversions):
        _check_reversion(reversion, source, f"reverts[{index}]")
    return recording


def _check_reversion(reversion: Reversion, source: str, where: str) -> None:
    if (reversion.after_s is None) == (reversion.after is None):
        remedy = "Give either after_s, or after with the register that holds the time."
        raise ConfigError(source, where, reversion.after_s, remedy)
    for index, values in enumerate(reversion.then):
        encode(values, source, f"{where}.then[{index}]")
