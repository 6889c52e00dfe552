"""How the server is run."""

from __future__ import annotations

from typing import Final

from uvicorn import Config

# Longer than the idle time of common load balancers, which then never meet a connection that was just closed.
KEEP_ALIVE_SECONDS: Final = 75
# What is still unanswered at the end of draining may take as long as a slow client may.
STOP_SECONDS: Final = 12
_BACKLOG: Final = 2048


class ServerConfig(Config):
    """uvicorn's configuration for this service; it travels to the workers, so it holds plain values only."""

    def __init__(self, app: str, *, host: str, port: int, workers: int, drain_seconds: float) -> None:
        super().__init__(
            app,
            host=host,
            port=port,
            workers=workers,
            http="httptools",
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            # X-Forwarded-For is believed by TRUSTED_PROXIES only.
            proxy_headers=False,
            backlog=_BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
        self.drain_seconds = drain_seconds
