"""Three days of a home whose hub is gone, beside the same days with it: real processes, the same seed, both bills.

    make hub-away ARGS="--days 3 --json out.json"

Each home lives ``--before`` days with its hub first. Then one hub is stopped, database and all; broker, house and agent
live on. When the days are over it is started again and takes in what the agent kept; half a day later, when both
batteries hold about the same again, it reckons the bill of all the days. One JSON line; exit code 1 when the loss is
above ``--most`` percent.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from hearth_sim.demo.conductor import Home, iso, open_home
from hearth_sim.demo.run import drain
from hearth_sim.demo.settings import AGENT, DemoSettings
from hearth_sim.demo.summary import since
from hearth_sim.recorded import parse_instant

_LOOK_S = 1.0
# longer than in the demo: what is asked here is what plans earn, and three days are long
_CONTROL_S, _POLL_S = 10.0, 20.0
_PATIENCE_S = 300.0
_UNDER_WAY = 50


def live(home: Home, end_s: float) -> None:
    """Let time run up to an instant, then hold it."""
    home.pace.go()
    while (left_s := end_s - home.clock.time()) > 0:
        time.sleep(min(_LOOK_S, left_s / max(home.clock.speed, 1.0)))
        home.look()
    home.conductor.hold_at(end_s)
    time.sleep(_LOOK_S)


def lived(folder: Path, arguments: argparse.Namespace, *, is_away: bool) -> dict[str, Any]:
    """Live the days and return the hub's report of them, with what the house says of itself."""
    settings = DemoSettings(
        state=folder, start_s=parse_instant(arguments.start), speed=arguments.speed, days=arguments.days, headless=True,
        json_path=None, fresh=True, http_port=18_200, seed=arguments.seed, control_s=_CONTROL_S, poll_s=_POLL_S,
        flush_s=_POLL_S,
    )  # fmt: skip
    console = Console(stderr=True)
    with open_home(settings) as home:
        home.start(console)
        start_s = settings.start_s + arguments.before * 86_400
        live(home, start_s)
        before = home.truth()
        if is_away:
            home.conductor.set_speed(1.0)
            home.stop_hub()
        silent_end_s = start_s + arguments.days * 86_400
        began_s = time.monotonic()
        live(home, silent_end_s)
        real_s = time.monotonic() - began_s
        if is_away:
            home.conductor.set_speed(1.0)
            home.start_hub()
        end_s = silent_end_s + arguments.after * 86_400
        live(home, end_s)
        truth = since(before, home.truth())
        home.conductor.set_speed(1.0)
        deadline_s = time.monotonic() + _PATIENCE_S
        # the agent goes on measuring meanwhile, so a few readings are always under way
        while (books := drain(home))["totals"]["spooled"] > _UNDER_WAY and time.monotonic() < deadline_s:
            home.children.check()
        whole, silent = (_report(home, start_s, until_s) for until_s in (end_s, silent_end_s))
        home.stop_agent()
        home.stop_house()
        log = (folder / "logs" / "agent.log").read_text(errors="replace")
    return {
        "money_eur": whole["money_eur"],
        "money_of_the_silent_days_eur": silent["money_eur"],
        "plans_of_the_hub": silent["plans"]["made"],
        "planned_at_home": [line for line in log.splitlines() if "planned_at_home" in line][-1:],
        "reconciled": books["reconciled"],
        "import_kwh": round(truth["grid_import_wh"] / 1000, 2),
        "export_kwh": round(truth["grid_export_wh"] / 1000, 2),
        "soc_end_percent": truth["soc_percent"],
        "limits_broken": len(truth["limits_broken"]),
        "speed_x": round(arguments.days * 86_400 / real_s),
    }


def _report(home: Home, start_s: float, end_s: float) -> dict[str, Any]:
    arguments = ["report", "--home", AGENT, "--json", "--from", iso(start_s), "--to", iso(end_s)]
    found: dict[str, Any] = json.loads(home.hub_command(*arguments))
    return found


def main() -> int:
    """Live both homes, print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=float, default=3.0)
    parser.add_argument("--before", type=float, default=0.1, help="days with the hub first")
    parser.add_argument("--after", type=float, default=0.5, help="days with the hub again, so that stores are alike")
    parser.add_argument("--start", default="2016-04-10T22:00:00Z")
    parser.add_argument("--speed", type=float, default=720.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--most", type=float, default=3.0, help="percent that may be lost")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hearth-away-") as folder:
        homes = {name: lived(Path(folder) / name, arguments, is_away=name == "away") for name in ("connected", "away")}
    with_hub, without = (homes[name]["money_eur"]["realised"] for name in ("connected", "away"))
    lost_percent = round((without - with_hub) / abs(with_hub) * 100, 2)
    answer = {"days": arguments.days, "seed": arguments.seed, "lost_percent": lost_percent, **homes}
    text = json.dumps(answer, sort_keys=True)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")
    return 0 if lost_percent < arguments.most else 1


if __name__ == "__main__":
    raise SystemExit(main())
