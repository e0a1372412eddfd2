"""One Modbus request, and how its answer is told from any other.

An answer counts only when its function and its length (reads), or its address (writes), are the question's.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

READ_COILS, READ_HOLDING, READ_INPUT = 1, 3, 4
WRITE_COIL, WRITE_REGISTER, WRITE_REGISTERS = 5, 6, 16
ECHO = 8
_COIL_ON = 0xFF00
REFUSED = 0x80
"""This bit of the function code says that the device refused."""


class Question(NamedTuple):
    """A request without the frame around it."""

    fc: int
    address: int
    quantity: int
    pdu: bytes
    shape: bytes
    """How the right answer begins; answers to questions of one shape cannot be told apart without numbers."""
    answer_size: int
    """Length of the right answer, without frame [bytes]."""

    def is_answer(self, pdu: bytes) -> bool:
        """Tell whether the device answered just this."""
        return len(pdu) == self.answer_size and pdu.startswith(self.shape)

    def refusal(self, pdu: bytes) -> int | None:
        """Return the exception code when the device refused just this."""
        return pdu[1] if len(pdu) == 2 and pdu[0] == self.fc | REFUSED else None

    def values(self, pdu: bytes) -> list[int]:
        """Return the registers, or the coils as 0 and 1, of a right answer to a read."""
        if self.fc == READ_COILS:
            return [pdu[2 + i // 8] >> i % 8 & 1 for i in range(self.quantity)]
        return list(struct.unpack(f">{self.quantity}H", pdu[2:]))


def read(fc: int, address: int, count: int) -> Question:
    """Ask for registers (function code 3 or 4) or coils (1)."""
    size = (count + 7) // 8 if fc == READ_COILS else 2 * count
    return Question(fc, address, count, struct.pack(">BHH", fc, address, count), bytes([fc, size]), 2 + size)


def echo(word: int) -> Question:
    """Ask a serial device to send a word back (diagnostics); one that cannot refuses, and is known by that as well."""
    pdu = struct.pack(">BHH", ECHO, 0, word)
    return Question(ECHO, 0, 1, pdu, pdu, len(pdu))


def write(fc: int, address: int, values: Sequence[int]) -> Question:
    """Order one coil (5: 0 is off, all else on), one register (6), or neighbouring registers (16).

    Raises:
        ValueError: Another function code, or not one value for 5 and 6.
    """
    count = len(values)
    if fc == WRITE_REGISTERS and 1 <= count <= 123:
        pdu = struct.pack(f">BHHB{count}H", fc, address, count, 2 * count, *values)
        return Question(fc, address, count, pdu, pdu[:5], 5)
    if fc in (WRITE_COIL, WRITE_REGISTER) and count == 1:
        value = values[0] if fc == WRITE_REGISTER else _COIL_ON if values[0] else 0
        pdu = struct.pack(">BHH", fc, address, value)
        # some devices answer with the value they took: reading it back tells more
        return Question(fc, address, count, pdu, pdu[:3], 5)
    msg = f"function code {fc} cannot write {count} values"
    raise ValueError(msg)
