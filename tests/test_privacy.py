"""What people write is where docs/security.md says, and nowhere else, and is erased when that is asked for."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import httpx
import pytest
from sqlalchemy import cast, select
from sqlalchemy.types import Text

from app.store.database import Database
from app.store.tables import metadata

if TYPE_CHECKING:
    from tests.conftest import StartProcess

TEXT, TICKET_ID, REVIEWER, KEY = "canary-text", "canary/ticket", "canary-reviewer", "canary-key"
TICKET = {
    "title": f"{TEXT} title",
    "description": f"{TEXT} description " * 300,
    "customer_email": f"{TEXT}@example.com",
}
OWN_TEXT = {"title": f"{TEXT} of feedback", "description": ""}
LABELS = {"priority": "High"}
REFUSED = (
    {"ticket_id": f"{TICKET_ID}\n", "labels": LABELS},
    {"ticket_id": TICKET_ID, "labels": {"priority": TEXT}},
    {"ticket_id": TICKET_ID, "labels": {TEXT: "High"}},
    {"ticket_id": TICKET_ID, "labels": {TEXT: 1}},
    {"ticket_id": TICKET_ID, "labels": LABELS, TEXT: TEXT},
    {"ticket_id": TICKET_ID, "labels": LABELS, "source": TEXT},
    {"ticket_id": TICKET_ID, "labels": LABELS, "reviewer": f"{REVIEWER}\n"},
    {"ticket_id": f"{TICKET_ID} unknown", "labels": LABELS},
    {"prediction_id": TEXT, "labels": LABELS},
    {"ticket": {"title": f"{TEXT}\0"}, "labels": LABELS},
    [TEXT],
)


def contents_of(database: Database) -> str:
    """Return all that any column of any table has, as text."""
    with database.reading() as connection:
        return "\n".join(
            repr(row)
            for table in metadata.tables.values()
            for row in connection.execute(select(*[cast(column, Text) for column in table.columns]))
        )


def send_everything(client: httpx.Client) -> list[httpx.Response]:
    """Classify and judge with canaries in every place; return the answers that refuse something."""
    client.post("/classify", json=TICKET | {"ticket_id": TICKET_ID}).raise_for_status()
    for number, said in enumerate(({"reviewer": REVIEWER}, {"ticket": OWN_TEXT})):
        body = {"ticket_id": TICKET_ID, "labels": LABELS, **said}
        answer = client.post("/feedback", json=body, headers={"Idempotency-Key": f"{KEY}{number}"})
        assert answer.status_code == httpx.codes.CREATED, answer.text
        assert answer.json()["prediction_id"] is not None
    refusals = [client.post("/feedback", json=body) for body in REFUSED]
    headers = {"Content-Type": "application/json", "Idempotency-Key": f"{KEY} {KEY}"}
    refusals.append(client.post("/feedback", json={"ticket": OWN_TEXT, "labels": LABELS}, headers=headers))
    refusals.append(client.post("/feedback", content=f'{{"{TEXT}'.encode(), headers=headers))
    refusals += [client.delete(f"/feedback/{TEXT}"), client.delete(f"/tickets/{TICKET_ID}\u202e")]
    batch = client.post("/feedback/batch", json={"feedback": list(REFUSED)})
    assert {"error" in result for result in batch.json()["results"]} == {True}
    assert {refusal.status_code for refusal in refusals} == {404, 422}
    return [*refusals, batch]


@pytest.mark.parametrize("keeps_text", ["all", "none"])
def test_canaries_in_every_field_are_where_they_belong_until_they_are_erased(
    start_process: StartProcess, store_url: str, keeps_text: str
) -> None:
    admin = hashlib.sha256(b"admin").hexdigest()
    process = start_process("--workers", "2", STORE_URL=store_url, STORE_TEXT=keeps_text, ADMIN_API_KEYS=admin)
    database = Database(store_url)
    with httpx.Client(base_url=process.base_url, headers={"X-API-Key": "admin"}, timeout=60) as client:
        refusals = send_everything(client)
        kept = contents_of(database)
        erased = client.delete(f"/tickets/{TICKET_ID}")
        metrics = client.get("/metrics").text

        assert erased.json() == {"n_predictions": 1, "n_feedback": 2}
        left = contents_of(database)
        files = files_of(database)
    process.stop()

    for refusal in refusals:
        assert "canary" not in refusal.text
    assert "canary" not in process.log()
    assert "canary" not in metrics
    assert KEY not in kept
    assert (TEXT in kept) == (keeps_text == "all")
    assert REVIEWER in left
    assert TEXT not in left
    assert [name for name, content in files.items() if TEXT.encode() in content or KEY.encode() in content] == []
    database.close()


def files_of(database: Database) -> dict[str, bytes]:
    """Return the bytes of SQLite's files, while they are in use; of Postgres none, which docs/security.md tells of."""
    if database.path is None:
        return {}
    return {path.name: path.read_bytes() for path in database.path.parent.glob(f"{database.path.name}*")}
