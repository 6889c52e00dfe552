"""A connector of type jira, against a server that speaks as Cloud and as Data Center do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from app.connectors.api import Api, UnavailableError
from app.connectors.helpdesk import OptionError, Options
from app.connectors.helpdesks.jira import JiraHelpdesk
from app.connectors.sighting import Delivery
from app.store.tables import outbox
from tests.connectors.connected import HALF_SURE, SECRET, SURE, TOKEN, UNSURE, ConnectedService, StartConnected
from tests.connectors.servers.dialect import (
    Trouble,
    closed,
    closed_after_it_was_done,
    html_page,
    rate_limited,
    refused,
    running,
    too_large,
)
from tests.connectors.servers.jira import EMAIL, NOT_SEEN, SELECT_FIELD, Issue, Jira

TABLE = """
type = "jira"
api_url = "{url}"
api_token_env = "JIRA_TOKEN"
write = ["priority", "department"]
on_suggest = "note"
calls_per_minute = 100000
look_seconds = 0
"""
Connect = Callable[..., AbstractContextManager[ConnectedService]]


@pytest.fixture
def jira() -> Jira:
    return Jira(TOKEN)


@pytest.fixture(params=["cloud", "data center"])
def either_jira(request: pytest.FixtureRequest) -> Jira:
    return Jira(TOKEN, is_cloud=request.param == "cloud")


@pytest.fixture
def connect(start_connected: StartConnected, monkeypatch: pytest.MonkeyPatch) -> Connect:
    @contextmanager
    def connecting(jira: Jira, table: str = TABLE) -> Iterator[ConnectedService]:
        monkeypatch.setenv("JIRA_TOKEN", token_of(jira))
        with running(jira) as url:
            yield start_connected(table.replace("{url}", url))

    return connecting


@pytest.fixture
def connected(jira: Jira, connect: Connect) -> Iterator[ConnectedService]:
    with connect(jira) as connected:
        yield connected


def token_of(jira: Jira) -> str:
    return f"{EMAIL}:{TOKEN}" if jira.is_cloud else TOKEN


def create(jira: Jira, ticket: dict[str, str], **more: object) -> Issue:
    return jira.create(ticket["title"], ticket["description"], **more)  # type: ignore[arg-type]


def tell(
    connected: ConnectedService, jira: Jira, issue: Issue, event: str = "jira:issue_updated", actor: str = "qm:agent"
) -> str:
    webhook = jira.webhook(issue, event, secret=SECRET, actor=actor)
    answer = connected.deliver(webhook.body, webhook.headers)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["outcome"])


def words(issue: Issue) -> tuple[str, list[str]]:
    return issue.fields["priority"]["name"], [component["name"] for component in issue.fields["components"]]


def delivery(body: bytes, signature: str) -> Delivery:
    return Delivery(body, {"x-hub-signature": signature}, "POST", "/hooks/desk", "192.0.2.1", 0)


def test_the_vector_that_atlassian_publishes_is_accepted_and_nothing_near_it() -> None:
    # https://developer.atlassian.com/cloud/jira/platform/webhooks/#secure-admin-webhooks
    secrets = [b"another secret", b"It's a Secret to Everybody"]
    digest = "a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9"
    helpdesk = JiraHelpdesk(Options(fields={}))

    assert helpdesk.is_authentic(delivery(b"Hello World!", f"sha256={digest}"), secrets)
    assert not helpdesk.is_authentic(delivery(b"Hello World?", f"sha256={digest}"), secrets)
    assert not helpdesk.is_authentic(delivery(b"Hello World!", f"sha256={digest}"), secrets[:1])
    for signature in (digest, f"sha1={digest}", f"sha256={digest[:-1]}", f"sha256={digest.upper()}", "sha256=", ""):
        assert not helpdesk.is_authentic(delivery(b"Hello World!", signature), secrets)


def test_a_new_request_is_classified_and_written_back_once(either_jira: Jira, connect: Connect) -> None:
    jira = either_jira
    with connect(jira) as connected:
        issue = create(jira, SURE)

        outcome = tell(connected, jira, issue, "jira:issue_created")
        connected.settle()

        assert outcome == "classified"
        assert words(issue) == ("High", ["Billing"])
        assert len(jira.writes()) == 1
        assert tell(connected, jira, issue, actor="557058:classifier") == "known"
        assert connected.judged() == []


def test_a_delivery_that_jira_tries_again_is_done_once(jira: Jira, connected: ConnectedService) -> None:
    webhook = jira.webhook(create(jira, SURE), "jira:issue_created", secret=SECRET)
    again = webhook.headers | {"x-atlassian-webhook-retry": "1"}

    outcomes = [connected.deliver(webhook.body, headers).json()["outcome"] for headers in (webhook.headers, again)]

    assert outcomes == ["classified", "duplicate"]


def test_a_rule_that_sends_the_issue_alone_with_the_secret_in_a_header_is_heard(
    jira: Jira, connected: ConnectedService
) -> None:
    words_of_it = {"type": "text", "text": SURE["description"]}
    document = {"type": "doc", "version": 1, "content": [{"type": "paragraph", "content": [words_of_it]}]}
    issue = jira.create(SURE["title"], document)
    body = json.dumps({"id": int(issue.id), "key": issue.key, "changelog": None, "fields": issue.fields}).encode()

    assert connected.deliver(body, {"x-webhook-secret": "another secret"}).status_code == 401
    assert connected.deliver(body, {"x-webhook-secret": SECRET}).json()["outcome"] == "classified"
    connected.settle()

    assert words(issue) == ("High", ["Billing"])


def test_comments_deletions_and_other_projects_are_of_no_interest(jira: Jira, connect: Connect) -> None:
    with connect(jira, TABLE + 'project = "OTHER"') as connected:
        assert tell(connected, jira, create(jira, SURE), "jira:issue_created") == "ignored"
    assert connected.predictions() == []
    helpdesk = JiraHelpdesk(Options(fields={}))
    issue = create(jira, SURE)
    for event in ("comment_created", "jira:issue_deleted"):
        assert helpdesk.read(delivery(jira.webhook(issue, event, secret=None).body, "")) == []


def test_a_key_that_is_no_projects_is_refused() -> None:
    with pytest.raises(OptionError, match="such as SUP"):
        JiraHelpdesk(Options(fields={}, others={"project": 'SUP" OR project = "HR'}))


@pytest.mark.parametrize("made_by", ["customer", "agent"])
def test_what_is_not_sure_enough_becomes_a_note_that_no_customer_sees(
    jira: Jira, connected: ConnectedService, made_by: str
) -> None:
    issue = create(jira, UNSURE, is_request=made_by == "customer")

    tell(connected, jira, issue, "jira:issue_created")
    connected.settle()

    (comment,) = issue.comments
    assert comment["jsdPublic"] is False
    assert "Priority: High" in comment["body"]
    assert words(issue) == ("Medium", [])


def test_a_note_whose_answer_was_lost_is_found_again_and_not_written_twice(
    jira: Jira, connected: ConnectedService
) -> None:
    issue = create(jira, HALF_SURE)
    jira.give(closed_after_it_was_done(), method="POST", path="comment")

    tell(connected, jira, issue, "jira:issue_created")
    connected.settle()

    assert len(issue.comments) == 1
    assert [request.path for request in jira.requests if request.method == "PUT"] == [f"/rest/api/2/issue/{issue.id}"]
    assert words(issue) == ("High", [])


@pytest.mark.parametrize(
    "troubles",
    [[rate_limited(1), html_page(502), html_page(200)], [closed(), too_large(), refused(409), refused(401)]],
    ids=["answers", "connections and refusals"],
)
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_trouble_that_passes_is_waited_for_and_each_issue_written_once(
    jira: Jira, connected: ConnectedService, troubles: list[Trouble], method: str
) -> None:
    issues = [create(jira, SURE) for _ in troubles]
    for issue, trouble in zip(issues, troubles, strict=True):
        jira.give(trouble, method=method, path=f"issue/{issue.id}$")
        tell(connected, jira, issue, "jira:issue_created")

    connected.settle(20)

    assert [words(issue) for issue in issues] == [("High", ["Billing"])] * len(issues)
    # Each trouble met one request, and the same was asked once more.
    assert len(jira.writes()) == len(issues) * (2 if method == "PUT" else 1)
    assert {row["state"] for row in connected.rows(outbox)} == {"done"}


def test_a_component_that_does_not_exist_is_a_dead_letter_that_says_so(connect: Connect) -> None:
    jira = Jira(TOKEN, components=("Invoices",))
    with connect(jira) as connected:
        tell(connected, jira, create(jira, SURE), "jira:issue_created")
        connected.settle()

        (row,) = connected.rows(outbox)
        assert (row["state"], row["result"]) == ("dead", "PUT /rest/api/2/issue/10001: answered 400")


def test_an_issue_that_a_wrong_token_cannot_see_is_not_taken_for_gone(jira: Jira, connected: ConnectedService) -> None:
    issue = create(jira, SURE)
    jira.give(refused(404, NOT_SEEN), path="issue")
    jira.give(refused(401), path="myself")

    tell(connected, jira, issue, "jira:issue_created")
    connected.settle()

    assert words(issue) == ("High", ["Billing"])


def test_an_issue_that_is_gone_is_let_go(jira: Jira, connected: ConnectedService) -> None:
    issue = create(jira, SURE)
    del jira.issues[issue.id]

    tell(connected, jira, issue, "jira:issue_created")
    connected.settle()

    assert [(row["state"], row["result"]) for row in connected.rows(outbox)] == [("done", "the ticket is gone")]


def test_a_person_who_was_faster_is_not_written_over_and_heard(jira: Jira, connected: ConnectedService) -> None:
    issue = create(jira, SURE)
    webhook = jira.webhook(issue, "jira:issue_created", secret=SECRET)
    jira.change(issue, priority={"name": "Low"}, components=[{"name": "Tech Support"}])

    connected.deliver(webhook.body, webhook.headers)
    connected.settle()

    assert words(issue) == ("Low", ["Tech Support"])
    assert jira.writes() == []
    assert connected.judged() == [("department", "Tech Support", "Billing"), ("priority", "Low", "High")]


def test_what_was_said_before_the_write_and_arrives_after_it_is_nobodys_change(
    jira: Jira, connected: ConnectedService
) -> None:
    issue = create(jira, SURE)
    created = jira.webhook(issue, "jira:issue_created", secret=SECRET)
    jira.change(issue, summary="Another summary")
    changed = jira.webhook(issue, secret=SECRET)
    connected.deliver(created.body, created.headers)
    connected.settle()

    assert connected.deliver(changed.body, changed.headers).json()["outcome"] == "known"
    assert tell(connected, jira, issue) == "known"

    assert connected.judged() == []


def test_a_change_by_a_person_is_a_judgement_and_one_by_a_rule_is_none(jira: Jira, connected: ConnectedService) -> None:
    issue = create(jira, SURE)
    tell(connected, jira, issue, "jira:issue_created")
    connected.settle()

    jira.change(issue, priority={"name": "Highest"})
    by_rule = json.loads(jira.webhook(issue, secret=None).body)
    by_rule["user"] = {"accountId": "557058:automation", "accountType": "app"}
    body = json.dumps(by_rule).encode()
    assert connected.deliver(body, {"authorization": f"Bearer {SECRET}"}).json()["outcome"] == "known"
    jira.change(issue, priority={"name": "Low"})
    assert tell(connected, jira, issue) == "recorded"

    assert connected.judged() == [("priority", "Low", "High")]
    (feedback,) = connected.feedback()
    assert "qm:agent" not in feedback["reviewer"]


def test_values_that_stand_when_an_issue_is_resolved_are_judgements(jira: Jira, connected: ConnectedService) -> None:
    issue = create(jira, SURE)
    tell(connected, jira, issue, "jira:issue_created")
    connected.settle()

    jira.resolve(issue)
    tell(connected, jira, issue)

    assert connected.judged() == [("department", "Billing", "Billing"), ("priority", "High", "High")]


def test_a_department_can_be_a_field_of_the_sites_own(jira: Jira, connect: Connect) -> None:
    with connect(jira, TABLE + f'fields = {{department = "{SELECT_FIELD}"}}') as connected:
        issue = create(jira, SURE)
        tell(connected, jira, issue, "jira:issue_created")
        connected.settle()

        assert issue.fields[SELECT_FIELD]["value"] == "Billing"
        assert tell(connected, jira, issue) == "known"


def test_what_no_webhook_told_is_found_by_looking(either_jira: Jira, connect: Connect) -> None:
    jira = either_jira
    table = TABLE.replace("look_seconds = 0", 'look_seconds = 2\nproject = "SUP"')
    with connect(jira, table) as connected:
        told = create(jira, SURE)
        tell(connected, jira, told, "jira:issue_created")
        connected.settle()
        lost = create(jira, SURE)
        jira.change(told, priority={"name": "Low"})

        connected.wait_until(lambda: words(lost) == ("High", ["Billing"]) and connected.judged() != [])

        assert connected.judged() == [("priority", "Low", "High")]


def test_more_than_a_page_is_read_to_its_end(either_jira: Jira) -> None:
    # All of one second, for which Jira's index has one value.
    jira = either_jira
    jira.now_ms = iter(range(1_700_000_000_000, 1_700_000_001_000)).__next__
    created = {create(jira, SURE).id for _ in range(230)}

    async def seen(url: str) -> set[str]:
        helpdesk = JiraHelpdesk(Options(fields=JiraHelpdesk.fields, others={"project": "SUP"}))
        api = Api(url, authorization=helpdesk.authorization(token_of(jira)))
        try:
            return {sighting.ref async for sighting in helpdesk.changed_since(api, 1_700_000_000_000)}
        finally:
            await api.close()

    with running(jira) as url:
        assert asyncio.run(seen(url)) == created
    assert len(jira.requests) < 20


def test_a_look_with_a_wrong_token_fails_instead_of_finding_nothing(jira: Jira) -> None:
    async def look(url: str) -> None:
        helpdesk = JiraHelpdesk(Options(fields=JiraHelpdesk.fields))
        api = Api(url, authorization=helpdesk.authorization("somebody@example.com:else"))
        try:
            async for _ in helpdesk.changed_since(api, 0):
                pass
        finally:
            await api.close()

    with running(jira) as url, pytest.raises(UnavailableError, match="myself: answered 401"):
        asyncio.run(look(url))


def test_the_values_that_exist_are_those_of_the_newest_issue(either_jira: Jira) -> None:
    jira = either_jira
    fields = {**JiraHelpdesk.fields, "department": SELECT_FIELD, "topic": "customfield_1"}

    async def choices(url: str) -> dict[str, frozenset[str]]:
        helpdesk = JiraHelpdesk(Options(fields=fields))
        api = Api(url, authorization=helpdesk.authorization(token_of(jira)))
        try:
            return dict(await helpdesk.choices(api))
        finally:
            await api.close()

    with running(jira) as url:
        assert asyncio.run(choices(url)) == {}
        create(jira, SURE)
        assert asyncio.run(choices(url)) == {
            "priority": frozenset({"Highest", "High", "Medium", "Low", "Lowest"}),
            "department": frozenset({"Billing", "Tech Support"}),
            "topic": frozenset(),
        }
