"""What others make of the same tickets: scikit-learn's own parts, as its documents put them together, and fastText."""

from __future__ import annotations

import importlib.util
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from app.training.intake.labelled_tickets import Tickets

_WORD = re.compile(r"\w+|[^\w\s]")


def answers_of_others(train: Tickets, test: Tickets, head: str) -> dict[str, list[str]]:
    """Return the labels that each of them gives ``test`` after learning from ``train``, by name.

    fastText is left out where the package ``fasttext-numpy2-wheel`` is not installed.
    """
    labels = train.labels[head]
    given = [i for i, label in enumerate(labels) if label]
    texts = _texts(train)
    learned, texts_of_test = [labels[i] for i in given], _texts(test)
    return {
        name: classify([texts[i] for i in given], learned, texts_of_test)
        for name, classify in _OTHERS.items()
        if name != "fastText" or importlib.util.find_spec("fasttext") is not None
    }


def _texts(tickets: Tickets) -> list[str]:
    return [f"{title}\n{text}" for title, text in zip(tickets.titles, tickets.descriptions, strict=True)]


def _by_scikit_learn(texts: Sequence[str], labels: Sequence[str], others: Sequence[str]) -> list[str]:
    # Defaults, but for iterations: with 100 the search for weights is not over.
    model = make_pipeline(TfidfVectorizer(), LogisticRegression(max_iter=1000)).fit(texts, labels)
    return [str(label) for label in model.predict(others)]


def _by_fasttext(texts: Sequence[str], labels: Sequence[str], others: Sequence[str]) -> list[str]:
    import fasttext  # noqa: PLC0415 - a measurement of its own, and not of the locked packages

    names = sorted(set(labels))
    numbers = {name: i for i, name in enumerate(names)}
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".txt") as file:
        for text, label in zip(texts, labels, strict=True):
            file.write(f"__label__{numbers[label]} {_words(text)}\n")
        file.flush()
        # As its tutorial ends: pairs of words, 25 rounds, a higher rate. One thread gives the same again.
        model = fasttext.train_supervised(str(Path(file.name)), lr=0.5, epoch=25, wordNgrams=2, thread=1, verbose=0)
    predicted, _ = model.predict([_words(text) for text in others])
    return [names[int(first.removeprefix("__label__"))] for (first, *_) in predicted]


def _words(text: str) -> str:
    return " ".join(_WORD.findall(text.lower()))


_OTHERS: Mapping[str, Callable[[Sequence[str], Sequence[str], Sequence[str]], list[str]]] = {
    "scikit-learn": _by_scikit_learn,
    "fastText": _by_fasttext,
}
