"""The page to try tickets on: answers with their reasons, words with their colours, and nothing kept of it."""

from __future__ import annotations

import re
from html import unescape

import pytest

from app.keys import hash_key
from app.models.classifier import TicketClassifier
from app.web.console.try_page import TRY_MAX_BODY_BYTES
from app.web.console.try_shown import Piece, shown_answer
from tests.browsing import Browser
from tests.conftest import StartService
from tests.in_process import Service
from tests.processes import ROOT

FRAGMENT = {"X-Fragment": "1"}
TICKET = {"title": "Server is down", "description": "Main server offline, all users impacted"}
MARK = re.compile(r'<mark class="(for|against) step-([123])">([^<]*)</mark>')


@pytest.fixture
def here(service: Service) -> Browser:
    browser = Browser(service, peer=("127.0.0.1", 5000))
    browser.get("try")
    return browser


@pytest.fixture(scope="module")
def classifier() -> TicketClassifier:
    return TicketClassifier.load(ROOT / "models" / "v1.0.0")


def marked(text: str) -> str:
    """Return the coloured text without its colours, as people read it."""
    blocks = re.findall(r'<p class="ticket-text[^>]*>(.*?)</p>', text, re.DOTALL)
    return unescape(re.sub(r"</?mark[^>]*>", "", "\n".join(blocks)))


def test_at_first_the_form_is_empty_and_has_examples(here: Browser) -> None:
    page = here.get("try")
    assert page.status_code == 200
    assert page.text.count('name="example"') == 3
    assert "What would be answered?" in page.text
    assert "<article" not in page.text


@pytest.mark.parametrize("headers", [{}, FRAGMENT])
def test_a_ticket_is_answered_as_classify_answers_it_as_a_page_and_as_a_part_of_one(
    service: Service, here: Browser, headers: dict[str, str]
) -> None:
    answers = service.classify(TICKET).json()["predictions"]

    response = here.post("try", TICKET, headers)

    assert response.status_code == 200
    assert response.text.startswith("<!doctype html>") != bool(headers)
    assert ('value="Server is down"' in response.text) != bool(headers)
    labels = re.findall(r"<h2><bdi>([^<]*)</bdi></h2>", response.text)
    assert labels == [answer["label"] for answer in answers.values()]
    for answer in answers.values():
        others = [other["label"] for other in answer["alternatives"]]
        assert all(f"Why not “<bdi>{label}</bdi>”?" in response.text for label in others)


def test_the_text_is_shown_whole_with_its_words_coloured(here: Browser) -> None:
    text = here.post("try", TICKET, FRAGMENT).text
    assert marked(text).split("\n") == [TICKET["title"], TICKET["description"]] * 2
    # "word" is that of the legend.
    words = {word.lower() for _, _, word in MARK.findall(text)} - {"word"}
    assert words
    assert words <= {"server", "down", "main", "offline", "users"}
    # The loudest word of each head has every step.
    assert sum(step == "3" for _, step, _ in MARK.findall(text)) >= 2


def test_an_example_is_filled_in_and_answered_without_a_script(here: Browser) -> None:
    response = here.post("try", {"title": "", "description": "", "example": "1"})
    assert 'value="Charged twice in October"' in response.text
    assert "<article" in response.text


@pytest.mark.parametrize("example", ["3", "-1", "x", "²", "11"])
def test_what_is_no_example_is_no_error(here: Browser, example: str) -> None:
    response = here.post("try", {"title": " ", "description": "", "example": example})
    assert response.status_code == 200
    assert "What would be answered?" in response.text


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script> server",
        "{{7*7}} {% raw %} down",
        '"><img src=x onerror=alert(1)> users',
        "‮server‬ مرحبا שלום down",  # noqa: PLE2502 - text that turns around is what is tested
    ],
)
def test_hostile_text_is_shown_as_text(here: Browser, text: str) -> None:
    response = here.post("try", {"title": text, "description": text})
    assert response.status_code == 200
    assert marked(response.text) == "\n".join([text] * 4)
    assert "<script>" not in response.text
    assert "<img src=x" not in response.text
    assert "49" not in marked(response.text)


def test_the_longest_ticket_is_answered_with_a_bounded_number_of_elements(here: Browser) -> None:
    for text in ("server down " * 1_666, "\U0001f600 " * 10_000, "<b>" * 6_666):
        response = here.post("try", {"title": "é" * 300, "description": text[:20_000]}, FRAGMENT)
        assert response.status_code == 200
        assert response.text.count("<") < 1_600 + response.text.count("&lt;")
    too_long = here.post("try", {"title": "", "description": "x" * 20_001}, FRAGMENT)
    assert too_long.status_code == 422
    assert "must have at most 20000 characters" in too_long.text
    assert here.post("try", {"description": "x" * TRY_MAX_BODY_BYTES}, FRAGMENT).status_code == 413


def test_nothing_is_counted_or_kept_of_it(start_service: StartService, store_url: str) -> None:
    service = start_service(store_url=store_url)
    here = Browser(service, peer=("127.0.0.1", 5000))
    here.get("try")
    before = service.request("GET", "/model/drift").json()["n_tickets"]
    assert here.post("try", TICKET).status_code == 200
    assert service.request("GET", "/model/drift").json()["n_tickets"] == before
    assert service.request("GET", "/review", peer=("127.0.0.1", 5000)).json()["items"] == []


def test_only_who_may_see_tickets_may_try_and_only_from_the_page_itself(start_service: StartService) -> None:
    service = start_service(reviewer_api_keys=(f"mia:{hash_key('mia-key')}",))
    stranger = Browser(service)
    assert stranger.get("try").headers["location"] == "sign-in?next=try"
    stranger.sign_in("mia-key")
    stranger.get("try")
    assert stranger.post("try", TICKET).status_code == 200
    assert stranger.post("try", TICKET, token="0" * 64).status_code == 403


def test_a_word_has_the_side_and_the_strength_of_what_it_adds(classifier: TicketClassifier) -> None:
    title, text = "Refund", "please refund the invoice, the server is fine"
    answer = shown_answer(title, text, classifier.explain(title, text, limit=1000), classifier)
    department = next(head for head in answer.heads if head.name == "department")
    steps = {piece.text.lower(): piece.step for piece in department.description if piece.step}
    assert department.label == "Billing"
    assert steps["refund"] > 0 > steps["server"]
    assert "".join(piece.text for piece in department.description) == text
    assert department.title == (Piece("", 0), Piece("Refund", steps["refund"]), Piece("", 0))


def test_where_the_ticket_lies_between_the_thresholds_is_said_in_words_too(here: Browser) -> None:
    text = here.post("try", TICKET, FRAGMENT).text
    said = re.findall(r'role="img" aria-label="([^"]*)"', text)
    assert len(said) == 2
    assert all(
        "is answered alone from 60\u202f%. It is suggested from 40\u202f%. This ticket is at " in one for one in said
    )


def test_without_a_model_it_says_that_nothing_can_be_answered(start_service: StartService, tmp_path: object) -> None:
    here = Browser(start_service(models_base_dir=str(tmp_path)), peer=("127.0.0.1", 5000))
    assert here.get("try").status_code == 200
    response = here.post("try", TICKET, FRAGMENT)
    assert response.status_code == 503
    assert 'data-error="model_not_loaded"' in response.text
