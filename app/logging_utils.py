"""One line a record, as JSON or as text, from every logger; and the context variable with the request id.

No line holds the message of an exception, because a parser or a validator may quote a ticket in it: tracebacks here
have types and places. An error of the operating system keeps its number and what the system says about that.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
import threading
import time
import traceback
from collections import deque
from contextvars import ContextVar
from json.encoder import encode_basestring_ascii
from typing import IO, TYPE_CHECKING, Any, Final

from pythonjsonlogger.json import JsonFormatter as BaseJsonFormatter

if TYPE_CHECKING:
    from types import TracebackType

request_id_var: ContextVar[str | None] = ContextVar("request_id", default=None)

# What every system writes to a pipe at once (PIPE_BUF on Linux).
MAX_LINE_BYTES: Final = 4096
MAX_PATH_CHARACTERS: Final = 256
REQUEST_LOGGER: Final = "request"
_MAX_METHOD_CHARACTERS: Final = 32
_FIELDS: Final = ("level", "logger", "message", "time", "request_id")
# Where all texts are shorter and the line is still too long, it keeps its standard fields only.
_SHORTEST_CUT: Final = 30
_STANDARD_ATTRIBUTES: Final = frozenset(vars(logging.makeLogRecord({}))) | {
    *_FIELDS, "asctime", "color_message", "taskName",
}  # fmt: skip

logger = logging.getLogger(__name__)


class JsonFormatter(BaseJsonFormatter):
    """``level``, ``logger``, ``message``, ``time`` (ms since 1970), ``request_id``, and what ``extra`` gave.

    A line has at most ``MAX_LINE_BYTES``: texts are cut until it fits, a traceback in its middle, which says least.
    """

    def __init__(self) -> None:
        super().__init__(_FIELDS, reserved_attrs=sorted(_STANDARD_ATTRIBUTES))

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        """Add the standard fields, then the others as JSON can hold them."""
        super().add_fields(log_data, record, message_dict)
        log_data |= {
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "time": int(record.created * 1000),
            "request_id": getattr(record, "request_id", None) or request_id_var.get(),
        }
        places = log_data.pop("exc_info", None) or log_data.pop("stack_info", None)
        if places:
            log_data["traceback"] = places
        for name, value in log_data.items():
            if not isinstance(value, int | float | bool | str | None):
                log_data[name] = str(value)

    def formatException(self, ei: Any) -> str:  # noqa: ANN401, N802 - the signature of the standard library
        return "" if ei[1] is None else describe_exception(ei[1])

    def serialize_log_record(self, log_data: dict[str, Any]) -> str:
        return _fit(log_data)


class TextFormatter(logging.Formatter):
    """The same for people; line breaks inside a message are kept."""

    default_msec_format = "%s.%03d"

    def format(self, record: logging.LogRecord) -> str:
        record.asctime = self.formatTime(record)
        request_id = getattr(record, "request_id", None) or request_id_var.get() or "-"
        line = f"{record.asctime} {record.levelname:<8} {record.name} [{request_id}] {record.getMessage()}"
        extras = {name: value for name, value in vars(record).items() if name not in _STANDARD_ATTRIBUTES}
        line += "".join(f" {name}={value}" for name, value in extras.items())
        if record.exc_info and record.exc_info[1] is not None:
            line += "\n" + describe_exception(record.exc_info[1])
        return line


class StdoutHandler(logging.StreamHandler[IO[str]]):
    """Writes to whatever ``sys.stdout`` is at the moment, also when it is replaced after configuration.

    No line is in two writes, and no write is longer than what a pipe takes at once, so that lines of several processes
    never mix. Within a turn of the event loop lines may wait for each other; none waits longer.
    """

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        self._waiting: deque[str] = deque()

    @property
    def stream(self) -> IO[str]:  # type: ignore[override]
        return sys.stdout

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception as error:  # noqa: BLE001 - a message that cannot be formatted must not fail its caller
            # The arguments that did not fit stay out: the standard library would print them.
            line = json.dumps(
                {"level": "ERROR", "logger": __name__, "message": f"a log call in {record.pathname}:{record.lineno}"
                 f" failed with {type(error).__name__}", "time": int(record.created * 1000), "request_id": None}
            )  # fmt: skip
        self.write_line(f"{line}\n")

    def write_line(self, line: str) -> None:
        """Write what is formatted already, after what waits."""
        self.acquire()
        try:
            self.flush()
            _write(line)
        finally:
            self.release()

    def write_soon(self, line: str) -> None:
        """Write a line of ASCII characters with the others of this turn of the event loop, at once if there is none."""
        self._waiting.append(line)
        if len(self._waiting) > 1:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.flush()
        else:
            loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write what waits; the interpreter calls this when it ends, too."""
        self.acquire()
        try:
            block = ""
            while self._waiting:
                line = self._waiting.popleft()
                if len(block) + len(line) > MAX_LINE_BYTES:
                    _write(block)
                    block = ""
                block += line
            if block:
                _write(block)
        finally:
            self.release()


def _write(text: str) -> None:
    """Write to the standard output; a log that cannot be written must not fail what it tells of."""
    with contextlib.suppress(OSError, ValueError):
        stream = sys.stdout
        stream.write(text)
        stream.flush()


class RequestLog:
    """Writes the line of a finished request, formatted directly: a ``LogRecord`` would cost more than the scoring."""

    def __init__(self, handler: StdoutHandler) -> None:
        self._handler = handler
        self._structured = isinstance(handler.formatter, JsonFormatter)
        self._logger = logging.getLogger(REQUEST_LOGGER)

    def completed(  # noqa: PLR0913 - the fields of a line
        self,
        *,
        request_id: str,
        method: str,
        path: str,
        status_code: int,
        latency_ms: float,
        error: str | None,
        may_wait: bool = False,
    ) -> None:
        """Log one answer; ``error`` is the slug of the catalogue, if it is one.

        A line that ``may_wait`` is written with others at the end of the event loop's turn, if a loop runs.
        """
        if not self._logger.isEnabledFor(logging.INFO):
            return
        path, method = path[:MAX_PATH_CHARACTERS], method[:_MAX_METHOD_CHARACTERS]
        if self._structured:
            reason = "" if error is None else f', "error": "{error}"'
            line = (
                f'{{"level": "INFO", "logger": "request", "message": "request completed", '
                f'"time": {int(time.time() * 1000)}, "request_id": "{request_id}", '
                f'"path": {encode_basestring_ascii(path)}, "method": {encode_basestring_ascii(method)}, '
                f'"status_code": {status_code}, "latency_ms": {latency_ms:.3f}{reason}}}\n'
            )
        else:
            stamp = time.strftime("%Y-%m-%d %H:%M:%S")
            line = (
                f"{stamp} INFO     request [{request_id}] {method} {path!a} {status_code} {latency_ms:.1f} ms"
                f"{'' if error is None else f' {error}'}\n"
            )
        if may_wait:
            self._handler.write_soon(line)
        else:
            self._handler.write_line(line)


def configure_logging(level: str, *, structured: bool) -> StdoutHandler:
    """Send everything that is logged, warned of or raised in vain to standard output; safe to call again."""
    root = logging.getLogger()
    for old in [handler for handler in root.handlers if isinstance(handler, StdoutHandler)]:
        root.removeHandler(old)
    handler = StdoutHandler()
    handler.setFormatter(JsonFormatter() if structured else TextFormatter())
    root.addHandler(handler)
    root.setLevel(level)
    # uvicorn gives its loggers handlers of their own, and would log every request a second time.
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi"):
        uvicorn_logger = logging.getLogger(name)
        uvicorn_logger.handlers.clear()
        uvicorn_logger.setLevel(logging.NOTSET)
        uvicorn_logger.propagate = name != "uvicorn.access"
    logging.getLogger(REQUEST_LOGGER).setLevel(logging.NOTSET)
    logging.captureWarnings(capture=True)
    _log_what_nobody_catches()
    return handler


def log_loop_error(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what the event loop reports, without the objects that it would print, messages of exceptions among them."""
    error = context.get("exception")
    message = str(context.get("message") or "an error in the event loop").partition("\n")[0]
    extra = {"traceback": describe_exception(error)} if isinstance(error, BaseException) else {}
    logger.error(message, extra=extra)


def _log_what_nobody_catches() -> None:
    """Replace the interpreter's own hooks, which print many lines; those of a debugger or test runner stay."""

    def log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
        else:
            logger.critical("uncaught exception", extra={"traceback": describe_exception(error)})

    def log_in_thread(arguments: threading.ExceptHookArgs) -> None:
        if arguments.exc_value is not None and arguments.exc_type is not SystemExit:
            places = describe_exception(arguments.exc_value)
            logger.error("uncaught exception in a thread", extra={"traceback": places})

    def log_unraisable(arguments: sys.UnraisableHookArgs) -> None:
        if arguments.exc_value is not None:
            places = describe_exception(arguments.exc_value)
            logger.error("an exception that could not be raised", extra={"traceback": places})

    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = log_uncaught
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = log_in_thread
    if sys.unraisablehook is sys.__unraisablehook__:
        sys.unraisablehook = log_unraisable


def describe_exception(error: BaseException) -> str:
    """Return the types and frames of an exception and its causes, without their messages, which may quote a ticket."""
    parts = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        parts.append(f"{_name(current)}\n{_frames(current.__traceback__)}")
        current = current.__cause__ or current.__context__
    return "caused by\n".join(parts)


def _name(error: BaseException) -> str:
    name = f"{type(error).__module__}.{type(error).__qualname__}"
    if isinstance(error, OSError) and isinstance(error.errno, int) and error.errno > 0:
        return f"{name} [{error.errno}] {os.strerror(error.errno)}"
    return name


def _frames(trace: TracebackType | None) -> str:
    return "".join(
        f"  {frame.filename}:{frame.lineno} in {frame.name}\n" for frame in traceback.extract_tb(trace, limit=-20)
    )


def _fit(fields: dict[str, Any]) -> str:
    line = json.dumps(fields)
    while len(line) >= MAX_LINE_BYTES:  # the line break is the last byte
        name = max(fields, key=lambda key: len(json.dumps(fields[key])))
        text = str(fields[name])
        if len(text) < _SHORTEST_CUT:
            return json.dumps({name: fields[name] for name in _FIELDS})
        third = len(text) // 3
        fields[name] = f"{text[:third]} ... {text[-third:]}" if name == "traceback" else f"{text[: 2 * third]}..."
        line = json.dumps(fields)
    return line
