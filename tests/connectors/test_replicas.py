"""Several workers and replicas on one store: whoever hears of a ticket, it is answered and written once."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from app.store.database import Database
from app.store.tables import deliveries, outbox, predictions
from tests.conftest import StartProcess
from tests.connectors.connected import HALF_SURE, SECRET, SURE, TOKEN, UNSURE
from tests.connectors.servers.dialect import Reply, Request, running
from tests.connectors.servers.generic import Generic
from tests.connectors.test_generic import TABLE, signed
from tests.processes import ServiceProcess
from tests.stored import rows_of

pytestmark = pytest.mark.slow
N_TICKETS, SECONDS = 12, 60


class SlowDesk(Generic):
    """Answers late enough for others to get at the same job, if anything let them."""

    def answer(self, request: Request) -> Reply:
        time.sleep(0.03)
        return super().answer(request)


@pytest.fixture
def helpdesk() -> Generic:
    return SlowDesk(token=TOKEN)


@pytest.fixture
def replicas(
    helpdesk: Generic, start_process: StartProcess, store_url: str, tmp_path: Path
) -> Iterator[list[ServiceProcess]]:
    """Two replicas of two workers each."""
    path = tmp_path / "connectors.toml"
    with running(helpdesk) as url:
        path.write_text(f'[desk]\nsecret_env = "DESK_SECRET"\n{TABLE.format(url=url)}', encoding="utf-8")
        yield [
            start_process(
                "--workers",
                "2",
                STORE_URL=store_url,
                CONNECTORS_FILE=str(path),
                DESK_SECRET=SECRET,
                DESK_TOKEN=TOKEN,
                AUDIT_SHARE="0",
            )
            for _ in range(2)
        ]


def test_what_both_replicas_hear_at_the_same_moment_is_done_once(
    helpdesk: Generic, replicas: list[ServiceProcess], store_url: str
) -> None:
    outcomes: Counter[str] = Counter()
    texts = (SURE, HALF_SURE, UNSURE)

    def post(service: ServiceProcess, ref: str, identifier: str) -> str:
        body = json.dumps(helpdesk.tickets[ref]).encode()
        headers = signed(body, identifier=identifier)
        answer = httpx.post(f"{service.base_url}/hooks/desk", content=body, headers=headers, timeout=SECONDS)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["outcome"])

    with ThreadPoolExecutor(6) as threads, closing(Database(store_url)) as database:
        for number in range(N_TICKETS):
            ref = str(number)
            helpdesk.create(ref, **texts[number % 3])
            # The same delivery to both, twice, and another one of the same ticket.
            told = [(replicas[at % 2], ref, f"{ref} {'again' if at > 3 else 'first'}") for at in range(6)]
            outcomes.update(threads.map(lambda one: post(*one), told))
        replicas[0].wait_for(
            lambda: not [row for row in rows_of(database, outbox) if row["state"] == "waiting"], seconds=SECONDS
        )
        jobs, tickets = rows_of(database, outbox), rows_of(database, predictions)
        n_deliveries = len(rows_of(database, deliveries))

    assert outcomes["classified"] == N_TICKETS
    assert outcomes["known"] == N_TICKETS
    assert outcomes["duplicate"] == 4 * N_TICKETS
    assert n_deliveries == 2 * N_TICKETS
    assert len(tickets) == N_TICKETS
    assert {(job["state"], job["n_attempts"]) for job in jobs} == {("done", 1)}
    assert len(jobs) == N_TICKETS
    writes = Counter((request.method, request.path) for request in helpdesk.writes())
    assert set(writes.values()) == {1}
    assert len(writes) == N_TICKETS // 3 * 4
    for replica in replicas:
        assert replica.stop() == 0
        assert "longer than its lease" not in replica.log()
