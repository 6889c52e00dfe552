"""Helpdesks for these tests: installed once a checkout or machine, prepared once a run, started for each test."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpdesks import request_tracker
from tests.helpdesks.django_helpdesk import LOCK, DjangoHelpdesk, prepare
from tests.helpdesks.environments import python_or_skip
from tests.helpdesks.request_tracker import RequestTracker

StartHelpdesk = Callable[..., DjangoHelpdesk]
NewRequestTracker = Callable[..., RequestTracker]


@pytest.fixture(scope="session")
def django_python() -> Path:
    """The interpreter of the environment that has django-helpdesk."""
    return python_or_skip(LOCK)


@pytest.fixture(scope="session")
def django_database(django_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database without tickets, to be copied: making one takes longer than starting on it."""
    return prepare(django_python, tmp_path_factory.mktemp("django-helpdesk"))


@pytest.fixture
def start_helpdesk(django_python: Path, django_database: Path, tmp_path: Path) -> Iterator[StartHelpdesk]:
    """Start a helpdesk with a database of its own, and wait until it answers."""
    with contextlib.ExitStack() as stack:

        def start(*, webhook_url: str | None = None) -> DjangoHelpdesk:
            directory = tmp_path / f"helpdesk-{len(list(tmp_path.glob('helpdesk-*')))}"
            directory.mkdir()
            shutil.copy(django_database, directory)
            helpdesk = DjangoHelpdesk(django_python, directory, webhook_url=webhook_url)
            stack.callback(helpdesk.close)
            helpdesk.start()
            return helpdesk

        yield start


@pytest.fixture(scope="session")
def prepared_request_tracker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a site without tickets, to be copied: making one takes longer than starting it."""
    if (reason := request_tracker.missing()) is not None:
        pytest.skip(reason)
    directory = tmp_path_factory.mktemp("request-tracker")
    request_tracker.prepare(directory)
    return directory


@pytest.fixture
def new_request_tracker(prepared_request_tracker: Path, tmp_path: Path) -> Iterator[NewRequestTracker]:
    """Make a Request Tracker with a database of its own, which is yet to be started."""
    with contextlib.ExitStack() as stack:

        def make(*, webhook_url: str | None = None, webhook_secret: str = "") -> RequestTracker:
            directory = tmp_path / f"request-tracker-{len(list(tmp_path.glob('request-tracker-*')))}"
            request_tracker.copy(prepared_request_tracker, directory)
            helpdesk = RequestTracker(directory, webhook_url=webhook_url, webhook_secret=webhook_secret)
            stack.callback(helpdesk.close)
            return helpdesk

        yield make
