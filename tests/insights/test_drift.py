from __future__ import annotations

import math
import random
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.insights.drift import DriftMonitor
from app.insights.drift_report import ACT_INDEX, MIN_TICKETS, WATCH_INDEX, chance_index, stability_index
from app.metrics.shared_values import CAPACITY, MAX_ADJOINING, Key, SharedValues
from app.models.classifier import HeadPrediction, Prediction
from app.models.reference import HeadReference, Histogram, LabelCounts, Reference

if TYPE_CHECKING:
    from app.insights.drift_report import DriftReport, FeatureDrift

TENTHS = Histogram(tuple(i / 10 for i in range(1, 10)), (100,) * 10)
LENGTHS = Histogram((100.0, 200.0, 300.0), (250,) * 4)
COUNTS = st.lists(st.integers(1, 1000), min_size=2, max_size=12)


def reference(labels: tuple[str, ...] = ("High", "Low")) -> Reference:
    head = HeadReference(LabelCounts(labels, (1000 // len(labels),) * len(labels)), TENTHS)
    return Reference(LENGTHS, TENTHS, {"priority": head})


def ticket(label: str, confidence: float, n_unknown: int) -> Prediction:
    return Prediction({"priority": HeadPrediction(label, confidence, "auto", (), ())}, 100, n_unknown)


def observe(monitor: DriftMonitor, n_tickets: int, *, seed: int = 1, labels: tuple[str, ...] = ("High", "Low")) -> None:
    """Let the monitor see tickets just like those of ``reference``."""
    draw = random.Random(seed)
    for _ in range(n_tickets):
        answer = ticket(draw.choice(labels), draw.random(), draw.randrange(100))
        monitor.observe(answer, n_characters=draw.randrange(1, 401))


def monitor(window: int = 1000, directory: Path | None = None) -> DriftMonitor:
    made = DriftMonitor(SharedValues(directory), window=window)
    made.use(reference())
    return made


def drift_of(report: DriftReport, feature: str) -> FeatureDrift:
    (found,) = [drift for drift in report.features if drift.feature == feature]
    return found


def test_the_index_is_the_one_of_the_textbook() -> None:
    expected = (0.5 - 0.25) * math.log(0.5 / 0.25) + (0.5 - 0.75) * math.log(0.5 / 0.75)

    assert stability_index([25, 75], [100, 100]) == pytest.approx(expected)


@given(counts=COUNTS, factor=st.integers(1, 50))
def test_the_index_of_the_same_shares_is_zero(counts: list[int], factor: int) -> None:
    assert stability_index(counts, [count * factor for count in counts]) == pytest.approx(0, abs=1e-9)


@given(pairs=st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), min_size=2, max_size=12))
def test_the_index_is_finite_symmetric_and_never_negative(pairs: list[tuple[int, int]]) -> None:
    before, after = [pair[0] + 1 for pair in pairs], [pair[1] for pair in pairs]
    after[0] += 1

    index = stability_index(before, after)

    assert math.isfinite(index)
    # Half a ticket in an empty bin makes the shares sum to a little more than 1.
    assert index >= -1e-9
    assert index == pytest.approx(stability_index(after, before))


@pytest.mark.parametrize(("n_bins", "quantile"), [(2, 10.828), (4, 16.266), (10, 27.877), (50, 85.351)])
def test_the_chance_index_follows_the_chi_squared_distribution(n_bins: int, quantile: float) -> None:
    assert chance_index(n_bins, n_expected=1000, n_observed=1000) == pytest.approx(quantile * 2 / 1000, rel=0.04)


def test_without_drift_the_index_exceeds_chance_about_once_in_a_thousand() -> None:
    draw = np.random.default_rng(7)
    shares = np.full(10, 0.1)
    indexes = [
        stability_index(draw.multinomial(1000, shares).tolist(), draw.multinomial(500, shares).tolist())
        for _ in range(10_000)
    ]

    share_above = np.mean(np.array(indexes) > chance_index(10, n_expected=1000, n_observed=500))

    assert 0.0002 < share_above < 0.004


def test_tickets_like_those_at_training_are_no_drift() -> None:
    watching = monitor()

    observe(watching, 1000)

    report = watching.report()
    assert [(drift.head, drift.feature) for drift in report.features] == [
        ("", "text_length"), ("", "unknown_share"), ("priority", "label"), ("priority", "confidence"),
    ]  # fmt: skip
    assert report.level == "ok"
    assert all(drift.index < WATCH_INDEX for drift in report.features)
    assert all(sum(drift.observed.values()) == pytest.approx(1) for drift in report.features)
    assert drift_of(report, "text_length").expected == {"<= 100": 0.25, "<= 200": 0.25, "<= 300": 0.25, "> 300": 0.25}


@pytest.mark.parametrize(
    ("feature", "label", "confidence", "n_unknown", "n_characters"),
    [
        ("text_length", None, None, None, 5000),
        ("unknown_share", None, None, 99, None),
        ("label", "High", None, None, None),
        ("confidence", None, 0.95, None, None),
    ],
)
def test_what_changes_is_named_and_nothing_else(
    feature: str, label: str | None, confidence: float | None, n_unknown: int | None, n_characters: int | None
) -> None:
    watching, draw = monitor(), random.Random(3)

    for _ in range(1000):
        drawn = draw.choice(("High", "Low")), draw.random(), draw.randrange(100), draw.randrange(1, 401)
        changed = (label, confidence, n_unknown, n_characters)
        a, b, c, d = (value if now is None else now for value, now in zip(drawn, changed, strict=True))
        watching.observe(ticket(a, b, c), n_characters=d)

    report = watching.report()
    assert report.level == "act"
    assert {drift.feature for drift in report.features if drift.level != "ok"} == {feature}
    assert drift_of(report, feature).index > ACT_INDEX


def test_a_change_between_the_thresholds_is_to_watch() -> None:
    watching = monitor()

    for i in range(1000):
        watching.observe(ticket("High" if i % 10 < 7 else "Low", 0.5, 0), n_characters=100)

    label = drift_of(watching.report(), "label")
    assert WATCH_INDEX < label.index < ACT_INDEX
    assert label.level == "watch"


def test_too_few_tickets_say_nothing() -> None:
    watching = monitor()

    observe(watching, MIN_TICKETS - 1)

    assert watching.report().n_tickets == MIN_TICKETS - 1
    assert watching.report().features == ()
    assert watching.report().level is None
    observe(watching, 1)
    assert len(watching.report().features) == 4


def test_a_model_without_reference_has_no_drift() -> None:
    watching = monitor()
    watching.use(None)

    observe(watching, 500)

    assert not watching.report().is_available


@given(n_tickets=st.integers(0, 3000))
def test_the_window_holds_the_last_tickets_less_a_tenth_at_most(n_tickets: int) -> None:
    watching = monitor(window=500)

    observe(watching, n_tickets)

    n_held = watching.report().n_tickets
    assert n_held <= 500
    assert n_held == n_tickets if n_tickets <= 500 else n_held > 450


def test_tickets_that_left_the_window_are_forgotten() -> None:
    watching = monitor(window=500)
    for _ in range(1000):
        watching.observe(ticket("High", 0.95, 99), n_characters=5000)
    assert watching.report().level == "act"

    observe(watching, 500)

    assert watching.report().level == "ok"


def test_another_model_begins_a_new_window_and_the_same_one_does_not() -> None:
    watching = monitor()
    observe(watching, 300)

    watching.use(reference())
    assert watching.report().n_tickets == 300

    watching.use(reference(labels=("Hoch", "Mittel", "Niedrig")))
    assert watching.report().n_tickets == 0
    observe(watching, 300, labels=("Hoch", "Mittel", "Niedrig"))
    assert drift_of(watching.report(), "label").level == "ok"

    watching.use(reference())
    assert watching.report().n_tickets == 0


def test_a_label_of_another_model_is_left_out() -> None:
    watching = monitor()

    for _ in range(MIN_TICKETS):
        watching.observe(ticket("Unheard of", 0.5, 0), n_characters=100)

    assert sum(drift_of(watching.report(), "label").observed.values()) == 0


def test_processes_with_the_same_model_are_reported_together(tmp_path: Path) -> None:
    first, second, other = (monitor(directory=tmp_path) for _ in range(3))
    other.use(reference(labels=("A", "B")))
    observe(first, 150, seed=1)
    observe(second, 150, seed=2)
    observe(other, 400, labels=("A", "B"))

    assert first.report().n_tickets == second.report().n_tickets == 300
    assert first.report() == second.report()
    assert other.report().n_tickets == 400


def test_a_model_with_more_bins_than_there_is_room_for_has_no_drift() -> None:
    labels = tuple(f"label {i}" for i in range(999))
    head = HeadReference(LabelCounts(labels, (1,) * 999), TENTHS)
    watching = monitor()

    watching.use(Reference(LENGTHS, TENTHS, {f"head {i}": head for i in range(5)}))

    assert not watching.report().is_available


def test_models_and_processes_that_follow_each_other_in_one_file_have_the_same_room(tmp_path: Path) -> None:
    reader = DriftMonitor(SharedValues(tmp_path), window=1000)
    for n_labels in range(990, 1000):
        labels = tuple(f"label {i}" for i in range(n_labels))
        values = SharedValues(tmp_path)
        watching = DriftMonitor(values, window=1000)
        for made in (reader, watching):
            made.use(reference(labels))

        observe(watching, 250, labels=labels)

        assert reader.report().n_tickets == watching.report().n_tickets == 250
        values.close()
        assert reader.report().n_tickets == 0
    assert len(list(tmp_path.iterdir())) == 2


def test_a_process_whose_file_is_full_does_not_measure_and_leaves_the_others_alone(tmp_path: Path) -> None:
    full = SharedValues(tmp_path)
    for i in range(CAPACITY // MAX_ADJOINING):
        full.slot(Key("counter of another release", (str(i),)), MAX_ADJOINING)
    unmeasured, measured = DriftMonitor(full, window=1000), monitor(directory=tmp_path)
    unmeasured.use(reference())

    observe(unmeasured, 300)
    observe(measured, 300)

    assert not unmeasured.report().is_available
    assert measured.report().n_tickets == 300
