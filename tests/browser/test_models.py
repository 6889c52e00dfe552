"""Versions in a browser: let another one answer, go back, and read a report that nobody can trust."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.browser.axe import axe_violations
from tests.browser.console import ADMIN_KEY, KEYS, Console, sign_in
from tests.browser.watch import Watch

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.browser.conftest import OpenPage, StartConsole, WriteVersion

pytestmark = pytest.mark.slow

PLANTED = b"""<!doctype html><html lang="en"><title>A report</title><style>h1 { color: #123456 }</style>
<h1>A report</h1><script>alert(1)</script><img alt="" src="http://127.0.0.1:%d/" onerror="alert(2)">
<form action="/console/sign-out" method="post"><button>Go on</button></form>
"""


def serving(console: Console) -> str:
    return str(httpx.get(f"{console.origin}/version").json()["model_version"])


@pytest.fixture
def two_versions(start_console: StartConsole) -> Console:
    return start_console(versions=("1.0.0", "1.1.0"), **KEYS)


@pytest.mark.parametrize("has_script", [True, False])
def test_an_admin_lets_another_version_answer_and_goes_back(
    two_versions: Console, open_page: OpenPage, *, has_script: bool
) -> None:
    page = open_page(two_versions, has_script=has_script)
    sign_in(page, ADMIN_KEY, to="models")

    page.get_by_role("link", name="Let 1.0.0 answer").click()
    page.get_by_role("heading", name="1.0.0 will answer instead of 1.1.0").wait_for()
    page.get_by_role("button", name="Let 1.0.0 answer").click()

    page.get_by_role("status").get_by_text("1.0.0 answers now").wait_for()
    assert serving(two_versions) == "1.0.0"

    page.get_by_role("link", name="Go back to 1.1.0").click()
    page.get_by_role("heading", name="1.1.0 will answer instead of 1.0.0").wait_for()
    page.get_by_role("button", name="Let 1.1.0 answer").click()

    page.get_by_role("status").get_by_text("1.1.0 answers now").wait_for()
    assert serving(two_versions) == "1.1.0"


def test_the_keyboard_is_enough(two_versions: Console, open_page: OpenPage) -> None:
    page = open_page(two_versions)
    sign_in(page, ADMIN_KEY, to="models")
    page.goto("/console/models?activate=1.0.0")

    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent").strip() == "Let 1.0.0 answer":
            break
    page.keyboard.press("Enter")

    page.get_by_role("status").get_by_text("1.0.0 answers now").wait_for()


def test_two_admins_who_decide_at_once_do_not_undo_each_other(start_console: StartConsole, open_page: OpenPage) -> None:
    console = start_console(versions=("1.0.0", "1.1.0", "1.2.0"), **KEYS)
    first, second = open_page(console), open_page(console, expected_statuses={409})
    for page, version in ((first, "1.0.0"), (second, "1.1.0")):
        sign_in(page, ADMIN_KEY, to="models")
        page.goto(f"/console/models?activate={version}")

    first.get_by_role("button", name="Let 1.0.0 answer").click()
    first.get_by_role("status").wait_for()
    second.get_by_role("button", name="Let 1.1.0 answer").click()

    second.get_by_text("Nothing was changed.").wait_for()
    second.get_by_role("heading", name="1.1.0 will answer instead of 1.0.0").wait_for()
    assert serving(console) == "1.0.0"


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280, 2560])
def test_nothing_keeps_anybody_from_using_the_confirmation(
    two_versions: Console, open_page: OpenPage, color_scheme: str, width: int
) -> None:
    page = open_page(two_versions, color_scheme=color_scheme, width=width)
    sign_in(page, ADMIN_KEY, to="models")
    page.goto("/console/models?activate=1.0.0")

    assert axe_violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_the_report_of_a_version_is_drawn_as_training_wrote_it(two_versions: Console, open_page: OpenPage) -> None:
    page = open_page(two_versions)
    sign_in(page, ADMIN_KEY, to="models")

    page.get_by_role("link", name="Report of 1.0.0").click()
    page.get_by_role("heading", name="What is taken for what").first.wait_for()
    page.go_back()
    page.get_by_role("heading", name="Models").wait_for()


def test_a_report_that_somebody_planted_runs_loads_and_sends_nothing(
    browser: Browser, start_console: StartConsole, write_version_of_project: WriteVersion
) -> None:
    console = start_console(**KEYS)
    context = browser.new_context(base_url=console.origin)
    watch = Watch(context, origin=console.origin)
    page = context.new_page()
    sign_in(page, ADMIN_KEY, to="models")

    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        elsewhere.settimeout(0)
        report = PLANTED % elsewhere.getsockname()[1]
        write_version_of_project(console.models_dir, "1.1.0", {"report.html": report})
        page.goto("/console/models/1.1.0/report")
        page.get_by_role("button", name="Go on").click()
        page.goto("/console/models")
        page.get_by_role("button", name="Sign out").wait_for()
        with pytest.raises(BlockingIOError):
            elsewhere.accept()
    watch.close()

    assert watch.problems
    assert [problem for problem in watch.problems if "dialog" in problem] == []
