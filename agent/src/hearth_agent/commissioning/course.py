"""The course of a commissioning: look, judge, ask, move, judge again, ask, write."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from hearth_agent.commissioning.battery_ramp import power_of_test, ramp_battery
from hearth_agent.commissioning.charger_ramp import has_car, levels_a, ramp_charger
from hearth_agent.commissioning.contradictions import Roles, check_balance
from hearth_agent.commissioning.findings import Finding, Ramp, Result
from hearth_agent.commissioning.orders import DisobedientError, moved
from hearth_agent.commissioning.plausibility import check_device
from hearth_agent.commissioning.questions import Asker
from hearth_agent.commissioning.sampling import EVERY_S, Sampler
from hearth_agent.commissioning.site_file import DeviceChange, write_proofs
from hearth_agent.control.books import Books
from hearth_agent.control.withdrawal import bounds_of
from hearth_agent.devices.device import Device
from hearth_agent.devices.profile import ControlKind
from hearth_agent.events import EventLog
from hearth_agent.proof import Proof, profile_sha256
from hearth_agent.settings import Home
from hearth_core.clock import Clock, now
from hearth_core.points import DeviceKind

_MOVED, _LOOKED_AT = "energy balance and ramp test", "energy balance and a person's word"


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says."""

    devices: tuple[str, ...]
    """To be proved; the grid meter is proved along with them."""
    by: str
    watch_s: float
    power_w: float | None = None


class Screen(Protocol):
    """Where a person follows the course."""

    def say(self, text: str) -> None:
        """Tell what happens."""
        ...

    def watch(self, share: float) -> None:
        """Show how far the first look has come, 0..1."""
        ...

    def show(self, findings: Sequence[Finding]) -> None:
        """Show what was found."""
        ...


class Course:
    """One commissioning of one home."""

    def __init__(
        self,
        home: Home,
        devices: dict[str, Device],
        asker: Asker,
        screen: Screen,
        options: Options,
        clock: Clock,
        events: EventLog,
    ) -> None:
        self._home, self._devices, self._asker, self._screen = home, devices, asker, screen
        self._options, self._clock, self._events = options, clock, events
        self._books = Books(home.data_dir, clock)
        self._sampler = Sampler(devices, clock)
        grid = home.device_of(DeviceKind.GRID_METER)
        store = home.store
        self._roles = Roles(grid.id, store.id if store else None) if grid else None
        self._ramps: dict[str, Ramp] = {}

    async def run(self, path: Path) -> bool:
        """Commission and write the proofs; tell whether every asked device was proved.

        Raises:
            StuckError: A device did not go back into its own mode.
        """
        if self._roles is None:
            self._screen.say("The home has no grid meter: nothing can be proved without it. Add one to the file.")
            return False
        await self._look()
        findings = self._judge()
        self._screen.show(findings)
        concerned = {self._roles.grid, self._roles.store, *self._options.devices}
        if any(one.result is Result.FAILED and one.device in concerned for one in findings):
            self._screen.say("Nothing is moved before the failed checks are put right.")
            return False
        for device in self._options.devices:
            await self._ramp(device)
        findings = self._judge()
        self._screen.show([one for ramp in self._ramps.values() for one in ramp.findings])
        return self._write(path, findings)

    async def _look(self) -> None:
        self._screen.say(f"Watching all devices for {self._options.watch_s:.0f} s; nothing is written.")
        async for _ in self._sampler.during(self._options.watch_s):
            self._screen.watch(min(1.0, len(self._sampler.taken) * EVERY_S / self._options.watch_s))
        self._screen.watch(1.0)

    def _judge(self) -> list[Finding]:
        """Judge everything that was seen so far."""
        samples, phases = self._sampler.taken, self._home.settings.site.limits.phases
        profiles = self._home.profiles
        findings = [one for id_ in self._devices for one in check_device(id_, profiles[id_], samples, phases)]
        if self._roles is not None:
            looks = [one.flows(profiles) for one in samples]
            findings += check_balance(bounds_of(self._home), self._roles, looks)
        return findings + [one for ramp in self._ramps.values() for one in ramp.findings]

    async def _ramp(self, device: str) -> None:
        """Move a device, if a person says yes; what cannot be tried is said."""
        controls = self._home.profiles[device].controls
        try:
            if ControlKind.BATTERY_INTERVAL in controls:
                self._ramps[device] = await self._ramp_battery(device)
            elif ControlKind.EV_CURRENT in controls:
                self._ramps[device] = await self._ramp_charger(device)
        except DisobedientError as error:
            self._ramps[device] = _not_tried(device, str(error), "see that the device accepts control by Modbus")

    async def _ramp_battery(self, device: str) -> Ramp:
        assert self._roles is not None  # noqa: S101  the course ends without a grid meter
        flows = (await self._sampler.once()).flows(self._home.profiles)
        power_w, why = power_of_test(self._home, flows, self._options.power_w)
        if not power_w:
            return _not_tried(device, why, "repeat it when there is room")
        question = (
            f"{device}: the battery will charge and then discharge with {power_w:.0f} W, half a minute each, at least "
            "twice, and then goes back into its own mode. The house stays supplied. May it?"
        )
        if not self._asker.ask(device, "ramp", question):
            return _not_tried(device, "nobody said yes to the test", "run it again and say yes")
        # the answer may have taken its time
        flows = (await self._sampler.once()).flows(self._home.profiles)
        power_w, why = power_of_test(self._home, flows, power_w)
        if not power_w:
            return _not_tried(device, why, "repeat it when there is room")
        async with moved(
            self._devices[device], ControlKind.BATTERY_INTERVAL, self._books, self._clock, self._events
        ) as mover:
            return await ramp_battery(
                self._home, device, self._roles.grid, mover, self._sampler, power_w, self._screen.say
            )

    async def _ramp_charger(self, device: str) -> Ramp:
        sample = await self._sampler.once()
        if not has_car(device, self._sampler.taken):
            return _not_tried(
                device, "no car is there that could charge", "plug one in that is not full, and repeat it"
            )
        low_a, high_a = levels_a(self._home, device, sample.flows(self._home.profiles))
        what = f"{low_a:g} A and {high_a:g} A in turn" if low_a else f"pause and {high_a:g} A in turn"
        question = f"{device}: the car will charge with {what}, 40 s each, at least twice, and then as before. May it?"
        if not self._asker.ask(device, "ramp", question):
            return _not_tried(device, "nobody said yes to the test", "run it again and say yes")
        async with moved(
            self._devices[device], ControlKind.EV_CURRENT, self._books, self._clock, self._events
        ) as mover:
            fed = self._fed_phases()
            return await ramp_charger(self._home, device, mover, self._sampler, (low_a, high_a), fed, self._screen.say)

    def _fed_phases(self) -> tuple[int, ...]:
        """Return the phases on which the battery answers while the car steps; all when that was not found."""
        store = self._roles.store if self._roles else None
        ramp = self._ramps.get(store) if store else None
        found = tuple(ramp.phases) if ramp else self._home.phases_of(store) if store else ()
        return found or tuple(range(1, self._home.settings.site.limits.phases + 1))

    # --- what comes of it

    def _write(self, path: Path, findings: Sequence[Finding]) -> bool:
        assert self._roles is not None  # noqa: S101  the course ends without a grid meter
        grid = self._roles.grid
        blocking = {one.device for one in findings if one.blocks}
        proved = [] if grid in blocking else [id_ for id_ in self._options.devices if id_ not in blocking]
        for finding in (one for one in findings if one.blocks):
            self._screen.say(f"No proof for {finding.device}: {finding.text}. Remedy: {finding.remedy}.")
        changes = {id_: self._change(id_, findings) for id_ in proved}
        if changes or (not self._options.devices and grid not in blocking):
            changes[grid] = DeviceChange(proof=self._proof(grid, findings))
            backup = write_proofs(path, changes, now(self._clock))
            self._screen.say(f"Proofs written to {path}; the file before is {backup.name}. Restart the agent.")
        return all(id_ in proved for id_ in self._options.devices)

    def _change(self, device: str, findings: Sequence[Finding]) -> DeviceChange:
        """Ask for control, and return what is written at the device."""
        keeps: bool | None = self._home.device(device).keeps_orders_ok or None
        sticky = self._home.left_out(device)
        if sticky:
            question = (
                f"{device} keeps an order ({', '.join(sticky)}) for ever when nobody takes it back. Hearth takes it "
                "back when it stops, and its supervisor when it dies; after a power cut of this computer alone nobody "
                "does. Is that accepted?"
            )
            keeps = self._asker.ask(device, "keeps-orders", question)
        offered = [kind for kind in self._home.profiles[device].controls if keeps or kind not in sticky]
        question = f"{device}: may Hearth control {', '.join(offered)}?"
        accepted = bool(offered) and self._asker.ask(device, "control", question)
        proof = self._proof(device, findings)
        return DeviceChange(proof=proof, controlled=accepted, keeps_orders_ok=keeps)

    def _proof(self, device: str, findings: Sequence[Finding]) -> Proof:
        profile = self._home.profiles[device]
        ramp, grid = self._ramps.get(device), self._roles.grid if self._roles else ""
        return Proof(
            date=now(self._clock).replace(microsecond=0),
            by=self._options.by,
            method=_MOVED if ramp or (device == grid and self._ramps) else _LOOKED_AT,
            profile=profile.profile,
            profile_sha256=profile_sha256(profile),
            endpoint=self._home.where(device),
            site_phases=self._home.settings.site.limits.phases,
            phases=list(ramp.phases) if ramp else [],
            checks=[one.as_check() for one in findings if one.device == device],
            answers=self._asker.answers(device),
        )


def provable(home: Home) -> list[str]:
    """Return the devices that can be controlled at all."""
    return [one.id for one in home.settings.devices if home.profiles[one.id].controls]


def _not_tried(device: str, why: str, remedy: str) -> Ramp:
    result = Result.INCONCLUSIVE
    return Ramp(findings=[Finding(device=device, check="ramp", result=result, text=why, remedy=remedy, needed=True)])
