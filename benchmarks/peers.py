"""``python -m benchmarks.peers``: ``/classify`` against model servers that serve the same model.

Each peer has a virtual environment of its own under ``benchmarks/.venvs``, made when it is first asked for, and serves
the joblib parts of the version in the way its documentation shows, with one worker. All servers run all the time and
are loaded by wrk in turn, with the same ticket. A peer that cannot be measured is in the results with the reason.
"""

from __future__ import annotations

import argparse
import http.client
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.http_path import _LUA, _SECONDS_A_TURN, EVERYTHING_ON, N_CONNECTIONS, TICKET, Server, load
from benchmarks.measuring import ROOT, Figure, positive, ratios
from benchmarks.peer_process import PEERS, PeerError, install, running_peer
from benchmarks.results import Origin, add_keep_option
from benchmarks.service import Service, running_service

_OURS = "the service"
_REACH = 12.0


@dataclass
class Outcome:
    """Requests a second of each server in each round, and the reasons of those that have none."""

    rates: dict[str, list[float]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def leave_out(self, name: str, reason: str) -> None:
        print(f"{name} is not measured: {reason}", file=sys.stderr)
        self.rates.pop(name, None)
        self.reasons[name] = reason


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    if arguments.list:
        print("\n".join(f"{peer.name} {peer.version}" for peer in PEERS.values()))
        return 0
    if shutil.which("wrk") is None:
        print("the load comes from wrk (Debian, Ubuntu: apt-get install wrk)", file=sys.stderr)
        return 1
    origin = Origin.now()
    outcome = measure(arguments.model, arguments.only or list(PEERS), rounds=arguments.rounds)
    figures = _figures(outcome)
    for figure in figures:
        reach = "" if figure.at_least is None else f", at least {figure.at_least:g}"
        spread = f"{min(figure.values):,.1f} to {max(figure.values):,.1f}"
        print(f"{figure.name}: {figure.median:,.1f} {figure.unit} ({spread}{reach})")
    if arguments.keep:
        origin.keep(arguments.keep, "peers", _measured(arguments.model, outcome, figures, rounds=arguments.rounds))
    return 0 if len(outcome.rates) > 1 else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=ROOT / "models/v1.0.0", help="version directory (%(default)s)")
    parser.add_argument("--rounds", type=positive, default=5, help="turns of each server, 3 s each (%(default)s)")
    parser.add_argument("--only", action="append", choices=list(PEERS), help="a peer; repeatable")
    parser.add_argument("--list", action="store_true", help="print the peers and their versions, and measure nothing")
    add_keep_option(parser)
    return parser


def measure(model_directory: Path, names: Sequence[str], *, rounds: int) -> Outcome:
    """Load the service and the peers in turn; a peer that fails once is left out from then on."""
    outcome = Outcome()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory()))
        service = stack.enter_context(
            running_service(model_directory.parent, environment=_service_settings(model_directory))
        )
        labels = _labels_of(service)
        contestants = [
            (
                Server(_OURS, service.process_id, f"http://127.0.0.1:{service.port}/classify"),
                _script(directory, "ours", TICKET),
            )
        ]
        for name in names:
            peer = PEERS[name]
            print(f"starting {name} ...", file=sys.stderr)
            try:
                install(peer)
                server = stack.enter_context(running_peer(peer, model_directory, directory / name, labels))
            except PeerError as error:
                outcome.leave_out(name, str(error))
            else:
                contestants.append((server, _script(directory, name, peer.body)))
        outcome.rates = {server.name: [] for server, _ in contestants}
        for number in range(rounds + 1):
            for server, script in contestants:
                _take_turn(outcome, server, script, is_first=number == 0)
    return outcome


def _service_settings(model_directory: Path) -> dict[str, str]:
    return {**EVERYTHING_ON, "MODEL_VERSION": model_directory.name}


def _script(directory: Path, name: str, body: Mapping[str, object]) -> Path:
    script = directory / f"{name}.lua"
    script.write_text(_LUA % json.dumps(body), encoding="utf-8")
    return script


def _take_turn(outcome: Outcome, server: Server, script: Path, *, is_first: bool) -> None:
    """Load one server; its first turn, which fills caches, does not count."""
    if server.name in outcome.reasons:
        return
    try:
        turn = load(server, script, seconds=1 if is_first else _SECONDS_A_TURN)
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        if server.name == _OURS:
            raise
        outcome.leave_out(server.name, f"failed under load: {error}")
        return
    if not is_first:
        outcome.rates[server.name].append(turn.requests_per_second)


def _labels_of(service: Service) -> list[str]:
    """Return the labels of the two heads; a peer that serves the same model answers with them as well."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
    connection.request("POST", "/classify", json.dumps(TICKET), {"Content-Type": "application/json"})
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return [answer["predicted_department"], answer["predicted_priority"]]


def _figures(outcome: Outcome) -> list[Figure]:
    figures = [Figure(f"/classify: {name}", "requests/s", tuple(rates)) for name, rates in outcome.rates.items()]
    peers = {name: rates for name, rates in outcome.rates.items() if name != _OURS}
    if peers:
        best = max(peers, key=lambda name: median(peers[name]))
        of_rounds = ratios(outcome.rates[_OURS], peers[best])
        figures.append(Figure(f"/classify: service / {best}, the best peer", "times", of_rounds, at_least=_REACH))
    return figures


def _measured(model_directory: Path, outcome: Outcome, figures: Sequence[Figure], *, rounds: int) -> dict[str, object]:
    return {
        "model_version": model_directory.name,
        "rounds": rounds,
        "ticket": TICKET,
        "connections": N_CONNECTIONS,
        "seconds_a_turn": _SECONDS_A_TURN,
        "peers": {
            name: {
                "version": PEERS[name].version,
                "measured": name in outcome.rates,
                "reason": outcome.reasons.get(name),
            }
            for name in PEERS
            if name in outcome.rates or name in outcome.reasons
        },
        "figures": [figure.as_document() for figure in figures],
    }


if __name__ == "__main__":
    sys.exit(main())
