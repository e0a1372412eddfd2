"""Eastron SDM630 (Modbus V2): the three-phase grid meter; + = import.

Measurements are float32, high word first, two registers each, function 4; at most 80 registers a request. Energies are
kWh: import and export of the sum of the phases, and of each phase for itself. Registers inside a block that this meter
does not measure read 0. Register facts: mbmd's table of the SDM630 and the vendor's protocol description.
"""

from __future__ import annotations

from collections.abc import Sequence

from hearth_sim.electric import REACTIVE_VAR
from hearth_sim.house import House
from hearth_sim.registers import Block, ExceptionCode, Function, ModbusRefusalError, RegisterImage, words

_MOST_REGISTERS = 80
_INSTANT_AT, _TOTALS_AT = 0, 342
_INSTANT_VALUES, _TOTAL_VALUES = 40, 8


class Sdm630:
    """The meter at the house's grid connection."""

    unit = 1
    not_available = b"\x7f\xc0\x00\x00"  # NaN

    def __init__(self, house: House) -> None:
        self._house = house
        self._image = RegisterImage(
            [
                Block(_INSTANT_AT, 2 * _INSTANT_VALUES, self._instant),
                Block(_TOTALS_AT, 2 * _TOTAL_VALUES, self._totals),
            ]
        )

    def read(self, function: int, address: int, count: int) -> bytes:
        """See `modbus_server.Device.read`."""
        if function != Function.READ_INPUT:
            raise ModbusRefusalError(ExceptionCode.ILLEGAL_FUNCTION)
        if count > _MOST_REGISTERS:
            raise ModbusRefusalError(ExceptionCode.ILLEGAL_VALUE)
        self._house.advance()
        return self._image.read(address, count)

    def write(self, function: int, address: int, values: Sequence[int]) -> bool:
        """See `modbus_server.Device.write`; the meter's settings are not for writing."""
        raise ModbusRefusalError(ExceptionCode.ILLEGAL_FUNCTION)

    def _instant(self) -> bytes:
        supply = self._house.supply()
        phases = supply.phases
        counters = self._house.counters
        apparent_va = sum(p.apparent_va for p in phases)
        factor = supply.power_w / apparent_va
        values = {
            **{0 + 2 * i: p.voltage_v for i, p in enumerate(phases)},
            **{6 + 2 * i: p.current_a for i, p in enumerate(phases)},
            **{12 + 2 * i: p.power_w for i, p in enumerate(phases)},
            **{18 + 2 * i: p.apparent_va for i, p in enumerate(phases)},
            **{24 + 2 * i: REACTIVE_VAR for i in range(3)},
            **{30 + 2 * i: p.power_w / p.apparent_va for i, p in enumerate(phases)},
            42: sum(p.voltage_v for p in phases) / 3,
            46: sum(p.current_a for p in phases) / 3,
            48: sum(p.current_a for p in phases),
            52: supply.power_w,
            56: apparent_va,
            60: 3 * REACTIVE_VAR,
            62: factor,
            70: supply.frequency_hz,
            72: counters.grid_import_wh / 1000,
            74: counters.grid_export_wh / 1000,
        }
        return words(f"{_INSTANT_VALUES}f", *(values.get(2 * i, 0.0) for i in range(_INSTANT_VALUES)))

    def _totals(self) -> bytes:
        counters = self._house.counters
        total_wh = counters.grid_import_wh + counters.grid_export_wh
        energies_wh = (total_wh, 0.0, *counters.phase_import_wh, *counters.phase_export_wh)
        return words(f"{_TOTAL_VALUES}f", *(energy / 1000 for energy in energies_wh))
