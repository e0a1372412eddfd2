"""What a proxy does to the traffic, and how it doubles and swaps MQTT messages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_PUBLISH = 3


@dataclass
class Weather:
    """What happens to the traffic; the defaults are a clear day. May be changed while it flows."""

    latency_s: float = 0.0
    """Added in each direction."""
    loss: float = 0.0
    """Share of packets that must be sent again [0..1]."""
    resend_s: float = 0.4
    """How long a stream stands still for one of them."""
    bytes_per_s: float = 0.0
    """In each direction; 0 = unlimited."""
    cut: bool = False
    """Nothing passes, nothing is refused: a partition."""
    duplicate: bool = False
    reorder: bool = False

    def clear(self) -> None:
        """Let the sun shine."""
        self.latency_s = self.loss = self.bytes_per_s = 0.0
        self.cut = self.duplicate = self.reorder = False


@dataclass
class Counts:
    """Messages that were tampered with."""

    doubled: int = 0
    swapped: int = 0


class Shuffle:
    """Cuts one direction of one connection into MQTT packets, doubles them, and swaps neighbours."""

    def __init__(self, weather: Weather, counts: Counts) -> None:
        self._weather, self._counts = weather, counts
        self._bytes = b""
        self._held: bytes | None = None

    def feed(self, data: bytes) -> bytes:
        """Return what goes on now."""
        if not (self._weather.duplicate or self._weather.reorder or self._bytes or self._held):
            return data
        self._bytes += data
        return b"".join(self._one(packet) for packet in self._packets())

    def flush(self) -> bytes:
        """Nothing followed for a while: let go of what is held back."""
        held, self._held = self._held, None
        return held or b""

    def _packets(self) -> Iterator[bytes]:
        while (length := _packet_length(self._bytes)) is not None and len(self._bytes) >= length:
            packet, self._bytes = self._bytes[:length], self._bytes[length:]
            yield packet

    def _one(self, packet: bytes) -> bytes:
        if packet[0] >> 4 != _PUBLISH:
            return packet
        if self._weather.duplicate:
            self._counts.doubled += 1
            packet += packet
        if not self._weather.reorder:
            return self.flush() + packet
        if self._held is None:
            self._held = packet
            return b""
        self._counts.swapped += 1
        return packet + self.flush()


def _packet_length(data: bytes) -> int | None:
    """Return the length of the MQTT packet at the start, or None while its header is incomplete."""
    length = 0
    for place in range(1, min(len(data), 5)):
        length += (data[place] & 0x7F) << (7 * (place - 1))
        if not data[place] & 0x80:
            return 1 + place + length
    return None
