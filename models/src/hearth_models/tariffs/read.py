"""Reading a tariff from a file."""

from __future__ import annotations

from pathlib import Path

from hearth_core.config import parse_yaml
from hearth_core.errors import ConfigError
from hearth_core.tariff import Tariff


def read_tariff(path: Path) -> Tariff:
    """Read a tariff from a YAML or JSON file (JSON is YAML); its schema is docs/tariff.schema.json.

    Raises:
        ConfigError: The file cannot be read, or is no tariff; names the file, the field, the value and the remedy.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), "the file", str(error), "Give a readable .yaml or .json file.") from error
    return parse_yaml(text, str(path), Tariff)
