"""The page to try tickets on: what would be answered and why, while one types. Nothing is counted or kept of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from app.web.api.classify import current_model
from app.web.api.explain import LONGEST_DESCRIPTION, LONGEST_TITLE, check_ticket, explain_in_thread, explain_ticket
from app.web.console.page import PageRequest, action, page
from app.web.console.try_shown import ShownAnswer, shown_answer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response
    from starlette.routing import Route

TRY_PATH: Final = "/console/try"
# A form writes a character in up to twelve bytes.
TRY_MAX_BODY_BYTES: Final = 12 * (LONGEST_TITLE + LONGEST_DESCRIPTION) + 4_096
# All that matter: the words are coloured by the sum of their terms.
_LISTED_TERMS: Final = 1_000

# Tickets to begin with, of our own.
_EXAMPLES: Final = (
    {
        "title": "Nobody can log in",
        "description": "Since this morning none of our 40 agents can sign in. The page says 'session expired'.\n"
        "Customers are waiting, please hurry!",
    },
    {
        "title": "Charged twice in October",
        "description": "Hello, our card was charged twice for the same invoice. Could you refund one of the payments?\n"
        "It is not urgent, but I'd like to close the books this month.",
    },
    {
        "title": "Question about the team plan",
        "description": "We are twelve people and might be twenty next year. What would the yearly price be,\n"
        "and can we change the plan later?",
    },
)


def try_routes() -> list[Route]:
    return [page(TRY_PATH, _show), action(TRY_PATH, _answer)]


async def _show(request: PageRequest) -> Response:
    return _rendered(request, {"title": "", "description": ""}, None)


async def _answer(request: PageRequest) -> Response:
    example = request.fields.get("example", "")
    if example.isdecimal() and len(example) == 1 and int(example) < len(_EXAMPLES):
        ticket = dict(_EXAMPLES[int(example)])
    else:
        ticket = {name: request.fields.get(name, "") for name in ("title", "description")}
    if not any(text.strip() for text in ticket.values()):
        return _rendered(request, ticket, None)
    return _rendered(request, ticket, await _explained(request, **ticket))


async def _explained(request: PageRequest, title: str, description: str) -> ShownAnswer:
    state = request.state
    model = current_model(state["registry"])
    check_ticket(title, description)

    def explained() -> ShownAnswer:
        explanation = explain_ticket(model, state, title, description, limit=_LISTED_TERMS)
        return shown_answer(title, description, explanation, model.classifier)

    return await explain_in_thread(model, state, len(title) + len(description), explained)


def _rendered(request: PageRequest, ticket: Mapping[str, str], answer: ShownAnswer | None) -> Response:
    return request.render(
        "try_answer.html" if request.wants_fragment else "try.html",
        ticket=ticket,
        answer=answer,
        examples=_EXAMPLES,
        max_title=LONGEST_TITLE,
        max_description=LONGEST_DESCRIPTION,
    )
