"""Who may be ordered: devices with a proof that holds, until the home's balance says that something is wrong.

A withdrawal outlives restarts (``withdrawn.json`` in the data folder); it is over when the device is proved anew.
"""

from __future__ import annotations

import msgspec

from hearth_agent.control.balance import Balance, Bounds, Breach, look
from hearth_agent.control.flows import PRODUCERS, flows_of
from hearth_agent.devices.snapshot import Snapshot
from hearth_agent.events import EventLog
from hearth_agent.files import write_durably
from hearth_agent.settings import Home
from hearth_core.clock import Clock, now_ms
from hearth_core.points import DeviceKind

_FILE = "withdrawn.json"
_ROLES = {"store": (DeviceKind.HYBRID_INVERTER, DeviceKind.BATTERY), "charger": (DeviceKind.EV_CHARGER,)}
_ALL_PHASES = 3


class Withdrawal(msgspec.Struct, frozen=True, kw_only=True):
    """Why and when control of one device was withdrawn."""

    at_ms: int
    check: str
    text: str
    proof_ms: int
    """Date of the proof it ends; a later proof ends the withdrawal."""


def withdrawals(home: Home) -> dict[str, Withdrawal]:
    """Return the withdrawals in force, by device id; a file that cannot be read withdraws everything."""
    path = home.data_dir / _FILE
    ids = [one.id for one in home.settings.devices]
    try:
        stored = msgspec.json.decode(path.read_bytes(), type=dict[str, Withdrawal])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError) as error:
        text = f"{path.name} cannot be read ({error})"
        return {id_: Withdrawal(at_ms=0, check="file", text=text, proof_ms=_proof_ms(home, id_)) for id_ in ids}
    return {id_: one for id_, one in stored.items() if id_ in ids and one.proof_ms == _proof_ms(home, id_)}


def why_not_steered(home: Home, device_id: str) -> str:
    """Return why a device is only watched, by its settings or because control was withdrawn; "" when it is steered."""
    gone = withdrawals(home).get(device_id)
    return f"control was withdrawn, because {gone.text}" if gone else home.why_watched(device_id)


def bounds_of(home: Home) -> Bounds:
    """Return what the balance may know of this home."""
    settings, limits, battery = home.settings.balance, home.settings.site.limits, home.settings.site.battery
    producers = [one for one in home.settings.devices if home.profiles[one.id].kind in PRODUCERS]
    symmetric = all(one.proof is not None and len(one.proof.phases) == _ALL_PHASES for one in producers)
    return Bounds(
        tolerance_w=settings.tolerance_w,
        tolerance_share=settings.tolerance_percent / 100,
        unmetered_pv_w=settings.unmetered_pv_w,
        minutes=settings.minutes,
        phases=limits.phases,
        main_fuse_a=limits.main_fuse_a,
        capacity_wh=battery.capacity_wh if battery else None,
        # a third each, and something for inverters that share unevenly
        inverter_share=0.45 if producers and symmetric else 1.0,
    )


class Guard:
    """Watches the balance of the running home and keeps the list of devices that may not be ordered."""

    def __init__(self, home: Home, snapshot: Snapshot, clock: Clock, events: EventLog) -> None:
        self._home, self._snapshot, self._clock, self._events = home, snapshot, clock, events
        self._bounds, self._balance = bounds_of(home), Balance()
        self._next_s = float("-inf")
        self._withdrawn = withdrawals(home)
        self._watched = {one.id: home.why_watched(one.id) for one in home.settings.devices}
        for device in home.settings.devices:
            if device.controlled and (why := self.why_not(device.id)):
                events.warning("watched_only", f"is only watched: {why}", device.id)
            elif device.controlled:
                for kind, why in home.left_out(device.id).items():
                    events.warning("control_left_out", f"{kind} is not used: {why}", device.id)
        for text in home.warnings:
            events.warning("settings", text)

    def why_not(self, device_id: str) -> str:
        """Return why a device may not be ordered, or ""."""
        withdrawn = self._withdrawn.get(device_id)
        if withdrawn is not None:
            return f"control was withdrawn, because {withdrawn.text}; {_remedy(device_id)}"
        return self._watched[device_id]

    def may_order(self, device_id: str) -> bool:
        """Tell whether a device may be ordered now."""
        return not self.why_not(device_id)

    @property
    def note(self) -> str:
        """What the status should add to its reason: withdrawals in force, or ""."""
        withdrawn = [id_ for id_ in self._withdrawn if self._home.device(id_).controlled]
        return f"; control of {', '.join(withdrawn)} is withdrawn" if withdrawn else ""

    def watch(self) -> None:
        """Look at the balance once a poll period; called with every step of the controller."""
        now_s = self._clock.monotonic()
        if now_s < self._next_s:
            return
        poll_s = self._home.settings.poll_s
        self._next_s = now_s + poll_s
        flows = flows_of(
            self._home.profiles, lambda id_, point: self._snapshot.value(id_, point, now_s, 1.5 * poll_s + 2), now_s
        )
        self._balance, breaches = look(self._bounds, self._balance, flows)
        for breach in breaches:
            self._withdraw(breach)

    def _withdraw(self, breach: Breach) -> None:
        ids = [one.id for one in self._home.settings.devices if self._concerned(one.id, breach)]
        at_ms, check, text = now_ms(self._clock), breach.check, breach.text
        fresh = {
            id_: Withdrawal(at_ms=at_ms, check=check, text=text, proof_ms=_proof_ms(self._home, id_))
            for id_ in ids
            if self.may_order(id_)
        }
        if not fresh:
            return
        self._withdrawn |= fresh
        for id_ in fresh:
            self._events.error("control_withdrawn", f"is only watched from now on: {breach.text}; {_remedy(id_)}", id_)
        try:
            write_durably(self._home.data_dir / _FILE, msgspec.json.encode(self._withdrawn))
        except OSError as error:
            self._events.error("control_withdrawn", f"{_FILE} cannot be written, a restart forgets it: {error}")

    def _concerned(self, device_id: str, breach: Breach) -> bool:
        kinds = _ROLES.get(breach.concerns)
        return kinds is None or self._home.profiles[device_id].kind in kinds


def _remedy(device_id: str) -> str:
    return f"look at the wiring and the profile, then run `hearth-agent commission --device {device_id}`"


def _proof_ms(home: Home, device_id: str) -> int:
    proof = home.device(device_id).proof
    return 0 if proof is None else int(proof.date.timestamp() * 1000)
