"""What the demo asks the hub, over the same doors as everybody else."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any


class HubClient:
    """Reads one home from the hub's HTTP API; what is not there yet is None."""

    def __init__(self, base_url: str, home: str) -> None:
        self._base_url, self._home = base_url, home

    def healthy(self) -> bool:
        """Tell whether the hub answers."""
        return self._get("/api/health") is not None

    def now(self) -> dict[str, Any] | None:
        """Return the home's present state."""
        return self._get(f"/api/homes/{self._home}/now")

    def plan(self) -> dict[str, Any] | None:
        """Return the plan in force."""
        return self._get(f"/api/homes/{self._home}/plan")

    def forecast(self) -> dict[str, Any] | None:
        """Return the latest forecast."""
        return self._get(f"/api/homes/{self._home}/forecast")

    def savings(self) -> dict[str, Any] | None:
        """Return the ledger of the last days."""
        return self._get(f"/api/homes/{self._home}/savings?days=7")

    def prices(self, start_ms: int, end_ms: int) -> dict[str, Any] | None:
        """Return the prices of a span."""
        return self._get(f"/api/homes/{self._home}/prices?start_ms={start_ms}&end_ms={end_ms}")

    def _get(self, path: str) -> dict[str, Any] | None:
        try:
            with urllib.request.urlopen(self._base_url + path, timeout=5) as response:  # noqa: S310  our own hub
                answer: dict[str, Any] = json.load(response)
        except (urllib.error.URLError, TimeoutError, ConnectionError, json.JSONDecodeError):
            return None
        return answer
