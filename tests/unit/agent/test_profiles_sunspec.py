"""SunSpec profiles beside pysunspec2, the standard body's client: both read one image, and must agree on each point."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from sunspec2.file.client import FileClientDevice, FileClientModel
from sunspec2.modbus.client import SunSpecModbusClientDevice

from hearth_agent.devices.catalogue import shipped_names, shipped_profile
from hearth_agent.devices.discovery import read_common, walk_chain
from hearth_agent.devices.errors import DeviceRefusedError
from hearth_agent.devices.layout import Chain, lay_out, place, registers_of
from hearth_agent.devices.profile import Profile, Protocol, Source
from hearth_agent.devices.readplan import ReadPlan, number_at
from hearth_agent.devices.validate import sources
from hearth_sim.recordings import load, names

DATA = Path(__file__).parents[2] / "data" / "sunspec"
Image = dict[int, int]


class ImageLink:
    """The agent's view of an image."""

    def __init__(self, image: Image) -> None:
        self.image = image

    async def read(self, fc: int, address: int, count: int) -> list[int]:
        wanted = range(address, address + count)
        if fc != 3 or any(register not in self.image for register in wanted):
            raise DeviceRefusedError("image", f"has no register {address}")
        return [self.image[register] for register in wanted]


class ImageDevice(SunSpecModbusClientDevice):  # type: ignore[misc]  # pysunspec2 has no annotations
    """pysunspec2's view of an image."""

    def __init__(self, image: Image) -> None:
        super().__init__()
        self.base_addr_list = [40000, 0, 50000]
        self.image = image

    def connect(self) -> None:
        pass

    def disconnect(self) -> None:
        pass

    def read(self, addr: int, count: int) -> bytes:
        # it asks for one register more than there may be behind the marker
        return struct.pack(f">{count}H", *(self.image.get(addr + index, 0) for index in range(count)))


def theirs(device: SunSpecModbusClientDevice, source: Source) -> float | None:
    """Return pysunspec2's value of a source, with the profile's scale and sign."""
    for model in source.models:
        found = [one for one in device.model_list if one.model_id == model]
        if len(found) >= source.occurrence:
            group = found[source.occurrence - 1]
            if source.module is not None:
                (repeating,) = group.groups.values()
                group = repeating[source.module - 1]
            value = group.points[source.point].cvalue
            return None if value is None else value * source.scale * source.sign
    raise AssertionError(f"pysunspec2 finds no model of {source.models}")


def ours(profile: Profile, chain: Chain, image: Image, source: Source) -> float | None:
    where = place(profile, source, chain)
    assert where is not None
    first, end = registers_of(where)
    return number_at(where, [image[address] for address in range(first, end)], first)


def sunspec_sources(profile: Profile) -> Iterator[Source]:
    for name, point in profile.points.items():
        for _, source in sources(name, point):
            if source.model is not None:
                yield source


RECORDED = [n for n in shipped_names() if shipped_profile(n).protocol is Protocol.SUNSPEC and n in names()]


@pytest.mark.parametrize("name", RECORDED)
def test_pysunspec2_reads_the_same_numbers(name: str) -> None:
    profile, recording = shipped_profile(name), load(name)
    image = recording.registers(recording.unit, 3)
    device = ImageDevice(image)
    device.scan()
    assert not [model.error_info for model in device.model_list if model.error_info]
    chain = asyncio.run(walk_chain(ImageLink(image)))
    assert [block.model for block in chain.blocks] == [model.model_id for model in device.model_list]
    compared = list(sunspec_sources(profile))
    assert compared
    for source in compared:
        value = theirs(device, source)
        assert value is not None
        assert ours(profile, chain, image, source) == pytest.approx(value, rel=1e-9), source


def image_of(file: str) -> tuple[Image, FileClientDevice]:
    """Lay a device file of pysunspec2 into registers, with pysunspec2's own encoder."""
    device = FileClientDevice()  # its own scan() leaves the file open
    for model in json.loads((DATA / file).read_text(encoding="utf-8"))["models"]:
        if model["ID"] != 0xFFFF:
            device.add_model(FileClientModel(model_id=model["ID"], model_len=model.get("L"), data=model))
    data = b"SunS"
    for model in device.model_list:
        registers = model.get_mb()
        data += struct.pack(">HH", model.model_id, len(registers) // 2 - 2) + registers[4:]
    data += b"\xff\xff\x00\x00"
    words = struct.unpack(f">{len(data) // 2}H", data)
    return {40000 + index: word for index, word in enumerate(words)}, device


def test_a_device_file_of_pysunspec2_is_read_by_the_newer_models() -> None:
    profile = shipped_profile("sunspec-der-pv")
    image, device = image_of("device_1547.json")
    chain = asyncio.run(walk_chain(ImageLink(image)))
    assert [block.model for block in chain.blocks] == [1, 701, 702]
    plan = ReadPlan(lay_out(profile, chain), profile.max_registers, profile.max_gap)
    link = ImageLink(image)
    values = plan.decode([asyncio.run(link.read(r.fc, r.address, r.end - r.address)) for r in plan.requests])
    assert values["power_w"] == 9800
    assert values["frequency_hz"] == pytest.approx(60.01)
    assert values["x_power_factor"] == pytest.approx(0.985)
    for name, point in profile.points.items():
        value = theirs(device, point)
        assert (name in values) == (value is not None), name
        assert value is None or values[name] == pytest.approx(value), name


def test_a_model_nobody_here_knows_is_stepped_over() -> None:
    image, device = image_of("inverter_123.json")
    link = ImageLink(image)
    chain = asyncio.run(walk_chain(link))
    assert [block.model for block in chain.blocks] == [1, 129]
    common = asyncio.run(read_common(link, chain))
    assert common["manufacturer"] == device.common[0].Mn.value == "Device Manufacturer"
    assert common["serial"] == device.common[0].SN.value
