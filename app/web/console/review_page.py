"""The page of review: tickets one by one, and those of a filter; what it answers is in ``review_answers``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from app.web.api.store_access import store_of
from app.web.console.page import PageRequest, action, page
from app.web.console.review_options import ReviewOptions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.responses import Response
    from starlette.routing import Route

REVIEW_PATH: Final = "/console/review"
# Beside the page, and not below it: what is answered without a script has the addresses of a page.
REVIEW_ACTIONS: Final = (
    "judge",
    "skip",
    "next",
    "keep",
    "take-back",
    "accept",
    "take-all-back",
)


class ReviewPage:
    """Lets people judge what waits for them; without ``keeps_text`` no text is recorded with a judgement."""

    def __init__(self, *, keeps_text: bool) -> None:
        self._options = ReviewOptions(keeps_text=keeps_text)

    def routes(self) -> list[Route]:
        return [
            page(REVIEW_PATH, self._answer("show")),
            *(action(f"{REVIEW_PATH}-{name}", self._answer(name)) for name in REVIEW_ACTIONS),
        ]

    def _answer(self, name: str) -> Callable[[PageRequest], Awaitable[Response]]:
        async def answer(request: PageRequest) -> Response:
            store_of(request.state)
            # With the store off, its packages stay away.
            from app.web.console.review_answers import ANSWERS  # noqa: PLC0415

            return await ANSWERS[name](request, self._options)

        return answer
