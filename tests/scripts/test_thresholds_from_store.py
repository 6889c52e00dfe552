"""``scripts/set_thresholds.py --from-store``: thresholds by what people judged of a version's answers."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.models.artifacts import read_manifest, write_version
from app.models.classifier import TicketClassifier
from app.training.intake.labelled_tickets import Tickets
from app.training.pipeline import TrainingOptions, train
from app.training.report.promises import chosen_by
from app.training.thresholds.decide import Aims
from data.generate_dataset import generate
from tests.scripts.conftest import RunScript
from tests.store.judged import JudgedStore, Said

AUDIT_SHARE = 0.1


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = tmp_path_factory.mktemp("models")
    generated = list(generate(240, seed=5))
    tickets = Tickets(
        titles=[ticket.title for ticket in generated],
        descriptions=[ticket.description for ticket in generated],
        labels={"priority": [t.priority for t in generated], "department": [t.department for t in generated]},
        groups=[ticket.situation for ticket in generated],
        sha256="",
        notes=(),
    )
    # So few tickets prove no more.
    options = TrainingOptions(version="1.2.0", trained_at="", evaluate=False, aims=Aims(target_precision=0.6))
    write_version(models / "v1.2.0", train(tickets, options))
    return models


@pytest.fixture
def models(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "models"))


@pytest.fixture
def store(store_url: str, models: Path) -> Iterator[JudgedStore]:
    with contextlib.closing(JudgedStore(store_url, digest=read_manifest(models / "v1.2.0").digest)) as store:
        yield store


def audit(store: JudgedStore, label: str, *, n: int, n_right: int, other: str, confidence: float = 0.97) -> None:
    """Answer ``n`` tickets alone for each that is audited, and judge those."""
    said = {"department": Said(label, confidence)}
    for i in range(n):
        prediction_id = store.predict(said, is_audit=True, asked_chance=AUDIT_SHARE)
        store.judge(
            {"department": label if i < n_right else other},
            prediction_id=prediction_id, said=said, is_audit=True, asked_chance=AUDIT_SHARE,
        )  # fmt: skip


def points(version: Path, head: str = "department") -> dict[str, dict[str, float | None]]:
    model = json.loads((version / "model.json").read_text())
    found: dict[str, dict[str, float | None]] = next(h for h in model["heads"] if h["name"] == head)["operating_points"]
    return found


def test_a_label_that_people_found_wrong_acts_no_more_and_one_that_is_right_may_act_sooner(
    models: Path, store: JudgedStore, run_script: RunScript
) -> None:
    labels = points(models / "v1.2.0")
    wrong = next(label for label, point in labels.items() if point["auto"] is not None)
    right = next(label for label in labels if label != wrong)
    audit(store, wrong, n=40, n_right=20, other=right)
    audit(store, right, n=60, n_right=60, other=wrong, confidence=0.401)

    done = run_script("set_thresholds", "--models-dir", models, "--from-store", store.url)

    assert done.returncode == 0, done.stderr
    before, after = points(models / "v1.2.0"), points(models / "v1.2.1")
    assert after[wrong]["auto"] is None
    assert after[right]["auto"] == pytest.approx(0.401)
    assert {label: after[label] for label in after if label not in {wrong, right}} == {
        label: before[label] for label in before if label not in {wrong, right}
    }
    assert points(models / "v1.2.1", "priority") == points(models / "v1.2.0", "priority")
    assert f"department.{wrong}: 40 of 40 answers judged, worth 40; at most 50.0% are right" in done.stdout
    assert f"department.{right}: 60 of 60 answers judged, worth 60; from 0.401 on, 100.0% are right" in done.stdout
    thresholds = json.loads((models / "v1.2.1" / "metrics.json").read_text())["department"]["thresholds"]
    assert thresholds == {"chosen_by": "judgements", "target_precision": 0.6}
    assert chosen_by(thresholds) == "chosen for a precision of 0.60 by what people judged of earlier answers"
    assert TicketClassifier.load(models / "v1.2.1").metadata["promised_precision"] == {
        "priority": 0.6, "department": 0.6,
    }  # fmt: skip


def test_too_few_judged_answers_are_refused_with_numbers(models: Path, store: JudgedStore, run_here: RunScript) -> None:
    label, other, *_ = points(models / "v1.2.0")
    audit(store, label, n=5, n_right=5, other=other)

    done = run_here("set_thresholds", "--models-dir", models, "--from-store", store.url)

    assert done.returncode == 2
    assert f"too few answers of this version were judged: department.{label} 5 (worth 5)" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (models / "v1.2.1").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--from-store", "off"), "--from-store: STORE_URL is off"),
        (("--from-store", "sqlite:///nowhere.db"), '--from-store: there is no store at "nowhere.db"'),
        (("--from-store", "off", "--set", "priority.Low.auto=none"), "two ways to choose"),
        ((), "nothing to change"),
    ],
)
def test_without_a_store_one_line_says_what_to_do(
    models: Path, run_here: RunScript, arguments: tuple[str, ...], expected: str
) -> None:
    done = run_here("set_thresholds", "--models-dir", models, *arguments)

    assert done.returncode == 2
    assert expected in done.stderr
