"""Prices as the API shows them."""

from __future__ import annotations

from pydantic import BaseModel


class Prices(BaseModel):
    """Prices of equal steps; ``start_ms`` is the step that holds the instant asked for."""

    start_ms: int
    step_s: int
    import_eur_per_kwh: list[float | None]
    export_eur_per_kwh: list[float | None]
