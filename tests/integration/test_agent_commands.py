"""discover, probe, record and diagnose against served devices: found by name, read with raw registers, served again."""

from __future__ import annotations

import asyncio
import base64
import json
import sqlite3
import zipfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest
import yaml

from hearth_agent.cli import app
from hearth_agent.commands import probe as probe_module
from hearth_agent.commands.diagnose import gather
from hearth_agent.commands.discover import as_data, report, search_all, sections
from hearth_agent.commands.identify import Found, identify
from hearth_agent.commands.record import record_target
from hearth_agent.commands.scanning import Search, plan
from hearth_agent.commands.survey import survey_target
from hearth_agent.commands.targets import Target
from hearth_agent.devices.bus import Bus
from hearth_agent.devices.catalogue import shipped_names, shipped_profile
from hearth_agent.devices.endpoint import tcp
from hearth_agent.devices.profile import Transport
from hearth_agent.events import TAIL_NAME, EventLog
from hearth_agent.settings import PASSWORD_VARIABLE, load_home
from hearth_agent.spool.store import SpoolStore
from hearth_core.clock import ManualClock, RealClock
from hearth_core.errors import ConfigError
from hearth_core.messages import EventLevel
from hearth_sim.framing import Framing
from hearth_sim.recordings import load, names, parse
from hearth_sim.serving_recordings import Served, devices_of, served, served_serially
from hearth_sim.testing import Answer


class FastClock(RealClock):
    """A device whose time runs fast: it wants its pauses, but they are short for a test."""

    def monotonic(self) -> float:
        return 1e4 * super().monotonic()


def target(running: Served, profile: str, id_: str = "one") -> Target:
    hurried = msgspec.structs.replace(shipped_profile(profile), min_gap_s=0.0, connect_delay_s=0.0)
    return Target(id_, hurried, hurried, Bus(tcp(running.host, running.port)), running.device.unit)


def hurried(searches: Sequence[Search]) -> list[Search]:
    """The same searches without the pauses that some devices want between two requests."""
    quick = [tuple(msgspec.structs.replace(one, min_gap_s=0.0) for one in search.profiles) for search in searches]
    return [Search(one.endpoint, one.units, profiles) for one, profiles in zip(searches, quick, strict=True)]


@pytest.fixture
async def homes_devices() -> AsyncIterator[dict[str, Served]]:
    """A gateway with a meter and a charger behind it, a hybrid inverter, and a charger with a unit id of its own."""
    async with AsyncExitStack() as stack:
        yield {
            "gateway": await stack.enter_async_context(served(devices_of("sdm630", unit=3) + devices_of("go-e"))),
            "hybrid": await stack.enter_async_context(served(devices_of("gen24"))),
            "keba": await stack.enter_async_context(served(devices_of("keba-p30", clock=FastClock()))),
        }


async def test_discover_finds_every_device_behind_its_port_and_unit(homes_devices: dict[str, Served]) -> None:
    hosts = [f"127.0.0.1:{one.port}" for one in homes_devices.values()] + ["127.0.0.1:9"]
    seen: list[str] = []
    results = await search_all(hurried(plan(hosts, None, "1-3,255", Transport.TCP)), 1.0, seen.append, gap_s=0.0)
    found = {one.profile.kind.value: section for one, section in sections(results)}
    gateway, hybrid, keba = homes_devices.values()
    assert found["grid_meter"] == {
        "id": "grid-meter",
        "profile": "eastron-sdm630",
        "host": "127.0.0.1",
        "port": gateway.port,
        "unit": 3,
    }
    assert found["hybrid_inverter"]["port"] == hybrid.port
    assert "unit" not in found["hybrid_inverter"]
    chargers = {one.profile.profile: section for one, section in sections(results) if "charger" in one.profile.kind}
    assert chargers["go-e"]["port"] == gateway.port
    assert chargers["keba-p30"]["port"] == keba.port
    assert len({str(section["id"]) for _, section in sections(results)}) == 4
    assert f"127.0.0.1:{keba.port}: unit 255 (4 of 4)" in seen
    lines = report(results)
    assert any("does not accept a connection" in line for line in lines)
    units = [unit for place in as_data(results) for unit in place["units"]]  # type: ignore[attr-defined]
    assert [one["unit"] for one in units] == [1, 3, 1, 255]


async def test_what_discover_prints_is_a_home_that_check_accepts(
    homes_devices: dict[str, Served], tmp_path: Path
) -> None:
    hosts = [f"127.0.0.1:{homes_devices[name].port}" for name in ("gateway", "hybrid")]
    results = await search_all(hurried(plan(hosts, None, "1,3", Transport.TCP)), 1.0, lambda _: None, gap_s=0.0)
    lines = report(results)
    pasted = "\n".join(lines[lines.index("devices:") :])
    config = tmp_path / "agent.yaml"
    config.write_text(HEAD + pasted)
    assert set(load_home(config).endpoints) == {"grid-meter", "hybrid-inverter", "ev-charger"}


async def test_a_meter_behind_an_inverter_is_named_so(tmp_path: Path) -> None:
    async with served(devices_of("huawei-sun2000")) as running:
        (search,) = hurried(plan([f"127.0.0.1:{running.port}"], None, "1", Transport.TCP))
        lines = report(await search_all([search], 1.0, lambda _: None, gap_s=0.0))
    pasted = "\n".join(lines[lines.index("devices:") :])
    assert "id: grid-meter, profile: huawei-sun2000-meter" in pasted
    config = tmp_path / "agent.yaml"
    config.write_text(HEAD + pasted)
    meter = load_home(config).device("grid-meter")
    assert meter.behind == "hybrid-inverter"


async def test_discover_asks_a_silent_host_little_and_a_silent_unit_not_again() -> None:
    async with served(devices_of("go-e")) as running:
        running.server.faults.answer = Answer.SILENT
        (search,) = plan([f"127.0.0.1:{running.port}"], None, "1-2", Transport.TCP)
        (result,) = await search_all([search], 0.1, lambda _: None, gap_s=0.0)
        assert result.found == []
        assert running.server.requests <= 4


async def test_a_device_that_hangs_up_on_a_foreign_unit_is_found_on_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(devices_of("go-e", unit=2)) as running:
        answer = running.server.answer

        def hang_up(unit: int, pdu: bytes) -> bytes | None:
            if unit == 2:
                return answer(unit, pdu)
            running.server.drop_connections()
            return None

        monkeypatch.setattr(running.server, "answer", hang_up)
        (search,) = hurried(plan([f"127.0.0.1:{running.port}"], None, "1-3", Transport.TCP))
        (result,) = await search_all([search], 1.0, lambda _: None, gap_s=0.0)
        assert [one.unit for one in result.found] == [2]
        assert result.trouble == ""


async def test_a_device_that_answers_on_every_unit_is_named_once(homes_devices: dict[str, Served]) -> None:
    async with served(devices_of("gen24", unit=2) + devices_of("gen24") + devices_of("gen24", unit=3)) as running:
        (search,) = hurried(plan([f"127.0.0.1:{running.port}"], None, "2,1,3", Transport.TCP))
        (result,) = await search_all([search], 1.0, lambda _: None, gap_s=0.0)
        assert [one.unit for one in result.found] == [1]


# siblings that answer the same registers, or another way to steer the same device: a person knows which it is
SAME_REGISTERS = {
    "eastron-sdm230",
    "eastron-sdm72",
    "huawei-sun2000-limits",
    "my-pv-ac-elwa-2",
    "my-pv-ac-thor",
    "stiebel-isg-lwa",
    "stiebel-isg-wpm",
}
FOUND_OVER_TCP = [
    name for name in names() if name in shipped_names() and set(shipped_profile(name).transports) != {Transport.ASCII}
]


@pytest.mark.parametrize("name", FOUND_OVER_TCP)
async def test_every_device_that_ships_is_known_by_its_answers(name: str) -> None:
    async with served(devices_of(name, clock=FastClock())) as running:
        (search,) = hurried(plan([f"127.0.0.1:{running.port}"], None, "1", Transport.TCP))
        found = await identify(Bus(search.endpoint), running.device.unit, search.profiles, 1.0, 0.0)
        assert isinstance(found, Found)
        chosen = found.chosen()
        fitting = {one.profile.profile for one in chosen} | {other for one in chosen for other in found.also(one)}
        assert name in fitting
        if name not in SAME_REGISTERS:
            assert name in {one.profile.profile for one in chosen}


async def test_discover_says_what_a_transparent_serial_server_speaks() -> None:
    async with served(devices_of("sdm630", unit=4), framing=Framing.RTU) as running:
        searches = hurried(plan([f"127.0.0.1:{running.port}"], None, "3-4", Transport.RTU_OVER_TCP))
        ((_, section),) = sections(await search_all(searches, 0.2, lambda _: None, gap_s=0.0))
        assert section["profile"] == "eastron-sdm630"
        assert (section["transport"], section["unit"]) == ("rtu_over_tcp", 4)


async def test_discover_searches_a_serial_line_with_the_settings_profiles_name() -> None:
    async with served_serially(devices_of("deye-1p", unit=2)) as running:
        results = await search_all(plan([], running.path, "1-2", Transport.TCP), 0.2, lambda _: None, gap_s=0.0)
        found = {section["profile"]: section for _, section in sections(results)}
        assert found["deye-1p"] == {
            "id": "hybrid-inverter",
            "profile": "deye-1p",
            "serial": running.path,
            "unit": 2,
        }


@pytest.mark.parametrize(
    ("arguments", "clue"),
    [
        ([], "Name at least one host"),
        (["10.0.0.1/24"], "Write a host name"),
        (["10.0.0.1:http"], "Write a host name"),
        (["10.0.0.1", "--units", "9-3"], "such as 1-10,100,247"),
        (["10.0.0.1", "--units", "300"], "such as 1-10,100,247"),
        (["10.0.0.1", "--transport", "rtu"], "--serial"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused(arguments: list[str], clue: str) -> None:
    with pytest.raises(ConfigError, match=clue):
        app(["discover", *arguments], standalone_mode=False)


async def run(*arguments: str) -> object:
    """Run a command as the command line does; its own event loop needs a thread of its own."""
    return await asyncio.to_thread(app, list(arguments), standalone_mode=False)


async def test_probe_shows_values_with_units_and_the_registers_they_came_from(
    homes_devices: dict[str, Served], capsys: pytest.CaptureFixture[str]
) -> None:
    meter, hybrid = homes_devices["gateway"].port, homes_devices["hybrid"].port
    await run("probe", *f"--profile eastron-sdm630 --host 127.0.0.1 --port {meter} --unit 3".split())
    lines = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    assert lines["power_w"] == ["-3395.000", "W", "4:52", "C554", "3000"]
    assert lines["import_energy_wh"] == ["7251500.000", "Wh", "4:72", "45E2", "9C00"]
    await run("probe", *f"--profile sunspec-hybrid --host 127.0.0.1 --port {hybrid}".split())
    printed = capsys.readouterr().out
    assert "Fronius Symo GEN24 10.0 Plus 34571290" in printed
    lines = {line.split()[0]: line.split()[1:] for line in printed.splitlines()}
    assert lines["soc_percent"] == ["63.750", "%", "3:40351", "18E7", "3:40365", "FFFE"]


HEAD = """
agent: anna
data_dir: data
site:
  name: Huset vid sjön
  timezone: Europe/Berlin
  latitude: 47.6634
  longitude: 9.1758
  price_zone: DE-LU
  limits: {main_fuse_a: 35}
  tariff: {export_eur_per_kwh: 0.08}
"""


def home_file(folder: Path, devices: dict[str, Served], hub: str = "") -> Path:
    path = folder / "agent.yaml"
    path.write_text(
        f"{HEAD}{hub}devices:\n"
        f"  - {{id: meter, profile: eastron-sdm630, host: 127.0.0.1, port: {devices['gateway'].port}, unit: 3}}\n"
        f"  - {{id: car, profile: go-e, host: 127.0.0.1, port: {devices['gateway'].port}}}\n"
        f"  - {{id: inverter, profile: sunspec-hybrid, host: 127.0.0.1, port: {devices['hybrid'].port}}}\n"
        "  - {id: gone, profile: nibe-s-series, host: 127.0.0.1, port: 9}\n"
    )
    return path


async def test_probe_reads_a_home_over_one_connection_a_wire_and_says_who_is_silent(
    homes_devices: dict[str, Served], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = home_file(tmp_path, homes_devices)
    assert await run("probe", "--config", str(config)) == 1
    printed = capsys.readouterr().out
    assert "meter (Eastron SDM630 Modbus V2) at 127.0.0.1" in printed
    assert "gone (127.0.0.1:9 unit 1): gone does not accept a connection" in printed
    assert await run("probe", "car", "--config", str(config)) is None
    assert "vehicle_state" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="Name one of: meter, car, inverter, gone"):
        await run("probe", "boat", "--config", str(config))
    with pytest.raises(ConfigError, match="--profile and --host"):
        await run("probe")


async def test_probe_watches_until_it_is_stopped(
    homes_devices: dict[str, Served], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(probe_module, "_WATCH_S", 0.01)
    gateway = homes_devices["gateway"]
    watching = asyncio.create_task(probe_module._probe([target(gateway, "eastron-sdm630")], watch=True))
    # the meter is unit 3 of the gateway, the target's default is its first device
    printed = ""
    while "4:52 C554" not in printed:
        await asyncio.sleep(0.01)
        printed += capsys.readouterr().out
    gateway.devices[0]._registers[4][52] = 0x4500
    while "4:52 4500" not in printed:
        await asyncio.sleep(0.01)
        printed += capsys.readouterr().out
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


async def test_probe_reads_a_device_on_a_serial_line(capsys: pytest.CaptureFixture[str]) -> None:
    async with served_serially(devices_of("deye-1p", unit=2)) as running:
        await run("probe", *f"--profile deye-1p --serial {running.path} --unit 2".split())
    printed = capsys.readouterr().out
    assert f"2104567890) at {running.path} unit 2" in printed
    soc_percent = next(line for line in printed.splitlines() if line.split()[0] == "soc_percent")
    assert float(soc_percent.split()[1]) == load("deye-1p").expect["soc_percent"]


@pytest.mark.parametrize(
    ("name", "profile", "serial"),
    [
        ("eastron-sdm630", "eastron-sdm630", ""),
        ("go-e", "go-e", ""),
        ("keba-p30", "keba-p30", ""),
        ("fronius-gen24", "sunspec-hybrid", "34571290"),
        ("huawei-sun2000", "huawei-sun2000", "TA2190034567"),
        ("deye-1p", "deye-1p", "2104567890"),
        ("goodwe-et", "goodwe-et", ""),
        ("phoenix-ev-eth", "phoenix-ev-eth", ""),
    ],
)
async def test_what_record_writes_serves_the_same_device_without_its_serial_number(
    name: str, profile: str, serial: str
) -> None:
    async with served(devices_of(name, clock=FastClock())) as running:
        text = await record_target(target(running, profile))
        before = await survey_target(target(running, profile))
    copy = parse(text, "copy.yaml")
    assert copy.file.origin == "recorded"
    assert copy.expect == pytest.approx(dict(before.values), rel=1e-9)
    async with served(devices_of(copy, clock=FastClock())) as running:
        after = await survey_target(target(running, profile))
        assert dict(after.values) == dict(before.values)
    if serial:
        assert before.identity["serial"] == serial
        assert after.identity["serial"] == "X" * len(serial)
        assert serial not in text
        assert serial.encode().hex() not in text.lower().replace(" ", "")


async def test_a_recorded_device_takes_the_orders_its_profile_knows() -> None:
    async with served(devices_of("go-e")) as running:
        copy = parse(await record_target(target(running, "go-e")), "copy.yaml")
    original = load("go-e")
    assert copy.registers(1, 3)[299] == original.registers(1, 3)[299]
    assert 299 in {span.address for span in copy.file.writable}
    assert copy.file.write_functions == (16,)


async def test_record_writes_a_file_and_says_how_to_serve_it(
    homes_devices: dict[str, Served], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "meter.yaml"
    config = home_file(tmp_path, homes_devices)
    await run("record", "meter", "--config", str(config), "--out", str(out))
    assert f"hearth-sim serve --file {out}" in capsys.readouterr().out
    assert load(out).registers(3, 4)[52] == 0xC554
    assert await run("record", "gone", "--config", str(config)) == 1
    assert "does not accept a connection" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="Name one of meter, car"):
        await run("record", "--config", str(config))
    with pytest.raises(ConfigError, match="cannot be written"):
        await run("record", "meter", "--config", str(config), "--out", str(tmp_path / "no" / "such" / "folder"))


async def test_a_meter_that_is_wired_the_other_way_round_is_shown_as_used_and_recorded_as_documented(
    homes_devices: dict[str, Served], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = home_file(tmp_path, homes_devices)
    config.write_text(config.read_text().replace("unit: 3", "unit: 3, sign: -1"))
    await run("probe", "meter", "--config", str(config))
    assert "power_w                              3395.000 W" in capsys.readouterr().out
    await run("record", "meter", "--config", str(config))
    assert parse(capsys.readouterr().out, "copy.yaml").expect["power_w"] == -3395.0


PASSWORD, OTHER_PASSWORD = "gr€en & Käse/7+", "from the environment 9"
HUB = f"""hub:
  mqtt_url: "mqtt://anna-user:{quote(PASSWORD, safe="")}@hub.example:1883"   # and not {PASSWORD}
  public_key: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
"""
PRIVATE = (PASSWORD, OTHER_PASSWORD, "anna-user", "47.6634", "9.1758", "Huset vid sjön", "34571290", "AAAAAAAAAAAAAAAA")


def forms(secret: str) -> list[str]:
    data = secret.encode()
    plain = [secret, secret[::-1], json.dumps(secret)[1:-1], quote(secret), quote(secret, safe="")]
    return [one.lower() for one in (*plain, data.hex(), data.hex(" "), base64.b64encode(data).decode().rstrip("="))]


def assert_nothing_private(parts: dict[str, str]) -> None:
    whole = "\n".join(f"{name}\n{text}" for name, text in parts.items()).lower()
    for secret in PRIVATE:
        for form in forms(secret):
            assert form not in whole, (secret, form)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, OTHER_PASSWORD)


def fill_data_dir(folder: Path) -> None:
    """What a running agent leaves: a spool with records, and events in which a secret was said aloud."""
    folder.mkdir()
    store = SpoolStore(folder / "spool.sqlite", 3600.0, 10_000_000)
    store.begin_run(1_000, ["meter"])
    store.close()
    events = EventLog(ManualClock(1000.0), tail=folder / TAIL_NAME)
    events.emit(EventLevel.WARNING, "uplink", f"mqtt://anna-user:{PASSWORD}@hub.example refused {PASSWORD}")
    (folder / "orders.json").write_text(json.dumps({"note": OTHER_PASSWORD}))


@pytest.mark.usefixtures("environment")
async def test_a_bundle_tells_everything_but_what_is_private(homes_devices: dict[str, Served], tmp_path: Path) -> None:
    config = home_file(tmp_path, homes_devices, HUB)
    own = "profile: mine\nkind: heat_pump\nmanufacturer: M\nmodel: M\nsource: bench\npoints: {power_w: {address: 1}}\n"
    (tmp_path / "mine.yaml").write_text(own)
    config.write_text(config.read_text().replace("nibe-s-series", "mine.yaml"))
    fill_data_dir(tmp_path / "data")
    parts = await gather(config)
    assert_nothing_private(parts)
    assert parts["profiles/mine.yaml"] == own
    assert OTHER_PASSWORD not in parts["orders.json"]
    assert "epoch" in parts["spool.txt"]
    assert "spool.sqlite" in parts["files.txt"]
    assert "refused removed" in parts[TAIL_NAME]
    assert "4:52 C554 3000" in parts["devices/meter.txt"]
    assert parse(parts["devices/inverter.yaml"], "bundle").expect["soc_percent"] == 63.75
    assert "does not accept a connection" in parts["devices/gone.txt"]
    assert parts["check.txt"] == "The file is good.\n"
    settings = yaml.safe_load(parts["agent.yaml"])
    assert settings["site"]["latitude"] == "removed"
    assert settings["site"]["price_zone"] == "DE-LU"
    assert settings["devices"][0]["profile"] == "eastron-sdm630"


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(
    ("spoil", "clue"),
    [
        (lambda text: text.replace("profile: go-e", "profile: go-f"), "Did you mean 'go-e'"),
        (lambda text: text.replace("mqtt://", "http://"), "Use mqtt://"),
        (lambda text: text.replace("latitude: 47.6634", "latitude: 147.6634"), "latitude"),
        (lambda text: text + "  - {id: [", "Correct the YAML"),
    ],
)
async def test_a_wrong_file_and_a_broken_spool_are_told_in_the_bundle(
    homes_devices: dict[str, Served], tmp_path: Path, spoil: object, clue: str
) -> None:
    config = home_file(tmp_path, homes_devices, HUB)
    config.write_text(spoil(config.read_text()))  # type: ignore[operator]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "spool.sqlite").write_bytes(b"no database at all" * 100)
    (tmp_path / "taxes.json").write_text("nobody's business")
    parts = await gather(config)
    assert clue in parts["check.txt"]
    assert_nothing_private(parts)
    assert "taxes.json" not in parts
    if "YAML" not in clue:
        assert "cannot be read" in parts["spool.txt"]


@pytest.mark.usefixtures("environment")
async def test_diagnose_writes_one_file_and_leaves_the_spool_alone(
    homes_devices: dict[str, Served], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = home_file(tmp_path, homes_devices, HUB)
    fill_data_dir(tmp_path / "data")
    running_agent = sqlite3.connect(tmp_path / "data" / "spool.sqlite")
    running_agent.execute("PRAGMA locking_mode=EXCLUSIVE")
    running_agent.execute("BEGIN EXCLUSIVE")
    before = {path.name: path.read_bytes() for path in (tmp_path / "data").iterdir()}
    out = tmp_path / "report.zip"
    await run("diagnose", "--config", str(config), "--out", str(out))
    assert {path.name: path.read_bytes() for path in (tmp_path / "data").iterdir()} == before
    running_agent.close()
    with zipfile.ZipFile(out) as bundle:
        parts = {name: bundle.read(name).decode() for name in bundle.namelist()}
    assert_nothing_private(parts)
    assert {"versions.txt", "agent.yaml", "check.txt", "spool.txt", "devices/meter.yaml"} <= parts.keys()
    assert "Look through it" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="cannot be written"):
        await run("diagnose", "--config", str(config), "--out", str(tmp_path / "no" / "such.zip"))
