from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import pytest

from tests.browsing import Browser

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Service, StartService

HASHES = {key: hashlib.sha256(key.encode()).hexdigest() for key in ("mias-key", "admins-key", "callers-key")}


@pytest.fixture
def service(start_service: StartService) -> Service:
    return start_service(
        api_keys=(HASHES["callers-key"],),
        reviewer_api_keys=(f"mia:{HASHES['mias-key']}",),
        admin_api_keys=(HASHES["admins-key"],),
    )


@pytest.fixture
def browser(service: Service) -> Browser:
    return Browser(service)


@pytest.mark.parametrize("key", ["callers-key", "no-key", "", "k" * 2_000, HASHES["mias-key"]])
def test_a_key_that_opens_no_tickets_begins_no_session(browser: Browser, key: str) -> None:
    response = browser.sign_in(key)

    assert response.status_code == 401
    assert "not one of a reviewer or an admin" in response.text
    assert not browser.is_signed_in()


@pytest.mark.parametrize("address", ["/console", "/console/"])
def test_the_console_sends_to_its_first_page_as_people_type_its_address(service: Service, address: str) -> None:
    response = service.request("GET", address)

    assert response.status_code == 303
    assert urljoin(address, response.headers["location"]) == "/console/review"


@pytest.mark.parametrize(
    "wanted", ["https://elsewhere.example", "//elsewhere.example", "../docs", "review\nSet-Cookie:a=b"]
)
def test_nobody_is_sent_anywhere_but_to_a_page_of_the_console(browser: Browser, wanted: str) -> None:
    browser.get("sign-in")

    response = browser.post("sign-in", {"key": "mias-key", "next": wanted})

    assert response.headers["location"] == "review"


def test_the_session_is_kept_from_scripts_other_sites_and_plain_connections(browser: Browser) -> None:
    behind_a_proxy = browser.get("sign-in", {"X-Forwarded-Proto": "https"}).headers["set-cookie"]
    plain = browser.sign_in("mias-key").headers["set-cookie"]

    assert {"HttpOnly", "SameSite=Strict", "Max-Age=43200"} <= set(plain.split("; "))
    assert "Secure" not in plain
    assert "Secure" in behind_a_proxy.split("; ")


@pytest.mark.parametrize(
    "others", ['of_another={"theme": 1}', "of_another=two words", "a@b=1", "nameless", 'of_another="open']
)
def test_cookies_that_other_services_of_the_host_left_keep_nobody_out(browser: Browser, others: str) -> None:
    browser.sign_in("mias-key")

    response = browser.get("sign-in", {"Cookie": f"{others}; ticket_console={browser.cookie}; last=1"})

    assert response.headers.get("location") == "review"


def test_signing_out_without_a_session_of_anybody_writes_nothing_down(browser: Browser, service: Service) -> None:
    browser.get("sign-in")

    response = browser.post("sign-out")

    assert response.headers["location"] == "sign-in"
    assert not service.state["sessions"]._memory._ended._expires_at


def test_a_session_ends_with_its_key(start_service: StartService, tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'store.db'}"
    both = (f"mia:{HASHES['mias-key']}", f"ben:{HASHES['callers-key']}")
    browser = Browser(start_service(reviewer_api_keys=both, store_url=store))
    browser.sign_in("mias-key")
    assert browser.is_signed_in()

    restarted = Browser(start_service(reviewer_api_keys=both, store_url=store))
    restarted.cookie = browser.cookie
    without_the_key = Browser(start_service(reviewer_api_keys=both[1:], store_url=store))
    without_the_key.cookie = browser.cookie

    assert restarted.is_signed_in()
    assert not without_the_key.is_signed_in()


def test_a_session_is_over_after_twelve_hours(browser: Browser, service: Service) -> None:
    browser.sign_in("mias-key")
    now = service.state["sessions"]._clock()

    service.state["sessions"]._clock = lambda: now + 12 * 3600 - 60
    assert browser.is_signed_in()
    service.state["sessions"]._clock = lambda: now + 12 * 3600 + 60

    assert not browser.is_signed_in()


@pytest.mark.parametrize("place", range(0, 140, 9))
def test_a_cookie_with_one_other_character_is_none(browser: Browser, place: int) -> None:
    browser.sign_in("mias-key")
    cookie = browser.cookie

    browser.cookie = cookie[:place] + ("0" if cookie[place] != "0" else "1") + cookie[place + 1 :]

    assert not browser.is_signed_in()


def test_a_session_opens_the_console_and_no_route_of_callers(service: Service, browser: Browser) -> None:
    browser.sign_in("admins-key")
    cookie = {"Cookie": f"ticket_console={browser.cookie}"}

    for method, path in (("GET", "/review"), ("POST", "/classify"), ("POST", "/model/reload")):
        assert service.request(method, path, headers=cookie).status_code == 401, path


def test_a_form_without_any_session_changes_nothing(browser: Browser) -> None:
    response = browser.post("sign-in", {"key": "mias-key"}, token="0" * 64)

    assert response.status_code == 403
    assert "location" not in response.headers


def test_signing_in_begins_another_session_than_the_one_that_the_browser_brought(browser: Browser) -> None:
    browser.get("sign-in")
    planted = browser.cookie

    browser.post("sign-in", {"key": "mias-key"})

    assert browser.cookie.split(".")[0] != planted.split(".")[0]


def test_an_address_may_try_ten_keys_a_minute(service: Service) -> None:
    browser, neighbour = Browser(service), Browser(service, peer=("192.0.2.9", 5000))

    answers = [browser.sign_in(f"guess-{number}").status_code for number in range(11)]

    assert answers == [401] * 10 + [429]
    assert browser.sign_in("mias-key").status_code == 429
    assert neighbour.sign_in("mias-key").status_code == 303


def test_what_people_do_who_have_signed_in_is_not_counted_as_requests_of_a_caller(start_service: StartService) -> None:
    service = start_service(reviewer_api_keys=(f"mia:{HASHES['mias-key']}",), rate_limit_requests=3)
    browser = Browser(service)
    browser.sign_in("mias-key")

    assert all(browser.is_signed_in() for _ in range(10))
    assert [Browser(service).get("sign-in").status_code for _ in range(2)] == [200, 429]


def test_the_person_at_this_machine_is_not_counted_either_but_who_only_says_so_is(start_service: StartService) -> None:
    service = start_service(rate_limit_requests=3)
    here = Browser(service, peer=("127.0.0.1", 5000))

    assert {here.get("quality").status_code for _ in range(10)} == {200}
    forwarded = [here.get("quality", {"X-Forwarded-For": "127.0.0.1"}).status_code for _ in range(4)]
    assert forwarded == [403, 403, 403, 429]


def test_who_has_a_cookie_but_no_key_is_counted(start_service: StartService) -> None:
    service = start_service(reviewer_api_keys=(f"mia:{HASHES['mias-key']}",), rate_limit_requests=3)
    browser = Browser(service, peer=("127.0.0.1", 5000))

    assert [browser.get("sign-in").status_code for _ in range(4)] == [200, 200, 200, 429]


def test_style_sheet_and_scripts_are_never_limited(start_service: StartService) -> None:
    service = start_service(rate_limit_requests=1)

    assert {service.get("/console/static/console.css").status_code for _ in range(3)} == {200}


def test_a_link_of_another_site_ends_no_session(browser: Browser) -> None:
    browser.sign_in("mias-key")
    cookie, browser.cookie = browser.cookie, ""

    without_cookie = browser.get("sign-in", {"Sec-Fetch-Site": "cross-site"})

    assert "set-cookie" not in without_cookie.headers
    assert 'http-equiv="refresh"' in without_cookie.text
    browser.cookie = cookie
    assert browser.get("sign-in", {"Sec-Fetch-Site": "same-origin"}).headers["location"] == "review"


def test_what_is_no_form_is_refused(service: Service, browser: Browser) -> None:
    browser.get("sign-in")
    headers = {"Cookie": f"ticket_console={browser.cookie}", "X-CSRF-Token": browser.token}

    json_body = service.request("POST", "/console/sign-in", headers=headers, json={"key": "mias-key"})
    not_encoded = service.request(
        "POST",
        "/console/sign-in",
        headers={**headers, "Content-Type": "application/x-www-form-urlencoded"},
        content=b"key=\xff\xfe",
    )

    assert (json_body.status_code, not_encoded.status_code) == (415, 400)


def test_who_has_not_signed_in_is_sent_to_the_form_and_from_there_to_the_page(browser: Browser) -> None:
    refused = browser.get("quality")
    assert (refused.status_code, refused.headers["location"]) == (303, "sign-in?next=quality")

    browser.get(refused.headers["location"])
    admitted = browser.post("sign-in", {"key": "mias-key", "next": "quality"})

    assert (admitted.status_code, admitted.headers["location"]) == (303, "quality")
    assert browser.is_signed_in()


def test_signing_out_ends_the_session_also_for_who_has_copied_it(service: Service, browser: Browser) -> None:
    browser.sign_in("mias-key")
    thief = Browser(service)
    thief.cookie = browser.cookie
    assert thief.is_signed_in()

    signed_out = browser.post("sign-out")

    assert signed_out.headers["location"] == "sign-in"
    assert not thief.is_signed_in()
    assert not browser.is_signed_in()


def test_a_form_without_the_token_of_its_session_changes_nothing(service: Service, browser: Browser) -> None:
    browser.sign_in("mias-key")
    of_another = Browser(service)
    of_another.get("sign-in")

    for token in ("", "0" * 64, of_another.token, browser.token[:-1]):
        assert browser.post("sign-out", token=token).status_code == 403, token

    assert browser.is_signed_in()
    assert browser.post("sign-out", token=browser.token).status_code == 303


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_on_this_machine_no_key_is_asked_while_nobody_has_one(start_service: StartService, address: str) -> None:
    browser = Browser(start_service(), peer=(address, 5000))

    page = browser.get("quality")

    assert page.status_code == 200
    assert "Sign out" not in page.text
    assert browser.token


def test_from_another_machine_a_person_is_told_how_to_open_the_console(start_service: StartService) -> None:
    response = Browser(start_service()).get("quality")

    assert response.status_code == 403
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "REVIEWER_API_KEYS" in response.text
