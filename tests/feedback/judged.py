"""Models that promise something, and audits of their answers, written into a store as if people had judged them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sqlalchemy import insert

from app.models.artifacts import write_version
from app.models.classifier import METADATA_NAME, PROMISED_PRECISION
from app.store.ids import new_id
from app.store.tables import feedback, judgements
from tests.conftest import DEFAULT_HEADS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from app.store.database import Database
    from tests.conftest import WriteModel

WRONG = "Something else"


def write_promising(
    write_model: WriteModel,
    models_dir: Path,
    version: str = "1.0.0",
    promised: Mapping[str, float | None] | None = None,
) -> Path:
    """Write a version that promises a precision of 0.95 for both heads, or what is ``promised``."""
    return let_promise(write_model(models_dir, version), promised)


def let_promise(directory: Path, promised: Mapping[str, float | None] | None = None) -> Path:
    """Write a version again with a promise of 0.95 for both heads, or what is ``promised``."""
    files = {path.name: path.read_bytes() for path in directory.iterdir() if path.name != "manifest.json"}
    metadata = json.loads(files[METADATA_NAME])
    metadata[PROMISED_PRECISION] = dict.fromkeys(DEFAULT_HEADS, 0.95) if promised is None else dict(promised)
    write_version(directory, files | {METADATA_NAME: json.dumps(metadata).encode()}, force=True)
    return directory


def add_audits(
    database: Database,
    digest: str,
    rights: Iterable[bool],
    *,
    head: str = "priority",
    label: str = "High",
    prediction_id: str | None = None,
    is_audit: bool = True,
) -> list[str]:
    """Judge answers of ``label``, each a new one unless ``prediction_id`` is given; return the ids of the feedback."""
    ids = []
    said, judged = [], []
    for is_right in rights:
        answered, feedback_id = prediction_id or new_id(), new_id()
        ids.append(feedback_id)
        said.append({"feedback_id": feedback_id, "prediction_id": answered, "received_ms": 0, "source": "review"})
        judged.append(
            {
                "feedback_id": feedback_id,
                "head": head,
                "label": label if is_right else WRONG,
                "predicted_label": label,
                "predicted_decision": "auto",
                "model_version": "1.0.0",
                "model_digest": digest,
                "is_audit": is_audit,
                "asked_chance": 0.05,
            }
        )
    with database.writing() as connection:
        connection.execute(insert(feedback), said)
        connection.execute(insert(judgements), judged)
    return ids
