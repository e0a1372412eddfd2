"""The child that trains one model: a task on stdin, a model on stdout."""

from __future__ import annotations

import os
import sys

import msgspec
import numpy as np

from hearth_core.errors import HearthError
from hearth_hub.worker.training import Result, Task
from hearth_models.forecasting import History, Place
from hearth_models.training import train

_NICENESS = 10  # a plan that is late costs more than a model that is


def main() -> None:
    """Train; on failure the last line of stderr says why."""
    os.nice(_NICENESS)
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    power_w = np.array([np.nan if value is None else value for value in task.power_w], dtype=np.float64)
    place = Place(task.timezone, task.latitude, task.longitude)
    try:
        model = train(task.target, History(task.start_s, task.step_s, power_w), place, task.now_ms)
    except HearthError as error:
        sys.exit(str(error))
    sys.stdout.buffer.write(msgspec.json.encode(Result(model.card, model.onnx)))


if __name__ == "__main__":
    main()
