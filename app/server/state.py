"""What the connections of one process share."""

from __future__ import annotations

from uvicorn.server import ServerState


class ConnectionState(ServerState):
    """uvicorn's; ``head_lines`` are the headers that all answers have, encoded."""

    def __init__(self) -> None:
        super().__init__()
        self.head_lines = b""
        self.draining = False
