"""The page of quality: promises, checks and corrections in plain words, honest about what is not known."""

from __future__ import annotations

import hashlib
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import insert

from app.store.database import Database
from app.store.migration import upgrade
from app.store.tables import answer_counts, second_readings
from tests.browsing import Browser
from tests.feedback.judged import add_audits, let_promise
from tests.html_reader import Reader
from tests.store.judged import JudgedStore, Said
from tests.stored import id_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Service, StartService, WriteModel

HASHES = {key: hashlib.sha256(key.encode()).hexdigest() for key in ("mias-key", "admins-key")}
EVIL = "<script>alert(1)</script>{{7*7}}"
TODAY = int(time.time()) // 86_400


@pytest.fixture
def models(tmp_path: Path, write_model: WriteModel) -> Path:
    let_promise(write_model(tmp_path / "models", "1.0.0"))
    return tmp_path / "models"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[JudgedStore]:
    with closing(JudgedStore(f"sqlite:///{tmp_path / 'store.db'}")) as store:
        yield store


@pytest.fixture
def service(start_service: StartService, models: Path, store: JudgedStore) -> Service:
    return start_service(
        models_base_dir=str(models),
        store_url=store.url,
        reviewer_api_keys=(f"mia:{HASHES['mias-key']}",),
        admin_api_keys=(HASHES["admins-key"],),
    )


def browser_of(service: Service, key: str = "mias-key") -> Browser:
    browser = Browser(service)
    browser.sign_in(key)
    return browser


def shown(browser: Browser, query: str = "") -> str:
    """Return the text of the page, with one space between words."""
    response = browser.get(f"quality{query}")
    assert response.status_code == 200
    reader = Reader(response.text)
    assert not reader.open
    assert not [name for _, name, _ in reader.attributes if name == "style" or name.startswith("on")]
    return " ".join(" ".join(reader.text).replace("\u202f", " ").split())


def break_promise(service: Service, store: JudgedStore, label: str = "High") -> None:
    digest = service.state["registry"].current.classifier.digest
    with closing(Database(store.url)) as database:
        add_audits(database, digest, [False] * 20, label=label)


def correct(store: JudgedStore, *, title: str = "Printer on fire", answered: str = "High", given: str = "Low") -> None:
    said = {"priority": Said(answered, decision="suggest")}
    store.judge(
        {"priority": given}, prediction_id=store.predict(said), said=said, ticket_id="T-7", title=title, reviewer="mia"
    )


def count(store: JudgedStore, decision: str, n_answers: int, *, version: str = "1.0.0") -> None:
    row = {
        "day": TODAY, "model_version": version, "model_digest": "0123456789ab", "head": "priority", "label": "High",
        "decision": decision, "n_answers": n_answers,
    }  # fmt: skip
    with closing(Database(store.url)) as database, database.writing() as connection:
        connection.execute(insert(answer_counts), row)


def test_an_empty_store_is_said_to_know_nothing_yet(service: Service) -> None:
    text = shown(browser_of(service))

    assert "No answer was checked yet." in text
    assert "Nobody has corrected an answer" in text
    assert "No ticket was classified" in text
    assert "No ticket was judged by two people yet." in text


def test_a_correction_is_seen_at_once_with_who_made_it(service: Service, store: JudgedStore) -> None:
    correct(store)

    text = shown(browser_of(service))

    assert "Corrected last: Printer on fire , not High but Low , by mia," in text
    assert "Printer on fire T-7 priority High priority Low mia review" in text
    assert "People judged 1 ticket and changed the answer of 1. So few are no pattern yet." in text
    assert "This does not say how often answers are wrong" in text


def test_a_ticket_that_wants_to_be_html_is_text(service: Service, store: JudgedStore) -> None:
    correct(store, title=EVIL, answered=EVIL, given=f"{EVIL}!")

    assert EVIL in shown(browser_of(service))


def test_few_checks_are_said_to_be_too_few(service: Service, store: JudgedStore) -> None:
    digest = service.state["registry"].current.classifier.digest
    with closing(Database(store.url)) as database:
        add_audits(database, digest, [True, True, False])

    text = shown(browser_of(service))

    assert "3 checked answers are too few to say." in text
    assert "In the last four weeks 2 of 3 checked answers were right. 3 tickets are too few to say more." in text


def test_many_checks_are_said_with_what_they_tell_of_all_answers(service: Service, store: JudgedStore) -> None:
    digest = service.state["registry"].current.classifier.digest
    with closing(Database(store.url)) as database:
        add_audits(database, digest, [True] * 38 + [False] * 2)

    text = shown(browser_of(service))

    # Clopper and Pearson: 0.831 and 0.994.
    assert "In the last four weeks 38 of 40 checked answers were right: 95.0 %, so of all answers between" in text
    assert "between 83 % and 99 %" in text


def test_checks_of_one_label_are_shown_by_themselves(service: Service, store: JudgedStore) -> None:
    digest = service.state["registry"].current.classifier.digest
    with closing(Database(store.url)) as database:
        add_audits(database, digest, [True] * 30, label="High")
        add_audits(database, digest, [False] * 12, label="Low")

    assert "30 of 42 checked" in shown(browser_of(service))
    assert "0 of 12 checked" in shown(browser_of(service), "?head=priority&label=Low")


def test_what_became_of_tickets_is_shown_as_shares(service: Service, store: JudgedStore) -> None:
    count(store, "auto", 30)
    count(store, "review", 10)

    assert "75 % of 40 tickets" in shown(browser_of(service))


def test_answers_of_one_version_are_shown_by_themselves(service: Service, store: JudgedStore) -> None:
    count(store, "auto", 30)
    count(store, "review", 10, version="0.9.0")

    assert "75 % of 40 tickets" in shown(browser_of(service))
    assert "100 % of 30 tickets" in shown(browser_of(service), "?version=1.0.0")
    assert "75 % of 40 tickets" in shown(browser_of(service), "?version=never-there")


def test_a_broken_promise_says_what_the_service_does_about_it(service: Service, store: JudgedStore) -> None:
    break_promise(service, store)

    text = shown(browser_of(service))

    assert "Broken Too many checked answers were wrong." in text
    assert "only suggested now, and a person decides" in text
    assert "An admin can let it begin anew." in text


def test_a_keeper_that_only_observes_says_that_answers_go_out_as_before(
    start_service: StartService, models: Path, store: JudgedStore
) -> None:
    service = start_service(
        models_base_dir=str(models), store_url=store.url, promise_keeper="observe",
        reviewer_api_keys=(f"mia:{HASHES['mias-key']}",),
    )  # fmt: skip
    break_promise(service, store)

    text = shown(browser_of(service))

    assert "It is only shown here: answers go out as before." in text
    assert "Nobody can let it begin anew: the service has no key for admins" in text


def test_an_admin_lets_a_broken_promise_begin_anew_after_confirming_which(service: Service, store: JudgedStore) -> None:
    break_promise(service, store)
    admin = browser_of(service, "admins-key")
    assert "Let it begin anew" in shown(admin)

    asked = shown(admin, "?begin_anew=priority&of_label=High")
    done = admin.post("begin-anew", {"head": "priority", "label": "High"})

    assert "Let the promise of priority: High begin anew?" in asked
    assert done.status_code == 303
    text = shown(admin, done.headers["location"].removeprefix("quality"))
    assert "The promise priority: High begins anew" in text
    assert "Broken" not in text


def test_a_link_cannot_make_the_page_say_that_something_began_anew(service: Service, store: JudgedStore) -> None:
    break_promise(service, store)
    admin = browser_of(service, "admins-key")

    assert "begins anew" not in shown(admin, "?begun=Call+this+number")
    assert "begin anew?" not in shown(admin, "?begin_anew=Call+this&of_label=number")


def test_a_reviewer_cannot_let_a_promise_begin_anew(service: Service, store: JudgedStore) -> None:
    break_promise(service, store)
    reviewer = browser_of(service)

    assert "begin anew?" not in shown(reviewer, "?begin_anew=priority&of_label=High")
    assert reviewer.post("begin-anew", {"head": "priority", "label": "High"}).status_code == 403
    assert "Broken" in shown(reviewer)


def test_a_form_of_another_site_changes_nothing(service: Service, store: JudgedStore) -> None:
    break_promise(service, store)
    admin = browser_of(service, "admins-key")

    assert admin.post("begin-anew", {"head": "priority", "label": "High"}, token="made-up").status_code == 403
    assert "Broken" in shown(admin)


@pytest.mark.parametrize("label", ["Low", "no label", ""])
def test_a_promise_that_is_not_broken_does_not_begin_anew(service: Service, store: JudgedStore, label: str) -> None:
    break_promise(service, store)
    admin = browser_of(service, "admins-key")
    shown(admin)

    response = admin.post("begin-anew", {"head": "priority", "label": label})

    assert response.status_code == 422
    assert "is no broken promise" in response.text


def test_without_a_store_the_page_says_so_and_shows_drift(start_service: StartService) -> None:
    service = start_service(reviewer_api_keys=(f"mia:{HASHES['mias-key']}",))

    text = shown(browser_of(service))

    assert "keeps no answers and no corrections" in text
    assert "There is nothing to compare with" in text


def test_while_the_store_is_away_the_page_says_so(service: Service, store: JudgedStore) -> None:
    correct(store)
    browser = browser_of(service)
    shown(browser)
    service.state["store"]._reachable.clear()

    text = shown(browser)

    assert "The store cannot be reached now." in text
    assert "Printer on fire" not in text
    assert "Drift" in text


def test_nobody_sees_it_without_a_key(service: Service) -> None:
    response = Browser(service).get("quality")

    assert (response.status_code, response.headers["location"]) == (303, "sign-in?next=quality")


def test_answers_of_half_a_year_ago_are_left_out(service: Service, store: JudgedStore) -> None:
    digest = service.state["registry"].current.classifier.digest
    long_ago = id_of(int((time.time() - 190 * 86_400) * 1000))
    with closing(Database(store.url)) as database:
        add_audits(database, digest, [True], prediction_id=long_ago)

    assert "No answer was checked in the last 26 weeks." in shown(browser_of(service))


def test_how_far_two_people_agree_is_said_with_how_sure_that_is(service: Service, store: JudgedStore) -> None:
    said = {"priority": Said("High", decision="suggest")}
    with closing(Database(store.url)) as database:
        for i in range(10):
            one = store.predict(said)
            for reviewer, label in (("mia", "High"), ("jo", "Low" if i == 0 else "High")):
                store.judge({"priority": label}, prediction_id=one, said=said, reviewer=reviewer)
            row = {
                "prediction_id": one, "first_reviewer": "mia", "reviewer": "jo", "leased_until_ms": 0, "is_open": False,
            }  # fmt: skip
            with database.writing() as connection:
                connection.execute(insert(second_readings), row)

    text = shown(browser_of(service))

    # Clopper and Pearson: 0.555 and 0.997.
    assert "the same label for 9 of 10 tickets. That is 90 %, so of all tickets between 55 % and" in text


def test_the_page_has_a_picture_and_the_same_in_numbers(service: Service, store: JudgedStore) -> None:
    digest = service.state["registry"].current.classifier.digest
    with closing(Database(store.url)) as database:
        upgrade(database)
        add_audits(database, digest, [True] * 9 + [False])
    count(store, "auto", 3)
    browser = browser_of(service)

    pictures = [
        value for tag, name, value in Reader(browser.get("quality").text).attributes
        if tag == "svg" and name == "aria-label"
    ]  # fmt: skip

    assert len(pictures) == 2
    assert all(any(words in picture for picture in pictures) for words in ("9 of 10 right", "3 tickets, 100 %"))
    assert "The same in numbers" in shown(browser)
