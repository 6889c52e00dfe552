"""Would more tickets help? The same recipe on halves of the training part, scored on the same validation tickets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.training.fitting.scores import scores_of_counts
from app.training.measuring.bootstrap import HeldOut, bootstrap_scores, interval
from app.training.splitting.splits import Indices

# Halves of halves: each point doubles the tickets of the one before, and all together cost less than one more fit.
_HALVINGS = 3
_MOST_TICKETS = 12_000
_FEWEST_TICKETS = 20

Predict = Callable[[Indices], NDArray[np.int64]]


def learning_curve(
    predict: Predict,
    train: Indices,
    *,
    predicted: NDArray[np.int64],
    held_out: HeldOut,
    seed: int,
) -> dict[str, Any]:
    """Return the points of the curve, the gain of the last doubling, and what it means in words.

    ``predict`` fits on some of ``train`` and answers for the tickets of ``held_out``; ``predicted`` are the
    answers after training on all of it. A point of more than 12,000 tickets is left out, but for the last.
    """
    order = np.random.default_rng(seed).permutation(train)
    sizes = [len(train) >> halving for halving in range(_HALVINGS, 0, -1)]
    answers = {n: predict(np.sort(order[:n])) for n in sizes if _FEWEST_TICKETS <= n <= _MOST_TICKETS}
    answers[len(train)] = predicted
    points = []
    for n, answer in answers.items():
        scores = scores_of_counts(held_out.confusion(answer)[np.newaxis])
        points.append({"n_tickets": n, "accuracy": float(scores.accuracy[0]), "macro_f1": float(scores.macro_f1[0])})
    if len(points) == 1:
        return {"points": points, "last_step": None, "conclusion": "Too few tickets to say whether more would help."}
    before = list(answers)[-2]
    # The same draws for both, so that the difference is of the models and not of the tickets.
    earlier, later = (bootstrap_scores(answers[n], held_out, seed=seed) for n in (before, len(train)))
    low, high = interval(later.accuracy - earlier.accuracy)
    gain = points[-1]["accuracy"] - points[-2]["accuracy"]
    step = {"from_tickets": before, "to_tickets": len(train), "accuracy_gain": gain, "interval": [low, high]}
    return {"points": points, "last_step": step, "conclusion": _conclusion(gain, low, high, before, len(train))}


def _conclusion(gain: float, low: float, high: float, before: int, after: int) -> str:
    measured = (
        f"Going from {before:,} to {after:,} training tickets changed accuracy by {100 * gain:+.1f} points "
        f"(95 % interval {100 * low:+.1f} to {100 * high:+.1f})"
    )
    if low > 0:
        return f"{measured}: more tickets would probably help further."
    if high < 0:
        return f"{measured}: more tickets of this kind made it worse, which points at labels that disagree."
    return f"{measured}, which is not distinguishable from nothing: more tickets of this kind may not help."
