"""NIBE S-series heat pump: measurements in input registers (function 4), settings in holding registers (3, 6, 16).

32-bit values have the low word first. Smart Grid orders through 6008 (0 block, 1 normal, 2 cheap, 3 free) are obeyed
once the API is activated (3032 = 1); the house's pump knows block and normal, the other two run as normal. 1911 reads
the order back as 10, 20, 30, 40. The record holds no temperatures: outdoor and hot water are plausible curves of date
and time, no measurement. Register facts: NIBE's S1156/S1256 register export and evcc's description of the S-series.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from hearth_sim.house import House
from hearth_sim.registers import Block, ExceptionCode, Function, ModbusRefusalError, RegisterImage, clip_s16, words

_OUTDOOR, _WATER_TOP, _WATER_CHARGE, _PRIORITY, _SMART_GRID, _POWER = 1, 8, 9, 1028, 1911, 2166
_API, _AUX, _POWER_LIMIT, _ORDER = 3032, 2741, 6007, 6008
_BLOCK, _NORMAL = 0, 1
_RANGES = {_API: (0, 1), _AUX: (0, 0xFFFF), _POWER_LIMIT: (0, 0xFFFF), _ORDER: (0, 3)}
_RUNNING_ABOVE_W = 60.0
PRIORITY_OFF, PRIORITY_HEAT = 10, 30
_DAY_S, _YEAR_S = 86_400.0, 365.25 * 86_400.0
_COLDEST_S = 1_452_902_400.0  # 2016-01-16


def outdoor_temperature_c(at_s: float) -> float:
    """Return a plausible outdoor temperature for Konstanz: yearly and daily sine, coldest in mid January at 5 h UTC."""
    year = -9.5 * math.cos(2 * math.pi * (at_s - _COLDEST_S) / _YEAR_S)
    day = -4.0 * math.cos(2 * math.pi * (at_s % _DAY_S - 5 * 3600) / _DAY_S)
    return 10.0 + year + day


def water_temperature_c(at_s: float) -> float:
    """Return a plausible hot water temperature: lowest in the morning and in the evening."""
    return 49.0 + 3.0 * math.cos(4 * math.pi * (at_s % _DAY_S - 2 * 3600) / _DAY_S)


class NibeHeatPump:
    """The heat pump's Modbus side."""

    unit = 1
    not_available = b"\x80\x00"

    def __init__(self, house: House) -> None:
        self._house = house
        self._raw = {_API: 0, _AUX: 0, _POWER_LIMIT: 0, _ORDER: _NORMAL}
        self._input = RegisterImage(
            [
                Block(_OUTDOOR, 1, lambda: _tenths(outdoor_temperature_c(house.at_s))),
                Block(_WATER_TOP, 1, lambda: _tenths(water_temperature_c(house.at_s))),
                Block(_WATER_CHARGE, 1, lambda: _tenths(water_temperature_c(house.at_s) - 2.5)),
                Block(_PRIORITY, 1, lambda: words("H", PRIORITY_HEAT if self._running() else PRIORITY_OFF)),
                Block(_SMART_GRID, 1, lambda: words("H", 10 * (self._order() + 1))),
                Block(_POWER, 2, self._power),
            ]
        )

    def read(self, function: int, address: int, count: int) -> bytes:
        """See `modbus_server.Device.read`."""
        self._house.advance()
        if function == Function.READ_INPUT:
            return self._input.read(address, count)
        if function != Function.READ_HOLDING:
            raise ModbusRefusalError(ExceptionCode.ILLEGAL_FUNCTION)
        found = [self._raw.get(number) for number in range(address, address + count)]
        if any(value is None for value in found):
            raise ModbusRefusalError(ExceptionCode.ILLEGAL_ADDRESS)
        return words(f"{count}H", *(value for value in found if value is not None))

    def write(self, function: int, address: int, values: Sequence[int]) -> bool:
        """See `modbus_server.Device.write`."""
        if function == Function.WRITE_COIL:
            raise ModbusRefusalError(ExceptionCode.ILLEGAL_FUNCTION)
        self._house.advance()
        for number, value in enumerate(values, start=address):
            if number not in _RANGES:
                raise ModbusRefusalError(ExceptionCode.ILLEGAL_ADDRESS)
            lowest, highest = _RANGES[number]
            if not lowest <= value <= highest:
                raise ModbusRefusalError(ExceptionCode.ILLEGAL_VALUE)
        self._raw.update(enumerate(values, start=address))
        self._house.heat_pump_blocked = self._order() == _BLOCK
        return False

    def _order(self) -> int:
        return self._raw[_ORDER] if self._raw[_API] else _NORMAL

    def _running(self) -> bool:
        return self._house.flows.heat_pump_w > _RUNNING_ABOVE_W

    def _power(self) -> bytes:
        watts = round(self._house.flows.heat_pump_w)
        return words("HH", watts & 0xFFFF, watts >> 16)


def _tenths(value: float) -> bytes:
    return words("h", clip_s16(value * 10))
