"""What a value costs on the disk once TimescaleDB has turned its chunk into a columnstore."""

from __future__ import annotations

import os
import sys
import uuid

import psycopg
from psycopg import sql

from hearth_hub.database.migrate import migrate

_ADMIN = "HEARTH_TEST_TIMESCALE_URL"


def compressed_bytes_per_value(source_url: str, series: int) -> float | None:
    """Copy the readings of a database into a TimescaleDB, convert them, and return bytes a value; None without one."""
    admin_url = os.environ.get(_ADMIN)
    if not admin_url:
        print(f"{_ADMIN} is not set: bytes_per_value_compressed is not measured", file=sys.stderr)
        return None
    name = f"bench_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        url = psycopg.conninfo.make_conninfo(admin_url, dbname=name)
        try:
            migrate(url)
            return _copied_and_converted(source_url, url) / series
        finally:
            admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def _copied_and_converted(source_url: str, url: str) -> float:
    """Return bytes a row."""
    with psycopg.connect(source_url) as source, psycopg.connect(url, autocommit=True) as target:
        with (
            source.cursor().copy("copy (select * from reading) to stdout (format binary)") as out,
            target.cursor().copy("copy reading from stdin (format binary)") as into,
        ):
            for piece in out:
                into.write(piece)
        for (chunk,) in target.execute("select show_chunks('reading')::text").fetchall():
            target.execute("call convert_to_columnstore(%s::regclass)", [chunk])
        size = target.execute("select hypertable_size('reading')").fetchone()
        rows = target.execute("select count(*) from reading").fetchone()
    if size is None or rows is None:
        raise SystemExit("TimescaleDB did not tell the size of its table")
    return float(size[0]) / float(rows[0])
