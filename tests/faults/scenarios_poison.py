"""F-23: what can never be stored must not stop what can."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from tests.faults.processes import FaultsError, wait_until
from tests.faults.scenario import Outcome, Size, scenario
from tests.faults.scenarios_kill import conclude, fill
from tests.faults.world import World

from hearth_core import topics
from hearth_core.messages import Ack, DeviceBatch, Readings, decode, encode

_NAME, _DEVICE, _EPOCH = "f23-poison", "meter", "00f23f23f23f2300"
_KEPT_BYTES = 64 * 1024
_BLOCKED_S = 30.0


class Poisoner:
    """A home that sends a good record after each bad one, as its own agent would number them."""

    def __init__(self, port: int) -> None:
        self.good = 0
        self.bad = 0
        self.nameless = 0
        """Bad messages that nobody can assign to a record."""
        self.upto = 0
        self._seq = self._produced = 0
        self._began_ms = int(time.time() * 1000) - 3_600_000
        self._connected = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, _NAME, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.on_connect = self._subscribe
        self._client.on_message = self._hear
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        if not self._connected.wait(10):
            raise FaultsError("the poisoner cannot connect")

    @property
    def last_seq(self) -> int:
        """The last record it sent."""
        return self._seq

    @property
    def next_number(self) -> int:
        """The number of the next reading."""
        return self._produced + 1

    def send_good(self) -> None:
        """Send a record of one reading."""
        self._seq += 1
        self._produced += 1
        self.good += 1
        points: dict[str, list[float | None]] = {"power_w": [1.0]}
        at_ms = [self._began_ms + 1000 * self._seq]
        batch = DeviceBatch(device=_DEVICE, at_ms=at_ms, points=points, produced=self._produced)
        self.publish(encode(Readings(epoch=_EPOCH, seq=self._seq, batches=[batch])))

    def send_bad(self, **wrong: Any) -> None:
        """Send a record of one reading with something wrong in its batch."""
        self._seq += 1
        self._produced += 1
        self.bad += 1
        at_ms = [self._began_ms + 1000 * self._seq]
        batch = {"device": _DEVICE, "at_ms": at_ms, "points": {"power_w": [1.0]}, "produced": self._produced} | wrong
        self.publish(self._record(json.dumps([batch])))

    def send_raw(self, batches: str) -> None:
        """Send a record whose batches are this JSON, or no JSON at all; its reading counts as produced."""
        self._seq += 1
        self._produced += 1
        self.bad += 1
        self.publish(self._record(batches))

    def _record(self, batches: str) -> bytes:
        return f'{{"epoch":"{_EPOCH}","seq":{self._seq},"through":null,"batches":{batches},"gaps":[]}}'.encode()

    def publish(self, payload: bytes) -> None:
        """Send bytes to the topic of readings."""
        self._client.publish(topics.topic(_NAME, topics.READINGS), payload, qos=1).wait_for_publish(30)

    def send_nameless(self, payload: bytes) -> None:
        """Send what carries no readable number."""
        self.nameless += 1
        self.publish(payload)

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def _subscribe(self, client: Client, *_: object) -> None:
        client.subscribe(topics.topic(_NAME, topics.ACK), qos=1)
        self._connected.set()

    def _hear(self, _: Client, __: object, message: MQTTMessage) -> None:
        ack = decode(bytes(message.payload), Ack)
        if ack.epoch == _EPOCH:
            self.upto = max(self.upto, ack.upto)


@scenario(
    "F-23",
    "poison: bad schema, 1e400, huge integers, NUL, 10 MB of JSON, deep nesting, no JSON",
    "every one dead-lettered with a reason and at most 64 KiB of it; the watermark moves on; nobody is blocked",
    short_s=12,
)
def poison(world: World, size: Size) -> Outcome:
    outcome = Outcome()
    hub = [part.pid for part in world.ingests]
    poisoner = Poisoner(world.broker_port)
    try:
        with world.homes("f23-good", 2, devices=size.devices) as homes:
            world.until_fresh(homes)
            for _ in range(1 if size.short else 20):
                _pour(poisoner)
                outcome.recovery_s = max(outcome.recovery_s, world.until_fresh(homes))
            try:
                limit = poisoner.last_seq
                wait_until(lambda: poisoner.upto >= limit, _BLOCKED_S, "the watermark over the poison")
            except FaultsError as error:
                outcome.demand(holds=False, text=f"{error}: {poisoner.upto} of {poisoner.last_seq}")
            fill(homes, size.values // 2)
            conclude(world, homes, outcome)
    finally:
        poisoner.close()
    _judge(world, poisoner, outcome)
    outcome.demand([part.pid for part in world.ingests] == hub, "the hub's ingest ended through it")
    outcome.demand(outcome.recovery_s <= 10.0, f"others waited {outcome.recovery_s:.0f} s")
    return outcome


def _pour(poisoner: Poisoner) -> None:
    """Send every kind of poison, a good record after each."""
    wrongs: tuple[dict[str, Any], ...] = (
        {"points": {"power_w": "much"}},
        {"points": {"no_such_point": [1.0]}},
        {"points": {"power_w": [1.0, 2.0]}},
        {"points": []},
        {"at_ms": []},
        {"at_ms": [-1]},
        {"at_ms": [10**30]},
        {"at_ms": [253402300799999]},
        {"produced": 10**30},
        {"produced": 0},
        {"device": "../etc"},
        {"device": "a\0b"},
        {"surprise": 1},
    )
    for wrong in wrongs:
        poisoner.send_bad(**wrong)
        poisoner.send_good()
    for batches in (
        f'[{{"device":"{_DEVICE}","at_ms":[1],"points":{{"power_w":[1e400]}},"produced":{poisoner.next_number}}}]',
        '{"a":1}',
        '"\\u0000"',
        "[" * 100_000 + "]" * 100_000,
        '[{"x":"' + "y" * 10_000_000 + '"}]',
        "[NaN]",
        "[\xff\xfe",
    ):
        poisoner.send_raw(batches)
        poisoner.send_good()
    for payload in (b"", b"\0", b"\xff" * 100, b"null", b"[]", b'{"epoch":"' + _EPOCH.encode() + b'"}', b"{" * 100_000):
        poisoner.send_nameless(payload)
        poisoner.send_good()


def _judge(world: World, poisoner: Poisoner, outcome: Outcome) -> None:
    with world.connect() as connection:
        letters, reasons, longest = connection.execute(
            "select count(*), count(*) filter (where reason <> ''), coalesce(max(length(raw)), 0)"
            " from dead_letter where agent = %s",
            (_NAME,),
        ).fetchone() or (0, 0, 0)
        rows = connection.execute(
            "select count(*) from reading r join device d on d.id = r.device_id join home h on h.id = d.home_id"
            " where h.agent = %s",
            (_NAME,),
        ).fetchone() or (0,)
    expected = poisoner.bad + poisoner.nameless
    outcome.figures |= {"poison": expected, "letters": letters, "largest_letter": longest}
    outcome.demand(letters >= expected, f"{letters} dead letters for {expected} bad messages")
    outcome.demand(reasons == letters, f"{letters - reasons} dead letters without a reason")
    outcome.demand(longest <= _KEPT_BYTES, f"a dead letter holds {longest} bytes")
    outcome.demand(rows[0] == poisoner.good, f"{rows[0]} rows of {poisoner.good} good readings")
