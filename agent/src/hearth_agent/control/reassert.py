"""Tells devices to be their own masters again, from the plain registers of `hearth_agent.control.ordered`.

This is a way of its own to the devices: it needs neither profiles nor the agent's event loop, and knows one thing to
do. Each line (host and port) has a thread, so that a device that hangs delays only those behind it on the same line.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from hearth_agent.control.ordered import ALL_BITS, Contact, Ordered, OrdersFile, SafeWrite

if TYPE_CHECKING:
    from pymodbus.client.base import ModbusBaseSyncClient
    from pymodbus.pdu import ModbusPDU

logger = logging.getLogger(__name__)

_COIL, _ONE = 5, 6
_AGAIN_S = 0.5


class NotObeyedError(Exception):
    """The device could not be told, or reads back something else."""


def reassert(orders: OrdersFile, patience_s: float) -> list[str]:
    """Make every ordered device safe; entries of those that obeyed are dropped.

    Args:
        orders: The devices. All their connections elsewhere should be closed: many accept only one.
        patience_s: How long to try [s]. A request under way at the end may last its time-out longer.

    Returns:
        One line of text for each device that did not obey.
    """
    deadline_s = time.monotonic() + patience_s
    lines: dict[tuple[str, int], list[Ordered]] = defaultdict(list)
    for entry in orders.entries:
        lines[entry.at.line].append(entry)
    failures: list[str] = []
    threads = [
        threading.Thread(target=_work, args=(orders, entries, deadline_s, failures.append), daemon=True)
        for entries in lines.values()
    ]
    for thread in threads:
        thread.start()
    end_s = deadline_s + max((entry.at.timeout_s for entry in orders.entries), default=0.0)
    for thread in threads:
        thread.join(max(0.0, end_s - time.monotonic()))
    return [f"{key}: no answer in time" for key in _untold(orders, failures)] + failures


def _untold(orders: OrdersFile, failures: Sequence[str]) -> list[str]:
    """Return the entries that are neither done nor failed: their line still hangs."""
    return [entry.key for entry in orders.entries if not any(text.startswith(f"{entry.key}: ") for text in failures)]


def _work(orders: OrdersFile, entries: Sequence[Ordered], deadline_s: float, failed: Callable[[str], None]) -> None:
    """Serve one line: every device gets a turn before the first gets a second one."""
    left = list(entries)
    reasons: dict[str, str] = {}
    while left:
        for entry in list(left):
            try:
                make_safe(entry)
                orders.drop(entry.key)
            except (NotObeyedError, OSError) as error:
                reasons[entry.key] = str(error)
                continue
            logger.warning("%s is its own master again", entry.key)
            left.remove(entry)
        if time.monotonic() + _AGAIN_S > deadline_s:
            break
        if left:
            time.sleep(_AGAIN_S)
    for entry in left:
        failed(f"{entry.key}: {reasons[entry.key]}")


def make_safe(entry: Ordered) -> None:
    """Write a device's safe state over a connection of its own and read it back.

    Raises:
        NotObeyedError: It did not work; nothing is known of the device then.
    """
    client = _client(entry.at)
    try:
        if not client.connect():
            raise NotObeyedError(f"nobody answers at {entry.at.host}:{entry.at.port}")
        time.sleep(entry.at.connect_delay_s)
        for write in entry.safe:
            _write(client, entry.at, write)
        time.sleep(entry.settle_s)
        for write in entry.safe:
            if write.verify and not _stands(client, entry.at, write):
                raise NotObeyedError(f"register {write.address} reads back something else")
    finally:
        client.close()  # type: ignore[no-untyped-call]


def _client(at: Contact) -> ModbusBaseSyncClient:
    # only whoever has something to tell needs pymodbus: a waiting supervisor stays small
    from pymodbus.client import ModbusSerialClient, ModbusTcpClient
    from pymodbus.framer import FramerType

    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)
    retries = int(at.forgets_first_request)
    if at.transport in ("tcp", "rtu_over_tcp"):
        framer = FramerType.SOCKET if at.transport == "tcp" else FramerType.RTU
        return ModbusTcpClient(at.host, port=at.port, framer=framer, timeout=at.timeout_s, retries=retries)
    return ModbusSerialClient(
        at.host,
        framer=FramerType.RTU if at.transport == "rtu" else FramerType.ASCII,
        baudrate=at.baudrate,
        parity=at.parity,
        bytesize=at.bytesize,
        stopbits=at.stopbits,
        timeout=at.timeout_s,
        retries=retries,
    )


def _write(client: ModbusBaseSyncClient, at: Contact, write: SafeWrite) -> None:
    address, registers, unit = write.address, write.registers, at.unit
    if write.mask != ALL_BITS and write.fc != _COIL:
        present = _ask(at, address, lambda: client.read_holding_registers(address, count=1, device_id=unit))
        registers = [present.registers[0] & ~write.mask & ALL_BITS | registers[0] & write.mask]
    if write.fc == _COIL:
        _ask(at, address, lambda: client.write_coil(address, bool(registers[0]), device_id=unit))
    elif write.fc == _ONE:
        _ask(at, address, lambda: client.write_register(address, registers[0], device_id=unit))
    else:
        _ask(at, address, lambda: client.write_registers(address, registers, device_id=unit))


def _stands(client: ModbusBaseSyncClient, at: Contact, write: SafeWrite) -> bool:
    address, count, unit = write.address, len(write.registers), at.unit
    if write.fc == _COIL:
        coil = _ask(at, address, lambda: client.read_coils(address, count=1, device_id=unit)).bits[0]
        return coil == bool(write.registers[0])
    found = _ask(at, address, lambda: client.read_holding_registers(address, count=count, device_id=unit)).registers
    return len(found) == count and all(
        one & write.mask == other & write.mask for one, other in zip(found, write.registers, strict=True)
    )


def _ask(at: Contact, address: int, request: Callable[[], ModbusPDU]) -> ModbusPDU:
    from pymodbus.exceptions import ModbusException

    try:
        answer = request()
    except ModbusException as error:
        raise NotObeyedError(f"no answer from {at.host}:{at.port}") from error
    if answer.isError():
        raise NotObeyedError(f"refuses register {address} (Modbus exception {answer.exception_code})")
    time.sleep(at.gap_s)
    return answer
