from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from app.errors import FieldError, ServiceError
from app.web.api.query import read_query


class Query(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    order: Literal["newest", "oldest"] = "newest"
    head: str | None = None


def read(query: bytes) -> Query:
    return read_query({"query_string": query}, Query)


@pytest.mark.parametrize("query", [b"", b"head=", b"head", b"limit=50&order=newest&head="])
def test_what_is_empty_and_need_not_be_given_counts_as_not_given(query: bytes) -> None:
    assert read(query) == Query(limit=50, order="newest", head=None)


@given(head=st.text(min_size=1, alphabet=st.characters(exclude_characters="\0", exclude_categories=("Cs",))))
def test_any_text_arrives_as_it_was_sent(head: str) -> None:
    assert read(urlencode({"head": head, "limit": 7}).encode()) == Query(limit=7, head=head)


@pytest.mark.parametrize(
    ("query", "error"),
    [
        (b"limit=0", FieldError("limit", "must be at least 1")),
        (b"limit=201", FieldError("limit", "must be at most 200")),
        (b"limit=", FieldError("limit", "must be a whole number")),
        (b"order=", FieldError("order", "must be 'newest' or 'oldest'")),
        (b"limit=CANARY", FieldError("limit", "must be a whole number")),
        (b"limit=1e2", FieldError("limit", "must be a whole number")),
        (b"limit=" + b"9" * 5000, FieldError("limit", "must be a whole number")),
        (b"order=CANARY", FieldError("order", "must be 'newest' or 'oldest'")),
        (b"limit=1&limit=1", FieldError("limit", "must be given once")),
        (b"limit=&limit=", FieldError("limit", "must be given once")),
        (b"head=%00CANARY", FieldError("head", "must not contain NUL characters")),
        (b"CANARY=1", FieldError("(unknown parameter)", "is not a parameter of this path")),
        (b"CANARY=1&CANARY=2", FieldError("(unknown parameter)", "is not a parameter of this path")),
        (b"CANARY", FieldError("(unknown parameter)", "is not a parameter of this path")),
        (b"head=%ffCANARY", FieldError("(query)", "must be percent-encoded UTF-8")),
        (b"head=\xc3\xa4", FieldError("(query)", "must be percent-encoded UTF-8")),
        (b"&".join([b"CANARY=1"] * 101), FieldError("(query)", "must have at most 100 parameters")),
    ],
)
def test_what_a_path_does_not_take_is_refused_by_its_name_and_never_quoted(query: bytes, error: FieldError) -> None:
    with pytest.raises(ServiceError) as caught:
        read(query)

    assert caught.value.kind.slug == "validation_failed"
    assert caught.value.errors == (error,)


@given(query=st.binary(max_size=60) | st.text(alphabet="limtordehaCNRY=&%0123456789+;", max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused(query: bytes) -> None:
    refused: list[ServiceError] = []
    try:
        read(query)
    except ServiceError as error:
        refused.append(error)

    assert all(error.kind.status == 422 and error.errors for error in refused)
