"""An owner's override and a grid operator's limit: from the hub's API over a real broker into the agent's stores."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Protocol

import httpx
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from hearth_agent.control.orders import GridCaps
from hearth_agent.events import EventLog
from hearth_agent.grid.limits import GridLimits
from hearth_agent.plan.overrides import OverrideStore
from hearth_core import topics
from hearth_core.clock import ManualClock
from hearth_core.messages import Birth, DeviceInfo, Mode, encode
from hearth_core.points import DeviceKind
from hearth_core.site import Limits, Site
from hearth_core.tariff import Tariff
from hearth_hub.app import create_app
from hearth_hub.ingest.service import Incoming, Ingest, open_message
from hearth_hub.mqtt import Broker
from hearth_hub.worker.process import Worker
from hearth_hub.worker.publisher import Publisher

NOW_S = 1_459_728_000.0
KINDS = {"inverter": DeviceKind.HYBRID_INVERTER, "charger": DeviceKind.EV_CHARGER}
KEY = Ed25519PrivateKey.generate()
TOKEN = "a-token-nobody-guesses"


class Mosquitto(Protocol):
    """What these tests need of the fixture."""

    port: int

    @property
    def url(self) -> str: ...


class Told:
    """The agent's stores behind a real subscription, and what is retained for a new one."""

    def __init__(self, port: int, folder: Path, clock: ManualClock) -> None:
        events = EventLog(clock)
        self.overrides = OverrideStore(folder, "anna", KINDS, KEY.public_key(), clock, events)
        self.limits = GridLimits(folder, "anna", [], KEY.public_key(), clock, events)
        self.heard: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = lambda _, __, message: self.heard.put((message.topic, bytes(message.payload)))
        self._client.on_connect = lambda client, *_: client.subscribe([(one, 1) for one in topics.downward("anna")])
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    async def hear(self) -> str:
        """Wait for a wish, hand it to its store, and return its topic."""
        while True:
            topic, payload = await asyncio.to_thread(self.heard.get, timeout=15)
            part, _, _ = topic.removeprefix("hearth/anna/").partition("/")
            if part in (topics.OVERRIDE, topics.GRID_LIMIT):
                (self.overrides if part == topics.OVERRIDE else self.limits).offer(payload)
                return f"{topic} cleared" if not payload else topic

    def caps(self) -> GridCaps:
        return self.limits.look(lambda *_: None, None)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW_S)


@pytest.fixture
def home(postgres_url: str, clock: ManualClock) -> str:
    site = Site(
        name="Anna", timezone="Europe/Berlin", latitude=47.7, longitude=9.2, price_zone="NL",
        limits=Limits(main_fuse_a=35), tariff=Tariff(),
    )  # fmt: skip
    devices = [DeviceInfo(id=name, kind=kind, profile="p") for name, kind in KINDS.items()]
    born = Birth(session="s", at_ms=0, epoch="00000000000000cc", software="1", site=site, devices=devices)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        Ingest(connection, clock).store([open_message(Incoming("hearth/anna/birth", encode(born)), clock)])
    return postgres_url


@pytest.fixture
async def api(home: str, clock: ManualClock) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(home, clock, planning_token=TOKEN)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://hub/api/homes/anna/",
            headers={"Authorization": f"Bearer {TOKEN}"},
        ) as client,
    ):
        yield client


@pytest.fixture
def told(mosquitto: Mosquitto, tmp_path: Path, clock: ManualClock) -> Iterator[Told]:
    told = Told(mosquitto.port, tmp_path / "agent", clock)
    yield told
    told.close()


@pytest.mark.timeout(60)
async def test_a_wish_reaches_the_agent_and_is_cleared_at_its_end(
    home: str, api: httpx.AsyncClient, mosquitto: Mosquitto, told: Told, clock: ManualClock, tmp_path: Path
) -> None:
    stopping = asyncio.Event()
    publisher = Publisher(Broker.from_url(mosquitto.url), KEY)
    running = asyncio.create_task(Worker(home, clock, publisher, "NL").run(stopping))
    try:
        asked: dict[str, Any] = {"device": "inverter", "battery": "export", "power_w": 2000, "for_s": 7200}
        sent = (await api.post("override", json=asked)).json()
        assert sent["ends_at_ms"] == (NOW_S + 7200) * 1000
        assert await told.hear() == "hearth/anna/override/inverter"
        wish = told.overrides.current()["inverter"]
        assert (wish.battery, wish.power_w, wish.version) == (Mode.EXPORT, 2000, sent["version"])
        (await api.post("override", json={"device": "inverter", "for_s": 60})).raise_for_status()
        await told.hear()
        assert told.overrides.current() == {}, "a wish for nothing takes it back"

        (await api.post("grid-limit", json={"side": "import", "limit_w": 4200, "duration_s": 3600})).raise_for_status()
        assert await told.hear() == "hearth/anna/grid-limit/import"
        assert told.caps() == GridCaps(import_w=4200)
        late = Told(mosquitto.port, tmp_path / "late", clock)
        try:
            assert {await late.hear(), await late.hear()} == {
                "hearth/anna/override/inverter",
                "hearth/anna/grid-limit/import",
            }
            assert late.caps() == GridCaps(import_w=4200), "an agent that connects later is told as well"
        finally:
            late.close()
        clock.now_s += 3601
        assert {await told.hear(), await told.hear()} == {
            "hearth/anna/override/inverter cleared",
            "hearth/anna/grid-limit/import cleared",
        }
        assert told.caps() == GridCaps()
    finally:
        stopping.set()
        await running
    with psycopg.connect(home) as connection:
        assert connection.execute("select count(*) from wish").fetchone() == (0,)


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("override", {"device": "boiler", "for_s": 60, "battery": "hold"}, "device"),
        ("override", {"device": "charger", "for_s": 60, "battery": "hold"}, "battery"),
        ("override", {"device": "inverter", "for_s": 60, "current_a": 6}, "current_a"),
        ("override", {"device": "inverter", "for_s": 60, "battery": "export"}, "power_w"),
        ("override", {"device": "inverter", "for_s": 60, "battery": "hold", "power_w": 5}, "power_w"),
        ("override", {"device": "inverter", "for_s": 604_801, "battery": "hold"}, "for_s"),
        ("override", {"device": "inverter", "for_s": 0, "battery": "hold"}, "for_s"),
        ("grid-limit", {"side": "import", "limit_w": -1}, "limit_w"),
        ("grid-limit", {"side": "sideways", "limit_w": 1}, "side"),
        ("grid-limit", {"side": "import"}, "limit_w"),
    ],
)
async def test_what_cannot_be_wished_is_refused_with_its_field(
    api: httpx.AsyncClient, path: str, body: dict[str, Any], field: str
) -> None:
    answer = await api.post(path, json=body)
    assert answer.status_code == 422
    assert answer.json()["error"]["field"] == field


async def test_who_does_not_know_the_token_steers_nothing(api: httpx.AsyncClient) -> None:
    body = {"side": "import", "limit_w": 0}
    assert (await api.post("grid-limit", json=body, headers={"Authorization": "Bearer x"})).status_code == 401
    assert (await api.post("http://hub/api/homes/bob/grid-limit", json=body)).status_code == 404
