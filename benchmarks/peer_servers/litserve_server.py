"""The joblib parts behind LitServe: ``python -m benchmarks.peer_servers.litserve_server PORT``."""

from __future__ import annotations

import sys

import litserve

from benchmarks.peer_servers.joblib_parts import JoblibParts


class TicketApi(litserve.LitAPI):  # type: ignore[misc]
    """The four steps that LitServe asks for; it calls them in a worker process, one request at a time."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - the interface names it
        self._parts = JoblibParts()

    def decode_request(self, request: dict[str, str]) -> tuple[str, str]:
        return request["title"], request["description"]

    def predict(self, ticket: tuple[str, str]) -> dict[str, dict[str, str | float]]:
        return self._parts.answer(*ticket)

    def encode_response(self, output: dict[str, dict[str, str | float]]) -> dict[str, dict[str, str | float]]:
        return output


if __name__ == "__main__":
    server = litserve.LitServer(TicketApi(api_path="/classify"), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", generate_client_file=False)
