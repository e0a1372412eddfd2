"""The hybrid inverter: SunSpec models 1, 103, 120, 121, 122, 123, 160, 124 from register 40000 on, function 3.

Writable are the control points of 123 (output limit, connection) and 124 (storage); functions 6 and 16. A ramp or
window time is taken and forgotten, because the inverter does not support it (as a Fronius GEN24). Any write to a
block renews its lease; InOutWRte_RvrtTms and WMaxLimPct_RvrtTms seconds after the last one the inverter is its own
master again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hearth_sim import sunspec_models as models
from hearth_sim.house import House
from hearth_sim.registers import (
    Block,
    ExceptionCode,
    Function,
    ModbusRefusalError,
    RegisterImage,
    clip_u16,
    signed,
    words,
)
from hearth_sim.storage_control import StorageControl

logger = logging.getLogger(__name__)
BASE = 40_000
_PERCENT = 10_000  # 100 % at scale factor -2
_MODEL_LENGTHS = {1: 66, 103: 50, 120: 26, 121: 30, 122: 44, 123: 24, 160: 88, 124: 24}


@dataclass(frozen=True)
class _Control:
    """One writable point: which raw values it takes and what they do."""

    lowest: int
    highest: int
    set: Callable[[StorageControl, int], None]
    is_lease: bool = False


def _ignore(state: StorageControl, value: int) -> None:
    """Take a point this inverter does not support."""


def _set_connected(state: StorageControl, value: int) -> None:
    state.connected = bool(value)


def _set_output_share(state: StorageControl, value: int) -> None:
    state.output_share = value / _PERCENT


def _set_output_timeout(state: StorageControl, value: int) -> None:
    state.output_lease.timeout_s = float(value)


def _set_output_limited(state: StorageControl, value: int) -> None:
    state.output_limited = bool(value)


def _set_mode(state: StorageControl, value: int) -> None:
    state.mode = value


def _set_reserve(state: StorageControl, value: int) -> None:
    state.reserve_percent = value / 100


def _set_discharge_share(state: StorageControl, value: int) -> None:
    state.discharge_share = value / _PERCENT


def _set_charge_share(state: StorageControl, value: int) -> None:
    state.charge_share = value / _PERCENT


def _set_timeout(state: StorageControl, value: int) -> None:
    state.lease.timeout_s = float(value)


def _set_grid_charge(state: StorageControl, value: int) -> None:
    state.grid_charge = bool(value)


_ANY = (0, 0xFFFF)
# offset from the model's ID register
_OUTPUT_CONTROLS = {
    2: _Control(*_ANY, _ignore),
    3: _Control(*_ANY, _ignore),
    4: _Control(0, 1, _set_connected),
    5: _Control(0, _PERCENT, _set_output_share),
    6: _Control(*_ANY, _ignore),
    7: _Control(*_ANY, _set_output_timeout, is_lease=True),
    8: _Control(*_ANY, _ignore),
    9: _Control(0, 1, _set_output_limited),
}
_STORAGE_CONTROLS = {
    5: _Control(0, 3, _set_mode),
    7: _Control(0, _PERCENT, _set_reserve),
    12: _Control(-_PERCENT, _PERCENT, _set_discharge_share),
    13: _Control(-_PERCENT, _PERCENT, _set_charge_share),
    14: _Control(*_ANY, _ignore),
    15: _Control(*_ANY, _set_timeout, is_lease=True),
    16: _Control(*_ANY, _ignore),
    17: _Control(0, 1, _set_grid_charge),
}


class SunSpecInverter:
    """The inverter's Modbus side."""

    unit = 1
    not_available = b"\x80\x00"

    def __init__(self, house: House) -> None:
        self._house = house
        renders: dict[int, Callable[[], bytes]] = {
            1: models.common,
            103: lambda: models.inverter(house),
            120: lambda: models.nameplate(house),
            121: models.settings,
            122: lambda: models.status(house),
            123: self._output_model,
            160: lambda: models.strings(house),
            124: self._storage_model,
        }
        blocks, at = [Block(BASE, 2, lambda: b"SunS")], BASE + 2
        self.model_at: dict[int, int] = {}
        for model, length in _MODEL_LENGTHS.items():
            self.model_at[model] = at
            blocks.append(Block(at, 2 + length, _with_header(model, length, renders[model])))
            at += 2 + length
        blocks.append(Block(at, 2, lambda: words("HH", 0xFFFF, 0)))
        self._image = RegisterImage(blocks)

    def read(self, function: int, address: int, count: int) -> bytes:
        """See `modbus_server.Device.read`."""
        if function != Function.READ_HOLDING:
            raise ModbusRefusalError(ExceptionCode.ILLEGAL_FUNCTION)
        self._house.advance()
        return self._image.read(address, count)

    def write(self, function: int, address: int, values: Sequence[int]) -> bool:
        """See `modbus_server.Device.write`; all values are checked before the first is set."""
        at_s = self._house.advance()
        state = self._house.storage
        for model, controls in ((123, _OUTPUT_CONTROLS), (124, _STORAGE_CONTROLS)):
            offset = address - self.model_at[model]
            if 0 <= offset < 2 + _MODEL_LENGTHS[model]:
                lease = state.lease if model == 124 else state.output_lease
                before = _orders(state)
                _apply(controls, offset, values, state)
                lease.renew(at_s)
                return _orders(state) == before
        raise ModbusRefusalError(ExceptionCode.ILLEGAL_ADDRESS)

    def _output_model(self) -> bytes:
        state = self._house.storage
        return words(
            "8H h 4H 3h 3H 2H 3h",
            *(models.NO_U16, models.NO_U16, int(state.connected)),
            *(clip_u16(state.output_share * _PERCENT), models.NO_U16),
            *(clip_u16(state.output_lease.timeout_s), models.NO_U16, int(state.output_limited)),
            *(models.NO_S16, *(models.NO_U16,) * 3, 0),
            *(models.NO_S16,) * 3,
            *(models.NO_U16,) * 4,
            0,
            *(-2, models.NO_S16, models.NO_S16),
        )

    def _storage_model(self) -> bytes:
        house = self._house
        state, battery = house.storage, house.battery
        rated = clip_u16(state.rated_w)
        available_ah = max(house.stored_wh - battery.min_wh, 0) / models.battery_voltage_v()
        return words(
            "10H 2h 4H 8h",
            *(rated, rated, rated, state.mode, models.NO_U16),
            *(clip_u16(state.reserve_percent * 100), clip_u16(house.soc_percent * 100)),
            *(clip_u16(available_ah * 100), clip_u16(models.battery_voltage_v() * 10), models.charge_state(house)),
            *(round(state.discharge_share * _PERCENT), round(state.charge_share * _PERCENT)),
            *(models.NO_U16, clip_u16(state.lease.timeout_s), models.NO_U16, int(state.grid_charge)),
            *(0, 0, models.NO_S16, -2, -2, -2, -1, -2),
        )


def _with_header(model: int, length: int, render: Callable[[], bytes]) -> Callable[[], bytes]:
    header = words("HH", model, length)
    return lambda: header + render()


def _apply(controls: dict[int, _Control], offset: int, values: Sequence[int], state: StorageControl) -> None:
    checked: list[tuple[_Control, int]] = []
    for number, raw in enumerate(values, start=offset):
        control = controls.get(number)
        if control is None:
            raise ModbusRefusalError(ExceptionCode.ILLEGAL_ADDRESS)
        value = signed(raw) if control.lowest < 0 else raw
        if not control.lowest <= value <= control.highest:
            raise ModbusRefusalError(ExceptionCode.ILLEGAL_VALUE)
        checked.append((control, value))
    for control, value in checked:
        control.set(state, value)


def _orders(state: StorageControl) -> tuple[float, ...]:
    """Return everything that orders set, without the leases."""
    return (
        state.mode,
        state.charge_share,
        state.discharge_share,
        state.grid_charge,
        state.reserve_percent,
        state.connected,
        state.output_limited,
        state.output_share,
    )
