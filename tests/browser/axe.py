"""What axe-core finds on a page that keeps people from using it."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import CDPSession, Page


def axe_violations(page: Page) -> list[str]:
    """Return one line for each element that breaks a rule.

    axe-core sees the page from a world of its own: the page's policy, which forbids scripts of others, stays as it is.
    """
    session = page.context.new_cdp_session(page)
    try:
        frame_id = session.send("Page.getFrameTree")["frameTree"]["frame"]["id"]
        world = session.send("Page.createIsolatedWorld", {"frameId": frame_id, "worldName": "axe"})
        context_id = world["executionContextId"]
        _evaluate(session, context_id, files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8"))
        found = _evaluate(
            session, context_id, "axe.run(document, {resultTypes: ['violations']}).then(r => r.violations)"
        )
    finally:
        session.detach()
    return [
        f"{violation['id']}: {violation['help']}: {node['html']}: {node.get('failureSummary', '')}"
        for violation in found
        for node in violation["nodes"]
    ]


def _evaluate(session: CDPSession, context_id: int, expression: str) -> Any:  # noqa: ANN401 - whatever the script returns
    answer = session.send(
        "Runtime.evaluate",
        {"expression": expression, "contextId": context_id, "awaitPromise": True, "returnByValue": True},
    )
    assert "exceptionDetails" not in answer, answer["exceptionDetails"]
    return answer["result"].get("value")
