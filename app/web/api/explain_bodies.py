"""The query and the answer of ``/explain``, as the OpenAPI document shows them."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.models.schemas import MAX_LABEL_CHARACTERS

MAX_LISTED_TERMS: Final = 1_000


class ExplainQuery(BaseModel):
    """How much is to be explained."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, extra="forbid")

    limit: int = Field(50, ge=1, le=MAX_LISTED_TERMS, description="the most terms that are listed of a head")
    versus: Annotated[str, Field(max_length=MAX_LABEL_CHARACTERS)] | None = Field(
        None, description="the label to compare the answer with; without it all others"
    )


class _Response(BaseModel):
    model_config = ConfigDict(protected_namespaces=(), json_schema_serialization_defaults_required=True)


class SpanBody(_Response):
    """Where a term was written, in code points of the field as it was sent."""

    field: Literal["title", "description"]
    start: int
    end: int = Field(description="the first code point after it")


class TermBody(_Response):
    """A word, several in a row, or some characters of one."""

    term: str = Field(description="as the model knows it; characters with a space where a word begins or ends")
    kind: Literal["word", "char", "title"]
    spans: list[SpanBody] = Field(description="everywhere it was written; words that are apart have a span each")
    seen_in_training: bool = Field(description="false: known from word vectors alone")
    contributions: dict[str, float] = Field(description="what it adds to the logit of each label")


class VersusBody(_Response):
    """Why the answer is not this label."""

    label: str
    speak_for: list[int] = Field(
        alias="for", description="indexes of the terms that speak most for the answer over this label"
    )
    against: list[int] = Field(description="indexes of the terms that speak most for this label")
    would_flip: list[str] | None = Field(
        description="at most 10 words; without any of them this label would win. null: none were found"
    )


class HeadExplanationBody(_Response):
    """The answer of one head, taken apart: for each label, bias + contributions + remaining = logit."""

    label: str
    confidence: float = Field(ge=0, le=1)
    decision: Literal["auto", "suggest", "review"]
    reasons: list[str] = Field(description="why the decision is not auto")
    logits: dict[str, float] = Field(description="their softmax are the probabilities")
    bias: dict[str, float]
    terms: list[TermBody] = Field(description="those that move labels furthest apart first")
    remaining: dict[str, float] = Field(description="the sum of what all terms add that are not listed")
    versus: list[VersusBody] = Field(description="the most probable label first")
    summary: str = Field(description="one sentence in plain English")


class ExplanationBody(_Response):
    """Why the heads of the model answer what they answer."""

    model_version: str
    heads: dict[str, HeadExplanationBody]
