"""Bodies of feedback, asked and answered, as the OpenAPI document shows them."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from app.models.schemas import Label, Reviewer, TicketId, TicketText

MAX_FEEDBACK: Final = 1_000
# More than any model has.
_MAX_HEADS: Final = 100
_STRICT: Final = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)
_UUID: Final = "[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
_KEY: Final = "^[!-~]{1,255}$"
_LABELS: Final[dict[str, JsonValue]] = {"priority": "High"}

_is_uuid: Final = re.compile(_UUID).fullmatch
is_idempotency_key: Final = re.compile(_KEY.strip("^$").encode()).fullmatch


def _check_uuid(value: str) -> str:
    if not _is_uuid(value):
        raise PydanticCustomError("uuid", "must be a UUID")
    return value.lower()


Uuid = Annotated[str, Field(json_schema_extra={"pattern": f"^{_UUID}$"}), AfterValidator(_check_uuid)]


def _check_labels(value: object, check: ValidatorFunctionWrapHandler) -> object:
    try:
        return check(value)
    except ValidationError:
        # Its places are names that the caller made up.
        raise PydanticCustomError("labels", "must have heads and labels") from None


def _required(name: str, kind: str) -> dict[str, Any]:
    return {"required": [name], "properties": {name: {"type": kind}}}


class FeedbackParameters(BaseModel):
    """Which feedback is meant."""

    model_config = _STRICT

    feedback_id: Uuid


class FeedbackHeaders(BaseModel):
    """What may come beside the body."""

    idempotency_key: Annotated[str | None, Field(pattern=_KEY)] = Field(
        None, description="a repetition under the same key gets the first answer, and is kept once"
    )


class Feedback(BaseModel):
    """The right labels of one ticket: of a prediction, of the latest one of a ticket, or of a text."""

    model_config = _STRICT | ConfigDict(
        json_schema_extra={
            "anyOf": [
                _required("prediction_id", "string"),
                _required("ticket_id", "string"),
                _required("ticket", "object"),
            ],
            "not": {"allOf": [_required("prediction_id", "string"), _required("ticket_id", "string")]},
            "examples": [{"ticket_id": "4711", "labels": _LABELS}],
        }
    )

    prediction_id: Uuid | None = None
    ticket_id: TicketId | None = Field(None, description="the latest prediction of this ticket is meant")
    ticket: TicketText | None = Field(
        None, description="its text, for a ticket that was never classified here, or whose text is not kept"
    )
    labels: Annotated[dict[str, Label], Field(min_length=1, max_length=_MAX_HEADS), WrapValidator(_check_labels)] = (
        Field(description="the right label of each head that is judged")
    )
    source: Literal["review", "helpdesk", "api"] = "api"
    reviewer: Reviewer | None = Field(None, description="who says so; a reviewer's key says it by itself")
    allow_new_labels: bool = Field(default=False, description="take labels that the model does not have")

    @model_validator(mode="after")
    def _check_ticket(self) -> Self:
        if self.prediction_id is not None and self.ticket_id is not None:
            raise PydanticCustomError("two_tickets", "must have one id")
        if self.prediction_id is None and self.ticket_id is None and self.ticket is None:
            raise PydanticCustomError("no_ticket", "must name a ticket")
        return self


class FeedbackBatch(BaseModel):
    """Several feedbacks; each is validated, kept and answered by itself."""

    model_config = _STRICT | ConfigDict(
        json_schema_extra={"examples": [{"feedback": [{"ticket_id": "4711", "labels": _LABELS}]}]}
    )

    feedback: Annotated[list[Any], Field(min_length=1, max_length=MAX_FEEDBACK)] = Field(
        description="bodies as for POST /feedback"
    )


class FeedbackAnswer(BaseModel):
    """What is kept."""

    feedback_id: str
    prediction_id: str | None = Field(description="null when the ticket was never classified here")
    agreed: dict[str, bool] = Field(description="whether the answer of each judged head was right")


class FeedbackRefusal(BaseModel):
    """Why one feedback of a batch is not kept."""

    error: str
    detail: str


class FeedbackBatchAnswer(BaseModel):
    """One result for each feedback, in the order sent."""

    results: list[FeedbackAnswer | FeedbackRefusal]


class TakenBack(BaseModel):
    """A feedback that does not count any more."""

    feedback_id: str
    taken_back: Literal[True]


class TicketErased(BaseModel):
    """What a ticket has, all of it without text and e-mail address now."""

    n_predictions: int
    n_feedback: int
