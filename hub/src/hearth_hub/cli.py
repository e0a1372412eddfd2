"""`hearth-hub`: run the hub, or ask it."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from hearth_core.errors import ConfigError, HearthError
from hearth_hub import logs

# Everything else is imported by the command that needs it: each part of a running hub is a process of its own, and
# loads only what it works with.
if TYPE_CHECKING:
    import psycopg

    from hearth_hub.database.pool import Connection
    from hearth_hub.settings import Settings

T = TypeVar("T")
app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="markdown",
    help="""The hub: stores what every home measured, learns, plans, and shows it.

Settings come from the environment: HEARTH_HUB_DATABASE_URL (unset = a PostgreSQL of its own), HEARTH_HUB_DATA_DIR
(.data/hub), HEARTH_HUB_MQTT_URL (mqtt://127.0.0.1:1883), HEARTH_HUB_HOST, HEARTH_HUB_PORT (8000),
HEARTH_HUB_PRICES_FILE, HEARTH_HUB_PRICES_ZONE (NL), HEARTH_HUB_RAW_DAYS (90: how long single readings are kept;
0 = for ever), HEARTH_HUB_MINUTE_DAYS (400: the same for means of a minute; quarter-hours and days stay),
HEARTH_HUB_PLANNING_TOKEN (who asks for plans must bring it; unset = anybody may ask).

Example: `HEARTH_HUB_PRICES_FILE=prices.csv.gz hearth-hub run`""",
)
Home = Annotated[str | None, typer.Option("--home", help="Name of one home; all homes when left out.")]
dead_letters = typer.Typer(no_args_is_help=True, help="What could not be stored, and why; try it again.")
app.add_typer(dead_letters, name="dead-letters")
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]


@app.command()
def run() -> None:
    """Run everything: database, API, ingest and worker. Prints `ready http://...` when the API answers.

    A part that crashes is started again. SIGTERM or Ctrl-C ends all of it within five seconds.
    """
    from hearth_hub.settings import load_settings
    from hearth_hub.supervisor import run as supervise

    supervise(load_settings())


@app.command()
def key() -> None:
    """Print the public key that homes have to trust (it is created on the first call).

    Example: `hearth-hub key` prints one line of base64 for `hub.public_key` in agent.yaml.
    """
    from hearth_core.signing import public_key_text
    from hearth_hub.keys import load_key
    from hearth_hub.settings import load_settings

    typer.echo(public_key_text(load_key(load_settings().data_dir)))


@app.command()
def migrate() -> None:
    """Bring the database to the newest schema (`run` does this too)."""
    from hearth_hub.database.choose import CommandDatabase
    from hearth_hub.database.migrate import migrate as upgrade
    from hearth_hub.settings import load_settings

    with CommandDatabase(load_settings()) as url:
        upgrade(url)
    typer.echo("the schema is up to date")


@app.command()
def api() -> None:
    """Answer HTTP only; needs HEARTH_HUB_DATABASE_URL."""
    from hearth_core.clock import clock_from_environment
    from hearth_hub.parts import wait_for_supervisor
    from hearth_hub.serve import new_server
    from hearth_hub.settings import load_settings

    settings = load_settings()
    token = settings.planning_token.get_secret_value() if settings.planning_token else None
    server = new_server(_given_database(settings), settings.host, settings.port, clock_from_environment(), token)
    wait_for_supervisor()
    server.run()


@app.command()
def ingest() -> None:
    """Store what homes send, only; needs HEARTH_HUB_DATABASE_URL. Several may run beside each other."""
    from hearth_core.clock import clock_from_environment
    from hearth_hub.ingest.process import IngestProcess
    from hearth_hub.parts import wait_for_supervisor
    from hearth_hub.settings import load_settings

    settings = load_settings()
    process = IngestProcess(_given_database(settings), settings.broker, clock_from_environment())
    wait_for_supervisor()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: process.stop())
    process.run()


@app.command()
def worker() -> None:
    """Plan, learn and reckon only; needs HEARTH_HUB_DATABASE_URL. Run one."""
    import asyncio

    from hearth_core.clock import clock_from_environment
    from hearth_hub.keys import load_key
    from hearth_hub.parts import wait_for_supervisor
    from hearth_hub.prices.source import read_prices
    from hearth_hub.settings import load_settings
    from hearth_hub.worker.process import Worker
    from hearth_hub.worker.publisher import Publisher
    from hearth_hub.worker.retention import Retention

    settings = load_settings()
    url = _given_database(settings)
    points = read_prices(settings.prices_file) if settings.prices_file else []
    publisher = Publisher(settings.broker, load_key(settings.data_dir))
    retention = Retention(settings.raw_days, settings.minute_days)
    work = Worker(url, clock_from_environment(), publisher, settings.prices_zone, points, retention=retention)
    wait_for_supervisor()

    async def until_stopped() -> None:
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        await work.run(stopping)

    asyncio.run(until_stopped())


@app.command()
def reconcile(home: Home = None, *, as_json: AsJson = False) -> None:
    """Prove that no reading was lost: produced = stored + spooled + gaps + dead-lettered, per device and epoch.

    Ends with 0 when it holds, with 1 when it does not. Example: `hearth-hub reconcile --home anna --json`
    """
    from hearth_hub.accounts.service import reconcile as compare

    found = _ask(lambda connection: compare(connection, home))
    if as_json:
        typer.echo(json.dumps(found.as_json(), indent=2))
    else:
        for line in found.lines:
            verdict = "ok" if line.holds else f"{line.missing} MISSING"
            typer.echo(
                f"{line.home}/{line.device} {line.epoch}: produced {line.produced} = stored {line.stored} + spooled"
                f" {line.spooled} + gaps {line.gaps} + dead-lettered {line.dead_lettered}: {verdict}"
            )
        for check in found.tables:
            if not check.holds:
                there = f"{check.rows} ROWS IN THE TABLE and {check.expired} expired"
                typer.echo(f"{check.home}/{check.device}: {check.stored} stored, but {there}")
        typer.echo("reconciled" if found.reconciled else "NOT RECONCILED")
    raise typer.Exit(0 if found.reconciled else 1)


@app.command()
def report(
    home: Annotated[str, typer.Option("--home", help="Name of the home.")],
    start: Annotated[str, typer.Option("--from", help="First instant, e.g. 2016-04-04T00:00:00Z.")],
    end: Annotated[str | None, typer.Option("--to", help="Last instant; now when left out.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Tell how a home lived over a span: readings, energies, plans, forecasts, money.

    Example: `hearth-hub report --home anna --from 2016-04-04T00:00:00Z --to 2016-04-06T00:00:00Z --json`
    """
    from hearth_core.clock import clock_from_environment, now
    from hearth_hub.homes.service import get_home
    from hearth_hub.report.service import report as make_report

    begin = _instant("--from", start)
    finish = _instant("--to", end) if end else now(clock_from_environment())

    async def make(connection: Connection) -> dict[str, object]:
        return await make_report(connection, await get_home(connection, home), begin, finish)

    found = _ask(make)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        typer.echo(f"{name}: {json.dumps(value) if isinstance(value, dict) else value}")


@dead_letters.command("list")
def list_dead_letters(
    home: Home = None,
    most: Annotated[int, typer.Option("--most", min=1, help="How many of the newest.")] = 100,
    *,
    as_json: AsJson = False,
) -> None:
    """List what could not be stored, with the reason; the newest last.

    Example: `hearth-hub dead-letters list --home anna`
    """
    from hearth_hub.ingest.repository.letters import list_letters

    with _connection() as connection:
        found = list_letters(connection, home, most)
    for kept in found:
        one = kept.letter
        facts = {"id": kept.id, "at": kept.at.isoformat(), "home": one.agent, "what": one.what, "epoch": one.epoch}
        facts |= {"seq": one.seq, "device": one.device, "readings": one.readings, "reason": one.reason}
        if as_json:
            typer.echo(json.dumps(facts | {"raw": one.raw.decode(errors="replace")}))
        else:
            where = f"{one.agent}/{one.device}" if one.device else one.agent or "?"
            what = f"{one.readings} {one.what}" if one.readings else one.what
            typer.echo(f"{kept.id:8} {kept.at:%Y-%m-%d %H:%M:%S} {where} {what}: {one.reason}")
    if not as_json:
        typer.echo(f"{len(found)} dead letters")


@dead_letters.command("replay")
def replay_dead_letters(
    numbers: Annotated[list[int] | None, typer.Argument(help="Which ones; all of them when left out.")] = None,
    home: Home = None,
) -> None:
    """Try to store dead letters again, after what made them so was mended. Ends with 1 when some stay dead.

    Readings that are stored now move from dead-lettered to stored in the accounts, so `reconcile` holds before and
    after. Example: `hearth-hub dead-letters replay --home anna`
    """
    from hearth_core.clock import clock_from_environment
    from hearth_hub.ingest.replay import replay
    from hearth_hub.ingest.repository.letters import DEAD_LETTERS_KEPT, list_letters

    with _connection() as connection:
        wanted = numbers or [kept.id for kept in list_letters(connection, home, DEAD_LETTERS_KEPT)]
        outcomes = []
        for outcome in replay(connection, clock_from_environment(), wanted):
            outcomes.append(outcome)
            typer.echo(f"{outcome.id:8} {outcome.trouble or f'{outcome.stored} readings stored'}")
    dead = sum(outcome.trouble is not None for outcome in outcomes)
    typer.echo(f"{len(outcomes) - dead} replayed, {dead} still dead")
    raise typer.Exit(1 if dead else 0)


@contextmanager
def _connection() -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """Connect to the database for a command that works in it."""
    import psycopg

    from hearth_hub.database.choose import CommandDatabase
    from hearth_hub.database.migrate import check_durable
    from hearth_hub.settings import load_settings

    with CommandDatabase(load_settings()) as url:
        check_durable(url)
        with psycopg.connect(url, autocommit=True) as connection:
            yield connection


def _ask(question: Callable[[Connection], Awaitable[T]]) -> T:
    """Run one question against the database."""
    import asyncio

    from hearth_hub.database.choose import CommandDatabase
    from hearth_hub.database.migrate import check_durable
    from hearth_hub.database.pool import new_pool
    from hearth_hub.settings import load_settings

    async def ask(url: str) -> T:
        async with new_pool(url, largest=1) as pool, pool.connection() as connection:
            return await question(connection)

    with CommandDatabase(load_settings()) as url:
        check_durable(url)
        return asyncio.run(ask(url))


def _given_database(settings: Settings) -> str:
    if settings.database_url is None:
        remedy = "Set it to postgresql://..., or use `hearth-hub run`, which brings its own PostgreSQL."
        raise ConfigError("environment", "HEARTH_HUB_DATABASE_URL", None, remedy)
    return settings.database_url.get_secret_value()


def _instant(option: str, text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError("command line", option, text, "Write it like 2016-04-04T00:00:00Z.") from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def main() -> None:
    """Entry point: an error somebody can correct ends with 2 and says how."""
    logs.configure()
    try:
        app()
    except HearthError as error:
        sys.stderr.write(f"hearth-hub: {error}\n")
        sys.exit(2)
    except ValueError as error:
        if "HEARTH_CLOCK" not in str(error):
            raise
        sys.stderr.write(f"hearth-hub: {error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
