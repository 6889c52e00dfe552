"""What was answered, from JSON into the tables: taken apart by the database, in one statement for each table."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy import text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from app.store.database import Database, Kind


class Record(NamedTuple):
    """What is remembered of an answer; a tuple, because frozen dataclasses take more than twice as long to make.

    ``worth`` is that of a person's judgement, None where nobody is asked. ``content`` is an object in JSON with the
    members of the answer, those of its ticket only where its text is kept, and ``received_ms``, ``model_digest``,
    ``is_audit`` and ``asked_chance``.
    """

    prediction_id: str
    worth: float | None
    content: str


# The two databases differ in how an array becomes rows. Materialized, a record is not made into text again for each of
# its members. The operators are the same in both; SQLite has them from 3.38 on.
_ROWS: Final[dict[Kind, str]] = {"sqlite": "json_each({})", "postgresql": "jsonb_array_elements(CAST({} AS jsonb))"}
_MEMBERS: Final[dict[Kind, str]] = {"sqlite": "json_each({})", "postgresql": "jsonb_each({})"}
# Of a ticket that was erased while its record waited, neither the text nor the question is kept.
_PREDICTIONS: Final = """
INSERT INTO predictions (
    prediction_id, ticket_id, received_ms, model_version, model_digest, is_audit, asked_chance,
    title, description, customer_email
)
WITH record AS MATERIALIZED (SELECT value FROM {records})
SELECT
    value ->> 'prediction_id', value ->> 'ticket_id', CAST(value ->> 'received_ms' AS BIGINT),
    value ->> 'model_version', value ->> 'model_digest',
    CAST(value ->> 'is_audit' AS BOOLEAN), CAST(value ->> 'asked_chance' AS FLOAT),
    CASE WHEN erased.ticket_id IS NULL THEN value ->> 'title' END,
    CASE WHEN erased.ticket_id IS NULL THEN value ->> 'description' END,
    CASE WHEN erased.ticket_id IS NULL THEN value ->> 'customer_email' END
FROM record
LEFT JOIN erased_tickets AS erased
    ON erased.ticket_id = value ->> 'ticket_id' AND erased.erased_until_ms >= CAST(value ->> 'received_ms' AS BIGINT)
WHERE true
ON CONFLICT DO NOTHING
"""
_ANSWERS: Final = """
INSERT INTO answers (prediction_id, head, label, confidence, decision, reasons, alternatives)
WITH record AS MATERIALIZED (SELECT value FROM {records}),
answer AS MATERIALIZED (
    SELECT record.value ->> 'prediction_id' AS prediction_id, head.key, head.value FROM record, {heads} AS head
)
SELECT
    prediction_id, key, value ->> 'label', CAST(value ->> 'confidence' AS FLOAT), value ->> 'decision',
    CAST(value -> 'reasons' AS TEXT), CAST(value -> 'alternatives' AS TEXT)
FROM answer
"""
_REVIEW_ITEMS: Final = """
INSERT INTO review_items (prediction_id, rank, is_open, leased_until_ms)
SELECT item.value ->> 0, -CAST(item.value ->> 1 AS FLOAT), true, 0 FROM {items} AS item
WHERE NOT EXISTS (
    SELECT 1 FROM predictions
    JOIN erased_tickets AS erased
        ON erased.ticket_id = predictions.ticket_id AND erased.erased_until_ms >= predictions.received_ms
    WHERE predictions.prediction_id = item.value ->> 0
)
"""
# From the rows, which takes a third of the time. In order, so that no two writers wait for each other's rows.
_ANSWER_COUNTS: Final = """
INSERT INTO answer_counts (day, model_version, model_digest, head, label, decision, n_answers)
SELECT
    received_ms / 86400000 AS day, model_version, model_digest, head, label, decision, count(*)
FROM {ids} AS id
JOIN predictions ON predictions.prediction_id = id.value ->> 0
JOIN answers ON answers.prediction_id = predictions.prediction_id
WHERE true
GROUP BY 1, 2, 3, 4, 5, 6
ORDER BY 1, 2, 3, 4, 5, 6
ON CONFLICT (model_digest, day, head, label, decision, model_version)
DO UPDATE SET n_answers = answer_counts.n_answers + excluded.n_answers
"""


def write_records(database: Database, records: Sequence[Record]) -> None:
    """Write all ``records`` or none; those that are there already, all of them, are not written again.

    Raise ``StoreUnavailableError``, after which they may be there or not, or an error of SQLAlchemy's that says which
    kind of refusal it was, and whose text may quote a record.
    """
    with database.writing(durable=False) as connection:
        write_records_within(connection, database.kind, records)


def write_records_within(connection: Connection, kind: Kind, records: Sequence[Record]) -> None:
    """Do what ``write_records`` does, as a part of a transaction."""
    arrays = {
        "records": f"[{','.join([record.content for record in records])}]",
        "ids": json.dumps([[record.prediction_id] for record in records]),
        "items": json.dumps([[record.prediction_id, record.worth] for record in records if record.worth is not None]),
    }
    rows, members = _ROWS[kind], _MEMBERS[kind]
    places = {name: rows.format(f":{name}") for name in arrays} | {
        "heads": members.format("record.value -> 'predictions'")
    }

    def execute(statement: str, array: str) -> int:
        return connection.execute(text(statement.format_map(places)), {array: arrays[array]}).rowcount

    # None are new when a connection broke while they were committed, and they are tried again.
    if execute(_PREDICTIONS, "records"):
        execute(_ANSWERS, "records")
        execute(_REVIEW_ITEMS, "items")
        execute(_ANSWER_COUNTS, "ids")
