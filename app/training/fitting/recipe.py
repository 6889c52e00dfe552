"""How a model is fitted: which features it counts and how each head weighs them. Values, chosen by cross-validation."""

from __future__ import annotations

from dataclasses import dataclass

from app.models.features import FeatureSpec


@dataclass(frozen=True, slots=True)
class HeadRecipe:
    """How one head is fitted.

    ``inverse_regularisation``: the C of scikit-learn.
    ``class_balance``: the power of ``n_tickets / (n_labels * n_label)`` that a ticket of a label weighs; 0 leaves all
    tickets equal, 1 is scikit-learn's ``balanced``.
    ``naive_bayes``: the additive smoothing of the naive Bayes ratios that scale the features; 0 for no scaling.
    ``teacher_share``: of the tickets without a label, the share that is fitted to what the teacher says of them, those
    first of which it is surest; 0 for none.
    ``vector_strength``: how long word vectors are beside the features, in multiples of ``FeatureRecipe.word_vectors``:
    the longer, the less their weights are penalised. Says nothing where there are none.
    """

    inverse_regularisation: float = 10.0
    class_balance: float = 0.0
    naive_bayes: float = 0.0
    teacher_share: float = 0.0
    vector_strength: float = 1.0


@dataclass(frozen=True, slots=True)
class FeatureRecipe:
    """What all heads count.

    ``word_vectors``: the root of the mean square length of a ticket's averaged word vector, which stands beside
    features whose blocks have length one; 0 for none.
    """

    features: FeatureSpec
    word_vectors: float = 0.0
