"""``train.py --costs``: a table of costs, checked line by line, and what training makes of it."""

import json
from pathlib import Path

import numpy as np
import pytest

from app.tickets.input_error import InputError
from app.training.thresholds.costs import read_costs
from tests.training.conftest import RunTrain

LABELS = {"priority": ["Urgent", "Low", "High", "Low"]}
GOOD = "head,true,predicted,cost\npriority,,,1\npriority,*,*,5\n"


def write(tmp_path: Path, text: str, name: str = "costs.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_the_row_that_names_more_counts(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        f"{GOOD}priority,Urgent,*,60\npriority,*,Urgent,3\npriority,Urgent,High,20\npriority,Low,Low,0.5\n"
        "priority,Urgent,,2\n",
    )

    costs = read_costs(path).of_heads(LABELS)["priority"]

    # In the order of the labels: High, Low, Urgent.
    np.testing.assert_array_equal(costs.answer, [[0, 5, 3], [5, 0.5, 3], [20, 60, 0]])
    np.testing.assert_array_equal(costs.review, [1, 1, 2])


def test_json_lines_say_the_same_as_csv(tmp_path: Path) -> None:
    rows = [("priority", "", "", 1), ("priority", "*", "*", 5)]
    lines = [json.dumps(dict(zip(("head", "true", "predicted", "cost"), row, strict=True))) for row in rows]
    as_json = read_costs(write(tmp_path, "\n".join(lines), "costs.jsonl")).of_heads(LABELS)["priority"]

    as_csv = read_costs(write(tmp_path, GOOD)).of_heads(LABELS)["priority"]

    np.testing.assert_array_equal(as_json.answer, as_csv.answer)
    np.testing.assert_array_equal(as_json.review, as_csv.review)


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ("priority,,,1\npriority,Urgent,*,60\n", 'the cost of "Low" where "High" is true; add one'),
        ("priority,*,*,5\n", 'the cost of a review of "High"; add one, such as "priority,,,1"'),
        ("priority,,,dear\n", 'row 2, column "cost": "dear" is not a number of 0 or more'),
        ("priority,,,-1\n", 'row 2, column "cost": "-1" is not'),
        ("priority,,,nan\n", 'row 2, column "cost": "nan" is not'),
        ("priority,,,inf\n", 'row 2, column "cost": "inf" is not'),
        ("priority,,,1\npriority,,,2\n", "row 3"),
        (",,,1\n", 'row 2, column "head": it is blank'),
        ("priority,,Low,1\n", 'row 2, column "true": it is blank'),
        ("team,,,1\n", 'the head "team" is not trained; trained are "priority"'),
        ("priority,,,1\npriority,*,Lwo,5\n", 'no label "Lwo"; it has "High", "Low", "Urgent"'),
        ("", "has a header and no costs"),
    ],
)
def test_a_mistake_is_one_line_that_says_where_it_is(tmp_path: Path, rows: str, complaint: str) -> None:
    path = write(tmp_path, f"head,true,predicted,cost\n{rows}")

    with pytest.raises(InputError) as caught:
        read_costs(path).of_heads(LABELS)

    assert complaint in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='no column "predicted"'):
        read_costs(write(tmp_path, "head,true,cost\npriority,,1\n"))


def test_a_bad_table_ends_with_exit_code_2_and_writes_nothing(
    tickets_csv: Path, tmp_path: Path, run_train: RunTrain
) -> None:
    done = run_train("--data", tickets_csv, "--costs", write(tmp_path, "head,true,predicted,cost\npriority,,,x\n"))

    assert done.returncode == 2
    assert 'column "cost": "x"' in done.stderr.splitlines()[-1]
    assert not (tmp_path / "models").exists()


def test_a_head_with_costs_is_decided_by_them_and_the_other_by_precision(
    tickets_csv: Path, tmp_path: Path, run_train: RunTrain
) -> None:
    done = run_train("--data", tickets_csv, "--costs", write(tmp_path, f"{GOOD}priority,Urgent,*,60\n"))

    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "models" / "v1.0.0" / "metrics.json").read_text())
    assert metrics["priority"]["thresholds"] == {"chosen_by": "costs", "target_precision": None}
    assert metrics["department"]["thresholds"] == {
        "chosen_by": "precision",
        "target_precision": 0.95,
        "chance": 0.9,
    }
    metadata = json.loads((tmp_path / "models" / "v1.0.0" / "model_metadata.json").read_text())
    assert metadata["promised_precision"] == {"priority": None, "department": 0.95}
    costs = metrics["priority"]["costs_out_of_fold"]
    assert costs["per_ticket"] <= min(costs["per_ticket_all_reviewed"], costs["per_ticket_all_answered"])
    card = (tmp_path / "models" / "v1.0.0" / "MODEL_CARD.md").read_text()
    assert "The thresholds were chosen at the lowest cost" in card
    assert "By the table of costs" in card
