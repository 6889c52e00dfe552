from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest

from app.web.api.documentation_pages import documentation_routes
from tests.conftest import StartProcess, StartService
from tests.in_process import Service

PAGES = ("/docs", "/redoc")
DOCUMENTATION_PATHS = [route.path for route in documentation_routes()]
# The one thing that a page asks for elsewhere, in vain: the logo of the library that draws it.
REFUSED = {"/docs": set(), "/redoc": {"https://cdn.redoc.ly/redoc/logo-mini.svg"}}


def links(page: str) -> list[str]:
    return re.findall(r'(?:src|href|spec-url)="(?!data:)([^"]*)"', page)


def test_the_documentation_can_be_turned_off(start_service: StartService) -> None:
    service = start_service(docs_enabled=False)

    for path in (*DOCUMENTATION_PATHS, "/openapi.json"):
        assert service.get(path).status_code == 404
        assert service.get(path).json()["error"] == "not_found"


@pytest.mark.parametrize("path", PAGES)
def test_the_documentation_is_on_by_default(service: Service, path: str) -> None:
    response = service.get(path)

    assert response.headers["content-type"].startswith("text/html")
    assert service.request("HEAD", path).status_code == 200


@pytest.mark.parametrize("path", PAGES)
def test_a_page_loads_nothing_from_elsewhere_and_has_no_script_in_itself(service: Service, path: str) -> None:
    response = service.get(path)
    policy = dict(
        directive.strip().split(" ", 1) for directive in response.headers["content-security-policy"].split(";")
    )

    assert [link for link in links(response.text) if "//" in link] == []
    assert re.findall(r"<script[^>]*>[^<]|<style|\bon\w+=|javascript:", response.text) == []
    assert policy["default-src"] == "'self'"
    assert policy.keys().isdisjoint({"script-src", "script-src-elem", "connect-src"})
    assert ("style-src" in policy) == (path == "/redoc")


@pytest.mark.parametrize("root_path", ["", "/model"])
@pytest.mark.parametrize("path", PAGES)
def test_everything_that_a_page_loads_is_served_behind_a_root_path_too(
    service: Service, path: str, root_path: str
) -> None:
    page = service.get(root_path + path, root_path=root_path)
    loaded = {urljoin(root_path + path, link): link for link in links(page.text)}

    kinds = {"js": "text/javascript", "css": "text/css", "json": "application/json"}
    assert loaded
    for address, link in loaded.items():
        response = service.get(address, root_path=root_path)
        assert response.status_code == 200, address
        assert response.headers["content-type"].startswith(kinds[link.rpartition(".")[2]])
        assert response.content


def test_the_pages_and_what_they_load_are_routes_of_their_own_in_the_metrics(service: Service) -> None:
    for path in DOCUMENTATION_PATHS:
        service.get(path)

    counted = service.get("/metrics").text
    assert [path for path in DOCUMENTATION_PATHS if f'route="{path}"' not in counted] == []
    assert 'route="unmatched"' not in counted


@pytest.mark.slow
@pytest.mark.parametrize("path", PAGES)
def test_a_browser_without_the_internet_draws_the_page(start_process: StartProcess, tmp_path: Path, path: str) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium is installed; .ci/run installs it")
    origin, requests = start_process().base_url, tmp_path / "requests.json"

    options = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    options += ["--disable-background-networking", f"--user-data-dir={tmp_path / 'profile'}"]
    # Every other host is unknown.
    options += ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
    options += [f"--log-net-log={requests}", "--enable-logging=stderr"]
    # The page's own clock runs on until it has nothing more to do.
    options += ["--virtual-time-budget=20000"]

    run = subprocess.run(
        [browser, "--headless", *options, "--dump-dom", origin + path],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )

    assert run.returncode == 0, run.stderr
    for shown in ("Ticket classifier", "/classify/batch", "/model/activate", "Classify one ticket"):
        assert shown in run.stdout, run.stderr
    refusals = re.findall(r"CONSOLE.*?'(.*?)' violates the following Content Security Policy", run.stderr)
    assert run.stderr.count("Content Security Policy") == len(refusals), run.stderr
    assert set(refusals) == REFUSED[path]
    events = json.loads(requests.read_text(encoding="utf-8"))["events"]
    asked = [event["params"]["url"] for event in events if event.get("params", {}).get("initiator") == origin]
    assert {urlsplit(url).netloc for url in asked} == {urlsplit(origin).netloc}
