"""Workers under the real supervisor, with an application whose event loop ``POST /block`` blocks for ever.

Threads of the worker go on, as they do where a call that should not wait does.
"""

from __future__ import annotations

import os
import sys
import time
from argparse import ArgumentParser

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from app.logging_utils import configure_logging
from app.server.config import ServerConfig
from app.server.listener import bind
from app.server.supervisor import Supervisor


async def block(_: Request) -> Response:
    while True:
        time.sleep(1)  # noqa: ASYNC251 - what this service is for


async def name(_: Request) -> Response:
    return PlainTextResponse(str(os.getpid()))


app = Starlette(routes=[Route("/block", block, methods=["POST"]), Route("/health/live", name)])


def main() -> int:
    parser = ArgumentParser()
    parser.add_argument("--host")
    for option in ("--port", "--workers"):
        parser.add_argument(option, type=int)
    arguments = parser.parse_args()
    configure_logging("INFO", structured=True)
    config = ServerConfig(
        f"{__spec__.name}:app",
        host=arguments.host,
        port=arguments.port,
        workers=arguments.workers,
        drain_seconds=0,
    )
    supervisor = Supervisor(config, [bind(arguments.host, arguments.port)])
    supervisor.run()
    return supervisor.has_failed


if __name__ == "__main__":
    sys.exit(main())
