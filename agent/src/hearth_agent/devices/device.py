"""One device: connects, learns its layout, reads all points, and writes orders that it reads back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from typing import Any, NamedTuple, TypeVar

from hearth_agent.devices.bus import LATER_S, ORDER_S, Bus, manners_of
from hearth_agent.devices.codec import EncodeError, text
from hearth_agent.devices.discovery import read_common, walk_chain
from hearth_agent.devices.endpoint import Endpoint, tcp
from hearth_agent.devices.errors import DeviceError, DeviceLayoutError, DeviceRefusedError, not_as_profiled
from hearth_agent.devices.identity import check_identity
from hearth_agent.devices.layout import Chain, lay_out
from hearth_agent.devices.link import ModbusLink
from hearth_agent.devices.packing import Span, pack
from hearth_agent.devices.profile import Poll, Profile, Protocol, Write
from hearth_agent.devices.reading import Reader
from hearth_agent.devices.snapshot import Measured
from hearth_agent.devices.writing import ALL_BITS, Encoded, Variables, join, prepare, to_verify
from hearth_agent.events import EventLog
from hearth_core.clock import Clock
from hearth_core.messages import DeviceInfo

logger = logging.getLogger(__name__)
T = TypeVar("T")


class Applied(NamedTuple):
    """What a device reads back after it was told something."""

    obeyed: bool
    """Every register that can be read back holds what was written."""
    timed: bool = True
    """False: the register with the time after which the order ends did not keep it."""


class Device:
    """A device in the home, as one profile describes it."""

    def __init__(
        self,
        id_: str,
        profile: Profile,
        host: str,
        port: int,
        unit: int,
        clock: Clock,
        events: EventLog,
        *,
        bus: Bus | None = None,
    ) -> None:
        """Describe a device; nothing is sent yet.

        Args:
            id_: Its name in the home.
            profile: What it is.
            host: Where it listens for Modbus TCP.
            port: The TCP port.
            unit: Its Modbus unit id.
            clock: The home's time.
            events: Where outages are told.
            bus: The wire it shares with other devices, instead of one of its own to host and port.
        """
        self.id, self.profile = id_, profile
        self.unit = unit
        self.identity: dict[str, str] = {}
        self._clock, self._events = clock, events
        self._link = ModbusLink(id_, bus or Bus(tcp(host, port)), unit, manners_of(profile))
        self._chain: Chain | None = None
        self._reader: Reader | None = None
        self._encoded: dict[tuple[int, int, float], Encoded] = {}
        self._opening = asyncio.Lock()
        self.reachable: bool | None = None
        self.connections = 0
        """How often it was connected; a device that restarted may have forgotten what it was told."""

    @property
    def endpoint(self) -> Endpoint:
        """The wire it is reached over."""
        return self._link.bus.endpoint

    @property
    def connected(self) -> bool:
        """Whether the device was reached and understood."""
        return self._link.connected and self._reader is not None

    def describe(self, *, controlled: bool) -> DeviceInfo:
        """Return the device's entry in the agent's birth certificate."""
        return DeviceInfo(
            id=self.id,
            kind=self.profile.kind,
            profile=self.profile.profile,
            manufacturer=self.identity.get("manufacturer") or self.profile.manufacturer,
            model=self.identity.get("model") or self.profile.model,
            serial=self.identity.get("serial", ""),
            points=sorted(self.profile.points),
            controlled=controlled,
        )

    def expect(self, due_s: float) -> None:
        """Say when it will be read next (`time.monotonic`); nothing long is begun on its wire just before."""
        self._link.expect(due_s)

    async def measure(self, poll: Poll = Poll.POLL, deadline_s: float = LATER_S) -> Measured | None:
        """Read the points of a poll, or None when the device cannot be reached now.

        A refused request makes its points missing; everything else that goes wrong leaves the device alone for a
        while, and the others behind the same connection in peace. An outage is told once each way.

        Args:
            poll: ``control`` for the few points that limits need; else all, slower groups when they are due.
            deadline_s: When the values are needed (`time.monotonic`); decides whose turn it is on a shared wire.
        """
        for last in (False, True):
            try:
                if not await self.ensure_open() or self._reader is None:
                    return None
                if poll is Poll.CONTROL:
                    values = await self._reader.control(deadline_s)
                else:
                    values = await self._reader.poll(self._clock.monotonic(), deadline_s)
                    self._link.trust()
            except DeviceError as error:
                if last or not self._link.is_worth_another_try(error, well=self.reachable is True):
                    self._lost(str(error))
                    return None
            else:
                self._tell_back()
                break
        return Measured(self._clock.monotonic(), values)

    async def ensure_open(self) -> bool:
        """Connect if need be; False while the device is left alone.

        Raises:
            DeviceError: It could not be reached.
        """
        if self.connected:
            return True
        async with self._opening:
            if self.connected:
                return True
            if self._link.resting:
                self._tell_lost("cannot be reached")
                return False
            await self._link.open()
            try:
                await self._learn()
            except DeviceLayoutError as error:
                self._link.rest()
                raise not_as_profiled(self.id, self.profile.profile, error) from error
        self.connections += 1
        return True

    async def _learn(self) -> None:
        if self.profile.protocol is Protocol.SUNSPEC:
            self._chain = await walk_chain(self._link)
            self.identity = await read_common(self._link, self._chain)
        elif self.profile.identity.serial is not None:
            where = self.profile.identity.serial
            registers = await self._link.read(where.fc, where.address, where.count)
            self.identity = {"serial": text(registers, low_byte_first=where.low_byte_first)}
        await check_identity(self.profile, self._link, self._chain, self.identity)
        points = lay_out(self.profile, self._chain)
        if not points:
            raise DeviceLayoutError("it has none of the profile's points")
        self._reader = Reader(self._link, self.profile, points)

    def _lost(self, text_: str) -> None:
        self.close()
        self._tell_lost(text_)

    def _tell_lost(self, text_: str) -> None:
        if self.reachable is not False:
            self._events.warning("device_unreachable", text_, self.id)
        self.reachable = False

    def _tell_back(self) -> None:
        if self.reachable is False:
            self._events.info("device_back", "answers again", self.id)
        self.reachable = True

    def close(self) -> None:
        """Drop the connection, unless others use it; the next `measure` opens it again."""
        self._link.close()
        self._reader, self._encoded = None, {}

    async def apply(
        self, writes: Sequence[Write], variables: Variables, *, again: bool = False, settle_s: float = 0.0
    ) -> Applied:
        """Write an order register by register (neighbours together), then read it back.

        Args:
            writes: The profile's registers, in their order.
            variables: The numbers the profile's names stand for.
            again: The order only keeps an earlier one alive: the same registers are written as then.
            settle_s: How long the device takes until the order can be read back [s].

        Returns:
            What was read back.

        Raises:
            DeviceError: The device cannot be reached, refuses, or lacks a register of the order.
        """
        return await self._talk(self._write_and_compare(writes, variables, again=again, settle_s=settle_s))

    async def has(self, writes: Sequence[Write], variables: Variables) -> bool:
        """Tell whether every register of an order holds already what it says; nothing is written.

        Raises:
            DeviceError: As `apply`.
        """
        return await self._talk(self._compare(writes, variables))

    async def spell(self, writes: Sequence[Write]) -> list[Encoded]:
        """Return an order of constants in plain registers of this device; nothing is written.

        Raises:
            DeviceError: As `apply`.
        """
        encoded = await self._talk(self._encode(writes, {}, again=False))
        if all(one.verify and one.mask == ALL_BITS for one in encoded):
            return join(encoded, alone=self.profile.one_value_per_request)
        return encoded

    async def _talk(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something with the connected device."""
        try:
            if await self.ensure_open():
                return await work
        except EncodeError as error:
            raise DeviceError(self.id, f"cannot be told this: {error}") from error
        except DeviceRefusedError:
            raise
        except DeviceError as error:
            self._lost(str(error))
            raise
        finally:
            work.close()  # it may never have begun
        raise DeviceError(self.id, "is left alone for a while after an outage")

    async def _write_and_compare(
        self, writes: Sequence[Write], variables: Variables, *, again: bool, settle_s: float
    ) -> Applied:
        encoded = await self._encode(writes, variables, again=again)
        for one in join(encoded, alone=self.profile.one_value_per_request):
            await self._link.write(one.fc, one.address, one.registers)
        await asyncio.sleep(settle_s)
        compared = to_verify(encoded)
        image = await self._image([one.read_back for one in compared])
        # a device that takes an order but not the time after which it should forget it
        for_ever = [
            one
            for write, one in zip(writes, encoded, strict=True)
            if write.value == "lease_s" and one in compared and one.is_empty_in(image)
        ]
        return Applied(all(one.stands_in(image) for one in compared if one not in for_ever), timed=not for_ever)

    async def _compare(self, writes: Sequence[Write], variables: Variables) -> bool:
        encoded = await self._encode(writes, variables, again=False)
        if not all(one.verify for one in encoded):
            return False
        compared = to_verify(encoded)
        image = await self._image([one.read_back for one in compared])
        return all(one.stands_in(image) for one in compared)

    async def _encode(self, writes: Sequence[Write], variables: Variables, *, again: bool) -> list[Encoded]:
        prepared = [prepare(self.id, self.profile, write, variables, self._chain) for write in writes]
        keys = [(one.where.fc, one.where.address, one.value) for one in prepared]
        if again and all(key in self._encoded for key in keys) and not any(write.bits for write in writes):
            return [self._encoded[key] for key in keys]
        image = await self._image([span for one in prepared for span in one.needed])
        encoded = [one.encode(image) for one in prepared]
        self._encoded = dict(zip(keys, encoded, strict=True)) | (self._encoded if again else {})
        return encoded

    async def _image(self, spans: Sequence[Span]) -> dict[tuple[int, int], int]:
        """Read registers with few requests; (function code, address) -> register."""
        image: dict[tuple[int, int], int] = {}
        alone = self.profile.one_value_per_request
        for span in pack(spans, self.profile.max_registers, self.profile.max_gap, alone=alone):
            registers = await self._link.read(span.fc, span.address, span.end - span.address, ORDER_S)
            addresses = range(span.address, span.end)
            image.update({(span.fc, address): word for address, word in zip(addresses, registers, strict=True)})
        return image
