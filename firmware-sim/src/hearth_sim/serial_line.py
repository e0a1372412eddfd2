"""A serial line with simulated devices on it: a port of this machine, or a pseudo terminal.

A pseudo terminal needs no hardware: the client opens its other end as if it were a cable.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import termios
import tty
from pathlib import Path

from hearth_core.errors import ConfigError
from hearth_sim.modbus_server import ModbusServer

USUAL_LINE = "9600-8N1"
_LINE = re.compile(r"(\d+)-([78])([NEO])([12])")
_CFLAG, _ISPEED, _OSPEED = 2, 4, 5
_PARITY = {"N": 0, "E": termios.PARENB, "O": termios.PARENB | termios.PARODD}
_ALL_OF_THEM = termios.CSIZE | termios.PARENB | termios.PARODD | termios.CSTOPB
_MOST_BYTES = 4096


class SerialLine:
    """Lets a server answer on a serial line."""

    def __init__(self, server: ModbusServer) -> None:
        self._server = server
        self._framer = server.framing.framer()
        self._open: list[int] = []
        self._link: Path | None = None

    def start(self, path: Path | None = None, line: str = USUAL_LINE) -> str:
        """Listen, and return the path that a client opens.

        Args:
            path: A serial port of this machine; a path that does not exist becomes a link to a new pseudo terminal;
                None makes a pseudo terminal without a link.
            line: Speed, data bits, parity, stop bits, such as 19200-8E1; a pseudo terminal takes any.

        Raises:
            ConfigError: The port cannot be opened, or the line is none.
        """
        try:
            if path is not None and path.exists():
                descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY)
                self._open = [descriptor]
                _set_line(descriptor, line)
                name = str(path)
            else:
                descriptor, name = self._make_terminal(path)
        except (OSError, termios.error) as error:
            self._close()
            remedy = f"{error}. Name a serial port, or a path that does not exist yet for a pseudo terminal."
            raise ConfigError("command line", "serial", str(path), remedy) from error
        os.set_blocking(descriptor, False)
        asyncio.get_running_loop().add_reader(descriptor, self._heard, descriptor)
        return name

    def stop(self) -> None:
        """Leave the line."""
        if self._open:
            asyncio.get_running_loop().remove_reader(self._open[0])
        self._close()

    def _make_terminal(self, link: Path | None) -> tuple[int, str]:
        # the client's end stays open here as well, or its closing would end the line
        ours, clients = os.openpty()
        self._open = [ours, clients]
        tty.setraw(clients)
        name = os.ttyname(clients)
        if link is not None:
            link.symlink_to(name)
            self._link, name = link, str(link)
        return ours, name

    def _close(self) -> None:
        for descriptor in self._open:
            os.close(descriptor)
        self._open = []
        if self._link is not None:
            self._link.unlink(missing_ok=True)
            self._link = None

    def _heard(self, descriptor: int) -> None:
        try:
            data = os.read(descriptor, _MOST_BYTES)
        except BlockingIOError:
            return
        for request in self._framer.feed(data):
            response = self._server.answer(request.unit, request.pdu)
            if response is not None:
                self._server.send(self._framer.pack(request, response), self._say)

    def _say(self, frame: bytes) -> None:
        # as on a wire, what nobody reads is lost
        with contextlib.suppress(BlockingIOError):
            if self._open:
                os.write(self._open[0], frame)


def _set_line(descriptor: int, line: str) -> None:
    found = _LINE.fullmatch(line)
    speed = getattr(termios, f"B{found[1]}", None) if found else None
    if found is None or speed is None:
        raise ConfigError("command line", "line", line, "Write speed, data bits, parity, stop bits, such as 9600-8N1.")
    tty.setraw(descriptor)
    attributes = termios.tcgetattr(descriptor)
    bits = termios.CS8 if found[2] == "8" else termios.CS7
    stop = termios.CSTOPB if found[4] == "2" else 0
    attributes[_CFLAG] = attributes[_CFLAG] & ~_ALL_OF_THEM | bits | stop | _PARITY[found[3]]
    attributes[_ISPEED] = attributes[_OSPEED] = speed
    termios.tcsetattr(descriptor, termios.TCSANOW, attributes)
