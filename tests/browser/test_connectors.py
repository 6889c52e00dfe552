"""Connectors in a browser: what failed is there with its reason, and an admin sends it again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.browser.axe import axe_violations
from tests.browser.console import ADMIN_KEY, KEYS, REVIEWER_KEY, Console, sign_in
from tests.connectors.servers.dialect import refused, running
from tests.connectors.servers.generic import Generic
from tests.processes import free_port

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

    from tests.browser.conftest import OpenPage, StartConsole

pytestmark = pytest.mark.slow

SECRET = "a secret of the helpdesk"
TABLE = """
[{name}]
type = "generic"
signature = "secret"
secret_env = "DESK_SECRET"
api_url = "{url}"
api_token_env = "DESK_SECRET"
write = ["priority", "department"]
on_suggest = "note"
calls_per_minute = 100000
api = {{read = "/tickets/{{id}}", write = "/tickets/{{id}}", note = "/tickets/{{id}}/notes"}}
"""
TICKET = {"title": "Server is down", "description": "Main server offline all users impacted"}
N_REFUSED = 12


@pytest.fixture
def helpdesk() -> Generic:
    """A helpdesk that refuses what is written to its first tickets."""
    helpdesk = Generic(SECRET)
    helpdesk.give(*[refused(422)] * N_REFUSED)
    return helpdesk


@pytest.fixture
def connected(helpdesk: Generic, start_console: StartConsole, tmp_path: Path) -> Iterator[Console]:
    """A service that gave some tickets up, cannot reach another helpdesk, and got a delivery that is none."""
    path = tmp_path / "connectors.toml"
    with running(helpdesk) as url:
        away = f"http://127.0.0.1:{free_port()}"
        path.write_text(TABLE.format(name="desk", url=url) + TABLE.format(name="away", url=away), encoding="utf-8")
        console = start_console(**KEYS, CONNECTORS_FILE=str(path), DESK_SECRET=SECRET)
        for number in range(N_REFUSED + 1):
            deliver(console, "desk", helpdesk.create(str(number), **TICKET))
        deliver(console, "away", helpdesk.create("99", **TICKET))
        deliver(console, "desk", {"no": "ticket"})
        yield console


def deliver(console: Console, name: str, ticket: object) -> None:
    answer = httpx.post(
        f"{console.origin}/hooks/{name}",
        content=json.dumps(ticket),
        headers={"X-Webhook-Secret": SECRET},
        timeout=30,
    )
    answer.raise_for_status()


def see(page: Page, name: str) -> Locator:
    """Look at the page until it has the button ``name``, which a helpdesk's answers bring about."""
    button = page.get_by_role("button", name=name, exact=True)
    for _ in range(100):
        page.goto("/console/connectors")
        if button.count():
            break
        page.wait_for_timeout(100)
    return button


@pytest.mark.parametrize("has_script", [True, False])
def test_an_admin_sends_one_again_and_then_all_by_keys_alone(
    connected: Console, open_page: OpenPage, *, has_script: bool
) -> None:
    page = open_page(connected, has_script=has_script)
    sign_in(page, ADMIN_KEY, to="connectors")
    see(page, f"Send all {N_REFUSED} of desk again")

    page.get_by_role("button", name="Send again for ticket 11").focus()
    page.keyboard.press("Enter")
    page.get_by_role("status").get_by_text("Ticket 11 of desk").wait_for()
    see(page, f"Send all {N_REFUSED - 1} of desk again").focus()
    page.keyboard.press("Enter")
    page.get_by_role("status").get_by_text("desk").wait_for()

    page.get_by_label("Ticket").fill("desk:0")
    page.keyboard.press("Enter")
    page.wait_for_url("**ticket=desk%3A0")
    rows = page.get_by_role("region", name="what was done", exact=True).get_by_role("row")
    for _ in range(100):
        if rows.count():
            break
        page.wait_for_timeout(100)
        page.get_by_role("link", name="Look again").click()
        page.wait_for_load_state()
    assert rows.count() == 1 + 1
    assert page.get_by_role("heading", name="Given up").count() == 0


def test_a_reviewer_sees_the_same_and_no_button(connected: Console, open_page: OpenPage) -> None:
    page = open_page(connected)

    sign_in(page, REVIEWER_KEY, to="connectors")

    page.get_by_text("Only an admin can send again.").wait_for()
    assert page.get_by_role("button", name="Send").count() == 0


def test_the_page_with_all_that_it_can_show_keeps_nobody_from_using_it(connected: Console, open_page: OpenPage) -> None:
    for color_scheme in ("light", "dark"):
        for width in (360, 2560):
            page = open_page(connected, color_scheme=color_scheme, width=width)
            sign_in(page, ADMIN_KEY, to="connectors")
            see(page, f"Send all {N_REFUSED} of desk again")
            page.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")

            for heading in ("Given up", "Deliveries for a person", "Waiting", "Done"):
                assert page.get_by_role("heading", name=heading).count() == 1, heading
            assert axe_violations(page) == [], (color_scheme, width)
            assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, (color_scheme, width)
