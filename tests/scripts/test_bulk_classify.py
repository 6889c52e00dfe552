from __future__ import annotations

import csv
import io
import json
import re
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.models.classifier import TicketClassifier
from scripts import bulk_classify
from tests.conftest import WriteModel
from tests.references import write_with_reference
from tests.scripts.conftest import RunScript, WriteTickets

ADDED = [
    "predicted_priority", "priority_confidence", "priority_decision",
    "predicted_department", "department_confidence", "department_decision",
    "needs_review", "model_version",
]  # fmt: skip
TICKETS = (
    ("1", "Server is down", "main server offline for all users"),
    ("2", "Refund", 'invoice, paid twice\r\n"refund" please'),
    ("3", "", "a quote\rand its price"),
    ("4", "nothing known", "at all; really"),
)


def read_csv(path: Path, delimiter: str = ",") -> list[list[str]]:
    return list(csv.reader(io.StringIO(path.read_bytes().decode(), newline=""), delimiter=delimiter))


def left_over(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir() if path.name.startswith("."))


def test_the_output_is_the_input_and_what_the_model_says_row_by_row(
    run_script: RunScript, write_csv: WriteTickets, models_dir: Path, tmp_path: Path
) -> None:
    path, output = write_csv(["id", "title", "description"], TICKETS), tmp_path / "out.csv"
    done = run_script("bulk_classify", path, "-o", output, "--models-dir", models_dir, cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    header, *rows = read_csv(output)
    assert header == ["id", "title", "description", *ADDED]
    assert [tuple(row[:3]) for row in rows] == list(TICKETS)
    model = TicketClassifier.load(models_dir / "v1.0.0")
    for row, (_, title, description) in zip(rows, TICKETS, strict=True):
        prediction = model.predict(title, description)
        priority, department = prediction.heads["priority"], prediction.heads["department"]
        assert row[3:] == [
            priority.label, str(round(priority.confidence, 6)), priority.decision,
            department.label, str(round(department.confidence, 6)), department.decision,
            str("review" in {priority.decision, department.decision}).lower(), "1.0.0",
        ]  # fmt: skip
    assert rows[3][9] == "true", "a ticket without a known word needs review"
    assert left_over(tmp_path) == []


def test_lines_end_with_a_line_feed_as_unix_tools_expect(
    write_csv: WriteTickets, models_dir: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.csv"
    bulk_classify.main([str(write_csv(["title"], [["a"], ["b"]])), "-o", str(output), "--models-dir", str(models_dir)])
    assert output.read_bytes().count(b"\n") == 3
    assert b"\r" not in output.read_bytes()


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_several_processes_write_the_same_bytes_as_one(suffix: str, models_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    rows = ([str(i), f"server {i}", f"refund of invoice {i % 7}" * (i % 5)] for i in range(5_000))
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["id", "title", "description"], *rows])
    outputs = [tmp_path / f"out-{n}.{suffix}" for n in (1, 3)]
    for output, n_processes in zip(outputs, ("1", "3"), strict=True):
        arguments = [str(path), "-o", str(output), "--models-dir", str(models_dir), "--workers", n_processes]
        assert bulk_classify.main(arguments) == 0

    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    if suffix == "csv":
        assert [row[0] for row in read_csv(outputs[0])[1:]] == [str(i) for i in range(5_000)]


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows=st.lists(st.tuples(TEXTS, TEXTS, TEXTS), max_size=4), delimiter=st.sampled_from(",;\t|"))
def test_any_text_comes_back_as_it_was(
    rows: list[tuple[str, str, str]], delimiter: str, models_dir: Path, tmp_path: Path
) -> None:
    path, output = tmp_path / "in.csv", tmp_path / "out.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([["title", "a note", "more"], *rows])

    assert bulk_classify.main([str(path), "-o", str(output), "--models-dir", str(models_dir)]) == 0
    assert [tuple(row[:3]) for row in read_csv(output, delimiter)[1:]] == rows


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
@pytest.mark.parametrize("column", ["title", "description"])
def test_usual_encodings_and_either_text_column_are_read(
    encoding: str, column: str, models_dir: Path, tmp_path: Path
) -> None:
    path, output = tmp_path / "in.csv", tmp_path / "out.csv"
    path.write_bytes(f"{column};größe\nRückgabe … naïve;5 €\n".encode(encoding))

    assert bulk_classify.main([str(path), "-o", str(output), "--models-dir", str(models_dir)]) == 0
    header, row = read_csv(output, ";")
    assert header[:2] == [column, "größe"]
    assert row[:2] == ["Rückgabe … naïve", "5 €"]


def test_columns_of_other_names_are_mapped_and_keep_their_names(
    write_csv: WriteTickets, models_dir: Path, tmp_path: Path
) -> None:
    # Jira writes a column for each comment, all of the same name.
    path = write_csv(["Subject", "Comment", "Comment", "Body"], [["server", "one", "two", "down"]])
    output = tmp_path / "out.csv"
    maps = ["--map", "title=Subject", "--map", "description=Body"]

    assert bulk_classify.main([str(path), "-o", str(output), "--models-dir", str(models_dir), *maps]) == 0
    header, row = read_csv(output)
    assert header == ["Subject", "Comment", "Comment", "Body", *ADDED]
    prediction = TicketClassifier.load(models_dir / "v1.0.0").predict("server", "down")
    assert row[4] == prediction.heads["priority"].label


def test_text_columns_are_found_in_upper_or_lower_case_as_in_training(
    write_csv: WriteTickets, models_dir: Path, tmp_path: Path
) -> None:
    rows = [ticket[1:] for ticket in TICKETS]
    plain = write_csv(["title", "description"], rows, name="plain.csv")
    capital = write_csv(["Title", "DESCRIPTION"], rows, name="capital.csv")
    for path in (plain, capital):
        assert bulk_classify.main([str(path), "-o", f"{path}.out", "--models-dir", str(models_dir)]) == 0

    header, *classified = read_csv(tmp_path / "capital.csv.out")
    assert header == ["Title", "DESCRIPTION", *ADDED]
    assert classified == read_csv(tmp_path / "plain.csv.out")[1:]


def test_two_text_columns_of_one_name_are_refused_unless_one_is_in_lower_case(
    write_csv: WriteTickets, models_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = write_csv(["TITLE", "Title"], [("a", "b")], name="both.csv")
    exact = write_csv(["TITLE", "title"], [("a", "b")], name="exact.csv")
    arguments = ["-o", str(tmp_path / "out.csv"), "--models-dir", str(models_dir)]

    assert bulk_classify.main([str(both), *arguments]) == 2
    assert 'row 1: the column "title" is there twice' in capsys.readouterr().err
    assert bulk_classify.main([str(exact), *arguments]) == 0


def test_json_lines_keep_every_object_as_it_was(models_dir: Path, tmp_path: Path) -> None:
    path, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    records = [
        {"title": "server down", "tags": ["a", {"b": None}], "id": 7},
        {"id": 8, "description": "größe\u2028refund", "open": True},
        {"title": None, "description": "lone \ud800 surrogate"},
    ]
    path.write_text("\n\n".join(json.dumps(record) for record in records), encoding="utf-8")

    assert bulk_classify.main([str(path), "-o", str(output), "--models-dir", str(models_dir)]) == 0
    answers = [json.loads(line) for line in output.read_text(encoding="utf-8").split("\n")[:-1]]
    assert [{name: answer[name] for name in record} for answer, record in zip(answers, records, strict=True)] == records
    assert list(answers[0])[3:] == ADDED
    assert isinstance(answers[0]["priority_confidence"], float)
    assert answers[2]["needs_review"] is True


def test_parquet_keeps_the_types_of_its_columns(models_dir: Path, tmp_path: Path) -> None:
    path, output = tmp_path / "in.parquet", tmp_path / "out.parquet"
    table = pa.table(
        {
            "id": pa.array(range(3_000), pa.int64()),
            "title": pa.array(["server down", None, "refund"] * 1_000),
            "when": pa.array([None, 1, 2] * 1_000, pa.timestamp("us", "UTC")),
        }
    )
    pq.write_table(table, path, row_group_size=700)

    assert bulk_classify.main([str(path), "-o", str(output), "--models-dir", str(models_dir)]) == 0
    answers = pq.read_table(output)
    assert answers.select(table.column_names).equals(table)
    assert answers.column_names[3:] == ADDED
    types = [str(answers.schema.field(name).type) for name in ADDED]
    assert types == ["string", "double", "string"] * 2 + ["bool", "string"]


@pytest.mark.parametrize("source_suffix", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_any_format_goes_in_and_any_comes_out(
    source_suffix: str, suffix: str, models_dir: Path, tmp_path: Path
) -> None:
    csv_path, output = tmp_path / "in.csv", tmp_path / f"out.{suffix}"
    with csv_path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["id", "title", "description"], *TICKETS])
    rows = [dict(zip(("id", "title", "description"), ticket, strict=True)) for ticket in TICKETS]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "in.parquet")

    path = tmp_path / f"in.{source_suffix}"
    assert bulk_classify.main([str(path), "-o", str(output), "--models-dir", str(models_dir)]) == 0

    if suffix == "parquet":
        answers = pq.read_table(output).to_pylist()
    elif suffix == "jsonl":
        answers = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    else:
        header, *lines = read_csv(output)
        answers = [dict(zip(header, line, strict=True)) for line in lines]
    assert [{name: answer[name] for name in rows[0]} for answer in answers] == rows
    assert {str(answer["model_version"]) for answer in answers} == {"1.0.0"}


def test_an_array_of_json_is_classified_like_lines(models_dir: Path, tmp_path: Path) -> None:
    records = [{"id": i, "title": f"server {i}", "tags": ["a", "]"]} for i in range(2_000)]
    (tmp_path / "in.json").write_text(json.dumps(records), encoding="utf-8")
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    outputs = []
    for name in ("in.json", "in.jsonl"):
        output = tmp_path / f"{name}.out.jsonl"
        assert bulk_classify.main([str(tmp_path / name), "-o", str(output), "--models-dir", str(models_dir)]) == 0
        outputs.append(output.read_bytes())
    assert outputs[0] == outputs[1]
    assert outputs[0].count(b"\n") == 2_000


def test_it_says_which_columns_it_reads(
    write_csv: WriteTickets, models_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_csv(["Subject", "Notes"], [["a", "b"]])
    arguments = [str(path), "-o", str(tmp_path / "out.csv"), "--models-dir", str(models_dir), "--map", "title=subject"]
    assert bulk_classify.main(arguments) == 0
    assert capsys.readouterr().err.splitlines()[0] == 'reading "Subject" as title, none as description'


def test_csv_for_excel_begins_with_the_mark_of_utf_8(write_csv: WriteTickets, models_dir: Path, tmp_path: Path) -> None:
    path = write_csv(["title"], [["größe"]])
    plain, excel = tmp_path / "plain.csv", tmp_path / "excel.csv"
    for output, options in ((plain, []), (excel, ["--excel"])):
        assert bulk_classify.main([str(path), "-o", str(output), "--models-dir", str(models_dir), *options]) == 0
    assert excel.read_bytes() == b"\xef\xbb\xbf" + plain.read_bytes()


def test_csv_for_excel_has_no_cell_that_it_would_run(write_csv: WriteTickets, models_dir: Path, tmp_path: Path) -> None:
    path = write_csv(["title", "=A1"], [["=HYPERLINK(1)", "a=b"], ["@SUM(1)", "-1"]])
    plain, excel = tmp_path / "plain.csv", tmp_path / "excel.csv"
    for output, options in ((plain, []), (excel, ["--excel"])):
        assert bulk_classify.main([str(path), "-o", str(output), "--models-dir", str(models_dir), *options]) == 0

    def cells(output: Path) -> list[list[str]]:
        return [row[:2] for row in csv.reader(output.read_text(encoding="utf-8-sig").splitlines())]

    assert cells(plain) == [["title", "=A1"], ["=HYPERLINK(1)", "a=b"], ["@SUM(1)", "-1"]]
    assert cells(excel) == [["title", "'=A1"], ["'=HYPERLINK(1)", "a=b"], ["'@SUM(1)", "'-1"]]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["out.xlsx"], "choose a name with .csv, and --excel"),
        (["out.json"], "choose a name with .jsonl"),
        (["out.jsonl", "--excel"], "--excel is for CSV"),
    ],
)
def test_an_output_that_cannot_be_what_its_name_says_is_refused(
    options: list[str], expected: str, models_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, (name, *flags) = tmp_path / "in.csv", options
    path.write_text("title\na\n", encoding="utf-8")
    assert bulk_classify.main([str(path), "-o", str(tmp_path / name), "--models-dir", str(models_dir), *flags]) == 2
    assert expected in capsys.readouterr().err
    assert not (tmp_path / name).exists()


def test_a_file_with_a_header_alone_gives_a_header_alone(models_dir: Path, tmp_path: Path) -> None:
    path, output = tmp_path / "in.csv", tmp_path / "out.csv"
    path.write_text("title\n", encoding="utf-8")
    assert bulk_classify.main([str(path), "-o", str(output), "--models-dir", str(models_dir)]) == 0
    assert read_csv(output) == [["title", *ADDED]]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("in.csv", "title,needs_review\na,b\n", 'row 1: the output would have "needs_review" twice'),
        ("in.jsonl", '{"title": "a"}\n{"title": "b", "model_version": 1}\n', 'row 1: the output would have "model_ver'),
        ("in.csv", "title\na\nb,c\n", "row 3: 2 fields, but the header has 1 columns"),
        ("in.csv", "subject\na\n", "--map title=subject"),
        ("in.csv", "title,title\na,b\n", 'the column "title" is there twice'),
        ("in.csv", 'title\n"a\n', "row 2: unexpected end of data"),
        ("in.csv", "title\na\0b\n", "row 2: a NUL byte"),
        ("in.csv", "", "is empty"),
        ("in.csv", "größe\n".encode("utf-16").decode("latin-1"), "is empty|UTF-16|neither UTF-8"),
        ("in.jsonl", '{"title": "a"}\n[1]\n', "row 2: expected a JSON object, one a line"),
        ("in.jsonl", '{"title": "a"}\n{"title"\n', "row 2: not JSON"),
        ("in.parquet", "title\na\n", "is not a Parquet file"),
        ("missing.csv", None, "cannot be read: No such file or directory"),
    ],
)
def test_input_that_cannot_be_used_is_one_line_exit_code_2_and_no_output(
    name: str, content: str | None, expected: str, models_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, output = tmp_path / name, tmp_path / "out.jsonl"
    if content is not None:
        path.write_bytes(content.encode("latin-1" if "\xff" in content else "utf-8"))

    assert bulk_classify.main([str(path), "-o", str(output), "--models-dir", str(models_dir)]) == 2
    error = capsys.readouterr().err
    said = [line for line in error.splitlines() if not line.startswith("reading ")]
    assert len(said) == 1
    assert any(part in said[0] for part in expected.split("|"))
    assert not output.exists()
    assert left_over(tmp_path) == []


def test_bytes_that_are_no_text_are_named_by_row(
    models_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes("title\ngrün\nblau, größer, süß \n".encode() + b"d\xfcnn\n")
    assert bulk_classify.main([str(path), "-o", str(tmp_path / "o.csv"), "--models-dir", str(models_dir)]) == 2
    assert "row 4: byte 0xfc is neither UTF-8 nor Windows-1252" in capsys.readouterr().err


def test_a_column_that_appears_late_is_kept(models_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"title": "a"}\n{"title": "b", "tag": 1}\n', encoding="utf-8")
    arguments = [str(path), "--models-dir", str(models_dir), "-o"]

    assert bulk_classify.main([*arguments, str(tmp_path / "out.csv")]) == 0
    assert [row[:2] for row in read_csv(tmp_path / "out.csv")] == [["title", "tag"], ["a", ""], ["b", "1"]]
    assert bulk_classify.main([*arguments, str(tmp_path / "out.jsonl")]) == 0
    assert '"tag": 1' in (tmp_path / "out.jsonl").read_text(encoding="utf-8")


def test_the_input_is_never_overwritten(write_csv: WriteTickets, models_dir: Path) -> None:
    path = write_csv(["title"], [["a"]])
    before = path.read_bytes()
    assert bulk_classify.main([str(path), "-o", str(path), "--models-dir", str(models_dir)]) == 2
    assert path.read_bytes() == before


def test_an_output_directory_that_does_not_exist_ends_with_exit_code_2(
    write_csv: WriteTickets, models_dir: Path, tmp_path: Path
) -> None:
    output = tmp_path / "missing" / "out.csv"
    path = write_csv(["title"], [["a"]])
    assert bulk_classify.main([str(path), "-o", str(output), "--models-dir", str(models_dir)]) == 2


def test_the_highest_good_version_classifies_unless_one_is_named(
    write_model: WriteModel, write_csv: WriteTickets, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models_dir, output = tmp_path / "models", tmp_path / "out.csv"
    for version in ("1.9.0", "1.10.0", "2.0.0"):
        write_model(models_dir, version)
    (models_dir / "v2.0.0" / "manifest.json").write_text("{}", encoding="utf-8")
    arguments = [str(write_csv(["title"], [["a"]])), "-o", str(output), "--models-dir", str(models_dir)]

    assert bulk_classify.main(arguments) == 0
    assert read_csv(output)[1][-1] == "1.10.0"
    assert "classifying with 1.10.0, because" in capsys.readouterr().err
    assert bulk_classify.main([*arguments, "--version", "v1.9.0"]) == 0
    assert read_csv(output)[1][-1] == "1.9.0"


def test_without_a_model_nothing_is_written(run_script: RunScript, write_csv: WriteTickets, tmp_path: Path) -> None:
    path, output = write_csv(["title"], [["a"]]), tmp_path / "out.csv"
    none = run_script("bulk_classify", path, "-o", output, "--models-dir", tmp_path / "none")
    shutil.rmtree(tmp_path / "none", ignore_errors=True)

    assert none.returncode == 1
    assert none.stderr.startswith("no model can be loaded: no version under")
    assert len(none.stderr.splitlines()) == 1
    assert not output.exists()


def test_no_heavy_library_is_imported_for_csv(run_script: RunScript, models_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("title\na\n", encoding="utf-8")
    done = run_script(
        "bulk_classify", path, "-o", tmp_path / "out.csv", "--models-dir", models_dir, PYTHONPROFILEIMPORTTIME="1"
    )
    assert done.returncode == 0
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "numpy" in imported
    assert not imported & {"pyarrow", "pandas", "sklearn", "scipy", "fastapi"}


def test_a_file_of_another_mix_is_classified_as_such_when_asked(
    run_script: RunScript, write_csv: WriteTickets, write_model: WriteModel, tmp_path: Path
) -> None:
    models = Path(write_with_reference(write_model, tmp_path / "models"))
    path = write_csv(["title", "description"], [("Server is down", "main server offline for all users")] * 300)

    done = {
        name: run_script("bulk_classify", path, "-o", tmp_path / name, "--models-dir", models, *options, cwd=tmp_path)
        for name, options in {"plain.csv": [], "adapted.csv": ["--adapt-to-mix"]}.items()
    }

    assert [one.returncode for one in done.values()] == [0, 0], done
    said = re.search("estimated shares of labels: (.*)", done["adapted.csv"].stderr)
    assert said is not None
    plain, adapted = (dict(zip(*read_csv(tmp_path / name)[:2], strict=True)) for name in done)
    assert json.loads(said[1])["department"][plain["predicted_department"]] > 0.9
    assert float(adapted["department_confidence"]) > float(plain["department_confidence"])


def test_a_mix_is_not_guessed_from_few_tickets_or_without_a_confusion(
    run_script: RunScript, write_csv: WriteTickets, write_model: WriteModel, models_dir: Path, tmp_path: Path
) -> None:
    few = write_csv(["id", "title", "description"], TICKETS)
    models = Path(write_with_reference(write_model, tmp_path / "models"))
    for directory, said in ((models, "4 tickets are too few"), (models_dir, "does not say how it errs")):
        done = run_script(
            "bulk_classify", few, "-o", tmp_path / "o.csv", "--models-dir", directory, "--adapt-to-mix", cwd=tmp_path
        )
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr
