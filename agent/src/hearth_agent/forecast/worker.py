"""The forecasting child: runs ONNX where a crash, a leak or a hang cannot hurt the agent.

Started by `hearth_agent.forecast.child`; ends when its parent closes the pipe.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from typing import BinaryIO

import msgspec
import numpy as np

from hearth_agent.forecast.protocol import LENGTH, Answer, Ask, LoadModel, Request, frame
from hearth_core.messages import Target
from hearth_models.forecasting import ForecastError, History, OnnxForecaster, Place, Quantiles

MEMORY_BYTES = 3 * 1024**3
"""Address space, which ONNX maps far more of than it uses."""


class Forecasters:
    """The models that were loaded, by target."""

    def __init__(self) -> None:
        self._by_target: dict[Target, OnnxForecaster] = {}

    def handle(self, request: Request) -> Answer:
        """Do what is asked; what goes wrong is the answer."""
        try:
            if isinstance(request, LoadModel):
                place = Place(request.timezone, request.latitude, request.longitude)
                self._by_target[request.card.target] = OnnxForecaster(request.onnx, request.card, place)
                return Answer()
            return _answer(self._forecast(request))
        except (ForecastError, MemoryError) as error:
            return Answer(error=str(error) or type(error).__name__)

    def _forecast(self, ask: Ask) -> Quantiles:
        forecaster = self._by_target.get(ask.target)
        if forecaster is None:
            raise ForecastError(f"no model for {ask.target} was loaded")
        power_w = np.frombuffer(ask.power_w, dtype=np.float64)
        return forecaster.forecast(History(ask.start_s, ask.step_s, power_w), ask.issue_s)


def _answer(made: Quantiles) -> Answer:
    return Answer(
        start_s=made.start_s,
        step_s=made.step_s,
        p10_w=made.p10_w.tolist(),
        p50_w=made.p50_w.tolist(),
        p90_w=made.p90_w.tolist(),
    )


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until the pipe closes."""
    forecasters = Forecasters()
    decoder = msgspec.msgpack.Decoder(Request)
    while len(head := requests.read(LENGTH.size)) == LENGTH.size:
        body = requests.read(LENGTH.unpack(head)[0])
        answers.write(frame(forecasters.handle(decoder.decode(body))))
        answers.flush()


def main() -> None:
    """Bound the process, then serve on the standard pipes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    os.nice(5)
    # libraries print to standard output now and then: answers go through a copy they do not know
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
