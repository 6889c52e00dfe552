"""What people said as tickets to learn from: no ticket twice, the judgement counts, the hash knows."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.tickets.input_error import InputError
from app.training.intake.judgements import JudgedLabel, judgements_alone, with_judgements
from app.training.intake.labelled_tickets import FeedbackCounts, Intake, Tickets, read_tickets

ROWS = [
    ("Server down", "High", "Tech"),
    ("Invoice wrong", "Low", "Billing"),
    ("Refund please", "Low", "Billing"),
    ("Disk full", "High", "Tech"),
    ("Power cut", "High", "Tech"),
]


def of_file(path: Path, rows: Sequence[tuple[str, str, str]] = ROWS) -> Tickets:
    (path / "export.csv").write_text("\n".join(["title,priority,department", *map(",".join, rows)]))
    return read_tickets(path / "export.csv", Intake(for_training=False))


def judged(title: str, *, ticket_id: str = "", **labels: str) -> list[JudgedLabel]:
    return [JudgedLabel(ticket_id, title, "", head, label) for head, label in labels.items()]


def test_a_ticket_that_is_in_both_counts_once_with_the_judgement(tmp_path: Path) -> None:
    said = [*judged("SERVER   down", priority="Low"), *judged("New one", priority="Low", department="Tech")]

    merged = with_judgements(of_file(tmp_path), said, source="both")

    assert merged.titles == ["Server down", "Invoice wrong", "Refund please", "Disk full", "Power cut", "New one"]
    assert merged.labels["department"] == ["Tech", "Billing", "Billing", "Tech", "Tech", "Tech"]
    assert merged.feedback == FeedbackCounts(n_tickets=2, n_in_data=1)
    assert "people judged 2 tickets, 1 of which are in the file too" in merged.notes


def test_without_enough_left_of_a_label_it_is_left_out_and_said(tmp_path: Path) -> None:
    said = [*judged("Server down", priority="Low"), *judged("New one", priority="Low")]

    with pytest.raises(InputError, match=r'^both, "priority": every ticket has the label "Low"'):
        with_judgements(of_file(tmp_path, ROWS[:4]), said, source="both")
    odd = with_judgements(
        of_file(tmp_path), [*judged("Odd", priority="Odd"), *judged("New", priority="High")], source=""
    )
    assert odd.titles[5:] == ["New"]
    assert 'priority: labels that only one ticket has were left out: "Odd"' in odd.notes
    assert odd.feedback == FeedbackCounts(n_tickets=1, n_in_data=0)


def test_the_latest_of_several_judgements_of_a_text_counts_for_each_head(tmp_path: Path) -> None:
    said = [
        *judged("Server down", priority="Low", department="Billing"),
        *judged("server down", department="Tech"),
        *judged("Server Down", priority="High"),
    ]

    merged = with_judgements(of_file(tmp_path), said, source="both")

    assert (merged.labels["priority"][0], merged.labels["department"][0]) == ("High", "Tech")
    assert len(merged) == 5


def test_a_label_that_is_new_to_the_file_is_learned_when_two_tickets_have_it(tmp_path: Path) -> None:
    said = [*judged("A", priority="Urgent"), *judged("B", priority="urgent"), *judged("C", priority="urgent")]

    merged = with_judgements(of_file(tmp_path), said, source="both")

    assert merged.labels["priority"][5:] == ["urgent"] * 3
    assert 'column "priority": the labels "Urgent", "urgent" were joined as "urgent"' in merged.notes


def test_judgements_of_other_heads_are_left_out_and_said(tmp_path: Path) -> None:
    merged = with_judgements(of_file(tmp_path), judged("A", team="x"), source="both")

    assert len(merged) == 5
    assert '1 judgements of "team" were left out: it is not trained' in merged.notes


def test_judged_tickets_have_an_id_but_no_row(tmp_path: Path) -> None:
    merged = with_judgements(of_file(tmp_path), judged("New", ticket_id="T-7", priority="Low"), source="both")

    assert merged.ids == ["", "", "", "", "", "T-7"]
    assert [merged.row_name(i) for i in range(6)] == ["2", "3", "4", "5", "6", ""]


def test_each_judged_ticket_is_a_group_of_its_own_where_the_file_has_groups(tmp_path: Path) -> None:
    tickets = replace(of_file(tmp_path), groups=["a", "a", "b", "b", "b"])

    merged = with_judgements(tickets, [*judged("X", priority="Low"), *judged("Y", priority="Low")], source="both")

    assert merged.groups is not None
    assert merged.groups[:5] == ["a", "a", "b", "b", "b"]
    assert len(set(merged.groups)) == 4


def test_the_hash_of_the_data_changes_with_what_was_judged_and_not_with_when(tmp_path: Path) -> None:
    tickets, said = of_file(tmp_path), judged("New", priority="Low")

    hashes = {with_judgements(tickets, said, source="").sha256 for _ in range(2)}

    assert len(hashes) == 1
    assert with_judgements(tickets, judged("New", priority="High"), source="").sha256 not in hashes
    assert with_judgements(tickets, judged("Newer", priority="Low"), source="").sha256 not in hashes
    assert tickets.sha256 not in hashes


def test_alone_every_head_with_two_labels_is_trained_the_usual_ones_first() -> None:
    said = [
        label
        for title, high in (("a", "High"), ("b", "High"), ("c", "Low"), ("d", "Low"))
        for label in judged(title, team=high, priority=high, department="only one")
    ]

    tickets = judgements_alone(said, targets=None, source="judged tickets")

    assert list(tickets.labels) == ["priority", "team"]
    assert tickets.feedback == FeedbackCounts(n_tickets=4, n_in_data=0)
    assert list(judgements_alone(said, targets=("team",), source="").labels) == ["team"]


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        (None, "judged tickets: no head has two labels"),
        (("priority",), 'judged tickets: no label of "priority" was given twice'),
        (("colour",), 'judged tickets: no judged ticket has a label of "colour"; they have "priority"'),
    ],
)
def test_alone_with_too_little_nothing_is_trained(targets: tuple[str, ...] | None, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        judgements_alone(
            [*judged("a", priority="High"), *judged("b", priority="Low")], targets=targets, source="judged tickets"
        )

    assert str(caught.value).startswith(expected)


def test_a_head_whose_name_would_name_another_file_is_not_trained() -> None:
    said = [label for title in "abcd" for label in judged(title, **{"../x": "High" if title < "c" else "Low"})]

    with pytest.raises(InputError, match="no head has two labels"):
        judgements_alone(said, targets=None, source="judged tickets")


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(["priority", "team"]), st.sampled_from("xyz"))))
def test_no_text_is_there_twice_and_every_label_is_the_latest(said: list[tuple[str, str, str]]) -> None:
    base = [*judged("p", priority="x", team="x"), *judged("q", priority="x", team="x")]
    base += [*judged("r", priority="y", team="y"), *judged("s", priority="y", team="y")]
    labels = [*base, *(JudgedLabel("", title, "", head, label) for title, head, label in said)]

    tickets = judgements_alone(labels, targets=("priority", "team"), source="")

    latest = {(one.title, one.head): one.label for one in labels}
    assert len(set(tickets.titles)) == len(tickets)
    for head, of_head in tickets.labels.items():
        counts = [label for (_, of), label in latest.items() if of == head]
        for title, label in zip(tickets.titles, of_head, strict=True):
            expected = latest.get((title, head), "")
            assert label == (expected if counts.count(expected) > 1 else "")
