"""A device's poll groups: what is read with every poll, once a minute, and once a connection."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

from hearth_agent.devices.bus import LATER_S
from hearth_agent.devices.errors import DeviceRefusedError
from hearth_agent.devices.layout import LaidOutPoint
from hearth_agent.devices.link import ModbusLink
from hearth_agent.devices.profile import Poll, Profile
from hearth_agent.devices.readplan import Answer, ReadPlan

_SLOW_S = 60.0


class Reader:
    """Reads one device for as long as one connection lasts; decoded values only, missing ones are left out."""

    def __init__(self, link: ModbusLink, profile: Profile, points: Sequence[LaidOutPoint]) -> None:
        """Lay out the requests of each group.

        Raises:
            ValueError: A point and its scale factor lie too far apart for one request.
        """
        self._link = link

        def plan(*groups: Poll) -> ReadPlan:
            chosen = [point for point in points if point.poll in groups]
            return ReadPlan(chosen, profile.max_registers, profile.max_gap, alone=profile.one_value_per_request)

        self._plans = {
            Poll.CONTROL: plan(Poll.CONTROL),
            Poll.POLL: plan(Poll.CONTROL, Poll.POLL),
            Poll.SLOW: plan(Poll.SLOW),
            Poll.ONCE: plan(Poll.ONCE),
        }
        self._kept: dict[str, float] = {}
        self._once = {point.name for point in points if point.poll is Poll.ONCE}
        self._slow_at_s = -math.inf
        # devices that were connected together do not all read their slow points in the same poll
        self._phase_s = zlib.crc32(f"{link.bus.endpoint.place} {link.unit}".encode()) % _SLOW_S

    async def control(self, deadline_s: float = LATER_S) -> dict[str, float]:
        """Read the few points that limits need.

        Raises:
            DeviceError: The device does not answer.
        """
        return await self._read(self._plans[Poll.CONTROL], deadline_s)

    async def poll(self, now_s: float, deadline_s: float = LATER_S) -> dict[str, float]:
        """Read the points of a poll, and those of the slower groups that are due; others keep their last value.

        Args:
            now_s: The clock's instant [s]; decides what is due.
            deadline_s: When the values are needed (`time.monotonic`).

        Raises:
            DeviceError: The device does not answer.
        """
        values = await self._read(self._plans[Poll.POLL], deadline_s)
        if now_s >= self._slow_at_s:
            groups = [Poll.SLOW] if self._once <= self._kept.keys() else [Poll.SLOW, Poll.ONCE]
            fresh: dict[str, float] = {}
            for group in groups:
                fresh |= await self._read(self._plans[group], deadline_s)
            # a slow point that is missing now is not given its old value
            self._kept = {name: self._kept[name] for name in self._once & self._kept.keys()} | fresh
            self._slow_at_s = ((now_s - self._phase_s) // _SLOW_S + 1) * _SLOW_S + self._phase_s
        return self._kept | values

    async def _read(self, plan: ReadPlan, deadline_s: float) -> dict[str, float]:
        answers: list[Answer] = []
        for one in plan.requests:
            try:
                answers.append(await self._link.read(one.fc, one.address, one.end - one.address, deadline_s))
            except DeviceRefusedError:
                answers.append(None)
        return plan.decode(answers)
