"""The forward pass of MiniLM, a small BERT, in NumPy: token numbers in, one vector a text out.

It is the encoder of Devlin et al. (2019) in the size of Wang et al. (2020). The vector of a text is that of Reimers and
Gurevych (2019): the mean over its tokens, of length one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

Float32s = NDArray[np.float32]

_N_HEADS = 12
_LAYER_NORM_EPSILON = np.float32(1e-12)
_SQRT_HALF = np.float32(np.sqrt(0.5))
# A masked token gets no attention: no sum of products comes near this.
_MASKED = np.float32(-1e9)


@dataclass(frozen=True, slots=True, eq=False)
class MiniLM:
    """``weights`` by the names that the model's authors gave them; matrices are ``(n_out, n_in)``."""

    weights: Mapping[str, Float32s]

    def vectors(self, token_numbers: Sequence[Sequence[int]]) -> Float32s:
        """Return ``(n_texts, n_dimensions)``; texts of about the same length take least time together."""
        longest = max(map(len, token_numbers))
        tokens = np.zeros((len(token_numbers), longest), dtype=np.int64)
        is_token = np.zeros(tokens.shape, dtype=np.float32)
        for i, numbers in enumerate(token_numbers):
            tokens[i, : len(numbers)] = numbers
            is_token[i, : len(numbers)] = 1
        hidden = self._embedded(tokens)
        mask = (1 - is_token)[:, np.newaxis, np.newaxis, :] * _MASKED
        for layer in range(self._n_layers):
            hidden = self._layer(f"encoder.layer.{layer}", hidden, mask)
        sums = (hidden * is_token[:, :, np.newaxis]).sum(axis=1)
        vectors: Float32s = sums / np.linalg.norm(sums, axis=1, keepdims=True)
        return vectors

    @property
    def n_dimensions(self) -> int:
        return int(self.weights["embeddings.word_embeddings.weight"].shape[1])

    @property
    def _n_layers(self) -> int:
        return sum(name.endswith("attention.self.query.weight") for name in self.weights)

    def _embedded(self, tokens: NDArray[np.int64]) -> Float32s:
        of_tokens, of_positions, of_types = (
            self.weights[f"embeddings.{name}_embeddings.weight"] for name in ("word", "position", "token_type")
        )
        return self._normalised("embeddings", of_tokens[tokens] + of_positions[: tokens.shape[1]] + of_types[0])

    def _layer(self, name: str, hidden: Float32s, mask: Float32s) -> Float32s:
        attended = self._linear(f"{name}.attention.output.dense", self._attended(name, hidden, mask))
        hidden = self._normalised(f"{name}.attention.output", hidden + attended)
        inner = _gelu(self._linear(f"{name}.intermediate.dense", hidden))
        return self._normalised(f"{name}.output", hidden + self._linear(f"{name}.output.dense", inner))

    def _attended(self, name: str, hidden: Float32s, mask: Float32s) -> Float32s:
        n_texts, n_tokens, n_dimensions = hidden.shape
        query, key, value = (
            self._linear(f"{name}.attention.self.{part}", hidden)
            .reshape(n_texts, n_tokens, _N_HEADS, -1)
            .transpose(0, 2, 1, 3)
            for part in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 1, 3, 2) / np.float32(np.sqrt(n_dimensions // _N_HEADS)) + mask
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        scores /= scores.sum(axis=-1, keepdims=True)
        attended: Float32s = (scores @ value).transpose(0, 2, 1, 3).reshape(n_texts, n_tokens, n_dimensions)
        return attended

    def _linear(self, name: str, hidden: Float32s) -> Float32s:
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        # One product of two matrices is several times as fast as one for each text.
        flat = hidden.reshape(-1, hidden.shape[-1]) @ weight.T
        flat += bias
        return flat.reshape(*hidden.shape[:-1], -1)

    def _normalised(self, name: str, hidden: Float32s) -> Float32s:
        centred = hidden - hidden.mean(axis=-1, keepdims=True)
        variance = np.square(centred).mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt(variance + _LAYER_NORM_EPSILON)
        normalised: Float32s = (
            scaled * self.weights[f"{name}.LayerNorm.weight"] + self.weights[f"{name}.LayerNorm.bias"]
        )
        return normalised


def _gelu(values: Float32s) -> Float32s:
    activated: Float32s = values * np.float32(0.5) * (1 + erf(values * _SQRT_HALF))
    return activated
