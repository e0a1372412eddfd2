"""What the long-running processes of the hub load: a small machine pays for every library in each of them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ("sqlmodel", "sqlalchemy", "alembic", "sklearn", "scipy", "skl2onnx", "onnx", "onnxruntime", "pandas")
PARTS = {
    "hearth_hub.serve": (*HEAVY, "highspy", "websockets"),
    "hearth_hub.ingest.process": (*HEAVY, "highspy", "fastapi", "uvicorn"),
    "hearth_hub.worker.process": (*HEAVY, "fastapi", "uvicorn"),
    "hearth_hub.supervisor": (*HEAVY, "highspy", "fastapi", "uvicorn", "numpy"),
    "hearth_hub.cli": (*HEAVY, "highspy", "fastapi", "uvicorn", "numpy", "pydantic", "psycopg", "asyncio"),
}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_loads_only_what_it_works_with(part: str) -> None:
    code = f"import json, sys, {part}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=25, check=True)
    loaded = set(json.loads(done.stdout))
    assert part in loaded
    assert loaded.isdisjoint(PARTS[part]), sorted(loaded & set(PARTS[part]))
