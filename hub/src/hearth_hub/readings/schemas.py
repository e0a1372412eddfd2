"""Readings as the API shows them; the answers are built as bytes, these describe them."""

from __future__ import annotations

import datetime as dt

from pydantic import BaseModel


class FlowsNow(BaseModel):
    """Power flows [W]."""

    grid_w: float | None
    pv_w: float | None
    battery_w: float | None
    house_w: float | None
    ev_w: float | None
    heat_pump_w: float | None
    load_w: float | None


class DeviceNow(BaseModel):
    """What a device said last."""

    device: str
    kind: str | None
    at_ms: int | None
    age_s: float | None
    points: dict[str, float | None]


class Now(BaseModel):
    """The present state of a home."""

    at_ms: int | None
    state: str
    mode: str
    reason: str
    plan_version: int | None
    lag_s: float
    flows: FlowsNow
    soc_percent: float | None
    stored_wh: float | None
    import_eur_per_kwh: float | None
    export_eur_per_kwh: float | None
    devices: list[DeviceNow]


class Series(BaseModel):
    """Means of equal steps from ``start_ms`` on; null is missing."""

    start_ms: int
    step_s: int
    grid_w: list[float | None]
    pv_w: list[float | None]
    battery_w: list[float | None]
    load_w: list[float | None]
    ev_w: list[float | None]
    heat_pump_w: list[float | None]
    soc_percent: list[float | None]


class Energies(BaseModel):
    """Energies of local days [Wh]; null is missing. The running day is what it has brought so far."""

    timezone: str
    day: list[dt.date]
    start_ms: list[int]
    import_wh: list[float | None]
    export_wh: list[float | None]
    pv_wh: list[float | None]
    battery_charge_wh: list[float | None]
    battery_discharge_wh: list[float | None]
    ev_wh: list[float | None]
    heat_pump_wh: list[float | None]
