"""Wrong labels that were planted are found, and the list of them is safe to open."""

import csv
import io

import numpy as np
import pytest
from numpy.typing import NDArray

from app.training.intake.labelled_tickets import Tickets
from app.training.measuring.label_errors import Method, Suspect, find_suspects, label_errors_csv

LABELS = [f"label {i}" for i in range(6)]


def planted(
    seed: int, *, share: float = 0.05, n: int = 3000
) -> tuple[NDArray[np.float64], list[str], NDArray[np.bool_]]:
    """Return out-of-fold probabilities, given labels, and which of those are wrong."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, len(LABELS), n)
    logits = random.normal(size=(n, len(LABELS)))
    logits[np.arange(n), truth] += 4
    exponentials = np.exp(logits)
    flipped = random.random(n) < share
    given = np.where(flipped, random.integers(0, len(LABELS), n), truth)
    return exponentials / exponentials.sum(axis=1, keepdims=True), [LABELS[i] for i in given], given != truth


def test_planted_label_errors_come_first() -> None:
    probabilities, given, wrong = planted(1)
    suspects = find_suspects(probabilities, given, LABELS)
    found = [suspect.ticket for suspect in suspects]
    assert wrong[found[:50]].mean() > 0.95
    assert wrong[found].sum() / wrong.sum() > 0.5
    for suspect in suspects:
        assert suspect.given == given[suspect.ticket]
        assert suspect.suggested != suspect.given
        assert suspect.suggested_probability > suspect.given_probability
    margins = [suspect.given_probability - suspect.suggested_probability for suspect in suspects]
    assert margins == sorted(margins)


def test_the_confident_joint_is_that_of_the_paper() -> None:
    # Means of the own label: a 0.7, b 0.6. Ticket 2 is labelled a and is above the threshold of b alone; ticket 3 is
    # above neither, so nothing speaks against its label although b is more probable.
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.3, 0.7], [0.45, 0.55], [0.4, 0.6], [0.4, 0.6]])
    suspects = find_suspects(probabilities, ["a", "a", "a", "b", "b", "b"], ["a", "b"])
    assert [(s.ticket, s.given, s.suggested) for s in suspects] == [(2, "a", "b")]


def test_tickets_without_out_of_fold_probabilities_are_not_judged() -> None:
    probabilities, given, wrong = planted(2)
    probabilities[wrong] = np.nan
    assert not {s.ticket for s in find_suspects(probabilities, given, LABELS)} & set(np.flatnonzero(wrong).tolist())
    assert find_suspects(np.full((5, 2), np.nan), ["a"] * 5, ["a", "b"]) == []


def test_tickets_without_a_label_are_not_judged() -> None:
    probabilities = np.array([[0.9, 0.1]] * 6 + [[0.1, 0.9]] * 6)
    given = ["a"] * 5 + [""] + ["b"] * 5 + ["a"]

    assert [suspect.ticket for suspect in find_suspects(probabilities, given, ["a", "b"])] == [11]


def test_a_label_without_judged_tickets_is_never_suggested() -> None:
    probabilities, given, _ = planted(3)
    kept = [i for i, label in enumerate(given) if label != LABELS[0]]
    suspects = find_suspects(probabilities[kept], [given[i] for i in kept], LABELS)
    assert suspects


def test_cleanlab_finds_the_same_in_the_same_order() -> None:
    pytest.importorskip("cleanlab", reason="the optional package cleanlab is not installed")
    probabilities, given, _ = planted(4)
    both = [find_suspects(probabilities, given, LABELS, method=method) for method in _methods()]
    assert both[0] == both[1]


def _methods() -> tuple[Method, Method]:
    return "builtin", "cleanlab"


def _rows(*, show_texts: bool, ids: list[str] | None = None) -> list[list[str]]:
    tickets = Tickets(
        titles=["=HYPERLINK(1)", "Printer"], descriptions=["a\nb", '+49 30, "quoted"'],
        labels={"team": ["@x", "y"]}, groups=None, sha256="", notes=(), row_numbers=[2, 7], ids=ids,
    )  # fmt: skip
    suspects = {"team": [Suspect(0, "@x", "y", 0.01, 0.98), Suspect(1, "y", "@x", 0.2, 0.7)]}
    return list(csv.reader(io.StringIO(label_errors_csv(suspects, tickets, show_texts=show_texts).decode())))


def test_the_list_names_rows_and_cannot_run_in_a_spreadsheet() -> None:
    header, first, second = _rows(show_texts=True)
    assert first == ["2", "team", "'@x", "y", "0.0100", "0.9800", "'=HYPERLINK(1)", "a\nb"]
    assert second[0] == "7"
    assert second[-1] == '\'+49 30, "quoted"'
    assert header[-2:] == ["title", "description"]


def test_without_examples_the_list_has_no_texts() -> None:
    header, first, _ = _rows(show_texts=False)
    assert header[-1] == "suggested_probability"
    assert len(first) == len(header)
    assert "HYPERLINK" not in str(first)


def test_the_list_names_tickets_as_their_owner_knows_them() -> None:
    header, first, second = _rows(show_texts=False, ids=["=1+1", "ACME-7"])
    assert header[:3] == ["row", "id", "head"]
    assert first[:2] == ["2", "'=1+1"]
    assert second[:2] == ["7", "ACME-7"]
