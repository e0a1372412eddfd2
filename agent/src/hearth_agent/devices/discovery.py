"""Asking a SunSpec device which models it has and where they lie."""

from __future__ import annotations

from typing import Protocol

from hearth_agent.devices.codec import text
from hearth_agent.devices.errors import DeviceLayoutError, DeviceRefusedError
from hearth_agent.devices.layout import Block, Chain
from hearth_agent.devices.sunspec_models import definition

_BASES = (40000, 0, 50000)
_SUNS = [0x5375, 0x6E53]
_END = 0xFFFF
_LONGEST_CHAIN = 60
_COMMON = 1


class Reader(Protocol):
    """Anything that reads registers of one device."""

    async def read(self, fc: int, address: int, count: int) -> list[int]:
        """Read registers with a function code; raises DeviceRefusedError where there are none."""


async def walk_chain(link: Reader) -> Chain:
    """Walk id, length, id, length... from the marker ``SunS`` to the end.

    Raises:
        DeviceLayoutError: There is no SunSpec map, or it does not end.
        DeviceError: The device could not be asked.
    """
    address = await _find_marker(link) + 2
    blocks: list[Block] = []
    for _ in range(_LONGEST_CHAIN):
        # some devices give no length for the end marker, so the two are read one by one
        (model,) = await link.read(3, address, 1)
        if model == _END:
            return Chain(tuple(blocks))
        (length,) = await link.read(3, address + 1, 1)
        blocks.append(Block(model, address, length))
        address += 2 + length
        if address > 65533:
            break
    raise DeviceLayoutError("the SunSpec chain does not end")


async def _find_marker(link: Reader) -> int:
    for base in _BASES:
        try:
            if await link.read(3, base, 2) == _SUNS:
                return base
        except DeviceRefusedError:
            continue
    raise DeviceLayoutError("there is no SunSpec map (SunS at 40000, 0 or 50000)")


async def read_common(link: Reader, chain: Chain) -> dict[str, str]:
    """Read manufacturer, model, firmware and serial number from model 1; empty when the device has none."""
    block = chain.find([_COMMON])
    if block is None:
        return {}
    registers = await link.read(3, block.address, min(2 + block.length, 125))
    fixed = definition(_COMMON).fixed
    found = {}
    for name, point_name in (("manufacturer", "Mn"), ("model", "Md"), ("firmware", "Vr"), ("serial", "SN")):
        point = fixed[point_name]
        found[name] = text(registers[point.offset : point.offset + point.registers])
    return found
