from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from app.keys import hash_key
from tests.conftest import DEFAULT_HEADS
from tests.in_process import TICKET
from tests.references import write_with_reference

if TYPE_CHECKING:
    from tests.conftest import StartProcess, StartService, WriteModel
    from tests.in_process import Service


def many_labels(n_labels: int) -> tuple[str, ...]:
    return tuple(f"label {i:04}" for i in range(n_labels))


def classify_many(service: Service) -> None:
    for _ in range(3):
        assert service.request("POST", "/classify/batch", json={"tickets": [dict(TICKET)] * 100}).status_code == 200


def test_a_model_without_histograms_says_unavailable(service: Service) -> None:
    service.classify()

    answer = service.get("/model/drift").json()

    assert answer == {
        "status": "unavailable",
        "model_version": "1.0.0",
        "n_tickets": 0,
        "min_tickets": 200,
        "thresholds": {"watch": 0.1, "act": 0.25},
        "features": [],
        "label_mix": {},
    }


def test_few_tickets_are_collected_and_many_compared(
    start_service: StartService, write_model: WriteModel, tmp_path: Path
) -> None:
    service = start_service(models_base_dir=write_with_reference(write_model, tmp_path))
    service.classify()
    assert service.get("/model/drift").json()["status"] == "collecting"

    classify_many(service)
    answer = service.get("/model/drift").json()

    assert answer["status"] == "act"
    assert answer["n_tickets"] == 301
    features = {(feature["head"], feature["feature"]): feature for feature in answer["features"]}
    assert set(features) == {(None, "text_length"), (None, "unknown_share")} | {
        (head, feature) for head in DEFAULT_HEADS for feature in ("label", "confidence")
    }
    length = features[None, "text_length"]
    assert length["expected"] == {"<= 40": 0.3, "<= 80": 0.4, "> 80": 0.3}
    assert length["observed"] == {"<= 40": 0.0, "<= 80": 1.0, "> 80": 0.0}
    assert length["level"] == "act"
    assert length["stability_index"] > 0.25 > length["chance_index"] > 0


def test_the_mix_of_labels_is_estimated_unless_answers_are_adapted_to_one(
    start_service: StartService, write_model: WriteModel, tmp_path: Path
) -> None:
    models_dir = write_with_reference(write_model, tmp_path)
    service = start_service(models_base_dir=models_dir)
    classify_many(service)
    answered = service.classify().json()["predicted_department"]
    mix = service.get("/model/drift").json()["label_mix"]
    assert set(mix) == set(DEFAULT_HEADS)
    for sides in mix.values():
        for shares in sides.values():
            assert abs(sum(shares.values()) - 1) < 0.01
    assert mix["department"]["now"][answered] > 0.9 > mix["department"]["training"][answered]

    adapted = start_service(models_base_dir=models_dir, label_shares={"department": mix["department"]["now"]})
    classify_many(adapted)

    assert set(adapted.get("/model/drift").json()["label_mix"]) == set(DEFAULT_HEADS) - {"department"}
    assert adapted.classify().json()["department_confidence"] > service.classify().json()["department_confidence"]


def test_what_metrics_and_the_route_say_is_the_same(
    start_service: StartService, write_model: WriteModel, tmp_path: Path
) -> None:
    service = start_service(models_base_dir=write_with_reference(write_model, tmp_path))
    classify_many(service)

    lines = service.get("/metrics").text.splitlines()
    report = service.get("/model/drift").json()

    assert "ticket_drift_measured 1.0" in lines
    assert "ticket_drift_window_tickets 300.0" in lines
    for feature in report["features"]:
        labels = f'{{feature="{feature["feature"]}",head="{feature["head"] or ""}"}}'
        (shown,) = [line.split()[-1] for line in lines if line.startswith(f"ticket_drift_stability_index{labels}")]
        assert round(float(shown), 4) == feature["stability_index"]
        assert f"ticket_drift_level{labels} {['ok', 'watch', 'act'].index(feature['level'])}.0" in lines


def test_three_heads_of_a_thousand_labels_are_measured(
    start_service: StartService, write_model: WriteModel, tmp_path: Path
) -> None:
    heads = dict.fromkeys(("topic", "product", "team"), many_labels(1000))
    service = start_service(models_base_dir=write_with_reference(write_model, tmp_path, heads=heads))

    classify_many(service)

    report = service.get("/model/drift").json()
    assert report["n_tickets"] == 300
    assert {feature["head"] for feature in report["features"]} == {None, *heads}
    assert "ticket_drift_window_tickets 300.0" in service.get("/metrics").text


def test_models_of_a_thousand_labels_that_follow_each_other_are_all_measured(
    start_service: StartService, write_model: WriteModel, tmp_path: Path
) -> None:
    for i in range(5):
        write_with_reference(write_model, tmp_path, f"1.{i}.0", {"topic": many_labels(1000 - i)})
    key = "an-admin-key"
    service = start_service(models_base_dir=str(tmp_path), admin_api_keys=hash_key(key))

    for i in range(5):
        body, headers = {"version": f"1.{i}.0"}, {"X-API-Key": key}
        assert service.request("POST", "/model/activate", json=body, headers=headers).status_code == 200
        classify_many(service)

        assert service.get("/model/drift").json()["n_tickets"] == 300
        assert "ticket_drift_window_tickets 300.0" in service.get("/metrics").text


def test_more_labels_than_there_is_room_for_are_classified_and_not_measured(
    start_service: StartService, write_model: WriteModel, tmp_path: Path
) -> None:
    heads = {f"head{i}": many_labels(1000) for i in range(5)}
    service = start_service(models_base_dir=write_with_reference(write_model, tmp_path, heads=heads))

    classify_many(service)

    answer = service.get("/model/drift").json()
    assert (answer["status"], answer["features"]) == ("unavailable", [])
    lines = service.get("/metrics").text.splitlines()
    assert "ticket_drift_measured 0.0" in lines
    assert not [line for line in lines if line.startswith("ticket_drift_stability_index{")]


def test_two_workers_report_the_tickets_of_both(
    start_process: StartProcess, write_model: WriteModel, tmp_path: Path
) -> None:
    models = write_with_reference(write_model, tmp_path / "models")
    process = start_process("--workers", "2", MODELS_BASE_DIR=models, DRAIN_SECONDS="0")

    for _ in range(30):
        httpx.post(f"{process.base_url}/classify/batch", json={"tickets": [dict(TICKET)] * 10})

    reports = [httpx.get(f"{process.base_url}/model/drift").json() for _ in range(6)]
    assert {report["n_tickets"] for report in reports} == {300}
    assert {report["status"] for report in reports} == {"act"}
