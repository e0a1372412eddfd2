"""`make mutants`: breaks the guards in every small way (mutmut) and counts what their tests notice.

mutmut wants one `src` folder, so agent and tests are copied into a folder of their own. Survivors are printed as
differences; docs/safety.md says of each kind that is left why it changes nothing.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
WORK = ROOT / ".data" / "mutants"
GUARDS = (
    "caps",
    "cars",
    "ev",
    "grid",
    "guards",
    "heat",
    "override",
    "phases",
    "seen",
    "sharing",
    "switching",
)
TESTS = ("guards", "phases", "cars", "heat")
BAR_PERCENT = 95.0


def main() -> int:
    """Run mutmut, print the figure and the survivors; 1 below the bar."""
    prepare()
    mutmut = str(Path(sys.executable).with_name("mutmut"))
    subprocess.run([mutmut, "run", "--max-children", "2", *sys.argv[1:]], cwd=WORK, check=True)
    subprocess.run([mutmut, "export-cicd-stats"], cwd=WORK, check=True, stdout=subprocess.DEVNULL)
    stats = json.loads((WORK / "mutants" / "mutmut-cicd-stats.json").read_text())
    killed = stats["killed"] + stats["timeout"] + stats["segfault"]
    percent = 100 * killed / stats["total"]
    results = subprocess.run([mutmut, "results"], cwd=WORK, check=True, capture_output=True, text=True).stdout
    for line in results.splitlines():
        name = line.strip().partition(":")[0]
        if name:
            print(line.strip())
            shown = subprocess.run([mutmut, "show", name], cwd=WORK, check=True, capture_output=True, text=True).stdout
            print("\n".join(one for one in shown.splitlines() if one[:1] in "+-" and one[:3] not in ("+++", "---")))
    print(f"{killed} of {stats['total']} mutants killed: {percent:.1f} % (bar {BAR_PERCENT:.0f} %)")
    return 0 if percent >= BAR_PERCENT else 1


def prepare() -> None:
    """Lay out what mutmut works on."""
    shutil.rmtree(WORK, ignore_errors=True)
    shutil.copytree(ROOT / "agent" / "src", WORK / "src", ignore=shutil.ignore_patterns("__pycache__"))
    (WORK / "tests").mkdir()
    for name in TESTS:
        file = f"test_agent_control_{name}.py"
        shutil.copy(ROOT / "tests" / "unit" / "agent" / file, WORK / "tests" / file)
    only = json.dumps([f"src/hearth_agent/control/{name}.py" for name in GUARDS])
    (WORK / "pyproject.toml").write_text(
        f'[tool.mutmut]\nsource_paths = ["src"]\nonly_mutate = {only}\n'
        'pytest_add_cli_args_test_selection = ["tests"]\n'
        'pytest_add_cli_args = ["-p", "no:cacheprovider", "--import-mode=importlib"]\n'
    )


if __name__ == "__main__":
    sys.exit(main())
