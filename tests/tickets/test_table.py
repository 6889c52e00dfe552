"""How files of tickets are written, and what is said of those that cannot be read: one reader for every command."""

from __future__ import annotations

import codecs
import io
import json
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.tickets.input_error import InputError, listed, quoted
from app.tickets.table import read_table

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)


def fields(path: Path, *names: str) -> list[tuple[str, ...]]:
    table = read_table(path)
    return [row.fields for row in table.rows([table.column(name) for name in names])]


def test_an_array_of_json_is_read_like_an_object_a_line(tmp_path: Path) -> None:
    records = [
        {"title": "größe", "n": 1},
        {"description": "a\nb", "title": None, "tags": ["x", {"y": "]"}]},
        {"n": 2.5},
    ]
    array, lines = tmp_path / "tickets.json", tmp_path / "tickets.jsonl"
    array.write_text(json.dumps(records, indent=1), encoding="utf-8")
    lines.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")

    assert fields(array, "title", "n") == fields(lines, "title", "n") == [("größe", "1"), ("", ""), ("", "2.5")]
    assert [row.number for row in read_table(array).rows([0])] == [1, 2, 3]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(records=st.lists(st.dictionaries(TEXTS, st.one_of(TEXTS, st.lists(TEXTS), st.none())), min_size=1))
def test_any_array_of_objects_comes_back_as_it_was(records: list[dict[str, object]], tmp_path: Path) -> None:
    path = tmp_path / "tickets.json"
    records = [{**record, "title": "x"} for record in records]
    path.write_text(json.dumps(records, ensure_ascii=False), encoding="utf-8")
    chunks = list(read_table(path).chunks(3))
    assert [record for chunk in chunks for record in chunk.records] == records


def test_a_long_array_is_read_a_piece_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "tickets.json"
    long = "x" * 300_000
    path.write_text(json.dumps([{"title": f"{i} {long}"} for i in range(20)]), encoding="utf-8")
    shares = [chunk.share_read for chunk in read_table(path).chunks(1)]
    assert shares == sorted(shares)
    assert shares[0] < 0.3
    assert [text.split()[0] for (text,) in fields(path, "title")] == [str(i) for i in range(20)]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('[{"title": "a"}, 7]', "row 2: expected a JSON object"),
        ('[{"title": "a"} {"title": "b"}]', "row 2: not JSON: expected a comma"),
        ('[{"title": "a"}, {"title": b}]', "row 2: not JSON: Expecting value"),
        ('[{"title": "a"}', "row 2: not JSON: expected a comma or the end of the array"),
        ('[{"title": "a"}] x', "row 1: there is text after the end of the array"),
        ("[]", "has no tickets"),
        ('{"tickets":\n[]}', "row 1: not JSON"),
        ("title\na\n", "row 1: not JSON"),
    ],
)
def test_json_that_is_wrong_is_named_by_its_place(tmp_path: Path, content: str, expected: str) -> None:
    path = tmp_path / "tickets.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        list(read_table(path).rows([0]))
    assert expected in str(caught.value)


def test_what_a_file_begins_with_counts_more_than_its_suffix(tmp_path: Path) -> None:
    for content, name in (
        (b'[{"title": "a"}]', "array.csv"),
        (b'[{"title": "a"}]', "array.jsonl"),
        (codecs.BOM_UTF8 + b'\n{"title": "a"}\n', "lines.txt"),
        (b'{"title": "a"}\n', "lines.json"),
        (b"title\na\n", "table.txt"),
    ):
        (tmp_path / name).write_bytes(content)
    pq.write_table(pa.table({"title": ["a"]}), tmp_path / "parquet.csv")
    assert {path.name: fields(path, "title") for path in tmp_path.iterdir()} == {
        path.name: [("a",)] for path in tmp_path.iterdir()
    }


@pytest.mark.parametrize("name", ["tickets.xlsx", "tickets.xls", "tickets.ods", "renamed.csv"])
def test_a_spreadsheet_is_to_be_saved_as_csv(tmp_path: Path, name: str) -> None:
    path, content = tmp_path / name, io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    path.write_bytes(content.getvalue())
    with pytest.raises(InputError, match=r"is a spreadsheet or an archive; save it as CSV$"):
        read_table(path)


def test_values_of_any_format_become_the_same_text(tmp_path: Path) -> None:
    records = [{"title": 7, "open": True, "note": None}, {"title": "a", "open": False, "note": "größe"}]
    pq.write_table(pa.Table.from_pylist([{**r, "title": str(r["title"])} for r in records]), tmp_path / "t.parquet")
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    (tmp_path / "t.csv").write_text("title,open,note\n7,true,\na,false,größe\n", encoding="utf-8")
    expected = [("7", "true", ""), ("a", "false", "größe")]
    assert [fields(tmp_path / f"t.{suffix}", "title", "open", "note") for suffix in ("parquet", "jsonl", "csv")] == [
        expected
    ] * 3


@pytest.mark.parametrize(("value", "expected"), [(["x"], "expected text, found list"), ("a\0b", "a NUL character")])
def test_values_that_are_no_text_are_named_by_row_and_column(tmp_path: Path, value: object, expected: str) -> None:
    path = tmp_path / "tickets.jsonl"
    path.write_text(json.dumps({"title": "a"}) + "\n\n" + json.dumps({"title": value}), encoding="utf-8")
    with pytest.raises(InputError, match=rf'row 3, column "title": {expected}'):
        fields(path, "title")


@pytest.mark.parametrize("separator", [";", "|", "\t"])
def test_delimiters_are_told_by_excel_or_counted_outside_quotes(tmp_path: Path, separator: str) -> None:
    told, counted = tmp_path / "told.csv", tmp_path / "counted.csv"
    rows = f'Title{separator}"a, b, c, d, e"\r\n1, 2, 3{separator}4\r\n'
    told.write_bytes(f"sep={separator}\r\n{rows}".encode("utf-8-sig"))
    counted.write_bytes(rows.encode())
    assert fields(told, "title", "A, B, C, D, E") == fields(counted, "title", "a, b, c, d, e") == [("1, 2, 3", "4")]


def test_rows_are_left_out_at_the_beginning_of_any_format(tmp_path: Path) -> None:
    records = [{"title": str(i)} for i in range(50)]
    pq.write_table(pa.Table.from_pylist(records), tmp_path / "t.parquet", row_group_size=7)
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    (tmp_path / "t.json").write_text(json.dumps(records), encoding="utf-8")
    (tmp_path / "t.csv").write_text("title\n" + "".join(f"{i}\n" for i in range(50)), encoding="utf-8")
    for path in tmp_path.iterdir():
        table = read_table(path)
        texts = [text for chunk in table.chunks(4, skip=30) for text in table.texts(chunk, 0)]
        assert texts == [str(i) for i in range(30, 50)]


def test_the_first_wrong_byte_is_named_wherever_it_is(tmp_path: Path) -> None:
    path = tmp_path / "tickets.csv"
    path.write_bytes(b"title\n" + "größe\n".encode() * 300_000 + b"gr\xfcn\n")
    with pytest.raises(InputError, match="row 300002: byte 0xfc is neither UTF-8 nor Windows-1252"):
        read_table(path)
    path.write_bytes(b"title\n" + b"a\n" * 600_000 + b"gr\xfcn\n")
    assert read_table(path).encoding == "cp1252"


def test_what_is_quoted_of_a_file_is_short_and_on_one_line() -> None:
    assert quoted("a") == '"a"'
    assert quoted("one\r\ntwo\x1b[2J") == '"one two [2J"'
    assert len(quoted("x" * 1_000_000)) == 42
    assert listed(["id", "title"]) == '"id", "title"'
    assert listed(["x" * 1_000] * 100).endswith('…", 99 more')
    names = [f"column {i}" for i in range(100)]
    shown, more = listed(names).rsplit(", ", 1)
    assert len(shown) <= 100
    assert more == f"{100 - len(shown.split(', '))} more"
