"""``TicketClassifier``: one loaded, immutable model version, from text to labels, confidences and decisions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from app.models.adaptation import adapt
from app.models.artifacts import ArtifactError, ManifestCheck, digest_of, read_verified, trust_any_manifest, verify
from app.models.decisions import Decision, OperatingPoint
from app.models.explaining import Asked, HeadAnswer, explain_heads
from app.models.explanation import Explanation
from app.models.label_shares import NO_SHARES, Shares
from app.models.likeness import unseen_idf
from app.models.model_data import Head, ModelData, from_files
from app.models.reference import Reference, read_reference
from app.models.scorer import Scorer, Scores, softmax
from app.models.self_test import SELF_TEST_NAME, check_self_test
from app.models.written_words import WrittenWords

METADATA_NAME = "model_metadata.json"
# The entry of the metadata that says of each head how often its ``auto`` is right, null for none that is promised.
PROMISED_PRECISION = "promised_precision"
_MAX_ALTERNATIVES = 3
# Tickets that are scored at once: more do not get quicker, and their numbers would leave the processor's cache.
_BATCH_SIZE = 256


# These three are tuples because batches make many of them, and frozen dataclasses take more than twice as long to make.
class Alternative(NamedTuple):
    label: str
    confidence: float


_alternative = partial(tuple.__new__, Alternative)


class HeadPrediction(NamedTuple):
    """The answer of one head; ``confidence`` is a calibrated probability, ``reasons`` say why it is not ``auto``."""

    label: str
    confidence: float
    decision: Decision
    reasons: tuple[str, ...]
    alternatives: tuple[Alternative, ...]


class Prediction(NamedTuple):
    """The answers of all heads by name, and how many of the ticket's words the model does not know."""

    heads: Mapping[str, HeadPrediction]
    n_tokens: int
    n_unknown_tokens: int


@dataclass(frozen=True, slots=True)
class HeadColumn:
    """What one head says of many tickets, in their order; each entry is what ``HeadPrediction`` has for one."""

    labels: list[str]
    confidences: list[float]
    decisions: list[Decision]


class TicketClassifier:
    """A model version in memory; every method may be called from any thread."""

    def __init__(
        self,
        model: ModelData,
        metadata: Mapping[str, Any],
        reference: Reference | None = None,
        *,
        digest: str = "",
    ) -> None:
        # What drift is measured against; versions of before it was stored have none.
        self.reference = reference
        # That of the manifest; empty for a model that does not come from files.
        self.digest = digest
        self.metadata = MappingProxyType(dict(metadata))
        self.version = str(metadata["version"])
        self.heads = tuple(head.name for head in model.heads)
        self._heads = model.heads
        self._scorer = Scorer(model)
        self._unseen_idf = unseen_idf(model.likeness, metadata)
        ends = np.cumsum([len(head.labels) for head in model.heads])
        self._columns = [slice(end - len(head.labels), end) for head, end in zip(model.heads, ends, strict=True)]

    @classmethod
    def load(
        cls,
        directory: str | Path,
        check_manifest: ManifestCheck = trust_any_manifest,
        *,
        shares: Shares = NO_SHARES,
    ) -> Self:
        """Verify every file that is in ``directory``, load the model, and let it pass its own test.

        With ``shares`` it answers as for tickets among which labels have these: see ``adapt``. Raise
        ``ArtifactError`` when ``check_manifest`` refuses the manifest, when a file is altered or one is missing that is
        needed, when this machine computes other answers than the one that trained, or when ``shares`` do not fit. What
        is for people and notebooks (report, lists, joblib files) may be left out.
        """
        directory = Path(directory)
        manifest = verify(directory, check_manifest, whole=False)
        model, reference = from_files(directory, manifest), read_reference(directory, manifest)
        try:
            metadata = json.loads(bytes(read_verified(directory, manifest, METADATA_NAME)))
            classifier = cls(model, metadata, reference, digest=manifest.digest)
        except (ValueError, TypeError, KeyError) as error:
            raise ArtifactError(f"{directory / METADATA_NAME} is not a model's metadata: {error}") from error
        check_self_test(
            classifier.predict_proba, bytes(read_verified(directory, manifest, SELF_TEST_NAME)), source=directory
        )
        if not shares:
            return classifier
        try:
            adapted = adapt(model, reference, shares)
        except ValueError as error:
            raise ArtifactError(f"{directory} does not fit the shares of labels that are set: {error}") from error
        # Its answers are others, and so are its promises.
        digest = digest_of(manifest.content + json.dumps(shares, sort_keys=True).encode())
        return cls(adapted.model, metadata, adapted.reference, digest=digest)

    def labels(self, head: str) -> tuple[str, ...]:
        """Return the labels of ``head`` in the order of the columns of ``predict_proba``."""
        return self._heads[self.heads.index(head)].labels

    def operating_points(self, head: str) -> Mapping[str, OperatingPoint]:
        return self._heads[self.heads.index(head)].policy.operating_points

    def labels_acted_on(self, head: str) -> tuple[str, ...]:
        """Return the labels of ``head`` that an answer with ``auto`` may have."""
        points = self.operating_points(head)
        return tuple(label for label in self.labels(head) if points[label].auto is not None)

    def predict(self, title: str, description: str = "") -> Prediction:
        """Predict one ticket; raise ``TypeError`` for what is no string."""
        _check_text("title", title)
        _check_text("description", description)
        scores = self._scorer.score((title,), (description,))
        known_share, is_unlike = scores.known_shares[0], scores.are_unlike[0]
        heads = {
            head.name: _head_prediction(head, softmax(scores.logits[0, columns]).tolist(), known_share, is_unlike)
            for head, columns in zip(self._heads, self._columns, strict=True)
        }
        return Prediction(heads, scores.n_words[0], scores.n_unknown_words[0])

    def explain(
        self, title: str, description: str = "", *, limit: int = 50, versus: str | None = None, with_flips: bool = True
    ) -> Explanation:
        """Say why one ticket gets the answers that ``predict`` gives, to the same bits.

        At most ``limit`` terms of a head are listed; ``versus`` is the one label to be compared with the answer, if it
        is not all of them. ``with_flips``: whether to look for words that would change the answer, which takes up to 50
        scorings. Raise ``TypeError`` for what is no string, and ``ValueError`` when no head has the label ``versus``.
        """
        _check_text("title", title)
        _check_text("description", description)
        if versus is not None and not any(versus in head.labels for head in self._heads):
            raise ValueError(f"versus is {versus!r}, which no head has: {', '.join(self.heads)}")
        ticket = self._scorer.take_apart(title, description)
        (prediction,) = self._predictions(ticket.scores)
        answers = [
            HeadAnswer(head, columns, prediction.heads[head.name])
            for head, columns in zip(self._heads, self._columns, strict=True)
        ]
        asked = Asked(limit, versus, with_flips, self._unseen_idf)
        return Explanation(
            self.version, explain_heads(ticket, WrittenWords(title, description), answers, self._scorer, asked)
        )

    def predict_batch(self, titles: Sequence[str], descriptions: Sequence[str]) -> list[Prediction]:
        """Predict tickets in order; the same answers as ``predict`` gives one by one.

        Raise ``TypeError`` for what is no list of strings, and ``ValueError`` for lists of different lengths.
        """
        return [prediction for batch in self._scored(titles, descriptions) for prediction in self._predictions(batch)]

    def predict_proba(self, titles: Sequence[str], descriptions: Sequence[str]) -> dict[str, NDArray[np.float64]]:
        """Return calibrated probabilities ``(n_tickets, n_labels)`` for each head."""
        logits = np.concatenate([batch.logits for batch in self._scored(titles, descriptions)])
        return {
            head.name: softmax(logits[:, columns]) for head, columns in zip(self._heads, self._columns, strict=True)
        }

    def predict_columns(self, titles: Sequence[str], descriptions: Sequence[str]) -> dict[str, HeadColumn]:
        """Return for each head what ``predict_batch`` would, by column and without reasons and alternatives.

        That takes half the time, which is for files of millions of tickets.
        """
        columns = {name: HeadColumn([], [], []) for name in self.heads}
        for scores in self._scored(titles, descriptions):
            for head, of_head in zip(self._heads, self._columns, strict=True):
                _extend(columns[head.name], head, softmax(scores.logits[:, of_head]), scores)
        return columns

    def _scored(self, titles: Sequence[str], descriptions: Sequence[str]) -> Iterator[Scores]:
        """Yield the scores of some tickets at a time; of no tickets, those of none."""
        _check_texts(titles, descriptions)
        for start in range(0, max(1, len(titles)), _BATCH_SIZE):
            batch = slice(start, start + _BATCH_SIZE)
            yield self._scorer.score(titles[batch], descriptions[batch])

    def _predictions(self, scores: Scores) -> list[Prediction]:
        likeness = scores.known_shares, scores.are_unlike
        of_heads = [
            list(map(_head_prediction, repeat(head), softmax(scores.logits[:, columns]).tolist(), *likeness))
            for head, columns in zip(self._heads, self._columns, strict=True)
        ]
        heads = [dict(zip(self.heads, of_ticket, strict=True)) for of_ticket in zip(*of_heads, strict=True)]
        return list(map(Prediction, heads, scores.n_words, scores.n_unknown_words))


def _check_text(name: str, text: object) -> None:
    if not isinstance(text, str):
        raise TypeError(f"{name} is {type(text).__name__}: expected a string, empty if there is none")


def _check_texts(titles: Sequence[object], descriptions: Sequence[object]) -> None:
    for name, texts in (("titles", titles), ("descriptions", descriptions)):
        if isinstance(texts, str | bytes):
            raise TypeError(f"{name} is one {type(texts).__name__}: expected a list of strings, one for each ticket")
        # The types first, because many tickets have few of them.
        if not all(issubclass(kind, str) for kind in set(map(type, texts))):
            for row, text in enumerate(texts):
                _check_text(f"{name}[{row}]", text)
    if len(titles) != len(descriptions):
        raise ValueError(f"{len(titles)} titles with {len(descriptions)} descriptions: expected one of each a ticket")


def _extend(column: HeadColumn, head: Head, probabilities: NDArray[np.float64], scores: Scores) -> None:
    rows = np.arange(len(probabilities))
    first = probabilities.argmax(axis=1)
    confidences = probabilities[rows, first]
    probabilities[rows, first] = -1.0
    leads = confidences - probabilities.max(axis=1)
    labels, decide = [head.labels[i] for i in first.tolist()], head.policy.decide
    column.labels.extend(labels)
    column.confidences.extend(confidences.tolist())
    answers = map(decide, labels, confidences.tolist(), leads.tolist(), scores.known_shares, scores.are_unlike)
    column.decisions.extend([decision for decision, _ in answers])


def _head_prediction(head: Head, probabilities: list[float], known_share: float, is_unlike: bool) -> HeadPrediction:  # noqa: FBT001
    # Equal probabilities keep the order of the labels, so that an answer never depends on anything but the ticket.
    ranked = sorted(range(len(probabilities)), key=probabilities.__getitem__, reverse=True)
    first, second = ranked[0], ranked[1]
    labels, label, confidence = head.labels, head.labels[first], probabilities[first]
    decision, reasons = head.policy.decide(
        label, confidence, confidence - probabilities[second], known_share, is_unlike
    )
    alternatives = tuple([_alternative((labels[i], probabilities[i])) for i in ranked[1 : _MAX_ALTERNATIVES + 1]])
    return HeadPrediction(label, confidence, decision, reasons, alternatives)
