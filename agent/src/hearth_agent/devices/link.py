"""One Modbus TCP connection: checked answers, own errors, no hidden retries."""

from __future__ import annotations

import logging

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ModbusPDU

from hearth_agent.devices.errors import DeviceError, DeviceRefusedError, DeviceTimeoutError

# pymodbus logs one line a failed request; the device tells an outage once instead
logging.getLogger("pymodbus").setLevel(logging.CRITICAL)

_READ_COILS = 1
_WRITE_COIL, _WRITE_REGISTER, _WRITE_REGISTERS = 5, 6, 16


class ModbusLink:
    """A connection to one unit; a new pymodbus client each time it is opened."""

    def __init__(self, device: str, host: str, port: int, unit: int, timeout_s: float) -> None:
        self._device, self._host, self._port, self._unit = device, host, port, unit
        self._timeout_s = timeout_s
        self._client: AsyncModbusTcpClient | None = None

    @property
    def connected(self) -> bool:
        """Whether the TCP connection stands."""
        return self._client is not None and self._client.connected

    async def open(self) -> None:
        """Connect.

        Raises:
            DeviceError: Nobody listens there, within the time-out.
        """
        self.close()
        # reconnect_delay=0: the poller owns reconnecting, pymodbus would do it behind its back
        client = AsyncModbusTcpClient(
            self._host, port=self._port, timeout=self._timeout_s, retries=0, reconnect_delay=0
        )
        if not await client.connect():
            client.close()
            raise DeviceError(self._device, f"does not accept a connection at {self._host}:{self._port}")
        self._client = client

    def close(self) -> None:
        """Drop the connection."""
        if self._client is not None:
            self._client.close()
            self._client = None

    async def read(self, fc: int, address: int, count: int) -> list[int]:
        """Read registers with function code 3 or 4, coils with 1.

        Raises:
            DeviceTimeoutError: No answer in time.
            DeviceRefusedError: The device answered with an exception.
            DeviceError: Not connected, or the answer is not one to this question.
        """
        client = self._open_client()
        requests = {1: client.read_coils, 3: client.read_holding_registers, 4: client.read_input_registers}
        request = requests[fc]
        try:
            answer = await request(address, count=count, device_id=self._unit)
        except ModbusException as error:
            raise DeviceTimeoutError(self._device, f"did not answer within {self._timeout_s:g} s") from error
        self._check(answer, fc, address)
        if fc == _READ_COILS:
            return [int(bit) for bit in answer.bits[:count]]
        # pymodbus does not compare the answer with the question
        if len(answer.registers) != count:
            raise DeviceError(self._device, f"sent {len(answer.registers)} registers, asked were {count}")
        return list(answer.registers)

    async def write(self, address: int, registers: list[int], *, fc: int = _WRITE_REGISTERS) -> None:
        """Write holding registers (function code 16), one of them (6), or a coil (5).

        Raises:
            DeviceTimeoutError: No answer in time; the registers may have been written or not.
            DeviceRefusedError: The device answered with an exception.
            DeviceError: Not connected, or the answer is not one to this order.
        """
        client = self._open_client()
        try:
            answer: ModbusPDU
            if fc == _WRITE_COIL:
                answer = await client.write_coil(address, bool(registers[0]), device_id=self._unit)
            elif fc == _WRITE_REGISTER:
                answer = await client.write_register(address, registers[0], device_id=self._unit)
            else:
                answer = await client.write_registers(address, registers, device_id=self._unit)
        except ModbusException as error:
            raise DeviceTimeoutError(self._device, f"did not answer within {self._timeout_s:g} s") from error
        self._check(answer, fc, address)

    def _open_client(self) -> AsyncModbusTcpClient:
        if self._client is None or not self._client.connected:
            raise DeviceError(self._device, "is not connected")
        return self._client

    def _check(self, answer: ModbusPDU, fc: int, address: int) -> None:
        if answer.isError():
            text = f"refuses registers from {address} (Modbus exception {answer.exception_code})"
            raise DeviceRefusedError(self._device, text)
        if answer.function_code != fc:
            raise DeviceError(self._device, f"answered function {answer.function_code}, asked was {fc}")
