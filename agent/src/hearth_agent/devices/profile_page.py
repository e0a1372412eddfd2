"""The page of docs that lists the shipped profiles."""

from __future__ import annotations

from itertools import groupby

from hearth_agent.devices.catalogue import shipped_names, shipped_profile
from hearth_agent.devices.controls import ControlKind, ControlSpec, cases_of
from hearth_core.points import DeviceKind


def shipped_page() -> str:
    """Return the shipped profiles as a page of Markdown, by kind of device and name (docs/device-profiles.md)."""
    rows = [
        "# Device profiles that come with the agent",
        "",
        f"{len(shipped_names())} profiles; `make schemas` writes this page from them. What a profile is, what the",
        "classes of its controls mean and how to add a device: [devices.md](devices.md).",
        "",
    ]
    rows += ["| profile | device | speaks | what can be ordered, with its class | source |", "|---|---|---|---|---|"]
    kinds = list(DeviceKind)
    by_kind = sorted((shipped_profile(name) for name in shipped_names()), key=lambda one: kinds.index(one.kind))
    for kind, profiles in groupby(by_kind, key=lambda one: one.kind):
        rows.append(f"| **{kind.replace('_', ' ')}** | | | | |")
        for one in profiles:
            speaks = ", ".join(transport.replace("_", " ") for transport in one.transports)
            orders = ", ".join(_order(kind, control) for kind, control in one.controls.items()) or "only read"
            rows.append(f"| {one.profile} | {one.manufacturer} {one.model} | {speaks} | {orders} | {one.source} |")
    return "\n".join(rows)


def _order(kind: ControlKind, control: ControlSpec) -> str:
    cases = f" ({', '.join(sorted(cases_of(kind, control)))})" if control.cases and not control.order else ""
    return f"{kind.replace('_', ' ')}{cases} {control.safety_class}"
