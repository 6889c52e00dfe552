"""Labels stand in the order in which people expect them."""

from __future__ import annotations

import pytest

from app.charts.label_order import in_natural_order


@pytest.mark.parametrize(
    "order",
    [
        ["Urgent", "High", "Medium", "Low"],
        ["critical", "HIGH", "Normal", "low", "Trivial"],
        ["P1", "p2", "P3"],
        ["Sev 0", "sev-1", "Severity 2"],
    ],
)
def test_steps_of_a_known_scale_come_from_urgent_to_low_whatever_their_case(order: list[str]) -> None:
    frequencies = {label: n for n, label in enumerate(sorted(order), start=1)}

    assert in_natural_order(frequencies) == order


def test_other_labels_come_by_frequency_and_then_by_name() -> None:
    assert in_natural_order({"Sales": 3, "Billing": 9, "Account": 3}) == ["Billing", "Account", "Sales"]


def test_a_scale_with_a_stranger_or_with_two_words_of_one_step_is_none() -> None:
    assert in_natural_order({"Urgent": 1, "Low": 2, "Question": 3}) == ["Question", "Low", "Urgent"]
    assert in_natural_order({"Medium": 1, "Normal": 2, "High": 3}) == ["High", "Normal", "Medium"]
