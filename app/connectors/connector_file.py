"""Reads ``CONNECTORS_FILE``: one table a connector; what is wrong is said with table, key and what is expected."""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from app.config import EXIT_BAD_SETTING
from app.connectors.connector import Connector
from app.connectors.helpdesk import OptionError, Options
from app.connectors.helpdesks.known import helpdesk_class

if TYPE_CHECKING:
    from app.config import IPNetwork
    from app.connectors.helpdesk import Helpdesk

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,47}", re.ASCII)
# In capitals only: a secret that stands in its place has others, too, and is not to be shown.
_VARIABLE: Final = re.compile(r"[A-Z_][A-Z0-9_]*", re.ASCII)
_LEAST_SECRET_CHARACTERS: Final = 8
_MAX_CALLS_PER_MINUTE: Final = 100_000
_MAX_LOOK_SECONDS: Final = 86_400
_LEAST_LOOK_SECONDS: Final = 2
_NOBODY_CHOSE: Final = (None,)
_KEYS: Final = frozenset(
    {
        "type",
        "secret_env",
        "api_url",
        "api_token_env",
        "write",
        "on_suggest",
        "labels",
        "unset",
        "fields",
        "allow_from",
        "not_people",
        "public_url",
        "calls_per_minute",
        "look_seconds",
        "dry_run",
        "plain_http",
    }
)


class ConnectorFileError(Exception):
    """The file cannot be used as it is; the message says where and why, and has no secret in it."""


def read_connectors(path: Path, environment: Mapping[str, str]) -> tuple[Connector, ...]:
    """Return the connectors of a file, with the secrets that ``environment`` has; raise ``ConnectorFileError``."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConnectorFileError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConnectorFileError(f"{path}: is not UTF-8 at byte {error.start + 1}: save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ConnectorFileError(f"{path}: is not TOML: {error}") from None
    connectors = []
    for name, table in content.items():
        try:
            connectors.append(_connector(name, table, environment))
        except (OptionError, _Wrong) as error:
            # On one line, whatever stands between quotes there.
            raise ConnectorFileError(f"{path}: [{name}] {error}".replace("\n", "\\n")) from None
    return tuple(connectors)


def connectors_or_exit(path: Path) -> tuple[Connector, ...]:
    """Return the connectors of a file; when it is wrong, print one line that says where and exit with code 2."""
    try:
        return read_connectors(path, os.environ)
    except ConnectorFileError as error:
        sys.stderr.write(f"CONNECTORS_FILE {error}\n")
        raise SystemExit(EXIT_BAD_SETTING) from None


class _Wrong(Exception):  # noqa: N818 - becomes a ``ConnectorFileError``
    """What is wrong in one table."""


class _Table:
    """One table, whose keys are taken with the type that they must have."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self._content = content

    def text(self, key: str, *, is_shown: bool = True) -> str | None:
        value = self._content.get(key)
        if value is None or (isinstance(value, str) and value):
            return value
        raise _Wrong(f"{key} must be text" + (f", not {value!r}" if is_shown else ""))

    def one_of(self, key: str, choices: Sequence[str]) -> str:
        value = self._content.get(key, choices[0])
        if value not in choices:
            raise _Wrong(f"{key} must be {' or '.join(choices)}, not {value!r}")
        return str(value)

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._content.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            raise _Wrong(f"{key} must be a list of texts, not {value!r}")
        return tuple(value)

    def number(self, key: str, default: int, *, low: int, high: int, or_zero: bool = False) -> int:
        value = self._content.get(key, default)
        if (
            not isinstance(value, int)
            or isinstance(value, bool)
            or not (low <= value <= high or (or_zero and not value))
        ):
            raise _Wrong(f"{key} must be a whole number from {low} to {high}{', or 0' * or_zero}, not {value!r}")
        return value

    def flag(self, key: str) -> bool:
        value = self._content.get(key, False)
        if not isinstance(value, bool):
            raise _Wrong(f"{key} must be true or false, not {value!r}")
        return value

    def words(self, key: str) -> dict[str, str]:
        """Return a table of texts; numbers are what helpdesks call many things, and become text."""
        return _words_of(key, self.table(key))

    def table(self, key: str) -> dict[str, Any]:
        return _table(key, self._content.get(key, {}))


def _table(key: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _Wrong(f"{key} must be a table, not {value!r}")
    return value


def _words_of(key: str, value: object) -> dict[str, str]:
    return {name: _word(f"{key}.{name}", word) for name, word in _table(key, value).items()}


def _word(key: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise _Wrong(f"{key} must be text or a whole number, not {value!r}")
    return str(value)


def _connector(name: str, content: object, environment: Mapping[str, str]) -> Connector:
    if not isinstance(content, dict):
        raise _Wrong("must be a table: its keys belong under its name in brackets")
    if not _NAME.fullmatch(name):
        raise _Wrong("a name has lower-case letters, digits and hyphens, and at most 48 of them")
    table = _Table(content)
    kind = table.text("type")
    if kind is None:
        raise _Wrong("type is missing")
    helpdesk_of = helpdesk_class(kind)
    _check_keys(content, _KEYS | helpdesk_of.option_names)
    helpdesk = helpdesk_of(
        Options(
            fields={**helpdesk_of.fields, **table.words("fields")},
            public_url=_url(table, "public_url"),
            others={key: content[key] for key in helpdesk_of.option_names if key in content},
        )
    )
    secret_names = _variables(table, "secret_env")
    if not secret_names:
        raise _Wrong("secret_env is missing: the name of the environment variable with the secret of the webhook")
    api_url, token_names = _url(table, "api_url"), _variables(table, "api_token_env")
    if (api_url is None) != (not token_names):
        raise _Wrong("api_url and api_token_env belong together: give both, or neither to listen only")
    if len(token_names) > 1:
        raise _Wrong("api_token_env names one variable")
    write = table.texts("write")
    if write and api_url is None:
        raise _Wrong("write needs api_url and api_token_env")
    if missing := [head for head in write if head not in helpdesk.options.fields]:
        raise _Wrong(f"fields.{missing[0]} is missing: the field of the helpdesk that {missing[0]} is written to")
    return Connector(
        name=name,
        type=kind,
        helpdesk=helpdesk,
        secret_names=secret_names,
        secrets=tuple(_secret(variable, environment) for variable in secret_names),
        api_url=api_url,
        api_token_name=token_names[0] if token_names else None,
        api_token=_value("api_token_env", token_names[0], environment) if token_names else "",
        write=write,
        on_suggest="note" if table.one_of("on_suggest", ("nothing", "note")) == "note" else "nothing",
        words=_words(table, helpdesk),
        unset=_unset(table, helpdesk),
        allow_from=tuple(_network(text) for text in table.texts("allow_from")),
        not_people=helpdesk.not_people.union(table.texts("not_people")),
        calls_per_minute=table.number("calls_per_minute", helpdesk.calls_per_minute, low=1, high=_MAX_CALLS_PER_MINUTE),
        look_seconds=table.number(
            "look_seconds",
            helpdesk.look_seconds if api_url else 0,
            low=_LEAST_LOOK_SECONDS,
            high=_MAX_LOOK_SECONDS,
            or_zero=True,
        ),
        dry_run=table.flag("dry_run"),
    )


def _check_keys(content: Mapping[str, Any], known: frozenset[str]) -> None:
    for key in content:
        if key not in known:
            meant = difflib.get_close_matches(key, known, n=1)
            raise _Wrong(f"{key} is not a key of this table" + (f": is {meant[0]} meant?" if meant else ""))


def _words(table: _Table, helpdesk: Helpdesk) -> dict[str, Mapping[str, str]]:
    own = table.table("labels")
    words: dict[str, Mapping[str, str]] = dict(helpdesk.words)
    for head, own_words in own.items():
        words[head] = {**words.get(head, {}), **_words_of(f"labels.{head}", own_words)}
    return words


def _unset(table: _Table, helpdesk: Helpdesk) -> dict[str, tuple[str | None, ...]]:
    own = table.table("unset")
    unset = {head: tuple(values) for head, values in helpdesk.unset.items()}
    for head, values in own.items():
        if not isinstance(values, list):
            raise _Wrong(f"unset.{head} must be a list of values, not {values!r}")
        # An empty field is one that nobody chose, whatever else is.
        unset[head] = _NOBODY_CHOSE + tuple(_word(f"unset.{head}", value) for value in values if value != "")
    return unset


def _variables(table: _Table, key: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in (table.text(key, is_shown=False) or "").split(",") if name.strip())
    for name in names:
        if not _VARIABLE.fullmatch(name):
            raise _Wrong(f"{key} must name environment variables, in capitals, and not hold the secret itself")
    return names


def _value(key: str, variable: str, environment: Mapping[str, str]) -> str:
    value = environment.get(variable, "")
    if not value:
        raise _Wrong(f"{key}: the environment variable {variable} is not set; .env is not read for it")
    if not value.isascii() or not value.isprintable() or value != value.strip():
        raise _Wrong(f"{key}: the environment variable {variable} has characters that no header can carry")
    return value


def _secret(variable: str, environment: Mapping[str, str]) -> bytes:
    value = _value("secret_env", variable, environment)
    if len(value) < _LEAST_SECRET_CHARACTERS:
        raise _Wrong(
            f"secret_env: the environment variable {variable} has a secret of less than "
            f"{_LEAST_SECRET_CHARACTERS} characters; openssl rand -base64 32 makes one"
        )
    return value.encode()


def _url(table: _Table, key: str) -> str | None:
    value = table.text(key)
    if value is None:
        return None
    # A password or a token may be in there.
    shown = "" if "@" in value or "?" in value else f", not {value!r}"
    expected = f"{key} must be an address such as https://desk.example.com, without a password in it{shown}"
    try:
        parts = urlsplit(value)
        is_address = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise _Wrong(expected) from None
    if not is_address or "@" in parts.netloc or parts.query or parts.fragment or not value.isprintable():
        raise _Wrong(expected)
    is_open = key == "api_url" and parts.scheme == "http" and not _is_here(parts.hostname or "")
    if is_open and not table.flag("plain_http"):
        raise _Wrong(
            f"{key} {value!r} must begin with https://, because a token is sent there; "
            "if nobody else is on the way there, plain_http = true lets it be"
        )
    return value.rstrip("/")


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _network(text: str) -> IPNetwork:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise _Wrong(f"allow_from {text!r} is not an address or a network such as 203.0.113.0/24") from None
