"""From an order to the registers that say it: values clipped and scaled as this device wants them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from hearth_agent.devices.codec import EncodeError, encode
from hearth_agent.devices.controls import Write
from hearth_agent.devices.errors import DeviceError
from hearth_agent.devices.layout import Chain, Place, place, registers_of, write_place
from hearth_agent.devices.packing import Span
from hearth_agent.devices.profile import Profile
from hearth_agent.devices.question import READ_COILS, READ_HOLDING, WRITE_COIL, WRITE_REGISTERS
from hearth_agent.devices.readplan import number_at, scale_at
from hearth_agent.devices.registers import REGISTERS

Variables = Mapping[str, float]
Image = Mapping[tuple[int, int], int]
"""(function code that reads it, address) -> register."""
ALL_BITS = 0xFFFF


class Encoded(NamedTuple):
    """Registers (or a coil) to be written from one address on."""

    fc: int
    """The function code that writes: 5 (one coil), 6 (one register) or 16."""
    address: int
    registers: list[int]
    verify: bool = True
    """Whether they are read back."""
    mask: int = ALL_BITS
    """The bits of the registers that are the order's."""

    @property
    def read_back(self) -> Span:
        """What to read to see whether the device has taken it."""
        fc = READ_COILS if self.fc == WRITE_COIL else READ_HOLDING
        return Span(fc, self.address, self.address + len(self.registers))

    def is_empty_in(self, image: Image) -> bool:
        """Tell whether what was read back is 0 or "not available"."""
        fc, first, end = self.read_back
        found = {image.get((fc, address)) for address in range(first, end)}
        return found in ({0}, {0xFFFF})

    def stands_in(self, image: Image) -> bool:
        """Tell whether what was read back is what was written."""
        fc, first, _ = self.read_back
        found = [image.get((fc, first + index)) for index in range(len(self.registers))]
        return all(
            word is not None and word & self.mask == written & self.mask
            for word, written in zip(found, self.registers, strict=True)
        )


class Prepared(NamedTuple):
    """A write whose place is known, and what has to be read from the device before it can be encoded."""

    device: str
    name: str
    write: Write
    fc: int
    where: Place
    value: float
    whole: Place | None
    """The quantity the value is a percentage of."""
    highest: Place | None
    """The quantity the value may not exceed."""

    @property
    def needed(self) -> list[Span]:
        """Registers the encoding depends on."""
        spans = [Span(one.fc, *registers_of(one)) for one in (self.whole, self.highest) if one is not None]
        scale = self.where.scale_factor_address
        if scale is not None:
            spans.append(Span(self.where.fc, scale, scale + 1))
        if self.write.bits is not None:
            spans.append(Span(self.where.fc, *registers_of(self.where)))
        return spans

    def encode(self, image: Image) -> Encoded:
        """Return the registers.

        Args:
            image: What the device answered, at least to `needed`.

        Raises:
            DeviceError: The device does not tell a number the encoding needs.
            EncodeError: The value cannot be said with this register.
        """
        number = self._in_register(image)
        if self.fc == WRITE_COIL:
            return Encoded(self.fc, self.where.address, [int(number != 0)], self.write.verify)
        registers = encode(number, self.where.type, self.where.word_order)
        bits = self.write.bits
        if bits is None:
            return Encoded(self.fc, self.where.address, registers, self.write.verify)
        if registers[0] & ~bits:
            raise EncodeError(f"{registers[0]:#06x} has bits that are not of {bits:#06x}")
        present = image[self.where.fc, self.where.address]
        return Encoded(self.fc, self.where.address, [present & ~bits | registers[0]], self.write.verify, bits)

    def _in_register(self, image: Image) -> float:
        """Make the value the register's own number: translated, or clipped and scaled."""
        value = self.value
        if self.write.codes:
            code = self.write.codes.get(round(value)) if value == round(value) else None
            if code is None:
                raise EncodeError(f"{self.name} has no code for {value:g}")
            return code
        if self.whole is not None:
            full = self._told(self.whole, image, "what it is a percentage of")
            if full <= 0:
                raise DeviceError(self.device, f"tells {full:g} as what {self.name} is a percentage of")
            value = max(-100.0, min(100.0, 100.0 * value / full))
        if self.highest is not None:
            value = min(value, self._told(self.highest, image, "its highest value"))
        if self.write.high is not None:
            value = min(value, self.write.high)
        if self.write.low is not None:
            value = max(value, self.write.low)
        divisor: float | None = self.where.factor
        if self.where.scale_factor_address is not None:
            divisor = scale_at([image[self.where.fc, self.where.scale_factor_address]], 0)
        if divisor is None:
            raise DeviceError(self.device, f"does not tell the scale factor of {self.name}")
        return value / divisor

    def _told(self, one: Place, image: Image, what: str) -> float:
        first, end = registers_of(one)
        number = number_at(one, [image[one.fc, address] for address in range(first, end)], first)
        if number is None:
            raise DeviceError(self.device, f"does not tell about {self.name} {what}")
        return number


def prepare(device: str, profile: Profile, write: Write, variables: Variables, chain: Chain | None) -> Prepared:
    """Place one write of an order on this device.

    Raises:
        DeviceError: The device lacks the register, or a quantity its value depends on.
    """
    name = write.point or str(write.address)
    where = write_place(profile, write, chain)
    if where is None:
        raise DeviceError(device, f"has no point {name} in model {write.model}")
    told = {}
    for field, source in (("percent_of", write.percent_of), ("high_of", write.high_of)):
        told[field] = place(profile, source, chain) if source is not None else None
        if source is not None and told[field] is None:
            raise DeviceError(device, f"has no point {source.point} in model {source.model}, the {field} of {name}")
    value = variables[write.value] if isinstance(write.value, str) else write.value
    fc = write.fc or (profile.write_fc if REGISTERS[where.type] == 1 else WRITE_REGISTERS)
    return Prepared(device, name, write, fc, where, value, told["percent_of"], told["high_of"])


def to_verify(encoded: Sequence[Encoded]) -> list[Encoded]:
    """Return the writes that must stand afterwards: of several to one register the last."""
    last = {(one.fc == WRITE_COIL, one.address): one for one in encoded}
    return [one for one in last.values() if one.verify]


def join(encoded: Sequence[Encoded], *, alone: bool = False) -> list[Encoded]:
    """Join writes with function 16 that follow each other without a gap, keeping the order.

    Args:
        encoded: One write a register of the profile.
        alone: The device accepts exactly one of its values a request.

    Example:
        >>> joined = join([Encoded(16, 15, [60]), Encoded(16, 12, [100]), Encoded(16, 13, [200])])
        >>> [(one.address, one.registers) for one in joined]
        [(15, [60]), (12, [100, 200])]
    """
    joined: list[Encoded] = []
    for one in encoded:
        last = joined[-1] if joined else None
        follows = last is not None and last.address + len(last.registers) == one.address
        if last is not None and follows and not alone and last.fc == one.fc == WRITE_REGISTERS:
            last.registers.extend(one.registers)
        else:
            joined.append(one._replace(registers=list(one.registers)))
    return joined
