"""Request and response bodies, as the OpenAPI document shows them; only ``app.web.api`` imports them."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator
from pydantic_core import PydanticCustomError

from app.models.versions import VERSION_PATTERN, VersionName

MAX_TITLE_CHARACTERS: Final = 300
MAX_DESCRIPTION_CHARACTERS: Final = 20_000
MAX_EMAIL_CHARACTERS: Final = 254
MAX_TICKET_ID_CHARACTERS: Final = 128
MAX_VERSION_CHARACTERS: Final = 100
MAX_LABEL_CHARACTERS: Final = 200
MAX_REVIEWER_CHARACTERS: Final = 128

_NO_NUL: Final = {"pattern": "^[^\\u0000]*$"}
# RFC 5321's dot-string local part and a domain of at least two labels; letters beyond ASCII as in RFC 6531.
_EMAIL: Final = (
    r"^[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\uFFFD-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\uFFFD-]+)*"
    r"@([A-Za-z0-9\u0080-\uFFFD]([A-Za-z0-9\u0080-\uFFFD-]*[A-Za-z0-9\u0080-\uFFFD])?\.)+"
    r"[A-Za-z0-9\u0080-\uFFFD]([A-Za-z0-9\u0080-\uFFFD-]*[A-Za-z0-9\u0080-\uFFFD])?$"
)
# Neither control characters nor what looks like nothing or turns the direction of the text: of spaces, only the usual.
_PRINTABLE: Final = (
    r"^[^\u0000-\u001f\u007f-\u00a0\u00ad\u061c\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f"
    r"\u3000\ufeff\ufff9-\ufffb]+$"
)
_IS_PRINTABLE: Final = re.compile(_PRINTABLE).fullmatch


def _check_printable(value: str) -> str:
    if not _IS_PRINTABLE(value):
        raise PydanticCustomError("not_printable", "must have printable characters only")
    return value


Title = Annotated[str, Field(max_length=MAX_TITLE_CHARACTERS, json_schema_extra=_NO_NUL)]
Description = Annotated[str, Field(max_length=MAX_DESCRIPTION_CHARACTERS, json_schema_extra=_NO_NUL)]
Email = Annotated[str, StringConstraints(max_length=MAX_EMAIL_CHARACTERS, pattern=_EMAIL)]
TicketId = Annotated[
    str,
    Field(min_length=1, max_length=MAX_TICKET_ID_CHARACTERS, json_schema_extra={"pattern": _PRINTABLE}),
    AfterValidator(_check_printable),
]
Label = Annotated[
    str,
    Field(min_length=1, max_length=MAX_LABEL_CHARACTERS, json_schema_extra={"pattern": _PRINTABLE}),
    AfterValidator(_check_printable),
]
Reviewer = Annotated[
    str,
    Field(min_length=1, max_length=MAX_REVIEWER_CHARACTERS, json_schema_extra={"pattern": _PRINTABLE}),
    AfterValidator(_check_printable),
]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class _Response(BaseModel):
    # The fields are always there, so the schema says that they are required in answers.
    model_config = ConfigDict(protected_namespaces=(), json_schema_serialization_defaults_required=True)


class TicketText(_Request):
    """What is written in a ticket; without a description it has a title only. They may not both be blank."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"properties": {"title": {"pattern": "\\S"}}},
                {"properties": {"description": {"pattern": "\\S"}}, "required": ["description"]},
            ],
            "examples": [{"title": "Server is down", "description": "Main server offline all users impacted"}],
        }
    )

    title: Title
    description: Description = ""

    @model_validator(mode="after")
    def _check_texts(self) -> Self:
        if "\0" in self.title or "\0" in self.description:
            raise PydanticCustomError("nul_character", "title and description must not contain NUL characters")
        if not (self.title and not self.title.isspace()) and not (self.description and not self.description.isspace()):
            raise PydanticCustomError("blank_ticket", "title and description must not both be blank")
        return self


class Ticket(TicketText):
    """One ticket; without a description it has a title only. They may not both be blank."""

    customer_email: Email | None = None
    ticket_id: TicketId | None = Field(None, description="the caller's own; several predictions may have the same")


class Activation(_Request):
    """Which version is to serve."""

    version: Annotated[
        str,
        Field(
            max_length=MAX_VERSION_CHARACTERS, json_schema_extra={"pattern": f"^{VERSION_PATTERN}$"}, examples=["1.2.0"]
        ),
    ]

    @field_validator("version")
    @classmethod
    def _check_version(cls, value: str) -> str:
        try:
            return str(VersionName.parse(value))
        except ValueError:
            raise PydanticCustomError("model_version", "must be MAJOR.MINOR.PATCH") from None


class AlternativeBody(_Response):
    """Another label of the head."""

    label: str
    confidence: float = Field(ge=0, le=1)


class HeadPredictionBody(_Response):
    """What one head says."""

    label: str
    confidence: float = Field(ge=0, le=1, description="calibrated probability of the label")
    decision: Literal["auto", "suggest", "review"]
    reasons: list[str] = Field(description="why the decision is not auto")
    alternatives: list[AlternativeBody] = Field(description="the next labels, most probable first")


class Classification(_Response):
    """The ticket as it was sent, and what the model says of it."""

    title: str
    description: str
    customer_email: str | None
    prediction_id: str = Field(description="UUID version 7: later answers of a process have greater ones")
    ticket_id: str | None = Field(description="as sent")
    predicted_priority: str | None = Field(description="null when the model has no such head")
    predicted_department: str | None = Field(description="null when the model has no such head")
    priority_confidence: float | None
    department_confidence: float | None
    model_version: str
    needs_review: bool = Field(description="true when any head says review")
    predictions: dict[str, HeadPredictionBody] = Field(description="every head of the model")


class BatchClassification(_Response):
    """One result for each ticket, in the order sent."""

    results: list[Classification]


class ErrorBody(_Response):
    """Every error of every route."""

    detail: str
    code: str = Field(pattern="^HTTP_[0-9]{3}$")
    error: str = Field(description="stable slug, explained in docs/errors.md")
    request_id: str


class FieldErrorBody(_Response):
    """What is wrong with one field, without what was sent."""

    field: str
    message: str


class ValidationErrorBody(ErrorBody):
    """An error with its fields."""

    errors: list[FieldErrorBody]


class Status(_Response):
    """Health, in one word and in a sentence."""

    status: str
    message: str


class Version(_Response):
    """What runs; ``model_version`` is what is loaded, never what was asked for."""

    api_version: str
    model_version: str | None
    model_loaded: bool
    degraded: bool
    model_metadata: dict[str, Any] | None
    store: Literal["sqlite", "postgresql", "off", "unreachable"] = Field(description="where answers are kept")


class ModelStatus(_Response):
    """The model that is loaded, and the versions on disk."""

    is_trained: bool
    models_loaded: bool
    model_version: str | None
    available_versions: list[str]
    loaded_at: datetime | None
    degraded: bool


class DriftThresholds(_Response):
    """The stability index from which drift should be watched, or acted on."""

    watch: float
    act: float


class FeatureDriftBody(_Response):
    """One feature; ``head`` is null for those of a ticket. Shares are by bin, or by label."""

    head: str | None
    feature: str = Field(description="text_length, unknown_share, label or confidence")
    stability_index: float = Field(description="population stability index; 0: the same as at training")
    chance_index: float = Field(description="what 999 of 1,000 windows without any drift stay below")
    level: str = Field(description="ok, watch or act; ok also while the index may be chance")
    expected: dict[str, float] = Field(description="shares at training, of tickets that the model had not seen")
    observed: dict[str, float] = Field(description="shares in the window")


class LabelMixBody(_Response):
    """The shares of the labels of one head."""

    training: dict[str, float]
    now: dict[str, float] = Field(description="estimated from the answers, allowing for how the head errs")


class ModelDrift(_Response):
    """How far tickets and answers of late are from those at training."""

    status: str = Field(
        description="ok, watch or act: the worst feature; collecting: too few tickets; unavailable: the model has no"
        " histograms to compare with"
    )
    model_version: str | None
    n_tickets: int = Field(description="tickets in the window, of all workers")
    min_tickets: int = Field(description="with fewer, nothing is compared")
    thresholds: DriftThresholds
    features: list[FeatureDriftBody]
    label_mix: dict[str, LabelMixBody] = Field(
        description="by head; empty while nothing is compared, and of heads that LABEL_SHARES adapts"
    )
