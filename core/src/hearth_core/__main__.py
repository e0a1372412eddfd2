"""Write the JSON Schema of every message on the wire: ``python -m hearth_core FOLDER``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from hearth_core.messages import schemas


def main() -> None:
    """Write one file a message into the folder named on the command line."""
    folder = Path(sys.argv[1])
    for name, schema in schemas().items():
        (folder / f"{name}.json").write_text(json.dumps(schema, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
