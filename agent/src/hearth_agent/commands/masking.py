"""Serial numbers taken out of register dumps: where a profile says they stand, and wherever else they turn up."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

Image = dict[tuple[int, int], int]

MASK = "X"
# shorter ones would hit by chance
_SHORTEST_TEXT = 5
_SMALLEST_NUMBER = 0x10000
_BYTE_ORDERS: tuple[Literal["big", "little"], ...] = ("big", "little")


@dataclass(frozen=True)
class SerialText:
    """Registers that hold a serial number as text."""

    fc: int
    address: int
    count: int
    low_byte_first: bool = False


def mask_text(text: str, serials: Iterable[str]) -> str:
    """Return a text without the serial numbers.

    Example:
        >>> mask_text("SUN2000 TA2190034567", ["TA2190034567"])
        'SUN2000 XXXXXXXXXXXX'
    """
    for serial in serials:
        if len(serial) >= _SHORTEST_TEXT:
            text = re.sub(re.escape(serial), MASK * len(serial), text, flags=re.IGNORECASE)
    return text


def mask_image(image: Mapping[tuple[int, int], int], places: Iterable[SerialText], serials: Iterable[str]) -> Image:
    """Return a dump without serial numbers.

    Args:
        image: (function code, address) -> register.
        places: Registers that hold one; whatever they hold is masked.
        serials: The numbers themselves, looked for everywhere: as text in both byte orders, and as a 32-bit number.
    """
    masked = dict(image)
    for place in places:
        keys = [(place.fc, at) for at in range(place.address, place.address + place.count) if (place.fc, at) in masked]
        masked |= _mask_place({key: masked[key] for key in keys}, low_byte_first=place.low_byte_first)
    for serial in {one for one in serials if len(one) >= _SHORTEST_TEXT}:
        for run in list(runs(masked)):
            _mask_in_run(masked, run, serial)
    return masked


def runs(image: Mapping[tuple[int, int], int]) -> Iterator[list[tuple[int, int]]]:
    """Yield the keys of consecutive registers, in order."""
    run: list[tuple[int, int]] = []
    for key in sorted(image):
        if run and key != (run[-1][0], run[-1][1] + 1):
            yield run
            run = []
        run.append(key)
    if run:
        yield run


def _mask_place(image: Image, *, low_byte_first: bool) -> Image:
    """Mask letters and digits of a text; what is no text becomes 0."""
    data = b"".join(word.to_bytes(2, "little" if low_byte_first else "big") for word in image.values())
    text = data.rstrip(b"\0")
    if not all(0x20 <= byte < 0x7F for byte in text):
        return dict.fromkeys(image, 0)
    return {key: _mask_register(word) for key, word in image.items()}


def _mask_register(word: int) -> int:
    """Mask the letters and digits among two characters."""
    high, low = (ord(MASK) if chr(byte).isalnum() and byte < 0x80 else byte for byte in (word >> 8, word & 0xFF))
    return high << 8 | low


def _mask_in_run(image: Image, run: list[tuple[int, int]], serial: str) -> None:
    for order in _BYTE_ORDERS:
        data = b"".join(image[key].to_bytes(2, order) for key in run)
        for found in re.finditer(re.escape(serial.encode()), data, re.IGNORECASE):
            for index in range(found.start() // 2, (found.end() + 1) // 2):
                image[run[index]] = _mask_register(image[run[index]])
    number = int(serial) if serial.isdigit() else 0
    if _SMALLEST_NUMBER <= number < 1 << 32:
        halves = (number >> 16, number & 0xFFFF)
        for first, second in pairwise(run):
            if (image[first], image[second]) in (halves, halves[::-1]):
                image[first] = image[second] = 0
