"""Markdown tables of what was measured, for the pages and for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from benchmarks.measuring import Figure

_MEASURED_ON = {
    "it-tickets": "dev part",
    "banking77": "a fifth held out, by groups",
    "clinc150": "validation part",
    "cfpb5": "five folds, by groups",
    "handwritten": "the default model",
}
_OTHERS = ("scikit-learn", "fastText")
# Accuracy on the official test part.
_PUBLISHED = (
    ("it-tickets", 0.873, "DistilBERT, fine-tuned on a seventh more tickets"),
    ("banking77", 0.937, "BERT, fine-tuned (Casanueva et al. 2020, arXiv:2003.04807)"),
    ("clinc150", 0.972, "classifier on two sentence encoders (Casanueva et al. 2020)"),
    ("cfpb5", 0.777, "the best of several large language models, without training"),
)
_QUESTIONS = {
    "class_balance": "class balance",
    "inverse_regularisation": "C",
    "vector_strength": "strength of word vectors",
    "naive_bayes": "naive Bayes scales",
}


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(cells)} |" for cells in (headings, *rows)]
    return "\n".join([lines[0], "|---" * len(headings) + "|", *lines[1:]])


def figure_table(measured: Mapping[str, Any], only: Sequence[str] = ("",)) -> str:
    """Return a row for each figure whose name begins with one of ``only``; every one of ``only`` must begin one."""
    figures = [figure_of(document) for document in measured["figures"]]
    chosen = []
    for beginning in only:
        found = [figure for figure in figures if figure.name.startswith(beginning)]
        if not found:
            raise LookupError(f"no figure begins with {beginning!r}: {[figure.name for figure in figures]}")
        chosen += found
    return table(("what", "median", "lowest to highest", "reach"), (_row(figure) for figure in chosen))


def figure_of(document: Mapping[str, Any]) -> Figure:
    return Figure(
        document["name"], document["unit"], tuple(document["values"]), document["at_least"], document["at_most"]
    )


def _row(figure: Figure) -> tuple[str, ...]:
    verdict = {None: "", True: ": reached", False: ": **not reached**"}[figure.is_reached]
    spread = "" if len(figure.values) == 1 else f"{number(min(figure.values))} to {number(max(figure.values))}"
    return figure.name, f"{number(figure.median)} {figure.unit}", spread, f"{reach(figure)}{verdict}"


def reach(figure: Figure) -> str:
    if figure.at_least is not None:
        return f"at least {figure.at_least:g}"
    return "" if figure.at_most is None else f"at most {figure.at_most:g}"


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three digits say enough


def load_table(measured: Mapping[str, Any]) -> str:
    headings = ("users", "requests/s", "`/classify` a second", "p50", "p95", "p99", "batch p95", "errors")
    return table(
        headings,
        (
            (
                f"{load['users']:,}",
                f"{load['requests_per_second']:,.0f}",
                f"{load['tickets_per_second']:,.0f}",
                *(f"{load[name]:g} ms" for name in ("p50_ms", "p95_ms", "p99_ms", "batch_p95_ms")),
                str(load["errors"]),
            )
            for load in measured["loads"]
        ),
    )


def overload_table(measured: Mapping[str, Any]) -> str:
    """Return a row for each text and each multiple of the capacity that was asked for."""
    headings = ("a ticket", "asked for", "goodput", "median answer", "health, p99", "health, most")
    rows: list[tuple[str, ...]] = []
    for text, figures in measured.items():
        capacity = figures["capacity_per_second"]
        rows.append((text, f"capacity: {capacity:,} a second", "", "", "", ""))
        for factor in (2, 5):
            found = figures[f"at_{factor}_times"]
            health = found["health_ms"]
            rows.append(
                (
                    "",
                    f"{factor} times",
                    f"{found['goodput_share'] * 100:.0f} % of capacity",
                    *(f"{value:g} ms" for value in (found["answer_ms_p50"], health["p99"], health["most"])),
                )
            )
    return table(headings, rows)


def soak_table(measured: Mapping[str, Any]) -> str:
    memory, files, threads = (measured[name] for name in ("memory_mib", "open_files", "threads"))
    rows = (
        ("private memory", *(f"{memory[quarter]:.1f} MiB" for quarter in ("second_quarter", "last_quarter"))),
        ("open files", str(files["second_quarter"]), str(files["last_quarter"])),
        ("threads", str(threads["second_quarter"]), str(threads["last_quarter"])),
    )
    return table(
        (f"{measured['clients']:,} clients in {measured['minutes']:g} minutes", "second quarter", "last"), rows
    )


def quality_table(measured_by_set: Mapping[str, Mapping[str, Any]], *, ending: str = "") -> str:
    """Return a row for each figure whose measure ends with ``ending``."""
    rows = []
    for name, measured in measured_by_set.items():
        for figure in measured["figures"]:
            if not figure["measure"].endswith(ending):
                continue
            low, high = figure["interval"]
            spread = f"{low:.3f} to {high:.3f}"
            named = f"{name} ({_MEASURED_ON[name]})"
            by_others = [_shown(figure.get("by_others", {}).get(other)) for other in _OTHERS]
            rows.append(
                (named, figure["measure"], _shown(figure["value"]), spread, *by_others, *_quality_reach(figure))
            )
    return table(("set", "measure", "figure", "95 % interval", *_OTHERS, "reach", ""), rows)


def published_table() -> str:
    """Return what others published of the same sets."""
    return table(("set", "accuracy", "of"), [(name, _shown(figure), model) for name, figure, model in _PUBLISHED])


def _shown(figure: float | None) -> str:
    return "" if figure is None else f"{figure:.3f}"


def _quality_reach(figure: Mapping[str, Any]) -> tuple[str, str]:
    if figure["at_least"] is None and figure["at_most"] is None:
        return "", ""
    bound = f"at least {figure['at_least']:g}" if figure["at_least"] is not None else f"at most {figure['at_most']:g}"
    return bound, "met" if figure["met"] else "**not met**"


def choices_table(measured_by_set: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the score of every candidate of every set's first search; what was taken is bold."""
    scores: dict[str, dict[str, str]] = {}
    for name, measured in measured_by_set.items():
        (recipe,) = measured["recipes"][0].values()
        for trial in recipe["trials"]:
            score = f"{trial['score']:.3f}"
            scores.setdefault(_choice(trial), {})[name] = f"**{score}**" if trial["taken"] else score
    rows = ((choice, *(by_set.get(name, "") for name in measured_by_set)) for choice, by_set in scores.items())
    return table(("candidate", *measured_by_set), rows)


def _choice(trial: Mapping[str, Any]) -> str:
    if trial["question"] == "features":
        return str(trial["choice"])
    if trial["question"] in _QUESTIONS:
        return f"{_QUESTIONS[trial['question']]} {trial['choice']}"
    return f"{trial['choice']}, beside what the head chose"


def default_model_table(metrics: Mapping[str, Any]) -> str:
    """Return the figures of a version's ``metrics.json``, a row for each head."""
    rows = []
    for head, figures in metrics.items():
        summary, auto = figures["summary"], figures["decisions"]["auto"]
        rows.append(
            (
                head,
                f"{figures['n_tickets']:,}",
                *(f"{summary[name]:.3f}" for name in ("accuracy", "macro_f1")),
                f"{figures['calibration']['expected_calibration_error']:.3f}",
                f"{auto['coverage']:.3f}",
                f"{auto['precision']:.3f}",
            )
        )
    headings = (
        "head",
        "tickets",
        "accuracy",
        "macro-F1",
        "expected calibration error",
        "share of auto",
        "its precision",
    )
    return table(headings, rows)


def promises_table(measured: Mapping[str, Any]) -> str:
    """Return a row for each precision: after how many audits half of the runs, and nine of ten, have the verdict."""
    rows = [
        (
            figure["precision"],
            figure["verdict"],
            *(
                f"{_audits(half)} ({_audits(most)})"
                for half, most in zip(figure["half"], figure["nine_of_ten"], strict=True)
            ),
        )
        for figure in measured["figures"]
    ]
    of_levels = (f"{n} promise{'' if n == 1 else 's'}" for n in measured["n_promises"])
    return table((f"true precision, promised {measured['target']:g}", "verdict", *of_levels), rows)


def _audits(n: int | None) -> str:
    return "never" if n is None else f"{n:,}"


def review_order_table(measured: Mapping[str, Any]) -> str:
    """Return a row for each order of review: its figures, and what it gains in points over two kinds of chance."""
    measures = list(dict.fromkeys(figure["measure"] for figure in measured["figures"]))
    by_order: dict[str, dict[str, Mapping[str, Any]]] = {}
    for figure in measured["figures"]:
        by_order.setdefault(figure["order"], {})[figure["measure"]] = figure
    baselines = [order for order in by_order if any(order in f["gains"] for f in measured["figures"])]
    gains = [(measure, baseline) for measure in measures[:2] for baseline in baselines]
    headings = ("200 judged", *measures, *(f"{measure} above {baseline}" for measure, baseline in gains))
    rows = [
        (
            order,
            *(f"{figures[measure]['mean']:.3f}" for measure in measures),
            *(_points(figures[measure]["gains"].get(baseline)) for measure, baseline in gains),
        )
        for order, figures in by_order.items()
    ]
    return table(headings, rows)


def _points(gain: Mapping[str, Any] | None) -> str:
    if gain is None:
        return ""
    low, high = gain["interval"]
    return f"{100 * gain['mean']:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"


def promised_precision_table(measured: Mapping[str, Any]) -> str:
    """Return a row for each set, head and target as Markdown."""
    rows = []
    for name, found in measured["sets"].items():
        for head, target in sorted({(one["head"], one["target"]) for one in found}, key=lambda key: (key[0], -key[1])):
            mine = [one for one in found if (one["head"], one["target"]) == (head, target)]
            acted = [one["precision"] for one in mine if one["precision"] is not None]
            rows.append(
                (
                    f"{name}, {head}",
                    f"{target:g}",
                    f"{sum(one['kept'] for one in mine)} of {len(mine)}",
                    f"{fmean(acted):.3f}" if acted else "",
                    f"{min(acted):.3f}" if acted else "",
                    f"{fmean(one['coverage'] for one in mine):.3f}",
                )
            )
    return table(("set", "promised", "splits that kept it", "right, mean", "right, worst", "coverage"), rows)


def first_day_table(measured: Mapping[str, Any]) -> str:
    """Return the accuracies, a row for each set and order of judging."""
    rows = [
        (name, order, *(_shown(point["accuracy"]) for point in points))
        for name, curves in measured["sets"].items()
        for order, points in curves.items()
    ]
    points = next(points for curves in measured["sets"].values() for points in curves.values())
    return table(("set", "judged", *(f"{point['judgements']} judgements" for point in points)), rows)
