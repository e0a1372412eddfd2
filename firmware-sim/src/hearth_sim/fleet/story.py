"""What one home measured since its epoch began, as messages on demand: record ``n`` is the reading of instant ``n``."""

from __future__ import annotations

from hearth_sim.fleet.values import Variant
from hearth_sim.fleet.window import Cut

DEVICE = "inverter"
MESSAGE_BYTES = 64 * 1024
MESSAGE_READINGS = 500

_INSTANT_BYTES = len("1700000000000,")
_AROUND_BYTES = 256  # names of the fields, epoch, numbers
_KEY_BYTES = 40  # the longest name of a point with its brackets, twice over


class Story:
    """An epoch of one home, one reading a record."""

    __slots__ = ("_epoch", "_first_ms", "_interval_ms", "_variant", "_within_bytes")

    def __init__(self, epoch: str, variant: Variant, first_ms: int, interval_ms: int, series: int) -> None:
        self._epoch = epoch.encode()
        self._variant = variant
        self._first_ms, self._interval_ms = first_ms, interval_ms
        self._within_bytes = MESSAGE_BYTES - _AROUND_BYTES - series * _KEY_BYTES

    def at_ms(self, seq: int) -> int:
        """Return when a record was sampled."""
        return self._first_ms + (seq - 1) * self._interval_ms

    def fitting(self, cut: Cut) -> Cut:
        """Return the beginning of a cut that fits into one message."""
        wanted = min(MESSAGE_READINGS, cut.last - cut.first + 1)
        if wanted == 1:
            return cut
        rows = self._variant.rows_that_fit(self.at_ms(cut.first), wanted, self._within_bytes, _INSTANT_BYTES)
        return Cut(cut.first, cut.first + rows - 1)

    def message(self, cut: Cut) -> bytes:
        """Return the `Readings` of records that `fitting` has found to fit, as JSON."""
        first_ms, rows = self.at_ms(cut.first), cut.last - cut.first + 1
        instants = range(first_ms, first_ms + rows * self._interval_ms, self._interval_ms)
        return (
            b'{"epoch":"%b","seq":%d,"through":%b,"batches":[{"device":"inverter","at_ms":[%b],"points":{%b},'
            b'"produced":%d}],"gaps":[]}'
        ) % (
            self._epoch,
            cut.first,
            b"%d" % cut.last if rows > 1 else b"null",
            ",".join(map(str, instants)).encode(),
            self._variant.points(first_ms, rows),
            cut.last,
        )
