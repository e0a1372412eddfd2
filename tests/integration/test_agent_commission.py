"""Commissioning the simulated house over Modbus: a right one earns control, a wrong one hears what is wrong."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import textwrap
from collections.abc import Callable, Sequence
from importlib.resources import files
from itertools import count
from pathlib import Path

import pytest

from hearth_agent.app import make_devices
from hearth_agent.commissioning import orders
from hearth_agent.commissioning.course import Course, Options
from hearth_agent.commissioning.findings import Finding
from hearth_agent.commissioning.questions import Asker
from hearth_agent.events import EventLog
from hearth_agent.settings import load_home
from hearth_core.clock import ClockConductor, ManualClock
from hearth_sim.electric import Phase, Supply
from hearth_sim.house import House
from hearth_sim.recorded import parse_instant
from hearth_sim.sdm630 import Sdm630
from hearth_sim.testing import HouseOptions, RunningHouse, running_house

NIGHT = parse_instant("2016-01-10T05:40:00Z")
"""The battery is empty and the house draws power from the grid."""
SUMMER = parse_instant("2016-06-09T12:10:00Z")
"""The sun shines and a car charges on L1."""
Phases = tuple[Phase, Phase, Phase]


def write_config(folder: Path, running: RunningHouse, **settings: str) -> Path:
    """A home in watch mode, as an installer writes it; ``settings`` are added to a device's line."""
    ports, pump = running.ports, settings.get("pump", "nibe-s-series")
    path = folder / "agent.yaml"
    path.write_text(
        textwrap.dedent(f"""
        # Anna's home
        agent: anna
        data_dir: data
        site:
          name: Anna
          timezone: Europe/Berlin
          latitude: 47.7
          longitude: 9.2
          price_zone: DE-LU
          limits: {{main_fuse_a: 35}}   # by the grid operator
          tariff: {{}}
          battery: {{capacity_wh: 10000, max_charge_w: 5000, max_discharge_w: 5000}}
        devices:
          # the meter in the cellar
          - {{id: grid, profile: eastron-sdm630, host: 127.0.0.1, port: {ports["grid"]}{settings.get("grid", "")}}}
          - id: inverter   # in the garage
            profile: sunspec-hybrid
            host: 127.0.0.1
            port: {ports["inverter"]}   # forwarded
            {settings.get("inverter", "")}
          - {{id: charger, profile: go-e, host: 127.0.0.1, port: {ports["charger"]}{settings.get("charger", "")}}}
          - {{id: heat-pump, profile: {pump}, host: 127.0.0.1, port: {ports["heat-pump"]}}}
        """)
    )
    return path


class Screen:
    """Keeps what a person would see."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.findings: list[Finding] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def watch(self, share: float) -> None:
        assert 0 <= share <= 1

    def show(self, findings: Sequence[Finding]) -> None:
        self.findings += findings

    @property
    def text(self) -> str:
        return "\n".join(
            [*self.lines, *(f"{one.device} {one.result}: {one.text}; {one.remedy}" for one in self.findings)]
        )


class MiswiredHouse:
    """The house as a meter sees it whose wires are wrong; everything else is the house's own."""

    def __init__(self, house: House, wires: Callable[[Phases], Phases]) -> None:
        self._house, self._wires = house, wires

    def __getattr__(self, name: str) -> object:
        return getattr(self._house, name)

    def supply(self) -> Supply:
        supply = self._house.supply()
        return Supply(self._wires(supply.phases), supply.frequency_hz)


async def commission(
    folder: Path,
    start_s: float,
    devices: tuple[str, ...],
    *,
    wires: Callable[[Phases], Phases] | None = None,
    soc_percent: float = 50.0,
    yes_to: str = "all",
    **settings: str,
) -> tuple[bool, Screen, RunningHouse, Path]:
    """Commission a house on a clock that runs as fast as the devices answer."""
    clock, screen = ManualClock(start_s), Screen()
    async with running_house(clock, options=HouseOptions(soc_percent=soc_percent)) as running:
        if wires is not None:
            running.servers["grid"].devices = [Sdm630(MiswiredHouse(running.house, wires))]  # type: ignore[arg-type]
        path = write_config(folder, running, **settings)
        home, events = load_home(path), EventLog(clock)
        made = make_devices(home, clock, events)
        asker = Asker("Anna", clock, frozenset({yes_to}), None)
        options = Options(devices=devices, by="Anna", watch_s=120.0)
        try:
            good = await Course(home, made, asker, screen, options, clock, events).run(path)
        finally:
            for device in made.values():
                device.close()
        print(screen.text)
        return good, screen, running, path


def copies(folder: Path) -> list[Path]:
    return list(folder.glob("agent.yaml.*.bak"))


async def test_a_right_home_earns_control_and_keeps_its_comments(tmp_path: Path) -> None:
    good, _, running, path = await commission(tmp_path, SUMMER, ("inverter", "charger"))
    assert good
    home = load_home(path)
    assert [home.why_watched(one) for one in ("inverter", "charger")] == ["", ""]
    inverter, charger = home.device("inverter").proof, home.device("charger").proof
    assert inverter is not None
    assert charger is not None
    assert (inverter.phases, charger.phases, inverter.by) == ([1, 2, 3], [1], "Anna")
    assert [one.said_yes for one in charger.answers] == [True, True, True]
    results = {one.check: one.result for one in inverter.checks}
    assert (results["ramp"], results["phases"], results["state of charge"]) == ("passed",) * 3
    assert home.device("charger").keeps_orders_ok
    text = path.read_text()
    for comment in (
        "# Anna's home",
        "# by the grid operator",
        "# the meter in the cellar",
        "# in the garage",
        "# forwarded",
    ):
        assert comment in text
    (backup,) = copies(tmp_path)
    assert "proof" not in backup.read_text()
    # every device is back in its own mode
    assert (running.house.storage.mode, running.house.charger.forced, running.house.charger.limit_a) == (0, 0, 16.0)


async def test_a_proof_is_void_when_what_it_speaks_of_changes(tmp_path: Path) -> None:
    _, _, _, path = await commission(tmp_path, NIGHT, ("inverter",))
    text = path.read_text()
    for old, new, why in (
        (
            "profile: sunspec-hybrid\n    host",
            "battery_sign: -1\n    profile: sunspec-hybrid\n    host",
            "how it is wired",
        ),
        ("host: 127.0.0.1", "host: 127.0.0.2", "not at 127.0.0.2"),
        ("main_fuse_a: 35", "main_fuse_a: 35, phases: 1", "for a home of 3 phases"),
        ("# by the grid operator", "# by anybody", ""),
    ):
        path.write_text(text.replace(old, new))
        assert why in load_home(path).why_watched("inverter")


def each(change: Callable[[Phase], Phase]) -> Callable[[Phases], Phases]:
    return lambda phases: (change(phases[0]), change(phases[1]), change(phases[2]))


def turned(phase: Phase) -> Phase:
    return phase._replace(power_w=-phase.power_w)


def swapped(phases: Phases) -> Phases:
    """The transformers of L1 and L2 have changed places, their voltages have not: 120 degrees between the two."""
    l1, l2, l3 = phases
    return (
        l1._replace(power_w=-l2.power_w / 2, current_a=l2.current_a),
        l2._replace(power_w=-l1.power_w / 2, current_a=l1.current_a),
        l3,
    )


WIRES: list[tuple[float, Callable[[Phases], Phases], str]] = [
    (NIGHT, each(turned), "set `sign: -1` on grid"),
    (SUMMER, each(turned), "set `sign: -1` on grid"),
    (NIGHT, lambda p: (p[0], turned(p[1]), p[2]), "the current transformer of L2 of grid is reversed"),
    (SUMMER, lambda p: (p[0], turned(p[1]), p[2]), "the current transformer of L2 of grid is reversed"),
    (SUMMER, swapped, "L1 and L2 of grid have changed places"),
    (NIGHT, each(lambda p: p._replace(power_w=p.power_w / 1000)), "looks like kW read as W"),
    (NIGHT, each(lambda p: p._replace(power_w=p.power_w * 10)), "ten times too much"),
    (SUMMER, each(lambda p: p._replace(power_w=p.power_w / 10, current_a=p.current_a / 10)), "ten times too little"),
]


@pytest.mark.parametrize(("start_s", "wires", "remedy"), WIRES)
async def test_a_wrong_meter_is_named_and_nothing_is_proved(
    tmp_path: Path, start_s: float, wires: Callable[[Phases], Phases], remedy: str
) -> None:
    good, screen, running, path = await commission(tmp_path, start_s, ("inverter",), wires=wires)
    assert not good
    assert remedy in screen.text
    assert "proof" not in path.read_text()
    assert running.house.storage.mode == 0


@pytest.mark.parametrize(
    ("setting", "remedy"),
    [("battery_sign: -1", "set `battery_sign: -1` on inverter"), ("sign: -1", "set `sign: -1` on inverter")],
)
async def test_a_wrong_inverter_is_named(tmp_path: Path, setting: str, remedy: str) -> None:
    good, screen, _, path = await commission(tmp_path, SUMMER, ("inverter",), inverter=setting)
    assert not good
    assert remedy in screen.text
    assert "proof" not in path.read_text()


def more(phase: Phase, power_w: float) -> Phase:
    """A phase with something more on it."""
    power_w += phase.power_w
    return phase._replace(power_w=power_w, current_a=abs(power_w) / phase.voltage_v)


async def test_a_restless_house_is_said_to_be_one(tmp_path: Path) -> None:
    """Something of 6 kW that goes on and off by chance hides the battery's answer: nothing is guessed."""
    noise, looks, load_w = random.Random(3), count(), [0.0]

    def restless(phases: Phases) -> Phases:
        if next(looks) > 61 and noise.random() < 0.15:  # the first look at the house is a quiet one
            load_w[0] = noise.uniform(0.0, 6_000.0)
        return (more(phases[0], load_w[0]), phases[1], phases[2])

    good, screen, running, path = await commission(tmp_path, SUMMER, ("inverter",), wires=restless)
    assert not good
    assert "the house's own load changed too much" in screen.text
    assert "proof" not in path.read_text()
    assert running.house.storage.mode == 0


async def test_the_test_stops_before_the_fuse(tmp_path: Path) -> None:
    looks = count()

    def kiln(phases: Phases) -> Phases:
        return (more(phases[0], 12_000.0 if next(looks) > 70 else 0.0), phases[1], phases[2])

    good, screen, running, path = await commission(tmp_path, SUMMER, ("inverter",), wires=kiln)
    assert not good
    assert "the main fuse is 35 A" in screen.text
    assert "inverter discharges" not in screen.text
    assert "proof" not in path.read_text()
    assert running.house.storage.mode == 0


async def test_small_changes_of_the_load_are_borne(tmp_path: Path) -> None:
    noise = random.Random(3)

    def lively(phases: Phases) -> Phases:
        return (more(phases[0], noise.gauss(0, 150)), phases[1], phases[2])

    good, *_ = await commission(tmp_path, SUMMER, ("inverter",), wires=lively)
    assert good


async def test_without_a_car_a_charger_is_not_proved(tmp_path: Path) -> None:
    good, screen, running, path = await commission(tmp_path, NIGHT, ("charger",))
    assert not good
    assert "no car is there" in screen.text
    assert "proof" not in path.read_text()
    assert running.servers["charger"].written.writes == 0


async def test_nothing_is_moved_without_a_yes(tmp_path: Path) -> None:
    good, screen, running, path = await commission(tmp_path, SUMMER, ("inverter", "charger"), yes_to="nobody")
    assert not good
    assert "nobody said yes" in screen.text
    assert "proof" not in path.read_text()
    assert all(server.written.writes == 0 for server in running.servers.values())


async def test_a_device_may_be_proved_and_only_watched(tmp_path: Path) -> None:
    good, _, _, path = await commission(tmp_path, SUMMER, ("inverter",), yes_to="inverter:ramp")
    assert good
    home = load_home(path)
    assert home.device("inverter").proof is not None
    assert not home.controlled("inverter")


async def test_a_heat_pump_is_not_moved_and_needs_a_persons_word(tmp_path: Path) -> None:
    profile = (files("hearth_agent.devices") / "profiles" / "nibe-s-series.yaml").read_text()
    control = "heat_mode: {class: S, order: [{address: 9, value: mode}], safe: [{address: 9, value: 1}]}"
    (tmp_path / "pump.yaml").write_text(f"{profile.split('controls:')[0]}controls:\n  {control}\n")
    good, _, running, path = await commission(tmp_path, SUMMER, ("heat-pump",), pump="pump.yaml")
    assert good
    home = load_home(path)
    assert home.controlled("heat-pump")
    proof = home.device("heat-pump").proof
    assert proof is not None
    assert proof.method == "energy balance and a person's word"
    assert running.servers["heat-pump"].written.writes == 0


async def test_a_wrong_rotation_is_named(tmp_path: Path) -> None:
    setting = ", phase_rotation: [2, 3, 1]"
    good, screen, _, path = await commission(tmp_path, SUMMER, ("charger",), charger=setting)
    assert not good
    assert "phase_rotation of charger must begin with 1" in screen.text
    assert "proof" not in path.read_text()


async def test_a_full_battery_is_not_moved(tmp_path: Path) -> None:
    good, screen, running, _ = await commission(tmp_path, NIGHT, ("inverter",), soc_percent=99.0)
    assert not good
    assert "leaves no room" in screen.text
    assert running.servers["inverter"].written.writes == 0


async def test_a_device_that_ignores_orders_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "_PATIENCE_S", 0.4)
    clock, screen = ManualClock(SUMMER), Screen()
    async with running_house(clock, options=HouseOptions(soc_percent=50.0)) as running:
        running.faults["inverter"].ignore_writes = True
        path = write_config(tmp_path, running)
        home, events = load_home(path), EventLog(clock)
        made = make_devices(home, clock, events)
        asker = Asker("Anna", clock, frozenset({"all"}), None)
        options = Options(devices=("inverter",), by="Anna", watch_s=60.0)
        good = await Course(home, made, asker, screen, options, clock, events).run(path)
        for device in made.values():
            device.close()
    assert not good
    assert "inverter does not take the order" in screen.text
    assert "proof" not in path.read_text()


async def test_the_command_commissions_a_home_that_lives(tmp_path: Path) -> None:
    """A minute is a second here: where the machine is too busy for that, it says so and asks to be repeated."""
    conductor = ClockConductor(tmp_path / "clock", SUMMER)
    async with running_house(conductor.clock, options=HouseOptions(soc_percent=50.0)) as running:
        path = write_config(tmp_path, running)
        conductor.set_speed(40.0)
        for _ in range(3):
            code, out = await commission_process(path, tmp_path / "clock")
            if "inconclusive" not in out or code == 0:
                break
            assert "repeat it in a quieter hour" in out
        assert code == 0, out
        assert "the grid meter answers with -1.0" in out
        assert load_home(path).controlled("inverter")
        running.house.advance()
        assert running.house.storage.mode == 0


async def commission_process(config: Path, clock: Path) -> tuple[int | None, str]:
    """Run the command for the inverter and return how it ended and what it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from hearth_agent.cli import main; main()", "commission", "--config", str(config)),
        *("--device", "inverter", "--yes-to", "inverter", "--by", "Anna", "--watch-s", "20"),
        env={**os.environ, "HEARTH_CLOCK": f"file:{clock}"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    return process.returncode, out.decode()


async def test_a_commissioning_that_is_ended_gives_the_battery_back(tmp_path: Path) -> None:
    conductor = ClockConductor(tmp_path / "clock", SUMMER)
    async with running_house(conductor.clock, options=HouseOptions(soc_percent=50.0)) as running:
        path = write_config(tmp_path, running)
        conductor.set_speed(20.0)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", "from hearth_agent.cli import main; main()", "commission", "--config", str(path)),
            *("--device", "inverter", "--yes-to", "all", "--watch-s", "20"),
            env={**os.environ, "HEARTH_CLOCK": f"file:{tmp_path / 'clock'}"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(20):
            while running.house.storage.mode != 3:  # noqa: ASYNC110  a register of a simulated device
                await asyncio.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), 5.0)
        assert process.returncode != 0
        assert running.house.storage.mode == 0
        assert running.house.storage.reversions == 0
        assert "proof" not in path.read_text()


ASKING = """
import asyncio, typer
from hearth_agent.commissioning.command import _confirm
async def ask():
    _confirm("May it?")
try:
    asyncio.run(ask())
except typer.Abort:
    print("ended")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_question_that_waits_is_ended_at_once(number: signal.Signals) -> None:
    """The event loop takes Ctrl-C for itself, and would not look at it before the answer has come."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-uc", ASKING, stdin=pipe, stdout=pipe)
    assert process.stdout is not None
    async with asyncio.timeout(20):
        await process.stdout.readuntil(b"[y/N]")
        await asyncio.sleep(0.2)
        process.send_signal(number)
        out, _ = await process.communicate()
    assert b"ended" in out
