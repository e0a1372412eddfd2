"""What agent and forecasting child say to each other: msgpack, each message behind its length."""

from __future__ import annotations

import struct

import msgspec

from hearth_core.messages import ModelCard, Target

LENGTH = struct.Struct(">I")


class LoadModel(msgspec.Struct, frozen=True, tag=True):
    """Keep this model for its target."""

    card: ModelCard
    onnx: bytes
    timezone: str
    latitude: float
    longitude: float


class Ask(msgspec.Struct, frozen=True, tag=True):
    """Forecast with the model of a target; ``power_w`` holds float64 bytes."""

    target: Target
    start_s: float
    step_s: int
    power_w: bytes
    issue_s: float


class Answer(msgspec.Struct, frozen=True):
    """The child's answer to either; an error text when it could not."""

    error: str = ""
    start_s: float = 0.0
    step_s: int = 0
    p10_w: list[float] = []
    p50_w: list[float] = []
    p90_w: list[float] = []


Request = LoadModel | Ask


def frame(message: msgspec.Struct) -> bytes:
    """Return a message with its length in front."""
    body = msgspec.msgpack.encode(message)
    return LENGTH.pack(len(body)) + body
