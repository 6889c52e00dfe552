"""``labels.toml``: what each label means, in the words of those who use it, for teams without labelled tickets yet."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.tickets.columns import is_head_name
from app.tickets.input_error import InputError, listed, quoted
from app.training.intake.enough_labels import FEWEST_LABELS
from app.training.intake.unlabelled_tickets import Unlabelled

_KEYS = ("description", "keywords", "examples")


@dataclass(frozen=True, slots=True)
class LabelText:
    """One text that says what a label of a head means: its name and description, its keywords, or an example."""

    head: str
    label: str
    text: str


@dataclass(frozen=True, slots=True)
class LabelTexts:
    """All of them, of each label one or more; ``sha256`` is that of the file."""

    texts: tuple[LabelText, ...]
    sha256: str

    @property
    def heads(self) -> dict[str, tuple[str, ...]]:
        """Return the labels of each head, in the order of the file."""
        labels: dict[str, dict[str, None]] = {}
        for one in self.texts:
            labels.setdefault(one.head, {})[one.label] = None
        return {head: tuple(of_head) for head, of_head in labels.items()}

    def only(self, heads: Container[str]) -> LabelTexts:
        return LabelTexts(tuple(one for one in self.texts if one.head in heads), self.sha256)

    def as_unlabelled(self) -> Unlabelled:
        """Return the texts as tickets, where there are no others to say what tickets look like."""
        return Unlabelled(["" for _ in self.texts], [one.text for one in self.texts], self.sha256)


def read_label_texts(path: Path) -> LabelTexts:
    """Read ``[head.label]`` tables with ``description``, ``keywords`` and ``examples``, none of which must be there.

    Raise ``InputError`` for what cannot be used.
    """
    try:
        content = path.read_bytes()
        document = tomllib.loads(content.decode())
    except OSError as error:
        raise InputError(f"--labels: {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"--labels: {path} is not TOML in UTF-8: {error}") from error
    if not document:
        raise InputError(f'--labels: {path} describes no label; write a table such as [department."Tech Support"]')
    texts = [text for head, labels in document.items() for text in _of_head(path, head, labels)]
    return LabelTexts(tuple(texts), hashlib.sha256(content).hexdigest())


def _of_head(path: Path, head: str, labels: Any) -> list[LabelText]:  # noqa: ANN401 - from a file
    if not is_head_name(head):
        raise InputError(f"--labels: {path}, [{quoted(head)}]: a head has letters, digits, _ and - in its name")
    if not isinstance(labels, dict) or len(labels) < FEWEST_LABELS:
        raise InputError(f"--labels: {path}, [{head}]: a head has two labels or more, each a table [{head}.LABEL]")
    return [
        LabelText(head, label, text)
        for label, fields in labels.items()
        for text in _of_label(f"{path}, [{head}.{quoted(label)}]", label, fields)
    ]


def _of_label(place: str, label: str, fields: Any) -> tuple[str, ...]:  # noqa: ANN401 - from a file
    if not label.strip():
        raise InputError(f"--labels: {place}: the name is blank")
    if not isinstance(fields, dict):
        raise InputError(f"--labels: {place}: a label is a table with {listed(_KEYS)}")
    unknown = next((key for key in fields if key not in _KEYS), None)
    if unknown is not None:
        raise InputError(f"--labels: {place}: {quoted(unknown)} is none of {listed(_KEYS)}")
    description = fields.get("description", "")
    keywords, examples = (fields.get(key, []) for key in _KEYS[1:])
    if not isinstance(description, str):
        raise InputError(f"--labels: {place}: description is not a text")
    for key, values in (("keywords", keywords), ("examples", examples)):
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise InputError(f"--labels: {place}: {key} is not a list of texts")
    # A name such as card_arrival is made of words, too.
    name = label.replace("_", " ")
    found = (f"{name}. {description}".removesuffix(". "), ", ".join(keywords), *examples)
    return tuple(text for text in found if text.strip())
