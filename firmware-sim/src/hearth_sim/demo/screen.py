"""One live status screen: what flows, what is planned and why, what it earns."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from hearth_sim.demo.conductor import Home

_BARS = " ▁▂▃▄▅▆▇█"
_BAR_WIDTH = 24
_FULL_SCALE_W = 8000.0
_DAY_MS = 86_400_000


class Screen:
    """Draws the home; slow answers (prices, forecast) are fetched now and then, not each second."""

    def __init__(self, home: Home, timezone: str) -> None:
        self._home, self._zone = home, ZoneInfo(timezone)
        self._prices: dict[str, Any] | None = None
        self._forecast: dict[str, Any] | None = None
        self._savings: dict[str, Any] | None = None
        self._round = 0

    def draw(self, now: dict[str, Any] | None) -> RenderableType:
        """Return the screen for the present state."""
        if self._round % 10 == 0:
            self._fetch()
        self._round += 1
        at = datetime.fromtimestamp(self._home.clock.time(), tz=self._zone)
        speed = self._home.clock.speed
        title = f"Hearth · Konstanz · {at:%a %d %b %Y %H:%M} · {speed:.0f}x"
        return Panel(
            Group(self._flows(now), self._plan(now), self._day(), self._money()),
            title=title,
            subtitle=f"{self._home.url}   Ctrl-C ends everything",
        )

    def _fetch(self) -> None:
        now_ms = int(self._home.clock.time() * 1000)
        self._prices = self._home.hub.prices(now_ms, now_ms + _DAY_MS)
        self._forecast = self._home.hub.forecast()
        self._savings = self._home.hub.savings()

    def _flows(self, now: dict[str, Any] | None) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        flows = (now or {}).get("flows", {})
        rows = (
            ("grid", flows.get("grid_w"), "import", "export"),
            ("sun", flows.get("pv_w"), "", ""),
            ("battery", flows.get("battery_w"), "discharges", "charges"),
            ("house", flows.get("house_w"), "", ""),
            ("car", flows.get("ev_w"), "", ""),
            ("heat pump", flows.get("heat_pump_w"), "", ""),
        )
        for name, power_w, plus, minus in rows:
            word = "" if power_w is None or abs(power_w) < 20 else (plus if power_w > 0 else minus)
            table.add_row(name, _power(power_w), _bar(power_w), Text(word, style="dim"))
        soc = (now or {}).get("soc_percent")
        table.add_row("stored", "-" if soc is None else f"{soc:5.1f} %", _bar(soc, 100.0), "")
        return table

    def _plan(self, now: dict[str, Any] | None) -> RenderableType:
        mode = str((now or {}).get("mode") or "-").replace("_", " ")
        text = Text(f"\nnow: {mode}", style="bold")
        if now and now.get("reason"):
            text.append(f" · {now['reason']}", style="not bold")
        plan = self._home.hub.plan() if self._round % 5 == 1 else None
        self._headline = plan["headline"] if plan else getattr(self, "_headline", "")
        text.append(f"\nplan: {self._headline}", style="not bold")
        return text

    def _day(self) -> RenderableType:
        lines = []
        if self._prices and any(price is not None for price in self._prices["import_eur_per_kwh"]):
            prices = [price for price in self._prices["import_eur_per_kwh"] if price is not None]
            lines.append(f"price   {_spark(prices)}  {min(prices):.2f} .. {max(prices):.2f} EUR/kWh, next hours")
        for series in (self._forecast or {}).get("series", []):
            day = series["p50_w"][:96]
            energy_kwh = sum(day) * (self._forecast or {})["step_s"] / 3.6e6
            lines.append(f"{series['target']:7} {_spark(day[::2])}  {energy_kwh:.1f} kWh in 24 h ({series['model']})")
        return Text("\n" + "\n".join(lines))

    def _money(self) -> RenderableType:
        total = (self._savings or {}).get("total")
        if not total or total.get("saved_eur") is None:
            return Text("\nmoney: the ledger fills as the day goes on", style="dim")
        return Text(
            f"\nsaved against no battery {total['saved_eur']:.2f} EUR · "
            f"regret against perfect foresight {total['regret_eur']:.2f} EUR"
        )


def _power(power_w: float | None) -> str:
    return "      -" if power_w is None else f"{power_w / 1000:6.2f} kW"


def _bar(value: float | None, full: float = _FULL_SCALE_W) -> Text:
    if value is None:
        return Text("")
    width = min(_BAR_WIDTH, round(abs(value) / full * _BAR_WIDTH))
    return Text("█" * width, style="green" if value >= 0 else "yellow")


def _spark(values: list[float]) -> str:
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    return "".join(_BARS[1 + round((value - low) / span * (len(_BARS) - 2))] for value in values)
