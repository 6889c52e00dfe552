"""Settings: every environment variable, typed and bounded. Reading them elsewhere than in the commands is not done."""

from __future__ import annotations

import ipaddress
import json
import logging
import os
import re
import sys
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal, get_args, get_origin
from urllib.parse import parse_qs, urlsplit

from dotenv import dotenv_values
from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

logger = logging.getLogger(__name__)

LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

EXIT_BAD_SETTING = 2
# Bounds that nobody needs to choose: what common proxies let through, with room to spare.
MAX_HEADERS = 100
MAX_HEAD_BYTES = 16_384
MEMORY_STORAGE = "memory://"
_MAX_QUOTED_CHARACTERS = 100
_VERSION = re.compile(
    r"v?((?:0|[1-9]\d{0,8})(?:\.(?:0|[1-9]\d{0,8})){2}(?:-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?)", re.ASCII
)
_DATABASE_NAME = re.compile(r"/[^/]+")
_DATABASE = re.compile(r"/?|/\d{1,5}", re.ASCII)
# What a server with a certificate of its own authority needs; other options would change how failures are met.
_REDIS_OPTIONS = frozenset({"ssl_ca_certs", "ssl_cert_reqs"})
_ORIGINS_EXPECTED = "a list of origins such as https://desk.example.com, or *"
STORE_URLS = "sqlite:///FILE, postgresql://USER@HOST:PORT/NAME and off"
# A name that is shown and stored, and the hash of the key that it belongs to.
REVIEWER_NAME = re.compile(r"[A-Za-z0-9._@-]{1,64}", re.ASCII)
_REVIEWER_KEY = re.compile(rf"({REVIEWER_NAME.pattern}):([0-9A-Fa-f]{{64}})", re.ASCII)
_SHARES_EXPECTED = 'JSON such as {"priority": {"Urgent": 0.1, "Low": 0.9}}, the shares of a head above 0 and 1 in all'
# Shares that people round do not sum to exactly one.
_SUM_TOLERANCE = 0.01
_SHA256_HEX = re.compile(r"[0-9a-f]{64}")
_PEM_PUBLIC_KEY = b"-----BEGIN PUBLIC KEY-----"
_MAX_KEY_BYTES = 1 << 16
# `API_KEY` for `API_KEYS` is 0.93 alike, `APP_KEYS` of another program 0.88.
_MISSPELT_SIMILARITY = 0.9
# Of a setting that begins with the same word; `STORE_URI` for `STORE_URL` is 0.89 alike.
_MISSPELT_END_SIMILARITY = 0.85
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.\[\]:-]+", re.ASCII)


class Settings(BaseSettings):
    """What the environment or ``.env`` says; an empty variable counts as not set."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        protected_namespaces=(),
    )

    model_version: str = Field("1.0.0", description="version that training writes; if set, the one that is served")
    models_base_dir: str = Field("models", min_length=1, description="where the version directories live")
    model_public_key: Path | None = Field(
        None, description="PEM file of the public key; if set, only versions signed with its private key are loaded"
    )
    validation_split: float = Field(0.2, ge=0.05, le=0.5, description="share of the tickets held out in training")
    random_seed: int = Field(42, ge=0, le=2**32 - 1, description="seed of training")
    enable_eval: bool = Field(default=True, description="compute validation metrics in training")
    host: str = Field("127.0.0.1", min_length=1, description="address that the service listens on")
    port: int = Field(8000, ge=0, le=65535, description="port that the service listens on; 0: any free one")
    workers: int = Field(1, ge=1, le=64, description="processes that serve")
    drain_seconds: int = Field(5, ge=0, le=10, description="seconds of serving on after SIGTERM, then it stops")
    max_pending_requests: int = Field(
        4096, ge=1, le=100_000, description="tickets that may wait in one process; more are refused (503)"
    )
    batch_max_tickets: int = Field(100, ge=1, le=10_000, description="tickets in one batch request")
    docs_enabled: bool = Field(default=True, description="serve /docs, /redoc and /openapi.json")
    rate_limit_requests: int = Field(100, ge=1, le=1_000_000, description="requests per window and client")
    rate_limit_window_sec: int = Field(60, ge=1, le=86_400, description="seconds in a window")
    rate_limit_storage: str = Field(MEMORY_STORAGE, description="memory:// or redis://host:port/db")
    trusted_proxies: Annotated[tuple[IPNetwork, ...], NoDecode] = Field(
        (), description="CIDRs whose X-Forwarded-For is believed"
    )
    max_body_bytes: int = Field(65_536, ge=1, le=1 << 24, description="largest body of a request with one ticket")
    log_level: LogLevel = Field("INFO", description="DEBUG, INFO, WARNING, ERROR or CRITICAL")
    structured_logs: bool = Field(default=True, description="JSON lines; false: readable text")
    drift_window: int = Field(
        1000, ge=500, le=100_000, description="tickets of each process that drift is computed from"
    )
    label_shares: Annotated[dict[str, dict[str, float]], NoDecode] = Field(
        {}, description="JSON, by head the share of each label among the tickets to come; answers are adapted to it"
    )
    metrics_dir: str = Field(
        "", description="where processes share their metrics; `python -m app` makes and removes one of its own"
    )
    cors_allow_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="origins of web pages that may call"
    )
    api_keys: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="SHA-256 hashes of accepted keys; empty: no key is asked"
    )
    admin_api_keys: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="SHA-256 hashes of keys for the routes that change something; empty: those are closed"
    )

    reviewer_api_keys: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="name:hash of keys that open what shows tickets; the name is who reviews"
    )
    store_url: str = Field(
        "sqlite:///var/classifier.db", description="where answers and judgements are kept; off: nowhere"
    )
    store_text: Literal["none", "review", "all"] = Field(
        "review", description="of which tickets the text is kept: none, those that a person will look at, or all"
    )
    store_retention_days: int = Field(
        90, ge=0, le=36_500, description="days until text is erased; predictions go after twice that; 0: never"
    )
    audit_share: float = Field(
        0.05,
        ge=0,
        le=1,
        description="share of the tickets with an auto answer that a person is asked about, without seeing the answers",
    )
    promise_alpha: float = Field(
        0.05,
        ge=0.0001,
        le=0.5,
        description="chance with which a kept promise may be called broken, all labels together",
    )
    promise_keeper: Literal["act", "observe", "off"] = Field(
        "act", description="act: labels whose promise is broken are not answered auto; observe: it is shown; off"
    )

    connectors_file: Path | None = Field(
        None, description="TOML file of the helpdesks to connect, one table each; empty: none"
    )

    @property
    def reviewers(self) -> dict[str, str]:
        """The names of reviewers by the hash of their keys."""
        return {key_hash: name for name, _, key_hash in (key.partition(":") for key in self.reviewer_api_keys)}

    @property
    def pinned_version(self) -> str | None:
        """The version to serve and no other, when ``MODEL_VERSION`` was set."""
        return self.model_version if "model_version" in self.model_fields_set else None

    @field_validator(
        "trusted_proxies", "cors_allow_origins", "api_keys", "admin_api_keys", "reviewer_api_keys", mode="before"
    )
    @classmethod
    def _split_list(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        if value.lstrip().startswith("["):
            try:
                return json.loads(value)
            except (ValueError, RecursionError) as error:
                raise ValueError("is neither a comma-separated list nor a JSON one") from error
        return [part.strip() for part in value.split(",") if part.strip()]

    @field_validator("model_version")
    @classmethod
    def _check_version(cls, value: str) -> str:
        match = _VERSION.fullmatch(value)
        if match is None:
            raise ValueError("is not MAJOR.MINOR.PATCH")
        return match[1]

    @field_validator("model_public_key")
    @classmethod
    def _check_public_key(cls, value: Path | None) -> Path | None:
        if value is None:
            return None
        try:
            with value.open("rb") as file:
                is_key = _PEM_PUBLIC_KEY in file.read(_MAX_KEY_BYTES)
        except (OSError, ValueError):
            is_key = False
        if not is_key:
            raise ValueError("is not a file with a public key in PEM form")
        if find_spec("model_signing") is None:
            raise ValueError("needs the package model-signing: pip install -r requirements-signing.txt")
        return value

    @field_validator("connectors_file")
    @classmethod
    def _check_connectors(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is None:
            return None
        if info.data.get("store_url") == "off":
            raise ValueError("needs a store, and STORE_URL is off")
        if not value.is_file():
            raise ValueError("is not a file")
        if find_spec("httpx") is None:
            raise ValueError("needs the package httpx: pip install -r requirements-connectors.txt")
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper_case(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("rate_limit_storage")
    @classmethod
    def _check_storage(cls, value: str) -> str:
        if value == MEMORY_STORAGE:
            return value
        if not _is_redis_url(value):
            raise ValueError("is neither memory:// nor redis://host:port/db")
        if find_spec("redis") is None:
            raise ValueError("needs the package redis: pip install -r requirements-redis.txt")
        return value

    @field_validator("store_url")
    @classmethod
    def _check_store(cls, value: str) -> str:
        if not is_store_url(value):
            raise ValueError(f"is none of {STORE_URLS}")
        if value.startswith("postgresql:") and find_spec("psycopg") is None:
            raise ValueError("needs the package psycopg: pip install -r requirements-postgres.txt")
        return value

    @field_validator("reviewer_api_keys")
    @classmethod
    def _check_reviewers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        matches = [_REVIEWER_KEY.fullmatch(key) for key in value]
        if None in matches:
            raise ValueError(
                "is not a list of name:hash, with names such as mia.w and SHA-256 hashes of 64 hexadecimal digits"
            )
        return tuple(f"{match[1]}:{match[2].lower()}" for match in matches if match)

    @field_validator("cors_allow_origins")
    @classmethod
    def _check_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(origin != "*" and not _ORIGIN.fullmatch(origin) for origin in value):
            raise ValueError(f"is not {_ORIGINS_EXPECTED}")
        return value

    @field_validator("label_shares", mode="before")
    @classmethod
    def _read_shares(cls, value: object) -> object:
        try:
            return json.loads(value) if isinstance(value, str) else value
        except (ValueError, RecursionError) as error:
            raise ValueError(f"is not {_SHARES_EXPECTED}") from error

    @field_validator("label_shares")
    @classmethod
    def _check_shares(cls, value: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
        for shares in value.values():
            if not all(share > 0 for share in shares.values()) or abs(sum(shares.values()) - 1) > _SUM_TOLERANCE:
                raise ValueError(f"is not {_SHARES_EXPECTED}")
        return value

    @field_validator("api_keys", "admin_api_keys")
    @classmethod
    def _check_hashes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        hashes = tuple(key_hash.lower() for key_hash in value)
        if not all(_SHA256_HEX.fullmatch(key_hash) for key_hash in hashes):
            raise ValueError("is not a list of SHA-256 hashes of 64 hexadecimal digits each")
        return hashes


def _is_redis_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
        options = parse_qs(parts.query, strict_parsing=True) if parts.query else {}
        is_address = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    is_known = parts.scheme in {"redis", "rediss"} and options.keys() <= _REDIS_OPTIONS
    return is_known and is_address and bool(_DATABASE.fullmatch(parts.path)) and not parts.fragment


def is_store_url(value: str) -> bool:
    """Return whether ``value`` is what STORE_URL takes; it may have a password in it, and is never to be quoted."""
    if value == "off":
        return True
    try:
        parts = urlsplit(value)
        has_port = parts.port != 0
    except ValueError:
        return False
    if parts.scheme == "sqlite":
        # A file, with one slash more when its path begins at the root.
        is_file = not parts.netloc and len(parts.path) > 1 and not parts.path.endswith("/")
        return value.startswith("sqlite:///") and is_file and not parts.query and not parts.fragment
    is_server = parts.scheme == "postgresql" and bool(parts.hostname) and has_port and not parts.fragment
    return is_server and bool(_DATABASE_NAME.fullmatch(parts.path))


# Quoting these would put a secret, or a part of one, into a log.
_SECRET_FIELDS = frozenset({"api_keys", "admin_api_keys", "reviewer_api_keys", "rate_limit_storage", "store_url"})


def _describe_errors(error: ValidationError) -> str:
    """Say in one line what is wrong with which variable, quoting its value unless that is secret."""
    # The sources are asked again for what they said, because the error itself must not carry secrets.
    values = _raw_values()
    lines = []
    for detail in error.errors(include_url=False, include_input=False):
        field = str(detail["loc"][0])
        quoted = "" if field in _SECRET_FIELDS or field not in values else f" {json.dumps(_cut(values[field]))}"
        line = f"{field.upper()}{quoted} {_expectation(field, detail['type'], detail['msg'])}"
        if line not in lines:
            lines.append(line)
    return "; ".join(lines)


def load_settings() -> Settings:
    """Read the settings; when one is malformed, print one line that names it and exit with code 2."""
    try:
        return Settings()
    except ValidationError as error:
        sys.stderr.write(f"{_describe_errors(error)}\n")
    except UnicodeDecodeError as error:
        sys.stderr.write(f".env is not UTF-8: {error.reason} at byte {error.start}\n")
    raise SystemExit(EXIT_BAD_SETTING)


def warn_of_misspelt_settings() -> None:
    """Log a warning for each variable that has no effect but looks like a setting; its value may be a secret."""
    # Names of one word, such as PORT, are too much like those of other programs.
    settings = [field.upper() for field in Settings.model_fields if "_" in field]
    for name in sorted({name.upper() for name in _raw_values()}):
        meant = _meant(name, settings) if "_" in name else None
        if meant not in {None, name}:
            logger.warning("%s is not a setting and has no effect: is %s meant?", name, meant)


def _meant(name: str, settings: list[str]) -> str | None:
    """Return the setting that is spelt almost like ``name``, or like it with one word more."""
    first, *others = name.split("_")
    of_first_word = [setting for setting in settings if setting.startswith(f"{first}_")]
    candidates = [
        *get_close_matches(name, settings, n=1, cutoff=_MISSPELT_SIMILARITY),
        *get_close_matches(name, of_first_word, n=1, cutoff=_MISSPELT_END_SIMILARITY),
        *(setting for setting in of_first_word if _is_one_word_more(setting.split("_")[1:], others)),
    ]
    return candidates[0] if candidates else None


def _is_one_word_more(words: list[str], others: list[str]) -> bool:
    return any(words[:place] + words[place + 1 :] == others for place in range(len(words)))


def _raw_values() -> dict[str, str]:
    merged = {**dotenv_values(".env", encoding="utf-8"), **os.environ}
    return {name.lower(): value for name, value in merged.items() if value}


def _cut(value: str) -> str:
    return value if len(value) <= _MAX_QUOTED_CHARACTERS else value[:_MAX_QUOTED_CHARACTERS] + "..."


# What the library's own message would not say.
_FORMS = {
    "trusted_proxies": "a list of addresses or networks such as 10.0.0.0/8",
    "cors_allow_origins": _ORIGINS_EXPECTED,
    "label_shares": _SHARES_EXPECTED,
}


def _expectation(field: str, error_type: str, message: str) -> str:
    info = Settings.model_fields[field]
    bounds = {name: getattr(rule, name) for rule in info.metadata for name in ("ge", "le") if hasattr(rule, name)}
    if info.annotation in {int, float} and bounds:
        number = "a whole number" if info.annotation is int else "a number"
        return f"is not {number} from {bounds['ge']} to {bounds['le']}"
    if info.annotation is bool:
        return "is neither true nor false"
    if get_origin(info.annotation) is Literal:
        return f"is not one of {', '.join(get_args(info.annotation))}"
    if field in _FORMS and error_type != "value_error":
        return f"is not {_FORMS[field]}"
    return message.removeprefix("Value error, ")
