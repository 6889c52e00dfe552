"""What every row of the generated tickets promises, and the command line."""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.generate_dataset import COLUMNS, DEFAULT_ROWS, Situation, Ticket, generate, load_situations, main

COMMAND = Path(__file__).resolve().parents[2] / "data" / "generate_dataset.py"
PRIORITIES = ("Urgent", "High", "Medium", "Low")
DEPARTMENTS = ("Tech Support", "Billing", "Sales")


@pytest.fixture(scope="module")
def situations() -> list[Situation]:
    return load_situations()


@pytest.fixture(scope="module")
def tickets() -> list[Ticket]:
    return list(generate(12_000, seed=5))


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, str(COMMAND), *arguments]
    return subprocess.run(command, capture_output=True, check=False, timeout=60, env={**os.environ, **environment})


def pair_of(entry: Ticket | Situation) -> tuple[str, str]:
    return entry.priority, entry.department


def test_every_ticket_has_the_labels_of_its_situation(tickets: list[Ticket], situations: list[Situation]) -> None:
    labels = {situation.id: pair_of(situation) for situation in situations}

    assert all(labels[ticket.situation] == pair_of(ticket) for ticket in tickets)


def test_no_two_tickets_have_the_same_texts(tickets: list[Ticket]) -> None:
    assert len({(ticket.title, ticket.description) for ticket in tickets}) == len(tickets)


def test_tickets_fit_the_service_and_are_never_blank(tickets: list[Ticket]) -> None:
    for ticket in tickets:
        assert (ticket.title + ticket.description).strip()
        assert len(ticket.title) <= 300
        assert len(ticket.description) <= 20_000
        assert "\0" not in ticket.title + ticket.description


def test_no_placeholder_is_left_unfilled(tickets: list[Ticket]) -> None:
    assert [t for t in tickets if re.search(r"\{\w+\}|##", t.title + t.description)] == []


def test_titles_and_descriptions_are_empty_now_and_then_but_never_both(tickets: list[Ticket]) -> None:
    without_title = sum(not ticket.title for ticket in tickets) / len(tickets)
    without_description = sum(not ticket.description for ticket in tickets) / len(tickets)

    assert 0.03 < without_title < 0.12
    assert 0.02 < without_description < 0.10
    assert all(ticket.title or ticket.description for ticket in tickets)


@pytest.mark.parametrize("rows", [1, 12, 100, 1000])
def test_pairs_of_labels_are_balanced_to_one_row(rows: int) -> None:
    counts = Counter(map(pair_of, generate(rows, seed=1)))
    per_pair = [counts[pair] for pair in itertools.product(PRIORITIES, DEPARTMENTS)]

    assert sum(per_pair) == rows
    assert max(per_pair) - min(per_pair) <= 1


def test_rows_are_spread_over_the_situations_of_a_pair_to_one_row(
    tickets: list[Ticket], situations: list[Situation]
) -> None:
    used = Counter(ticket.situation for ticket in tickets)

    for pair in itertools.product(PRIORITIES, DEPARTMENTS):
        counts = [used[situation.id] for situation in situations if pair_of(situation) == pair]
        assert max(counts) - min(counts) <= 1


def test_weights_change_how_often_a_label_comes_up() -> None:
    tickets = list(generate(1200, seed=1, weights={"Medium": 3, "Billing": 2, "Low": 0}))
    priorities = Counter(ticket.priority for ticket in tickets)
    departments = Counter(ticket.department for ticket in tickets)

    assert priorities == {"Urgent": 240, "High": 240, "Medium": 720}
    assert departments == {"Billing": 600, "Tech Support": 300, "Sales": 300}


@pytest.mark.parametrize("weights", [{"Sale": 2}, dict.fromkeys(PRIORITIES, 0)])
def test_weights_that_no_situation_can_meet_are_refused_before_the_first_ticket(weights: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"no situation has the label 'Sale'|leave no pair of labels"):
        generate(10, weights=weights)


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(), short=st.integers(0, 40), long=st.integers(40, 80))
def test_a_longer_run_with_the_same_seed_starts_with_the_shorter_one(seed: int, short: int, long: int) -> None:
    assert list(generate(short, seed=seed)) == list(generate(long, seed=seed))[:short]


def test_seeds_give_different_tickets() -> None:
    first, second = ({ticket.description for ticket in generate(120, seed=seed)} for seed in (1, 2))

    assert len(first & second) < 30


def test_a_situation_with_few_wordings_still_gives_many_tickets(situations: list[Situation]) -> None:
    one = dataclasses.replace(
        situations[0], titles=("A title",), descriptions=("Only a single wording is known here.",)
    )
    tickets = list(generate(500, seed=1, situations=[one]))

    assert len({(ticket.title, ticket.description) for ticket in tickets}) == 500


def rows_of(output: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(output.decode("utf-8"), newline="")))


def test_the_command_prints_the_default_number_of_rows_with_the_promised_columns() -> None:
    finished = run()
    rows = rows_of(finished.stdout)

    assert finished.returncode == 0
    assert finished.stderr == b""
    assert len(rows) == DEFAULT_ROWS >= 1000
    assert tuple(rows[0]) == COLUMNS == ("title", "description", "priority", "department", "situation")


def test_the_same_seed_gives_the_same_bytes_to_a_file_and_to_standard_output(tmp_path: Path) -> None:
    path = tmp_path / "tickets.csv"

    printed = run("--rows", "240", "--seed", "7", PYTHONHASHSEED="1", LC_ALL="C", PYTHONIOENCODING="ascii")
    written = run("--rows", "240", "--seed", "7", "-o", str(path), PYTHONHASHSEED="2")

    assert (printed.returncode, written.returncode, written.stdout) == (0, 0, b"")
    assert path.read_bytes() == printed.stdout
    assert run("--rows", "240", "--seed", "8").stdout != printed.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rows", "0"], "'0' is not a whole number of at least 1"),
        (["--rows", "many"], "'many' is not a whole number"),
        (["--seed", "x"], "invalid int value: 'x'"),
        (["--weight", "Medium"], "'Medium' is not LABEL=NUMBER"),
        (["--weight", "Medium=-1"], "'Medium=-1' is not LABEL=NUMBER"),
        (["--weight", "Medium=nan"], "'Medium=nan' is not LABEL=NUMBER"),
        (["--weight", "Average=2"], "no situation has the label 'Average'"),
        (["--situations", "/nowhere"], "/nowhere: no *.toml file"),
        (["-o", "/nowhere/tickets.csv"], "No such file or directory: '/nowhere/tickets.csv'"),
        (["--unknown"], "unrecognized arguments: --unknown"),
    ],
)
def test_bad_usage_ends_with_exit_code_2_and_says_what_is_wrong(arguments: list[str], message: str) -> None:
    finished = run(*arguments)

    assert finished.returncode == 2
    assert message in finished.stderr.decode()
    assert b"Traceback" not in finished.stderr
    assert finished.stdout == b""


def test_a_full_disk_ends_with_exit_code_1() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("/dev/full is a Linux device")

    finished = run("-o", "/dev/full")

    assert finished.returncode == 1
    assert b"No space left on device" in finished.stderr


def test_a_reader_that_stops_early_is_no_failure() -> None:
    with subprocess.Popen(
        [sys.executable, str(COMMAND), "--rows", "20000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        header = process.stdout.readline()
        process.stdout.close()
        complaints = process.stderr.read()
        code = process.wait(timeout=60)

    assert header == b"title,description,priority,department,situation\n"
    assert (code, complaints) == (0, b"")


def test_weights_are_taken_from_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "tickets.csv"

    code = main(["--rows", "120", "--weight", "Tech Support=0", "--weight", "Sales=2", "--output", str(path)])

    counts = Counter(row["department"] for row in rows_of(path.read_bytes()))
    assert code == 0
    assert counts == {"Sales": 80, "Billing": 40}
