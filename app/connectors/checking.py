"""Whether a connector would work: its API answers, and what the model says has a value there; before it is used."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from app.connectors.api import ApiError, RefusedError
from app.connectors.hub import api_of
from app.connectors.sighting import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from app.connectors.connector import Connector

_MOST_SHOWN: Final = 12


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried, and what came of it."""

    is_ok: bool
    text: str


async def check(connector: Connector, labels: Mapping[str, Collection[str]]) -> list[Finding]:
    """Return what was found; ``labels`` are those of the model, by head."""
    # A file that was read has them: without one it is refused.
    findings = [Finding(is_ok=True, text=f"secret: {', '.join(connector.secret_names)}")]
    findings += _misspelt(connector, labels)
    if connector.api_url is None:
        return [*findings, Finding(is_ok=True, text="no api_url: it only listens")]
    findings += [
        Finding(is_ok=False, text=f"{key} is missing, without which nothing can be written: docs/connectors.md")
        for key in connector.helpdesk.lacking(writes=bool(connector.write), notes=connector.on_suggest == "note")
    ]
    api = api_of(connector)
    try:
        choices = await connector.helpdesk.choices(api)
    except (ApiError, UnreadableError) as error:
        return [*findings, Finding(is_ok=False, text=f"API: {error}{_hint(connector, error)}")]
    finally:
        await api.close()
    answers = "answers" if connector.helpdesk.can_be_checked else "is not asked, because api.check is missing"
    findings.append(Finding(is_ok=True, text=f"API {answers}: {connector.api_url}"))
    for head in connector.write:
        findings.extend(_check_head(connector, head, labels.get(head), choices.get(head)))
    return findings


def _hint(connector: Connector, error: Exception) -> str:
    said = str(error)
    if "answered 401" in said or "answered 403" in said:
        return f"; is {connector.api_token_name} right?"
    if isinstance(error, RefusedError | UnreadableError) or "JSON" in said:
        return f"; is api_url right? It is {connector.api_url}"
    # Whoever answers is there; else it may be nobody.
    return (
        "" if "answered" in said else f"; is api_url right, and can it be reached from here? It is {connector.api_url}"
    )


def _misspelt(connector: Connector, labels: Mapping[str, Collection[str]]) -> list[Finding]:
    """Return heads that the table has words for and the model does not know, and labels that look like others."""
    findings = []
    for head, words in connector.words.items():
        if head not in labels and head not in connector.helpdesk.words:
            there = ", ".join(sorted(labels))
            findings.append(f"labels.{head}: the model has no such head; it has {there}")
        without = [label for label in labels.get(head, ()) if label not in words]
        # Other labels that the model does not know may be those of people.
        for label in sorted(set(words).difference(labels.get(head, words))):
            findings += [
                f'labels.{head}: the model has no label "{label}": is "{meant}" meant?'
                for meant in difflib.get_close_matches(label, without, n=1)
            ]
    return [Finding(is_ok=False, text=text) for text in findings]


def _check_head(
    connector: Connector, head: str, labels: Collection[str] | None, values: Collection[str] | None
) -> list[Finding]:
    if labels is None:
        return [Finding(is_ok=False, text=f"{head}: the model has no such head")]
    written = ", ".join(f"{label} -> {connector.word_of(head, label)}" for label in labels)
    if values is None:
        return [Finding(is_ok=True, text=f"{head}: {written} (the helpdesk does not tell which values exist)")]
    known = {value.casefold() for value in values}
    missing = [label for label in labels if connector.word_of(head, label).casefold() not in known]
    if not missing:
        return [Finding(is_ok=True, text=f"{head}: {written}")]
    there = ", ".join(f'"{value}"' for value in sorted(values)[:_MOST_SHOWN]) + ", ..." * (len(values) > _MOST_SHOWN)
    return [
        Finding(
            is_ok=False,
            text=f'{head}: "{label}" is written as "{connector.word_of(head, label)}", which does not exist there: '
            f"map it under [{connector.name}.labels.{head}]; there are {there}",
        )
        for label in missing
    ]
