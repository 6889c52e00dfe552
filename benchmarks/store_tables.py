"""Markdown tables of what happens to callers when the store, or who asks it, is taken away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.tables import table


def store_kills_table(measured: Mapping[str, Any]) -> str:
    """Return a row for each store and each thing that was killed."""
    rows: list[tuple[str, ...]] = []
    for store, figures in measured.items():
        rows.append((store, "", "", f"{figures['acknowledged']:,}", str(figures["lost"])))
        for victim, n_kills in figures["kills"].items():
            seconds = figures["seconds_until_the_next"][victim]
            rows.append(
                ("", f"{victim}: {n_kills} times", f"{seconds['median']:g} s, at most {seconds['most']:g} s", "", "")
            )
    headings = ("store", "killed", "the next is acknowledged after", "judgements acknowledged", "of them lost")
    return table(headings, rows)


def store_faults_table(measured: Mapping[str, Any]) -> str:
    """Return a row for each way in which a store may be away."""
    headings = ("the store", "p99 before", "added to it", "`/classify` 5xx", "`/feedback` refused after", "back after")
    return table(
        headings,
        (
            (
                name,
                f"{figures['sound_p99_ms']['median']:.3g} ms",
                _spread(figures["added_to_p99_ms"]),
                f"{figures['server_errors']} of {figures['classified'] + figures['server_errors']:,}",
                _at_most(figures["longest_refusal_seconds"]),
                _at_most(figures["seconds_until_back"]),
            )
            for name, figures in measured["faults"].items()
        ),
    )


def _spread(times: Mapping[str, Any]) -> str:
    low, high = min(times["values"]), max(times["values"])
    return f"{times['median']:.3g} ms ({low:.3g} to {high:.3g})"


def _at_most(times: Mapping[str, Any] | None) -> str:
    return "not refused" if times is None else f"at most {max(times['values']):.2g} s"
