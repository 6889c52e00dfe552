"""Pictures of the console's pages as people would see them, of a service with generated tickets in its store.

``python -m benchmarks.screenshots DIRECTORY`` draws every page in light and dark at three widths, to be looked at;
``--readme`` draws those of the README into ``docs/images``. What the pages say is tested elsewhere.
"""

from __future__ import annotations

import argparse
import http.client
import json
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from app.web.console.page import MENU
from app.web.roles import CONSOLE_PATH, LEAST_ROLES
from benchmarks.chromium import ColorScheme, missing, running_chromium
from benchmarks.helpdesks import helpdesks
from benchmarks.measuring import ROOT
from benchmarks.service import Service, running_service
from data.generate_dataset import generate

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from data.generate_dataset import Ticket

_IMAGES: Final = ROOT / "docs" / "images"
_WIDTHS: Final = (360, 1280, 2560)
_SCHEMES: Final[tuple[ColorScheme, ...]] = ("light", "dark")
_HEIGHT: Final = 800
_SEED: Final = 11
_N_TICKETS: Final = 500
_N_JUDGED: Final = 150
_N_OF_HELPDESKS: Final = 60
_MOST_CLAIMED: Final = 100
_WRITE_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Shot:
    """A page in one look; ``name`` is that of its file, without the suffix."""

    page: str
    name: str
    color_scheme: ColorScheme
    width: int
    is_whole: bool


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parse(argv)
    if (reason := missing()) is not None:
        sys.stderr.write(f"no page can be drawn: {reason}\n")
        return 1
    directory: Path = _IMAGES if arguments.readme else arguments.directory
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        environment = {"STORE_URL": f"sqlite:///{place}/store.db", "AUDIT_SHARE": "0.3", "DRAIN_SECONDS": "0"}
        tickets = list(generate(_N_TICKETS, seed=_SEED))
        with (
            helpdesks(Path(place)) as desks,
            running_service(ROOT / "models", environment={**environment, **desks.environment}) as service,
            running_chromium() as browser,
        ):
            _fill(service, tickets)
            desks.tell(service, tickets[:_N_OF_HELPDESKS])
            for shot in _of_readme() if arguments.readme else _of_every_page():
                path = directory / f"{shot.name}.png"
                _draw(browser, service, shot, path)
                sys.stdout.write(f"{path}\n")
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.screenshots", description="Draw the console's pages.")
    parser.add_argument(
        "directory", nargs="?", type=Path, help="where to put every page, in two themes and three widths"
    )
    parser.add_argument("--readme", action="store_true", help="draw the pictures of the README into docs/images")
    arguments = parser.parse_args(argv)
    if arguments.readme == (arguments.directory is not None):
        parser.error("give a directory, or --readme")
    return arguments


def _of_every_page() -> Iterable[Shot]:
    for entry in MENU:
        if f"{CONSOLE_PATH}/{entry.page}" not in LEAST_ROLES:
            continue
        for scheme in _SCHEMES:
            for width in _WIDTHS:
                yield Shot(entry.page, f"{entry.page}-{scheme}-{width}", scheme, width, is_whole=True)


def _of_readme() -> Iterable[Shot]:
    yield Shot("review", "console-review", "light", 1280, is_whole=False)
    yield Shot("quality", "console-quality", "dark", 1280, is_whole=False)


def _fill(service: Service, tickets: Sequence[Ticket]) -> None:
    """Classify ``tickets``, and judge some of those that wait for a person by the labels that they were made with."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)

    def send(path: str, body: object) -> dict[str, Any]:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content: dict[str, Any] = json.loads(answer.read())
        if answer.status not in {http.client.OK, http.client.CREATED}:
            raise RuntimeError(f"{path} answered {answer.status}: {content}")
        return content

    by_id = {}
    for ticket in tickets:
        answer = send("/classify", {"title": ticket.title, "description": ticket.description})
        by_id[answer["prediction_id"]] = ticket
    deadline, n_judged = time.monotonic() + _WRITE_SECONDS, 0
    while n_judged < _N_JUDGED and time.monotonic() < deadline:
        items = send("/review/claim", {"count": min(_MOST_CLAIMED, _N_JUDGED - n_judged)})["items"]
        for item in items:
            ticket = by_id[item["prediction_id"]]
            labels = {"priority": ticket.priority, "department": ticket.department}
            send("/feedback", {"prediction_id": item["prediction_id"], "labels": labels, "source": "review"})
        n_judged += len(items)
    connection.close()


def _draw(browser: Browser, service: Service, shot: Shot, path: Path) -> None:
    context = browser.new_context(
        base_url=f"http://127.0.0.1:{service.port}",
        color_scheme=shot.color_scheme,
        viewport={"width": shot.width, "height": _HEIGHT},
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.goto(f"/console/{shot.page}", wait_until="networkidle")
    page.screenshot(path=path, full_page=shot.is_whole, animations="disabled", caret="hide")
    context.close()


if __name__ == "__main__":
    sys.exit(main())
