"""What an installer mistypes is named; what was not signed is not believed."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hearth_core import topics
from hearth_core.config import parse_yaml
from hearth_core.errors import ConfigError, PoisonMessageError, SignatureError
from hearth_core.messages import Ack, Envelope, decode, encode
from hearth_core.points import POINTS, is_known
from hearth_core.signing import public_key_from_text, public_key_text, seal, unseal
from hearth_core.site import BatteryFacts, Site

GOOD = """
name: Home
timezone: Europe/Berlin
latitude: 47.6
longitude: 9.1
price_zone: NL
limits: {main_fuse_a: 35}
tariff: {import_adder_eur_per_kwh: 0.16}
"""


@pytest.mark.parametrize(
    ("wrong", "field", "remedy"),
    [
        (GOOD.replace("timezone", "timezon"), "timezon", "Did you mean 'timezone'"),
        (GOOD.replace("main_fuse_a: 35", "main_fuse: 35"), "limits.main_fuse", "Did you mean 'main_fuse_a'"),
        (GOOD.replace("main_fuse_a: 35", "main_fuse_a: 0"), "limits.main_fuse_a", "> 0"),
        (GOOD.replace("Europe/Berlin", "Berlin/Europe"), "timezone", "Europe/Berlin"),
        (GOOD.replace("47.6", "147.6"), "latitude", "<= 90"),
        (GOOD.replace("latitude: 47.6", ""), "latitude", "missing and needed"),
        (GOOD + "\nlimits: [", "line 10", "Correct the YAML"),
        (GOOD + "\nlimits: {}", "line 10", "Correct the YAML"),  # a second time
        (GOOD.replace("{main_fuse_a: 35}", "[35]"), "limits", "Give keys with values; this is a list."),
        (
            GOOD.replace("import_adder", "import_kind: none, import_adder"),
            "tariff.import_kind",
            "one of: day_ahead, fixed",
        ),
        ("", "the file", "It is empty"),
    ],
)
def test_a_wrong_site_file_is_refused_with_field_and_remedy(wrong: str, field: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_yaml(wrong, "agent.yaml", Site)
    assert caught.value.source == "agent.yaml"
    assert caught.value.field == field
    assert remedy in caught.value.remedy


def test_a_right_site_file_is_read() -> None:
    assert parse_yaml(GOOD, "agent.yaml", Site).limits.phases == 3


def test_a_battery_band_must_be_a_band() -> None:
    with pytest.raises(ValueError, match="below"):
        BatteryFacts(capacity_wh=1, max_charge_w=1, max_discharge_w=1, min_soc_percent=50, max_soc_percent=50)


def test_topics_are_parsed_as_they_are_built() -> None:
    assert topics.topic("anna", topics.MODEL, "load") == "hearth/anna/model/load"
    assert topics.parse("hearth/anna/model/load") == ("anna", "model/load")
    for foreign in ("hearth/anna", "hearth//plan", "hearth/Anna/plan", "other/anna/plan", "hearth/a+b/plan"):
        assert topics.parse(foreign) is None


def test_every_point_ends_with_its_unit() -> None:
    suffix = {"W": "_w", "V": "_v", "A": "_a", "Hz": "_hz", "Wh": "_wh", "%": "_percent", "degC": "_c", "": "_state"}
    for point in POINTS.values():
        assert point.name.endswith(suffix[point.unit]), point.name
        assert point.low < point.high
    assert is_known("power_w")
    assert is_known("x_fan_speed")
    assert not is_known("power")
    assert not is_known("x_")


def test_only_the_trusted_key_steers_a_home() -> None:
    hub, stranger = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    trusted = public_key_from_text(public_key_text(hub))
    ack = Ack(epoch="0123456789abcdef", upto=3)
    assert unseal(seal(ack, hub), trusted, Ack) == ack
    with pytest.raises(SignatureError):
        unseal(seal(ack, stranger), trusted, Ack)
    envelope = decode(seal(ack, hub), Envelope)
    changed = Envelope(key_id=envelope.key_id, payload=envelope.payload.replace("3", "4"), signature=envelope.signature)
    with pytest.raises(SignatureError):
        unseal(encode(changed), trusted, Ack)
    with pytest.raises(PoisonMessageError):
        unseal(b"{}", trusted, Ack)


@pytest.mark.parametrize("text", ["", "x", base64.b64encode(b"short").decode()])
def test_a_public_key_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        public_key_from_text(text)
