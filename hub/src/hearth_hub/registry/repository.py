"""SQL of models."""

from __future__ import annotations

from datetime import datetime

from hearth_core.messages import ModelCard, Target, decode, encode
from hearth_hub.database.pool import Connection


async def store(connection: Connection, home_id: int, made_at: datetime, card: ModelCard, onnx: bytes) -> None:
    """Store a model with its card."""
    await connection.execute(
        "insert into model (home_id, target, version, made_at, card, onnx) values (%s, %s, %s, %s, %s, %s)"
        " on conflict (home_id, target, version) do nothing",
        [home_id, card.target, card.version, made_at, encode(card).decode(), onnx],
    )


async def latest(connection: Connection, home_id: int, target: Target) -> tuple[ModelCard, bytes] | None:
    """Return the newest model of a target."""
    cursor = await connection.execute(
        "select card::text, onnx from model where home_id = %s and target = %s order by made_at desc limit 1",
        [home_id, target],
    )
    row = await cursor.fetchone()
    return (decode(row[0].encode(), ModelCard), bytes(row[1])) if row else None


async def last_made(connection: Connection, home_id: int) -> datetime | None:
    """Return when a home's models were last trained; None while a target has none."""
    cursor = await connection.execute(
        "select min(made_at), count(*) from (select target, max(made_at) as made_at from model where home_id = %s"
        " group by target) newest",
        [home_id],
    )
    row = await cursor.fetchone()
    return row[0] if row and row[1] == len(Target) else None
