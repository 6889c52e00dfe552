"""Explanations: sums that are exact, spans that are where words were written, and flips that flip."""

import math
import re
import tracemalloc
import unicodedata
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.models.classifier import TicketClassifier
from app.models.decisions import DecisionPolicy, OperatingPoint
from app.models.explanation import Explanation, HeadExplanation, Term
from app.models.features import BlockSpec, FeatureSpec, terms_of, words_of
from app.models.model_data import Head, ModelData
from app.models.written_words import WrittenWords
from tests.models.conftest import LABELS

WORDS = ("server", "down", "can't", "pay", "invoice", "café", "straße", "users", "all", "refund", "half", "1")
TRAINING = (
    ("Server down", "all users of the server can't pay the invoice, the server is down"),
    ("Café invoice", "refund all of the invoice of the café in the straße, half of 1"),
)
SPECS = {
    "word 1": FeatureSpec((BlockSpec("word", 1, 1),)),
    "word 1-2 and char": FeatureSpec((BlockSpec("word", 1, 2), BlockSpec("char", 2, 4))),
    "word 1-3, title and char": FeatureSpec(
        (BlockSpec("word", 1, 3), BlockSpec("title", 1, 2), BlockSpec("char", 1, 3)), sublinear_tf=False
    ),
    "title and char": FeatureSpec((BlockSpec("title", 1, 1), BlockSpec("char", 3, 4))),
}


def make_classifier(spec: FeatureSpec, *, labels: Mapping[str, tuple[str, ...]] = LABELS) -> TicketClassifier:
    rng = np.random.default_rng(3)
    words = [words_of(*ticket) for ticket in TRAINING]
    terms = tuple(
        tuple(sorted({term for of_ticket in words for term in terms_of(of_ticket, block)})) for block in spec.blocks
    )
    n_features, n_outputs = sum(map(len, terms)), sum(map(len, labels.values()))
    heads = tuple(
        Head(
            name,
            of_head,
            tuple(rng.normal(0, 0.5, size=len(of_head)).tolist()),
            DecisionPolicy(dict.fromkeys(of_head, OperatingPoint(auto=0.7, suggest=0.5)), 0.1, 0.5),
        )
        for name, of_head in labels.items()
    )
    weights = rng.normal(0, 2, size=(n_features, n_outputs)).astype(np.float32)
    return TicketClassifier(ModelData(spec, terms, 1 + rng.random(n_features), weights, heads), {"version": "1.0.0"})


CLASSIFIERS = {name: make_classifier(spec) for name, spec in SPECS.items()}
MARKUP = "<b> </b> <!--server--> &amp; &eacute; caf&eacute; \u2019 ' ½ ﬁ server½ İ 日本語 😀 cafe\u0301 "
NOISE = (
    *MARKUP.split(),
    "unheard",
    "-",
    ">",
    ",",
    "SERVER",
    "Down!",
    "\n",
    "\n> quoted server\n",
    "\n-- \nJo",
    "x" * 60,
)
# A field that is nothing but quotes is kept, and a part of it need not be.
QUOTE = re.compile(r"^\s*[>|]", re.MULTILINE)
TEXT = st.lists(st.sampled_from(WORDS + NOISE), max_size=16).map(" ".join) | st.text(max_size=40)
PLAIN = st.lists(st.sampled_from([*WORDS, "unheard", "Server", "(down)"]), max_size=16).map(" ".join)


def explained(blocks: str, title: str, text: str, **options: object) -> Explanation:
    return CLASSIFIERS[blocks].explain(title, text, **options)


def total(head: HeadExplanation, label: str) -> float:
    return math.fsum([head.bias[label], head.remaining[label], *(term.contributions[label] for term in head.terms)])


@pytest.mark.parametrize("blocks", CLASSIFIERS)
@given(title=TEXT, text=TEXT, limit=st.sampled_from([1, 3, 50]))
def test_bias_terms_and_what_remains_add_up_to_the_logits_of_the_probabilities(
    blocks: str, title: str, text: str, limit: int
) -> None:
    probabilities = CLASSIFIERS[blocks].predict_proba([title], [text])
    for name, head in explained(blocks, title, text, limit=limit, with_flips=False).heads.items():
        labels = CLASSIFIERS[blocks].labels(name)
        logits = np.array([head.logits[label] for label in labels])
        assert len(head.terms) <= limit
        assert [total(head, label) for label in labels] == pytest.approx(logits, abs=1e-9)
        assert (np.exp(logits) / np.exp(logits).sum()).tolist() == pytest.approx(probabilities[name][0], abs=1e-9)


@pytest.mark.parametrize("blocks", CLASSIFIERS)
@given(title=TEXT, text=TEXT)
def test_label_confidence_decision_and_reasons_are_those_of_a_prediction(blocks: str, title: str, text: str) -> None:
    prediction = CLASSIFIERS[blocks].predict(title, text)
    for name, head in explained(blocks, title, text, with_flips=False).heads.items():
        answer = prediction.heads[name]
        assert (head.label, head.confidence) == (answer.label, answer.confidence)
        assert (head.decision, head.reasons) == (answer.decision, answer.reasons)


@pytest.mark.parametrize("blocks", CLASSIFIERS)
@given(title=TEXT, text=TEXT)
def test_all_terms_are_listed_once_each_with_as_many_as_the_ticket_has(blocks: str, title: str, text: str) -> None:
    words = words_of(title, text)
    known = {
        (block.kind, term)
        for block in SPECS[blocks].blocks
        for term in set(terms_of(words, block)) & {t for ticket in TRAINING for t in terms_of(words_of(*ticket), block)}
    }
    head = explained(blocks, title, text, limit=1000, with_flips=False).heads["priority"]
    assert sorted((term.kind, term.term) for term in head.terms) == sorted(known)
    assert set(head.remaining.values()) == {0.0}


@pytest.mark.parametrize("blocks", CLASSIFIERS)
@given(title=TEXT, text=TEXT)
def test_spans_lie_in_the_fields_and_hold_the_words_of_their_terms(blocks: str, title: str, text: str) -> None:
    fields = {"title": title, "description": text}
    for term in explained(blocks, title, text, limit=1000, with_flips=False).heads["priority"].terms:
        for span in term.spans:
            assert 0 <= span.start < span.end <= len(fields[span.field])
            assert term.kind != "title" or span.field == "title"
        if not QUOTE.search(title + "\n" + text):
            assert term.term.strip() in cleaned_again(term, fields)


def cleaned_again(term: Term, fields: Mapping[str, str]) -> str:
    """Return the words of what the spans of a term show; each word of it is in one of them."""
    # Alone, one character that becomes many is left as it is.
    shown = [unicodedata.normalize("NFKC", fields[span.field][span.start : span.end]) for span in term.spans]
    words = " ".join(word for text in shown for word in words_of("", text).all)
    return words if shown else term.term.strip()


@pytest.mark.parametrize("blocks", CLASSIFIERS)
@given(title=PLAIN, text=PLAIN)
def test_in_plain_text_each_span_cleaned_again_is_its_term(blocks: str, title: str, text: str) -> None:
    fields = {"title": title, "description": text}
    for term in explained(blocks, title, text, limit=1000, with_flips=False).heads["priority"].terms:
        shown = [" ".join(words_of("", fields[s.field][s.start : s.end]).all) for s in term.spans]
        if term.kind == "char":
            assert set(shown) <= {term.term.strip()}
        else:
            # Several words may begin in the title and end in the description.
            words = term.term.split(" ")
            assert {tuple(text.split(" ")) for text in shown} <= {
                tuple(words[start:end]) for start in range(len(words)) for end in range(start + 1, len(words) + 1)
            }
            assert " ".join(shown[: len(words)]).startswith(term.term)


@pytest.mark.parametrize(
    ("title", "text", "term", "shown"),
    [
        ("Server down", "", "server down", [("title", "Server down")]),
        ("Server", "down", "server down", [("title", "Server"), ("description", "down")]),
        ("", "server <br> down", "server down", [("description", "server"), ("description", "down")]),
        ("", "server,\n(down)", "server down", [("description", "server,\n(down")]),
        ("", "server\n> is it?\ndown", "server down", [("description", "server"), ("description", "down")]),
        ("", "I Can\u2019t", "cant", [("description", "Can\u2019t")]),
        ("", "the <i>CAF&eacute;</i>", "café", [("description", "CAF&eacute;")]),
        ("server", "server down server", "server", [("title", "server"), *[("description", "server")] * 2]),
    ],
)
def test_a_term_is_shown_where_it_was_written(title: str, text: str, term: str, shown: list[tuple[str, str]]) -> None:
    fields = {"title": title, "description": text}
    terms = explained("word 1-2 and char", title, text, limit=1000).heads["priority"].terms
    (found,) = (candidate for candidate in terms if candidate.term == term and candidate.kind == "word")
    assert [(span.field, fields[span.field][span.start : span.end]) for span in found.spans] == shown


def test_characters_are_shown_in_their_words_without_what_pads_them() -> None:
    terms = explained("word 1-2 and char", "", "A <b>Server</b> of mine", limit=1000).heads["priority"].terms
    spans = {term.term: term.spans for term in terms if term.kind == "char"}
    assert [(span.start, span.end) for span in spans[" ser"]] == [(5, 8)]
    assert [(span.start, span.end) for span in spans["er"]] == [(6, 8), (9, 11)]


@pytest.mark.parametrize("blocks", CLASSIFIERS)
@given(title=TEXT, text=TEXT)
def test_without_the_words_that_would_flip_it_the_answer_is_the_other_label(blocks: str, title: str, text: str) -> None:
    classifier = CLASSIFIERS[blocks]
    for name, head in explained(blocks, title, text).heads.items():
        assert head.label not in {versus.label for versus in head.versus}
        for versus in head.versus:
            if versus.would_flip is not None:
                assert 1 <= len(versus.would_flip) <= 10
                words = words_of(title, text)
                left = [word for word in words.all if word not in versus.would_flip]
                assert left
                assert classifier.predict(*without(title, text, versus.would_flip)).heads[name].label == versus.label


def without(title: str, text: str, words: tuple[str, ...]) -> tuple[str, str]:
    """Take ``words`` out of a ticket by what an explanation of everything shows."""
    return WrittenWords(title, text).without(words)


@pytest.mark.parametrize("blocks", CLASSIFIERS)
@given(title=PLAIN, text=PLAIN)
def test_in_plain_text_the_flip_is_that_of_the_words_that_are_left(blocks: str, title: str, text: str) -> None:
    for name, head in explained(blocks, title, text).heads.items():
        for versus in head.versus:
            if versus.would_flip is not None:
                left = (
                    " ".join(word for word in words_of(field, "").all if word not in versus.would_flip)
                    for field in (title, text)
                )
                assert CLASSIFIERS[blocks].predict(*left).heads[name].label == versus.label


def test_other_labels_come_the_most_probable_first_or_only_the_one_that_was_asked_for() -> None:
    classifier = CLASSIFIERS["word 1-2 and char"]
    head = classifier.explain("Server down", "users").heads["priority"]
    others = sorted((label for label in head.logits if label != head.label), key=head.logits.__getitem__, reverse=True)
    assert [versus.label for versus in head.versus] == others
    asked = classifier.explain("Server down", "users", versus=others[-1]).heads
    assert [versus.label for versus in asked["priority"].versus] == [others[-1]]
    assert asked["department"].versus == ()


def test_a_label_that_no_head_has_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"^versus is 'Nowhere', which no head has: priority, department$"):
        CLASSIFIERS["word 1"].explain("server", versus="Nowhere")


def test_what_speaks_for_and_against_is_what_adds_more_and_less_to_the_answer() -> None:
    head = explained("word 1-2 and char", "Server down", "all users can't pay, café in the straße").heads["priority"]
    for versus in head.versus:
        leads = [term.contributions[head.label] - term.contributions[versus.label] for term in head.terms]
        by_lead = sorted(range(len(leads)), key=leads.__getitem__)
        assert list(versus.speak_against) == [i for i in by_lead[:10] if leads[i] < 0]
        assert [leads[i] for i in versus.speak_for] == sorted((x for x in leads if x > 0), reverse=True)[:10]


@pytest.mark.parametrize(
    ("metadata", "is_seen"),
    [({"split": {"n_tickets": 9}}, [False, True]), ({"split": {}}, [True, True]), ({}, [True, True])],
)
def test_a_term_of_no_training_ticket_is_told_by_its_idf_where_the_metadata_has_their_number(
    metadata: dict[str, object], is_seen: list[bool]
) -> None:
    policy = DecisionPolicy(dict.fromkeys(("no", "yes"), OperatingPoint(None, None)), 0.1, 0.5)
    idf = np.log(10 / (1 + np.array([0, 1]))) + 1
    model = ModelData(
        FeatureSpec((BlockSpec("word", 1, 1),)),
        (("never", "once"),),
        idf,
        np.eye(2, dtype=np.float32) * [[2], [1]],
        (Head("h", ("no", "yes"), (0.0, 0.0), policy),),
    )
    head = TicketClassifier(model, {"version": "1.0.0", **metadata}).explain("never once").heads["h"]
    assert [(term.term, term.seen_in_training) for term in head.terms] == list(
        zip(["never", "once"], is_seen, strict=True)
    )


def test_more_than_fifty_labels_share_fifty_scorings() -> None:
    labels = tuple(f"topic {i}" for i in range(70))
    classifier = make_classifier(SPECS["word 1-2 and char"], labels={"topic": labels})
    head = classifier.explain("Server down", "all users can't pay the invoice of the café in the straße").heads["topic"]
    assert len(head.versus) == 69
    assert any(versus.would_flip for versus in head.versus)


@given(title=TEXT, text=TEXT)
def test_a_summary_is_one_sentence_with_the_label(title: str, text: str) -> None:
    for head in explained("word 1-2 and char", title, text, with_flips=False).heads.values():
        assert head.summary.startswith(f"“{head.label}” with ")
        assert head.summary.endswith(".")
        assert head.summary.count(". ") == 0


def test_what_is_no_text_is_a_type_error_that_says_what_is_expected() -> None:
    with pytest.raises(TypeError, match=r"^description is NoneType: expected a string, empty if there is none$"):
        CLASSIFIERS["word 1"].explain("server", None)


def test_a_long_ticket_and_many_labels_take_no_more_memory_than_scoring_a_few_times() -> None:
    words = [
        f"{first}{second}{third}" for first in "bcdfghjklmnp" for second in "aeiou" for third in "bcdfghjklmnpqrstvwxz"
    ]
    labels = tuple(f"Label {number}" for number in range(200))
    spec = FeatureSpec((BlockSpec("word", 1, 1),))
    rng = np.random.default_rng(5)
    points = dict.fromkeys(labels, OperatingPoint(auto=0.7, suggest=0.5))
    head = Head("topic", labels, (0.0,) * len(labels), DecisionPolicy(points, 0.1, 0.5))
    weights = rng.normal(0, 2, size=(len(words), len(labels))).astype(np.float32)
    terms = (tuple(sorted(words)),)
    classifier = TicketClassifier(
        ModelData(spec, terms, 1 + rng.random(len(words)), weights, (head,)), {"version": "1.0.0"}
    )
    text = " ".join(words)
    n_bytes_once = 8 * len(words) * len(labels)

    tracemalloc.start()
    try:
        explanation = classifier.explain("", text, limit=1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert any(versus.would_flip for versus in explanation.heads["topic"].versus)
    assert peak < 20 * n_bytes_once
