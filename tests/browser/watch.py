"""Keeps an eye on what a browser does with a page, and says what a page of ours must never do."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, ConsoleMessage, Dialog, Request, Response, WebError

_SERVER_ERROR = 500
_BINDING = "reportPolicyViolation"
_REPORT_VIOLATIONS = f"""
addEventListener("securitypolicyviolation", (event) => {{
  {_BINDING}(`${{event.effectiveDirective}} ${{event.blockedURI}} ${{event.sample}}`);
}}, true);
"""
_FAILED_RESOURCE = re.compile(r"Failed to load resource: the server responded with a status of (\d+)")


class Watch:
    """Collects ``problems`` of all pages of a browser's context that show what ``origin`` serves.

    A problem is a request to anybody else, an answer of 500 or above, a warning or an error in the console, a script
    that fails, a dialog, or anything that the page's policy forbids. The console also tells of answers of 400 and
    above: those are no problem while they are among ``expected_statuses``.
    """

    def __init__(self, context: BrowserContext, *, origin: str, expected_statuses: Collection[int] = ()) -> None:
        self.problems: list[str] = []
        self._origin = urlsplit(origin).netloc
        self._expected_statuses = expected_statuses
        self._context = context
        context.expose_binding(_BINDING, lambda _, said: self.problems.append(f"policy violation: {said}"))
        context.add_init_script(_REPORT_VIOLATIONS)
        context.on("request", self._on_request)
        context.on("response", self._on_response)
        context.on("console", self._on_console)
        context.on("weberror", self._on_error)
        context.on("dialog", self._on_dialog)

    def close(self) -> None:
        """Let the browser tell all that has happened until now, and close its pages."""
        for page in self._context.pages:
            # What the page before has said arrives before this one; a page that may run no script answers nothing else.
            page.goto("about:blank")
        self._context.close()

    def _on_request(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.netloc != self._origin and address.scheme not in {"about", "blob"}:
            self.problems.append(f"request to another origin: {request.method} {request.url[:200]}")

    def _on_response(self, response: Response) -> None:
        if response.status >= _SERVER_ERROR and response.status not in self._expected_statuses:
            self.problems.append(f"answer {response.status}: {response.request.method} {response.url}")

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type not in {"error", "warning"}:
            return
        if message.location["url"].endswith("/favicon.ico"):
            # The browser asks for it by itself, for what names no picture, such as JSON and reports.
            return
        failed = _FAILED_RESOURCE.match(message.text)
        if failed is None or int(failed[1]) not in self._expected_statuses:
            self.problems.append(f"console {message.type}: {message.text} ({message.location['url']})")

    def _on_error(self, error: WebError) -> None:
        self.problems.append(f"script failed: {error.error}")

    def _on_dialog(self, dialog: Dialog) -> None:
        self.problems.append(f"{dialog.type} dialog: {dialog.message}")
        dialog.dismiss()
