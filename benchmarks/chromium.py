"""The system's Chromium, driven by Playwright, with nobody to talk to but this machine; for tests and pictures."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ColorScheme = Literal["light", "dark"]

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
_FLAGS: Final = (
    # Every other host is unknown, to the browser's own services too.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
    # Containers have little of it.
    "--disable-dev-shm-usage",
    "--disable-gpu",
    # The same letters on every machine that has the same fonts.
    "--font-render-hinting=none",
)


def find_chromium() -> str | None:
    """Return where the system's Chromium is, None without one."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


def missing() -> str | None:
    """Return what keeps pages from being opened here, None if nothing does."""
    try:
        import playwright.sync_api  # noqa: F401, PLC0415 - only those who develop have it
    except ModuleNotFoundError:
        return "playwright is not installed; requirements-dev.lock has it"
    return None if find_chromium() else "no Chromium is installed; .ci/run installs it"


@contextmanager
def running_chromium() -> Iterator[Browser]:
    """Start a browser, and end it with all of its processes.

    Meanwhile this thread counts as one that runs an event loop, so nothing else can run one in it. Playwright leaves
    out Chromium's sandbox, without which it runs as root and in containers too: show it pages of our own only.
    """
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only those who develop have it

    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=find_chromium(), args=_FLAGS) as browser,
    ):
        yield browser
