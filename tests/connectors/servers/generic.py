"""Tickets as plain JSON objects: the server that `type = "generic"` is tried against, and the smallest dialect."""

from __future__ import annotations

from tests.connectors.servers.dialect import Dialect, Reply, Request, Route


class Generic(Dialect):
    """`GET` and `PATCH /tickets/{id}`, notes under `/tickets/{id}/notes`."""

    def __init__(self, token: str) -> None:
        super().__init__()
        self._token = token
        self.tickets: dict[str, dict[str, object]] = {}
        self.notes: dict[str, list[str]] = {}

    def create(self, ref: str, **fields: object) -> dict[str, object]:
        ticket = {"id": ref, "priority": None, "department": None, "status": "open", **fields}
        self.tickets[ref] = ticket
        self.notes[ref] = []
        return ticket

    def is_authenticated(self, request: Request) -> bool:
        return request.bearer() == self._token

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("GET", r"/tickets/(?P<ref>[^/]+)", self._read),
            Route("PATCH", r"/tickets/(?P<ref>[^/]+)", self._write),
            Route("GET", r"/tickets/(?P<ref>[^/]+)/notes", self._read_notes),
            Route("POST", r"/tickets/(?P<ref>[^/]+)/notes", self._add_note),
        )

    def _read(self, _: Request, ref: str) -> Reply:
        return Reply(200, self.tickets[ref]) if ref in self.tickets else self.not_found()

    def _write(self, request: Request, ref: str) -> Reply:
        self.tickets[ref] |= request.json()
        if isinstance(seconds := self.tickets[ref].get("updated_at"), int):
            self.tickets[ref]["updated_at"] = seconds + 60
        return Reply(200, self.tickets[ref])

    def _read_notes(self, _: Request, ref: str) -> Reply:
        return Reply(200, self.notes[ref])

    def _add_note(self, request: Request, ref: str) -> Reply:
        self.notes[ref].append(request.json()["body"])
        return Reply(201, {})
