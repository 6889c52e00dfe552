from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from app.keys import hash_key

if TYPE_CHECKING:
    from tests.conftest import StartService
    from tests.in_process import Service

ADMIN = {"X-API-Key": "an-admin-key"}


@pytest.fixture
def base_dir(tmp_path: Path, models_dir: Path) -> Path:
    return shutil.copytree(models_dir, tmp_path / "models")


@pytest.fixture
def admin_service(start_service: StartService, base_dir: Path) -> Service:
    return start_service(
        models_base_dir=str(base_dir), admin_api_keys=(hash_key("an-admin-key"),), api_keys=(hash_key("a-key"),)
    )


def test_activating_answers_with_the_status_of_the_model(admin_service: Service) -> None:
    answer = admin_service.request("POST", "/model/activate", json={"version": "v1.0.0"}, headers=ADMIN)

    assert answer.status_code == 200
    assert answer.json() == admin_service.get("/model/status", headers=ADMIN).json()
    assert answer.json()["model_version"] == "1.0.0"


def test_reloading_answers_with_the_status_of_the_model_loaded_anew(admin_service: Service) -> None:
    before = admin_service.get("/model/status", headers=ADMIN).json()

    answer = admin_service.request("POST", "/model/reload", headers=ADMIN)

    assert answer.status_code == 200
    assert answer.json()["loaded_at"] > before["loaded_at"]
    assert {**answer.json(), "loaded_at": before["loaded_at"]} == before


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"version": "1.x"}, "version"),
        ({"version": "../../etc"}, "version"),
        ({"version": "1.0.0\n"}, "version"),
        ({"version": "1." + "9" * 200 + ".0"}, "version"),
        ({"version": 1}, "version"),
        ({"version": None}, "version"),
        ({}, "version"),
        ({"version": "1.0.0", "force": True}, "(unknown field)"),
        ([], "(body)"),
    ],
)
def test_what_is_no_version_is_refused_as_such(
    admin_service: Service, base_dir: Path, body: object, field: str
) -> None:
    answer = admin_service.request("POST", "/model/activate", json=body, headers=ADMIN)

    assert (answer.status_code, answer.json()["error"]) == (422, "validation_failed")
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert "e-mail" not in answer.text
    assert not (base_dir / "ACTIVE").exists()


@pytest.mark.parametrize("path", ["/model/activate", "/model/reload"])
@pytest.mark.parametrize(
    ("headers", "status", "slug"),
    [
        ({}, 401, "invalid_api_key"),
        ({"X-API-Key": "stranger"}, 401, "invalid_api_key"),
        ({"X-API-Key": "a-key"}, 403, "admin_key_required"),
    ],
)
def test_only_admins_change_the_model(
    admin_service: Service, base_dir: Path, path: str, headers: dict[str, str], status: int, slug: str
) -> None:
    answer = admin_service.request("POST", path, json={"version": "1.0.0"}, headers=headers)

    assert (answer.status_code, answer.json()["error"]) == (status, slug)
    assert not (base_dir / "ACTIVE").exists()


@pytest.mark.parametrize("path", ["/model/activate", "/model/reload"])
def test_without_admin_keys_nobody_changes_the_model(service: Service, path: str) -> None:
    answer = service.request("POST", path, json={"version": "1.0.0"})

    assert (answer.status_code, answer.json()["error"]) == (403, "admin_disabled")


@pytest.mark.parametrize("path", ["/model/activate", "/model/reload"])
def test_the_model_is_changed_by_post_only(admin_service: Service, path: str) -> None:
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        answer = admin_service.request(method, path, headers=ADMIN)
        assert answer.status_code == 405
        assert answer.headers["allow"] == "POST"


def test_the_document_describes_the_changes_and_their_refusals(admin_service: Service) -> None:
    document = admin_service.get("/openapi.json").json()

    activate = document["paths"]["/model/activate"]["post"]
    assert activate["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/Activation")
    assert {"200", "401", "403", "409", "415", "422"} <= set(activate["responses"])
    for slug in ("model_refused", "model_pinned", "active_not_writable"):
        assert slug in activate["responses"]["409"]["description"]
    assert activate["security"] == [{"apiKey": []}, {"bearer": []}]
    assert {"200", "401", "403", "409"} <= set(document["paths"]["/model/reload"]["post"]["responses"])
