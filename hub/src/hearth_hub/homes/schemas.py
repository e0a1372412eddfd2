"""Homes as the API shows them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


class HomeSummary(BaseModel):
    """One home in the list."""

    home: str
    name: str
    state: str
    timezone: str | None


class DeviceDetails(BaseModel):
    """One device as its birth certificate describes it."""

    device: str
    kind: str | None
    profile: str
    manufacturer: str
    model: str
    serial: str
    points: list[str]
    controlled: bool


class HomeDetails(BaseModel):
    """One home with everything an installer wrote about it."""

    home: str
    name: str
    timezone: str | None
    currency: str = "EUR"
    state: str
    site: dict[str, Any] | None
    battery: dict[str, Any] | None
    devices: list[DeviceDetails]
