"""One home that floods the broker: raw MQTT 3.1.1 over sockets, as fast as asked for.

    python -m tests.faults.flood --port 1883 --kind messages --seconds 30

prints how much was sent as one JSON line. It belongs to the tests: a broker of others is no place for it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence

HOME = "evil"
_MESSAGES_PER_S = 10_000
_CONNECTS_PER_S = 1000
_TOPICS = 100_000
_PAYLOADS_PER_S = 20
_MEGABYTE = 1_000_000
_TICK_S = 0.02


def _length(size: int) -> bytes:
    out = bytearray()
    while True:
        size, low = divmod(size, 128)
        out.append(low | (0x80 if size else 0))
        if not size:
            return bytes(out)


def _text(value: str) -> bytes:
    return len(value).to_bytes(2, "big") + value.encode()


def connect(client: str) -> bytes:
    """Return a CONNECT packet with a clean session."""
    body = _text("MQTT") + b"\x04\x02\x00\x3c" + _text(client)
    return b"\x10" + _length(len(body)) + body


def publish(topic: str, payload: bytes, *, retain: bool = False) -> bytes:
    """Return a PUBLISH packet with QoS 0, which no broker can hold back."""
    body = _text(topic) + payload
    return bytes((0x30 | int(retain),)) + _length(len(body)) + body


@contextlib.asynccontextmanager
async def _connected(port: int, client: str) -> AsyncIterator[asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(connect(client))
    await reader.readexactly(4)
    try:
        yield writer
    finally:
        writer.transport.abort()


async def _publish(port: int, seconds: float, per_s: float, packet: Callable[[int], bytes]) -> int:
    """Publish at a rate, or as fast as the broker takes it."""
    sent, began_s = 0, time.monotonic()
    while (passed_s := time.monotonic() - began_s) < seconds:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            async with _connected(port, f"hearth-{HOME}-{sent}") as writer:
                while (passed_s := time.monotonic() - began_s) < seconds:
                    due = int(passed_s * per_s)
                    writer.write(b"".join(packet(number) for number in range(sent, due)))
                    sent = max(sent, due)
                    await writer.drain()
                    await asyncio.sleep(_TICK_S)
        await asyncio.sleep(_TICK_S)
    return sent


async def _connect_again(port: int, seconds: float) -> int:
    """Connect, say hello and break off, a thousand times a second."""
    made, began_s, tasks = 0, time.monotonic(), set[asyncio.Task[None]]()

    async def once(number: int) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            async with _connected(port, f"hearth-{HOME}-{number}"):
                pass

    while (passed_s := time.monotonic() - began_s) < seconds:
        due = int(passed_s * _CONNECTS_PER_S)
        for number in range(made, due):
            task = asyncio.create_task(once(number))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        made = due
        await asyncio.sleep(_TICK_S)
    for task in tasks:
        task.cancel()
    return made


async def flood(kind: str, port: int, seconds: float) -> int:
    """Flood in one way and return how many messages or connections there were."""
    readings = f"hearth/{HOME}/readings"
    if kind == "messages":
        small = publish(readings, b'{"epoch":"not one","seq":0}')
        return await _publish(port, seconds, _MESSAGES_PER_S, lambda _: small)
    if kind == "payloads":
        large = publish(readings, b'{"junk":"' + b"x" * _MEGABYTE + b'"}')
        return await _publish(port, seconds, _PAYLOADS_PER_S, lambda _: large)
    if kind == "topics":
        per_s = _TOPICS / seconds
        return await _publish(port, seconds, per_s, lambda n: publish(f"hearth/{HOME}/t/{n}", b"x", retain=True))
    return await _connect_again(port, seconds)


KINDS = ("messages", "payloads", "connects", "topics")


def main(arguments: Sequence[str]) -> int:
    """Flood as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--kind", choices=KINDS, required=True)
    parser.add_argument("--seconds", type=float, default=30.0)
    options = parser.parse_args(arguments)
    print(json.dumps({"sent": asyncio.run(flood(options.kind, options.port, options.seconds))}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
