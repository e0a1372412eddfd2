"""Plans that order one thing in every slot, for homes whose hub is away."""

from __future__ import annotations

from hearth_core.messages import Mode, Plan, Slot

SLOT_S = 900


def steady_plan(home: str, start_s: float, mode: Mode, power_w: float, *, slots: int = 96, version: int = 1) -> Plan:
    """Return a plan of quarter-hours.

    Args:
        home: Whose plan it is.
        start_s: Begin of its first slot.
        mode: What the battery does in each slot.
        power_w: With which power.
        slots: How many there are.
        version: Its number.
    """
    start_ms = int(start_s * 1000)
    return Plan(
        home=home,
        version=version,
        issued_ms=start_ms,
        valid_from_ms=start_ms,
        valid_until_ms=start_ms + 1000 * SLOT_S * slots,
        step_s=SLOT_S,
        slots=[
            Slot(
                start_ms=start_ms + 1000 * SLOT_S * i,
                mode=mode,
                reason="the test wants it",
                power_w=power_w,
                import_eur_per_kwh=0.2,
                export_eur_per_kwh=0.1,
                marginal_eur_per_kwh=0.3,
                load_w=500.0,
                pv_w=0.0,
                battery_w=0.0,
                grid_w=0.0,
                soc_percent=50.0,
            )
            for i in range(slots)
        ],
        policy="modes",
    )
