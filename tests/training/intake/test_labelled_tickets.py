"""What a team's export may look like, and the one line that says what is wrong with it."""

import contextlib
import json
import random
import re
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from app.models.classifier import TicketClassifier
from app.tickets.input_error import InputError
from app.tickets.table import read_table
from app.training.intake.labelled_tickets import Intake, read_tickets
from tests.training.conftest import RunTrain, write_csv

TICKETS = [
    {"title": "Serveur en panne", "description": "Déjà vu – café “fermé”", "priority": "High"},  # noqa: RUF001 - what Windows-1252 has
    {"title": "Rechnung", "description": "Straße fehlt auf der Rechnung", "priority": "Low"},
] * 3

Spoil = Callable[[list[dict[str, str]]], object]


def _csv(rows: list[str]) -> bytes:
    return "\n".join(["title,description,priority", *rows]).encode()


GOOD = ["a,b,High", "c,d,High", "e,f,Low", "g,h,Low"]
BAD_INPUT: dict[str, tuple[bytes, str]] = {
    "empty file": (b"", "is empty"),
    "header only": (_csv([]), "has a header and no tickets"),
    "missing target column": (b"title,description\na,b\n", 'row 1: there is no column "priority"'),
    "missing text column": (b"text,priority\na,High\n", 'row 1: there is no column "title" or "description"'),
    "one class": (_csv(["a,b,High", "c,d,High"]), 'row 2, column "priority": every ticket has the label "High"'),
    "blank label": (_csv([*GOOD, "i,j, "]), 'row 6, column "priority": the label is blank'),
    "a label that occurs once": (_csv([*GOOD, "i,j,Odd"]), 'row 6, column "priority": the label "Odd" occurs once'),
    "header repeated": (_csv([*GOOD, "title,description,priority"]), "row 6: the header stands here again"),
    "NUL byte": (_csv([*GOOD, "i\0,j,High"]), "row 6: a NUL byte"),
    "UTF-16": ("title,priority\na,High\n".encode("utf-16"), "is UTF-16; save it as UTF-8"),
    "damaged UTF-8": (_csv([*GOOD, "é,é,High"]) + b"\nk\xe9,l,High", "row 7: byte 0xe9 is neither UTF-8 nor"),
    "not text": (_csv([*GOOD, "i,j,High"]) + b"\nk\x81,l,High", "row 7: byte 0x81 is neither UTF-8 nor"),
    "too few fields": (_csv([*GOOD, "i,j"]), "row 6: 2 fields, but the header has 3 columns"),
    "a column twice": (b"title,title,priority\na,b,High\n", 'row 1: the column "title" is there twice'),
    "no text at all": (_csv([" , ,High", ",,Low"]), "none has a title or a description"),
    "an open quote": (_csv([*GOOD, 'i,"j,High']), "row 6: "),
}


@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input_is_refused_in_one_line_that_names_file_and_row(tmp_path: Path, name: str) -> None:
    content, expected = BAD_INPUT[name]
    path = tmp_path / "export.csv"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_tickets(path)
    message = str(caught.value)
    assert str(path) in message
    assert expected in message
    assert "\n" not in message


@pytest.mark.parametrize("name", ["blank label", "one class", "empty file"])
def test_bad_input_ends_with_exit_code_2_and_writes_nothing(tmp_path: Path, run_train: RunTrain, name: str) -> None:
    path = tmp_path / "export.csv"
    path.write_bytes(BAD_INPUT[name][0])
    done = run_train("--data", path)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert BAD_INPUT[name][1] in done.stderr
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("--data", "nowhere.csv"),
        ("--data", "."),
        ("--data", "tests/__init__.py"),
        ("--version", "1.x"),
        ("--map", "title"),
        ("--targets", "priority,priority"),
        ("--targets", "colour"),
        ("--target-precision", "2"),
        ("--no-such-option",),
    ],
)
def test_bad_usage_ends_with_exit_code_2(tmp_path: Path, run_train: RunTrain, arguments: tuple[str, ...]) -> None:
    done = run_train(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_encodings_and_delimiters_of_exports_read_right(tmp_path: Path, encoding: str, delimiter: str) -> None:
    path = write_csv(tmp_path / "export.csv", TICKETS, encoding=encoding, delimiter=delimiter)
    tickets = read_tickets(path)
    assert tickets.titles == [ticket["title"] for ticket in TICKETS]
    assert tickets.descriptions == [ticket["description"] for ticket in TICKETS]


def test_csv_json_lines_and_parquet_give_the_same_tickets(tmp_path: Path) -> None:
    frame = pd.DataFrame(TICKETS)
    frame.to_parquet(tmp_path / "export.parquet")
    (tmp_path / "export.jsonl").write_text("".join(json.dumps(t, ensure_ascii=False) + "\n" for t in TICKETS))
    write_csv(tmp_path / "export.csv", TICKETS)
    tables = [read_table(tmp_path / f"export.{suffix}") for suffix in ("csv", "jsonl", "parquet")]
    assert len({table.columns for table in tables}) == 1
    assert len({tuple(row.fields for row in table.rows((0, 1, 2))) for table in tables}) == 1


def test_labels_are_trimmed_and_spellings_joined_and_reported(tmp_path: Path) -> None:
    rows = ["a,b,High ", "c,d,high", "e,f,High", "g,h,very  low", "i,j,Very Low", "k,l,Very Low"]
    path = tmp_path / "export.csv"
    path.write_bytes(_csv(rows))
    tickets = read_tickets(path)
    assert tickets.labels["priority"] == ["High", "High", "High", "Very Low", "Very Low", "Very Low"]
    assert len([note for note in tickets.notes if note.startswith('column "priority"')]) == 2


def test_columns_and_labels_are_mapped(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text("Subject,Body,Prio,Team\na,b,urgent,x\nc,d,normal,y\ne,f,URGENT,x\ng,h,normal,y\n")
    tickets = read_tickets(
        path,
        Intake(
            column_map={"title": "Subject", "description": "Body", "priority": "Prio", "department": "Team"},
            label_map={"urgent": "Urgent", "normal": "Medium"},
        ),
    )
    assert tickets.titles == ["a", "c", "e", "g"]
    assert tickets.labels == {"priority": ["Urgent", "Medium", "Urgent", "Medium"], "department": ["x", "y", "x", "y"]}


def test_the_ids_of_tickets_are_read_from_the_column_that_is_mapped_to_id(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text(
        "Ticket ID,title,priority,situation\nA-1,a,High,p\nA-2,b,Low,q\nA-3,,Low,q\nA-4,c,High,p\nA-5,d,Low,q\n"
    )
    tickets = read_tickets(path, Intake(column_map={"id": "ticket id"}))
    assert tickets.ids == ["A-1", "A-2", "A-4", "A-5"]
    assert tickets.groups == ["p", "q", "p", "q"]
    assert read_tickets(path).ids is None
    with pytest.raises(InputError, match='row 1: there is no column "Key"'):
        read_tickets(path, Intake(column_map={"id": "Key"}))


def test_rows_without_text_are_left_out_and_reported(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_bytes(_csv([*GOOD, " ,,High"]))
    tickets = read_tickets(path)
    assert len(tickets) == 4
    assert "1 rows without title and description were left out" in tickets.notes


def test_a_description_alone_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text("description,department\na,x\nb,x\nc,y\nd,y\n")
    tickets = read_tickets(path)
    assert tickets.titles == [""] * 4
    assert tickets.descriptions == ["a", "b", "c", "d"]


EXPORTS = {
    "Zendesk": ("Id,Subject,Requester,Priority,Group,Tags", "--map title=Subject"),
    "Freshdesk": ("Ticket Id,Subject,Status,Priority,Group,Type", "--map title=Subject"),
    "Jira": ("Summary,Issue key,Priority,Component/s,Labels,Labels,Comment,Comment", "--map title=Summary"),
    "no description": ("Betreff,Queue,Prio", "--map title=Betreff"),
}


@pytest.mark.parametrize("product", EXPORTS)
def test_an_export_with_foreign_names_is_answered_with_the_options_that_read_it(tmp_path: Path, product: str) -> None:
    header, expected = EXPORTS[product]
    names = header.split(",")
    path = tmp_path / "export.csv"
    rows = [",".join(f"{name} {i % 2}" for name in names) for i in range(20)]
    path.write_text("\n".join([header, *rows]))
    column_map = {"department": "Group"} if product == "Zendesk" else {}
    for _ in range(3):
        with contextlib.suppress(InputError):
            tickets = read_tickets(path, Intake(column_map=column_map))
            break
        with pytest.raises(InputError) as caught:
            read_tickets(path, Intake(column_map=column_map))
        column_map.update(re.findall(r"--map (\w+)=([^ \"]+)", str(caught.value)))
    else:
        pytest.fail(f"{product}: the messages did not lead to columns that can be read; the last map was {column_map}")
    assert f"--map title={column_map['title']}" in expected
    assert len(tickets) == 20


def test_columns_are_found_in_any_case_and_repeated_ones_do_no_harm_unless_read(
    tmp_path: Path,
) -> None:
    path = tmp_path / "export.csv"
    path.write_text("TITLE,Priority,Label,Label\n" + "a b,High,x,y\nc d,Low,z,w\n" * 10)
    assert set(read_tickets(path).labels["priority"]) == {"High", "Low"}
    with pytest.raises(InputError, match='row 1: the column "Label" is there twice'):
        read_tickets(path, Intake(targets=("Label",)))


def test_delimiters_in_quoted_names_and_the_delimiter_line_of_excel_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text('title;"priority";"a, b, c, d"\n' + "a b;High;1\nc d;Low;2\n" * 5)
    assert read_tickets(path).titles[:2] == ["a b", "c d"]
    path.write_text("sep=|\ntitle|priority\n" + "a, b|High\nc d|Low\n" * 5)
    tickets = read_tickets(path)
    assert tickets.titles[0] == "a, b"
    assert tickets.row_number(0) == 2
    assert "the file was read with '|' between the columns" in tickets.notes


def test_encodings_other_than_utf_8_are_named(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "export.csv", TICKETS, encoding="cp1252")
    assert "the file was read as Windows-1252" in read_tickets(path).notes


def test_duplicates_and_contradictory_labels_are_counted_with_their_rows(tmp_path: Path) -> None:
    rows = ["Printer broken,x,High", "printer  BROKEN,X,High", "a,b,High", "a,b,Low", "A,B,Low", "c,d,Low"]
    path = tmp_path / "export.csv"
    path.write_bytes(_csv(rows))
    notes = read_tickets(path).notes
    assert "3 tickets repeat the text of an earlier one: row 3, 5, 6" in notes
    assert (
        "priority: 2 tickets have the text of an earlier one and another label: "
        'row 5 "Low", row 4 "High"; row 6 "Low", row 4 "High"'
    ) in notes
    path.write_bytes(_csv([*GOOD]))
    assert not [note for note in read_tickets(path).notes if "earlier" in note]


def test_a_label_with_few_tickets_is_named_and_a_mapping_that_meets_nothing_too(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_bytes(
        _csv([f"word{i},b,{'High' if i % 2 else 'Low'}" for i in range(20)] + [f"x{i},y,Odd" for i in range(3)])
    )
    notes = read_tickets(path, Intake(label_map={"urgnet": "Urgent", "HIGH": "High"})).notes
    assert 'priority: label "Odd" has 3 tickets; below 10 it is left to review' in notes
    assert notes.count('--label-map: no ticket has the label "urgnet"') == 1
    assert not [note for note in notes if '"high"' in note or '"Low" has' in note]


def test_tickets_without_a_label_can_be_left_out(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_bytes(_csv([*GOOD, "i,j, ", "k,l,High"]))
    with pytest.raises(
        InputError, match=r'row 6, column "priority": the label is blank \(1 row\); --skip-blank-labels'
    ):
        read_tickets(path)
    tickets = read_tickets(path, Intake(skip_blank_labels=True))
    assert len(tickets) == 5
    assert tickets.row_number(4) == 7
    assert "1 rows without any label were left out, first row 6" in tickets.notes


def test_a_ticket_with_one_label_of_two_counts_for_that_one(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text("title,priority,department\na,High,x\nb,,x\nc,Low,\ne,High,y\nf,Low,x\ng, ,y\nh,Low,y\n")

    tickets = read_tickets(path)

    assert tickets.labels == {
        "priority": ["High", "", "Low", "High", "Low", "", "Low"],
        "department": ["x", "x", "", "y", "x", "y", "y"],
    }
    assert tickets.given_labels()["department"] == ["x", "x", "y", "x", "y", "y"]
    assert (
        '2 tickets have no label in column "priority", first in row 3: they count for the other labels only'
    ) in tickets.notes


def test_tickets_without_any_label_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text("title,priority,department\na,High,x\nb,,\nc,Low,\nd,, \ne,High,y\nf,Low,x\ng,,y\n")

    with pytest.raises(InputError) as caught:
        read_tickets(path)

    assert str(caught.value) == (
        f'{path}, row 3: the labels in "priority" and "department" are blank (2 rows, this is the first); '
        "--skip-blank-labels leaves such tickets out"
    )
    tickets = read_tickets(path, Intake(skip_blank_labels=True))
    assert tickets.titles == list("acefg")
    assert "2 rows without any label were left out, first row 3" in tickets.notes


def test_a_column_without_any_label_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text("title,priority,department\na,High,\nb,High,\nc,Low,\nd,Low,\n")

    with pytest.raises(InputError, match='column "department": no ticket has a label'):
        read_tickets(path)


def test_repeated_texts_contradict_each_other_only_where_both_have_a_label(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text("title,priority,department\na,High,x\nA,,y\nb,Low,x\nc,High,y\nd,Low,x\n")

    contradictions = [note for note in read_tickets(path).notes if "another label" in note]

    assert contradictions == [
        'department: 1 tickets have the text of an earlier one and another label: row 3 "y", row 2 "x"'
    ]


def test_any_column_can_say_what_belongs_together(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text("title,priority,incident,situation\n" + "a,High,1,p\nb,Low,1,q\nc,High,2,p\nd,Low,3,q\n")
    assert read_tickets(path).groups == ["p", "q", "p", "q"]
    assert read_tickets(path, Intake(group="incident")).groups == ["1", "1", "2", "3"]
    with pytest.raises(InputError, match='row 1: there is no column "customer"'):
        read_tickets(path, Intake(group="customer"))


def test_json_lines_may_hold_lists_in_columns_that_nobody_reads(tmp_path: Path) -> None:
    path = tmp_path / "export.jsonl"
    path.write_text("".join(json.dumps({"title": "a", "priority": p, "tags": ["x"]}) + "\n" for p in "HLHL"))
    assert read_tickets(path).labels["priority"] == list("HLHL")
    with pytest.raises(InputError, match='row 1, column "tags": expected text, found list'):
        read_tickets(path, Intake(targets=("tags",)))


def test_reading_needs_little_more_memory_than_the_text_itself(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    with path.open("w") as file:
        file.write("id,title,description,priority,notes\n")
        for i in range(8_000):
            file.write(f"{i},ticket {i},{'text ' * 60}{i},{'High' if i % 2 else 'Low'},{'never read ' * 50}\n")
    tracemalloc.start()
    tickets = read_tickets(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    text_bytes = sum(sys.getsizeof(text) for text in (*tickets.titles, *tickets.descriptions))
    assert path.stat().st_size > 6_800_000
    assert peak < 1.6 * text_bytes


def small_export(path: Path, *, n: int, counts: dict[str, int]) -> Path:
    rng = random.Random(5)
    topics = {label: [f"{label.lower()}{ending}" for ending in ("ing", "ed", "er", "ness")] for label in counts}
    common = [f"{a}{b}" for a in ("plea", "coul", "hel", "proble") for b in ("se", "d", "ping", "matic", "tion")]
    labels = [label for label, count in counts.items() for _ in range(count)]
    labels += rng.choices([label for label, count in counts.items() if count > 10], k=n - len(labels))
    records = [
        {"title": rng.choice(topics[label]), "description": " ".join(rng.sample(common, 9)), "department": label}
        for label in labels
    ]
    return write_csv(path, records)


def test_300_tickets_train_and_say_what_they_can_and_cannot_promise(tmp_path: Path, run_train: RunTrain) -> None:
    data = small_export(tmp_path / "export.csv", n=300, counts={"Billing": 90, "Sales": 80, "Repairs": 70, "Legal": 9})
    done = run_train("--data", data, "--version", "0.1.0")
    assert done.returncode == 0, done.stderr
    assert 'label "Legal" has 9 tickets; below 10 it is left to review' in " ".join(done.stderr.split())
    version = tmp_path / "models" / "v0.1.0"
    report = (version / "report.html").read_text()
    assert "rough" in report
    assert "Of 100 tickets like these" in report
    metrics = json.loads((version / "metrics.json").read_text())["department"]
    assert metrics["operating_points"]["Legal"] == {"auto": None, "suggest": None}
    model = TicketClassifier.load(version)
    answered = model.predict("Legaling", "legaler legaled legalness legaling")
    assert answered.heads["department"].label == "Legal"
    assert answered.heads["department"].decision == "review"


def test_labels_of_two_tickets_each_still_train(tmp_path: Path, run_train: RunTrain) -> None:
    data = small_export(tmp_path / "export.csv", n=12, counts={"Billing": 2, "Sales": 2, "Repairs": 2, "Legal": 6})
    done = run_train("--data", data, "--version", "0.1.0")
    assert done.returncode == 0, done.stderr


def test_tickets_that_are_all_the_same_end_with_exit_code_2(tmp_path: Path, run_train: RunTrain) -> None:
    path = tmp_path / "export.csv"
    path.write_bytes(_csv(["printer is broken,again,High", "Printer is broken,again!,Low"] * 5))
    done = run_train("--data", path)
    assert done.returncode == 2
    assert "all tickets are one group of similar texts" in done.stderr
    assert not (tmp_path / "models").exists()
