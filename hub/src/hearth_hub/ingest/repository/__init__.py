"""Ingest's SQL, a module a subject; every function runs in the caller's transaction and takes a whole batch at once."""

from __future__ import annotations

from typing import Any, TypeAlias

import psycopg

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]
