"""Proofs for homes that a test has simulated: nothing is measured, and the proof says so."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from hearth_agent.commissioning.site_file import DeviceChange, write_proofs
from hearth_agent.proof import Proof, profile_sha256
from hearth_agent.settings import load_home

_AT = datetime(2016, 1, 1, tzinfo=UTC)


def prove(config: Path) -> Path:
    """Write a proof for every device of a home's file; the settings ``controlled`` stay as they are."""
    home = load_home(config)
    changes = {
        device.id: DeviceChange(
            proof=Proof(
                date=_AT,
                by="the test",
                method="simulated house",
                profile=home.profiles[device.id].profile,
                profile_sha256=profile_sha256(home.profiles[device.id]),
                endpoint=home.where(device.id),
                site_phases=home.settings.site.limits.phases,
            ),
            keeps_orders_ok=True,
        )
        for device in home.settings.devices
    }
    write_proofs(config, changes, _AT).unlink()
    return config
