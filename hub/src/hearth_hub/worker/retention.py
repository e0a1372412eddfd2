"""Retention: single readings and minutes have an end; what is taken away stays accounted for.

In every commit ``stored = rows + expired`` holds for each device: readings are counted and deleted by one transaction.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg import sql

from hearth_hub.database.pool import Connection
from hearth_hub.readings.aggregates import MINUTE
from hearth_hub.readings.rollup_repository import is_continuous, lock
from hearth_hub.worker.pace import Budget

logger = logging.getLogger(__name__)

_SLICE = timedelta(hours=1)
_DEVICES_AT_ONCE = 500


@dataclass
class Retention:
    """Takes away what has outlived its days, in slices; 0 days = for ever."""

    raw_days: int
    minute_days: int
    _device: int = 0
    """Up to which device minutes have been taken away in this round."""

    async def expire(self, connection: Connection, at: datetime, budget: Budget) -> bool:
        """Take away what is too old.

        Args:
            connection: Database.
            at: The hub's time.
            budget: How long to work on it.

        Returns:
            True when nothing is left to take away for now.
        """
        continuous = await is_continuous(connection)
        if self.raw_days:
            before, slice_of = at - timedelta(days=self.raw_days), drop_chunk if continuous else delete_slice
            while (gone := await slice_of(connection, before)) is not None:
                logger.info("readings have outlived their retention", extra={"readings": gone, "before": before})
                if budget.is_spent:
                    return False
        if self.minute_days:
            before = at - timedelta(days=self.minute_days)
            if continuous:
                await connection.execute("select drop_chunks(%s, %s::timestamptz)", [MINUTE.table, before])
                return True
            while await self._delete_minutes(connection, before):
                if budget.is_spent:
                    return False
        return True

    async def _delete_minutes(self, connection: Connection, before: datetime) -> bool:
        """Delete the minutes of the next devices: the key begins with the device.

        Returns:
            False when all devices were visited.
        """
        cursor = await connection.execute(
            "select array_agg(id), max(id) from (select id from device where id > %s order by id limit %s) d",
            [self._device, _DEVICES_AT_ONCE],
        )
        row = await cursor.fetchone()
        if row is None or row[0] is None:
            self._device = 0
            return False
        await connection.execute("delete from reading_1min where device_id = any(%s) and at < %s", [row[0], before])
        self._device = row[1]
        return True


async def delete_slice(connection: Connection, before: datetime) -> int | None:
    """Delete and count the oldest hour of what is older; never what the aggregates have not taken in yet.

    Returns:
        How many readings were deleted; None when there was nothing to delete.
    """
    async with connection.transaction():
        await lock(connection)  # nobody may aggregate a bucket while its readings go
        cursor = await connection.execute(
            "with edge as (select least(%(before)s, (select min(from_at) from stale),"
            " (select min(at) from reading) + %(slice)s) as at),"
            " gone as (delete from reading where at < (select at from edge) returning device_id),"
            " counted as (select device_id, count(*) as readings from gone group by device_id),"
            " booked as (update device set expired = expired + counted.readings from counted"
            " where id = counted.device_id)"
            " select sum(readings)::bigint from counted",
            {"before": before, "slice": _SLICE},
        )
        row = await cursor.fetchone()
    return row[0] if row else None


async def drop_chunk(connection: Connection, before: datetime) -> int | None:
    """Drop and count TimescaleDB's oldest chunk, if all of it is older and the aggregates have taken it in.

    Returns:
        How many readings were dropped; None when there was nothing to drop.
    """
    async with connection.transaction():
        await lock(connection)
        cursor = await connection.execute(
            "select chunk_schema, chunk_name, range_start, range_end from timescaledb_information.chunks"
            " where hypertable_schema = current_schema() and hypertable_name = 'reading' order by range_start limit 1"
        )
        chunk = await cursor.fetchone()
        if chunk is None or chunk[3] > before:
            return None
        schema, name, start, end = chunk
        # whoever stores something this old now has to wait, and finds the chunk gone
        table = sql.Identifier(schema, name)
        await connection.execute(sql.SQL("lock table {} in access exclusive mode").format(table))
        cursor = await connection.execute("select 1 from stale where from_at < %s limit 1", [end])
        if await cursor.fetchone():
            return None
        cursor = await connection.execute(
            "with counted as (select device_id, count(*) as readings from reading"
            " where at >= %(start)s and at < %(end)s group by device_id),"
            " booked as (update device set expired = expired + counted.readings from counted"
            " where id = counted.device_id)"
            " select coalesce(sum(readings), 0)::bigint from counted",
            {"start": start, "end": end},
        )
        counted = await cursor.fetchone()
        await connection.execute("select drop_chunks('reading', older_than => %s::timestamptz)", [end])
    return counted[0] if counted else None
