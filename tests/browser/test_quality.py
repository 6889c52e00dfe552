"""The page of quality as people use it: what was corrected is there, and an admin lets a broken promise begin anew."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import httpx
import pytest

from app.models.artifacts import trust_any_manifest
from app.serving.registry import ModelRegistry
from app.store.database import Database
from tests.browser.axe import axe_violations
from tests.browser.console import ADMIN_KEY, KEYS, REVIEWER_KEY, Console, sign_in
from tests.feedback.judged import add_audits

if TYPE_CHECKING:
    from tests.browser.conftest import OpenPage, StartConsole

pytestmark = pytest.mark.slow

TICKET = {"title": "<script>alert(1)</script> {{7*7}} مرحبا", "description": "The badge does not open the door"}


def break_promise(service: Console) -> None:
    """Let people find many answers wrong that the service gave alone."""
    registry = ModelRegistry(
        service.models_dir,
        pinned_version=None,
        check_manifest=trust_any_manifest,
        on_change=lambda _: None,
        on_reload=lambda *_: None,
    )
    registry.load()
    assert registry.current is not None
    with closing(Database(service.store_url)) as database:
        add_audits(database, registry.current.classifier.digest, [False] * 30 + [True] * 5, label="Urgent")


def correct(service: Console, key: str) -> None:
    (prediction_id,) = service.classify(TICKET)
    with httpx.Client(base_url=service.origin, headers={"Authorization": f"Bearer {key}"}, timeout=30) as client:
        answer = client.post("/feedback", json={"prediction_id": prediction_id, "labels": {"priority": "Urgent"}})
        assert answer.is_success, answer.text
        assert answer.json()["agreed"] == {"priority": False}


@pytest.mark.parametrize("has_script", [True, False])
def test_what_somebody_corrected_is_there_at_once_with_or_without_script(
    start_console: StartConsole, open_page: OpenPage, *, has_script: bool
) -> None:
    service = start_console(**KEYS, STORE_TEXT="all")
    correct(service, REVIEWER_KEY)
    page = open_page(service, has_script=has_script)

    sign_in(page, REVIEWER_KEY, to="quality")

    row = page.get_by_role("region", name="Table of the latest corrections").get_by_role("row").nth(1)
    assert TICKET["title"] in row.inner_text()
    assert "mia" in row.inner_text()


def test_an_admin_lets_a_broken_promise_begin_anew_by_keys_alone(keyed_service: Console, open_page: OpenPage) -> None:
    break_promise(keyed_service)
    page = open_page(keyed_service)
    sign_in(page, ADMIN_KEY, to="quality")

    page.get_by_role("link", name="Let it begin anew for priority Urgent").focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Let the promise of priority: Urgent begin anew?").wait_for()
    page.get_by_role("button", name="Let priority: Urgent begin anew").focus()
    page.keyboard.press("Enter")

    page.get_by_role("status").get_by_text("begins anew").wait_for()
    assert page.get_by_text("Broken", exact=True).count() == 0


def test_a_reviewer_is_told_who_can_let_it_begin_anew(keyed_service: Console, open_page: OpenPage) -> None:
    break_promise(keyed_service)
    page = open_page(keyed_service)

    sign_in(page, REVIEWER_KEY, to="quality")

    assert page.get_by_text("An admin can let it begin anew.").count() == 1
    assert page.get_by_role("link", name="Let it begin anew").count() == 0


def test_the_page_with_all_that_it_can_show_keeps_nobody_from_using_it(
    keyed_service: Console, open_page: OpenPage
) -> None:
    break_promise(keyed_service)
    correct(keyed_service, REVIEWER_KEY)
    for color_scheme in ("light", "dark"):
        for width in (360, 2560):
            page = open_page(keyed_service, color_scheme=color_scheme, width=width)
            sign_in(page, ADMIN_KEY, to="quality")
            page.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")

            assert axe_violations(page) == [], (color_scheme, width)
            assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, (color_scheme, width)
