from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from app import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Service, StartService, WriteModel

LIVE = ("/health/live", "/livez")
READY = ("/health/ready", "/readyz", "/health")
EXPECTED_ROUTES = {
    "/": {"GET", "HEAD"},
    "/version": {"GET", "HEAD"},
    "/health": {"GET", "HEAD"},
    "/health/live": {"GET", "HEAD"},
    "/health/ready": {"GET", "HEAD"},
    "/livez": {"GET", "HEAD"},
    "/readyz": {"GET", "HEAD"},
    "/classify": {"POST"},
    "/classify/batch": {"POST"},
    "/explain": {"POST"},
    "/feedback": {"POST"},
    "/feedback/batch": {"POST"},
    "/feedback/{feedback_id}": {"DELETE"},
    "/tickets/{ticket_id:path}": {"DELETE"},
    "/hooks/{name}": {"POST", "HEAD"},
    "/model/status": {"GET", "HEAD"},
    "/model/drift": {"GET", "HEAD"},
    "/model/promises": {"GET", "HEAD"},
    "/model/promises/reset": {"POST"},
    "/model/activate": {"POST"},
    "/model/reload": {"POST"},
    "/review": {"GET", "HEAD"},
    "/review/claim": {"POST"},
    "/review/{prediction_id}/skip": {"POST"},
    "/console": {"GET", "HEAD"},
    "/console/": {"GET", "HEAD"},
    "/console/sign-in": {"GET", "HEAD", "POST"},
    "/console/sign-out": {"POST"},
    "/console/quality": {"GET", "HEAD"},
    "/console/begin-anew": {"POST"},
    "/console/try": {"GET", "HEAD", "POST"},
    "/console/review": {"GET", "HEAD"},
    "/console/review-judge": {"POST"},
    "/console/review-skip": {"POST"},
    "/console/review-next": {"POST"},
    "/console/review-keep": {"POST"},
    "/console/review-take-back": {"POST"},
    "/console/review-accept": {"POST"},
    "/console/review-take-all-back": {"POST"},
    "/console/models": {"GET", "HEAD"},
    "/console/models/{version}/report": {"GET", "HEAD"},
    "/console/models/{version}/card": {"GET", "HEAD"},
    "/console/activate": {"POST"},
    "/console/connectors": {"GET", "HEAD"},
    "/console/send-again": {"POST"},
    "/console/static/{name}": {"GET", "HEAD"},
    "/metrics": {"GET", "HEAD"},
    "/docs": {"GET", "HEAD"},
    "/docs/start.js": {"GET", "HEAD"},
    "/docs/swagger-ui-bundle.js": {"GET", "HEAD"},
    "/docs/swagger-ui.css": {"GET", "HEAD"},
    "/redoc": {"GET", "HEAD"},
    "/redoc/redoc.standalone.js": {"GET", "HEAD"},
    "/openapi.json": {"GET", "HEAD"},
}


def test_the_routes_are_those_that_are_promised(service: Service) -> None:
    routes: dict[str, set[str]] = {}
    for route in service.app.routes:
        routes.setdefault(route.path, set()).update(route.methods)

    assert routes == EXPECTED_ROUTES


def test_the_root_is_healthy(service: Service) -> None:
    response = service.get("/")

    assert response.status_code == 200
    assert response.json()["status"] == "healthy"
    assert set(response.json()) == {"status", "message"}


def test_the_root_sends_browsers_to_the_console(service: Service) -> None:
    response = service.get("/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})

    assert (response.status_code, response.headers["location"]) == (303, "console")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", [*LIVE, *READY, "/"])
def test_health_answers_get_and_head(service: Service, method: str, path: str) -> None:
    assert service.request(method, path).status_code == 200


@pytest.mark.parametrize(("path", "status"), [*[(p, "alive") for p in LIVE], *[(p, "ready") for p in READY[:2]]])
def test_health_says_its_word(service: Service, path: str, status: str) -> None:
    assert service.get(path).json()["status"] == status


def test_the_old_health_route_says_healthy(service: Service) -> None:
    assert service.get("/health").json()["status"] == "healthy"


@pytest.mark.parametrize("path", READY)
def test_without_a_model_the_service_is_alive_but_not_ready(
    start_service: StartService, tmp_path: Path, path: str
) -> None:
    service = start_service(models_base_dir=str(tmp_path))

    response = service.get(path)

    assert [service.get(live).status_code for live in LIVE] == [200, 200]
    assert response.status_code == 503
    assert response.json()["error"] == "model_not_loaded"
    assert response.json()["code"] == "HTTP_503"
    assert int(response.headers["retry-after"]) >= 1


def test_health_and_metrics_are_never_limited_and_take_nothing_from_the_limit(start_service: StartService) -> None:
    service = start_service(rate_limit_requests=1)

    for path in (*LIVE, *READY, "/", "/metrics") * 3:
        assert service.get(path).status_code == 200
    assert service.classify().status_code == 200
    assert service.classify().status_code == 429
    assert service.get("/health/ready").status_code == 200


def test_the_version_is_the_one_that_is_loaded(service: Service) -> None:
    assert service.get("/version").json() == {
        "api_version": __version__,
        "model_version": "1.0.0",
        "model_loaded": True,
        "degraded": False,
        "model_metadata": {"version": "1.0.0", "seed": 7},
        "store": "off",
    }


def test_a_pinned_version_that_is_not_there_is_not_said_to_be_loaded(start_service: StartService) -> None:
    service = start_service(model_version="9.9.9")

    body = service.get("/version").json()

    assert (body["model_version"], body["model_loaded"], body["model_metadata"]) == (None, False, None)
    assert service.get("/health/ready").status_code == 503
    assert service.classify().status_code == 503


def test_the_status_names_versions_in_numeric_order(
    start_service: StartService, write_model: WriteModel, tmp_path: Path
) -> None:
    for version in ("1.9.0", "1.10.0", "2.0.0-rc.1"):
        write_model(tmp_path, version)

    body = start_service(models_base_dir=str(tmp_path)).get("/model/status").json()

    loaded_at = datetime.fromisoformat(body.pop("loaded_at"))
    assert timedelta() <= datetime.now(UTC) - loaded_at < timedelta(minutes=1)
    assert body == {
        "is_trained": True,
        "models_loaded": True,
        "model_version": "1.10.0",
        "available_versions": ["2.0.0-rc.1", "1.10.0", "1.9.0"],
        "degraded": False,
    }


def test_the_status_without_a_model_is_empty(start_service: StartService, tmp_path: Path) -> None:
    assert start_service(models_base_dir=str(tmp_path / "none")).get("/model/status").json() == {
        "is_trained": False,
        "models_loaded": False,
        "model_version": None,
        "available_versions": [],
        "loaded_at": None,
        "degraded": False,
    }


def test_a_damaged_newest_version_makes_the_service_degraded(
    start_service: StartService, write_model: WriteModel, tmp_path: Path
) -> None:
    write_model(tmp_path, "1.0.0")
    damaged = write_model(tmp_path, "1.1.0") / "weights.npy"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")

    service = start_service(models_base_dir=str(tmp_path))

    for path in ("/version", "/model/status"):
        assert service.get(path).json()["model_version"] == "1.0.0"
        assert service.get(path).json()["degraded"] is True
    assert service.classify().json()["model_version"] == "1.0.0"
    assert "ticket_model_degraded 1.0" in service.get("/metrics").text
    assert 'ticket_model_info{version="1.0.0"} 1.0' in service.get("/metrics").text


def test_metrics_count_answers_predictions_and_errors(service: Service) -> None:
    service.classify()
    service.classify()
    service.classify({})
    service.get("/nowhere/at-all")

    response = service.get("/metrics")

    lines = response.text.splitlines()
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'http_requests_total{method="POST",route="/classify",status="200"} 2.0' in lines
    assert 'http_requests_total{method="POST",route="/classify",status="422"} 1.0' in lines
    assert 'http_requests_total{method="GET",route="unmatched",status="404"} 1.0' in lines
    assert 'http_request_duration_seconds_count{route="/classify"} 3.0' in lines
    assert 'http_errors_total{error="validation_failed"} 1.0' in lines
    assert "ticket_model_loaded 1.0" in lines
    assert "ticket_inference_duration_seconds_count 2.0" in lines
    assert 'ticket_prediction_confidence_count{head="priority"} 2.0' in lines
    predictions = [line for line in lines if line.startswith('ticket_predictions_total{decision="')]
    assert sum(float(line.split()[-1]) for line in predictions) == 4


def test_no_metric_has_a_label_that_a_caller_chose(service: Service) -> None:
    service.get("/canary")
    service.request("CANARY", "/classify")
    service.classify(path="/canary", headers={"X-Request-ID": "canary", "X-API-Key": "canary"})
    service.classify({"title": "canary", "description": "canary", "canary": "canary"})

    assert "canary" not in service.get("/metrics").text.lower()


def test_the_document_describes_bodies_and_every_error(start_service: StartService) -> None:
    document = start_service(batch_max_tickets=7).get("/openapi.json").json()

    schemas = document["components"]["schemas"]
    operation = document["paths"]["/classify"]["post"]
    body = operation["requestBody"]
    assert body["required"] is True
    assert body["content"] == {"application/json": {"schema": {"$ref": "#/components/schemas/Ticket"}}}
    assert operation["responses"]["200"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/Classification"
    }
    assert set(operation["responses"]) == {"200", "400", "408", "413", "415", "422", "429", "431", "500", "503"}
    for status, response in operation["responses"].items():
        assert "X-Request-ID" in response["headers"]
        if status != "200":
            name = "ValidationErrorBody" if status == "422" else "ErrorBody"
            assert response["content"]["application/json"]["schema"] == {"$ref": f"#/components/schemas/{name}"}
    assert schemas["Ticket"]["required"] == ["title"]
    assert schemas["Ticket"]["additionalProperties"] is False
    assert schemas["Ticket"]["properties"]["title"]["maxLength"] == 300
    assert schemas["Ticket"]["properties"]["description"]["maxLength"] == 20_000
    assert schemas["TicketBatch"]["properties"]["tickets"]["maxItems"] == 7
    assert "HTTPValidationError" not in schemas


def test_the_answer_has_exactly_the_documented_keys(service: Service) -> None:
    schemas = service.get("/openapi.json").json()["components"]["schemas"]

    body = service.classify().json()

    head = body["predictions"]["priority"]
    assert set(body) == set(schemas["Classification"]["properties"]) == set(schemas["Classification"]["required"])
    assert set(head) == set(schemas["HeadPredictionBody"]["required"])
    assert set(head["alternatives"][0]) == set(schemas["AlternativeBody"]["required"])


def test_keys_are_documented_only_when_they_are_asked_for(start_service: StartService) -> None:
    without = start_service().get("/openapi.json").json()
    with_keys = start_service(api_keys=("0" * 64,)).get("/openapi.json").json()

    assert "security" not in without["paths"]["/classify"]["post"]
    assert without["paths"]["/model/activate"]["post"]["security"] == [{"apiKey": []}, {"bearer": []}]
    assert set(with_keys["components"]["securitySchemes"]) == {"apiKey", "bearer"}
    assert with_keys["paths"]["/classify"]["post"]["security"] == [{"apiKey": []}, {"bearer": []}]
    assert "401" in with_keys["paths"]["/classify"]["post"]["responses"]
    assert "security" not in with_keys["paths"]["/health/live"]["get"]
