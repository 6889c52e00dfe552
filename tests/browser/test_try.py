"""The page to try tickets on as people use it: answered while they type, with their own text shown as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.axe import axe_violations

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.browser.conftest import OpenPage
    from tests.browser.console import Console

pytestmark = pytest.mark.slow


def answers(page: Page) -> list[str]:
    return page.locator("article.head h2").all_inner_texts()


def test_a_ticket_is_answered_while_one_types(page: Page) -> None:
    page.goto("/console/try")
    page.get_by_label("Description").press_sequentially("please refund the invoice that we paid twice", delay=5)

    page.locator("article.head").first.wait_for()

    assert answers(page)[-1] == "Billing"
    assert page.url.endswith("/console/try")
    assert page.locator("mark.for").count() > 2


def test_only_the_answer_to_the_latest_text_is_shown_and_one_question_is_asked_at_a_time(page: Page) -> None:
    page.goto("/console/try")
    under_way, most = [0], [0]

    def begin() -> None:
        under_way[0] += 1
        most[0] = max(most[0], under_way[0])

    page.on("request", lambda request: begin() if request.method == "POST" else None)
    page.on("requestfinished", lambda _: under_way.__setitem__(0, 0))
    description = page.get_by_label("Description")
    for text in ("please refund our invoice", "the server is down", "what is the price of the team plan?"):
        description.fill(text)
        page.wait_for_timeout(310)

    page.get_by_text("Sales", exact=True).first.wait_for()
    page.wait_for_load_state("networkidle")

    assert answers(page)[-1] == "Sales"
    assert page.locator(".coloured").first.inner_text().startswith("what")
    assert most[0] == 1


def test_what_was_unfolded_stays_unfolded_and_the_answer_is_told_to_who_does_not_see_it(page: Page) -> None:
    page.goto("/console/try")
    page.get_by_role("button", name="Nobody can log in").click()
    page.locator("article.head").first.wait_for()
    assert page.get_by_role("status").inner_text().startswith("priority: ")
    page.get_by_text("Why not “").first.click()

    page.get_by_label("Title").press_sequentially(" today", delay=5)
    page.locator(".coloured", has_text="today").first.wait_for()

    assert page.locator("details[open]").count() == 1
    assert page.get_by_label("Title").evaluate("one => one === document.activeElement")


def test_start_anew_empties_the_page(page: Page) -> None:
    page.goto("/console/try")
    page.get_by_role("button", name="Charged twice").click()
    page.locator("article.head").first.wait_for()

    page.get_by_role("link", name="Start anew").click()

    page.get_by_text("What would be answered?").wait_for()
    assert page.get_by_label("Description").input_value() == ""


def test_it_works_without_a_script(service: Console, open_page: OpenPage) -> None:
    page = open_page(service, has_script=False)
    page.goto("/console/try")
    page.get_by_label("Title").fill("Refund")
    page.get_by_label("Description").fill("please refund the invoice")
    page.get_by_role("button", name="Explain").click()

    assert answers(page)[-1] == "Billing"
    assert page.get_by_label("Title").input_value() == "Refund"

    page.get_by_role("button", name="Question about the team plan").click()
    assert answers(page)[-1] == "Sales"


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script> <img src=x onerror=alert(2)>",
        "{{7*7}} ${7*7}",
        "\u202eserver\u202c مرحبا הלו",
        "server down 😀 " * 1_333,
    ],
    ids=["markup", "templates", "right to left", "20,000 characters"],
)
def test_hostile_text_is_shown_and_nothing_of_it_runs(page: Page, text: str) -> None:
    page.goto("/console/try")
    page.get_by_label("Title").fill(text[:300])
    page.get_by_label("Description").fill(text)
    page.locator("article.head").first.wait_for()

    shown = page.locator("article.head .coloured p").nth(1).evaluate("one => one.textContent")
    assert shown == text
    assert page.locator("#answer *").count() < 2_000


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280, 2560])
def test_nothing_keeps_anybody_from_reading_an_answer(
    service: Console, open_page: OpenPage, color_scheme: str, width: int
) -> None:
    page = open_page(service, color_scheme=color_scheme, width=width)
    page.goto("/console/try")
    page.get_by_role("button", name="Charged twice").click()
    page.locator("article.head").first.wait_for()
    page.get_by_text("Why not “").first.click()

    assert axe_violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_a_refusal_is_said_and_the_next_key_asks_again(service: Console, open_page: OpenPage) -> None:
    page = open_page(service, expected_statuses={503})
    page.goto("/console/try")
    refusal = '<div class="notice bad" role="alert">as much work as it can do</div>'
    page.route("**/console/try", lambda route: route.fulfill(status=503, body=refusal), times=1)
    page.get_by_label("Title").fill("Refund the invoice")
    page.get_by_role("alert").wait_for()

    page.get_by_label("Title").press("!")

    page.locator("article.head").first.wait_for()
    assert page.get_by_role("alert").count() == 0
    assert answers(page)[-1] == "Billing"
