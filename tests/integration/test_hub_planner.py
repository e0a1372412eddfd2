"""The hub's planner as evcc and other programs ask it: over HTTP, of a running API process."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from hearth_hub.database.embedded import EmbeddedPostgres
from hearth_hub.planner.endpoints import MOST_BYTES
from hearth_hub.planner.service import AT_ONCE, WAITING
from hearth_hub.planner.solver import EVCC_TIME_LIMIT_S
from hearth_models.planning.evcc import answer, read_request
from hearth_models.planning.joint_answer import plan_home
from hearth_models.planning.problem import read_problem

TOKEN = "a-token-nobody-guesses"
CASES = {
    path.name.removesuffix(".json.gz"): json.loads(gzip.decompress(path.read_bytes()))["request"]
    for path in sorted((Path(__file__).parents[1] / "data" / "evcc_cases").glob("*.json.gz"))
}
SCHEDULE = "/optimize/charge-schedule"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_api(database_url: str, port: int, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HEARTH_")}
    own = {"HEARTH_HUB_DATABASE_URL": database_url, "HEARTH_HUB_PORT": str(port)}
    command = [sys.executable, "-m", "hearth_hub.cli", "api"]
    with subprocess.Popen(command, env=clean | own | settings) as process:
        try:
            wait_for(lambda: answers(f"http://127.0.0.1:{port}/api/health"))
            yield process
        finally:
            process.send_signal(signal.SIGTERM)


def answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False


def wait_for(condition: Callable[[], Any], timeout_s: float = 30.0) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return found


def planners(api_pid: int) -> set[int]:
    """The planning children of an API process that are alive."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                words = (entry / "cmdline").read_text().split("\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(parent) == api_pid and state != "Z" and "hearth_hub.planner.solver" in words:
                found.add(int(entry.name))
    return found


def is_alive(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture(scope="module")
def api(postgres_server: EmbeddedPostgres) -> Iterator[tuple[str, int]]:
    """A running API that wants a token: its address and its process id."""
    port = free_port()
    with running_api(postgres_server.url("postgres"), port, HEARTH_HUB_PLANNING_TOKEN=TOKEN) as process:
        yield f"http://127.0.0.1:{port}", process.pid


@pytest.fixture
async def client(api: tuple[str, int]) -> AsyncIterator[httpx.AsyncClient]:
    """Who knows the token."""
    known = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(base_url=api[0], headers=known, timeout=50) as client:
        yield client


def home(**changes: Any) -> dict[str, Any]:
    store = {"name": "store", "capacity_wh": 10000, "soc_percent": 5, "max_charge_w": 5000, "max_discharge_w": 5000}
    return {
        "start": "2026-01-15T18:00:00+01:00",
        "steps_s": [3600] * 4,
        "import_eur_per_kwh": [0.10, 0.20, 0.50, 0.40],
        "export_eur_per_kwh": [0.08] * 4,
        "load_w": [500] * 4,
        "batteries": [store],
    } | changes


def request(n_batteries: int = 1, n_steps: int = 3, **changes: Any) -> dict[str, Any]:
    battery = {"s_min": 500, "s_max": 9000, "s_initial": 500, "c_min": 1400, "c_max": 4000, "d_max": 2000, "p_a": 0.0}
    prices = [1e-4 * (1 + (7 * step) % 5) for step in range(n_steps)]
    series = {"dt": [900] * n_steps, "gt": [300] * n_steps, "ft": [0] * n_steps, "p_N": prices, "p_E": prices[::-1]}
    own = [battery | {"charge_from_grid": True, "s_initial": 500 + 10 * number} for number in range(n_batteries)]
    return {"batteries": own, "time_series": series} | changes


LONG = request(4, 192)
"""Takes seconds."""


@pytest.mark.parametrize("name", CASES)
async def test_every_recorded_case_is_answered_as_the_planner_answers_it(client: httpx.AsyncClient, name: str) -> None:
    asked = CASES[name]
    given = await client.post(SCHEDULE, json=asked)
    assert given.status_code == 200
    # evcc follows nothing else
    assert given.json()["status"] == "Optimal"
    assert given.json() == answer(read_request(json.dumps(asked).encode()), EVCC_TIME_LIMIT_S)


async def test_a_home_is_planned_as_the_planner_plans_it(client: httpx.AsyncClient) -> None:
    given = await client.post("/api/plan", json=home())
    assert given.status_code == 200
    assert given.headers["cache-control"] == "no-store"
    assert given.content == msgspec.json.encode(plan_home(read_problem(json.dumps(home()).encode())))


async def test_only_who_knows_the_token_may_ask(api: tuple[str, int]) -> None:
    async with httpx.AsyncClient(base_url=api[0]) as client:
        for headers in ({}, {"Authorization": "Bearer another"}, {"Authorization": f"Basic {TOKEN}"}):
            for method, path in (("POST", "/api/plan"), ("POST", SCHEDULE), ("GET", "/optimize/health")):
                refused = await client.request(method, path, headers=headers)
                assert refused.status_code == 401, path
                assert refused.json()["error"]["field"] == "token"
                assert TOKEN not in refused.text
        assert (await client.get("/evcc/another/optimize/health")).status_code == 401
        assert (await client.get("/api/health")).status_code == 200


async def test_evcc_finds_the_token_in_its_address_and_sends_its_own_beside_it(api: tuple[str, int]) -> None:
    sponsor = {"Authorization": "Bearer eyJhbGciOiJIUzI1NiJ9.e30.x"}
    async with httpx.AsyncClient(base_url=f"{api[0]}/evcc/{TOKEN}", headers=sponsor) as client:
        assert (await client.get("/optimize/health")).json()["status"] == "healthy"
        assert (await client.post(SCHEDULE, json=request())).json()["status"] == "Optimal"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (home(load_w=[1.0]), "load_w"),
        (home(batteries=[{"name": "store"}]), "batteries[0].capacity_wh"),
        (home(wishes=1), "wishes"),
        (home(steps_s=[]), "steps_s"),
        ([], "problem"),
    ],
)
async def test_nonsense_is_refused_with_its_field(client: httpx.AsyncClient, body: Any, field: str) -> None:
    refused = await client.post("/api/plan", json=body)
    assert refused.status_code == 422
    assert refused.json()["error"]["field"] == field


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (json.dumps(request(eta_c=0)).encode(), "eta_c"),
        (json.dumps(request(batteries=[{"s_min": 0}])).encode(), "batteries[0].s_max"),
        (b"{", "request"),
        (b"", "request"),
        (b"[" * 100_000, "request"),
    ],
)
async def test_evcc_is_told_what_is_wrong_as_it_reads_it(client: httpx.AsyncClient, content: bytes, field: str) -> None:
    refused = await client.post(SCHEDULE, content=content)
    assert refused.status_code == 400
    assert refused.json()["message"].startswith(f"{field}: ")
    assert refused.json()["error"]["field"] == field


@pytest.mark.parametrize("path", ["/api/plan", SCHEDULE])
async def test_a_body_that_is_too_large_is_refused(client: httpx.AsyncClient, path: str) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(MOST_BYTES // 65536 + 1):
            yield b" " * 65536

    refused = await client.post(path, content=endless())
    assert refused.status_code == 413
    assert refused.json()["error"]["field"] == "body"


@pytest.mark.slow
@pytest.mark.timeout(150)
async def test_while_all_planners_work_others_are_served_and_too_many_are_sent_away(
    client: httpx.AsyncClient, api: tuple[str, int]
) -> None:
    finished: list[str] = []

    async def ask(name: str, body: dict[str, Any]) -> httpx.Response:
        given = await client.post(SCHEDULE, json=body)
        finished.append(name)
        return given

    long = [asyncio.create_task(ask("long", LONG)) for _ in range(AT_ONCE)]
    await asyncio.to_thread(wait_for, lambda: len(planners(api[1])) == AT_ONCE)
    queued = [asyncio.create_task(ask("queued", request())) for _ in range(WAITING)]
    refused = None
    while refused is None or refused.status_code != 503:  # the queue fills as the requests arrive
        assert not finished
        assert (await client.get("/api/health")).status_code == 200
        surplus = asyncio.create_task(ask("surplus", request()))
        queued.append(surplus)
        await asyncio.wait([surplus], timeout=0.1)
        refused = surplus.result() if surplus.done() else None
        if surplus.done():
            finished.remove("surplus")
    assert int(refused.headers["retry-after"]) > 0
    assert not finished, "health was answered before any plan was made"
    assert len(planners(api[1])) == AT_ONCE
    for task in long:
        # on a machine this busy nothing may be found in time, which is said
        assert (await task).status_code in {200, 500}
    given = [await task for task in queued]
    assert sum(one.status_code == 200 for one in given) == WAITING
    assert len({one.content for one in given if one.status_code == 200}) == 1


@pytest.mark.slow
@pytest.mark.timeout(150)
async def test_a_planner_that_dies_costs_one_answer(client: httpx.AsyncClient, api: tuple[str, int]) -> None:
    asked = asyncio.create_task(client.post(SCHEDULE, json=LONG))
    await asyncio.sleep(1)  # it has begun to solve, or not: either way it is in the middle
    killed = await asyncio.to_thread(wait_for, lambda: planners(api[1]))
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    failed = await asked
    await asyncio.to_thread(wait_for, lambda: not any((Path("/proc") / str(pid)).exists() for pid in killed))
    assert failed.status_code == 500
    assert "planner" in failed.json()["message"]
    assert (await client.post("/api/plan", json=home())).status_code == 200


@pytest.mark.slow
@pytest.mark.timeout(150)
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_no_planner_outlives_the_api(postgres_server: EmbeddedPostgres, how: signal.Signals) -> None:
    port = free_port()
    with running_api(postgres_server.url("postgres"), port) as process:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=0.5) as client:
            with pytest.raises(httpx.ReadTimeout):
                client.post(SCHEDULE, json=LONG)
            assert client.post("/api/plan", json=home(), timeout=30).status_code == 200, "no token is wanted here"
        working = planners(process.pid)
        assert len(working) == 2
        process.send_signal(how)
        process.wait(5)
        wait_for(lambda: not any(is_alive(pid) for pid in working), timeout_s=5)


async def test_the_description_of_the_api_is_whole(client: httpx.AsyncClient) -> None:
    described = (await client.get("/openapi.json")).json()
    named = described["components"]["schemas"]
    assert {"Problem", "Answer", "EvccRequest", "HomeSummary"} <= set(named)

    def references(part: Any) -> Iterator[str]:
        if isinstance(part, dict):
            yield from (value for key, value in part.items() if key == "$ref")
        for inside in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
            yield from references(inside)

    assert {one.removeprefix("#/components/schemas/") for one in references(described)} <= set(named)
    asked = described["paths"]["/api/plan"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert asked == {"$ref": "#/components/schemas/Problem"}
