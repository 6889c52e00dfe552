"""An evaluation for people and programs: the table, the summary, a Markdown report, and JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from scripts.lib.evaluation import EvaluatedRow, HeadFigures

TABLE_HEADS = ("priority", "department")
COLUMNS = ("Title", "P_true", "P_pred", "P_conf", "MatchP", "D_true", "D_pred", "D_conf", "MatchD")
_MAX_TITLE_CHARACTERS = 50
_MAX_LISTED = 20
_MATCH = {True: "yes", False: "NO", None: ""}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A whole run: ``rows`` in the order of the file, ``figures`` of each head that could be measured."""

    source: str
    service: str
    model_version: str
    finished_at: datetime
    rows: tuple[EvaluatedRow, ...]
    figures: tuple[HeadFigures, ...]

    @property
    def failed_rows(self) -> list[EvaluatedRow]:
        return [row for row in self.rows if row.problem]


def table_cells(row: EvaluatedRow) -> list[str]:
    """Return the texts under ``COLUMNS``."""
    cells = [_one_line(row.title, _MAX_TITLE_CHARACTERS)]
    for head in TABLE_HEADS:
        answer = row.heads.get(head)
        cells += [
            _one_line(row.true_labels.get(head, "")),
            _one_line(answer.label) if answer else "ERROR" if row.problem else "",
            f"{answer.confidence:.3f}" if answer else "",
            _MATCH[row.matches(head)],
        ]
    return cells


def print_table(console: Console, rows: Sequence[EvaluatedRow]) -> None:
    """Draw the table on a terminal; elsewhere print cells between bars, a ticket a line."""
    if not console.is_terminal:
        for cells in (COLUMNS, *map(table_cells, rows)):
            console.file.write(" | ".join(cell.replace("|", "\\|") for cell in cells) + "\n")
        return
    table = Table(*COLUMNS)
    for row in rows:
        table.add_row(*map(_styled, table_cells(row)))
    console.print(table)


def summary_lines(evaluation: Evaluation) -> Iterator[str]:
    """Say in a few lines how it went: figures, labels that the service never named, rows without an answer."""
    for figures in evaluation.figures:
        yield (
            f"{figures.head}: accuracy {figures.accuracy:.4f}, macro-F1 {figures.macro_f1:.4f}, "
            f"{figures.n_tickets} tickets with a label and an answer"
            + (f"; auto {figures.n_auto}, of these right {figures.n_auto_right}" if figures.n_auto else "; auto 0")
        )
        if figures.unknown_labels:
            listed = ", ".join(f'"{_one_line(label)}" ({count})' for label, count in figures.unknown_labels.items())
            yield f"{figures.head}: labels that the service does not know, counted as wrong: {listed}"
    failed = evaluation.failed_rows
    yield f"{len(evaluation.rows)} rows, {len(failed)} failed, model {evaluation.model_version or 'unknown'}"
    for row in failed[:_MAX_LISTED]:
        yield f"failed: row {row.number}: {_one_line(row.problem)}"
    if len(failed) > _MAX_LISTED:
        yield f"failed: {len(failed) - _MAX_LISTED} more"


def markdown(evaluation: Evaluation) -> str:
    """Write the whole evaluation as one Markdown document."""
    what = f"{len(evaluation.rows)} tickets of `{evaluation.source}` through {evaluation.service}"
    model = f"model version {evaluation.model_version or 'unknown'}"
    lines = [
        "# Evaluation",
        "",
        f"{what}, {model}, {evaluation.finished_at:%Y-%m-%d %H:%M} UTC.",
        "",
        *_markdown_table(
            ("Head", "Tickets", "Accuracy", "Macro-F1", "Auto", "Auto and right"),
            [
                (f.head, str(f.n_tickets), f"{f.accuracy:.4f}", f"{f.macro_f1:.4f}", str(f.n_auto), str(f.n_auto_right))
                for f in evaluation.figures
            ],
        ),
    ]
    for figures in evaluation.figures:
        lines += [f"## {figures.head}", ""]
        lines += _markdown_table(
            ("Label", "Precision", "Recall", "F1", "Tickets"),
            [
                (c.label, f"{c.precision:.3f}", f"{c.recall:.3f}", f"{c.f1:.3f}", str(c.n_tickets))
                for c in figures.classes
            ],
        )
        if figures.unknown_labels:
            unknown = [(label, str(count)) for label, count in figures.unknown_labels.items()]
            lines += ["Labels that the service does not know, counted as wrong:", ""]
            lines += _markdown_table(("Label", "Tickets"), unknown)
    if failed := evaluation.failed_rows:
        lines += ["## Rows that failed", ""]
        lines += _markdown_table(("Row", "Problem"), [(str(row.number), _one_line(row.problem)) for row in failed])
    lines += ["## Tickets", "", *_markdown_table(COLUMNS, [table_cells(row) for row in evaluation.rows])]
    return "\n".join(lines).rstrip() + "\n"


def json_line(row: EvaluatedRow) -> str:
    """Write one row as a JSON object, with a line feed."""
    heads = {
        head: {
            "true": row.true_labels.get(head),
            "predicted": answer.label,
            "confidence": answer.confidence,
            "decision": answer.decision,
            "match": row.matches(head),
        }
        for head, answer in row.heads.items()
    }
    document = {
        "row": row.number,
        "id": row.ticket_id or None,
        "title": row.title,
        "labels": dict(row.true_labels),
        "heads": heads,
        "model_version": row.model_version or None,
        "latency_ms": round(row.latency_ms, 3),
        "error": row.problem or None,
    }
    return json.dumps(document, ensure_ascii=False) + "\n"


def _markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(_markdown_cell(cell) for cell in line) + " |" for line in lines] + [""]


def _markdown_cell(text: str) -> str:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace("\\", "\\\\")
    return escaped.replace("|", "\\|").replace("`", "\\`")


def _one_line(text: str, max_characters: int = 200) -> str:
    # A ticket may hold anything, also what a terminal would obey.
    line = "".join(c if c.isprintable() else " " for c in " ".join(text.split()))
    return line if len(line) <= max_characters else line[: max_characters - 3] + "..."


def _styled(cell: str) -> Text:
    return Text(cell, style={"yes": "green", "NO": "red", "ERROR": "bold red"}.get(cell, ""))
