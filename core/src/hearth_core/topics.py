"""The MQTT topics: what an agent says and what it is told.

``hearth/<agent>/{status, birth, readings, forecast, event}`` go up, ``hearth/<agent>/{ack, plan, model/<target>,
override/<device>, grid-limit/<side>}`` go down. The agent's name is the second level, so that a broker's ACL can hold
it there with ``%u``.
"""

from __future__ import annotations

import re

STATUS, BIRTH, READINGS, FORECAST, EVENT = "status", "birth", "readings", "forecast", "event"
ACK, PLAN, MODEL = "ack", "plan", "model"
OVERRIDE, GRID_LIMIT = "override", "grid-limit"
INGEST_GROUP = "ingest"

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def is_name(text: str) -> bool:
    """Tell whether a text may name an agent or a device: lower case letters, digits and dashes, 1 to 63 long."""
    return _NAME.fullmatch(text) is not None


def topic(agent: str, *parts: str) -> str:
    """Return the topic of one agent, e.g. ``topic("anna", PLAN)`` is ``hearth/anna/plan``."""
    return "/".join(("hearth", agent, *parts))


def downward(agent: str) -> tuple[str, ...]:
    """Return what an agent subscribes to."""
    wishes = (topic(agent, part, "#") for part in (OVERRIDE, GRID_LIMIT))
    return (topic(agent, ACK), topic(agent, PLAN), topic(agent, MODEL, "+"), *wishes)


def parse(text: str) -> tuple[str, str] | None:
    """Split a topic into agent and the rest, or None when it is none of ours."""
    root, _, rest = text.partition("/")
    agent, _, what = rest.partition("/")
    if root != "hearth" or not is_name(agent) or not what:
        return None
    return agent, what
