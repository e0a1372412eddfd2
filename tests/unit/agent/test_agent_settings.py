"""A mistake in agent.yaml is found before anything is started, and named with its remedy."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.proofs import prove

from hearth_agent.cli import main
from hearth_agent.settings import load_home
from hearth_core.broker import parse_broker_url
from hearth_core.errors import ConfigError
from hearth_core.points import DeviceKind

GOOD = """
agent: anna
data_dir: data
site:
  name: Anna
  timezone: Europe/Berlin
  latitude: 47.66
  longitude: 9.18
  price_zone: DE-LU
  limits: {main_fuse_a: 35}
  tariff: {export_eur_per_kwh: 0.08}
hub: {mqtt_url: "mqtt://127.0.0.1:1883", public_key: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}
devices:
  - {id: grid, profile: eastron-sdm630, host: 127.0.0.1}
  - {id: inverter, profile: sunspec-hybrid, host: 127.0.0.1, port: 5021, controlled: true}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "agent.yaml"
    path.write_text(text)
    return path


def test_a_good_file_is_resolved(tmp_path: Path) -> None:
    home = load_home(write(tmp_path, GOOD))
    assert home.data_dir == tmp_path / "data"
    assert home.broker is not None
    assert home.broker.port == 1883
    inverter = home.device_of(DeviceKind.HYBRID_INVERTER)
    assert inverter is not None
    assert inverter.port == 5021
    assert home.settings.control_s == 1.0


def test_the_example_in_the_docs_is_good() -> None:
    home = load_home(Path(__file__).parents[3] / "docs/agent.example.yaml")
    assert home.broker is not None
    assert home.warnings == []


def test_a_home_may_live_without_a_hub(tmp_path: Path) -> None:
    home = load_home(write(tmp_path, "\n".join(line for line in GOOD.splitlines() if not line.startswith("hub"))))
    assert home.broker is None


def test_a_profile_of_ones_own_lies_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "profile: mine\nkind: grid_meter\nmanufacturer: M\nmodel: M\nsource: bench\npoints: {power_w: {address: 1}}\n"
    )
    home = load_home(write(tmp_path, GOOD.replace("eastron-sdm630", "mine.yaml")))
    assert home.profiles["grid"].profile == "mine"


METER = "{id: grid, profile: eastron-sdm630, host: 127.0.0.1}"
ON_A_LINE = "{id: grid, profile: eastron-sdm630, transport: rtu, serial: /dev/ttyUSB0"
TWO_ON_A_LINE = GOOD.replace(METER, ON_A_LINE + "}").replace(
    "host: 127.0.0.1, port: 5021", "transport: rtu, serial: /dev/ttyUSB0, unit: 3, line: {baudrate: 19200}"
)


def test_devices_at_one_address_or_on_one_line_share_an_endpoint(tmp_path: Path) -> None:
    """An inverter that takes a single connection, and a meter behind it, must not fight for that connection."""
    shared = GOOD.replace("port: 5021", "port: 502, unit: 3")
    endpoints = load_home(write(tmp_path, shared)).endpoints
    assert endpoints["grid"] == endpoints["inverter"]
    line = load_home(write(tmp_path, TWO_ON_A_LINE.replace(", line: {baudrate: 19200}", ""))).endpoints
    assert line["grid"] == line["inverter"]
    assert line["grid"].described == "rtu, 9600 baud 8N1"
    faster = load_home(write(tmp_path, GOOD.replace(METER, ON_A_LINE + ", line: {baudrate: 19200, parity: E}}")))
    assert faster.endpoints["grid"].described == "rtu, 19200 baud 8E1"


def test_a_meter_for_serial_lines_at_a_host_is_behind_a_gateway_that_translates(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "profile: mine\nkind: grid_meter\nmanufacturer: M\nmodel: M\nsource: bench\n"
        "transports: [rtu, rtu_over_tcp, tcp]\npoints: {power_w: {address: 1}}\n"
    )
    text = GOOD.replace("eastron-sdm630", "mine.yaml")
    assert load_home(write(tmp_path, text)).endpoints["grid"].described == "tcp"
    told = text.replace("127.0.0.1}", "127.0.0.1, transport: rtu_over_tcp}", 1)
    assert load_home(write(tmp_path, told)).endpoints["grid"].described == "rtu_over_tcp"


MISTAKES = [
    (GOOD.replace(METER, METER.replace(", host: 127.0.0.1", "")), "devices[0].host", "either host or serial"),
    (GOOD.replace(METER, ON_A_LINE + ", host: 127.0.0.1}"), "devices[0].host", "not both"),
    (GOOD.replace(METER, ON_A_LINE + ", port: 502}"), "devices[0].port", "remove it"),
    (GOOD.replace(METER, METER.replace("127.0.0.1", "127.0.0.1, line: {parity: E}")), "devices[0].line", "remove it"),
    (GOOD.replace(METER, METER.replace("127.0.0.1", "127.0.0.1, transport: rtu")), "transport", "needs serial"),
    (GOOD.replace(METER, ON_A_LINE.replace("transport: rtu", "transport: tcp") + "}"), "transport", "needs host"),
    (TWO_ON_A_LINE, "devices[1].line", "grid shares /dev/ttyUSB0 and speaks rtu, 9600 baud 8N1"),
    (GOOD.replace("data_dir", "datadir"), "datadir", "data_dir"),
    (GOOD.replace("main_fuse_a", "main_fuse"), "site.limits.main_fuse", "main_fuse_a"),
    (GOOD.replace("sunspec-hybrid", "sunspec-hybird"), "devices[1].profile", "sunspec-hybrid"),
    (GOOD.replace("id: inverter", "id: grid"), "devices[1].id", "id of its own"),
    (GOOD.replace("sunspec-hybrid", "eastron-sdm630").replace(", controlled: true", ""), "devices", "One grid_meter"),
    (GOOD.replace("host: 127.0.0.1}", "host: 127.0.0.1, controlled: true}"), "devices[0].controlled", "no controls"),
    (GOOD.replace("host: 127.0.0.1}", "host: 127.0.0.1, max_current_a: 10}"), "max_current_a", "EV charger"),
    (GOOD.replace("mqtt://127", "http://127"), "hub.mqtt_url", "mqtt://host:port"),
    (GOOD.replace("1883", "1883?protocol=4"), "hub.mqtt_url", "3.1.1"),
    (GOOD.replace("AAAA=", "AAAA"), "hub.public_key", "hearth-hub key"),
    (GOOD.replace("Europe/Berlin", "Europe/Konstanz"), "site.timezone", "Europe/Konstanz"),
    (GOOD.replace("agent: anna", "agent: Anna"), "agent", "Anna"),
    (GOOD + "poll_s: 0\n", "poll_s", ">= 1"),
    (GOOD.replace("profile: sunspec-hybrid", "profile: missing.yaml"), "the file", "cannot be read"),
]


@pytest.mark.parametrize(("text", "field", "remedy"), MISTAKES)
def test_a_mistake_names_field_and_remedy(tmp_path: Path, text: str, field: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_home(write(tmp_path, text))
    assert field in caught.value.field
    assert remedy in str(caught.value)


@pytest.mark.parametrize("command", ["run", "check", "probe", "commission"])
def test_a_wrong_file_ends_every_command_with_code_2_and_nothing_started(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, GOOD.replace("data_dir", "datadir"))
    monkeypatch.setattr("sys.argv", ["hearth-agent", command, "--config", str(path)])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert "datadir" in error
    assert "Did you mean 'data_dir'?" in error
    assert not (tmp_path / "data").exists()


def checked(path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what `hearth-agent check` prints."""
    monkeypatch.setattr("sys.argv", ["hearth-agent", "check", "-c", str(path)])
    with pytest.raises(SystemExit) as caught:
        main()
    assert not caught.value.code
    return capsys.readouterr().out


def test_check_tells_what_it_understood(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, GOOD)
    assert "never proved; run `hearth-agent commission --device inverter`" in checked(path, capsys, monkeypatch)
    out = checked(prove(path), capsys, monkeypatch)
    assert "127.0.0.1:5021  controlled" in out
    assert "mqtt://127.0.0.1:1883" in out
    assert "without site.battery it is left in its own mode" in out


def test_profiles_are_listed_and_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["hearth-agent", "profiles"])
    with pytest.raises(SystemExit):
        main()
    assert "sunspec-hybrid" in capsys.readouterr().out
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("profile: wrong\n")
    monkeypatch.setattr("sys.argv", ["hearth-agent", "profile", "check", str(wrong)])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert "wrong.yaml" in capsys.readouterr().err


def test_secrets_do_not_show() -> None:
    address = parse_broker_url("mqtts://anna:s%3Acret@hub.example")
    assert (address.username, address.password, address.port, address.tls) == ("anna", "s:cret", 8883, True)
    assert "cret" not in f"{address} {address!r}"
    assert parse_broker_url("mqtt://anna:old@hub", "new").password == "new"
