"""How a device can fail."""

from __future__ import annotations

from hearth_core.errors import PermanentError, TransientError


class DeviceError(TransientError):
    """The device could not be reached, or not understood; the next poll may succeed."""

    def __init__(self, device: str, text: str) -> None:
        self.device = device
        super().__init__(f"{device} {text}")


class DeviceTimeoutError(DeviceError):
    """The device did not answer in time."""


class DeviceRefusedError(DeviceError):
    """The device answered with a Modbus exception: it has no such register, or is busy."""


class DeviceUnsentError(DeviceError):
    """The shared connection was gone before the device was asked; the device itself is not to blame."""


class DeviceLayoutError(PermanentError):
    """The device is not what its profile says."""


def not_as_profiled(device: str, profile: str, error: DeviceLayoutError) -> DeviceError:
    """Return the error about a device that is not what its profile says, with what to do."""
    return DeviceError(
        device, f"does not answer like {profile}: {error}; `hearth-agent discover` tells which profiles fit"
    )
