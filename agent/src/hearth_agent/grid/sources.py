"""Where limits of the grid operator come from, as an installer writes them under ``grid_limits`` in ``agent.yaml``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from hearth_core.messages import Name, Side

LEAST_FAILSAFE_S = 7200.0
_Watts = Annotated[float, Meta(ge=0, le=1e6)]


class _Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="source"):
    """What all sources have in common."""

    name: Name
    side: Side
    heartbeat_s: Annotated[float, Meta(ge=10, le=3600)] | None = None
    """After so long without a sign of life the failsafe holds; None: no sign is expected."""
    failsafe_w: _Watts | None = None
    failsafe_s: Annotated[float, Meta(ge=LEAST_FAILSAFE_S, le=86_400)] = LEAST_FAILSAFE_S
    """The failsafe holds at least so long."""


class MqttSource(_Source, frozen=True, kw_only=True, tag="mqtt"):
    """Signed messages on the topic ``grid-limit``; each accepted one is a sign of life."""


class InputSource(_Source, frozen=True, kw_only=True, tag="input"):
    """A contact that a device of the home reads, such as the relay of a control box; each reading is a sign of life."""

    device: Name
    point: str
    limit_w: _Watts
    """Holds while the contact is active."""
    active: float = 1.0
    """What the point reads then."""


class ModbusSource(_Source, frozen=True, kw_only=True, tag="modbus"):
    """A control box on Modbus: a point with the limit [W]; a limit beyond what the home can draw limits nothing."""

    device: Name
    point: str
    heartbeat_point: str | None = None
    """Its value must change for a sign of life; None: each reading of the limit is one."""


GridSource = MqttSource | InputSource | ModbusSource
OWN_NAMES = {side: f"mqtt-{side.value}" for side in Side}
"""Names of the MQTT sources that are there when none is configured."""


def problems(
    sources: Sequence[GridSource], points: Mapping[str, Sequence[str]], *, has_hub: bool
) -> Iterator[tuple[str, object, str]]:
    """Find what cannot be right: field below ``grid_limits``, its value, and the remedy.

    Args:
        sources: As configured.
        points: The points each device of the home has, by its id.
        has_hub: Whether the file has a ``hub``, whose broker and key messages need.
    """
    seen: set[str] = set()
    for index, source in enumerate(sources):
        field = f"[{index}]"
        if source.name in seen:
            yield f"{field}.name", source.name, "Give every source a name of its own."
        seen.add(source.name)
        if source.name in OWN_NAMES.values() and not isinstance(source, MqttSource):
            yield f"{field}.name", source.name, "This name is taken by the limits that come over MQTT; give another."
        if (source.heartbeat_s is None) != (source.failsafe_w is None):
            wanted = "failsafe_w" if source.failsafe_w is None else "heartbeat_s"
            yield f"{field}.{wanted}", None, "heartbeat_s and failsafe_w belong together: give both or neither."
        if isinstance(source, MqttSource):
            if sum(isinstance(one, MqttSource) and one.side is source.side for one in sources) > 1:
                yield f"{field}.side", source.side.value, "One MQTT source a side is enough: remove the others."
            continue
        if source.device not in points:
            yield f"{field}.device", source.device, f"The file has: {', '.join(points)}."
            continue
        names = [source.point]
        if isinstance(source, ModbusSource) and source.heartbeat_point is not None:
            names.append(source.heartbeat_point)
            if source.heartbeat_s is None:
                yield f"{field}.heartbeat_s", None, "A heartbeat_point is watched for so many seconds: give them."
        for name in names:
            if name not in points[source.device]:
                yield f"{field}.point", name, f"The profile of {source.device} has no such point."
    for index, source in enumerate(sources):
        if isinstance(source, MqttSource) and not has_hub:
            yield f"[{index}].source", "mqtt", "Messages need the hub's broker and key: give hub, or remove this one."
