"""F-07 to F-09: what the line between agents and broker does to three homes."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Iterator, Sequence

from tests.faults.asking import control_lag_s
from tests.faults.firewall import dropping, nft
from tests.faults.home import Home
from tests.faults.proxy import Proxy
from tests.faults.scenario import Outcome, Size, scenario
from tests.faults.scenarios_kill import conclude, fill
from tests.faults.world import World

_FLAP_S = 2.0
_JITTER_S = 0.1
_BYTES_PER_S = 64_000 / 8


def proxies(homes: Sequence[Home]) -> list[Proxy]:
    """Return the proxies of homes that were started behind one."""
    return [home.proxy for home in homes if home.proxy is not None]


@contextlib.contextmanager
def partition(homes: Sequence[Home]) -> Iterator[None]:
    """Let no packet pass between the homes and their broker while the block lasts, nor any refusal."""
    program = nft()
    if program is not None:
        with dropping(program, [proxy.port for proxy in proxies(homes)]):
            yield
        return
    for proxy in proxies(homes):
        proxy.weather.cut = True
    try:
        yield
    finally:
        for proxy in proxies(homes):
            proxy.weather.cut = False


@scenario(
    "F-07",
    "partition of 10 min, then heal; flapping 2 s on, 2 s off",
    "0/0; readings flow <= 60 s after the heal; <= 1 attempt a second an agent",
    short_s=24,
)
def partitioned(world: World, size: Size) -> Outcome:
    outcome = Outcome()
    with world.homes("f07", proxied=True, devices=size.devices) as homes:
        world.until_fresh(homes)
        began_s = time.monotonic()
        with partition(homes):
            time.sleep(size.cut_s)
        outcome.recovery_s = world.until_fresh(homes)
        for _ in range(2 if size.short else 30):
            with partition(homes):
                time.sleep(_FLAP_S)
            time.sleep(_FLAP_S)
        outcome.figures["after_flapping_s"] = round(world.until_fresh(homes), 1)
        ended_s = time.monotonic()
        fill(homes, size.values)
        conclude(world, homes, outcome)
    rates = [_attempts_per_s(proxy, began_s, ended_s) for proxy in proxies(homes)]
    outcome.figures |= {"attempts_per_s": round(max(rates), 2), "by": "nft" if nft() else "proxy"}
    outcome.demand(outcome.recovery_s <= 60.0, f"back only {outcome.recovery_s:.0f} s after the heal")
    outcome.demand(outcome.figures["after_flapping_s"] <= 60.0, "back only later than 60 s after the flapping")
    outcome.demand(max(rates) <= 1.0, f"{max(rates):.1f} attempts a second")
    return outcome


def _attempts_per_s(proxy: Proxy, began_s: float, ended_s: float) -> float:
    """Return the busiest ten seconds' rate of connection attempts."""
    inside = [at_s for at_s in proxy.attempts_s if began_s <= at_s <= ended_s]
    return max((sum(1 for other in inside if at_s <= other < at_s + 10.0) for at_s in inside), default=0) / 10.0


@scenario(
    "F-08",
    "latency 2 s, loss 20 %, 64 kbit/s",
    "0/0; lag recovers <= 60 s afterwards; p99 lateness of polls and mean lag of control <= 100 ms over clear weather",
    short_s=22,
)
def slow_line(world: World, size: Size) -> Outcome:
    outcome = Outcome()
    with world.homes("f08", proxied=True) as homes:
        world.until_fresh(homes)
        calm_s = time.time()
        time.sleep(4.0 if size.short else 65.0)
        bad_s, calm_lag_s = time.time(), _control_lag_s(world, homes)
        with _bad_weather(homes):
            fill(homes, size.values)
            outcome.figures["lag_in_it_s"] = round(max(time.time() - world.newest(home) for home in homes), 1)
        clear_s, bad_lag_s = time.time(), _control_lag_s(world, homes)
        outcome.recovery_s = world.until_fresh(homes)
        conclude(world, homes, outcome)
    before_s, in_it_s = _p99_s(homes, calm_s, bad_s), _p99_s(homes, bad_s, clear_s)
    outcome.figures |= {"p99_calm_ms": round(1000 * before_s), "p99_in_it_ms": round(1000 * in_it_s)}
    outcome.figures |= {
        "control_lag_calm_ms": round(1000 * calm_lag_s),
        "control_lag_in_it_ms": round(1000 * bad_lag_s),
    }
    outcome.figures["by"] = "nft and proxy" if nft() else "proxy"
    if not size.short:  # which runs beside others: the lateness would be theirs
        outcome.demand(in_it_s - before_s <= _JITTER_S, f"polls' p99 grew by {1000 * (in_it_s - before_s):.0f} ms")
        outcome.demand(bad_lag_s - calm_lag_s <= _JITTER_S, "control came later in bad weather")
    outcome.demand(outcome.recovery_s <= 60.0, f"fresh only {outcome.recovery_s:.0f} s afterwards")
    return outcome


@contextlib.contextmanager
def _bad_weather(homes: Sequence[Home]) -> Iterator[None]:
    program = nft()
    with contextlib.ExitStack() as stack:
        for proxy in proxies(homes):
            proxy.weather.latency_s, proxy.weather.bytes_per_s = 2.0, _BYTES_PER_S
            proxy.weather.loss = 0.0 if program else 0.2
        if program:
            stack.enter_context(dropping(program, [proxy.port for proxy in proxies(homes)], 20))
        yield
    for proxy in proxies(homes):
        proxy.weather.clear()


def _control_lag_s(world: World, homes: Sequence[Home]) -> float:
    with world.connect() as connection:
        return max(control_lag_s(connection, home.name) for home in homes)


def _p99_s(homes: Sequence[Home], since_s: float, until_s: float) -> float:
    late = [s for home in homes for one in home.witnesses.values() for s in one.lateness_s(since_s, until_s)]
    return statistics.quantiles(late, n=100)[98]


@scenario("F-09", "every message doubled, neighbours swapped, now and then garbage", "0/0", short_s=20)
def shuffled(world: World, size: Size) -> Outcome:
    outcome = Outcome()
    with world.homes("f09", proxied=True, devices=size.devices) as homes:
        for proxy in proxies(homes):
            proxy.weather.duplicate = proxy.weather.reorder = True
        world.until_fresh(homes)
        for share in range(2 if size.short else 10):
            fill(homes, size.values * share // 11)
            world.random.choice(proxies(homes)).garble(forbidden=size.short or share % 2 == 0)
        fill(homes, size.values)
        outcome.recovery_s = world.until_fresh(homes)
        conclude(world, homes, outcome)
    doubled, swapped = (sum(getattr(p.counts, what) for p in proxies(homes)) for what in ("doubled", "swapped"))
    outcome.figures |= {"doubled": doubled, "swapped": swapped}
    outcome.demand(doubled > 0 and swapped > 0, "the proxy doubled or swapped nothing")
    return outcome
