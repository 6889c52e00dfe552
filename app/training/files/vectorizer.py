"""The features as scikit-learn knows them: the same terms as serving counts, in TF-IDF vectorisers for notebooks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import FeatureUnion

from app.models.features import BlockSpec, split_fields, terms_of, words_of
from app.training.fitting.design import FittedFeatures


@dataclass(frozen=True, slots=True)
class BlockAnalyzer:
    """Turns a text from ``join_fields`` into the terms of one block; a value, so that it can be stored and loaded."""

    block: BlockSpec

    def __call__(self, text: str) -> Iterable[str]:
        title, description = split_fields(text)
        return terms_of(words_of(title, description), self.block)


def to_scikit_learn_union(fitted: FittedFeatures) -> FeatureUnion:
    """Return the fitted union of one TF-IDF vectoriser a block; each block has a Euclidean norm of its own."""
    transformers = []
    for block in fitted.blocks:
        vectorizer = TfidfVectorizer(analyzer=BlockAnalyzer(block.block), sublinear_tf=fitted.sublinear_tf)
        vectorizer.vocabulary_ = {term: i for i, term in enumerate(block.terms.tolist())}
        vectorizer.idf_ = block.idf
        transformers.append((f"{block.block.kind}_{block.block.smallest}_{block.block.largest}", vectorizer))
    return FeatureUnion(transformers)
