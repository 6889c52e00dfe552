"""Check in a second or two that a running service is alive, ready, says its version, and classifies a ticket."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import httpx
from rich.console import Console

from scripts.lib.service_client import Answer, add_service_arguments, api_key_headers, display_url, to_answer

_EPILOG = "Exit codes: 0 every check passed, 1 a check failed, 2 bad usage."
_TICKET = {
    "title": "Server is down",
    "description": "Main server offline, all users impacted.",
    "customer_email": "smoke-test@example.com",
}
_HEADS = ("priority", "department")


@dataclass(frozen=True, slots=True)
class Check:
    """One request; ``find_fault`` says in one line what is wrong with the answer's body, nothing when it is right."""

    name: str
    method: str
    path: str
    find_fault: Callable[[Mapping[str, object]], str]
    document: Mapping[str, str] | None = None


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    console = Console(highlight=False)
    with httpx.Client(
        base_url=arguments.base_url, headers=api_key_headers(arguments.api_key), timeout=arguments.timeout
    ) as client:
        n_failed = sum(not _run(check, client, console, show_json=arguments.show_json) for check in _CHECKS)
    if n_failed:
        console.print(f"{n_failed} of {len(_CHECKS)} checks failed", style="bold red")
        return 1
    console.print(f"all {len(_CHECKS)} checks passed", style="bold green")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, epilog=_EPILOG)
    add_service_arguments(parser)
    parser.add_argument("--show-json", action="store_true", help="print every answer")
    parser.add_argument("--timeout", metavar="SECONDS", type=_seconds, default=10.0, help="for one answer, default 10")
    return parser


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f'"{text}" is not a number of seconds above 0')
    return value


def _run(check: Check, client: httpx.Client, console: Console, *, show_json: bool) -> bool:
    started_at = time.perf_counter()
    answer: Answer | None = None
    try:
        response = client.request(check.method, check.path, json=check.document)
    except httpx.RequestError as error:
        fault = f"{display_url(client.base_url)} does not answer: {str(error) or type(error).__name__}"
    else:
        answer = to_answer(response, latency_ms=(time.perf_counter() - started_at) * 1000)
        fault = answer.problem or check.find_fault(answer.body)
    verdict, colour = ("FAIL", "bold red") if fault else ("PASS", "bold green")
    outcome = fault or f"{HTTPStatus.OK.value} in {answer.latency_ms if answer else 0:.0f} ms"
    console.print(f"[{colour}]{verdict}[/] {check.name:<15}{check.method:<5}{check.path:<15}", end="")
    console.print(f" {outcome}", markup=False, soft_wrap=True)
    if show_json and answer:
        console.print(json.dumps(answer.body, indent=2, ensure_ascii=False), markup=False, soft_wrap=True)
    return not fault


def _expect(body: Mapping[str, object], field: str, expected: object) -> str:
    found = body.get(field)
    return "" if found == expected else f"{field} is {json.dumps(found)}, expected {json.dumps(expected)}"


def _classification_fault(body: Mapping[str, object]) -> str:
    predictions = body.get("predictions")
    if not isinstance(predictions, dict) or not predictions:
        return "the answer has no predictions"
    if not body.get("model_version"):
        return "the answer has no model_version"
    for name, head in predictions.items():
        label, confidence = (head.get("label"), head.get("confidence")) if isinstance(head, dict) else (None, None)
        if not (isinstance(label, str) and label):
            return f"{name} has no label"
        if not (isinstance(confidence, (int, float)) and 0 <= confidence <= 1):
            return f"{name} has the confidence {json.dumps(confidence)}, expected 0 to 1"
        if name in _HEADS and (body.get(f"predicted_{name}"), body.get(f"{name}_confidence")) != (label, confidence):
            return f"predicted_{name} and {name}_confidence differ from predictions.{name}"
    return ""


_CHECKS = (
    Check("liveness", "GET", "/health/live", lambda body: _expect(body, "status", "alive")),
    Check("readiness", "GET", "/health/ready", lambda body: _expect(body, "status", "ready")),
    Check("version", "GET", "/version", lambda body: _expect(body, "model_loaded", expected=True)),
    Check("classification", "POST", "/classify", _classification_fault, _TICKET),
)


if __name__ == "__main__":
    sys.exit(main())
