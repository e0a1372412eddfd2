"""One unit on a bus: registers read and written, answers checked, no hidden retries.

On a serial line answers carry no number. A device answers in the order it is asked, so after a time-out the next
question is one whose answer looks different; when that has come, nothing old can come any more.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence

from hearth_agent.devices import question as questions
from hearth_agent.devices.bus import LATER_S, ORDER_S, Bus, Manners, Station
from hearth_agent.devices.connection import why_closed
from hearth_agent.devices.errors import DeviceError, DeviceRefusedError, DeviceTimeoutError, DeviceUnsentError
from hearth_agent.devices.question import Question

# after so long an old answer is no longer expected
_LATEST_ANSWER_S = 5.0
# ABL: a device that has not been asked for so long misses the next question, which is repeated after a short wait
_PAUSE_S = 0.5
_MISSED_S = 0.3
# a gateway says that the device behind it does not answer
_GATEWAY_FAILED = (10, 11)


class ModbusLink:
    """Talks to one unit."""

    def __init__(self, device: str, bus: Bus, unit: int, manners: Manners) -> None:
        self.bus, self.unit = bus, unit
        self._device, self._manners = device, manners
        self._station = Station(unit, manners)
        self._generation: int | None = None
        self._unanswered: dict[bytes, float] = {}
        self._answered_at_s = 0.0
        self._echoes = 0

    @property
    def connected(self) -> bool:
        """Whether the connection stands that this link was opened on."""
        return self.bus.connected and self._generation == self.bus.generation

    @property
    def resting(self) -> bool:
        """Whether the unit, or its bus, is left alone for a while."""
        return not (self._station.back_off.over and (self.bus.connected or self.bus.back_off.over))

    def expect(self, due_s: float) -> None:
        """Say when the unit will be asked next (`time.monotonic`), so that nothing long is begun just before."""
        self._station.due_s = due_s

    def rest(self) -> None:
        """Leave the unit alone for a while, longer each time, until `trust`."""
        self._station.back_off.fail()

    def trust(self) -> None:
        """Say that the unit does all it should."""
        self._station.back_off.reset()

    def is_worth_another_try(self, error: DeviceError, *, well: bool) -> bool:
        """Tell whether a device may be well although asking it failed.

        Args:
            error: How it failed.
            well: Whether the device has answered all it was asked before.

        Returns:
            True when somebody else lost the shared connection, or a serial line may have lost a frame.
        """
        lost_frame = isinstance(error, DeviceTimeoutError) and not self.bus.endpoint.numbered
        return isinstance(error, DeviceUnsentError) or (lost_frame and well)

    async def open(self) -> None:
        """Connect, or use the connection others behind the same endpoint have.

        Raises:
            DeviceError: Nobody listens there, within the time-out.
        """
        try:
            await self.bus.join(self._station)
        except OSError as error:
            self.close()
            text = f"does not accept a connection at {self.bus.endpoint.place}: {why_closed(error)}"
            raise DeviceError(self._device, text) from error
        self._generation = self.bus.generation

    def close(self) -> None:
        """Use the connection no longer."""
        self._generation = None
        self.bus.leave(self._station)

    async def read(self, fc: int, address: int, count: int, deadline_s: float = LATER_S) -> list[int]:
        """Read registers (function code 3 or 4), or coils (1) as 0 and 1.

        Args:
            fc: The function code.
            address: The first register or coil.
            count: How many.
            deadline_s: When they are needed (`time.monotonic`); `ORDER_S` goes before everything else.

        Raises:
            DeviceTimeoutError: No answer in time.
            DeviceRefusedError: The device answered with an exception.
            DeviceError: Not connected, or the answer is not one to this question.
        """
        question = questions.read(fc, address, count)
        return question.values(await self._ask(question, deadline_s))

    async def write(self, fc: int, address: int, values: Sequence[int]) -> None:
        """Write registers (16 together, 6 one by one) or coils (5, one by one); they never wait behind polls.

        Raises:
            DeviceTimeoutError: No answer in time; the registers may have been written or not.
            DeviceRefusedError: The device answered with an exception.
            DeviceError: Not connected, or the answer is not one to this order.
        """
        if fc == questions.WRITE_REGISTERS:
            await self._ask(questions.write(fc, address, values), ORDER_S)
            return
        for offset, value in enumerate(values):
            await self._ask(questions.write(fc, address + offset, [value]), ORDER_S)

    async def _ask(self, question: Question, deadline_s: float) -> bytes:
        if not self.connected:
            raise DeviceUnsentError(self._device, "is not connected")
        if not self.bus.endpoint.numbered:
            await self._shake_off_late_answers(question, deadline_s)
        pdu = await self._exchange(question, deadline_s)
        code = question.refusal(pdu)
        if code in _GATEWAY_FAILED:
            text = f"does not answer its gateway (exception {code}); is its unit id right?"
            raise self._failed(DeviceTimeoutError(self._device, text))
        if code is None and not question.is_answer(pdu):
            raise self._failed(DeviceError(self._device, "answered something else than was asked"))
        self._station.answering, self._answered_at_s = True, time.monotonic()
        if code is None and question.shape not in self._unanswered:
            self._unanswered.clear()
        if code is not None:
            text = f"refuses registers from {question.address} (Modbus exception {code})"
            raise DeviceRefusedError(self._device, text)
        return pdu

    async def _exchange(self, question: Question, deadline_s: float) -> bytes:
        timeout_s = self._manners.timeout_s
        try:
            if self._manners.forgets_first_request and time.monotonic() - self._answered_at_s > _PAUSE_S:
                with contextlib.suppress(TimeoutError):
                    return await self._noting_silence(question, deadline_s, min(_MISSED_S, timeout_s))
            return await self._noting_silence(question, deadline_s, timeout_s)
        except TimeoutError as error:
            silent = DeviceTimeoutError(self._device, f"did not answer within {timeout_s:g} s")
            raise self._failed(silent) from error
        except ConnectionAbortedError as error:
            raise DeviceUnsentError(self._device, f"was not asked: {error}") from error
        except ConnectionError as error:
            raise self._failed(DeviceError(self._device, f"cannot be asked: {error}")) from error

    async def _noting_silence(self, question: Question, deadline_s: float, timeout_s: float) -> bytes:
        answered = False
        try:
            pdu = await self.bus.ask(self._station, question, deadline_s, timeout_s)
            # a refusal does not tell which question is meant
            answered = question.is_answer(pdu) or not self._unanswered
            return pdu
        finally:
            if not answered and not self.bus.endpoint.numbered:  # also when the asker was cancelled
                self._unanswered[question.shape] = time.monotonic()

    def _failed(self, error: DeviceError) -> DeviceError:
        self._station.answering = False
        self.rest()
        return error

    async def _shake_off_late_answers(self, question: Question, deadline_s: float) -> None:
        """Make sure that the next answer of this shape is the one to this question."""
        now_s = time.monotonic()
        self._unanswered = {s: at_s for s, at_s in self._unanswered.items() if now_s - at_s < _LATEST_ANSWER_S}
        if question.shape not in self._unanswered:
            return
        telltale = self._telltale(question)
        # a device without echo refuses it; that tells as much, unless it may be an earlier echo that was refused
        first = all(shape[0] != questions.ECHO for shape in self._unanswered)
        if telltale.shape not in self._unanswered:
            pdu = await self._exchange(telltale, deadline_s)
            if telltale.is_answer(pdu) or (telltale.fc == questions.ECHO and first):
                self._station.answering = True
                self._unanswered.clear()
                return
        raise self._failed(DeviceTimeoutError(self._device, "may still answer an old question"))

    def _telltale(self, question: Question) -> Question:
        """Return a question whose answer cannot be taken for one of the other's shape."""
        read = question.fc in (questions.READ_HOLDING, questions.READ_INPUT)
        if read and question.quantity > 1 and not self._manners.one_value_per_request:
            return questions.read(question.fc, question.address, 1)
        self._echoes = (self._echoes + 1) & 0xFFFF
        return questions.echo(self._echoes)
