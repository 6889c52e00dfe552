"""Tickets with a label for one head only: each head learns from, and is measured on, those that have its label."""

import csv
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from app.models.artifacts import write_version
from app.models.classifier import TicketClassifier
from app.models.features import BlockSpec, FeatureSpec
from app.training.fitting.design import TermCounts
from app.training.fitting.fit import fit_head
from app.training.fitting.fitter import UNSEEN_LABEL_LOGIT, Fitter
from app.training.fitting.recipe import FeatureRecipe, HeadRecipe
from app.training.intake.labelled_tickets import Tickets
from app.training.pipeline import TrainingOptions, train
from tests.training.conftest import RunTrain, write_csv

HEADS = ("priority", "department")


@pytest.fixture(scope="module")
def partial_records(records: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return tickets of which a third has a priority only, a third a department only, and a third both."""
    blank = {0: "priority", 1: "department"}
    return [{**record, blank.get(i % 3, "none"): ""} for i, record in enumerate(records)]


@pytest.fixture(scope="module")
def partial(partial_records: list[dict[str, str]]) -> Mapping[str, bytes]:
    tickets = Tickets(
        titles=[record["title"] for record in partial_records],
        descriptions=[record["description"] for record in partial_records],
        labels={head: [record[head] for record in partial_records] for head in HEADS},
        groups=None,
        sha256="",
        notes=(),
    )
    return train(tickets, TrainingOptions(version="1.0.0", trained_at=""), eval_tickets=tickets)


def test_every_figure_counts_the_tickets_that_have_a_label_of_its_head(
    partial: Mapping[str, bytes], partial_records: list[dict[str, str]]
) -> None:
    metrics, metadata = (json.loads(partial[name]) for name in ("metrics.json", "model_metadata.json"))

    counts = json.loads(partial["confidence_counts.json"])["heads"]
    n_labelled = {head: sum(bool(record[head]) for record in partial_records) for head in HEADS}
    for head, figures in metrics.items():
        n_measured = figures["n_tickets"]
        assert metadata["label_distributions"][head] == Counter(r[head] for r in partial_records if r[head])
        assert np.sum(figures["confusion_matrix"]["counts"]) == n_measured
        assert 0 < n_measured < metadata["split"]["n_validation"]
        assert figures["learning_curve"]["points"][-1]["n_tickets"] == n_labelled[head] - n_measured
        for part, n_answers in (("out_of_fold", n_labelled[head] - n_measured), ("validation", n_measured)):
            assert sum(row[1] for rows in counts[head][part].values() for row in rows) == n_answers
        assert "" not in figures["per_class"]
        assert figures["eval_data"]["n_tickets"] == n_labelled[head]
    assert metadata["split"]["n_tickets"] == len(partial_records)


def test_the_pages_say_on_how_many_tickets_each_head_was_measured(partial: Mapping[str, bytes]) -> None:
    metrics = json.loads(partial["metrics.json"])
    counts = ", ".join(f'{figures["n_tickets"]} for "{head}"' for head, figures in metrics.items())
    sentence = f"Each head was measured on those of them that have a label of it: {counts}."

    assert sentence in partial["MODEL_CARD.md"].decode()
    assert sentence.replace('"', "&#34;") in partial["report.html"].decode()


def test_a_blank_label_is_no_label_of_the_model_and_no_label_error(
    partial: Mapping[str, bytes], partial_records: list[dict[str, str]], tmp_path: Path
) -> None:
    write_version(tmp_path / "v1.0.0", dict(partial))

    classifier = TicketClassifier.load(tmp_path / "v1.0.0")
    suspects = list(csv.DictReader(partial["label_errors.csv"].decode().splitlines()))

    for head in HEADS:
        assert set(classifier.labels(head)) == {record[head] for record in partial_records} - {""}
    assert all(partial_records[int(suspect["row"]) - 2][suspect["head"]] for suspect in suspects)
    assert suspects


def test_a_head_is_fitted_to_its_tickets_on_the_word_statistics_of_all() -> None:
    titles = ["server down", "server broken", "refund please", "invoice refund", "door stuck", "door locked"] * 5
    counts, everything = TermCounts(titles, [""] * len(titles)), np.arange(len(titles))
    truth = np.array([0, 0, 1, 1, -1, -1] * 5)
    fitter = Fitter(counts, FeatureRecipe(FeatureSpec((BlockSpec("word"),))), None)
    design = fitter.design(everything)
    labelled = np.flatnonzero(truth >= 0)

    fitted = fitter.fit(design, truth, 2, HeadRecipe())

    expected = fit_head(design.X[labelled], truth[labelled], 2, HeadRecipe())
    assert np.array_equal(fitted.coefficients, expected.coefficients)
    assert "door" in design.fitted.blocks[0].terms


def test_a_fold_without_any_label_of_a_head_predicts_none() -> None:
    counts = TermCounts(["a b", "b c", "c d", "d e"], [""] * 4)
    fitter = Fitter(counts, FeatureRecipe(FeatureSpec((BlockSpec("word"),))), None)

    logits = fitter.score(
        np.array([0, 1]), np.array([2, 3]), truth=np.array([-1, -1, 0, 1]), n_labels=2, recipes={"": HeadRecipe()}
    )[""]

    assert (logits == UNSEEN_LABEL_LOGIT).all()


def test_a_head_with_a_handful_of_labels_is_trained_beside_one_with_many(tmp_path: Path, run_train: RunTrain) -> None:
    records = [
        {"title": f"{'server' if i % 2 else 'refund'} {chr(97 + i % 26)}{chr(97 + i // 26)}", "priority": "HL"[i % 2]}
        for i in range(120)
    ]
    few = {0: "x", 1: "y", 2: "x", 3: "y"}
    data = write_csv(tmp_path / "few.csv", [{**r, "department": few.get(i, "")} for i, r in enumerate(records)])

    done = run_train("--data", data, "--version", "1.0.0")

    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    metrics = json.loads((tmp_path / "models" / "v1.0.0" / "metrics.json").read_text())
    assert metrics["department"]["n_tickets"] >= 1
    assert TicketClassifier.load(tmp_path / "models" / "v1.0.0").labels("department") == ("x", "y")
