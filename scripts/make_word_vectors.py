"""Make the table of word vectors that training reads: ``data/word_vectors.npz``.

The words are those of the embedding model's own vocabulary and of word lists given as arguments; each is embedded by
itself, once, by the encoder of ``requirements-teacher.txt``. The word lists of the committed table are those of SCOWL
2020.12.07 up to size 35 (English, American, British words and contractions), which Debian has as the package ``scowl``.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from numpy.typing import NDArray

from app.tickets.input_error import InputError
from app.training.teaching.encoder import SentenceEncoder

ROOT = Path(__file__).parents[1]
DEFAULT_OUTPUT = ROOT / "data" / "word_vectors.npz"

_WORD = re.compile(r"[a-z][a-z']*[a-z]")
_N_CENTRES = 256
_N_ITERATIONS = 15
_CHUNK = 8192


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make_word_vectors.py", description=__doc__.splitlines()[0])
    parser.add_argument("word_lists", nargs="+", type=Path, metavar="FILE", help="one word a line, in Latin-1 or ASCII")
    parser.add_argument("-o", "--output", type=Path, default=DEFAULT_OUTPUT, help="(default: %(default)s)")
    parser.add_argument("--parts", type=int, default=96, help="bytes a word, a divisor of 384 (default: %(default)s)")
    arguments = parser.parse_args(argv)
    missing = [path for path in arguments.word_lists if not path.is_file()]
    if missing or 384 % arguments.parts:
        sys.stderr.write(f"make_word_vectors.py: {missing[0] if missing else '--parts'} is not usable\n")
        return 2
    try:
        encoder = SentenceEncoder.load()
    except InputError as error:
        sys.stderr.write(f"make_word_vectors.py: {error}\n")
        return 2
    lists = (line for path in arguments.word_lists for line in path.read_text(encoding="latin-1").splitlines())
    spellings = sorted_words([*encoder.vocabulary, *lists])
    words = np.array(sorted(spellings), dtype=np.str_)
    vectors = encoder.vectors([spellings[word] for word in words.tolist()])
    arguments.output.write_bytes(table_bytes(words, vectors, n_parts=arguments.parts))
    sys.stdout.write(f"wrote {arguments.output}: {len(words)} words\n")
    return 0


def sorted_words(candidates: Iterable[str]) -> dict[str, str]:
    """Return what is embedded for each word as tickets have it, which is in lower case and without apostrophes."""
    spellings: dict[str, str] = {}
    for candidate in candidates:
        spelling = candidate.strip().lower()
        if _WORD.fullmatch(spelling) and not spelling.endswith("'s"):
            spellings.setdefault(spelling.replace("'", ""), spelling)
    return spellings


def table_bytes(words: NDArray[np.str_], vectors: NDArray[np.float32], *, n_parts: int) -> bytes:
    """Return the table's file; ``vectors`` is ``(n_words, n_dimensions)``, ``words`` sorted.

    The vectors are centred, brought to length one, and turned onto their principal axes, which a regression does not
    notice; the axes are dealt to the parts so that each has strong and weak ones.
    """
    vectors = vectors - vectors.mean(axis=0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    axes = np.linalg.svd(vectors.T @ vectors)[0]
    a_part = vectors.shape[1] // n_parts
    order = np.arange(vectors.shape[1]).reshape(a_part, n_parts)
    order[1::2] = order[1::2, ::-1]
    turned = vectors @ axes[:, order.T.ravel()]
    codes = np.empty((len(words), n_parts), np.uint8)
    centres = np.empty((n_parts, _N_CENTRES, a_part), np.float16)
    for part, columns in enumerate(_parts(turned, a_part)):
        of_part = _centres(columns)
        centres[part] = of_part
        codes[:, part] = _nearest(columns, of_part)
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, words=np.frombuffer("\n".join(words.tolist()).encode(), np.uint8), codes=codes, centres=centres
    )
    return buffer.getvalue()


def _parts(turned: NDArray[np.float32], a_part: int) -> Iterator[NDArray[np.float32]]:
    for start in range(0, turned.shape[1], a_part):
        yield np.ascontiguousarray(turned[:, start : start + a_part])


def _centres(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the centres of Lloyd's k-means on every third point; the same points give the same centres."""
    sample = points[::3]
    centres: NDArray[np.float32] = sample[np.random.default_rng(0).choice(len(sample), _N_CENTRES, replace=False)]
    for _ in range(_N_ITERATIONS):
        nearest = _nearest(sample, centres)
        sizes = np.bincount(nearest, minlength=_N_CENTRES)[:, np.newaxis]
        sums = np.stack(
            [np.bincount(nearest, weights=sample[:, i], minlength=_N_CENTRES) for i in range(sample.shape[1])], axis=1
        )
        centres = np.where(sizes > 0, sums / np.maximum(sizes, 1), centres).astype(np.float32)
    return centres


def _nearest(points: NDArray[np.float32], centres: NDArray[np.float32]) -> NDArray[np.uint8]:
    half_squares = np.square(centres).sum(axis=1) / 2
    return np.concatenate(
        [
            (points[i : i + _CHUNK] @ centres.T - half_squares).argmax(axis=1).astype(np.uint8)
            for i in range(0, len(points), _CHUNK)
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
