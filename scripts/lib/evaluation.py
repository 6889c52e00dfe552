"""What a service answered against what was right: per head, accuracy, macro-F1 and the labels that it does not know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from app.training.intake.label_names import folded


@dataclass(frozen=True, slots=True)
class HeadAnswer:
    """The answer of one head; ``labels`` are all that it named, its alternatives included."""

    label: str
    confidence: float
    decision: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EvaluatedRow:
    """One ticket: ``true_labels`` by head, blank ones left out; ``problem`` is one line when it got no answer."""

    number: int
    ticket_id: str
    title: str
    true_labels: Mapping[str, str]
    heads: Mapping[str, HeadAnswer] = field(default_factory=dict)
    model_version: str = ""
    latency_ms: float = 0.0
    problem: str = ""

    def matches(self, head: str) -> bool | None:
        """Say whether the label is right; ``None`` where the file gives none or the service gave no answer."""
        if head not in self.true_labels or head not in self.heads:
            return None
        return folded(self.true_labels[head]) == folded(self.heads[head].label)


@dataclass(frozen=True, slots=True)
class ClassFigures:
    label: str
    precision: float
    recall: float
    f1: float
    n_tickets: int


@dataclass(frozen=True, slots=True)
class HeadFigures:
    """Of the ``n_tickets`` that have a label and an answer.

    ``macro_f1`` is the mean over every label that is true or answered somewhere, as scikit-learn has it.
    ``n_auto`` tickets were decided without a human, ``n_auto_right`` of them rightly.
    """

    head: str
    n_tickets: int
    accuracy: float
    macro_f1: float
    n_auto: int
    n_auto_right: int
    classes: tuple[ClassFigures, ...]
    unknown_labels: Mapping[str, int]


def measure(head: str, rows: Sequence[EvaluatedRow], known_labels: Sequence[str] = ()) -> HeadFigures | None:
    """Compute the figures of one head, ``None`` when no answered ticket has a label for it.

    ``known_labels``: those that the service states; those in its answers are added.
    """
    answered = (label for row in rows if head in row.heads for label in row.heads[head].labels)
    known = {folded(label): label for label in (*known_labels, *answered)}
    measured = [row for row in rows if row.matches(head) is not None]
    if not measured:
        return None
    given = [row.true_labels[head] for row in measured]
    true = [known.get(folded(label), " ".join(label.split())) for label in given]
    predicted = [row.heads[head].label for row in measured]
    classes = class_figures(true, predicted)
    auto = [row for row in measured if row.heads[head].decision == "auto"]
    return HeadFigures(
        head,
        n_tickets=len(measured),
        accuracy=sum(row.matches(head) is True for row in measured) / len(measured),
        macro_f1=sum(figures.f1 for figures in classes) / len(classes),
        n_auto=len(auto),
        n_auto_right=sum(row.matches(head) is True for row in auto),
        classes=classes,
        unknown_labels=Counter(label for label in given if folded(label) not in known),
    )


def class_figures(true: Iterable[str], predicted: Iterable[str]) -> tuple[ClassFigures, ...]:
    """Return precision, recall and F1 of each label in alphabetical order; 0 where a share has no tickets."""
    pairs = Counter(zip(true, predicted, strict=True))
    n_true: Counter[str] = Counter()
    n_predicted: Counter[str] = Counter()
    for (true_label, predicted_label), count in pairs.items():
        n_true[true_label] += count
        n_predicted[predicted_label] += count
    figures = []
    for label in sorted(n_true | n_predicted):
        n_right = pairs[label, label]
        precision = n_right / n_predicted[label] if n_predicted[label] else 0.0
        recall = n_right / n_true[label] if n_true[label] else 0.0
        f1 = 2 * n_right / (n_true[label] + n_predicted[label])
        figures.append(ClassFigures(label, precision, recall, f1, n_true[label]))
    return tuple(figures)
