"""``python -m benchmarks.promises``: after how many audits a promise is found to be broken, or kept.

Audits are drawn with a known precision and judged by what serves; figures are of a thousand runs with a fixed seed, so
that they are the same on every machine.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.feedback.promises import e_values, intervals, level_of_each
from benchmarks.results import Origin, add_keep_option

_SEED: Final = 42
_TARGET: Final = 0.95
_ALPHA: Final = 0.05
# One promise alone, those of the default model (seven labels and two heads), and those of a model with many labels.
_N_PROMISES: Final = (1, 9, 50)
_BROKEN: Final = (0.5, 0.7, 0.8, 0.86, 0.9, 0.92)
_KEPT: Final = (0.97, 0.98, 0.99, 1.0)
# A precision that breaks late.
_N_GOOD: Final = 1_000
_GOOD: Final = 0.98
_BAD: Final = 0.86
_RUNS_AT_A_TIME: Final = 20
_QUANTILES: Final = {"half": 0.5, "nine_of_ten": 0.9}


def main(argv: Sequence[str] | None = None) -> int:
    """Print the figures as JSON; return 0."""
    arguments = _parser().parse_args(argv)
    origin = Origin.now()
    rng = np.random.default_rng(_SEED)
    shape = (arguments.runs, arguments.audits)
    good = rng.random((arguments.runs, _N_GOOD)) < _GOOD
    figures = [
        *(_found("broken", f"{p:g}", rng.random(shape) < p) for p in _BROKEN),
        _found(
            "broken",
            f"{_BAD:g}, after {_N_GOOD:,} audits at {_GOOD:g}",
            np.concatenate([good, rng.random(shape) < _BAD], axis=1),
            n_before=_N_GOOD,
        ),
        *(_found("kept", f"{p:g}", rng.random(shape) < p) for p in _KEPT),
    ]
    measured = {
        "target": _TARGET,
        "alpha": _ALPHA,
        "n_promises": _N_PROMISES,
        "runs": arguments.runs,
        "most_audits": arguments.audits,
        "figures": figures,
    }
    print(json.dumps(measured, indent=2))
    if arguments.keep:
        origin.keep(arguments.keep, "promises", measured)
    return 0


def _found(verdict: str, precision: str, is_right: NDArray[np.bool_], *, n_before: int = 0) -> dict[str, object]:
    """Return after how many audits, not counting ``n_before``, that share of the runs has the verdict."""
    audits_by_run = np.concatenate(
        [_audits_until(verdict, runs) for runs in np.array_split(is_right, max(1, len(is_right) // _RUNS_AT_A_TIME))]
    )
    return {
        "precision": precision,
        "verdict": verdict,
        **{
            name: [None if np.isinf(n) else int(n) - n_before for n in _quantiles(audits_by_run, share)]
            for name, share in _QUANTILES.items()
        },
    }


def _quantiles(audits_by_run: NDArray[np.float64], share: float) -> list[float]:
    of_levels: list[float] = np.quantile(audits_by_run, share, axis=0, method="higher").tolist()
    return of_levels


def _audits_until(verdict: str, is_right: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return ``(n_runs, n_levels)``: after how many audits the verdict is there, infinity for never."""
    levels = [level_of_each(_ALPHA, n) for n in _N_PROMISES]
    if verdict == "broken":
        capital = e_values(is_right, target=_TARGET)
        is_found = [capital >= 1 / level for level in levels]
    else:
        n_right = is_right.cumsum(axis=1)
        n_wrong = np.arange(1, is_right.shape[1] + 1) - n_right
        is_found = [_is_kept(n_right, n_wrong, level=level) for level in levels]
    return np.stack([np.where(found.any(axis=1), found.argmax(axis=1) + 1.0, np.inf) for found in is_found], axis=1)


def _is_kept(n_right: NDArray[np.int64], n_wrong: NDArray[np.int64], *, level: float) -> NDArray[np.bool_]:
    # Most runs come past the same counts.
    width = n_right.shape[1] + 1
    counts, of_count = np.unique(n_right * width + n_wrong, return_inverse=True)
    bounds = intervals(*np.divmod(counts, width), target=_TARGET, level=level)
    is_kept: NDArray[np.bool_] = (bounds[:, 0] >= _TARGET)[of_count].reshape(n_right.shape)
    return is_kept


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.promises", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=1_000, help="of each precision (%(default)s)")
    parser.add_argument("--audits", type=int, default=5_000, help="at most, of each run (%(default)s)")
    add_keep_option(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
