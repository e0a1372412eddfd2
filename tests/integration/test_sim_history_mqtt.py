"""The history on a real broker: what arrives, and what happens when the hub is slow, deaf or already knows it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

import aiomqtt
import pytest

from hearth_core.messages import Ack, AgentState, Birth, Readings, Status, decode, encode
from hearth_sim.history import HistoryOrder, HubSilentError, Patience, publish_history
from hearth_sim.recorded import parse_instant

ORDER = HistoryOrder("konstanz", parse_instant("2016-03-21T00:00:00Z"), weeks=2)
QUICK = Patience(first_ack_s=0.3, resend_s=0.5, give_up_s=3.0, reconnect_s=0.1)


class Broker(Protocol):
    """The part of the shared fixture used here."""

    port: int
    url: str


class StoringPeer:
    """Stores what arrives by sequence number and acknowledges like a hub: only what is dense from the start."""

    def __init__(self, known: int = 0) -> None:
        self.upto = known
        self.seen: list[int] = []
        self.stored: dict[int, Readings] = {}
        self.birth: Birth | None = None
        self.deaf_to: Callable[[int], bool] = lambda seq: False

    async def serve(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            payload = bytes(message.payload)
            if message.topic.value.endswith("/birth"):
                self.birth = decode(payload, Birth)
            else:
                readings = decode(payload, Readings)
                self.seen.append(readings.seq)
                if self.deaf_to(readings.seq):
                    continue
                self.stored[readings.seq] = readings
                while self.upto + 1 in self.stored:
                    self.upto += 1
            await client.publish("hearth/konstanz/ack", encode(Ack(epoch=ORDER.epoch, upto=self.upto)), qos=1)


@asynccontextmanager
async def peer_at(broker: Broker, peer: StoringPeer) -> AsyncIterator[StoringPeer]:
    async with aiomqtt.Client("127.0.0.1", broker.port) as client:
        await client.subscribe("hearth/+/birth", qos=1)
        await client.subscribe("hearth/+/readings", qos=1)
        task = asyncio.create_task(peer.serve(client))
        yield peer
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def retained(broker: Broker, topic: str) -> bytes:
    async with aiomqtt.Client("127.0.0.1", broker.port) as client:
        await client.subscribe(topic)
        async for message in client.messages:
            return bytes(message.payload)
    raise AssertionError("nothing retained")


async def test_everything_arrives_once_in_order_and_the_tallies_say_so(mosquitto: Broker) -> None:
    said: list[str] = []
    async with peer_at(mosquitto, StoringPeer()) as hub:
        count = await publish_history(mosquitto.url, ORDER, said.append, QUICK)
    assert count == 4 * 2 * 2016
    assert hub.birth is not None
    assert hub.birth.epoch == ORDER.epoch
    assert sorted(hub.stored) == list(range(1, hub.upto + 1))
    produced = dict.fromkeys(("grid", "inverter", "charger", "heat-pump"), 0)
    for seq in sorted(hub.stored):
        for batch in hub.stored[seq].batches:
            assert len(batch.at_ms) <= 500
            produced[batch.device] += len(batch.at_ms)
            assert batch.produced == produced[batch.device]
    first, last = hub.stored[1].batches[0].at_ms[0], hub.stored[hub.upto].batches[0].at_ms[-1]
    assert (first, last) == (int(ORDER.start_s * 1000), int((ORDER.until_s - 300) * 1000))
    status = decode(await retained(mosquitto, "hearth/konstanz/status"), Status)
    assert (status.state, status.epoch, status.last_seq) == (AgentState.STOPPED, ORDER.epoch, hub.upto)
    assert {tally.device: (tally.produced, tally.spooled) for tally in status.tallies} == {
        device: (number, 0) for device, number in produced.items()
    }
    assert "100 %" in said[-1]


async def test_what_the_hub_already_has_is_not_sent_again(mosquitto: Broker) -> None:
    async with peer_at(mosquitto, StoringPeer(known=5)) as hub:
        await publish_history(mosquitto.url, ORDER, lambda text: None, QUICK)
    assert min(hub.seen) == 6


async def test_messages_the_hub_lost_are_sent_again(mosquitto: Broker) -> None:
    peer = StoringPeer()
    peer.deaf_to = lambda seq: seq == 3 and peer.seen.count(3) < 2
    async with peer_at(mosquitto, peer) as hub:
        await publish_history(mosquitto.url, ORDER, lambda text: None, QUICK)
    assert hub.seen.count(3) == 2
    assert hub.upto == max(hub.stored)


async def test_a_hub_that_never_answers_is_given_up(mosquitto: Broker) -> None:
    began_s = time.monotonic()
    with pytest.raises(HubSilentError, match=r"does not acknowledge; 0 of \d+ messages"):
        await publish_history(mosquitto.url, ORDER, lambda text: None, QUICK)
    assert time.monotonic() - began_s < 10


async def test_a_broker_that_is_not_there_is_named(unused_tcp_port: int) -> None:
    with pytest.raises(HubSilentError, match=f"broker 127.0.0.1:{unused_tcp_port}"):
        await publish_history(f"mqtt://127.0.0.1:{unused_tcp_port}", ORDER, lambda text: None, QUICK)
