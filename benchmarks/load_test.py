"""``python -m benchmarks.load_test``: ``locustfile.py`` against the service at several loads; figures, plot and page.

The service runs as it does in production, with a rate limit that the test does not meet. Every load starts afresh, and
its first seconds, in which the users appear, do not count. With ``--write`` the table in ``load_test.md`` is replaced.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.load_plot import Curve, plot
from benchmarks.measuring import ROOT, machine_facts
from benchmarks.service import running_service

RESULTS = ROOT / "benchmarks/results"
PAGE = ROOT / "load_test.md"
_BEGIN, _END = "<!-- results -->", "<!-- end of results -->"
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
    facts = machine_facts()
    loads = []
    for users in arguments.users:
        print(f"{users} users ...", file=sys.stderr)
        with running_service(arguments.models_dir, workers=arguments.workers, environment=_SETTINGS) as service:
            loads.append(_run(f"http://127.0.0.1:{service.port}", users, seconds=arguments.seconds))
    table = _table(loads)
    print(table)
    RESULTS.mkdir(exist_ok=True)
    document = {"machine": facts, "workers": arguments.workers, "seconds": arguments.seconds}
    document["loads"] = [asdict(load) for load in loads]
    (RESULTS / "load_test.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "load_test.svg").write_text(_plot(loads), encoding="utf-8")
    if arguments.write:
        heading = (
            f"{arguments.workers} worker, {arguments.seconds} s a load, Locust on the same {facts['cores']} cores "
            f"({facts['cpu']}), Python {facts['python']}:"
        )
        _replace_results(f"{heading}\n\n{table}\n\n![Times and rates by load](benchmarks/results/load_test.svg)")
    return 1 if any(load.errors for load in loads) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.load_test", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, nargs="+", default=[25, 50, 100, 200, 400], help="(%(default)s)")
    parser.add_argument("--seconds", type=int, default=20, help="of each load (%(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="of the service (%(default)s)")
    parser.add_argument("--models-dir", type=Path, default=ROOT / "models", help="(%(default)s)")
    parser.add_argument("--write", action="store_true", help="put the table into load_test.md")
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


def _table(loads: Sequence[Load]) -> str:
    lines = [
        "| users | requests/s | `/classify` a second | p50 | p95 | p99 | batch p95 | errors |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {load.users:,} | {load.requests_per_second:,.0f} | {load.tickets_per_second:,.0f} | {load.p50_ms:g} ms |"
        f" {load.p95_ms:g} ms | {load.p99_ms:g} ms | {load.batch_p95_ms:g} ms | {load.errors} |"
        for load in loads
    ]
    return "\n".join(lines)


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


def _replace_results(text: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not end:
        raise ValueError(f"{PAGE.name} has no lines {_BEGIN} and {_END} for the table to stand between")
    PAGE.write_text(f"{before}{_BEGIN}\n{text}\n{_END}{after}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
