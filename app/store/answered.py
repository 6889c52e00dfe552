"""What had been answered, looked up for whoever judges it: by the id of the prediction, or the latest of a ticket."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from app.store.judgement import Answered, HeadAnswer, Remark
from app.store.tables import answers, predictions

if TYPE_CHECKING:
    from sqlalchemy import Connection


def find_answered(connection: Connection, remarks: Sequence[Remark]) -> list[Answered | None]:
    """Return the prediction that each of ``remarks`` is about, or None where there is none."""
    latest = _latest_of_tickets(connection, {remark.ticket_id for remark in remarks if remark.ticket_id is not None})
    ids = [remark.prediction_id or latest.get(remark.ticket_id or "") for remark in remarks]
    found = _by_id(connection, {prediction_id for prediction_id in ids if prediction_id is not None})
    return [found.get(prediction_id or "") for prediction_id in ids]


def _latest_of_tickets(connection: Connection, ticket_ids: Iterable[str]) -> dict[str, str]:
    rows = connection.execute(
        select(predictions.c.ticket_id, func.max(predictions.c.prediction_id).label("latest_id"))
        .where(predictions.c.ticket_id.in_(ticket_ids))
        .group_by(predictions.c.ticket_id)
    )
    return {row.ticket_id: row.latest_id for row in rows}


def _by_id(connection: Connection, prediction_ids: Iterable[str]) -> dict[str, Answered]:
    heads: dict[str, dict[str, HeadAnswer]] = defaultdict(dict)
    for row in connection.execute(select(answers).where(answers.c.prediction_id.in_(prediction_ids))):
        alternatives = tuple(other["label"] for other in json.loads(row.alternatives))
        heads[row.prediction_id][row.head] = HeadAnswer(row.label, row.decision, alternatives)
    columns = predictions.c
    rows = connection.execute(
        select(
            columns.prediction_id,
            columns.ticket_id,
            columns.model_version,
            columns.model_digest,
            columns.is_audit,
            columns.asked_chance,
        ).where(columns.prediction_id.in_(prediction_ids))
    )
    return {row.prediction_id: Answered(*row, heads=heads[row.prediction_id]) for row in rows}
