"""F-17: a device that confirms every order and follows none."""

from __future__ import annotations

import time

from tests.faults.processes import FaultsError, wait_until
from tests.faults.scenario import Outcome, Size, scenario
from tests.faults.steered import SPEED, steered_home
from tests.faults.world import World

_CYCLE_S = 5.0
_MOST_TRIES = 6
_ALARM = "control_unknown"


@scenario(
    "F-17",
    "an inverter confirms its orders and ignores them",
    "found by reading back <= 2 control periods after the first ignored write, told once; tried again ever more rarely,"
    " each time only after it is known to be in its own mode; followed again once it obeys",
)
def ignored_writes(world: World, size: Size) -> Outcome:
    outcome = Outcome()
    with steered_home(world.folder / "f17-steered", world.background) as steered:
        try:
            wait_until(steered.forced, 60.0, "the inverter follows its agent")
            steered.deafen()
            wait_until(lambda: steered.alarms(_ALARM), 60.0, "the alarm")
            found_s = SPEED * (time.monotonic() - steered.ignored[0].at_s)
            deaf_writes = len(steered.ignored)
            time.sleep(120.0 / SPEED)  # two minutes of the home's clock
            outcome.figures["alarms"] = steered.alarms(_ALARM)
            outcome.demand(steered.alarms(_ALARM) == 1, f"told {steered.alarms(_ALARM)} times")
            tries = sum(one.forces for one in steered.ignored[deaf_writes:])
            outcome.figures["tries_in_two_minutes"] = tries
            outcome.demand(tries <= _MOST_TRIES, f"tried {tries} times in two minutes")
            steered.hear()
            back_s = wait_until(steered.forced, 120.0 / SPEED + 10.0, "the inverter follows its agent again")
        except FaultsError as error:
            outcome.demand(holds=False, text=str(error))
            return outcome
    outcome.figures["found_after_s"] = round(found_s, 1)
    outcome.figures["followed_again_after_s"] = round(SPEED * back_s, 1)
    outcome.demand(found_s <= 2 * _CYCLE_S, f"found after {found_s:.1f} s")
    return outcome
