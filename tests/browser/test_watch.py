"""That the tests of this folder would notice: pages that do what no page of ours may do."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.browser.axe import axe_violations
from tests.browser.watch import Watch

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow

PATHS = {
    "/": (200, "text/html", '<!doctype html><html lang="en"><title>A page</title><main><h1>A page</h1></main>'),
    "/script": (200, "text/html", '<!doctype html><script src="script.js"></script>'),
    "/gone": (404, "text/html", "not here"),
    "/broken": (503, "text/html", "not now"),
}


@contextmanager
def serving(html: str = "", *, script: str = "") -> Iterator[str]:
    """Serve a page with ``html`` in it and the policy of our pages, and a script that it may load."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, content = PATHS.get(self.path, (204, "text/plain", ""))
            if self.path == "/":
                content += html
            if self.path == "/script.js":
                status, kind, content = 200, "text/javascript", script
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Security-Policy", "default-src 'self'")
            self.end_headers()
            self.wfile.write(content.encode())

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A browser that goes elsewhere meanwhile is no error."""

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def problems(browser: Browser, origin: str, path: str = "/", **options: object) -> list[str]:
    context = browser.new_context()
    watch = Watch(context, origin=origin, **options)
    context.new_page().goto(origin + path)
    watch.close()
    return watch.problems


def has_problem(browser: Browser, origin: str, path: str, problem: str) -> bool:
    """Return whether a problem that begins so is noticed before long."""
    context = browser.new_context()
    watch = Watch(context, origin=origin)
    page = context.new_page()
    page.goto(origin + path)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and not any(said.startswith(problem) for said in watch.problems):
        page.wait_for_timeout(20)
    watch.close()
    return any(said.startswith(problem) for said in watch.problems)


def test_a_page_that_does_nothing_of_it_has_no_problem(browser: Browser) -> None:
    with serving("<p>All is well.</p>", script="console.info('well')") as origin:
        assert problems(browser, origin) == []
        assert problems(browser, origin, "/script") == []


@pytest.mark.parametrize(
    ("html", "problem"),
    [
        ("<script>1</script>", "policy violation: script-src-elem inline"),
        ('<p style="color: red">red</p>', "policy violation: style-src-attr inline"),
        ('<button onclick="1" autofocus>go</button>', "policy violation: script-src-attr inline"),
        ('<img alt="" src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">', "policy violation: img-src data"),
        ('<img alt="" src="http://127.0.0.2/pixel.gif">', "policy violation: img-src http://127.0.0.2/pixel.gif"),
    ],
)
def test_what_the_policy_forbids_is_noticed(browser: Browser, html: str, problem: str) -> None:
    with serving(html) as origin:
        assert has_problem(browser, origin, "/", problem)


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("alert('hello')", "alert dialog: hello"),
        ("console.warn('careful')", "console warning: careful"),
        ("console.error('wrong')", "console error: wrong"),
        ("undefined.name", "script failed: "),
        ("Promise.reject(new Error('late'))", "script failed: "),
        ("location = 'http://127.0.0.2:9/'", "request to another origin: GET http://127.0.0.2:9/"),
        ("open('http://127.0.0.2:9/')", "request to another origin: GET http://127.0.0.2:9/"),
        ("fetch('gone')", "console error: Failed to load resource: the server responded with a status of 404"),
    ],
)
def test_what_a_script_does_is_noticed(browser: Browser, script: str, problem: str) -> None:
    with serving(script=script) as origin:
        assert has_problem(browser, origin, "/script", problem)


def test_an_error_is_noticed_unless_it_is_expected(browser: Browser) -> None:
    with serving() as origin:
        assert problems(browser, origin, "/broken")[0].startswith("answer 503")
        assert problems(browser, origin, "/broken", expected_statuses={503}) == []
        assert problems(browser, origin, "/gone", expected_statuses={404}) == []


def test_axe_sees_the_page_through_its_policy(browser: Browser) -> None:
    with serving('<img src="a.png"><button></button>') as origin:
        context = browser.new_context()
        watch = Watch(context, origin=origin)
        page = context.new_page()
        page.goto(origin)

        found = {violation.partition(":")[0] for violation in axe_violations(page)}
        watch.close()

    assert {"image-alt", "button-name"} <= found
    assert watch.problems == []
