"""The HTTP side of the hub: the domains' endpoints, errors as JSON, and the dashboard's files."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import psycopg_pool
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hearth_core.clock import Clock
from hearth_hub.database.pool import new_pool
from hearth_hub.errors import RequestError
from hearth_hub.events.endpoints import router as events
from hearth_hub.forecasts.endpoints import router as forecasts
from hearth_hub.homes.endpoints import router as homes
from hearth_hub.planner.endpoints import evcc
from hearth_hub.planner.endpoints import router as planner
from hearth_hub.planner.schemas import planning_schemas
from hearth_hub.planner.service import Planner
from hearth_hub.plans.endpoints import router as plans
from hearth_hub.prices.endpoints import router as prices
from hearth_hub.readings.endpoints import router as readings
from hearth_hub.savings.endpoints import router as savings
from hearth_hub.system.endpoints import router as system
from hearth_hub.wishes.endpoints import router as wishes

logger = logging.getLogger(__name__)

STATIC = Path(__file__).parent / "static"
_NOT_BUILT = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Hearth</title>
<body style="font-family: system-ui; max-width: 40rem; margin: 4rem auto; line-height: 1.5">
<h1>Hearth runs</h1><p>The dashboard has not been built. It needs Node.js 20 or newer; then run <code>make web</code>
in the project's folder and load this page again.</p>
<p>What is measured and planned is there already: <a href="/api/homes">/api/homes</a>,
<a href="/docs">/docs</a>.</p></body></html>"""


class _Hub(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """Describe problems and plans too, which no endpoint's signature names."""
        if self.openapi_schema is None:
            super().openapi()["components"]["schemas"] |= planning_schemas()
        return super().openapi()


def create_app(database_url: str, clock: Clock, static: Path = STATIC, planning_token: str | None = None) -> FastAPI:
    """Return the application.

    Args:
        database_url: A migrated database.
        clock: The hub's time.
        static: The built dashboard.
        planning_token: What callers of the planner must bring; None: nothing.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with new_pool(database_url) as pool:
            app.state.pool, app.state.planner = pool, Planner()
            yield
            await app.state.planner.close()

    app = _Hub(title="Hearth hub", version="1", lifespan=lifespan)
    app.state.clock, app.state.planning_token = clock, planning_token
    app.state.closing = asyncio.Event()
    for router in (system, homes, readings, prices, forecasts, plans, savings, events, wishes, planner, evcc):
        app.include_router(router)
    # evcc sends its sponsor's token as bearer and no other: ours stands in the address it is given
    app.include_router(evcc, prefix="/evcc/{token}", include_in_schema=False)
    app.add_middleware(_NoStore)
    app.exception_handler(RequestError)(_refused)
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(psycopg.OperationalError)(_database_away)
    app.exception_handler(psycopg_pool.PoolTimeout)(_database_away)
    _serve_dashboard(app, static)
    return app


def _serve_dashboard(app: FastAPI, static: Path) -> None:
    if (static / "index.html").exists():
        app.mount("/", StaticFiles(directory=static, html=True))
        return

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def not_built() -> str:
        return _NOT_BUILT


class _NoStore:
    """Forbids every cache to keep answers of the API: yesterday's power on today's page is worse than none."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Cache-Control"] = "no-store"
            await send(message)

        is_api = scope["type"] == "http" and scope["path"].startswith("/api/")
        await self._app(scope, receive, send_marked if is_api else send)


async def _refused(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RequestError):
        raise error
    return JSONResponse(error.as_json(), error.status, headers=error.headers)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RequestValidationError):
        raise error
    first = error.errors()[0]
    value = first.get("input")
    shown = value if isinstance(value, str | int | float | bool) else None
    return JSONResponse(RequestError(str(first["loc"][-1]), shown, first["msg"]).as_json(), 422)


async def _database_away(_: Request, error: Exception) -> JSONResponse:
    logger.warning("the database does not answer: %s", error)
    away = RequestError("database", None, "the database does not answer", "Try again in a few seconds.")
    return JSONResponse(away.as_json(), 503, headers={"Retry-After": "5"})
