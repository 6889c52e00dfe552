"""A model's own test: tickets with the probabilities that training computed, stored in the artifact.

The manifest shows that the bytes are the right ones; this shows that this machine and these libraries compute the
same answers from them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.models.artifacts import ArtifactError

SELF_TEST_NAME = "self_test.json"
TOLERANCE = 1e-9

PredictProba = Callable[[Sequence[str], Sequence[str]], Mapping[str, NDArray[np.float64]]]


def self_test_bytes(predict_proba: PredictProba, tickets: Sequence[tuple[str, str]]) -> bytes:
    """Record the probabilities of ``tickets``, which are pairs of title and description."""
    probabilities = predict_proba([title for title, _ in tickets], [description for _, description in tickets])
    cases = [
        {
            "title": title,
            "description": description,
            # Twelve digits are three more than the tolerance needs, and hide the last bits of this machine's sums.
            "probabilities": {
                head: [round(p, 12) for p in of_head[i].tolist()] for head, of_head in probabilities.items()
            },
        }
        for i, (title, description) in enumerate(tickets)
    ]
    return (json.dumps(cases, indent=1, ensure_ascii=False) + "\n").encode()


def check_self_test(predict_proba: PredictProba, content: bytes, *, source: Path) -> None:
    """Raise ``ArtifactError`` when an answer differs by more than ``TOLERANCE`` from the stored one."""
    try:
        cases = json.loads(content)
        answers = predict_proba([case["title"] for case in cases], [case["description"] for case in cases])
        for head, of_head in answers.items():
            expected = np.array([case["probabilities"][head] for case in cases])
            difference = float(np.abs(of_head - expected).max(initial=0.0))
            if not difference <= TOLERANCE:
                raise ArtifactError(
                    f"{source / SELF_TEST_NAME}: a probability of {head} differs by {difference:.2g} from the one "
                    f"that training stored; at most {TOLERANCE:g} is the same model"
                )
    except (ValueError, TypeError, KeyError) as error:
        raise ArtifactError(f"{source / SELF_TEST_NAME} does not fit the model: {error}") from error
