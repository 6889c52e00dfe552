"""Query parameters: read in strict form and validated, with errors that never repeat what was sent."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError

from app.errors import VALIDATION_FAILED, FieldError, ServiceError
from app.web.api.json_body import field_errors

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from starlette.types import Scope

Parameters = TypeVar("Parameters", bound=BaseModel)

QUERY_DETAIL: Final = "The query is not what this path takes."
_QUERY: Final = "(query)"
_UNKNOWN: Final = FieldError("(unknown parameter)", "is not a parameter of this path")
_MAX_PARAMETERS: Final = 100
_NO_NUL: Final = "must not contain NUL characters"


def read_query(scope: Scope, model: type[Parameters]) -> Parameters:
    """Return the request's query as ``model``; raise ``ServiceError`` (422) when it is not one.

    An empty value of a parameter that is None by default counts as not given: a form's empty fields may be sent along.
    """
    values = _values(scope["query_string"], model.model_fields)
    for name, field in model.model_fields.items():
        if field.default is None and not values.get(name):
            values.pop(name, None)
    try:
        return model.model_validate_strings(values)
    except ValidationError as error:
        errors = field_errors(error, unknown=_UNKNOWN)
    raise _refused(errors)


def _values(query: bytes, known: Collection[str]) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_PARAMETERS
        )
    except UnicodeError:
        raise _refused([FieldError(_QUERY, "must be percent-encoded UTF-8")]) from None
    except ValueError:
        raise _refused([FieldError(_QUERY, f"must have at most {_MAX_PARAMETERS} parameters")]) from None
    counts = Counter(name for name, _ in pairs)
    errors = [FieldError(name, "must be given once") for name in known if counts[name] > 1]
    errors += [FieldError(name, _NO_NUL) for name, value in pairs if name in known and "\0" in value]
    if errors:
        raise _refused(errors)
    return dict(pairs)


def _refused(errors: Sequence[FieldError]) -> ServiceError:
    return ServiceError(VALIDATION_FAILED, QUERY_DETAIL, errors=errors)
