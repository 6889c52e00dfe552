"""``python -m benchmarks.recording``: what it costs to record answers, with a store against without, in turns.

First in this process: the processor time of the event loop for a request to ``/classify``, while the writer's thread
works beside it on a file of SQLite. Then over HTTP: two services under the same load (``apt-get install wrk``), whose
writer takes its share of the interpreter and of the processors.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from app.config import Settings
from app.main import create_app
from benchmarks.http_parts import seconds_of_requests
from benchmarks.http_path import EVERYTHING_ON, N_CONNECTIONS, Server, Turn, load, write_script
from benchmarks.measuring import ROOT, Figure, ratios
from benchmarks.results import Origin, add_keep_option
from benchmarks.service import running_service
from benchmarks.tables import figure_table

_TURNS = 100
_SECONDS_A_TURN = 1
_MOST_MICROSECONDS = 8


async def _in_process(models: Path, *, rounds: int) -> list[Figure]:
    with TemporaryDirectory() as directory:
        settings = Settings(
            models_base_dir=str(models), rate_limit_requests=1_000_000, store_url=f"sqlite:///{directory}/store.db"
        )
        app = create_app(settings)
        async with app.router.lifespan_context(app) as state:
            with_store = dict(state or {})
            without = replace(with_store["answering"], recorder=None)
            states = {"without": {**with_store, "answering": without}, "with": with_store}
            microseconds: dict[str, list[float]] = {name: [] for name in states}
            for number in range(rounds + 1):
                best = dict.fromkeys(states, float("inf"))
                # Turn by turn, so that what else the machine does is the same for both.
                for _ in range(_TURNS):
                    for name, own in states.items():
                        best[name] = min(best[name], await seconds_of_requests(app, own))
                if number:
                    for name, seconds in best.items():
                        microseconds[name].append(seconds / N_CONNECTIONS * 1e6)
    pairs = zip(microseconds["with"], microseconds["without"], strict=True)
    longer = tuple(recorded - bare for recorded, bare in pairs)
    return [
        Figure("a request that is not recorded", "µs", tuple(microseconds["without"])),
        Figure("a recorded one takes more", "µs", longer, at_most=_MOST_MICROSECONDS),
    ]


def _over_http(models: Path, *, rounds: int) -> Iterator[Figure]:
    if shutil.which("wrk") is None:
        print("HTTP is left out: it needs wrk (Debian, Ubuntu: apt-get install wrk)", file=sys.stderr)
        return
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory()))
        script = write_script(directory)
        servers = []
        for name, store in (("without a store", "off"), ("with one", f"sqlite:///{directory}/store.db")):
            environment = {**EVERYTHING_ON, "STORE_URL": store}
            service = stack.enter_context(running_service(models, environment=environment))
            servers.append(Server(name, service.process_id, f"http://127.0.0.1:{service.port}/classify"))
        for server in servers:
            load(server, script, seconds=1)
        turns: dict[str, list[Turn]] = {server.name: [] for server in servers}
        # Short turns, and many: a machine that others use changes within seconds.
        for _ in range(3 * rounds):
            for server in servers:
                turns[server.name].append(load(server, script, seconds=_SECONDS_A_TURN))
    for name, its_turns in turns.items():
        yield Figure(name, "requests/s", tuple(turn.requests_per_second for turn in its_turns))
        yield Figure(
            f"{name}, all threads' processor", "µs", tuple(turn.microseconds_per_request for turn in its_turns)
        )
    rates = [tuple(turn.requests_per_second for turn in its_turns) for its_turns in turns.values()]
    yield Figure("requests with a store / without", "times", ratios(rates[1], rates[0]))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recording", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--models", type=Path, default=ROOT / "models")
    add_keep_option(parser)
    arguments = parser.parse_args(argv)
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    origin = Origin.now()
    with (
        subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as reader,
        contextlib.redirect_stdout(reader.stdin),
    ):
        figures = asyncio.run(_in_process(arguments.models, rounds=arguments.rounds))
    figures += _over_http(arguments.models, rounds=arguments.rounds)
    measured = {"rounds": arguments.rounds, "figures": [figure.as_document() for figure in figures]}
    print(figure_table(measured))
    if arguments.keep:
        origin.keep(arguments.keep, "recording", measured)
    return 0


if __name__ == "__main__":
    sys.exit(main())
