"""Promises in one process: what audits say is shown, recorded once, acted on, and begins anew when it should."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.keys import hash_key
from app.serving.registry import LoadedModel
from app.store.ids import new_id
from tests.feedback.judged import add_audits, write_promising
from tests.in_process import TICKET

if TYPE_CHECKING:
    from pathlib import Path

    from app.store.database import Database
    from tests.conftest import StartService, WriteModel
    from tests.in_process import Service

ADMIN_KEY = "the-admin's-key"
ADMIN = {"X-API-Key": ADMIN_KEY}
_OPEN_SECONDS: Final = 60


@pytest.fixture
def service(start_service: StartService, promising_dir: Path, store_url: str, database: Database) -> Service:  # noqa: ARG001 - the tables are there
    return start_promising(start_service, promising_dir, store_url)


def start_promising(start_service: StartService, models: Path, store_url: str, **settings: object) -> Service:
    service = start_service(
        models_base_dir=str(models), store_url=store_url, admin_api_keys=[hash_key(ADMIN_KEY)], **settings
    )
    store = service.state["store"]
    deadline = time.monotonic() + _OPEN_SECONDS
    while store is not None and not store.is_reachable and "nowhere" not in store_url:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return service


def digest_of(service: Service) -> str:
    model: LoadedModel = service.state["registry"].current
    return model.model_digest


def promises(service: Service) -> dict[tuple[str, str | None], dict[str, Any]]:
    response = service.get("/model/promises")
    assert response.status_code == 200, response.text
    return {(promise["head"], promise["label"]): promise for promise in response.json()["promises"]}


def states(service: Service) -> dict[tuple[str, str | None], str]:
    return {of: promise["state"] for of, promise in promises(service).items() if promise["state"] != "unproven"}


def answered(service: Service, head: str = "priority") -> dict[str, Any]:
    prediction: dict[str, Any] = service.classify(TICKET).json()["predictions"][head]
    return prediction


def break_promise(service: Service, database: Database) -> str:
    """Let twenty audits of the priority that the ticket gets be wrong; return the label."""
    label = str(answered(service)["label"])
    add_audits(database, digest_of(service), [False] * 20, label=label)
    return label


def test_a_version_promises_for_each_head_and_each_of_its_labels(service: Service) -> None:
    found = promises(service)

    assert set(found) == {
        *(("priority", label) for label in (None, "High", "Low", "Medium", "Urgent")),
        *(("department", label) for label in (None, "Billing", "Sales", "Tech Support")),
    }
    assert found["priority", None] == {
        "version": "1.0.0",
        "head": "priority",
        "label": None,
        "target": 0.95,
        "n_auto": 0,
        "n_audited": 0,
        "n_right": 0,
        "precision": None,
        "interval": [0, 1],
        "e_value": 1,
        "state": "unproven",
        "since": None,
    }


def test_audits_are_counted_for_the_label_and_for_the_head(service: Service, database: Database) -> None:
    add_audits(database, digest_of(service), [True, True, True, False], label="High")
    add_audits(database, digest_of(service), [True], label="Low")

    found = promises(service)

    counted = {of: (found[of]["n_audited"], found[of]["n_right"], found[of]["precision"]) for of in found}
    assert counted["priority", "High"] == (4, 3, 0.75)
    assert counted["priority", "Low"] == (1, 1, 1)
    assert counted["priority", None] == (5, 4, 0.8)
    assert counted["department", None] == (0, 0, None)
    low, high = found["priority", "High"]["interval"]
    assert 0 < low < 0.75 < high < 1


def test_a_label_whose_promise_is_broken_is_suggested_and_says_why(service: Service, database: Database) -> None:
    before = answered(service)
    label = break_promise(service, database)
    assert before["decision"] == "auto"

    assert states(service) == {("priority", label): "broken"}
    after = answered(service)
    assert (after["decision"], after["reasons"]) == ("suggest", ["promise_broken"])
    assert {**after, "decision": "auto", "reasons": []} == before
    metric = f'ticket_predictions_total{{decision="suggest",head="priority",label="{label}"}} 1.0'
    assert metric in service.get("/metrics").text


def test_what_is_withdrawn_is_so_in_batches_too(service: Service, database: Database) -> None:
    break_promise(service, database)
    promises(service)

    answer = service.request("POST", "/classify/batch", json={"tickets": [dict(TICKET)] * 3}).json()

    assert [result["predictions"]["priority"]["decision"] for result in answer["results"]] == ["suggest"] * 3


def test_a_head_that_is_broken_as_a_whole_withdraws_all_its_labels(service: Service, database: Database) -> None:
    answer = answered(service)
    others = [label for label in ("High", "Low", "Medium", "Urgent") if label != answer["label"]]
    for label in others:
        # Too few to break the promise of a label.
        add_audits(database, digest_of(service), [False, False], label=label)

    assert states(service) == {("priority", None): "broken"}
    assert answered(service)["decision"] == "suggest"


def test_a_label_that_is_broken_spoils_no_other(service: Service, database: Database) -> None:
    add_audits(database, digest_of(service), [True] * 40, label="Low")
    label = break_promise(service, database)

    assert states(service) == {("priority", label): "broken"}
    assert promises(service)["priority", None]["n_audited"] == 40
    body = {"head": "priority", "label": label}
    assert service.request("POST", "/model/promises/reset", headers=ADMIN, json=body).status_code == 200
    # The head does not break by what the reset has let go.
    assert states(service) == {}
    assert promises(service)["priority", None]["n_audited"] == 40


def test_what_is_broken_stays_so_when_later_audits_are_right(service: Service, database: Database) -> None:
    label = break_promise(service, database)
    since = promises(service)["priority", label]["since"]
    add_audits(database, digest_of(service), [True] * 2_000, label=label)

    promise = promises(service)["priority", label]

    assert (promise["state"], promise["since"]) == ("broken", since)
    assert promise["e_value"] < 1


def test_a_promise_that_audits_prove_is_kept(service: Service, database: Database) -> None:
    add_audits(database, digest_of(service), [True] * 300)

    assert states(service) == {("priority", "High"): "kept", ("priority", None): "kept"}


def test_a_promise_that_is_kept_may_become_unproven_and_broken(
    service: Service, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    seen = []
    with caplog.at_level(logging.INFO, logger="app.feedback.standing"):
        for rights in ([True] * 140, [False] * 2, [False] * 30):
            add_audits(database, digest_of(service), rights)
            seen.append(promises(service)["priority", "High"]["state"])

    assert seen == ["kept", "unproven", "broken"]
    said = [(r.levelname, r.getMessage()) for r in caplog.records if getattr(r, "label", None) == "High"]
    assert said == [
        ("INFO", "a promised precision is kept"),
        ("INFO", "a promised precision is not proven any more"),
        ("WARNING", "a promised precision is broken"),
    ]


def test_a_reset_lets_all_promises_begin_anew(service: Service, database: Database) -> None:
    label = break_promise(service, database)
    assert states(service)["priority", label] == "broken"
    stale = new_id()

    response = service.request("POST", "/model/promises/reset", headers=ADMIN)

    assert response.status_code == 200
    assert response.json() == service.get("/model/promises").json()
    assert states(service) == {}
    assert promises(service)["priority", label]["n_audited"] == 0
    assert promises(service)["priority", label]["since"] is not None
    assert answered(service)["decision"] == "auto"
    # What was answered before the reset counts no more when it is judged after it.
    add_audits(database, digest_of(service), [False], label=label, prediction_id=stale)
    assert promises(service)["priority", label]["n_audited"] == 0
    add_audits(database, digest_of(service), [False], label=label)
    assert promises(service)["priority", label]["n_audited"] == 1


@pytest.mark.parametrize(
    ("body", "begun"),
    [
        ({"head": "priority", "label": "High"}, {("priority", "High")}),
        ({"head": "priority"}, {("priority", label) for label in (None, "High", "Low", "Medium", "Urgent")}),
    ],
)
def test_a_reset_may_be_of_a_head_or_of_a_label(
    service: Service, database: Database, body: dict[str, str], begun: set[tuple[str, str | None]]
) -> None:
    add_audits(database, digest_of(service), [True], head="department", label="Sales")

    response = service.request("POST", "/model/promises/reset", headers=ADMIN, json=body)

    assert response.status_code == 200
    assert {of for of, promise in promises(service).items() if promise["since"] is not None} == begun
    assert promises(service)["department", "Sales"]["n_audited"] == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"head": "nothing"}, "head"),
        ({"head": "priority", "label": "nothing"}, "label"),
        ({"label": "High"}, "head"),
        ({"head": 1}, "head"),
        ({"heads": "priority"}, "(unknown field)"),
    ],
)
def test_a_reset_of_what_is_not_promised_is_refused(service: Service, body: dict[str, object], field: str) -> None:
    response = service.request("POST", "/model/promises/reset", headers=ADMIN, json=body)

    assert (response.status_code, response.json()["error"]) == (422, "validation_failed")
    assert [error["field"] for error in response.json()["errors"]] == [field]


def test_a_reset_asks_for_an_admin(service: Service) -> None:
    assert service.request("POST", "/model/promises/reset").status_code == 401


def test_other_thresholds_and_other_versions_begin_anew(
    service: Service, database: Database, promising_dir: Path, write_model: WriteModel
) -> None:
    label = break_promise(service, database)
    assert states(service)["priority", label] == "broken"
    write_promising(write_model, promising_dir, promised={"priority": 0.9, "department": None})

    assert service.request("POST", "/model/reload", headers=ADMIN).status_code == 200

    assert {promise["target"] for promise in promises(service).values()} == {0.9}
    assert {head for head, _ in promises(service)} == {"priority"}
    assert states(service) == {}
    assert answered(service)["decision"] == "auto"


def test_a_version_that_was_withdrawn_is_so_when_it_comes_back(
    service: Service, database: Database, promising_dir: Path, write_model: WriteModel
) -> None:
    break_promise(service, database)
    promises(service)
    write_promising(write_model, promising_dir, "1.1.0")
    for version, decision in (("1.1.0", "auto"), ("1.0.0", "suggest")):
        body = {"version": version}
        assert service.request("POST", "/model/activate", headers=ADMIN, json=body).status_code == 200
        assert answered(service)["decision"] == decision


def test_a_version_of_before_promises_nothing(start_service: StartService, models_dir: Path, store_url: str) -> None:
    service = start_promising(start_service, models_dir, store_url)

    assert promises(service) == {}


def test_an_observing_keeper_shows_what_is_broken_and_withdraws_nothing(
    start_service: StartService, promising_dir: Path, store_url: str, database: Database
) -> None:
    service = start_promising(start_service, promising_dir, store_url, promise_keeper="observe")
    label = break_promise(service, database)

    assert states(service)["priority", label] == "broken"
    assert answered(service)["decision"] == "auto"


def test_without_a_keeper_nothing_is_promised(
    start_service: StartService, promising_dir: Path, store_url: str, database: Database
) -> None:
    service = start_promising(start_service, promising_dir, store_url, promise_keeper="off")
    break_promise(service, database)

    assert promises(service) == {}
    assert service.request("POST", "/model/promises/reset", headers=ADMIN).status_code == 200
    assert answered(service)["decision"] == "auto"


@pytest.mark.parametrize(("method", "path"), [("GET", "/model/promises"), ("POST", "/model/promises/reset")])
@pytest.mark.parametrize(("where", "error"), [("off", "store_off"), ("sqlite:////nowhere/s.db", "store_unavailable")])
def test_without_a_store_promises_are_not_known(
    start_service: StartService, promising_dir: Path, method: str, path: str, where: str, error: str
) -> None:
    service = start_promising(start_service, promising_dir, where)

    response = service.request(method, path, headers=ADMIN)

    assert (response.status_code, response.json()["error"]) == (503, error)
    assert int(response.headers["Retry-After"]) > 0
    assert answered(service)["decision"] == "auto"


def test_a_process_that_starts_while_the_store_is_away_goes_on_from_what_the_metrics_directory_knows(
    start_service: StartService, promising_dir: Path, store_url: str, database: Database, tmp_path: Path
) -> None:
    metrics_dir = str(tmp_path / "metrics")
    service = start_promising(start_service, promising_dir, store_url, metrics_dir=metrics_dir)
    break_promise(service, database)
    promises(service)

    later = start_promising(start_service, promising_dir, "sqlite:////nowhere/s.db", metrics_dir=metrics_dir)

    assert later.get("/model/promises").status_code == 503
    assert (answered(later)["decision"], answered(later)["reasons"]) == ("suggest", ["promise_broken"])


def test_the_metrics_tell_of_each_promise(service: Service, database: Database) -> None:
    add_audits(database, digest_of(service), [False] * 20, label="High")
    expected = promises(service)["priority", "High"]

    shown = {
        family.name: {tuple(sample.labels.values()): sample.value for sample in family.samples}
        for family in text_string_to_metric_families(service.get("/metrics").text)
        if family.name.startswith("ticket_promise_")
    }

    assert {name.removeprefix("ticket_promise_"): values["priority", "High"] for name, values in shown.items()} == {
        "state": -1,
        "target": 0.95,
        "audits": 20,
        "precision": 0,
        "precision_lower": 0,
        "precision_upper": pytest.approx(expected["interval"][1], abs=1e-4),
        "e_value": pytest.approx(expected["e_value"], rel=1e-3),
    }
    assert shown["ticket_promise_state"]["department", ""] == 0
    assert ("department", "") not in shown["ticket_promise_precision"]
    assert ("department", "Sales") not in shown["ticket_promise_state"]
