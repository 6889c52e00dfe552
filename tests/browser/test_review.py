"""Tickets judged in a real browser: by keys alone, by hand, without a script, and while something goes wrong."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import update

from app.store.database import Database
from app.store.ids import milliseconds_of, new_id
from app.store.tables import feedback, predictions, review_items
from tests.browser.axe import axe_violations
from tests.browser.console import REVIEWER_KEY, SECOND_REVIEWER_KEY, Console, sign_in
from tests.review_items import Item, put_in_queue
from tests.stored import counting_label, id_of, is_open, rows_of

if TYPE_CHECKING:
    from playwright.sync_api import APIResponse, Page, Route

    from tests.browser.conftest import OpenPage

pytestmark = pytest.mark.slow

SECONDS = 30
NASTY = "<script>alert(1)</script>{{7*7}}"
HEBREW = (
    "\u05e9\u05dc\u05d5\u05dd, \u05d4\u05d4\u05d6\u05de\u05e0\u05d4 (4711) \u05dc\u05d0 \u05d4\u05d2\u05d9\u05e2\u05d4"
)


@pytest.fixture
def database(service: Console) -> Iterator[Database]:
    with contextlib.closing(Database(service.store_url)) as database:
        yield database


@pytest.fixture
def keyed_database(keyed_service: Console) -> Iterator[Database]:
    with contextlib.closing(Database(keyed_service.store_url)) as database:
        yield database


def put(database: Database, n_tickets: int, *, is_audit: bool = False) -> list[str]:
    """Put tickets into the queue in their order, old enough to be counted by filters."""
    now_ms = milliseconds_of(new_id()) - 60_000
    items = (
        Item(
            rank=number / 1000 - 0.5, prediction_id=id_of(now_ms + number), title=f"Ticket {number}", is_audit=is_audit
        )
        for number in range(n_tickets)
    )
    return put_in_queue(database, items)


def title(page: Page) -> str:
    return page.locator("#stage h2").inner_text()


def wait_for_title(page: Page, wanted: str) -> None:
    page.locator("#stage h2", has_text=re.compile(rf"^{re.escape(wanted)}$")).wait_for()


def wait_for_judgements(database: Database, n_judgements: int) -> None:
    """Wait until so many judgements stand, which the page sends in the background."""
    deadline = time.monotonic() + SECONDS
    while (n := sum(row["taken_back_ms"] is None for row in rows_of(database, feedback))) != n_judgements:
        assert time.monotonic() < deadline, f"{n} judgements after {SECONDS} s, expected {n_judgements}"
        time.sleep(0.05)


def unfold(page: Page) -> None:
    """Open what is folded by hand; a click misses when the page moves under it, as a person's would."""
    folded = page.locator("#stage details:not([open]) > summary")
    deadline = time.monotonic() + SECONDS
    while folded.count():
        assert time.monotonic() < deadline, "a long text cannot be unfolded"
        folded.first.click()


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def away(route: Route) -> None:
    route.fulfill(status=503, headers={"Retry-After": "1"}, content_type="text/html", body="<p>away</p>")


def test_thirty_tickets_are_judged_by_keys_alone_with_undo_and_skip(page: Page, database: Database) -> None:
    ids = put(database, 31)
    page.goto("/console/review")
    began = time.monotonic()
    for number in range(10):
        wait_for_title(page, f"Ticket {number}")
        press(page, "4", "1", "Enter")
    wait_for_title(page, "Ticket 10")

    # Two were slips.
    press(page, "u", "U")
    wait_for_title(page, "Ticket 8")
    press(page, "2", "3", "Enter")
    wait_for_title(page, "Ticket 9")
    press(page, "Enter", "s")
    for number in range(11, 31):
        wait_for_title(page, f"Ticket {number}")
        press(page, "Enter")
    wait_for_title(page, "Ticket 10")
    press(page, "2", "Enter")
    wait_for_title(page, "Nothing waits for you")
    n_minutes = (time.monotonic() - began) / 60
    wait_for_judgements(database, 31)

    said = [(counting_label(database, one, "priority"), counting_label(database, one, "department")) for one in ids]
    assert said[:8] == [("Urgent", "Billing")] * 8
    assert said[8] == ("Low", "Tech Support")
    assert said[9] == ("Urgent", "Billing")
    assert said[10] == ("Low", "Sales")
    assert said[11:] == [("High", "Sales")] * 20
    assert 31 / n_minutes > 20
    assert page.locator("#desk dd").first.inner_text() == "31"


def test_what_was_said_is_taken_back_after_a_reload_too(page: Page, database: Database) -> None:
    put(database, 3)
    page.goto("/console/review")
    press(page, "Enter")
    wait_for_title(page, "Ticket 1")
    wait_for_judgements(database, 1)
    page.reload()
    wait_for_title(page, "Ticket 1")

    press(page, "u")

    wait_for_title(page, "Ticket 0")
    wait_for_judgements(database, 0)
    press(page, "Enter")
    wait_for_title(page, "Ticket 1")
    wait_for_judgements(database, 1)


def test_a_ticket_that_was_judged_again_is_not_shown_again_when_the_server_answers_late(
    page: Page, database: Database
) -> None:
    put(database, 3)
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/review-take-back", hold)
    page.goto("/console/review")
    press(page, "Enter")
    wait_for_judgements(database, 1)
    press(page, "u")
    wait_for_title(page, "Ticket 0")
    press(page, "2", "Enter")
    wait_for_title(page, "Ticket 1")

    held[0].continue_()

    wait_for_title(page, "Ticket 1")
    page.locator("#desk .last").get_by_text("Low").wait_for()
    assert title(page) == "Ticket 1"
    wait_for_judgements(database, 1)
    assert len(rows_of(database, feedback)) == 2


def test_it_is_done_by_mouse_and_touch_as_well(page: Page, database: Database) -> None:
    ids = put(database, 3)
    page.goto("/console/review")
    page.get_by_label("Urgent").check()
    page.get_by_role("button", name="Accept").click()
    wait_for_title(page, "Ticket 1")
    page.get_by_role("button", name="Skip").click()
    wait_for_title(page, "Ticket 2")
    wait_for_judgements(database, 1)
    assert counting_label(database, ids[0], "priority") == "Urgent"

    page.get_by_role("button", name="Take back: Ticket 0").click()

    wait_for_title(page, "Ticket 0")
    wait_for_judgements(database, 0)


def test_an_audit_shows_no_answer_and_is_judged_in_full(page: Page, database: Database) -> None:
    (audit,) = put(database, 1, is_audit=True)
    page.goto("/console/review")
    assert page.get_by_text("Judge without seeing the answer").is_visible()
    assert page.locator("#stage input:checked").count() == 0

    press(page, "Enter", "3", "Enter", "2", "Enter")

    wait_for_title(page, "Nothing waits for you")
    wait_for_judgements(database, 1)
    assert counting_label(database, audit, "priority") == "Medium"
    assert counting_label(database, audit, "department") == "Sales"


def test_the_keys_are_shown_when_they_are_asked_for(page: Page, database: Database) -> None:
    put(database, 1)
    page.goto("/console/review")
    assert page.locator("#stage .choice kbd").all_inner_texts() == ["1", "2", "3", "4", "1", "2", "3", "4"]

    press(page, "?")
    assert page.locator("#keys dl").is_visible()
    press(page, "?")
    assert page.locator("#keys dl").is_hidden()


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_pages_keep_nobody_out(
    open_page: OpenPage, service: Console, database: Database, color_scheme: str, width: int
) -> None:
    put(database, 4)
    put(database, 1, is_audit=True)
    page = open_page(service, color_scheme=color_scheme, width=width)

    page.goto("/console/review")
    press(page, "Enter")
    wait_for_judgements(database, 1)
    page.locator("#desk .last").wait_for()
    for summary in page.locator("summary").all():
        summary.click()
    assert axe_violations(page) == []
    page.goto("/console/review?decision=suggest")
    assert axe_violations(page) == []
    page.get_by_label("Accept them as answered").check()
    page.get_by_role("button", name="Accept 3 together").click()
    assert axe_violations(page) == []
    overflows = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    assert not overflows


def test_whatever_a_ticket_says_nothing_runs_and_nothing_breaks(page: Page, database: Database) -> None:
    texts = [(NASTY, NASTY), (HEBREW, HEBREW), ("x" * 3_000, "word " * 4_000), ("A title", "y" * 20_000)]
    for prediction_id, (ticket_title, description) in zip(put(database, 4), texts, strict=True):
        with database.writing() as connection:
            of_ticket = predictions.c.prediction_id == prediction_id
            connection.execute(update(predictions).where(of_ticket).values(title=ticket_title, description=description))
    page.goto("/console/review")
    for ticket_title, description in texts:
        wait_for_title(page, ticket_title)
        assert not page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
        unfold(page)
        shown = "".join(page.locator("#stage .ticket-text").all_text_contents()).replace(" …", "")
        assert shown == description
        if ticket_title == HEBREW:
            directions = page.locator("#stage h2, #stage .ticket-text").evaluate_all(
                "all => all.map(one => getComputedStyle(one).direction)"
            )
            assert directions == ["rtl", "rtl"]
        press(page, "Enter")
    wait_for_title(page, "Nothing waits for you")
    wait_for_judgements(database, 4)


def test_without_a_script_the_forms_do_it(open_page: OpenPage, service: Console, database: Database) -> None:
    ids = put(database, 3)
    page = open_page(service, has_script=False)
    page.goto("/console/review")
    page.get_by_label("Low").first.check()
    page.get_by_role("button", name="Accept").click()
    wait_for_title(page, "Ticket 1")
    page.get_by_role("button", name="Skip").click()
    wait_for_title(page, "Ticket 2")
    assert counting_label(database, ids[0], "priority") == "Low"

    page.get_by_role("button", name="Take back: Ticket 0").click()

    wait_for_title(page, "Ticket 0")
    assert counting_label(database, ids[0], "priority") is None


def test_what_could_not_be_sent_is_sent_again_and_counts_once(
    open_page: OpenPage, service: Console, database: Database
) -> None:
    put(database, 4)
    page = open_page(service, expected_statuses={503})
    page.goto("/console/review")
    wait_for_title(page, "Ticket 0")
    page.wait_for_load_state("networkidle")
    page.route("**/review-judge", away)

    for number in range(3):
        wait_for_title(page, f"Ticket {number}")
        press(page, "Enter")
    page.get_by_text("3 judgements wait to be sent").wait_for()
    assert rows_of(database, feedback) == []
    page.unroute("**/review-judge")

    wait_for_judgements(database, 3)
    page.get_by_text("wait to be sent").wait_for(state="detached")
    wait_for_title(page, "Ticket 3")
    assert len(rows_of(database, feedback)) == 3


def test_an_answer_that_comes_late_does_not_bring_an_older_count_back(
    open_page: OpenPage, service: Console, database: Database
) -> None:
    put(database, 3)
    page = open_page(service)
    page.goto("/console/review")
    page.wait_for_load_state("networkidle")
    held: list[tuple[Route, APIResponse]] = []
    page.route("**/review-next", lambda route: held.append((route, route.fetch())))
    waiting = page.locator("#desk dd").nth(2)

    press(page, "Enter")
    waiting.filter(has_text=re.compile("^2$")).wait_for()
    deadline = time.monotonic() + SECONDS
    while not held:
        assert time.monotonic() < deadline, "the page does not ask for more tickets"
        page.wait_for_timeout(20)
    press(page, "Enter")
    waiting.filter(has_text=re.compile("^1$")).wait_for()
    (late, response), *_ = held
    with page.expect_response("**/review-next"):
        late.fulfill(response=response)
    page.wait_for_timeout(200)

    assert waiting.inner_text() == "1"


def test_what_was_not_sent_yet_outlives_a_reload(open_page: OpenPage, service: Console, database: Database) -> None:
    put(database, 3)
    page = open_page(service, expected_statuses={503})
    page.goto("/console/review")
    page.wait_for_load_state("networkidle")
    page.route("**/review-judge", away)
    press(page, "Enter")
    page.get_by_text("One judgement waits to be sent").wait_for()
    page.unroute("**/review-judge")

    page.reload()

    wait_for_judgements(database, 1)


def test_what_was_taken_back_while_the_answer_was_lost_does_not_count(
    open_page: OpenPage, service: Console, database: Database
) -> None:
    put(database, 3)
    page = open_page(service, expected_statuses={503})
    page.goto("/console/review")
    page.wait_for_load_state("networkidle")

    def lose_the_answer(route: Route) -> None:
        route.fetch()
        away(route)

    page.route("**/review-judge", lose_the_answer)
    press(page, "Enter")
    page.get_by_text("One judgement waits to be sent").wait_for()
    assert len(rows_of(database, feedback)) == 1
    page.unroute("**/review-judge")

    press(page, "u")

    wait_for_title(page, "Ticket 0")
    wait_for_judgements(database, 0)


def test_what_was_taken_back_and_not_sent_yet_outlives_a_reload(
    open_page: OpenPage, service: Console, database: Database
) -> None:
    put(database, 3)
    page = open_page(service, expected_statuses={503})
    page.goto("/console/review")
    page.wait_for_load_state("networkidle")
    press(page, "Enter")
    wait_for_judgements(database, 1)
    page.route("**/review-take-back", away)
    press(page, "u")
    page.get_by_text("wait").first.wait_for()
    page.unroute("**/review-take-back")

    page.reload()

    wait_for_judgements(database, 0)


def test_two_reviewers_see_different_tickets_and_one_who_is_late_is_told(
    open_page: OpenPage, keyed_service: Console, keyed_database: Database
) -> None:
    ids = put(keyed_database, 6)
    mia = open_page(keyed_service, expected_statuses={409})
    tom = open_page(keyed_service)
    sign_in(mia, REVIEWER_KEY)
    wait_for_title(mia, "Ticket 0")
    mia.wait_for_load_state("networkidle")
    sign_in(tom, SECOND_REVIEWER_KEY)
    wait_for_title(tom, "Ticket 3")
    tom.wait_for_load_state("networkidle")
    with keyed_database.writing() as connection:
        theirs = review_items.c.prediction_id == ids[0]
        connection.execute(update(review_items).where(theirs).values(reviewer="tom", leased_until_ms=1 << 50))

    press(mia, "Enter")

    mia.get_by_text("Ticket 0: Somebody else has this ticket now").wait_for()
    assert title(mia) == "Ticket 1"
    assert is_open(keyed_database, ids[0])
    mia.get_by_role("button", name="Record it all the same").click()
    wait_for_judgements(keyed_database, 1)
    assert counting_label(keyed_database, ids[0], "priority") == "High"
    assert mia.locator("#notices").inner_text() == ""


def test_who_was_signed_out_loses_nothing(
    open_page: OpenPage, keyed_service: Console, keyed_database: Database
) -> None:
    put(keyed_database, 3)
    page = open_page(keyed_service, expected_statuses={401, 403})
    sign_in(page, REVIEWER_KEY)
    wait_for_title(page, "Ticket 0")
    page.wait_for_load_state("networkidle")
    other = page.context.new_page()
    other.goto("/console/review?decision=auto")
    other.get_by_role("button", name="Sign out").click()
    other.get_by_label("Key").wait_for()

    press(page, "Enter")
    page.get_by_role("link", name="Sign in again").click()
    page.get_by_label("Key").fill(REVIEWER_KEY)
    page.get_by_role("button", name="Sign in").click()

    wait_for_judgements(keyed_database, 1)
    assert rows_of(keyed_database, feedback)[0]["reviewer"] == "mia"


def test_all_answers_of_a_filter_are_accepted_together_and_taken_back(page: Page, database: Database) -> None:
    ids = put(database, 250)
    (audit,) = put(database, 1, is_audit=True)
    page.goto("/console/review")
    wait_for_title(page, "Ticket 0")
    page.get_by_text("Find some, or accept many together").click()
    page.get_by_label("Answer", exact=True).select_option("High")
    page.get_by_role("button", name="Show these").click()
    assert page.get_by_role("heading", level=1).inner_text() == "250 open tickets"
    assert page.get_by_role("row", name="priority").get_by_text("125").is_visible()

    page.get_by_role("button", name="Accept 250 together").click()
    assert rows_of(database, feedback) == []
    page.get_by_label("Accept them as answered").check()
    page.get_by_role("button", name="Accept 250 together").click()

    page.get_by_role("heading", name="250 tickets accepted together").wait_for()
    assert not any(is_open(database, one) for one in ids)
    assert is_open(database, audit)
    page.get_by_role("button", name="Take all back").click()
    page.get_by_role("heading", name="250 judgements taken back").wait_for()
    assert all(is_open(database, one) for one in ids)
