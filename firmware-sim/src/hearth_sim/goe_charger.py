"""go-e charger (V3, V4, Gemini): EV charging point on L1 with a single-phase car.

Function 3 and 4 read every register, only function 16 writes. 32-bit values have the high word first. The set current
299 is volatile (6..32 A; the installation's own limit of 16 A still holds); 300 is the stored one and takes effect
too, as a new power-up would. Unused registers from 100 to 133 read 0. 337 forces: 0 neutral, 1 off, 2 on. Register
facts: go-e's published Modbus table (API v2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hearth_sim.house import House
from hearth_sim.registers import Block, ExceptionCode, Function, ModbusRefusalError, RegisterImage, words

_FIRST, _INSTALLED_A = 100, 16
_NO_CAR, _CHARGING, _WAITING, _DONE = 1, 2, 3, 4
_CHARGING_ABOVE_W = 100.0
_ALLOW, _CURRENT, _STORED_CURRENT, _PHASE_MODE, _ENERGY_LIMIT, _FORCE = 200, 299, 300, 332, 333, 337
_RANGES = {_ALLOW: (0, 1), _CURRENT: (6, 32), _STORED_CURRENT: (6, 32), _PHASE_MODE: (0, 2), _FORCE: (0, 2)}


class GoeCharger:
    """The charger's Modbus side."""

    unit = 1
    not_available = b"\xff\xff"

    def __init__(self, house: House) -> None:
        self._house = house
        self._raw = {_ALLOW: 1, _CURRENT: _INSTALLED_A, _STORED_CURRENT: _INSTALLED_A, _PHASE_MODE: 0, _FORCE: 0}
        self._energy_limit = b"\x00" * 8
        self._image = RegisterImage(
            [
                Block(_FIRST, 34, self._measured),
                Block(205, 1, lambda: words("H", self._phases())),
                *(Block(address, 1, self._setting(address)) for address in self._raw),
                Block(_ENERGY_LIMIT, 4, lambda: self._energy_limit),
            ]
        )

    def read(self, function: int, address: int, count: int) -> bytes:
        """See `modbus_server.Device.read`."""
        if function not in (Function.READ_HOLDING, Function.READ_INPUT):
            raise ModbusRefusalError(ExceptionCode.ILLEGAL_FUNCTION)
        self._house.advance()
        return self._image.read(address, count)

    def write(self, function: int, address: int, values: Sequence[int]) -> bool:
        """See `modbus_server.Device.write`."""
        if function != Function.WRITE_MANY:
            raise ModbusRefusalError(ExceptionCode.ILLEGAL_FUNCTION)
        self._house.advance()
        if address == _ENERGY_LIMIT and len(values) == 4:
            self._energy_limit = words("4H", *values)
            return False
        for number, value in enumerate(values, start=address):
            if number not in _RANGES:
                raise ModbusRefusalError(ExceptionCode.ILLEGAL_ADDRESS)
            lowest, highest = _RANGES[number]
            if not lowest <= value <= highest:
                raise ModbusRefusalError(ExceptionCode.ILLEGAL_VALUE)
        for number, value in enumerate(values, start=address):
            self._raw[_CURRENT if number == _STORED_CURRENT else number] = value
            self._raw[number] = value
        charger = self._house.charger
        charger.limit_a = float(min(self._raw[_CURRENT], _INSTALLED_A))
        charger.allowed, charger.forced = bool(self._raw[_ALLOW]), self._raw[_FORCE]
        return False

    def _setting(self, address: int) -> Callable[[], bytes]:
        return lambda: words("H", self._raw[address])

    def _car_state(self) -> int:
        house = self._house
        if not house.plugged:
            return _NO_CAR
        if house.flows.ev_w > _CHARGING_ABOVE_W:
            return _CHARGING
        return _WAITING if house.car.backlog_wh > 0 else _DONE

    def _measured(self) -> bytes:
        """Render 100..133: state, voltages [V], currents [0.1 A], power [0.01 W], energies [0.1 kWh] and [10 Ws]."""
        house = self._house
        supply = house.supply()
        power_w = house.flows.ev_w
        current_a = power_w / supply.phases[0].voltage_v
        volts = [round(phase.voltage_v) for phase in supply.phases]
        total, session = int(house.counters.ev_wh / 100), int(house.charger.session_wh * 360)
        return words(
            "H 14x 3I 3I I 12x I 4x I",
            *(self._car_state(), *volts, round(current_a * 10), 0, 0, round(power_w * 100)),
            *(total, session),
        )

    def _phases(self) -> int:
        """Return bits 3..5 for phases present before the contactor, 0..2 for those behind it."""
        charging = self._house.flows.ev_w > _CHARGING_ABOVE_W
        return 0b111000 | (0b001 if charging else 0)
