from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import pytest

from app.keys import hash_key
from app.models.artifacts import read_manifest, read_verified, write_version
from app.models.versions import VersionName
from app.web.console.models_page import previous_version
from tests.browsing import Browser
from tests.html_reader import Reader

if TYPE_CHECKING:
    from tests.conftest import Service, StartService, WriteModel

KEYS = {"reviewer_api_keys": (f"mia:{hash_key('mias-key')}",), "admin_api_keys": (hash_key("admins-key"),)}
LOOPBACK = ("127.0.0.1", 5000)


@pytest.fixture
def base_dir(tmp_path: Path, write_model: WriteModel) -> Path:
    """Two versions, of which 1.1.0 is the highest."""
    for version in ("1.0.0", "1.1.0"):
        write_model(tmp_path / "models", version)
    return tmp_path / "models"


@pytest.fixture
def service(start_service: StartService, base_dir: Path) -> Service:
    return start_service(models_base_dir=str(base_dir), **KEYS)


@pytest.fixture
def admin(service: Service) -> Browser:
    return signed_in(service)


def signed_in(service: Service) -> Browser:
    """Return an admin's browser that has seen the page of versions."""
    browser = Browser(service)
    browser.sign_in("admins-key")
    browser.get("models")
    return browser


def add_file(version: Path, name: str, content: bytes) -> None:
    """Let a version be written anew, with one more file."""
    manifest = read_manifest(version)
    files = {listed: bytes(read_verified(version, manifest, listed)) for listed in manifest.files}
    write_version(version, {**files, name: content}, force=True)


def serving(service: Service) -> str:
    return service.state["registry"].current.version


def words(page: str) -> str:
    return " ".join(" ".join(Reader(page).text).split())


def links(page: str) -> list[str]:
    return [value for tag, name, value in Reader(page).attributes if (tag, name) == ("a", "href")]


def test_versions_are_shown_newest_first_with_the_one_that_answers(admin: Browser) -> None:
    page = admin.get("models").text

    assert "1.1.0 answers" in words(page)
    headings = [text.strip() for text in Reader(page).text if text.strip() in {"1.0.0", "1.1.0"}]
    assert headings == ["1.1.0", "1.0.0"]
    assert Reader(page).open == []


def test_an_admin_lets_another_version_answer_after_a_page_that_names_both(admin: Browser, service: Service) -> None:
    confirmation = admin.get("models?activate=1.0.0")
    assert "1.0.0 will answer instead of 1.1.0" in words(confirmation.text)
    assert serving(service) == "1.1.0"

    answer = admin.post("activate", {"version": "1.0.0", "instead_of": "1.1.0"})
    after = admin.get(answer.headers["location"])

    assert (answer.status_code, answer.headers["location"]) == (303, "models?before=1.1.0")
    assert serving(service) == "1.0.0"
    assert "1.0.0 answers now , instead of 1.1.0." in words(after.text)
    assert "models?activate=1.1.0" in links(after.text)


def test_a_confirmation_that_came_too_late_changes_nothing_and_asks_again(admin: Browser, service: Service) -> None:
    admin.get("models?activate=1.0.0")

    answer = admin.post("activate", {"version": "1.0.0", "instead_of": "0.9.0"})

    assert answer.status_code == 409
    assert serving(service) == "1.1.0"
    assert "Nothing was changed" in answer.text
    assert "1.0.0 will answer instead of 1.1.0" in words(answer.text)


def test_a_reviewer_reads_why_there_is_no_button_and_changes_nothing(service: Service) -> None:
    browser = Browser(service)
    browser.sign_in("mias-key")

    page, confirmation = browser.get("models"), browser.get("models?activate=1.0.0")
    answer = browser.post("activate", {"version": "1.0.0", "instead_of": "1.1.0"})

    assert "Only an admin can let another version answer" in words(page.text)
    assert not [link for link in links(page.text) if "activate" in link]
    assert "will answer instead" not in confirmation.text
    assert (answer.status_code, serving(service)) == (403, "1.1.0")


def test_without_an_admins_key_it_says_how_to_make_one(start_service: StartService, base_dir: Path) -> None:
    service = start_service(models_base_dir=str(base_dir))
    browser = Browser(service, peer=LOOPBACK)

    page = browser.get("models")
    answer = browser.post("activate", {"version": "1.0.0", "instead_of": "1.1.0"})

    assert "python -m app.keys" in words(page.text)
    assert (answer.status_code, serving(service)) == (403, "1.1.0")
    assert Browser(service).get("models").status_code == 403


def test_without_the_token_of_the_page_nothing_is_changed(admin: Browser, service: Service) -> None:
    admin.get("models")

    answer = admin.post("activate", {"version": "1.0.0", "instead_of": "1.1.0"}, token="0" * 64)

    assert (answer.status_code, serving(service)) == (403, "1.1.0")


def test_a_version_that_is_refused_changes_nothing_and_says_why(
    admin: Browser, service: Service, base_dir: Path
) -> None:
    (base_dir / "v1.0.0" / "weights.npy").write_bytes(b"no weights")

    answer = admin.post("activate", {"version": "1.0.0", "instead_of": "1.1.0"})

    assert answer.status_code == 409
    assert "1.0.0 was not activated. It was loaded and tested, and did not pass" in words(answer.text)
    assert "1.1.0 answers, as before." in words(answer.text)
    assert str(base_dir) not in answer.text
    assert serving(service) == "1.1.0"


def test_while_a_version_is_pinned_there_is_no_button_and_the_form_is_refused(
    start_service: StartService, base_dir: Path
) -> None:
    service = start_service(models_base_dir=str(base_dir), model_version="1.0.0", **KEYS)
    admin = signed_in(service)

    page = admin.get("models")
    answer = admin.post("activate", {"version": "1.1.0", "instead_of": "1.0.0"})

    assert "holds this service on 1.0.0" in words(page.text)
    assert not [link for link in links(page.text) if "activate" in link]
    assert answer.status_code == 409
    assert "1.1.0 was not activated. The setting MODEL_VERSION holds" in words(answer.text)


def test_a_choice_that_cannot_be_written_down_is_not_made(admin: Browser, service: Service, base_dir: Path) -> None:
    (base_dir / "ACTIVE").mkdir()

    answer = admin.post("activate", {"version": "1.0.0", "instead_of": "1.1.0"})

    assert answer.status_code == 409
    assert "The choice cannot be written down" in words(answer.text)
    assert serving(service) == "1.1.0"


def test_a_version_that_should_answer_and_was_refused_is_told(admin: Browser, service: Service, base_dir: Path) -> None:
    (base_dir / "ACTIVE").write_text("3.0.0\n")
    service.state["registry"].follow()

    page = admin.get("models").text

    assert "A version that should answer was refused." in words(page)
    assert str(base_dir) not in page


def test_a_damaged_version_is_shown_as_one_and_breaks_no_other(admin: Browser, base_dir: Path) -> None:
    add_file(base_dir / "v1.0.0", "metrics.json", b'{"priority": {"summary": {"accuracy": 0.875}}}')
    (base_dir / "v0.9.0").mkdir()
    (base_dir / "v0.8.0").mkdir()
    (base_dir / "v0.8.0" / "manifest.json").write_bytes(b"[" * 100_000)

    page = admin.get("models")

    assert page.status_code == 200
    assert "v0.9.0/manifest.json cannot be read" in page.text
    assert "88\u202f%" in page.text
    assert not [link for link in links(page.text) if "0.9.0" in link or "0.8.0" in link]


def test_names_that_a_version_brings_are_text_and_nothing_else(admin: Browser, base_dir: Path) -> None:
    name = "<script>alert(1)</script>{{7*7}}"
    add_file(base_dir / "v1.0.0", "metrics.json", b'{"%s": {"summary": {"accuracy": 0.5}}}' % name.encode())

    page = admin.get("models").text

    assert "script" not in Reader(page).tags
    assert name in words(page)


def test_a_report_is_shown_to_those_who_signed_in_and_can_run_and_load_nothing(
    admin: Browser, service: Service, base_dir: Path
) -> None:
    add_file(base_dir / "v1.0.0", "report.html", b"<!doctype html><title>R</title>")

    report = admin.get("models/1.0.0/report")
    policy = report.headers["content-security-policy"]

    assert (report.status_code, report.content) == (200, b"<!doctype html><title>R</title>")
    assert {"default-src 'none'", "sandbox", "frame-ancestors 'none'", "form-action 'none'"} <= set(policy.split("; "))
    assert "script" not in policy
    assert Browser(service).get("models/1.0.0/report").status_code == 303


def test_a_model_card_is_shown_as_the_text_that_it_is(admin: Browser, base_dir: Path) -> None:
    add_file(base_dir / "v1.0.0", "MODEL_CARD.md", b"# Card\n<script>")

    card = admin.get("models/1.0.0/card")

    assert (card.headers["content-type"], card.content) == ("text/plain; charset=utf-8", b"# Card\n<script>")
    assert card.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "version", ["1.0.0", "7.0.0", "..", "%2e%2e", "1.0.0%2f..", "v1.0.0%00", "../../etc/passwd", "latest", "1.0.0 "]
)
def test_what_is_no_version_or_has_no_report_is_a_page_that_says_so(
    admin: Browser, base_dir: Path, version: str
) -> None:
    (base_dir.parent / "report.html").write_text("outside")

    answer = admin.get(f"models/{version}/report")

    assert answer.status_code == 404
    assert "outside" not in answer.text


def test_a_report_that_was_altered_is_not_shown(admin: Browser, base_dir: Path) -> None:
    add_file(base_dir / "v1.0.0", "report.html", b"<p>figures")
    (base_dir / "v1.0.0" / "report.html").write_bytes(b"<p>forgery")

    answer = admin.get("models/1.0.0/report")

    assert answer.status_code == 404
    assert "forgery" not in answer.text
    assert "SHA-256" in answer.text


def test_without_a_model_the_page_says_that_none_answers(start_service: StartService, tmp_path: Path) -> None:
    service = start_service(models_base_dir=str(tmp_path), **KEYS)
    admin = signed_in(service)

    page = admin.get("models")

    assert page.status_code == 200
    assert "No version answers" in words(page.text)


def test_what_another_worker_activated_is_told_by_the_next_page(
    admin: Browser, service: Service, base_dir: Path
) -> None:
    (base_dir / "ACTIVE").write_text("1.0.0\n")

    page = admin.get("models?before=1.1.0").text

    assert "1.0.0 answers now" in words(page)
    assert serving(service) == "1.0.0"


def test_many_versions_are_shown_up_to_a_bound_and_the_rest_is_counted(admin: Browser, base_dir: Path) -> None:
    for number in range(60):
        shutil.copytree(base_dir / "v1.0.0", base_dir / f"v0.0.{number}")

    page = admin.get("models").text

    assert "And 12 older versions." in words(page)


def previous(serving: str, on_disk: list[str], last_days: dict[str, int]) -> str:
    versions = [VersionName.parse(version) for version in on_disk]
    return str(previous_version(VersionName.parse(serving), versions, last_days))


@pytest.mark.parametrize(
    ("serving", "last_days", "expected"),
    [
        ("1.2.0", {}, "1.1.0"),
        ("1.0.0", {}, "None"),
        ("1.2.0", {"1.0.0": 9, "1.2.0": 9}, "1.0.0"),
        ("1.0.0", {"1.2.0": 9, "1.0.0": 9}, "1.2.0"),
        ("1.1.0", {"1.2.0": 9, "1.0.0": 9}, "1.0.0"),
        ("1.1.0", {"1.2.0": 9, "1.0.0": 8}, "1.2.0"),
        ("1.2.0", {"0.1.0": 9}, "1.1.0"),
    ],
)
def test_the_version_to_go_back_to_answered_last_before_or_is_the_next_lower(
    serving: str, last_days: dict[str, int], expected: str
) -> None:
    assert previous(serving, ["1.2.0", "1.1.0", "1.0.0"], last_days) == expected


def test_the_version_that_answered_before_is_offered_with_a_store(
    start_service: StartService, base_dir: Path, tmp_path: Path, write_model: WriteModel
) -> None:
    write_model(base_dir, "0.5.0")
    service = start_service(models_base_dir=str(base_dir), store_url=f"sqlite:///{tmp_path / 'store.db'}", **KEYS)
    admin = signed_in(service)
    admin.post("activate", {"version": "0.5.0", "instead_of": "1.1.0"})
    service.classify()
    admin.post("activate", {"version": "1.1.0", "instead_of": "0.5.0"})

    # Nobody waits for what is kept of an answer.
    deadline = time.monotonic() + 10
    while "Go back to 0.5.0" not in admin.get("models").text:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("document", ["report", "card"])
def test_who_is_signed_out_is_sent_from_a_document_to_the_form_of_keys(service: Service, document: str) -> None:
    address = f"/console/models/1.0.0/{document}"

    response = Browser(service).get(address.removeprefix("/console/"))

    assert response.status_code == 303
    assert urljoin(address, response.headers["location"]) == "/console/sign-in?next=models"


def test_an_error_in_place_of_a_document_has_the_style_and_the_menu_of_the_console(admin: Browser) -> None:
    address = "/console/models/9.9.9/report"

    page = admin.get(address.removeprefix("/console/")).text

    addresses = {urljoin(address, value) for _, name, value in Reader(page).attributes if name in {"href", "action"}}
    assert addresses >= {"/console/static/console.css", "/console/review", "/console/models", "/console/sign-out"}
