"""Known to be bad: an ingest that says "stored" when a record arrives, and commits once a second.

It must fail F-02. Changed of the real one: `IngestProcess._take` (a message has come), `_store` (a batch is due) and
`_acknowledge` (where the honest answer to a birth tells it where to begin). In all else it is careful: it says only
what has arrived without a hole.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence

from paho.mqtt.client import Client, MQTTMessage

import hearth_hub.ingest.process as real
from hearth_core import topics
from hearth_core.messages import Ack, encode
from hearth_hub.cli import main
from hearth_hub.ingest.records import Record
from hearth_hub.ingest.service import Incoming, Ingest, Opened, open_message

_BETWEEN_COMMITS_S = 1.0
_told: dict[tuple[str, str], int] = {}
_ahead: dict[tuple[str, str], dict[int, int]] = defaultdict(dict)


class EarlyIngestProcess(real.IngestProcess):
    """Acknowledges before it commits."""

    def _take(self, client: Client, userdata: object, message: MQTTMessage) -> None:
        super()._take(client, userdata, message)
        record = open_message(Incoming(message.topic, bytes(message.payload)), self._clock).content
        if isinstance(record, Record) and (key := (record.agent, record.epoch)) in _told:
            ack = Ack(epoch=record.epoch, upto=_advance(key, record))
            client.publish(topics.topic(record.agent, topics.ACK), encode(ack), qos=1)

    def _store(self, ingest: Ingest, messages: Sequence[Opened]) -> None:
        time.sleep(_BETWEEN_COMMITS_S)
        super()._store(ingest, messages)

    def _acknowledge(self, messages: Sequence[Opened], acks: Mapping[str, Sequence[Ack]]) -> None:
        for agent, told in acks.items():
            for ack in told:
                _told.setdefault((agent, ack.epoch), ack.upto)
        super()._acknowledge(messages, acks)


def _advance(key: tuple[str, str], record: Record) -> int:
    """Return how far this record's epoch has arrived without a hole."""
    ahead = _ahead[key]
    ahead[record.seq] = record.through
    while (first := min(ahead, default=None)) is not None and first <= _told[key] + 1:
        _told[key] = max(_told[key], ahead.pop(first))
    return _told[key]


if __name__ == "__main__":
    vars(real)["IngestProcess"] = EarlyIngestProcess
    main()
