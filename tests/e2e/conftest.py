"""A real browser, the built page, and a hub made of the page's own fixtures that a test can change and switch off."""

from __future__ import annotations

import json
import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "hub" / "src" / "hearth_hub" / "static"
FIXTURES = ROOT / "web" / "fixtures"
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
CONTENT_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
LIVE_PAUSE_S = 0.2


def _unavailable(reason: str) -> NoReturn:
    """Skip where a part is missing, but never in CI, where every part was promised."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


class FixtureHub:
    """Serves the built page and answers the API from ``answers``; ``stop`` and ``start`` play a hub that goes away."""

    def __init__(self, static: Path, fixtures: Path) -> None:
        self.static = static
        self.answers: dict[str, Any] = {
            path: json.loads((fixtures / f"{name}.json").read_text())
            for path, name in {
                "clock": "clock",
                "homes": "homes",
                "": "home",
                "/now": "now",
                "/series": "series",
                "/prices": "prices",
                "/forecast": "forecast",
                "/forecast/past": "past",
                "/plan": "plan",
                "/savings": "savings",
                "/accuracy": "accuracy",
                "/events": "events",
            }.items()
        }
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.asked: list[str] = []
        self.running = False
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.port}/"

    @property
    def now(self) -> dict[str, Any]:
        """The live answer; a change is on the page with the next live event."""
        answer: dict[str, Any] = self.answers["/now"]
        return answer

    def start(self) -> None:
        """Listen; always on the same port, so that a page finds its hub again."""
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hub._answer(self)

            def log_message(self, format: str, *args: Any) -> None:
                """Stay quiet; failing tests show the page instead."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                """A browser that closes its stream is no error."""

        self._server = Server(("127.0.0.1", self.port), Handler)
        self.running = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        """Go away: refuse new connections and end live streams."""
        self.running = False
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        path = urlsplit(request.path).path
        self.asked.append(path)
        if not path.startswith("/api/"):
            self._send_file(request, path)
        elif path.endswith("/live"):
            self._stream(request)
        else:
            self._send_json(request, path.removeprefix("/api/"))

    def _send_file(self, request: BaseHTTPRequestHandler, path: str) -> None:
        file = self.static / (path.lstrip("/") or "index.html")
        if not file.is_file():
            request.send_error(HTTPStatus.NOT_FOUND)
            return
        self._send(request, file.read_bytes(), CONTENT_TYPES.get(file.suffix, "application/octet-stream"))

    def _send_json(self, request: BaseHTTPRequestHandler, path: str) -> None:
        homes = path.split("/", 2)
        key = path if len(homes) == 1 else "/" + homes[2] if len(homes) > 2 else ""
        answer = self.answers.get(key)
        status = HTTPStatus.OK if key in self.answers and answer is not None else HTTPStatus.NOT_FOUND
        body = answer if status is HTTPStatus.OK else {"error": {"field": "path", "value": path, "message": "nothing"}}
        self._send(request, json.dumps(body).encode(), "application/json", status)

    @staticmethod
    def _send(request: BaseHTTPRequestHandler, body: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        request.send_response(status)
        request.send_header("content-type", kind)
        request.send_header("content-length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def _stream(self, request: BaseHTTPRequestHandler) -> None:
        request.send_response(HTTPStatus.OK)
        request.send_header("content-type", "text/event-stream")
        request.end_headers()
        while self.running:
            request.wfile.write(f"event: now\ndata: {json.dumps(self.now)}\n\n".encode())
            request.wfile.flush()
            time.sleep(LIVE_PAUSE_S)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium, headless."""
    path = next((found for name in CHROMIUM_NAMES if (found := shutil.which(name))), None)
    if path is None:
        _unavailable("no Chromium on the PATH (apt install chromium)")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def hub() -> Iterator[FixtureHub]:
    """A hub with a sunny spring day at 13:10 in its memory."""
    if not (STATIC / "index.html").is_file():
        _unavailable("the dashboard is not built (make web, needs Node.js)")
    made = FixtureHub(STATIC, FIXTURES)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser in another time zone than the home, because the page must show the home's time."""
    made = browser.new_context(
        viewport={"width": 1280, "height": 900}, timezone_id="America/New_York", locale="en-US", color_scheme="light"
    )
    made.set_default_timeout(8_000)
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """A fresh page."""
    return context.new_page()
