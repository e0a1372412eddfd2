"""A proof speaks of one device as it is wired: whatever changes its meaning ends it, and nothing else does."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.proofs import prove

from hearth_agent.commissioning.findings import factor_name
from hearth_agent.commissioning.site_file import with_changes
from hearth_agent.devices.catalogue import parse_profile, shipped_names, shipped_profile
from hearth_agent.proof import profile_sha256
from hearth_agent.settings import load_home
from hearth_agent.wiring import as_wired
from hearth_core.points import DeviceKind

METER = """
profile: mine
kind: grid_meter
manufacturer: M
model: M
source: bench
type: s16
points:
  power_w: {address: 1, sign: -1}
  import_energy_wh: {address: 2}
  export_energy_wh: {address: 3}
"""
HOME = """\
agent: anna
data_dir: data
site:
  name: Anna
  timezone: Europe/Berlin
  latitude: 47.66
  longitude: 9.18
  price_zone: DE-LU
  limits: {main_fuse_a: 35}
  tariff: {}
devices:
- {id: grid, profile: mine.yaml, host: 10.0.0.2}   # left as it is
- id: charger
  profile: go-e
  host: 10.0.0.4
  controlled: true
"""


def test_only_the_meaning_of_a_profile_counts() -> None:
    written = profile_sha256(parse_profile(METER, "mine.yaml"))
    spelt_out = METER.replace("sign: -1", "sign: -1, scale: 1, poll: poll").replace("kind:", "# a comment\nkind:")
    assert profile_sha256(parse_profile(spelt_out, "mine.yaml")) == written
    for old, new in (("address: 1,", "address: 5,"), ("sign: -1", "scale: 10"), ("s16", "u16")):
        assert profile_sha256(parse_profile(METER.replace(old, new), "mine.yaml")) != written


def test_every_shipped_profile_has_a_hash_of_its_own() -> None:
    assert len({profile_sha256(shipped_profile(name)) for name in shipped_names()}) == len(shipped_names())


def test_a_turned_meter_counts_the_other_way_round() -> None:
    profile = parse_profile(METER, "mine.yaml")
    turned = as_wired(profile, -1, 1, None)
    assert turned.points["power_w"].sign == 1
    assert turned.points["import_energy_wh"].address == 3
    assert profile_sha256(turned) != profile_sha256(profile)
    assert as_wired(turned, -1, 1, None).points["power_w"] == profile.points["power_w"]


def test_a_turned_battery_changes_every_term() -> None:
    profile = shipped_profile("sunspec-hybrid")
    turned = as_wired(profile, 1, -1, None)
    signs = [[term.sign for term in one.points["battery_power_w"].terms] for one in (profile, turned)]
    assert signs == [[1, -1], [-1, 1]]
    charged = profile.points["battery_charge_energy_wh"]
    assert turned.points["battery_discharge_energy_wh"] == charged
    assert turned.points["power_w"] == profile.points["power_w"]


def test_a_meter_may_stand_for_something_else() -> None:
    wired = as_wired(parse_profile(METER, "mine.yaml"), 1, 1, DeviceKind.PV)
    assert wired.kind is DeviceKind.PV
    assert wired.points["energy_wh"].address == 2
    assert "export_energy_wh" not in wired.points


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "mine.yaml").write_text(METER)
    path = tmp_path / "agent.yaml"
    path.write_text(HOME)
    return path


def test_control_needs_a_proof_of_device_and_meter(config: Path) -> None:
    assert "never proved" in load_home(config).why_watched("charger")
    prove(config)
    home = load_home(config)
    assert home.controlled("charger")
    assert home.why_watched("grid") == "controlled is not set"
    # the meter is what an order is seen with: another meter ends the charger's control too
    (config.parent / "mine.yaml").write_text(METER.replace("address: 1,", "address: 5,"))
    assert "of the grid meter grid: the profile mine" in load_home(config).why_watched("charger")


def test_a_device_that_keeps_orders_needs_its_owners_word(config: Path) -> None:
    prove(config)
    config.write_text(config.read_text().replace("keeps_orders_ok: true", "keeps_orders_ok: false"))
    assert "keeps_orders_ok: true" in load_home(config).why_watched("charger")


def test_without_a_grid_meter_nothing_is_controlled(config: Path) -> None:
    prove(config)
    config.write_text(config.read_text().replace("  profile: mine.yaml", "  role: appliance\n  profile: mine.yaml"))
    assert "no grid meter" in load_home(config).why_watched("charger")


def test_a_file_stays_as_its_owner_wrote_it() -> None:
    assert with_changes(HOME, {}) == HOME
    indented = HOME.replace("\n  ", "\n    ").replace("\n- ", "\n    - ").replace("\n    profile", "\n      profile")
    indented = indented.replace("\n    host", "\n      host").replace("\n    controlled", "\n      controlled")
    assert with_changes(indented, {}) == indented


def test_factors_are_named() -> None:
    assert "kW read as W" in factor_name(0.0011)
    assert "ten times too much" in factor_name(9.1)
    assert factor_name(1.0) == factor_name(3.0) == factor_name(-10.0) == factor_name(0.0) == ""
