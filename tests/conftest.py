"""What tests of the service share: a small real model, the service in this process, and as a process of its own."""

from __future__ import annotations

import contextlib
import json
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from app.config import Settings
from app.models.artifacts import write_version
from app.models.classifier import METADATA_NAME, TicketClassifier
from app.models.decisions import DecisionPolicy, OperatingPoint
from app.models.features import BlockSpec, FeatureSpec
from app.models.model_data import Head, ModelData, to_files
from app.models.self_test import SELF_TEST_NAME, self_test_bytes
from tests.in_process import Service
from tests.postgres import Postgres, missing
from tests.processes import ServiceProcess, launch_service

# How long an example takes depends on what else the machine does; tests of speed compare, and say so.
settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")

# A shell has its background jobs ignore SIGINT, and so every process that they start; the tests send it to some.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

DEFAULT_HEADS = MappingProxyType(
    {"priority": ("High", "Low", "Medium", "Urgent"), "department": ("Billing", "Sales", "Tech Support")}
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that have slow tests, then with those that have most, so that none is left to run last."""
    slow = {item.path for item in items if item.get_closest_marker("slow") is not None}
    n_tests = Counter(item.path for item in items)
    items.sort(key=lambda item: (item.path not in slow, 0 if item.path in slow else -n_tests[item.path]))


class WriteModel(Protocol):
    def __call__(self, models_dir: Path, version: str, heads: Mapping[str, tuple[str, ...]] = ...) -> Path: ...


def _head(name: str, labels: tuple[str, ...]) -> Head:
    points = {label: OperatingPoint(auto=0.6, suggest=0.4) for label in labels}
    policy = DecisionPolicy(MappingProxyType(points), ambiguity_margin=0.05, min_known_share=0.1)
    return Head(name, labels, tuple(0.0 for _ in labels), policy)


@pytest.fixture(scope="session")
def write_model() -> WriteModel:
    """Write a version that knows a few words: each is a vote for one label of every head."""
    words = ("down", "invoice", "main", "offline", "price", "quote", "refund", "server", "users")

    def write(models_dir: Path, version: str, heads: Mapping[str, tuple[str, ...]] = DEFAULT_HEADS) -> Path:
        n_outputs = sum(map(len, heads.values()))
        weights = np.random.default_rng(7).normal(0, 3, (len(words), n_outputs)).astype(np.float32)
        data = ModelData(
            features=FeatureSpec(blocks=(BlockSpec("word", 1, 1),), sublinear_tf=True),
            terms=(words,),
            idf=np.ones(len(words)),
            weights=weights,
            heads=tuple(_head(name, labels) for name, labels in heads.items()),
        )
        metadata = {"version": version, "seed": 7}
        self_test = self_test_bytes(
            TicketClassifier(data, metadata).predict_proba, [("server down", "users offline"), ("refund", "invoice")]
        )
        directory = models_dir / f"v{version}"
        files = to_files(data) | {
            METADATA_NAME: json.dumps(metadata).encode(),
            SELF_TEST_NAME: self_test,
        }
        write_version(directory, files, force=True)
        return directory

    return write


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory: pytest.TempPathFactory, write_model: WriteModel) -> Path:
    """A models directory with v1.0.0; read only."""
    directory = tmp_path_factory.mktemp("models")
    write_model(directory, "1.0.0")
    return directory


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A cluster for all tests of this process, started by the first that asks; who breaks it mends it again."""
    if (reason := missing()) is not None:
        pytest.skip(reason)
    with Postgres() as cluster:
        yield cluster


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty store: what is tested of a store holds in both databases."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'store.db'}"
        return
    cluster: Postgres = request.getfixturevalue("postgres")
    with cluster.database() as url:
        yield url


StartService = Callable[..., Service]


@pytest.fixture
def start_service(models_dir: Path) -> Iterator[StartService]:
    """Start the service in this process with the given settings; by default nobody is limited."""
    with contextlib.ExitStack() as stack:

        def start(**settings: object) -> Service:
            values = {
                "models_base_dir": str(models_dir),
                "rate_limit_requests": 1_000_000,
                "store_url": "off",
                **settings,
            }
            return stack.enter_context(Service(Settings(_env_file=None, **values)))

        yield start


@pytest.fixture
def service(start_service: StartService) -> Service:
    return start_service()


StartProcess = Callable[..., ServiceProcess]


@pytest.fixture
def start_process(tmp_path: Path, models_dir: Path) -> Iterator[StartProcess]:
    """Start ``python -m app`` with extra arguments and environment variables, and wait until it answers."""
    started: list[ServiceProcess] = []

    def start(
        *arguments: str,
        wait: bool = True,
        command: tuple[str, ...] = ("-m", "app"),
        port: int | None = None,
        **variables: str,
    ) -> ServiceProcess:
        log_path = tmp_path / f"service-{len(started)}.log"
        values = {"MODELS_BASE_DIR": str(models_dir), **variables}
        service_process = launch_service(log_path, *arguments, command=command, port=port, **values)
        started.append(service_process)
        if wait:
            service_process.wait_until_live()
        return service_process

    yield start
    for service_process in started:
        service_process.end()
