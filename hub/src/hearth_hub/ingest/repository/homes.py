"""SQL of homes and their devices, and of what agents say beside readings."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hearth_core.messages import Birth, Event, Forecast, Status, encode
from hearth_hub.ingest.repository import Connection
from hearth_hub.timing import instant


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
    wanted = sorted(set(devices))
    connection.execute(
        "insert into device (home_id, device) select * from unnest(%s::int[], %s::text[]) on conflict do nothing",
        [[home for home, _ in wanted], [device for _, device in wanted]],
    )


def lock_homes(connection: Connection, homes: Iterable[int]) -> None:
    """Lock homes in one order for all, before they are updated in whatever order the planner likes."""
    connection.execute("select id from home where id = any(%s) order by id for no key update", [sorted(set(homes))])


def save_births(connection: Connection, births: Mapping[int, Birth]) -> None:
    """Store who agents say they are, by home."""
    ordered = sorted(births.items())
    connection.execute(
        "update home h set site = k.site, software = k.software, epoch = k.epoch"
        " from unnest(%s::int[], %s::jsonb[], %s::text[], %s::text[]) as k(id, site, software, epoch)"
        " where h.id = k.id",
        [
            [home for home, _ in ordered],
            [encode_text(birth.site) for _, birth in ordered],
            [birth.software for _, birth in ordered],
            [birth.epoch for _, birth in ordered],
        ],
    )
    devices = [(home, device) for home, birth in ordered for device in {one.id: one for one in birth.devices}.values()]
    texts = ", ".join(["%s::text[]"] * 6)
    connection.execute(
        "insert into device (home_id, device, kind, profile, manufacturer, model, serial, points, controlled)"  # noqa: S608
        f" select * from unnest(%s::int[], {texts}, %s::jsonb[], %s::boolean[])"
        " on conflict (home_id, device) do update set"
        " kind = excluded.kind, profile = excluded.profile, manufacturer = excluded.manufacturer,"
        " model = excluded.model, serial = excluded.serial, points = excluded.points, controlled = excluded.controlled",
        [
            [home for home, _ in devices],
            [one.id for _, one in devices],
            [one.kind for _, one in devices],
            [one.profile for _, one in devices],
            [one.manufacturer for _, one in devices],
            [one.model for _, one in devices],
            [one.serial for _, one in devices],
            [json.dumps(one.points) for _, one in devices],
            [one.controlled for _, one in devices],
        ],
    )


def save_statuses(connection: Connection, statuses: Mapping[int, Status]) -> None:
    """Store how agents are, by home; an older status than the one we have changes nothing."""
    ordered = sorted(statuses.items())
    connection.execute(
        "update home h set state = k.state, mode = k.mode, reason = k.reason, plan_version = k.plan_version,"
        " lag_s = k.lag_s, status_at = k.at from unnest(%s::int[], %s::text[], %s::text[], %s::text[], %s::bigint[],"
        " %s::real[], %s::timestamptz[]) as k(id, state, mode, reason, plan_version, lag_s, at)"
        " where h.id = k.id and (h.status_at is null or h.status_at <= k.at)",
        [
            [home for home, _ in ordered],
            [one.state for _, one in ordered],
            [one.mode for _, one in ordered],
            [one.reason for _, one in ordered],
            [one.plan_version for _, one in ordered],
            [one.lag_s for _, one in ordered],
            [instant(one.at_ms) for _, one in ordered],
        ],
    )
    _save_tallies(connection, [(home, one) for home, one in ordered if one.epoch is not None])


def _save_tallies(connection: Connection, statuses: Sequence[tuple[int, Status]]) -> None:
    told = [
        (home, one.epoch, tally.device, tally.produced, tally.spooled, instant(one.at_ms))
        for home, one in statuses
        for tally in {tally.device: tally for tally in one.tallies}.values()
    ]
    if not told:
        return
    connection.execute(
        "insert into account (home_id, epoch, device_id, told_produced, told_spooled, told_at)"
        " select k.home_id, k.epoch, d.id, k.produced, k.spooled, k.at from unnest(%s::int[], %s::text[], %s::text[],"
        " %s::bigint[], %s::bigint[], %s::timestamptz[]) as k(home_id, epoch, device, produced, spooled, at)"
        " join device d on d.home_id = k.home_id and d.device = k.device order by k.home_id, k.epoch, d.id"
        " on conflict (home_id, epoch, device_id) do update set told_produced = excluded.told_produced,"
        " told_spooled = excluded.told_spooled, told_at = excluded.told_at"
        " where account.told_at is null or account.told_at <= excluded.told_at",
        [[row[place] for row in told] for place in range(6)],
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
