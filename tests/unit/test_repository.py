"""Promises the repository makes about itself."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# spelt in parts, or this file would find itself
REGISTRIES = re.compile(
    "|".join(["py" + r"pi\.org", "python" + r"hosted\.org", "npm" + r"js\.(org|com)", r"deb\.deb" + r"ian\.org"])
)


def tracked() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: there is no list of tracked files")
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for name in names.splitlines() if (path := ROOT / name).is_file()]


def test_no_lock_or_source_names_a_registry() -> None:
    """A lock with addresses breaks every machine that installs from a mirror."""
    named = [
        str(path.relative_to(ROOT))
        for path in tracked()
        if path.suffix not in {".gz", ".png"} and REGISTRIES.search(path.read_text(errors="replace"))
    ]
    assert named == []


def test_the_airflow_folder_never_hides_the_installed_airflow() -> None:
    assert not (ROOT / "airflow" / "__init__.py").exists()


def test_the_readme_names_only_files_that_exist() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text())
    assert links
    assert [link for link in links if not link.startswith("http") and not (ROOT / link).exists()] == []
