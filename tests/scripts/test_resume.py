from __future__ import annotations

import csv
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.tickets.columns import choose_text_columns
from app.tickets.table import Chunk, read_table
from app.tickets.writing import TableWriter
from scripts import bulk_classify
from scripts.lib.classify_processes import Job, WorkerError, classify_in_order
from scripts.lib.prediction_columns import prediction_columns
from scripts.lib.resumable_output import Progress, ResumableOutput, ResumeError
from tests.processes import ROOT, clean_environment

N_TICKETS = 5_500
# A run over so many is still under way when a test that saw it begin gets its turn on a busy machine.
N_MANY_TICKETS = 20_000
_SECONDS = 60


@pytest.fixture(scope="module")
def tickets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tickets(tmp_path_factory.mktemp("tickets") / "in.csv", N_TICKETS)


@pytest.fixture(scope="module")
def many_tickets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tickets(tmp_path_factory.mktemp("tickets") / "in.csv", N_MANY_TICKETS)


def write_tickets(path: Path, n_tickets: int) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "title", "description"])
        writer.writerows([i, f"server {i} down", f"refund of\ninvoice {i % 97} " * (i % 9)] for i in range(n_tickets))
    return path


@pytest.fixture(scope="module")
def whole(tickets: Path, models_dir: Path) -> Path:
    """What a run that nobody stops writes."""
    path = tickets.with_name("whole.csv")
    assert bulk_classify.main([str(tickets), "-o", str(path), "--models-dir", str(models_dir)]) == 0
    return path


class Command:
    """The command as a process, in a group of its own."""

    def __init__(self, *arguments: str | Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, ROOT / "scripts" / "bulk_classify.py", *arguments, "--checkpoint-seconds", "0"],
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )

    def children(self) -> list[int]:
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        try:
            return [int(pid) for pid in path.read_text(encoding="ascii").split()]
        except OSError:
            return []

    def wait_until(self, condition: Callable[[], bool]) -> bool:
        """Return whether ``condition`` came true before the process ended."""
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            if condition():
                return True
            if self.process.poll() is not None:
                return False
            time.sleep(0.002)
        pytest.fail(f"not so within {_SECONDS} s")

    def finish(self) -> tuple[int, str]:
        _, errors = self.process.communicate(timeout=_SECONDS)
        return self.process.returncode, errors

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.finish()


StartCommand = Callable[..., Command]


@pytest.fixture
def start_command(models_dir: Path) -> Iterator[StartCommand]:
    started: list[Command] = []

    def start(*arguments: str | Path) -> Command:
        started.append(Command(*arguments, "--models-dir", models_dir, "--workers", "2"))
        return started[-1]

    yield start
    for command in started:
        if command.process.poll() is None:
            command.kill()


def recorded(output: Path) -> int:
    path = output.with_name(f".{output.name}.progress")
    try:
        return int(json.loads(path.read_text(encoding="utf-8"))["progress"]["n_tickets"])
    except FileNotFoundError:
        return 0


def is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_killed_at_every_checkpoint_and_resumed_it_writes_the_same_bytes(
    suffix: str, tickets: Path, models_dir: Path, tmp_path: Path, start_command: StartCommand
) -> None:
    whole, output = tmp_path / f"whole.{suffix}", tmp_path / f"output.{suffix}"
    assert bulk_classify.main([str(tickets), "-o", str(whole), "--models-dir", str(models_dir)]) == 0
    output.write_text("an older output", encoding="utf-8")

    n_kills = 0
    for _ in range(20):
        before = recorded(output)
        command = start_command(tickets, "-o", output, "--resume")
        if not command.wait_until(lambda before=before: recorded(output) > before):
            break
        assert output.read_text(encoding="utf-8") == "an older output"
        command.kill()
        n_kills += 1
    exit_code, errors = command.finish()

    assert exit_code == 0, errors
    assert n_kills > 0
    assert output.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [output.name, whole.name]


@pytest.mark.slow
@pytest.mark.parametrize("milliseconds", [0, 400, 800, 1200])
def test_killed_at_any_moment_and_resumed_it_writes_the_same_bytes(
    milliseconds: int, tickets: Path, whole: Path, tmp_path: Path, start_command: StartCommand
) -> None:
    output = tmp_path / "output.csv"
    command = start_command(tickets, "-o", output)
    killed_at = time.monotonic() + milliseconds / 1000
    command.wait_until(lambda: time.monotonic() >= killed_at)
    command.kill()
    exit_code, errors = start_command(tickets, "-o", output, "--resume").finish()

    assert exit_code == 0, errors
    assert output.read_bytes() == whole.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == [output.name]


def test_worker_processes_end_when_the_command_is_killed(
    many_tickets: Path, tmp_path: Path, start_command: StartCommand
) -> None:
    command = start_command(many_tickets, "-o", tmp_path / "output.csv")
    assert command.wait_until(lambda: recorded(tmp_path / "output.csv") > 0)
    children = command.children()
    command.kill()

    assert len(children) >= 2
    deadline = time.monotonic() + _SECONDS
    while not all(map(is_gone, children)):
        assert time.monotonic() < deadline, "a worker outlived the command"
        time.sleep(0.01)


def test_a_lost_worker_ends_the_command_and_resume_completes_the_work(
    tickets: Path, whole: Path, tmp_path: Path, start_command: StartCommand
) -> None:
    output = tmp_path / "output.csv"
    command = start_command(tickets, "-o", output)
    assert command.wait_until(lambda: recorded(output) > 0)
    for child in command.children():
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
            os.kill(child, signal.SIGKILL)
            break
    exit_code, errors = command.finish()
    assert exit_code == 1
    assert "a worker process ended early" in errors
    assert "Traceback" not in errors

    assert start_command(tickets, "-o", output, "--resume").finish()[0] == 0
    assert output.read_bytes() == whole.read_bytes()


def test_a_worker_that_was_lost_while_it_waited_is_named_too(models_dir: Path, tmp_path: Path) -> None:
    source = read_table(write_tickets(tmp_path / "tickets.csv", 3))
    writer = TableWriter.choose(source, tmp_path / "output.csv", prediction_columns(["priority", "department"]))
    job = Job(next(models_dir.glob("v*")), choose_text_columns(source, {}), writer)
    others = set(multiprocessing.active_children())

    def chunks() -> Iterator[Chunk]:
        first, second, third = source.chunks(1)
        yield first
        yield second
        # Two have work now, and the third is about to be sent some.
        for worker in set(multiprocessing.active_children()) - others:
            worker.kill()
            worker.join()
        yield third

    with pytest.raises(WorkerError, match="a worker process ended early"):
        list(classify_in_order(chunks(), job, 3))


def test_ctrl_c_says_how_to_go_on(many_tickets: Path, tmp_path: Path, start_command: StartCommand) -> None:
    command = start_command(many_tickets, "-o", tmp_path / "output.csv")
    assert command.wait_until(lambda: recorded(tmp_path / "output.csv") > 0)
    command.process.send_signal(signal.SIGINT)
    exit_code, errors = command.finish()
    assert exit_code == 1
    assert "--resume" in errors
    assert "Traceback" not in errors


def test_another_input_is_not_taken_up(
    many_tickets: Path,
    models_dir: Path,
    tmp_path: Path,
    start_command: StartCommand,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output, other = tmp_path / "output.csv", tmp_path / "other.csv"
    command = start_command(many_tickets, "-o", output)
    assert command.wait_until(lambda: recorded(output) > 0)
    command.kill()
    other.write_text("title\na\n", encoding="utf-8")

    arguments = [str(other), "-o", str(output), "--models-dir", str(models_dir)]
    assert bulk_classify.main([*arguments, "--resume"]) == 2
    assert "begun with another columns, input; start again without --resume" in capsys.readouterr().err
    assert bulk_classify.main(arguments) == 0
    assert len(output.read_text(encoding="utf-8").splitlines()) == 2


def test_two_runs_do_not_write_one_output(
    many_tickets: Path,
    models_dir: Path,
    tmp_path: Path,
    start_command: StartCommand,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "output.csv"
    command = start_command(many_tickets, "-o", output)
    part = tmp_path / ".output.csv.part"
    assert command.wait_until(lambda: part.exists() and part.stat().st_size > 0)

    assert bulk_classify.main([str(many_tickets), "-o", str(output), "--models-dir", str(models_dir)]) == 2
    assert "is being written by another run" in capsys.readouterr().err
    assert command.finish()[0] == 0


def test_resume_without_anything_to_resume_starts_at_the_beginning(
    tickets: Path, whole: Path, models_dir: Path, tmp_path: Path
) -> None:
    output = tmp_path / "output.csv"
    assert bulk_classify.main([str(tickets), "-o", str(output), "--models-dir", str(models_dir), "--resume"]) == 0
    assert output.read_bytes() == whole.read_bytes()


class StopHereError(Exception):
    """Stands for a kill at this point."""


def write_whole(path: Path, *, resume: bool, convert: Callable[[Path, Path], None] | None = None) -> Progress:
    with ResumableOutput(path, {"input": "x"}, resume=resume) as output:
        begun_at = output.progress
        if begun_at.n_tickets == 0:
            output.append(b"one\n", n_tickets=1)
            output.append(b"two\n", n_tickets=1)
        output.finish(convert)
    return begun_at


def test_a_kill_during_the_conversion_repeats_the_conversion_only(tmp_path: Path) -> None:
    path = tmp_path / "out"

    def stop(_: Path, new: Path) -> None:
        new.write_bytes(b"half")
        raise StopHereError

    with pytest.raises(StopHereError):
        write_whole(path, resume=False, convert=stop)
    assert not path.exists()

    begun_at = write_whole(
        path, resume=True, convert=lambda part, new: new.write_bytes(part.read_bytes().upper()) and None
    )
    assert begun_at.n_tickets == 2
    assert path.read_bytes() == b"ONE\nTWO\n"
    assert [file.name for file in tmp_path.iterdir()] == ["out"]


def test_a_kill_between_the_rename_and_the_clean_up_leaves_the_output_alone(tmp_path: Path) -> None:
    path, progress = tmp_path / "out", tmp_path / ".out.progress"
    write_whole(path, resume=False)
    done = {"n_tickets": 2, "n_bytes": 8, "inode": path.stat().st_ino}
    progress.write_text(json.dumps({"identity": {"input": "x"}, "progress": done}), encoding="utf-8")

    assert write_whole(path, resume=True).n_tickets == 2
    assert path.read_bytes() == b"one\ntwo\n"
    assert [file.name for file in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("damaged", ["", "{}", '{"identity": {}, "progress": {"n": 1}}', "[1]"])
def test_damaged_notes_are_refused(damaged: str, tmp_path: Path) -> None:
    (tmp_path / ".out.progress").write_text(damaged, encoding="utf-8")
    with pytest.raises(ResumeError, match="damaged"):
        ResumableOutput(tmp_path / "out", {"input": "x"}, resume=True)


def test_a_part_file_that_lost_bytes_is_refused(tmp_path: Path) -> None:
    notes = {"identity": {"input": "x"}, "progress": {"n_tickets": 5, "n_bytes": 50, "inode": None}}
    (tmp_path / ".out.progress").write_text(json.dumps(notes), encoding="utf-8")
    (tmp_path / ".out.part").write_bytes(b"short")
    output = ResumableOutput(tmp_path / "out", {"input": "x"}, resume=True)
    with pytest.raises(ResumeError, match="shorter"):
        output.__enter__()
