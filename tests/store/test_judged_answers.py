"""What people judged of a model's answers, on either database: whom was asked, the latest judgement, and all counts."""

import contextlib
from collections.abc import Iterator

import pytest
from sqlalchemy import update

from app.store.database import Database
from app.store.judged_answers import AnswerCount, Answered, JudgedAnswer, count_answers, read_judged_answers
from app.store.tables import answers
from tests.store.judged import DIGEST, JudgedStore, Said

LOW, HIGH = Said("Low", 0.7004, "suggest"), Said("High", 0.95)


@pytest.fixture
def store(store_url: str) -> Iterator[JudgedStore]:
    with contextlib.closing(JudgedStore(store_url)) as store:
        yield store


def judged(store: JudgedStore) -> list[JudgedAnswer]:
    with contextlib.closing(Database(store.url)) as database:
        return read_judged_answers(database, DIGEST)


def counted(store: JudgedStore) -> list[AnswerCount]:
    with contextlib.closing(Database(store.url)) as database:
        return sorted(count_answers(database, DIGEST), key=lambda count: count.answered.confidence)


def answer_and_judge(
    store: JudgedStore, said: Said, label: str, *, chance: float | None = 1.0, source: str = "review", **more: bool
) -> str:
    prediction_id = store.predict({"priority": said}, asked_chance=chance or 0.05)
    store.judge(
        {"priority": label},
        prediction_id=prediction_id,
        said={"priority": said},
        asked_chance=chance,
        source=source,
        **more,
    )
    return prediction_id


def test_an_answer_is_right_when_the_latest_judgement_says_so(store: JudgedStore) -> None:
    one = answer_and_judge(store, LOW, "High")
    store.judge({"priority": "Low"}, prediction_id=one, said={"priority": LOW}, asked_chance=1.0)
    two = answer_and_judge(store, HIGH, "High", chance=0.05)
    store.judge({"priority": "Low"}, prediction_id=two, said={"priority": HIGH}, asked_chance=0.05, source="helpdesk")

    assert judged(store) == [
        JudgedAnswer(Answered("priority", "Low", "suggest", is_certain=True, confidence=0.7004), 1.0, is_right=True),
        JudgedAnswer(Answered("priority", "High", "auto", is_certain=False, confidence=0.95), 0.05, is_right=False),
    ]


def test_only_those_that_people_were_asked_about_stand_for_others(store: JudgedStore) -> None:
    answer_and_judge(store, HIGH, "Low", source="helpdesk")
    answer_and_judge(store, HIGH, "Low", chance=None)
    answer_and_judge(store, HIGH, "Low", taken_back=True)
    answer_and_judge(store, HIGH, "Low", accepted_together=True)

    assert judged(store) == []


def test_answers_of_another_model_and_those_that_no_threshold_could_let_act_are_left_out(store: JudgedStore) -> None:
    other = JudgedStore(store.url, digest="ba9876543210")
    answer_and_judge(other, HIGH, "High")
    ambiguous = answer_and_judge(store, LOW, "Low")
    with contextlib.closing(Database(store.url)) as database, database.writing() as connection:
        connection.execute(
            update(answers)
            .where(answers.c.prediction_id == ambiguous)
            .values(reasons='["below_threshold", "ambiguous"]')
        )
    answer_and_judge(store, LOW, "Low")
    other.close()

    assert len(judged(store)) == 1
    assert [count.n_answers for count in counted(store)] == [1]


def test_every_answer_is_counted_by_what_tells_it_apart(store: JudgedStore) -> None:
    for said, chance in [(LOW, 1.0), (LOW, 1.0), (HIGH, 0.05), (HIGH, 0.05), (HIGH, 1.0)]:
        store.predict({"priority": said}, asked_chance=chance)

    assert counted(store) == [
        AnswerCount(Answered("priority", "Low", "suggest", is_certain=True, confidence=0.7), 2),
        *sorted(
            [
                AnswerCount(Answered("priority", "High", "auto", is_certain=False, confidence=0.95), 2),
                AnswerCount(Answered("priority", "High", "auto", is_certain=True, confidence=0.95), 1),
            ],
            key=lambda count: counted(store).index(count),
        ),
    ]
