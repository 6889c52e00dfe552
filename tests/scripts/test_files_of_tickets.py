"""What every command that reads tickets says of a file, or a ``--map``, that it cannot use: one short line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import train
from scripts import bulk_classify, bulk_eval

Command = Callable[..., int]


@pytest.fixture(params=["train", "bulk_classify", "bulk_eval"])
def command(request: pytest.FixtureRequest, models_dir: Path, tmp_path: Path) -> Command:
    """Run a command on a file; no service is needed to find out what is wrong with it."""

    def run(path: Path, *arguments: str) -> int:
        if request.param == "train":
            return train.main(["--data", str(path), "--models-dir", str(tmp_path / "models"), *arguments])
        if request.param == "bulk_eval":
            return bulk_eval.main(["--csv", str(path), *arguments])
        output = tmp_path / "out.csv"
        return bulk_classify.main([str(path), "-o", str(output), "--models-dir", str(models_dir), *arguments])

    return run


WORDS = "".join(f"customer {i} wrote a long letter, " for i in range(40_000))
CONTENTS = {
    "a broken array": ("tickets.json", json.dumps([{"title": WORDS}])[:-2]),
    "an array of something else": ("tickets.json", json.dumps([{WORDS: WORDS}])),
    "an array under another name": ("tickets.csv", json.dumps([{WORDS: "a"}])),
    "one line of CSV": ("tickets.csv", WORDS),
    "one line of semicolons": ("tickets.csv", WORDS.replace(",", ";")),
    "one line of JSON lines": ("tickets.jsonl", WORDS),
    "one object": ("tickets.jsonl", json.dumps({WORDS: WORDS})),
    "no Parquet": ("tickets.parquet", WORDS),
    "a quoted name": ("tickets.csv", f'"{WORDS}",priority\na,b\n'),
}


@pytest.mark.parametrize("content", CONTENTS)
def test_at_most_80_characters_of_a_file_are_quoted(
    command: Command, content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, text = CONTENTS[content]
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert len(text) > 1_000_000

    assert command(path) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert str(path) in error
    words = [word for word in error.replace(str(path), "").split() if word in WORDS.split()]
    assert len(" ".join(words)) <= 80
    assert len(error) < 500 + len(str(path))


@pytest.mark.parametrize("name", ["tickets.xlsx", "tickets.xls", "tickets.ods"])
def test_a_spreadsheet_is_to_be_saved_as_csv(
    command: Command, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_bytes(b"PK\x03\x04 and more")
    assert command(tmp_path / name) == 2
    assert capsys.readouterr().err.rstrip().endswith("save it as CSV")


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        ("titel=Subject", '--map "titel=Subject": there is no field "titel"; the fields are title, description'),
        ("Subject=title", "our name comes first: --map title=Subject"),
        ("title", '--map "title" is not NAME=COLUMN'),
        ("title=Betreff", 'there is no column "Betreff"; the file has "Subject", "description", "priority"'),
    ],
)
def test_a_map_that_names_no_field_or_no_column_is_one_line_that_says_what_there_is(
    command: Command, pair: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tickets.csv"
    path.write_text("Subject,description,priority\n" + "a,b,High\nc,d,Low\n" * 10, encoding="utf-8")

    assert command(path, "--map", pair) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert len(error.splitlines()) == 1


def test_a_file_without_text_is_refused_with_the_options_that_read_it(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tickets.csv"
    path.write_text("Id,Subject,Priority\n1,a,High\n", encoding="utf-8")

    assert command(path) == 2
    error = capsys.readouterr().err
    assert 'there is no column "title" or "description"; the file has "Id", "Subject", "Priority"' in error
    assert "--map title=Subject" in error
