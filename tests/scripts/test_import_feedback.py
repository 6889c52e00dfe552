"""``scripts/import_feedback.py``: a helpdesk's export becomes feedback, once, whoever sends it again."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from app.store.database import Database
from app.store.tables import feedback, judgements
from scripts.lib.feedback_rows import FeedbackRow, batches
from tests.conftest import StartProcess
from tests.processes import ROOT, ServiceProcess, free_port
from tests.scripts.conftest import RunScript, ScriptedService, WriteTickets

HEADS = {"priority": {"High": 9, "Low": 7}, "department": {"Sales": 8, "Tech Support": 8}}
TEXT = ("Server is down", "Main server offline all users impacted")


def serve(start_process: StartProcess, store_url: str) -> ServiceProcess:
    return start_process(
        MODELS_BASE_DIR=str(ROOT / "models"), STORE_URL=store_url, RATE_LIMIT_REQUESTS="1000000", AUDIT_SHARE="0"
    )


def classify(service: ServiceProcess, ticket_id: str) -> str:
    """Return the priority that was answered."""
    ticket = {"title": TEXT[0], "description": TEXT[1], "ticket_id": ticket_id}
    answer = httpx.post(f"{service.base_url}/classify", json=ticket, timeout=30)
    return str(answer.json()["predicted_priority"])


def kept(store_url: str) -> list[tuple[str, str, str, str, str | None]]:
    """Return ticket id, head, label, source and title of every judgement."""
    query = (
        select(feedback.c.ticket_id, judgements.c.head, judgements.c.label, feedback.c.source, feedback.c.title)
        .join(judgements, judgements.c.feedback_id == feedback.c.feedback_id)
        .order_by(feedback.c.feedback_id, judgements.c.head)
    )
    with contextlib.closing(Database(store_url)) as database, database.reading() as connection:
        return [tuple(row) for row in connection.execute(query)]


def test_an_export_is_kept_once_whoever_sends_it_again(
    start_process: StartProcess, store_url: str, run_script: RunScript, write_csv: WriteTickets
) -> None:
    service = serve(start_process, store_url)
    priority = classify(service, "T-1")
    classify(service, "T-2")
    export = write_csv(
        ["Key", "Prio", "Team"],
        [
            ["T-1", priority.lower(), ""],
            ["T-2", "low", "tech  support"],
            ["T-2", "Low", "Tech Support"],
            ["T-3", "", ""],
        ],
    )
    command = (
        "import_feedback", export, "--base-url", service.base_url,
        "--map", "id=Key", "--map", "priority=Prio", "--map", "department=Team",
    )  # fmt: skip

    first, second = run_script(*command), run_script(*command)

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "kept: the answer was right" in first.stdout
    assert "left out: said by an earlier row" in first.stdout
    assert "left out: no label" in first.stdout
    found = kept(store_url)
    assert [row[:4] for row in found] == [
        ("T-1", "priority", priority, "helpdesk"),
        ("T-2", "department", "Tech Support", "helpdesk"),
        ("T-2", "priority", "Low", "helpdesk"),
    ]


def test_with_its_text_a_ticket_that_was_never_classified_is_taken_and_without_it_refused(
    start_process: StartProcess, store_url: str, run_here: RunScript, tmp_path: Path
) -> None:
    service = serve(start_process, store_url)
    export = tmp_path / "export.jsonl"
    rows = [
        {"id": "N-1", "title": TEXT[0], "description": TEXT[1], "priority": "Low"},
        {"id": "N-2", "priority": "Low"},
        {"id": "N-3", "title": "x", "priority": "Purple"},
    ]
    export.write_text("".join(json.dumps(row) + "\n" for row in rows))

    done = run_here("import_feedback", export, "--base-url", service.base_url)
    again = run_here("import_feedback", export, "--base-url", service.base_url, "--allow-new-labels")

    assert done.returncode == 1, done.stderr
    for outcome in ("kept: never classified here", "refused: unknown_prediction", "refused: unknown_label"):
        assert outcome in done.stdout
    assert "row 3" in done.stdout
    assert "refused: unknown_label" not in again.stdout
    labels = {(ticket_id, label, title) for ticket_id, _, label, _, title in kept(store_url)}
    assert labels == {("N-1", "Low", TEXT[0]), ("N-3", "Purple", "x")}


@pytest.mark.parametrize(
    ("header", "arguments", "expected"),
    [
        (["Key", "priority"], (), "nothing names the tickets"),
        (["id", "Prio"], (), "no column for a head of the service"),
        (["id", "priority"], ("--map", "titel=x"), "there is no field"),
    ],
)
def test_a_file_that_does_not_fit_ends_with_exit_code_2_and_nothing_is_sent(
    run_here: RunScript, write_csv: WriteTickets, header: list[str], arguments: tuple[str, ...], expected: str
) -> None:
    export = write_csv(header, [["1", "Low"]])

    with ScriptedService([(200, {}, {})], metadata={"label_distributions": HEADS}) as service:
        done = run_here("import_feedback", export, "--base-url", service.base_url, *arguments)

    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert expected in done.stderr
    assert service.requests == []


def test_a_batch_that_is_not_taken_ends_the_command_and_says_from_which_row_on(
    run_here: RunScript, write_csv: WriteTickets
) -> None:
    export = write_csv(["id", "priority"], [[str(i), "low"] for i in range(501)])
    kept = {"results": [{"feedback_id": "x", "prediction_id": "y", "agreed": {"priority": False}}] * 500}

    with ScriptedService(
        [(200, {}, kept), (401, {}, {"error": "invalid_api_key", "detail": "a key is needed"})],
        metadata={"label_distributions": HEADS},
    ) as service:
        done = run_here("import_feedback", export, "--base-url", service.base_url)

    assert done.returncode == 1
    assert "rows from 502 on were not kept: 401 invalid_api_key: a key is needed" in done.stderr
    assert "kept: the answer was wrong" in done.stdout
    assert service.requests[0]["feedback"][0] == {"labels": {"priority": "Low"}, "source": "helpdesk", "ticket_id": "0"}
    assert len({headers["idempotency-key"] for headers in service.headers}) == 2


def test_a_service_that_is_not_there_and_a_key_that_is_not_there_are_said_in_one_line(
    run_here: RunScript, write_csv: WriteTickets
) -> None:
    export = write_csv(["id", "priority"], [["1", "Low"]])

    away = run_here("import_feedback", export, "--base-url", f"http://127.0.0.1:{free_port()}")
    without_key = run_here("import_feedback", export, "--api-key-env", "NO_SUCH_KEY")

    assert (away.returncode, away.stderr.count("\n")) == (1, 1)
    assert "does not answer" in away.stderr
    assert without_key.returncode == 2
    assert 'no key in "NO_SUCH_KEY"' in without_key.stderr


@given(st.lists(st.one_of(st.none(), st.integers(1, 300_000)), max_size=30), st.integers(0, 1200))
def test_batches_keep_the_order_and_no_batch_is_too_large(sizes: list[int | None], n_small: int) -> None:
    rows = [
        FeedbackRow(i, None if size is None else {"ticket": "x" * size})
        for i, size in enumerate([*sizes, *([1] * n_small)])
    ]

    found = list(batches(rows))

    assert [number for batch in found for number in batch.numbers] == [row.number for row in rows if row.document]
    for batch in found:
        assert 0 < len(batch.numbers) <= 500
        assert len(json.dumps(batch.document)) < 1 << 20
    assert len({batch.idempotency_key for batch in found}) == len(found) or len(sizes) + n_small > 500
