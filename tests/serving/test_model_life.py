"""The model's life on the real process: activated, reloaded, followed, refused and rolled back while it serves."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest

from app.keys import hash_key
from tests.in_process import TICKET

if TYPE_CHECKING:
    from tests.conftest import StartProcess, WriteModel
    from tests.processes import ServiceProcess

ADMIN_KEY = "an-admin-key"
ADMIN = MappingProxyType({"X-API-Key": ADMIN_KEY})
# The promise is two seconds, and a test below measures it; busy machines take longer to start the tests' own requests.
FOLLOW_SECONDS = 10.0


@pytest.fixture
def base_dir(tmp_path: Path, write_model: WriteModel) -> Path:
    """Two good versions, of which 1.1.0 is the highest."""
    directory = tmp_path / "models"
    write_model(directory, "1.0.0")
    write_model(directory, "1.1.0")
    return directory


@pytest.fixture
def start(start_process: StartProcess, base_dir: Path) -> Callable[..., ServiceProcess]:
    def start(*arguments: str, **variables: str) -> ServiceProcess:
        settings = {"MODELS_BASE_DIR": str(base_dir), "ADMIN_API_KEYS": hash_key(ADMIN_KEY)}
        # What draining does is tested elsewhere, and would take seconds of every test here.
        return start_process(*arguments, **{**settings, "DRAIN_SECONDS": "0", **variables})

    return start


def damage(directory: Path) -> None:
    weights = directory / "weights.npy"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


@dataclass(frozen=True)
class Answer:
    status: int
    content: bytes

    @property
    def body(self) -> dict[str, Any]:
        return json.loads(self.content)


def ask(
    process: ServiceProcess,
    method: str,
    path: str,
    body: object = None,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> Answer:
    """Send one request on a connection of its own, which is one worker's."""
    connection = http.client.HTTPConnection(process.base_url.removeprefix("http://"), timeout=30)
    try:
        content = None if body is None else json.dumps(body)
        connection.request(method, path, content, {"Content-Type": "application/json", **headers})
        response = connection.getresponse()
        return Answer(response.status, response.read())
    finally:
        connection.close()


def classify(process: ServiceProcess) -> Answer:
    return ask(process, "POST", "/classify", dict(TICKET))


def version(process: ServiceProcess) -> dict[str, Any]:
    return ask(process, "GET", "/version").body


def serves(process: ServiceProcess, expected: str, *, degraded: bool = False) -> Callable[[], bool]:
    def check() -> bool:
        body = version(process)
        return (body["model_version"], body["degraded"]) == (expected, degraded)

    return check


def every_worker_serves(process: ServiceProcess, expected: str) -> Callable[[], bool]:
    """Each connection is one worker's, so twenty new ones reach both of two."""
    return lambda: {version(process)["model_version"] for _ in range(20)} == {expected}


def activate(process: ServiceProcess, wanted: object, headers: Mapping[str, str] = ADMIN) -> Answer:
    return ask(process, "POST", "/model/activate", {"version": wanted}, headers)


def reload(process: ServiceProcess) -> Answer:
    return ask(process, "POST", "/model/reload", headers=ADMIN)


def metric(process: ServiceProcess, name: str) -> float:
    lines = metrics(process).splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.split(" ")[0] == name)


def metrics(process: ServiceProcess) -> str:
    return ask(process, "GET", "/metrics").content.decode()


def test_a_version_is_activated_and_rolled_back_with_one_call_each(
    start: Callable[..., ServiceProcess], base_dir: Path
) -> None:
    process = start()

    back = activate(process, "1.0.0")
    served_then = classify(process).body["model_version"]
    forward = activate(process, "v1.1.0")

    assert back.status == 200
    assert set(back.body) == {
        "is_trained",
        "models_loaded",
        "model_version",
        "available_versions",
        "loaded_at",
        "degraded",
    }
    assert (back.body["model_version"], served_then) == ("1.0.0", "1.0.0")
    assert (forward.status, forward.body["model_version"]) == (200, "1.1.0")
    assert (base_dir / "ACTIVE").read_text() == "1.1.0\n"
    assert [path.name for path in base_dir.glob(".*")] == []
    assert metric(process, 'ticket_model_info{version="1.1.0"}') == 1
    assert metric(process, 'ticket_model_reloads_total{result="changed"}') == 2


def test_what_was_activated_is_served_after_a_restart(start: Callable[..., ServiceProcess]) -> None:
    first = start()
    activate(first, "1.0.0")
    first.stop()

    assert version(start())["model_version"] == "1.0.0"


@pytest.mark.parametrize("wanted", ["1.2.0", "9.9.9"])
def test_a_bad_version_changes_nothing_and_says_why(
    start: Callable[..., ServiceProcess], base_dir: Path, write_model: WriteModel, wanted: str
) -> None:
    process = start()
    damage(write_model(base_dir, "1.2.0"))

    answer = activate(process, wanted)

    assert (answer.status, answer.body["error"]) == (409, "model_refused")
    assert f"v{wanted}" in answer.body["detail"]
    assert "weights.npy has SHA-256" in answer.body["detail"] or wanted == "9.9.9"
    assert str(base_dir) not in answer.body["detail"]
    assert serves(process, "1.1.0")()
    assert not (base_dir / "ACTIVE").exists()
    assert metric(process, 'ticket_model_reloads_total{result="refused"}') == 1


def test_a_pinned_version_beats_what_is_active_and_cannot_be_exchanged(
    start: Callable[..., ServiceProcess], base_dir: Path
) -> None:
    (base_dir / "ACTIVE").write_text("1.1.0\n")
    process = start(MODEL_VERSION="1.0.0")

    answer = activate(process, "1.1.0")

    assert (answer.status, answer.body["error"]) == (409, "model_pinned")
    assert "1.0.0" in answer.body["detail"]
    assert serves(process, "1.0.0")()


def test_a_pinned_version_is_served_as_soon_as_it_is_there(
    start: Callable[..., ServiceProcess], base_dir: Path, write_model: WriteModel
) -> None:
    process = start(MODEL_VERSION="2.0.0-rc.1")
    before = ask(process, "GET", "/health/ready").status

    write_model(base_dir, "2.0.0-rc.1")

    process.wait_for(lambda: ask(process, "GET", "/health/ready").status == 200, seconds=FOLLOW_SECONDS)
    assert before == 503
    assert version(process)["model_version"] == "2.0.0-rc.1"


def test_a_pinned_version_that_is_copied_file_by_file_is_served_when_it_is_whole(
    start: Callable[..., ServiceProcess], base_dir: Path, write_model: WriteModel, tmp_path: Path
) -> None:
    process = start(MODEL_VERSION="1.2.0")
    source, target = write_model(tmp_path / "elsewhere", "1.2.0"), base_dir / "v1.2.0"
    target.mkdir()

    for file in sorted(source.iterdir()):
        shutil.copyfile(file, target / file.name)
        time.sleep(0.1)

    process.wait_for(serves(process, "1.2.0"), seconds=FOLLOW_SECONDS)


def test_a_new_version_waits_until_it_is_asked_for(
    start: Callable[..., ServiceProcess], base_dir: Path, write_model: WriteModel
) -> None:
    process = start()
    write_model(base_dir, "1.2.0")
    write_model(base_dir, "2.0.0-rc.1")
    time.sleep(1)
    unasked = version(process)["model_version"]

    answer = reload(process)

    assert unasked == "1.1.0"
    assert (answer.status, answer.body["model_version"]) == (200, "1.2.0")
    assert answer.body["available_versions"] == ["2.0.0-rc.1", "1.2.0", "1.1.0", "1.0.0"]


def test_a_failed_reload_keeps_the_model_and_is_degraded_until_it_is_repaired(
    start: Callable[..., ServiceProcess], base_dir: Path, write_model: WriteModel
) -> None:
    process = start()
    damage(write_model(base_dir, "1.2.0"))

    answer = reload(process)

    assert (answer.status, answer.body["error"]) == (409, "model_refused")
    assert "v1.2.0/weights.npy has SHA-256" in answer.body["detail"]
    assert serves(process, "1.1.0", degraded=True)()
    assert metric(process, "ticket_model_degraded") == 1
    assert ask(process, "GET", "/health/ready").status == 200

    write_model(base_dir, "1.2.0")

    process.wait_for(serves(process, "1.2.0"), seconds=FOLLOW_SECONDS)
    assert metric(process, "ticket_model_degraded") == 0


def test_what_serves_is_not_touched_by_what_happens_to_its_files(
    start: Callable[..., ServiceProcess], base_dir: Path
) -> None:
    process = start()
    before = classify(process).body["predictions"]

    for file in (base_dir / "v1.1.0").iterdir():
        # In place, so that whoever maps the file sees it cut off.
        os.truncate(file, 0)
    refused = reload(process)

    assert refused.status == 409
    assert classify(process).body["predictions"] == before
    assert serves(process, "1.1.0", degraded=True)()


def test_the_file_active_is_followed_when_it_is_written_changed_spoiled_and_removed(
    start: Callable[..., ServiceProcess], base_dir: Path
) -> None:
    process = start()
    active = base_dir / "ACTIVE"

    active.write_text("# rolled back on Monday\n\nv1.0.0\n")
    process.wait_for(serves(process, "1.0.0"), seconds=FOLLOW_SECONDS)
    active.write_text("latest\n")
    process.wait_for(serves(process, "1.0.0", degraded=True), seconds=FOLLOW_SECONDS)
    active.write_text("7.0.0\n")
    process.wait_for(lambda: "v7.0.0 is not a directory" in process.log(), seconds=FOLLOW_SECONDS)
    assert serves(process, "1.0.0", degraded=True)()
    active.unlink()
    process.wait_for(serves(process, "1.1.0"), seconds=FOLLOW_SECONDS)


def test_an_active_version_that_is_broken_at_the_start_gives_way_and_is_taken_up_when_repaired(
    start: Callable[..., ServiceProcess], base_dir: Path, write_model: WriteModel
) -> None:
    (base_dir / "ACTIVE").write_text("1.0.0\n")
    damage(base_dir / "v1.0.0")

    process = start()

    assert serves(process, "1.1.0", degraded=True)()
    write_model(base_dir, "1.0.0")
    process.wait_for(serves(process, "1.0.0"), seconds=FOLLOW_SECONDS)


def test_an_active_file_that_cannot_be_written_refuses_the_activation(
    start: Callable[..., ServiceProcess], base_dir: Path
) -> None:
    process = start()
    (base_dir / "ACTIVE").mkdir()
    process.wait_for(serves(process, "1.1.0", degraded=True), seconds=FOLLOW_SECONDS)

    answer = activate(process, "1.0.0")

    assert (answer.status, answer.body["error"]) == (409, "active_not_writable")
    assert "Is a directory" in answer.body["detail"]
    assert version(process)["model_version"] == "1.1.0"
    assert [path.name for path in base_dir.glob(".*")] == []


def loaded_at(process: ServiceProcess, wanted: str) -> list[float]:
    """Return when each worker began to serve ``wanted``, in seconds since 1970."""
    records = [r for r in process.log_records() if r["message"] == "model loaded" and r["model_version"] == wanted]
    return [record["time"] / 1000 for record in records]


def test_two_workers_and_another_replica_follow_one_activation_within_two_seconds(
    start: Callable[..., ServiceProcess],
) -> None:
    workers, replica = start("--workers", "2"), start()
    workers.wait_for(lambda: len(loaded_at(workers, "1.1.0")) == 2)

    answer = activate(workers, "1.0.0")

    assert answer.body["model_version"] == "1.0.0"
    workers.wait_for(every_worker_serves(workers, "1.0.0"), seconds=FOLLOW_SECONDS)
    replica.wait_for(serves(replica, "1.0.0"), seconds=FOLLOW_SECONDS)
    swaps = [*loaded_at(workers, "1.0.0"), *loaded_at(replica, "1.0.0")]
    assert len(swaps) == 3
    assert max(swaps) - min(swaps) < 2


def serves_nothing_but(process: ServiceProcess, expected: str) -> Callable[[], bool]:
    """Each worker tells the others what it serves, so that any of them knows."""
    return lambda: re.findall(r'ticket_model_info\{version="(.*)"\}', metrics(process)) == [expected]


@pytest.mark.alone
def test_every_worker_and_replica_follows_one_reload_within_two_seconds(
    start: Callable[..., ServiceProcess], base_dir: Path, write_model: WriteModel
) -> None:
    workers, replica = start("--workers", "3"), start()
    workers.wait_for(lambda: len(loaded_at(workers, "1.1.0")) == 3)
    write_model(base_dir, "1.2.0")

    asked_at = time.time()
    answer = reload(workers)

    assert (answer.status, answer.body["model_version"]) == (200, "1.2.0")
    workers.wait_for(serves_nothing_but(workers, "1.2.0"), seconds=FOLLOW_SECONDS)
    replica.wait_for(serves(replica, "1.2.0"), seconds=FOLLOW_SECONDS)
    assert metric(workers, "service_workers") == 3
    assert every_worker_serves(workers, "1.2.0")()
    swaps = [*loaded_at(workers, "1.2.0"), *loaded_at(replica, "1.2.0")]
    assert len(swaps) == 4
    # Twice what is promised, for machines that are busy.
    assert max(swaps) - asked_at < 2 * 2


def test_every_worker_of_another_server_follows_one_reload(
    start: Callable[..., ServiceProcess], base_dir: Path, write_model: WriteModel, tmp_path: Path
) -> None:
    process = start("--workers", "2", command=("-m", "uvicorn", "app.main:app"), METRICS_DIR=str(tmp_path / "metrics"))
    # A worker that still loads is counted already, but its metrics do not say yet what it will serve.
    process.wait_for(lambda: process.log().count("model loaded") == 2)
    write_model(base_dir, "1.2.0")

    assert reload(process).status == 200

    process.wait_for(serves_nothing_but(process, "1.2.0"), seconds=FOLLOW_SECONDS)
    assert every_worker_serves(process, "1.2.0")()


def test_activating_again_takes_up_the_files_of_a_version_that_were_replaced_everywhere(
    start: Callable[..., ServiceProcess], base_dir: Path, write_model: WriteModel
) -> None:
    one, other = start(), start()
    activate(one, "1.0.0")
    other.wait_for(serves(other, "1.0.0"), seconds=FOLLOW_SECONDS)
    write_model(base_dir, "1.0.0", {"language": ("de", "en")})

    activate(one, "1.0.0")

    assert set(classify(one).body["predictions"]) == {"language"}
    other.wait_for(lambda: set(classify(other).body["predictions"]) == {"language"}, seconds=FOLLOW_SECONDS)


@pytest.mark.parametrize("arguments", [(), ("--workers", "2")])
def test_sighup_reloads_every_worker(
    start: Callable[..., ServiceProcess], base_dir: Path, write_model: WriteModel, arguments: tuple[str, ...]
) -> None:
    process = start(*arguments)
    # A worker that still starts has no model yet to reload, nor a handler for the signal.
    process.wait_for(lambda: len(loaded_at(process, "1.1.0")) == max(1, len(arguments)))
    write_model(base_dir, "1.2.0")

    process.process.send_signal(signal.SIGHUP)

    process.wait_for(every_worker_serves(process, "1.2.0"), seconds=FOLLOW_SECONDS)
    assert process.stop() == 0


def test_a_refused_reload_on_sighup_is_logged_and_serving_goes_on(
    start: Callable[..., ServiceProcess], base_dir: Path, write_model: WriteModel
) -> None:
    process = start()
    damage(write_model(base_dir, "1.2.0"))

    process.process.send_signal(signal.SIGHUP)

    process.wait_for(serves(process, "1.1.0", degraded=True), seconds=FOLLOW_SECONDS)
    process.wait_for(lambda: "the reload was refused" in process.log())
    assert classify(process).status == 200


def test_activations_at_the_same_time_end_with_one_version_everywhere(
    start: Callable[..., ServiceProcess], base_dir: Path
) -> None:
    process = start("--workers", "2")
    answers: list[Answer] = []
    threads = [
        threading.Thread(target=lambda wanted=wanted: answers.append(activate(process, wanted)))
        for wanted in ("1.0.0", "1.1.0") * 8
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [answer.status for answer in answers] == [200] * 16
    last = (base_dir / "ACTIVE").read_text().strip()
    process.wait_for(every_worker_serves(process, last), seconds=FOLLOW_SECONDS)


@contextmanager
def classifying(process: ServiceProcess, *, n_clients: int) -> Iterator[Counter[tuple[int, str]]]:
    """Classify all the time in ``n_clients`` threads; yield the count of statuses and versions."""
    counts: Counter[tuple[int, str]] = Counter()
    is_over, lock = threading.Event(), threading.Lock()

    def send() -> None:
        while not is_over.is_set():
            answer = classify(process)
            with lock:
                counts[answer.status, answer.body.get("model_version", "")] += 1
            time.sleep(0.002)

    threads = [threading.Thread(target=send) for _ in range(n_clients)]
    for thread in threads:
        thread.start()
    try:
        yield counts
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


def resident_kilobytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))


@pytest.mark.slow
def test_no_request_fails_during_50_swaps_and_no_memory_is_kept(start: Callable[..., ServiceProcess]) -> None:
    process = start()

    with classifying(process, n_clients=4) as counts:
        for wanted in ("1.0.0", "1.1.0") * 5:
            assert activate(process, wanted).status == 200
        after_ten = resident_kilobytes(process.process.pid)
        for wanted in ("1.0.0", "1.1.0") * 20:
            assert activate(process, wanted).status == 200
    after_fifty = resident_kilobytes(process.process.pid)

    assert {status for status, _ in counts} == {200}
    assert {served for _, served in counts} == {"1.0.0", "1.1.0"}
    assert after_fifty - after_ten < 8_000, json.dumps([after_ten, after_fifty])
