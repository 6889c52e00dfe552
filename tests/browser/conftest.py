"""The console in a real browser: one browser for all tests, and for each of them a service and watched pages."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest

from app.models.artifacts import read_manifest, read_verified, write_version
from app.models.classifier import METADATA_NAME
from benchmarks.chromium import ColorScheme, missing, running_chromium
from tests.browser.console import KEYS, Console
from tests.browser.watch import Watch
from tests.processes import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tests.conftest import StartProcess

StartConsole = Callable[..., Console]
OpenPage = Callable[..., "Page"]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One for the tests of this folder only, because no event loop can run beside it."""
    if (reason := missing()) is not None:
        pytest.skip(reason)
    with running_chromium() as chromium:
        yield chromium


@pytest.fixture(scope="session")
def version_files() -> dict[str, bytes]:
    """The files of the version that comes with the project, without those that are for notebooks."""
    directory = ROOT / "models" / "v1.0.0"
    manifest = read_manifest(directory)
    return {
        name: bytes(read_verified(directory, manifest, name))
        for name in manifest.files
        if not name.endswith(".joblib") and (directory / name).exists()
    }


WriteVersion = Callable[..., None]


@pytest.fixture(scope="session")
def write_version_of_project(version_files: dict[str, bytes]) -> WriteVersion:
    """Write the version that comes with the project, under any number, and with other files if they are given."""

    def write(models_dir: Path, version: str, others: Mapping[str, bytes] = MappingProxyType({})) -> None:
        files = {**version_files, **others}
        files[METADATA_NAME] = files[METADATA_NAME].replace(b'"version": "1.0.0"', f'"version": "{version}"'.encode())
        write_version(models_dir / f"v{version}", files)

    return write


@pytest.fixture
def start_console(start_process: StartProcess, write_version_of_project: WriteVersion, tmp_path: Path) -> StartConsole:
    """Start a service with a store of its own, for the person at this machine unless ``KEYS`` are given to it.

    Other arguments are its settings. Of several ``versions`` the highest serves.
    """

    def start(*, versions: Collection[str] = ("1.0.0",), **variables: str) -> Console:
        place = tmp_path / f"console-{len(list(tmp_path.glob('console-*')))}"
        models_dir, store_url = place / "models", f"sqlite:///{place / 'store.db'}"
        for version in versions:
            write_version_of_project(models_dir, version)
        values = {"MODELS_BASE_DIR": str(models_dir), "STORE_URL": store_url, **variables}
        return Console(start_process(**values), models_dir, store_url)

    return start


@pytest.fixture
def service(start_console: StartConsole) -> Console:
    """A service that asks nobody for a key."""
    return start_console()


@pytest.fixture
def keyed_service(start_console: StartConsole) -> Console:
    """A service with two reviewers and an admin."""
    return start_console(**KEYS)


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Open a page of a service in a browser that knows nothing of any other; fail if it does what pages must not do.

    Paths are relative to the service. ``expected_statuses`` are errors that the test provokes.
    """
    watches: list[Watch] = []

    def open_one(
        service: Console,
        *,
        color_scheme: ColorScheme = "light",
        width: int = 1280,
        has_script: bool = True,
        expected_statuses: Collection[int] = (),
    ) -> Page:
        context = browser.new_context(
            base_url=service.origin,
            color_scheme=color_scheme,
            viewport={"width": width, "height": 800},
            java_script_enabled=has_script,
            reduced_motion="reduce",
        )
        watches.append(Watch(context, origin=service.origin, expected_statuses=expected_statuses))
        return context.new_page()

    yield open_one
    for watch in watches:
        watch.close()
    problems = [problem for watch in watches for problem in watch.problems]
    assert not problems, "\n".join(problems)


@pytest.fixture
def page(open_page: OpenPage, service: Console) -> Page:
    """A page of ``service``, which is not opened yet."""
    return open_page(service)
