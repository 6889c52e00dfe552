"""Any helpdesk or program that posts JSON: where in it what stands, the connector's table says by JSON pointers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

from app.connectors.api import RefusedError, path_part
from app.connectors.helpdesk import DEPARTMENT, PRIORITY, Helpdesk, OptionError, Options
from app.connectors.json_content import as_milliseconds, as_text, at_pointer, json_object, json_value, required_text
from app.connectors.sighting import Sighting, UnreadableError
from app.connectors.signatures import has_secret, is_signed, is_standard_webhook, standard_content

if TYPE_CHECKING:
    from app.connectors.api import Api
    from app.connectors.sighting import Change, Delivery
    from app.connectors.signatures import Secrets

_POINTERS: Final[Mapping[str, str]] = {
    "id": "/id",
    "title": "/title",
    "description": "/description",
    "actor": "/actor",
    "status": "/status",
    "created": "/created_at",
    "changed": "/updated_at",
    PRIORITY: "/priority",
    DEPARTMENT: "/department",
}
_TICKET_PARTS: Final = frozenset(_POINTERS) - {PRIORITY, DEPARTMENT}
_API: Final[Mapping[str, str]] = {
    "read": "",
    "write": "",
    "method": "PATCH",
    "note": "",
    "note_field": "body",
    "check": "",
}
_PATHS: Final = ("read", "write", "note", "check")
_METHODS: Final = ("PATCH", "PUT", "POST")
_SIGNATURES: Final = ("standard-webhooks", "hub-sha256", "secret")


class GenericHelpdesk(Helpdesk):
    """Signed by the Standard Webhooks specification, like GitHub (``X-Hub-Signature-256``), or with a secret header."""

    option_names: ClassVar[frozenset[str]] = frozenset({"signature", "pointers", "api", "closed", "fields"})
    fields: ClassVar[Mapping[str, str]] = {PRIORITY: "priority", DEPARTMENT: "department"}
    look_seconds: ClassVar[int] = 0

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        others = options.others
        self._signature = str(others.get("signature", _SIGNATURES[0]))
        if self._signature not in _SIGNATURES:
            raise OptionError(f'signature "{self._signature}" is none of {", ".join(_SIGNATURES)}')
        self._pointers = {**_POINTERS, **_texts(others, "pointers")}
        if wrong := [name for name, pointer in self._pointers.items() if pointer and not pointer.startswith("/")]:
            raise OptionError(f"pointers.{wrong[0]} must begin with a slash, as in /ticket/id")
        self._api = {**_API, **_texts(others, "api", known=_API)}
        if self._api["method"] not in _METHODS:
            raise OptionError(f'api.method "{self._api["method"]}" is none of {", ".join(_METHODS)}')
        for name in _PATHS:
            _check_path(name, self._api[name])
        closed = others.get("closed", ["closed", "resolved", "solved", "done"])
        if not isinstance(closed, list):
            raise OptionError("closed must be a list of the values that the status of a closed ticket has")
        self._closed = frozenset(str(value).casefold() for value in closed)

    def is_authentic(self, delivery: Delivery, secrets: Secrets) -> bool:
        if self._signature == "standard-webhooks":
            return is_standard_webhook(delivery, secrets)
        if self._signature == "secret":
            return has_secret(delivery, secrets)
        signature = delivery.headers.get("x-hub-signature-256", "").removeprefix("sha256=")
        return is_signed(delivery.body, signature, secrets, digest="sha256")

    def signed_content(self, delivery: Delivery) -> bytes:
        return standard_content(delivery) if self._signature == "standard-webhooks" else delivery.body

    def delivery_id(self, delivery: Delivery) -> str | None:
        return delivery.headers.get("webhook-id") if self._signature == "standard-webhooks" else None

    def read(self, delivery: Delivery) -> Sequence[Sighting]:
        return [self._sighting(json_object(delivery.body))]

    def _sighting(self, content: Mapping[str, Any]) -> Sighting:
        found = {name: at_pointer(content, pointer) for name, pointer in self._pointers.items() if pointer}
        status = as_text(found.get("status"))
        return Sighting(
            ref=required_text(found.get("id"), f"the ticket's id (pointers.id, now {self._pointers['id']})"),
            title=as_text(found.get("title")),
            description=as_text(found.get("description")),
            values={
                head: as_text(found[head])
                for head, pointer in self._pointers.items()
                if head not in _TICKET_PARTS and pointer and self._is_said(content, pointer)
            },
            created_ms=as_milliseconds(found.get("created")),
            changed_ms=as_milliseconds(found.get("changed")),
            actor=as_text(found.get("actor")),
            is_closed=None if status is None else status.casefold() in self._closed,
        )

    @staticmethod
    def _is_said(content: Mapping[str, Any], pointer: str) -> bool:
        parent, _, name = pointer.rpartition("/")
        holder = at_pointer(content, parent)
        return isinstance(holder, dict) and name.replace("~1", "/").replace("~0", "~") in holder

    def authorization(self, token: str) -> Mapping[str, str]:
        return {"authorization": f"Bearer {token}"}

    async def fetch(self, api: Api, ref: str) -> Sighting:
        return self._sighting((await api.get(self._path("read", ref))).json())

    async def write(self, api: Api, ref: str, change: Change) -> int | None:
        changed_ms: int | None = None
        if change.values:
            body = {self.options.fields[head]: value for head, value in change.values.items()}
            answer = await api.call(self._api["method"], self._path("write", ref), body=body)
            changed_ms = self._changed_ms(answer.body)
        if change.note is not None:
            await api.call("POST", self._path("note", ref), body={self._api["note_field"]: change.note})
        return changed_ms

    def _changed_ms(self, answer: bytes) -> int | None:
        # Many answer with the ticket as it is now, and others with nothing.
        try:
            return as_milliseconds(at_pointer(json_value(answer), self._pointers["changed"]))
        except UnreadableError:
            return None

    async def has_note(self, api: Api, ref: str, marker: str) -> bool:
        # Nothing is known of how notes are listed: whatever stands there has the mark in it, or has not.
        try:
            return marker.encode() in (await api.get(self._path("note", ref))).body
        except RefusedError:
            return False

    async def choices(self, api: Api) -> Mapping[str, frozenset[str]]:
        if self._api["check"]:
            await api.get(self._api["check"])
        return {}

    def lacking(self, *, writes: bool, notes: bool) -> Sequence[str]:
        needed = ["read", *["write"] * writes, *["note"] * notes] if writes or notes else []
        return [f"api.{name}" for name in needed if not self._api[name]]

    @property
    def can_be_checked(self) -> bool:
        return bool(self._api["check"])

    def _path(self, name: str, ref: str) -> str:
        template = self._api[name]
        if not template:
            raise RefusedError(f"api.{name} is missing in the connector's table", 0)
        return template.replace("{id}", path_part(ref))


def _check_path(name: str, path: str) -> None:
    if path and not path.startswith("/"):
        raise OptionError(
            f'api.{name} "{path}" must begin with a slash, as in /tickets/{{id}}: api_url stands before it'
        )
    if path and name != "check" and "{id}" not in path:
        raise OptionError(f'api.{name} "{path}" must have {{id}} where the id of the ticket belongs')


def _texts(others: Mapping[str, Any], key: str, known: Mapping[str, str] | None = None) -> dict[str, str]:
    table = others.get(key, {})
    if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
        raise OptionError(f"{key} must be a table of texts")
    if known is not None and (unknown := [name for name in table if name not in known]):
        raise OptionError(f"{key}.{unknown[0]} is none of {', '.join(known)}")
    return table
