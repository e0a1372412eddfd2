"""From an order to the registers that say it: values scaled as this device wants them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from hearth_agent.devices.codec import encode
from hearth_agent.devices.errors import DeviceError
from hearth_agent.devices.layout import Chain, Place, place, registers_of, write_place
from hearth_agent.devices.packing import Span
from hearth_agent.devices.profile import Profile, Write
from hearth_agent.devices.readplan import number_at, scale_at

Variables = Mapping[str, float]
_HOLDING = 3


class Encoded(NamedTuple):
    """Registers to be written from one address on."""

    address: int
    registers: list[int]


class Prepared(NamedTuple):
    """A write whose place is known, and what has to be read from the device before it can be encoded."""

    device: str
    name: str
    where: Place
    value: float
    whole: Place | None
    """The quantity the value is a percentage of."""

    @property
    def needed(self) -> list[Span]:
        """Holding registers the encoding depends on."""
        spans = []
        if self.whole is not None:
            spans.append(Span(_HOLDING, *registers_of(self.whole)))
        scale = self.where.scale_factor_address
        if scale is not None:
            spans.append(Span(_HOLDING, scale, scale + 1))
        return spans

    def encode(self, image: Mapping[int, int]) -> Encoded:
        """Return the registers.

        Args:
            image: Registers of the device by address, at least those of `needed`.

        Raises:
            DeviceError: The device does not tell a number the encoding needs.
            EncodeError: The value does not fit.
        """
        value = self.value
        if self.whole is not None:
            first, end = registers_of(self.whole)
            full = number_at(self.whole, [image[address] for address in range(first, end)], first)
            if full is None or full <= 0:
                raise DeviceError(self.device, f"does not tell what {self.name} is a percentage of")
            value = max(-100.0, min(100.0, 100.0 * value / full))
        divisor: float | None = self.where.factor
        if self.where.scale_factor_address is not None:
            divisor = scale_at([image[self.where.scale_factor_address]], 0)
        if divisor is None:
            raise DeviceError(self.device, f"does not tell the scale factor of {self.name}")
        return Encoded(self.where.address, encode(value / divisor, self.where.type, self.where.word_order))


def prepare(device: str, profile: Profile, write: Write, variables: Variables, chain: Chain | None) -> Prepared:
    """Place one write of an order on this device.

    Raises:
        DeviceError: The device lacks the register, or the quantity it is a percentage of.
    """
    name = write.point or str(write.address)
    where = write_place(profile, write, chain)
    whole = place(profile, write.percent_of, chain) if write.percent_of is not None else None
    if where is None or (write.percent_of is not None and whole is None):
        raise DeviceError(device, f"has no point {name} in model {write.model}")
    value = variables[write.value] if isinstance(write.value, str) else write.value
    return Prepared(device, name, where, value, whole)


def join(encoded: Sequence[Encoded]) -> list[Encoded]:
    """Join writes that follow each other without a gap, keeping the order.

    Example:
        >>> [tuple(one) for one in join([Encoded(15, [60]), Encoded(12, [100]), Encoded(13, [200])])]
        [(15, [60]), (12, [100, 200])]
    """
    joined: list[Encoded] = []
    for address, registers in encoded:
        if joined and joined[-1].address + len(joined[-1].registers) == address:
            joined[-1].registers.extend(registers)
        else:
            joined.append(Encoded(address, list(registers)))
    return joined
