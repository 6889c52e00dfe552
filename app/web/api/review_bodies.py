"""Bodies and parameters of ``/review``, as the OpenAPI document shows them."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from app.models.schemas import HeadPredictionBody, _Request, _Response

MAX_LISTED_ITEMS: Final = 200
MAX_CLAIMED_ITEMS: Final = 100
MAX_FILTER_CHARACTERS: Final = 200

_CURSOR: Final = "^([0-9a-f]{48})?$"
_IS_CURSOR: Final = re.compile(_CURSOR).fullmatch


def _check_cursor(value: str) -> str:
    if not _IS_CURSOR(value):
        raise PydanticCustomError("cursor", "must be the next_cursor of an answer")
    return value


def _as_json_schema_counts(value: object) -> object:
    """Return 10 for 10.0, which is a whole number in JSON, and anything else as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


# A query has no null: what is not given is left out, or empty.
FilterText = Annotated[
    Annotated[str, Field(max_length=MAX_FILTER_CHARACTERS)] | None,
    WithJsonSchema({"type": "string", "maxLength": MAX_FILTER_CHARACTERS, "pattern": "^[^\\u0000]*$"}),
]
FilterDecision = Annotated[
    Literal["auto", "suggest", "review"] | None,
    WithJsonSchema({"type": "string", "enum": ["auto", "suggest", "review", ""]}),
]
Cursor = Annotated[
    Annotated[str, AfterValidator(_check_cursor)] | None, WithJsonSchema({"type": "string", "pattern": _CURSOR})
]


class ReviewQuery(BaseModel):
    """Which items of the review queue are asked for, and in which order."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    head: FilterText = Field(None, description="a head that has answered")
    label: FilterText = Field(None, description="what it, or any head, has answered")
    decision: FilterDecision = Field(None, description="what it, or any head, has decided with that")
    state: Literal["open", "judged"] = Field("open", description="open: waiting to be judged")
    order: Literal["value", "newest", "oldest"] = Field(
        "value", description="value: what a judgement is expected to be worth; of what is judged, the newest first"
    )
    limit: int = Field(50, ge=1, le=MAX_LISTED_ITEMS)
    cursor: Cursor = Field(None, description="next_cursor of the page before")


class ReviewClaim(_Request):
    """How many items a reviewer wants to work on."""

    count: Annotated[int, BeforeValidator(_as_json_schema_counts)] = Field(10, ge=1, le=MAX_CLAIMED_ITEMS)


class ReviewItemBody(_Response):
    """A ticket that a person is asked about."""

    prediction_id: str
    ticket_id: str | None = Field(description="as sent to /classify")
    title: str | None = Field(description="null when the text is not kept")
    description: str | None
    received_at: datetime
    is_audit: bool = Field(description="drawn by chance, to check answers that were acted on")
    predictions: dict[str, HeadPredictionBody] | None = Field(
        description="as in the answer of /classify; null for an audit until it is judged"
    )


class ReviewPage(_Response):
    """Some items in the order asked for."""

    items: list[ReviewItemBody]
    next_cursor: str | None = Field(description="where the next page begins; null after the last one")


class ClaimedItems(_Response):
    """The next items, which nobody else gets for ten minutes."""

    items: list[ReviewItemBody]
    leased_until: datetime


class SkippedItem(_Response):
    """The item that is at the end of the queue now."""

    prediction_id: str
