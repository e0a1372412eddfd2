"""What a hub takes in, beside the limits of the same machine in the same run.

    python tests/bench/bench_ingest.py [--minutes 10] [--rounds 5] [--only drain,steady,outage,queries]

Database, broker, hub and load share the machine's cores. Prints progress on stderr and one JSON line on stdout:

- ``drain``: 200 homes send two days of backlog through the broker; beside it a bare binary COPY of exactly the stored
  rows, in the same order and in transactions of the same size, over one connection, into an equal empty table.
- ``steady``: each home one message with its 20 points every 10 s; ingest's CPU time, and the age of a reading when SQL
  first shows it.
- ``outage``: 1,000 homes reconnect at once with 24 h in their spools while live readings go on.
- ``queries``: what the dashboard asks most, on 30 days of 100 homes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from hearth_hub.database.embedded import EmbeddedPostgres

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench.bench_compressed import compressed_bytes_per_value
from tests.bench.bench_probe import Probe
from tests.bench.bench_queries import query_times_ms
from tests.bench.bench_stack import Stack, database_server, raise_file_limit, running_stack

SERIES = 20
_DRAIN_HOMES = 200
_COPY_ROWS = 40_000


def say(text: str) -> None:
    """Tell a person how far it is."""
    print(text, file=sys.stderr, flush=True)


def start_fleet(stack: Stack, *options: str) -> subprocess.Popen[bytes]:
    """Start the load and return once every home is connected."""
    program = str(Path(sys.executable).with_name("hearth-sim"))
    command = [program, "fleet", "--series", str(SERIES), "--mqtt", stack.mqtt_url, *options, "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if process.stderr is None or b"ready" not in process.stderr.readline():
        raise SystemExit(f"the fleet did not start: {process.communicate()[1].decode()}")
    return process


def result_of(fleet: subprocess.Popen[bytes]) -> dict[str, Any]:
    """Wait for the load to end and return what it says."""
    out, _ = fleet.communicate()
    found: dict[str, Any] = json.loads(out)
    return found


def drain(folder: Path, server: EmbeddedPostgres, number: int) -> dict[str, float]:
    """One round: backlog through the broker, then the same rows by COPY alone."""
    with running_stack(folder, server, f"drain_{number}", "ingest") as stack:
        options = ("--homes", str(_DRAIN_HOMES), "--backlog", "48h", "--duration", "0", "--until-acked")
        fleet = result_of(start_fleet(stack, *options))
        with stack.connect() as connection:
            row = connection.execute("select count(*), pg_total_relation_size('reading') from reading").fetchone()
        rows, size = (int(str(value)) for value in row or ())
        ours = rows / float(fleet["drain_s"])
        shares = {part: program.cpu_s() / float(fleet["drain_s"]) for part, program in stack.programs.items()}
        stack.stop("ingest")
        limit = rows / copy_s(stack)
        compressed = compressed_bytes_per_value(stack.database_url, SERIES) if number == 0 else None
    found = {
        "values_per_s": ours * SERIES,
        "copy_values_per_s": limit * SERIES,
        "ratio_to_copy": ours / limit,
        "bytes_per_value": size / rows / SERIES,
        "drain_ingest_cpu_share": shares["ingest"],
        "drain_broker_cpu_share": shares["mosquitto"],
        "drain_fleet_cpu_share": float(fleet["cpu_share"]),
    }
    if compressed is not None:
        found["bytes_per_value_compressed"] = compressed
    say(f"drain {number}: " + ", ".join(f"{name} {value:,.2f}" for name, value in found.items()))
    return found


def copy_s(stack: Stack) -> float:
    """Return how long a bare binary COPY of the stored rows takes [s]."""
    with stack.connect() as connection:
        connection.execute("create table bare (like reading including all)")
        connection.execute("checkpoint")
        connection.execute("analyze reading")
        pages = connection.execute("select relpages, reltuples from pg_class where relname = 'reading'").fetchone()
        assert pages is not None
        per_piece = max(1, round(_COPY_ROWS * float(str(pages[0])) / float(str(pages[1]))))
        took_s = 0.0
        for first in range(0, int(str(pages[0])) + per_piece, per_piece):
            span = f"ctid >= '({first},0)' and ctid < '({first + per_piece},0)'"
            with connection.cursor().copy(
                f"copy (select * from reading where {span}) to stdout (format binary)"
            ) as copy:
                data = b"".join(copy)
            began_s = time.perf_counter()
            with connection.cursor().copy("copy bare from stdin (format binary)") as copy:
                copy.write(data)
            took_s += time.perf_counter() - began_s
        return took_s


def steady(folder: Path, server: EmbeddedPostgres, homes: int, minutes: float) -> dict[str, float]:
    """Each home one message every 10 s, for some minutes after everybody is connected."""
    with running_stack(folder, server, f"steady_{homes}", "ingest", "worker", "api") as stack:
        warm_up_s = 30
        fleet = start_fleet(
            stack,
            *("--homes", str(homes), "--start-spread", "20s", "--until-acked"),
            *("--duration", f"{warm_up_s + 60 * minutes:.0f}s"),
        )
        time.sleep(warm_up_s)
        before = {name: program.cpu_s() for name, program in stack.programs.items()}
        began_s = time.monotonic()
        with Probe(stack.database_url) as probe:
            while time.monotonic() - began_s < 60 * minutes - 2:
                time.sleep(1.0)
        span_s = time.monotonic() - began_s
        shares = {name: (program.cpu_s() - before[name]) / span_s for name, program in stack.programs.items()}
        peaks = {name: program.peak_mb() for name, program in stack.programs.items()}
        told = result_of(fleet)
    lags = probe.percentiles_s()
    found = {
        "ingest_cpu_share": round(shares["ingest"], 4),
        "worker_cpu_share": round(shares["worker"], 4),
        "broker_cpu_share": round(shares["mosquitto"], 4),
        "fleet_cpu_share": told["cpu_share_connected"],
        "p50_visible_s": lags["p50"],
        "p99_visible_s": lags["p99"],
        "max_visible_s": lags["max"],
        "probed_readings": lags["readings"],
        "values_per_s": told["values_acknowledged_per_s"],
        "unacknowledged": told["unacknowledged_readings"],
        "ingest_peak_mb": round(peaks["ingest"], 1),
    }
    say(f"steady {homes:,} homes: {found}")
    return found


def outage(folder: Path, server: EmbeddedPostgres, homes: int, hours: float) -> dict[str, Any]:
    """Everybody comes back at once with a day in the spool."""
    with running_stack(folder, server, "outage", "ingest", "worker", "api") as stack:
        warm = start_fleet(stack, "--homes", str(homes), "--duration", "15s", "--until-acked")
        result_of(warm)  # the homes are known, as they were before the outage
        fleet = start_fleet(
            stack,
            "--homes",
            str(homes),
            "--backlog",
            f"{hours:g}h",
            "--duration",
            "0",
            "--until-acked",
            "--limit",
            "1h",
        )
        with Probe(stack.database_url) as probe:
            told = result_of(fleet)
        peaks = {name: program.peak_mb() for name, program in stack.programs.items() if name != "mosquitto"}
    lags = probe.percentiles_s()
    found = {
        "homes": homes,
        "hours": hours,
        "drain_s": told["drain_s"],
        "live_lag_p99_s": lags["p99"],
        "live_lag_max_s": lags["max"],
        "hub_peak_mb": round(sum(peaks.values()), 1),
        "ingest_peak_mb": round(peaks["ingest"], 1),
        "unacknowledged": told["unacknowledged_readings"],
        "values_per_s": round(told["values_acknowledged_per_s"]),
    }
    say(f"outage: {found}")
    return found


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="of steady load at each size")
    parser.add_argument("--rounds", type=int, default=5, help="of drain and COPY")
    parser.add_argument("--homes", default="10000,1000", help="sizes of the steady load")
    parser.add_argument("--outage-homes", type=int, default=1000)
    parser.add_argument("--outage-hours", type=float, default=24.0)
    parser.add_argument("--only", default="drain,steady,outage,queries")
    options = parser.parse_args()
    parts = options.only.split(",")
    raise_file_limit()
    line: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="hearth-bench-") as name:
        folder = Path(name)
        with database_server(folder) as server:
            if "drain" in parts:
                rounds = [drain(folder, server, number) for number in range(options.rounds)]
                for key in rounds[0]:
                    line[key] = round(statistics.median(one[key] for one in rounds if key in one), 3)
            if "steady" in parts:
                sizes = [int(size) for size in options.homes.split(",")]
                found = {size: steady(folder, server, size, options.minutes) for size in sizes}
                largest = found[max(sizes)]
                line |= {"p99_visible_s": largest["p99_visible_s"], "ingest_cpu_share": largest["ingest_cpu_share"]}
                line["steady"] = found
            if "outage" in parts:
                line["outage"] = outage(folder, server, options.outage_homes, options.outage_hours)
            if "queries" in parts:
                line["queries_p95_ms"] = query_times_ms(folder, server)
    print(json.dumps(line))


if __name__ == "__main__":
    main()
