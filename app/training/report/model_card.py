"""``MODEL_CARD.md``: what a model is for, what it was measured to do, and what it must not be trusted with."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from app.charts.label_order import in_natural_order
from app.training.report.promises import chosen_by, limits_of, measured_sentence, overlap_sentence, promises_of
from app.training.report.shown_intervals import shown_interval

CARD_NAME = "MODEL_CARD.md"
# What Markdown or HTML could take for markup.
_MARKUP = re.compile(r"([\\`*_\[\]<>#|~&])")


def model_card(metadata: Mapping[str, Any], metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the card as Markdown, after Mitchell et al. 2019, from ``model_metadata.json`` and ``metrics.json``."""
    sections = [
        f"# Model card: ticket classifier {metadata['version']}",
        _intended_use(metrics),
        _data(metadata, metrics),
        *(_head(head, figures, metadata) for head, figures in metrics.items()),
        _limits(),
        _reproduction(metadata),
    ]
    return "\n\n".join(sections) + "\n"


def _intended_use(metrics: Mapping[str, Any]) -> str:
    heads = " and ".join(f"“{_plain(head)}”" for head in metrics)
    return (
        "## Intended use\n\n"
        f"Predicts {heads} of customer-support tickets from title and description, and says of each answer whether to "
        "act on it (`auto`), to show it to a person (`suggest`) or to leave the ticket to a person (`review`). It is "
        "meant for tickets like those it was trained on, and for sorting work, not for decisions about people.\n\n"
        "The model is logistic regression on TF-IDF features: it weighs words, and does not understand them."
    )


def _data(metadata: Mapping[str, Any], metrics: Mapping[str, Mapping[str, Any]]) -> str:
    split = metadata["split"]
    held_out = (
        f"; {split['n_train']:,} to train and {split['n_validation']:,} to validate, whole groups on either side"
        if split["n_validation"]
        else ", with labels or without, none of which was held out"
    )
    opening = (
        f"{split['n_tickets']:,} tickets in {split['n_groups']:,} groups of similar ones{held_out}. The final model is "
        f"fitted on all of them. SHA-256 of the data: `{metadata['data_sha256']}`."
    )
    by_head = [_plain(sentence)] if (sentence := measured_sentence(metrics, split["n_validation"])) else []
    tables = [
        _table([head, "tickets"], [[label, f"{counts[label]:,}"] for label in in_natural_order(counts)])
        for head, counts in metadata["label_distributions"].items()
    ]
    notes = [_bullets(metadata["notes"])] if metadata["notes"] else []
    return "\n\n".join(["## Data", opening, *by_head, *tables, *notes])


def _head(head: str, figures: Mapping[str, Any], metadata: Mapping[str, Any]) -> str:
    parts = [f"## {_plain(head)}", "What to expect:", _bullets(promises_of(figures))]
    if limits := limits_of(head, figures, metadata["label_distributions"][head]):
        parts += ["What it cannot promise, and what might help:", _bullets(limits)]
    if "summary" in figures:
        parts += [
            _measures(figures),
            _decisions(figures),
            _by_length(figures["by_length"]),
            _label_errors(figures),
        ]
    if "eval_data" in figures:
        separate = figures["eval_data"]
        common = overlap_sentence(separate["overlap"])
        parts += [f"On a file of its own, the finished model does this. {common}", _summary_table(separate)]
    return "\n\n".join(parts)


def _measures(figures: Mapping[str, Any]) -> str:
    overlap, out_of_fold = figures["overlap"], figures["calibration_out_of_fold"]
    before, after = (out_of_fold[key]["expected_calibration_error"] for key in ("before", "after"))
    return (
        f"Measured on {figures['n_tickets']:,} tickets that the measured model was not trained on. Of "
        f"{overlap['tickets_checked']:,} compared, {overlap['texts']} have a text that is also in training, and "
        f"{overlap['near_duplicates']} a near-duplicate there.\n\n{_summary_table(figures)}\n\n"
        f"Calibration changed the expected calibration error of out-of-fold predictions from {before:.3f} to "
        f"{after:.3f}."
    )


def _summary_table(figures: Mapping[str, Any]) -> str:
    summary, intervals, baselines = figures["summary"], figures["intervals"], figures["baselines"]
    calibration = figures["calibration"]
    rows = [
        ["accuracy", f"{summary['accuracy']:.3f}", shown_interval(intervals["accuracy"], digits=3)],
        ["macro-F1", f"{summary['macro_f1']:.3f}", shown_interval(intervals["macro_f1"], digits=3)],
        ["accuracy of always the most frequent label", f"{baselines['majority_accuracy']:.3f}", ""],
        ["accuracy of labels drawn in proportion", f"{baselines['prior_accuracy']:.3f}", ""],
        ["expected calibration error (15 bins)", f"{calibration['expected_calibration_error']:.3f}", ""],
        ["Brier score", f"{calibration['brier_score']:.3f}", ""],
        ["log loss", f"{calibration['log_loss']:.3f}", ""],
    ]
    return _table(["measure", "value", "95 % interval"], rows)


def _decisions(figures: Mapping[str, Any]) -> str:
    rows = [
        [
            decision,
            f"{measured['coverage']:.3f}",
            "" if measured["precision"] is None else f"{measured['precision']:.3f}",
            "" if measured["precision"] is None else shown_interval(measured["precision_interval"], digits=3),
        ]
        for decision, measured in figures["decisions"].items()
    ]
    return (
        f"The thresholds were {chosen_by(figures['thresholds'])}, without the validation tickets. On these they do "
        "this:\n\n"
        f"{_table(['decision', 'share of tickets', 'share of right answers', '95 % interval'], rows)}"
    )


def _by_length(bands: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [band["words"], f"{band['n_tickets']:,}", f"{band['accuracy']:.3f}", f"{band['mean_confidence']:.3f}"]
        for band in bands
    ]
    return _table(["words in the ticket", "tickets", "accuracy", "mean confidence"], rows)


def _label_errors(figures: Mapping[str, Any]) -> str:
    return (
        f"Models trained without them contradict the label of {figures['label_errors']['n_suspects']:,} tickets firmly "
        "enough for a second look: `label_errors.csv`."
    )


def _limits() -> str:
    return "## Limits\n\n" + _bullets(
        [
            (
                "The figures hold for tickets like these. For another product, language or year, measure again with "
                "--eval-data."
            ),
            "A ticket without a word that the model knows is never decided without a person.",
            "Words decide, not what happened: irony, and facts that are not in the text, are beyond it.",
        ]
    )


def _reproduction(metadata: Mapping[str, Any]) -> str:
    libraries = ", ".join(f"{name} {version}" for name, version in metadata["libraries"].items())
    trained_as = metadata.get("trained_as", metadata["version"])
    later = "" if trained_as == metadata["version"] else " Then `scripts/set_thresholds.py` set other thresholds."
    feedback = " --feedback" if "feedback" in metadata else ""
    # A model of described labels may have learned from no labelled ticket.
    data = " --data FILE" if any(metadata["label_distributions"].values()) else ""
    options = {"unlabelled": "unlabelled", "labels": "labels", "calibration": "calibrate-on"}
    beside = "".join(f" --{option} FILE" for name, option in options.items() if name in metadata)
    return (
        "## To reproduce\n\n"
        f"`python train.py{data}{feedback}{beside} --version {trained_as} --target-precision "
        f"{metadata['target_precision']}` with the same data and options, `RANDOM_SEED={metadata['seed']}` and "
        f"{libraries}, gives the same bytes.{later}"
    )


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(map(_plain, cells))} |" for cells in (header, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(header), *lines[1:]])


def _bullets(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {_plain(sentence)}" for sentence in sentences)


def _plain(text: str) -> str:
    """Return ``text`` on one line, so that nothing in it is taken for Markdown or HTML."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))
