"""The error catalogue: every slug that the service answers with, its status and its meaning; no web imports.

How an error becomes a response is left to ``app.web.error_handlers``. ``docs/errors.md`` explains each slug to callers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """One entry of the catalogue; ``retry_after_seconds`` becomes ``Retry-After`` where the raiser knows no better."""

    slug: str
    status: int
    meaning: str
    retry_after_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field: its path such as ``tickets.3.title``, and a message without what was sent."""

    field: str
    message: str


class ServiceError(Exception):
    """An error of the catalogue on its way to the caller; ``detail`` must not repeat what was sent."""

    def __init__(
        self,
        kind: ErrorKind,
        detail: str | None = None,
        *,
        headers: Mapping[str, str] = NO_HEADERS,
        errors: Sequence[FieldError] = (),
    ) -> None:
        self.kind = kind
        self.detail = detail or kind.meaning
        self.headers = headers
        self.errors = tuple(errors)
        super().__init__(kind.slug)


BAD_REQUEST = ErrorKind("bad_request", 400, "The request contradicts itself or HTTP.")
MALFORMED_REQUEST = ErrorKind("malformed_request", 400, "What arrived is not HTTP/1.1.")
CORS_REFUSED = ErrorKind("cors_refused", 400, "The preflight asks for an origin, method or header that is not allowed.")
INVALID_API_KEY = ErrorKind("invalid_api_key", 401, "The request has no API key, or one that is not accepted.")
INVALID_SIGNATURE = ErrorKind(
    "invalid_signature",
    401,
    "The delivery is not signed with a secret of this connector, or too old, or from an address it does not take.",
)
ADMIN_KEY_REQUIRED = ErrorKind(
    "admin_key_required", 403, "The API key is accepted, but not for what changes the service."
)
ADMIN_DISABLED = ErrorKind(
    "admin_disabled", 403, "Nothing can be changed over HTTP until ADMIN_API_KEYS holds the hash of a key."
)
FORM_EXPIRED = ErrorKind(
    "form_expired", 403, "The form is of a session that is over, or of another site; load its page again."
)
REVIEWER_KEY_REQUIRED = ErrorKind(
    "reviewer_key_required", 403, "The API key is accepted, but not for what shows tickets."
)
REVIEWERS_DISABLED = ErrorKind(
    "reviewers_disabled", 403, "Tickets are shown to no other machine until REVIEWER_API_KEYS holds a key."
)
NOT_FOUND = ErrorKind("not_found", 404, "There is nothing at this path.")
UNKNOWN_PREDICTION = ErrorKind(
    "unknown_prediction", 404, "There is no such prediction; the ticket's text can be sent along as ticket instead."
)
UNKNOWN_FEEDBACK = ErrorKind("unknown_feedback", 404, "There is no feedback with this id.")
UNKNOWN_CONNECTOR = ErrorKind("unknown_connector", 404, "There is no connector of this name.")
METHOD_NOT_ALLOWED = ErrorKind("method_not_allowed", 405, "This path does not take this method; see the Allow header.")
REQUEST_TIMEOUT = ErrorKind("request_timeout", 408, "The request did not arrive in full in time.")
MODEL_REFUSED = ErrorKind(
    "model_refused", 409, "The version is missing or damaged, so what serves is the same as before."
)
MODEL_PINNED = ErrorKind("model_pinned", 409, "MODEL_VERSION says which version serves, so no other can be activated.")
ACTIVE_NOT_WRITABLE = ErrorKind(
    "active_not_writable", 409, "The models directory cannot be written, so what serves is the same as before."
)
LEASE_LOST = ErrorKind("lease_lost", 409, "Somebody else has this ticket now, so the judgement was not recorded.")
ALREADY_JUDGED = ErrorKind(
    "already_judged", 409, "Somebody else judged this ticket meanwhile, so the judgement was not recorded."
)
BODY_TOO_LARGE = ErrorKind("body_too_large", 413, "The request body is larger than this path takes.")
UNSUPPORTED_MEDIA_TYPE = ErrorKind("unsupported_media_type", 415, "The Content-Type must be application/json in UTF-8.")
UNSUPPORTED_CONTENT_ENCODING = ErrorKind(
    "unsupported_content_encoding", 415, "The request body must be sent as it is, without a Content-Encoding."
)
MALFORMED_JSON = ErrorKind("malformed_json", 422, "The request body is not JSON in strict form.")
VALIDATION_FAILED = ErrorKind("validation_failed", 422, "The request body is JSON, but not what this path takes.")
UNKNOWN_LABEL = ErrorKind(
    "unknown_label", 422, "The model has no such label; with allow_new_labels it is taken all the same."
)
IDEMPOTENCY_MISMATCH = ErrorKind(
    "idempotency_mismatch", 422, "The Idempotency-Key came with another body before; a new body needs a new key."
)
RATE_LIMITED = ErrorKind("rate_limited", 429, "This client sent more requests than one window admits.", 1)
HEAD_TOO_LARGE = ErrorKind("head_too_large", 431, "The request line and the headers are too large, or too many.")
INTERNAL_ERROR = ErrorKind("internal_error", 500, "The service failed; the log has the request id and the traceback.")
MODEL_NOT_LOADED = ErrorKind("model_not_loaded", 503, "No model is loaded, so nothing can be classified.", 5)
OVERLOADED = ErrorKind("overloaded", 503, "The service has as much work as it can do in time.", 1)
DRAINING = ErrorKind("draining", 503, "The service is about to stop; another replica should be asked.", 1)
STORE_UNAVAILABLE = ErrorKind(
    "store_unavailable", 503, "The store cannot be reached at the moment, so nothing was kept or looked up.", 5
)
STORE_OFF = ErrorKind(
    "store_off", 503, "The service keeps nothing: STORE_URL is off, or its place cannot be written.", 300
)
SERVICE_UNAVAILABLE = ErrorKind("service_unavailable", 503, "The service cannot answer at the moment.", 1)

# In the order above.
CATALOGUE: Final = tuple(value for value in tuple(vars().values()) if isinstance(value, ErrorKind))

# For what the framework raises by status alone: the first kind of each status, save where another is the plain one.
KIND_BY_STATUS: Final[Mapping[int, ErrorKind]] = MappingProxyType(
    {kind.status: kind for kind in reversed(CATALOGUE)} | {422: VALIDATION_FAILED, 503: SERVICE_UNAVAILABLE}
)
