"""The demo home as an installer would describe it: the recorded house in Konstanz with the simulated battery."""

from __future__ import annotations

from hearth_core.messages import DeviceInfo
from hearth_core.points import DeviceKind
from hearth_core.site import BatteryFacts, Limits, Site
from hearth_core.tariff import ExportKind, Tariff
from hearth_sim.recorded import LATITUDE, LONGITUDE

FUSE_A = 35.0
GRID, INVERTER, CHARGER, HEAT_PUMP = "grid", "inverter", "charger", "heat-pump"
DEVICE_IDS = (GRID, INVERTER, CHARGER, HEAT_PUMP)


def demo_battery(capacity_wh: float = 10_000.0, power_w: float = 5_000.0) -> BatteryFacts:
    """Return the data sheet of the simulated battery."""
    return BatteryFacts(
        capacity_wh=capacity_wh,
        max_charge_w=power_w,
        max_discharge_w=power_w,
        min_soc_percent=5.0,
        max_soc_percent=100.0,
        efficiency=0.95,
        own_use_w=10.0,
    )


def demo_site() -> Site:
    """Return place, limits, tariff and battery of the demo home."""
    return Site(
        name="Konstanz",
        timezone="Europe/Berlin",
        latitude=LATITUDE,
        longitude=LONGITUDE,
        price_zone="NL",
        limits=Limits(main_fuse_a=FUSE_A, phases=3),
        tariff=Tariff(
            import_adder_eur_per_kwh=0.16,
            vat_percent=19.0,
            export_kind=ExportKind.SPOT,
            export_eur_per_kwh=0.0,
        ),
        battery=demo_battery(),
    )


def demo_devices() -> list[DeviceInfo]:
    """Return the four devices as an agent that read them would announce them."""
    volts = [f"voltage_l{n}_v" for n in (1, 2, 3)]
    amps = [f"current_l{n}_a" for n in (1, 2, 3)]
    watts = [f"power_l{n}_w" for n in (1, 2, 3)]
    battery = ["battery_power_w", "battery_charge_energy_wh", "battery_discharge_energy_wh", "soc_percent"]
    return [
        DeviceInfo(
            id=GRID,
            kind=DeviceKind.GRID_METER,
            profile="eastron-sdm630",
            manufacturer="Eastron",
            model="SDM630",
            points=["power_w", *watts, *volts, *amps, "frequency_hz", "import_energy_wh", "export_energy_wh"],
        ),
        DeviceInfo(
            id=INVERTER,
            kind=DeviceKind.HYBRID_INVERTER,
            profile="sunspec-hybrid",
            points=["power_w", "energy_wh", "pv_power_w", "pv_energy_wh", "operating_state", *battery],
        ),
        DeviceInfo(
            id=CHARGER,
            kind=DeviceKind.EV_CHARGER,
            profile="go-e",
            manufacturer="go-e",
            points=["power_w", "energy_wh", "session_energy_wh", "current_limit_a", "vehicle_state", *amps],
        ),
        DeviceInfo(
            id=HEAT_PUMP,
            kind=DeviceKind.HEAT_PUMP,
            profile="nibe-s-series",
            manufacturer="NIBE",
            points=["power_w", "outdoor_temperature_c", "water_temperature_c", "operating_state"],
        ),
    ]
