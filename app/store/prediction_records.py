"""What was answered, from JSON into the tables: taken apart by the database, in one statement for each table.

A record is an object with the members of an answer, those of its ticket only where its text is kept, and beside them
``received_ms``, ``model_digest``, ``is_audit``, ``asked_chance`` and ``worth``, which is null where no person is asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.store.database import Database, Kind

# The two databases differ in how an array becomes rows. Materialized, a record is not made into text again for each of
# its members. The operators are the same in both; SQLite has them from 3.38 on.
_RECORDS: Final[dict[Kind, str]] = {
    "sqlite": "WITH record AS MATERIALIZED (SELECT value FROM json_each(:records))",
    "postgresql": "WITH record AS MATERIALIZED (SELECT value FROM jsonb_array_elements(CAST(:records AS jsonb)))",
}
_HEADS: Final[dict[Kind, str]] = {
    "sqlite": "json_each(record.value, '$.predictions') AS answer",
    "postgresql": "jsonb_each(record.value -> 'predictions') AS answer",
}
_PREDICTIONS: Final = """
INSERT INTO predictions (
    prediction_id, ticket_id, received_ms, model_version, model_digest, is_audit, asked_chance,
    title, description, customer_email
)
{records}
SELECT
    value ->> 'prediction_id', value ->> 'ticket_id', CAST(value ->> 'received_ms' AS BIGINT),
    value ->> 'model_version', value ->> 'model_digest',
    CAST(value ->> 'is_audit' AS BOOLEAN), CAST(value ->> 'asked_chance' AS FLOAT),
    value ->> 'title', value ->> 'description', value ->> 'customer_email'
FROM record
WHERE true
ON CONFLICT DO NOTHING
"""
_ANSWERS: Final = """
INSERT INTO answers (prediction_id, head, label, confidence, decision, reasons, alternatives)
{records}
SELECT
    record.value ->> 'prediction_id', answer.key, answer.value ->> 'label',
    CAST(answer.value ->> 'confidence' AS FLOAT), answer.value ->> 'decision',
    CAST(answer.value -> 'reasons' AS TEXT), CAST(answer.value -> 'alternatives' AS TEXT)
FROM record, {heads}
"""
_REVIEW_ITEMS: Final = """
INSERT INTO review_items (prediction_id, rank, is_open, leased_until_ms)
{records}
SELECT value ->> 'prediction_id', -CAST(value ->> 'worth' AS FLOAT), true, 0
FROM record
WHERE value ->> 'worth' IS NOT NULL
"""
# From the rows, which takes half as long as from JSON. In order, so that two writers never wait for each other's rows.
_ANSWER_COUNTS: Final = """
INSERT INTO answer_counts (day, model_version, model_digest, head, label, decision, n_answers)
{records}
SELECT
    received_ms / 86400000 AS day, model_version, model_digest, head, label, decision, count(*)
FROM record
JOIN predictions ON predictions.prediction_id = value ->> 'prediction_id'
JOIN answers ON answers.prediction_id = predictions.prediction_id
WHERE true
GROUP BY 1, 2, 3, 4, 5, 6
ORDER BY 1, 2, 3, 4, 5, 6
ON CONFLICT (model_digest, day, head, label, decision, model_version)
DO UPDATE SET n_answers = answer_counts.n_answers + excluded.n_answers
"""


def write_records(database: Database, records: Sequence[str]) -> None:
    """Write all ``records`` or none; those that are there already, all of them, are not written again.

    Raise ``StoreUnavailableError``, after which they may be there or not, or an error of SQLAlchemy's that says which
    kind of refusal it was, and whose text may quote a record.
    """
    parameters = {"records": f"[{','.join(records)}]"}
    parts = {"records": _RECORDS[database.kind], "heads": _HEADS[database.kind]}
    with database.writing(durable=False) as connection:
        n_new = connection.execute(text(_PREDICTIONS.format_map(parts)), parameters).rowcount
        # None are new when a connection broke while they were committed, and they are tried again.
        if n_new:
            for statement in (_ANSWERS, _REVIEW_ITEMS, _ANSWER_COUNTS):
                connection.execute(text(statement.format_map(parts)), parameters)
