"""The curve of the first days: what it measures, and what it keeps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.training.intake.label_texts import read_label_texts
from app.training.teaching.encoder import is_installed
from benchmarks.first_day import main
from benchmarks.measuring import ROOT
from tests.training.conftest import write_csv


@pytest.mark.once
@pytest.mark.skipif(not is_installed(), reason="the teacher comes with requirements-teacher.lock")
def test_it_scores_each_number_of_judgements_in_either_order(tmp_path: Path) -> None:
    topics = {"lost_card": "card", "exchange_rate": "currency", "refund": "refund"}
    rows = [
        {"description": f"{start} the {word} {end}", "department": label}
        for label, word in topics.items()
        for start in ("where is", "what about", "I want", "please explain", "help with")
        for end in ("today", "of my account", "that I asked for", "again", "now", "from abroad")
    ]
    write_csv(tmp_path / "banking77-train.csv", rows)

    assert main([str(tmp_path), "--only", "banking77", "--pool", "60", "--keep", str(tmp_path)]) == 0

    curves = json.loads((tmp_path / "first_day.json").read_text(encoding="utf-8"))["measured"]["sets"]["banking77"]
    assert list(curves) == ["review queue", "at random"]
    for points in curves.values():
        assert [point["judgements"] for point in points] == [0, 25, 50, 100, 200, 400]
        assert points[-1]["accuracy"] > 0.9
    assert curves["review queue"][0] == curves["at random"][0]


def test_every_label_of_it_tickets_is_described() -> None:
    assert len(read_label_texts(ROOT / "benchmarks" / "it_tickets_labels.toml").heads["department"]) == 8
