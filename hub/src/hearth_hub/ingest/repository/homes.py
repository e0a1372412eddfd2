"""SQL of homes and their devices, and of what agents say beside readings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hearth_core.messages import Birth, Event, Forecast, Status, encode
from hearth_hub.ingest.repository import AT, Connection, Given
from hearth_hub.timing import instant

_DEVICE = Given(home_id="int", device="text")
_BIRTH = Given(id="int", site="jsonb", software="text", epoch="text")
_BORN = Given(
    home_id="int",
    device="text",
    kind="text",
    profile="text",
    manufacturer="text",
    model="text",
    serial="text",
    points="jsonb",
    controlled="boolean",
)
_STATUS = Given(id="int", state="text", mode="text", reason="text", plan_version="bigint", lag_s="real", at_ms="bigint")
_TOLD = Given(home_id="int", epoch="text", device="text", produced="bigint", spooled="bigint", at_ms="bigint")


def home_ids(connection: Connection, agents: Iterable[str]) -> dict[str, int]:
    """Return the home of each agent; one that is new is created."""
    wanted = sorted(set(agents))
    known = _known_homes(connection, wanted)
    if missing := [agent for agent in wanted if agent not in known]:
        connection.execute("insert into home (agent) select unnest(%s::text[]) on conflict do nothing", [missing])
        known |= _known_homes(connection, missing)
    return known


def _known_homes(connection: Connection, agents: list[str]) -> dict[str, int]:
    return dict(connection.execute("select agent, id from home where agent = any(%s)", [agents]).fetchall())


def device_ids(connection: Connection, homes: Iterable[int]) -> dict[int, dict[str, int]]:
    """Return the devices of homes by name; every home has an entry."""
    found: dict[int, dict[str, int]] = {home: {} for home in homes}
    rows = connection.execute("select home_id, device, id from device where home_id = any(%s)", [list(found)])
    for home, device, number in rows:
        found[home][device] = number
    return found


def create_devices(connection: Connection, devices: Iterable[tuple[int, str]]) -> None:
    """Create devices (home, name) on first sight; their birth certificate completes them."""
    connection.execute(
        f"insert into device (home_id, device) select * from {_DEVICE.table} order by 1, 2 on conflict do nothing",  # noqa: S608
        [_DEVICE.text(devices)],
    )


def lock_homes(connection: Connection, homes: Iterable[int]) -> None:
    """Lock homes in one order for all, before they are updated in whatever order the planner likes."""
    connection.execute("select id from home where id = any(%s) order by id for no key update", [sorted(set(homes))])


def save_births(connection: Connection, births: Mapping[int, Birth]) -> None:
    """Store who agents say they are, by home."""
    connection.execute(
        "update home h set site = k.site, software = k.software, epoch = k.epoch"  # noqa: S608
        f" from {_BIRTH.table} where h.id = k.id",
        [_BIRTH.text((home, one.site, one.software, one.epoch) for home, one in births.items())],
    )
    devices = [
        (home, one.id, one.kind, one.profile, one.manufacturer, one.model, one.serial, one.points, one.controlled)
        for home, birth in births.items()
        for one in {one.id: one for one in birth.devices}.values()
    ]
    connection.execute(
        "insert into device (home_id, device, kind, profile, manufacturer, model, serial, points, controlled)"  # noqa: S608
        f" select * from {_BORN.table} order by 1, 2 on conflict (home_id, device) do update set"
        " kind = excluded.kind, profile = excluded.profile, manufacturer = excluded.manufacturer,"
        " model = excluded.model, serial = excluded.serial, points = excluded.points, controlled = excluded.controlled",
        [_BORN.text(devices)],
    )


def save_statuses(connection: Connection, statuses: Mapping[int, Status]) -> None:
    """Store how agents are, by home; an older status than the one we have changes nothing."""
    connection.execute(
        "update home h set state = k.state, mode = k.mode, reason = k.reason, plan_version = k.plan_version,"  # noqa: S608
        f" lag_s = k.lag_s, status_at = {AT.format('at_ms')} from {_STATUS.table}"
        f" where h.id = k.id and (h.status_at is null or h.status_at <= {AT.format('at_ms')})",
        [
            _STATUS.text(
                (home, one.state, one.mode, one.reason, one.plan_version, one.lag_s, one.at_ms)
                for home, one in statuses.items()
            )
        ],
    )
    told = [
        (home, one.epoch, tally.device, tally.produced, tally.spooled, one.at_ms)
        for home, one in statuses.items()
        if one.epoch is not None
        for tally in {tally.device: tally for tally in one.tallies}.values()
    ]
    connection.execute(
        "insert into account (home_id, epoch, device_id, told_produced, told_spooled, told_at)"  # noqa: S608
        f" select k.home_id, k.epoch, d.id, k.produced, k.spooled, {AT.format('at_ms')} from {_TOLD.table}"
        " join device d on d.home_id = k.home_id and d.device = k.device order by k.home_id, k.epoch, d.id"
        " on conflict (home_id, epoch, device_id) do update set told_produced = excluded.told_produced,"
        " told_spooled = excluded.told_spooled, told_at = excluded.told_at"
        " where account.told_at is null or account.told_at <= excluded.told_at",
        [_TOLD.text(told)],
    )


def save_forecast(connection: Connection, home: int, forecast: Forecast) -> None:
    """Keep the newest forecast of an agent."""
    connection.execute(
        "insert into forecast (home_id, issued_at, message) values (%s, %s, %s) on conflict (home_id) do update"
        " set issued_at = excluded.issued_at, message = excluded.message where forecast.issued_at < excluded.issued_at",
        [home, instant(forecast.issued_ms), encode_text(forecast)],
    )


def save_event(connection: Connection, home: int, event: Event) -> None:
    """Store an event once, however often it is delivered."""
    connection.execute(
        "insert into event (home_id, at, level, kind, device, text) values (%s, %s, %s, %s, %s, %s)"
        " on conflict do nothing",
        [home, instant(event.at_ms), event.level, event.kind, event.device, event.text],
    )


def encode_text(message: Any) -> str:  # noqa: ANN401  any of the contract's structs
    """Encode for a json column."""
    return encode(message).decode()
