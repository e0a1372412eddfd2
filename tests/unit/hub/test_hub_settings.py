"""A wrong setting is named with its value and what to do."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from hearth_core.errors import ConfigError
from hearth_core.messages import Ack
from hearth_core.signing import public_key_from_text, public_key_text, seal, unseal
from hearth_hub.keys import load_key
from hearth_hub.mqtt import Broker
from hearth_hub.settings import load_settings


def test_a_broker_address_is_read() -> None:
    assert Broker.from_url("mqtt://hub.local") == Broker("hub.local", 1883)
    old = Broker.from_url("mqtt://anna:s%20t@10.0.0.1:2883?protocol=3.1.1")
    assert old == Broker("10.0.0.1", 2883, MQTTProtocolVersion.MQTTv311, "anna", "s t")


@pytest.mark.parametrize("url", ["http://x", "mqtt://", "mqtt://x?protocol=4", "x:1883"])
def test_a_wrong_broker_address_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARTH_HUB_MQTT_URL", url)
    with pytest.raises(ConfigError, match=r"HEARTH_HUB_MQTT_URL.*[Uu]se (mqtt://host:port|5 or 3\.1\.1)"):
        load_settings()


def test_a_wrong_port_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARTH_HUB_PORT", "99999")
    with pytest.raises(ConfigError, match=r"HEARTH_HUB_PORT.*99999"):
        load_settings()


def test_a_planning_token_that_can_be_guessed_is_refused_without_showing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARTH_HUB_PLANNING_TOKEN", "letmein")
    with pytest.raises(ConfigError, match="HEARTH_HUB_PLANNING_TOKEN") as refused:
        load_settings()
    assert "16 " in str(refused.value)
    assert "letmein" not in str(refused.value)


def test_the_signing_key_is_made_once_and_is_nobody_elses(tmp_path: Path) -> None:
    """A hub that made a new key at each start would be refused by every home."""
    key = load_key(tmp_path / "new")
    again = load_key(tmp_path / "new")
    assert public_key_text(again) == public_key_text(key)
    assert stat.S_IMODE((tmp_path / "new" / "signing-key").stat().st_mode) == 0o600
    sealed = seal(Ack(epoch="0" * 16, upto=1), again)
    assert unseal(sealed, public_key_from_text(public_key_text(key)), Ack).upto == 1


def test_a_broken_signing_key_is_refused_and_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "signing-key").write_text("garbage")
    with pytest.raises(ConfigError, match="signing-key"):
        load_key(tmp_path)
    assert (tmp_path / "signing-key").read_text() == "garbage"
