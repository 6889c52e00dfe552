"""A model for another mix of labels: what it learned of texts stays, how often each label is due is replaced."""

from __future__ import annotations

from dataclasses import dataclass, replace

from app.models.label_shares import Shares
from app.models.model_data import ModelData
from app.models.reference import Reference


@dataclass(frozen=True, slots=True, eq=False)
class Adapted:
    """A model and its reference, in which it is not known any more how the adapted heads err."""

    model: ModelData
    reference: Reference | None


def adapt(model: ModelData, reference: Reference | None, shares: Shares) -> Adapted:
    """Return the model for tickets among which labels have ``shares``; heads without any stay as they are.

    By Bayes' rule the probability of a label changes by the ratio of its share now to that at training, which is a
    constant that is added to its logit (Saerens et al. 2002, section 2.2). Raise ``ValueError`` for a head or a label
    that the model has not, and where its version does not say how a head errs.
    """
    known = {} if reference is None else reference.heads
    adapted = {head.name: head for head in model.heads}
    for name, of_head in shares.items():
        if name not in adapted:
            raise ValueError(f'"{name}" is no head of the model, which has {", ".join(adapted)}')
        confusion = known[name].confusion if name in known else None
        if confusion is None:
            raise ValueError(f'it does not say how its head "{name}" errs, as versions of before did not: train again')
        ratios = dict(zip(confusion.labels, confusion.log_ratios(of_head).tolist(), strict=True))
        head = adapted[name]
        bias = (was + ratios[label] for label, was in zip(head.labels, head.bias, strict=True))
        adapted[name] = replace(head, bias=tuple(bias))
    model = replace(model, heads=tuple(adapted.values()))
    return Adapted(model, None if reference is None else reference.without_confusion(shares))
