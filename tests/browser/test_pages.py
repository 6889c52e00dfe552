"""What holds for every page of the console: anybody can use it, on any screen, and it is light."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.web.console.page import MENU
from app.web.roles import CONSOLE_PATH, LEAST_ROLES
from tests.browser.axe import axe_violations
from tests.browser.console import ADMIN_KEY, Console, sign_in

if TYPE_CHECKING:
    from playwright.sync_api import Response

    from tests.browser.conftest import OpenPage

pytestmark = pytest.mark.slow

PAGES = [entry.page for entry in MENU if f"{CONSOLE_PATH}/{entry.page}" in LEAST_ROLES]
# Not sure of itself, plain, and with what must stay text.
TICKETS = (
    {"title": "Badge", "description": "The badge of our new colleague does not open the door"},
    {"title": "Server is down", "description": "Main server offline all users impacted"},
    {"title": "<script>alert(1)</script>", "description": '{{7*7}} "quoted" <img src=x onerror=alert(2)> مرحبا'},
)
MAX_BYTES = 100_000


@pytest.mark.parametrize("name", PAGES)
def test_nothing_keeps_anybody_from_using_the_page_on_any_screen(
    keyed_service: Console, open_page: OpenPage, name: str
) -> None:
    keyed_service.classify(*TICKETS)
    for color_scheme in ("light", "dark"):
        for width in (360, 1280, 2560):
            page = open_page(keyed_service, color_scheme=color_scheme, width=width)
            sign_in(page, ADMIN_KEY, to=name)

            assert axe_violations(page) == [], (color_scheme, width)
            assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, (color_scheme, width)
            assert page.locator("nav [aria-current=page]").count() == 1


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_nothing_keeps_anybody_from_signing_in(keyed_service: Console, open_page: OpenPage, color_scheme: str) -> None:
    page = open_page(keyed_service, color_scheme=color_scheme, width=360, expected_statuses={401})
    page.goto("/console/models")
    assert axe_violations(page) == []

    page.get_by_label("Key").fill("no key")
    page.keyboard.press("Enter")

    page.get_by_role("alert").wait_for()
    assert axe_violations(page) == []


@pytest.mark.parametrize("name", PAGES)
def test_a_page_and_all_that_it_loads_is_below_100_kilobytes(
    keyed_service: Console, open_page: OpenPage, name: str
) -> None:
    page = open_page(keyed_service)
    sign_in(page, ADMIN_KEY, to=name)
    answers: list[Response] = []
    fresh = page.context.new_page()
    fresh.on("response", lambda answer: answers.append(answer))  # noqa: PLW0108 - a builtin cannot be marked

    fresh.goto(f"/console/{name}", wait_until="networkidle")

    sizes = {answer.url: len(answer.body()) for answer in answers if not answer.request.redirected_to}
    assert len(sizes) > 1
    assert sum(sizes.values()) < MAX_BYTES, sizes
