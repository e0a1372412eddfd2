"""What the API and its planning children say to each other: msgpack, each message behind its length."""

from __future__ import annotations

import struct
from enum import StrEnum

import msgspec

LENGTH = struct.Struct(">I")


class Question(StrEnum):
    """Whose words the problem is in."""

    HOME = "home"
    """Hearth's own; answered by `hearth_models.planning.joint_answer.plan_home`."""
    EVCC = "evcc"
    """evcc's; answered by `hearth_models.planning.evcc.answer`."""


class Ask(msgspec.Struct, frozen=True):
    """A problem as it came in: JSON that nobody has looked at."""

    question: Question
    body: bytes


class Answer(msgspec.Struct, frozen=True):
    """The plan as JSON, or why there is none."""

    body: bytes = b""
    refusal: str = ""
    """``field: what is wrong`` with the problem."""
    failure: str = ""
    """What kept the planner from a plan although nothing is wrong with the problem."""


def frame(message: msgspec.Struct) -> bytes:
    """Return a message with its length in front."""
    body = msgspec.msgpack.encode(message)
    return LENGTH.pack(len(body)) + body
