"""The files of a version by name: what is served, what its notebooks and scripts read, and what people do."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence

import joblib

from app.models.classifier import METADATA_NAME, TicketClassifier
from app.models.model_data import VOCABULARY_NAME, to_files
from app.models.reference import REFERENCE_NAME
from app.models.self_test import SELF_TEST_NAME, self_test_bytes
from app.training.files.reference import reference_of
from app.training.files.self_test_tickets import self_test_tickets
from app.training.files.vectorizer import to_scikit_learn_union
from app.training.fitting.design import FittedFeatures
from app.training.fitting.fit import FittedHead, to_scikit_learn
from app.training.fitting.fits import Chosen, senders_of
from app.training.measuring.label_errors import label_errors_csv
from app.training.report.findings import Findings
from app.training.report.model_card import CARD_NAME, model_card
from app.training.report.report import render_report
from app.training.thresholds.confidence_counts import COUNTS_NAME, counts_to_bytes
from app.training.thresholds.decide import HeadDecisions

METRICS_NAME = "metrics.json"


def version_files(
    findings: Findings,
    chosen: Chosen,
    fitted: FittedFeatures,
    heads: Sequence[FittedHead],
    decisions: Mapping[str, HeadDecisions],
) -> dict[str, bytes]:
    """Return all files but the manifest; the same findings give the same bytes, since no time of day is in them."""
    model = findings.model
    reference = reference_of(
        findings.tickets,
        findings.unseen,
        labels={head.name: head.labels for head in model.heads},
        senders=senders_of(findings.tickets, findings.partition)[: len(findings.tickets)],
        enough_senders=chosen.fitter.enough_senders,
        seed=findings.metadata["seed"],
    )
    # How a model answers the very tickets that it was fitted on says nothing of how it errs.
    reference = reference.without_confusion(
        {head for head, of_head in findings.metrics.items() if "described" in of_head}
    )
    predict_proba = TicketClassifier(model, findings.metadata).predict_proba
    return {
        **to_files(model),
        **_joblib_files(fitted, heads),
        METADATA_NAME: json_bytes(findings.metadata),
        METRICS_NAME: json_bytes(findings.metrics),
        "report.html": render_report(findings).encode(),
        CARD_NAME: model_card(findings.metadata, findings.metrics).encode(),
        "label_errors.csv": label_errors_csv(findings.suspects, findings.tickets, show_texts=findings.show_examples),
        COUNTS_NAME: counts_to_bytes({head: decided.counts for head, decided in decisions.items()}),
        REFERENCE_NAME: reference.to_bytes(),
        SELF_TEST_NAME: self_test_bytes(predict_proba, self_test_tickets(model)),
    }


def where_words_are(files: Iterable[str], *, show_examples: bool) -> str:
    """Return a sentence on which files of a version have words of its tickets in them, and which have tickets."""
    with_words = [VOCABULARY_NAME, SELF_TEST_NAME, *(name for name in files if name.endswith("_vectorizer.joblib"))]
    words = f"single words and pairs of words of the tickets are in {', '.join(with_words)} and report.html"
    if not show_examples:
        return f"{words}; no ticket is quoted"
    return f"{words}; tickets are quoted in report.html and label_errors.csv, which --no-examples keeps out"


def _joblib_files(fitted: FittedFeatures, heads: Sequence[FittedHead]) -> dict[str, bytes]:
    vectorizer = _joblib_bytes(to_scikit_learn_union(fitted))
    files = {}
    for head in heads:
        files[f"{head.name}_vectorizer.joblib"] = vectorizer
        files[f"{head.name}_model.joblib"] = _joblib_bytes(to_scikit_learn(head))
    return files


def _joblib_bytes(value: object) -> bytes:
    buffer = io.BytesIO()
    joblib.dump(value, buffer, compress=("zlib", 6))
    return buffer.getvalue()


def json_bytes(document: object) -> bytes:
    return (json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
