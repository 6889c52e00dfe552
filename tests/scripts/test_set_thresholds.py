"""``scripts/set_thresholds.py``: other thresholds for a finished model, as a new version that the service follows."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from app.models.artifacts import verify, write_version
from app.models.classifier import TicketClassifier
from app.serving.registry import ModelRegistry
from app.training.intake.labelled_tickets import Tickets
from app.training.pipeline import TrainingOptions, train
from data.generate_dataset import generate
from scripts import set_thresholds
from tests.conftest import StartService
from tests.scripts.conftest import RunScript

CHANGED = {"model.json", "metrics.json", "model_metadata.json", "MODEL_CARD.md"}
LEARNED = list(generate(240, seed=5))
# One of those that the model learned from, so that nothing but a threshold keeps it from being acted on.
TICKET = {"title": LEARNED[0].title, "description": LEARNED[0].description}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = tmp_path_factory.mktemp("models")
    tickets = Tickets(
        titles=[ticket.title for ticket in LEARNED],
        descriptions=[ticket.description for ticket in LEARNED],
        labels={"priority": [t.priority for t in LEARNED], "department": [t.department for t in LEARNED]},
        groups=[ticket.situation for ticket in LEARNED],
        sha256="",
        notes=(),
    )
    write_version(models / "v1.2.0", train(tickets, TrainingOptions(version="1.2.0", trained_at="")))
    return models


@pytest.fixture
def models(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "models"))


def figures(version: Path, head: str) -> dict[str, dict[str, dict[str, float]]]:
    found: dict[str, dict[str, dict[str, float]]] = json.loads((version / "metrics.json").read_text())[head]
    return found


def test_the_precision_of_the_training_gives_its_thresholds_again(models: Path, run_script: RunScript) -> None:
    done = run_script("set_thresholds", "--models-dir", models, "--target-precision", "0.95")

    assert done.returncode == 0, done.stderr
    assert not [line for line in done.stdout.splitlines() if "->" in line]
    for head in ("priority", "department"):
        before, after = figures(models / "v1.2.0", head), figures(models / "v1.2.1", head)
        assert after == before


def test_a_lower_precision_is_acted_on_more_often_and_everything_tells_of_it(models: Path, run_here: RunScript) -> None:
    done = run_here("set_thresholds", "--models-dir", models, "--target-precision", "0.7", "--head", "department")

    assert done.returncode == 0, done.stderr
    before, after = models / "v1.2.0", models / "v1.2.1"
    old, new = figures(before, "department"), figures(after, "department")
    assert new["decisions"]["auto"]["coverage"] > old["decisions"]["auto"]["coverage"]
    assert new["decisions_out_of_fold"]["auto"]["precision"] >= 0.7
    assert figures(before, "priority") == figures(after, "priority")
    points = {
        head["name"]: head["operating_points"] for head in json.loads((after / "model.json").read_text())["heads"]
    }
    assert points["department"] == new["operating_points"]
    metadata = json.loads((after / "model_metadata.json").read_text())
    assert (metadata["version"], metadata["trained_as"]) == ("1.2.1", "1.2.0")
    assert metadata["promised_precision"] == {"priority": 0.95, "department": 0.7}
    card = (after / "MODEL_CARD.md").read_text()
    assert "ticket classifier 1.2.1" in card
    assert f"| auto | {new['decisions']['auto']['coverage']:.3f} |" in card


def test_only_what_tells_of_decisions_differs_and_the_old_version_is_as_it_was(
    models: Path, run_here: RunScript
) -> None:
    old = {path.name: path.read_bytes() for path in (models / "v1.2.0").iterdir()}

    done = run_here("set_thresholds", "--models-dir", models, "--set", "priority.Urgent.auto=0.5")

    assert done.returncode == 0, done.stderr
    assert {path.name: path.read_bytes() for path in (models / "v1.2.0").iterdir()} == old
    new = {path.name: path.read_bytes() for path in (models / "v1.2.1").iterdir()}
    assert set(new) == set(old)
    assert {name for name in new if new[name] != old[name]} == CHANGED | {"manifest.json"}
    verify(models / "v1.2.1")


def test_the_service_decides_by_the_new_thresholds(
    models: Path, run_here: RunScript, start_service: StartService
) -> None:
    before = TicketClassifier.load(models / "v1.2.0").predict(**TICKET).heads["department"]
    for threshold in ("0", "1"):
        setting = f"department.{before.label}.auto={threshold}"
        assert run_here("set_thresholds", "--models-dir", models, "--set", setting).returncode == 0

    answers = {}
    for version in ("1.2.1", "1.2.2"):
        service = start_service(models_base_dir=str(models), model_version=version)
        answers[version] = service.request("POST", "/classify", json=TICKET).json()["predictions"]["department"]

    assert answers["1.2.1"]["decision"] == "auto"
    assert answers["1.2.2"]["decision"] != "auto"
    assert answers["1.2.2"]["reasons"] == ["below_threshold"]
    assert answers["1.2.1"]["confidence"] == answers["1.2.2"]["confidence"]


def serving(models: Path) -> str | None:
    model = ModelRegistry(models).load().model
    return model.version if model else None


def test_the_new_version_serves_only_when_it_is_asked_for(models: Path, run_here: RunScript) -> None:
    assert serving(models) == "1.2.0"

    unasked = run_here("set_thresholds", "--models-dir", models, "--target-precision", "0.8")
    assert (unasked.returncode, serving(models)) == (0, "1.2.0")
    assert "1.2.0 serves as before" in unasked.stdout
    assert (models / "ACTIVE").read_text() == "1.2.0\n"

    again = run_here("set_thresholds", "--models-dir", models, "--target-precision", "0.7")
    assert (again.returncode, serving(models)) == (0, "1.2.0")

    asked = run_here("set_thresholds", "--models-dir", models, "--target-precision", "0.6", "--activate")
    assert (asked.returncode, serving(models)) == (0, "1.2.3")
    assert "1.2.3 serves from now on" in asked.stdout


def test_coverage_and_precision_of_each_label_are_printed(models: Path, run_here: RunScript) -> None:
    done = run_here("set_thresholds", "--models-dir", models, "--target-precision", "0.8", "--head", "department")

    for label, of_label in figures(models / "v1.2.1", "department")["operating_points_out_of_fold"].items():
        auto: dict[str, float] = of_label["auto"]  # type: ignore[assignment]
        line = next(line for line in done.stdout.splitlines() if line.startswith(f"department.{label}: answers"))
        if auto["n_tickets"]:
            assert f"answers {auto['coverage']:.1%} of all tickets alone, {auto['precision']:.1%} of them" in line
        else:
            assert line.endswith("answers no ticket alone")
    assert "priority.Urgent: answers" not in done.stdout


def test_a_threshold_can_be_taken_away(models: Path, run_here: RunScript) -> None:
    done = run_here(
        "set_thresholds", "--models-dir", models, "--version", "2.0.0", "--set", "department.Tech Support.auto=none"
    )

    assert done.returncode == 0, done.stderr
    assert "department.Tech Support.auto: " in done.stdout
    assert figures(models / "v2.0.0", "department")["operating_points"]["Tech Support"]["auto"] is None
    assert figures(models / "v2.0.0", "department")["thresholds"] == {"chosen_by": "hand", "target_precision": None}
    metadata = json.loads((models / "v2.0.0" / "model_metadata.json").read_text())
    assert metadata["promised_precision"] == {"priority": 0.95, "department": None}


def test_a_precision_that_no_threshold_reaches_is_said_to_be_infeasible(models: Path, run_here: RunScript) -> None:
    done = run_here("set_thresholds", "--models-dir", models, "--target-precision", "0.9999")

    assert done.returncode == 0, done.stderr
    infeasible = [line for line in done.stdout.splitlines() if line.endswith("a precision of 0.9999 is infeasible")]
    points = figures(models / "v1.2.1", "priority")["operating_points"]
    assert len([line for line in infeasible if line.startswith("priority.")]) == sum(
        point["auto"] is None for point in points.values()
    )
    assert infeasible


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--set", "priority.Nope.auto=0.8"], '"Nope" is no label of priority; expected one of "High"'),
        (["--set", "nope.Urgent.auto=0.8"], '"nope" is no head; expected one of "priority", "department"'),
        (["--set", "priority.Urgent.auto=1.5"], "is not HEAD.LABEL.auto|suggest=P"),
        (["--set", "priority.Urgent.auto=0.12345"], "is not HEAD.LABEL.auto|suggest=P"),
        (["--set", "priority.Urgent.auto=0.5", "--head", "priority"], "--head goes with --target-precision"),
        (["--target-precision", "1.0"], '"1.0" is not a number between 0 and 1'),
        (["--target-precision", "0.9", "--head", "team"], '"team" is no head'),
        (["--target-precision", "0.9", "--from", "7.0.0"], "does not have the version 7.0.0"),
        (["--target-precision", "0.9", "--version", "1.2.0"], "v1.2.0 exists; choose another --version"),
        ([], "nothing to change: give --target-precision, --set or --from-store"),
    ],
)
def test_bad_usage_ends_with_exit_code_2_and_writes_nothing(
    models: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    try:
        code: int | str | None = set_thresholds.main(["--models-dir", str(models), *arguments])
    except SystemExit as stopped:
        code = stopped.code

    assert code == 2
    assert complaint in capsys.readouterr().err
    assert [path.name for path in models.iterdir()] == ["v1.2.0"]


def test_an_altered_version_ends_with_exit_code_1(models: Path, run_here: RunScript) -> None:
    (models / "v1.2.0" / "metrics.json").write_text("{}")

    done = run_here("set_thresholds", "--models-dir", models, "--target-precision", "0.9")

    assert done.returncode == 1
    assert "metrics.json" in done.stderr


def test_a_version_without_counts_says_what_to_do(models_dir: Path, tmp_path: Path, run_here: RunScript) -> None:
    models = Path(shutil.copytree(models_dir, tmp_path / "old"))

    done = run_here("set_thresholds", "--models-dir", models, "--target-precision", "0.9")

    assert done.returncode == 2
    assert "has no confidence_counts.json: train the version again" in done.stderr
