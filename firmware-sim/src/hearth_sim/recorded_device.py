"""A recording that answers: it reads as its file says, takes orders, and forgets them as the device does.

A register that was written keeps its value (class S and F) unless a reversion of the file takes it back (class T).
Nothing else moves: a recording has no physics.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hearth_core.clock import Clock, RealClock
from hearth_sim.recording_values import REGISTERS, decode, encode
from hearth_sim.recordings import Recording, Reversion, Writable
from hearth_sim.registers import ExceptionCode, Function, ModbusRefusalError, ModbusSilenceError

_READS = (1, 2, 3, 4)
_WRITES_TO = {Function.WRITE_COIL: 1, Function.WRITE_ONE: 3, Function.WRITE_MANY: 3}


class Written(NamedTuple):
    """One write the device carried out, an order or what it took back by itself."""

    at_s: float
    """Seconds since 1970 UTC."""
    unit: int
    function: int
    """Modbus function code; 0 when the device wrote it itself."""
    address: int
    values: tuple[int, ...]


@dataclass
class _Pending:
    """A reversion and when it was last fed; None while there is nothing to take back."""

    reversion: Reversion
    fed_s: float | None = None


class RecordedDevice:
    """One unit of a recording; see `modbus_server.Device`."""

    not_available = b"\xff\xff"

    def __init__(
        self,
        recording: Recording,
        of_unit: int | None = None,
        *,
        unit: int | None = None,
        clock: Clock | None = None,
        told: Callable[[Written], None] | None = None,
    ) -> None:
        """Bring one unit to life.

        Args:
            recording: What it holds.
            of_unit: Which of the recording's units; its first when left out.
            unit: The unit id it answers on, when that is another one.
            clock: Its time; the machine's when left out.
            told: Called with every write.
        """
        source = recording.unit if of_unit is None else of_unit
        self.unit = source if unit is None else unit
        self.recording, self._file = recording, recording.file
        self.written: list[Written] = []
        self.reversions = 0
        """How often it went back to its own mode."""
        self._clock, self._told = clock or RealClock(), told
        self._values = {fc: recording.entries.get((source, fc), {}) for fc in _READS}
        self._registers = {fc: recording.registers(source, fc) for fc in _READS}
        if self._file.one_map:
            self._registers[4] = self._registers[3]
        self._write_only: dict[tuple[int, int], int] = {}
        self._pending = [_Pending(one) for one in recording.reversions]
        self._answered_s = -math.inf

    def holds(self, address: int, fc: int = 3) -> int | None:
        """Return what a register holds now, also one that can only be written; None when it was never set."""
        self._take_back()
        return self._word(address, fc)

    def _word(self, address: int, fc: int) -> int | None:
        return self._registers[fc].get(address, self._write_only.get((fc, address)))

    def read(self, function: int, address: int, count: int) -> bytes:
        """See `modbus_server.Device.read`."""
        self._begin()
        if not self._registers[function]:
            raise ModbusRefusalError(ExceptionCode.ILLEGAL_FUNCTION)
        if count > self._file.max_registers and function in (3, 4):
            raise ModbusRefusalError(ExceptionCode.ILLEGAL_VALUE)
        if self._file.one_value_per_request and len(self._values[function].get(address, ())) != count:
            raise ModbusRefusalError(ExceptionCode.ILLEGAL_ADDRESS)
        found = [self._at(function, address + i) for i in range(count)]
        return struct.pack(f">{count}H", *found)

    def _at(self, function: int, address: int) -> int:
        registers = self._registers[function]
        if address in registers:
            return registers[address]
        if self._file.gaps == "allow" and min(registers) < address < max(registers):
            return 0
        raise ModbusRefusalError(ExceptionCode.ILLEGAL_ADDRESS)

    def write(self, function: int, address: int, values: Sequence[int]) -> bool:
        """See `modbus_server.Device.write`."""
        self._begin()
        if function not in self._file.write_functions:
            raise ModbusRefusalError(ExceptionCode.ILLEGAL_FUNCTION)
        fc = _WRITES_TO[Function(function)]
        new = {address + i: value for i, value in enumerate(values)}
        spans = [span for span in self._file.writable if span.fc == fc]
        if not all(any(one.address <= at < one.address + _length(one) for one in spans) for at in new):
            raise ModbusRefusalError(ExceptionCode.ILLEGAL_ADDRESS)
        for span in spans:
            self._check_range(span, new)
        unchanged = all(self.holds(at, fc) == value for at, value in new.items())
        for at, value in new.items():
            self._set(fc, at, value)
        self._feed(fc, new)
        self._note(function, address, tuple(values))
        return unchanged

    def _check_range(self, span: Writable, new: dict[int, int]) -> None:
        low = -math.inf if span.low is None else span.low
        high = math.inf if span.high is None else span.high
        size = REGISTERS[span.type]
        for first in range(span.address, span.address + _length(span), size):
            if not any(at in new for at in range(first, first + size)):
                continue
            words = [new.get(at, self.holds(at, span.fc) or 0) for at in range(first, first + size)]
            if not low <= decode(words, span.type, span.word_order) <= high:
                raise ModbusRefusalError(ExceptionCode.ILLEGAL_VALUE)

    def _set(self, fc: int, address: int, value: int) -> None:
        if address in self._registers[fc]:
            self._registers[fc][address] = value
        else:
            self._write_only[fc, address] = value

    def _begin(self) -> None:
        """Begin a request: what is due is taken back, and a request that comes too soon is not answered."""
        now_s = self._clock.monotonic()
        self._take_back()
        if now_s - self._answered_s < self._file.min_gap_s:
            raise ModbusSilenceError
        self._answered_s = now_s
        for pending in self._pending:
            if pending.reversion.fed_by == "any":
                pending.fed_s = now_s

    def _feed(self, fc: int, new: dict[int, int]) -> None:
        for pending in self._pending:
            fed_by = pending.reversion.fed_by
            if isinstance(fed_by, str) or any(
                one.fc == fc and not new.keys().isdisjoint(range(one.address, one.address + one.count))
                for one in fed_by
            ):
                pending.fed_s = self._clock.monotonic()

    def _take_back(self) -> None:
        for pending in self._pending:
            if pending.fed_s is None:
                continue
            period_s = self._period_s(pending.reversion)
            late_s = self._clock.monotonic() - pending.fed_s - period_s
            if period_s <= 0 or late_s < 0:
                continue
            pending.fed_s = None
            self.reversions += 1
            for values in pending.reversion.then:
                words = [word for one in encode(values, self.recording.source, "reverts") for word in one]
                for i, word in enumerate(words):
                    self._set(values.fc, values.address + i, word)
                # nobody looked in between; it happened when the time was over
                self._note(0, values.address, tuple(words), late_s)

    def _period_s(self, reversion: Reversion) -> float:
        where = reversion.after
        if where is None:
            return reversion.after_s or 0.0
        addresses = range(where.address, where.address + REGISTERS[where.type])
        words = [self._word(at, where.fc) or 0 for at in addresses]
        return decode(words, where.type, where.word_order) * where.scale

    def _note(self, function: int, address: int, values: tuple[int, ...], late_s: float = 0.0) -> None:
        written = Written(self._clock.time() - late_s, self.unit, function, address, values)
        self.written.append(written)
        if self._told is not None:
            self._told(written)


def _length(span: Writable) -> int:
    return max(span.count, REGISTERS[span.type])
