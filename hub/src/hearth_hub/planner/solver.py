"""The planning child: reads problems and plans them where a long solve or a lack of memory cannot hurt the API.

Started by `hearth_hub.planner.child`; ends when its parent closes the pipe, even in the middle of a plan.
"""

from __future__ import annotations

import os
import queue
import resource
import signal
import threading
from typing import BinaryIO

import msgspec

from hearth_hub.planner.protocol import LENGTH, Answer, Ask, Question, frame
from hearth_models.planning.evcc import EvccRequest, answer, read_request
from hearth_models.planning.inputs import PlanError
from hearth_models.planning.joint_answer import plan_home
from hearth_models.planning.problem import read_problem

MEMORY_BYTES = 2 * 1024**3
"""Address space; a home of ordinary size needs a tenth."""
EVCC_TIME_LIMIT_S = 10.0
"""evcc waits 90 s and follows only what is proved to be the best, so proof is worth more than haste."""
_NICENESS = 5  # whoever asks for a plan waits; readings and pages do not


def handle(ask: Ask) -> Answer:
    """Plan what is asked; what goes wrong is the answer."""
    try:
        problem = read_request(ask.body) if ask.question is Question.EVCC else read_problem(ask.body)
    except PlanError as error:
        return Answer(refusal=str(error))
    try:
        found = answer(problem, EVCC_TIME_LIMIT_S) if isinstance(problem, EvccRequest) else plan_home(problem)
        return Answer(msgspec.json.encode(found))
    except PlanError as error:
        return Answer(failure=str(error))
    except MemoryError:
        return Answer(failure="a plan needs more memory than it may take")


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer until the pipe closes; then end the process at once."""
    asked: queue.SimpleQueue[Ask] = queue.SimpleQueue()

    def listen() -> None:
        while len(head := requests.read(LENGTH.size)) == LENGTH.size:
            asked.put(msgspec.msgpack.decode(requests.read(LENGTH.unpack(head)[0]), type=Ask))
        os._exit(0)  # nobody is left who would read the plan

    threading.Thread(target=listen, name="listen", daemon=True).start()
    while True:
        answers.write(frame(handle(asked.get())))
        answers.flush()


def main() -> None:
    """Bound the process, then serve on the standard pipes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    os.nice(_NICENESS)
    # libraries print to standard output now and then: answers go through a copy they do not know
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(os.fdopen(os.dup(0), "rb"), answers)


if __name__ == "__main__":
    main()
