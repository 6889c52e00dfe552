from __future__ import annotations

import json
import re

from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import to_json

from app.models.classifier import Alternative, HeadPrediction, Prediction
from app.models.schemas import Classification, Ticket
from app.serving.classification_json import prediction_members, text_members

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
PROBABILITIES = st.floats(0, 1) | st.sampled_from([0.0, 1.0, 1e-5, 1e-6, 4e-7, 0.1 + 0.2])
PREDICTION_ID = "019e0f5e-7a1c-7000-9abc-0123456789ab"
EXPONENT = re.compile(r"(?<=confidence\":)[0-9.]+e-[0-9]+")
HEADS = st.builds(
    HeadPrediction,
    TEXTS,
    PROBABILITIES,
    st.sampled_from(["auto", "suggest", "review"]),
    st.lists(st.sampled_from(["below_threshold", "ambiguous"]), max_size=2, unique=True).map(tuple),
    st.lists(st.builds(Alternative, TEXTS, PROBABILITIES), max_size=3).map(tuple),
)
PREDICTIONS = st.builds(
    Prediction,
    st.dictionaries(st.sampled_from(["priority", "department"]) | TEXTS, HEADS, max_size=3),
    st.integers(0, 9),
    st.integers(0, 9),
)


def document(ticket: Ticket, prediction: Prediction, version: str) -> dict[str, object]:
    """Return the answer as the schema has it, built field by field."""
    priority, department = prediction.heads.get("priority"), prediction.heads.get("department")
    return {
        "title": ticket.title,
        "description": ticket.description,
        "customer_email": ticket.customer_email,
        "prediction_id": PREDICTION_ID,
        "ticket_id": ticket.ticket_id,
        "predicted_priority": priority and priority.label,
        "predicted_department": department and department.label,
        "priority_confidence": None if priority is None else round(priority.confidence, 6),
        "department_confidence": None if department is None else round(department.confidence, 6),
        "model_version": version,
        "needs_review": any(head.decision == "review" for head in prediction.heads.values()),
        "predictions": {
            name: {
                "label": head.label,
                "confidence": round(head.confidence, 6),
                "decision": head.decision,
                "reasons": list(head.reasons),
                "alternatives": [
                    {"label": other.label, "confidence": round(other.confidence, 6)} for other in head.alternatives
                ],
            }
            for name, head in prediction.heads.items()
        },
    }


@given(
    title=TEXTS,
    description=TEXTS,
    email=st.none() | st.just("änne@example.com"),
    ticket_id=st.none() | TEXTS,
    prediction=PREDICTIONS,
    version=st.sampled_from(["1.0.0", "1.10.0-rc.1"]),
)
def test_the_answer_has_the_bytes_of_the_standard_encoder_and_the_fields_of_the_schema(
    title: str, description: str, email: str | None, ticket_id: str | None, prediction: Prediction, version: str
) -> None:
    ticket = Ticket.model_construct(title=title, description=description, customer_email=email, ticket_id=ticket_id)
    expected = document(ticket, prediction, version)

    members = prediction_members(prediction, prediction_id=PREDICTION_ID, ticket_id=ticket_id, version=version)
    written = f"{{{text_members(ticket)},{members}}}"

    assert Classification.model_validate_json(written).model_dump(mode="json") == expected
    # Encoders give very small numbers an exponent, and differ in its form.
    plain = json.dumps(expected, ensure_ascii=False, separators=(",", ":"))
    assert EXPONENT.sub(lambda number: f"{float(number[0]):.6f}".rstrip("0"), plain) == written
    assert json.loads(written) == json.loads(to_json(expected))
