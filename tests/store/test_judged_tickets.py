"""What people said, read back from either database: the latest judgement of each head, of tickets with a text."""

import contextlib
from collections.abc import Iterator

import pytest

from app.store.database import Database, StoreUnavailableError
from app.store.existing import NoStoreError, existing_store
from app.store.judged_tickets import JudgedTicket, read_judged_tickets
from tests.processes import free_port
from tests.store.judged import JudgedStore, Said


@pytest.fixture
def store(store_url: str) -> Iterator[JudgedStore]:
    with contextlib.closing(JudgedStore(store_url)) as store:
        yield store


def read(store: JudgedStore) -> list[JudgedTicket]:
    with existing_store(store.url) as database:
        return list(read_judged_tickets(database))


def labels(ticket: JudgedTicket) -> dict[str, str]:
    return {head: judgement.label for head, judgement in ticket.judgements.items()}


def test_the_latest_judgement_of_each_head_counts(store: JudgedStore) -> None:
    said = {"priority": Said("Low", 0.7, "suggest"), "department": Said("Sales", 0.99)}
    one = store.predict(said, title="down", description="all", ticket_id="T-1")
    store.judge({"priority": "High", "department": "Tech"}, prediction_id=one, said=said, title="down", ticket_id="T-1")
    last = store.judge({"priority": "Urgent"}, prediction_id=one, said=said, title="down", source="helpdesk")

    (ticket,) = read(store)

    assert labels(ticket) == {"priority": "Urgent", "department": "Tech"}
    priority = ticket.judgements["priority"]
    assert (priority.feedback_id, priority.source) == (last, "helpdesk")
    assert (priority.predicted_label, priority.predicted_decision, priority.confidence) == ("Low", "suggest", 0.7)


def test_what_was_taken_back_counts_no_more(store: JudgedStore) -> None:
    one = store.predict({"priority": Said("Low")}, title="down")
    store.judge({"priority": "High"}, prediction_id=one, title="down")
    store.judge({"priority": "Urgent"}, prediction_id=one, title="down", taken_back=True)
    store.judge({"priority": "Urgent"}, title="only taken back", taken_back=True)

    assert [labels(ticket) for ticket in read(store)] == [{"priority": "High"}]


def test_what_nobody_read_counts_for_nothing(store: JudgedStore) -> None:
    read_once, not_read = (store.predict({"priority": Said("Low")}, title=title) for title in ("down", "up"))
    store.judge({"priority": "High"}, prediction_id=read_once, title="down")
    for prediction_id in (read_once, not_read):
        store.judge({"priority": "Low"}, prediction_id=prediction_id, title="down", accepted_together=True)

    assert [labels(ticket) for ticket in read(store)] == [{"priority": "High"}]


def test_tickets_whose_text_is_not_kept_are_left_out(store: JudgedStore) -> None:
    store.judge({"priority": "High"}, prediction_id=store.predict({"priority": Said("Low")}))
    store.judge({"priority": "High"}, ticket_id="T-9")
    store.judge({"priority": "Low"}, title="", description="only a description")

    assert [(ticket.title, ticket.description) for ticket in read(store)] == [("", "only a description")]


def test_a_judgement_without_a_text_still_corrects_the_one_before_it(store: JudgedStore) -> None:
    one = store.predict({"priority": Said("Low")}, title="down")
    store.judge({"priority": "High"}, prediction_id=one, title="down", description="all")
    store.judge({"priority": "Urgent"}, prediction_id=one)

    (ticket,) = read(store)

    assert (ticket.title, ticket.description, labels(ticket)) == ("down", "all", {"priority": "Urgent"})


def test_judgements_outlive_their_predictions_without_the_confidence(store: JudgedStore) -> None:
    said = {"priority": Said("Low", 0.6, "review")}
    store.judge({"priority": "High"}, prediction_id="gone", said=said, title="down", asked_chance=1.0, is_audit=False)

    judgement = read(store)[0].judgements["priority"]

    assert (judgement.confidence, judgement.predicted_label, judgement.asked_chance) == (None, "Low", 1.0)


def test_tickets_that_a_team_brings_along_are_told_apart_by_their_own_ids(store: JudgedStore) -> None:
    store.judge({"priority": "High"}, title="a", ticket_id="T-1")
    store.judge({"priority": "Low"}, title="b", ticket_id="T-2")
    store.judge({"priority": "Low"}, title="c")
    store.judge({"priority": "Low"}, title="c")
    store.judge({"priority": "Low"}, title="a", ticket_id="T-1")

    assert [(ticket.title, labels(ticket)["priority"]) for ticket in read(store)] == [
        ("a", "Low"), ("b", "Low"), ("c", "Low"), ("c", "Low"),
    ]  # fmt: skip


def test_a_store_that_is_not_there_is_not_made(tmp_path: object) -> None:
    path = f"{tmp_path}/store.db"

    with pytest.raises(NoStoreError, match=r'no store at ".*store.db"'), existing_store(f"sqlite:///{path}"):
        pass
    with pytest.raises(NoStoreError, match="off"), existing_store("off"):
        pass
    with pytest.raises(NoStoreError, match="none of sqlite:///FILE"), existing_store("mysql://x:secret@y/z"):
        pass
    with pytest.raises(NoStoreError, match="no store"), existing_store(f"sqlite:///{path}"):
        pass


def test_a_database_without_the_tables_is_no_store(store_url: str) -> None:
    with contextlib.closing(Database(store_url)) as database, database.reading():
        pass

    with pytest.raises(NoStoreError, match=r"python -m app\.store upgrade"), existing_store(store_url):
        pass


def test_a_server_that_does_not_answer_is_said_without_the_password() -> None:
    url = f"postgresql://somebody:hunter2@127.0.0.1:{free_port()}/store"

    with pytest.raises(StoreUnavailableError, match="the store cannot be used") as caught, existing_store(url):
        pass

    assert "hunter2" not in str(caught.value)
