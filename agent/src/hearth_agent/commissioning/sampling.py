"""Looking at all devices together, again and again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple

from hearth_agent.control.flows import Flows, flows_of
from hearth_agent.devices.device import Device
from hearth_agent.devices.profile import Profile
from hearth_core.clock import Clock

EVERY_S = 2.0


class Sample(NamedTuple):
    """The values of all devices at one instant; a device that did not answer is not in it."""

    at_s: float
    values: Mapping[str, Mapping[str, float]]

    def flows(self, profiles: Mapping[str, Profile]) -> Flows:
        """Return the powers of the home."""
        return flows_of(profiles, lambda id_, point: self.values.get(id_, {}).get(point), self.at_s)


class Sampler:
    """Reads every device of a home at once."""

    def __init__(self, devices: Mapping[str, Device], clock: Clock) -> None:
        self._devices, self._clock = devices, clock
        self.taken: list[Sample] = []
        """All samples of this commissioning."""

    async def once(self) -> Sample:
        """Take one sample."""
        measured = await asyncio.gather(*(device.measure() for device in self._devices.values()))
        values = {id_: one.values for id_, one in zip(self._devices, measured, strict=True) if one is not None}
        sample = Sample(self._clock.monotonic(), values)
        self.taken.append(sample)
        return sample

    async def during(self, seconds: float) -> AsyncIterator[Sample]:
        """Yield samples for so many seconds of the clock."""
        end_s = self._clock.monotonic() + seconds
        while self._clock.monotonic() < end_s:
            started_s = self._clock.monotonic()
            yield await self.once()
            await self._clock.sleep(max(0.0, started_s + EVERY_S - self._clock.monotonic()))


def column(samples: Sequence[Sample], device: str, point: str) -> list[float]:
    """Return the known values of one point."""
    return [one.values[device][point] for one in samples if point in one.values.get(device, {})]


def rows(samples: Sequence[Sample], device: str, points: Sequence[str]) -> list[tuple[float, ...]]:
    """Return the values of several points at the instants at which all of them are known."""
    complete = [one.values[device] for one in samples if device in one.values]
    return [tuple(one[point] for point in points) for one in complete if all(point in one for point in points)]
