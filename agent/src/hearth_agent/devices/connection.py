"""One open wire: sends a question, waits for its answer, and knows nothing of devices."""

from __future__ import annotations

import asyncio
import errno
import socket
import termios
import time

from pymodbus.transport.serialtransport import create_serial_connection

from hearth_agent.devices.endpoint import Endpoint
from hearth_agent.devices.framing import Asked, BrokenStreamError, framing
from hearth_agent.devices.question import Question


class Connection(asyncio.Protocol):
    """A TCP connection or an open serial line, with one question at a time."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._framing = framing(endpoint.transport)
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._asked: Asked | None = None
        self._answer: asyncio.Future[bytes] | None = None
        self._silence: asyncio.TimerHandle | None = None
        self._number = 0
        self._asked_at_s = 0.0
        self._made = asyncio.Event()

    @property
    def connected(self) -> bool:
        """Whether the wire stands."""
        return self._transport is not None

    async def open(self, timeout_s: float) -> None:
        """Connect.

        Raises:
            OSError: It cannot be reached (`TimeoutError`: not in time), or the serial line cannot be opened.
        """
        loop, one = asyncio.get_running_loop(), self._endpoint
        async with asyncio.timeout(timeout_s):
            if one.path:
                line = one.line
                settings = (line.baudrate, line.bytesize, line.parity, line.stopbits, 0)
                try:
                    self._transport, _ = await create_serial_connection(loop, lambda: self, one.path, *settings)
                except termios.error as error:  # settings the line does not take
                    raise OSError(*error.args) from error
            else:
                self._transport, _ = await loop.create_connection(lambda: self, one.host, one.port)
            await self._made.wait()

    def close(self) -> None:
        """Drop the wire; a question that is under way fails."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
        self._fail(ConnectionResetError("the connection was closed"))

    async def exchange(self, unit: int, question: Question, timeout_s: float) -> bytes:
        """Ask, and return the answer without its frame.

        Raises:
            TimeoutError: No answer in time.
            ConnectionError: The connection was lost, or brings bytes that are no Modbus.
        """
        if self._transport is None:
            raise ConnectionAbortedError("the connection is closed")
        loop = asyncio.get_running_loop()
        self._number = self._number % 0xFFFF + 1
        self._asked = Asked(unit, self._number, question)
        self._answer = loop.create_future()
        if not self._endpoint.numbered:
            self._buffer.clear()  # what came before the question is no answer to it
        self._asked_at_s = time.monotonic()
        self._silence = loop.call_later(timeout_s, self._fail, TimeoutError())
        self._transport.write(self._framing.encode(self._asked))
        try:
            return await self._answer
        except TimeoutError:
            if self._endpoint.numbered and self._buffer:
                # half a frame: what follows could not be told from its rest
                self.close()
            raise
        finally:
            self._silence.cancel()
            self._asked = self._answer = None

    def cut_short(self, patience_s: float) -> None:
        """Wait for the present answer no longer than so long from its question on."""
        if self._silence is not None and self._answer is not None:
            self._silence.cancel()
            left_s = self._asked_at_s + patience_s - time.monotonic()
            self._silence = asyncio.get_running_loop().call_later(max(0.0, left_s), self._fail, TimeoutError())

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    # --- what the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._made.set()

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._buffer += data
        waiting = self._answer is not None and not self._answer.done()
        try:
            pdu = self._framing.take(self._buffer, self._asked if waiting else None)
        except BrokenStreamError:
            self.close()
            return
        if pdu is not None and self._answer is not None:
            self._answer.set_result(pdu)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._transport = None
        self._fail(ConnectionResetError("the connection was lost"))


def why_closed(error: OSError) -> str:
    """Say why a wire could not be opened, and what to look at."""
    if isinstance(error, TimeoutError):
        return "no answer; is it switched on, and is its address right?"
    if isinstance(error, socket.gaierror):
        return "this name is not known here; give its address"
    if error.errno == errno.ECONNREFUSED:
        return "nothing listens there; is Modbus switched on in its menu, and is the port right?"
    if error.errno == errno.ENOENT:
        return "there is no such serial device; is it plugged in?"
    if error.errno == errno.EACCES:
        return "this user may not open it; add the user to the group of serial devices (dialout on Debian)"
    if error.errno == errno.EINVAL:
        return "this line takes no such speed, data bits or parity; give others under `line`"
    return (error.strerror or str(error)).lower()
