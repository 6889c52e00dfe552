"""A day in the console from the first key to signing out, whatever the tickets say."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

import pytest

from app.store.database import Database
from app.store.ids import milliseconds_of, new_id
from app.store.tables import feedback
from tests.browser.console import ADMIN_KEY, KEYS, Console, sign_in
from tests.review_items import Item, put_in_queue
from tests.stored import id_of, rows_of

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.browser.conftest import OpenPage, StartConsole

pytestmark = pytest.mark.slow

N_BY_KEYS = 30
N_TOGETHER = 10
TICKETS = {
    "plain": ("Refund", "please refund the invoice that we paid twice"),
    "script": ("<script>alert(1)</script>", "<img src=x onerror=alert(2)> <script>alert(3)</script>"),
    "template": ("{{7*7}} ${7*7}", "{{7*7}} {% raw %} {{ self }} #{7*7}"),
    "right to left": (
        "\u202eserver\u202c",
        "\u05d4\u05d7\u05e9\u05d1\u05d5\u05e0\u05d9\u05ea \u202eserver\u202c (4711)",
    ),
    "20,000 characters": ("A long one", "server down " * 1_666),
}


def put(store_url: str, title: str, description: str) -> None:
    """Put the same ticket into the queue so many times, old enough to be counted by filters."""
    now_ms = milliseconds_of(new_id()) - 60_000
    items = (
        Item(rank=n / 1000 - 0.5, prediction_id=id_of(now_ms + n), title=title, description=description)
        for n in range(N_BY_KEYS + N_TOGETHER)
    )
    with contextlib.closing(Database(store_url)) as database:
        put_in_queue(database, items)


def n_standing(store_url: str) -> int:
    with contextlib.closing(Database(store_url)) as database:
        return sum(row["taken_back_ms"] is None for row in rows_of(database, feedback))


def judge_by_keys(page: Page) -> None:
    """Judge all but the last tickets, take the first one back and judge it anew, and skip the second."""
    stage = page.locator("#stage article")
    page.goto("/console/review")
    shown = ""
    for number in range(N_BY_KEYS + 3):
        page.wait_for_function(
            "before => { const one = document.querySelector('#stage article');"
            " return one && one.dataset.prediction !== before; }",
            arg=shown,
        )
        shown = str(stage.get_attribute("data-prediction"))
        page.keyboard.press({1: "u", 2: "Enter", 3: "s"}.get(number, "Enter"))
    # What was judged is sent in the background.
    page.locator("#desk dd").nth(2).filter(has_text=re.compile(f"^{N_TOGETHER}$")).wait_for()


@pytest.mark.parametrize("ticket", TICKETS.values(), ids=TICKETS)
def test_a_day_in_the_console(start_console: StartConsole, open_page: OpenPage, ticket: tuple[str, str]) -> None:
    console: Console = start_console(versions=("1.0.0", "1.1.0"), **KEYS)
    title, description = ticket
    put(console.store_url, title, description)
    page = open_page(console)
    sign_in(page, ADMIN_KEY, to="try")

    page.get_by_label("Title").fill(title)
    page.get_by_label("Description").fill(description)
    page.locator("article.head").first.wait_for()
    judge_by_keys(page)
    assert n_standing(console.store_url) == N_BY_KEYS

    page.goto("/console/review?decision=suggest")
    page.get_by_label("Accept them as answered").check()
    page.get_by_role("button", name=f"Accept {N_TOGETHER} together").click()
    page.get_by_role("heading", name=f"{N_TOGETHER} tickets accepted together").wait_for()
    assert n_standing(console.store_url) == N_BY_KEYS + N_TOGETHER

    page.goto("/console/quality")
    page.get_by_role("heading", name="Latest corrections").wait_for()
    page.goto("/console/models")
    for before, after in (("1.1.0", "1.0.0"), ("1.0.0", "1.1.0")):
        page.get_by_role("link", name=f"Let {after} answer").first.click()
        page.get_by_role("heading", name=f"{after} will answer instead of {before}").wait_for()
        page.get_by_role("button", name=f"Let {after} answer").click()
        page.get_by_role("status").get_by_text(f"{after} answers now").wait_for()

    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("Key").wait_for()
    page.goto("/console/quality")
    assert page.url.endswith("/console/sign-in?next=quality")
