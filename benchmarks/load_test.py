"""``python -m benchmarks.load_test``: ``locustfile.py`` against the service at several loads; figures and plot.

The service runs as it does in production, with a rate limit that the test does not meet. Every load starts afresh, and
its first seconds, in which the users appear, do not count.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.load_plot import Curve, plot
from benchmarks.measuring import ROOT
from benchmarks.results import Origin, add_keep_option
from benchmarks.service import running_service
from benchmarks.tables import load_table

# So long the users appear, before the figures count.
_SPAWN_SECONDS = 2
_SETTINGS = {"LOG_LEVEL": "INFO", "RATE_LIMIT_REQUESTS": "1000000", "MAX_PENDING_REQUESTS": "1000"}
_CLASSIFY = "/classify"


@dataclass(frozen=True, slots=True)
class Load:
    """What one number of users met; times are of single tickets, in milliseconds."""

    users: int
    requests_per_second: float
    tickets_per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    batch_p95_ms: float
    errors: int


def main(argv: Sequence[str] | None = None) -> int:
    """Return 1 when any request failed."""
    arguments = _parser().parse_args(argv)
    origin = Origin.now()
    loads = []
    for users in arguments.users:
        print(f"{users} users ...", file=sys.stderr)
        with running_service(arguments.models_dir, workers=arguments.workers, environment=_SETTINGS) as service:
            loads.append(_run(f"http://127.0.0.1:{service.port}", users, seconds=arguments.seconds))
    measured = {"workers": arguments.workers, "seconds": arguments.seconds, "loads": [asdict(load) for load in loads]}
    print(load_table(measured))
    if arguments.keep:
        origin.keep(arguments.keep, "load_test", measured)
        (arguments.keep / "load_test.svg").write_text(_plot(loads), encoding="utf-8")
    return 1 if any(load.errors for load in loads) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.load_test", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, nargs="+", default=[25, 50, 100, 200, 400], help="(%(default)s)")
    parser.add_argument("--seconds", type=int, default=20, help="of each load (%(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="of the service (%(default)s)")
    parser.add_argument("--models-dir", type=Path, default=ROOT / "models", help="(%(default)s)")
    add_keep_option(parser)
    return parser


def _run(url: str, users: int, *, seconds: int) -> Load:
    with TemporaryDirectory() as directory:
        prefix = Path(directory) / "locust"
        options = {
            "--host": url,
            "--users": users,
            "--spawn-rate": max(1, users // _SPAWN_SECONDS),
            "--run-time": f"{seconds + _SPAWN_SECONDS}s",
            "--csv": prefix,
            "--exit-code-on-error": 0,
        }
        command = [sys.executable, "-m", "locust", "--headless", "--only-summary", "--reset-stats"]
        done = subprocess.run(
            [*command, *map(str, chain.from_iterable(options.items()))],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=seconds + 120,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"locust failed:\n{done.stderr[-2000:]}")
        with Path(f"{prefix}_stats.csv").open(encoding="utf-8", newline="") as file:
            rows = {row["Name"]: row for row in csv.DictReader(file)}
    single, batch, everything = rows[_CLASSIFY], rows["/classify/batch"], rows["Aggregated"]
    return Load(
        users=users,
        requests_per_second=float(everything["Requests/s"]),
        tickets_per_second=float(single["Requests/s"]),
        p50_ms=float(single["50%"]),
        p95_ms=float(single["95%"]),
        p99_ms=float(single["99%"]),
        batch_p95_ms=float(batch["95%"]),
        errors=int(everything["Failure Count"]),
    )


def _plot(loads: Sequence[Load]) -> str:
    users = [load.users for load in loads]
    return plot(
        users,
        {
            "time of /classify, ms": [
                Curve("p50", [load.p50_ms for load in loads]),
                Curve("p95", [load.p95_ms for load in loads]),
                Curve("p99", [load.p99_ms for load in loads]),
            ],
            "requests a second": [Curve("answered", [load.requests_per_second for load in loads])],
        },
        x_name="users",
    )


if __name__ == "__main__":
    sys.exit(main())
