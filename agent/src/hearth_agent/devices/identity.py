"""Whether what answers is the device its profile means: registers, or a SunSpec chain, that only this kind has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hearth_agent.devices.codec import interpret, text, unsigned
from hearth_agent.devices.discovery import Reader
from hearth_agent.devices.errors import DeviceLayoutError, DeviceRefusedError
from hearth_agent.devices.layout import Chain
from hearth_agent.devices.packing import Span
from hearth_agent.devices.profile import Identity, IdentityCheck, IdentityText, Profile
from hearth_agent.devices.registers import MISSING, REGISTERS, RegisterType


def span(one: IdentityCheck | IdentityText) -> Span:
    """Return the registers that have to be read."""
    fixed = None if isinstance(one, IdentityText) else REGISTERS.get(one.type)
    return Span(one.fc, one.address, one.address + (fixed or one.count))


def holds(check: IdentityCheck, registers: Sequence[int] | None) -> bool:
    """Tell whether a check holds.

    Args:
        check: What this kind of device answers.
        registers: The answer to `span`; None when the device refused.
    """
    if registers is None:
        return False
    if check.type is RegisterType.STR:
        said = text(registers, low_byte_first=check.low_byte_first)
        return check.contains is not None and check.contains.lower() in said.lower()
    raw = unsigned(registers, 0, REGISTERS[check.type], check.word_order)
    number = interpret(raw, check.type)
    if check.equals:
        return number in check.equals
    if number is None or raw in MISSING.get(check.type, []):
        return False
    low = float("-inf") if check.low is None else check.low
    high = float("inf") if check.high is None else check.high
    return low <= number * check.scale <= high


def sunspec_holds(identity: Identity, chain: Chain, common: Mapping[str, str]) -> bool:
    """Tell whether a SunSpec device is of this kind.

    Args:
        identity: What the profile asks.
        chain: The device's models.
        common: Its common model; ``manufacturer`` is looked at.
    """
    if identity.sunspec_models and chain.find(identity.sunspec_models) is None:
        return False
    maker = common.get("manufacturer", "").lower()
    return not identity.manufacturers or any(maker.startswith(one.lower()) for one in identity.manufacturers)


async def check_identity(profile: Profile, link: Reader, chain: Chain | None, common: Mapping[str, str]) -> None:
    """Ask a device whether it is of a profile's kind; a profile without checks takes what answers.

    Ranges of live values do not count here. They help to recognise an unknown device; they must not shut out a known
    one, such as a meter whose phase L1 has no voltage.

    Args:
        profile: What it should be.
        link: The device.
        chain: Its SunSpec models, for a SunSpec profile.
        common: Its SunSpec common model.

    Raises:
        DeviceLayoutError: It is something else.
        DeviceError: It could not be asked.
    """
    identity = profile.identity
    if chain is not None and not sunspec_holds(identity, chain, common):
        models = ", ".join(str(model) for model in sorted(chain.models))
        raise DeviceLayoutError(f"it is of {common.get('manufacturer') or 'no maker'} and has the models {models}")
    for check in identity.checks:
        if not (check.equals or check.contains):
            continue
        where = span(check)
        try:
            registers: Sequence[int] | None = await link.read(where.fc, where.address, where.end - where.address)
        except DeviceRefusedError:
            registers = None
        if not holds(check, registers):
            answer = "nothing" if registers is None else " ".join(f"{word:04x}" for word in registers)
            raise DeviceLayoutError(f"its register {check.address} (function {check.fc}) holds {answer}")
