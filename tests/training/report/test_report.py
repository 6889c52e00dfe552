"""The report as a reader meets it: self-contained, well-formed, escaped, and the same numbers as ``metrics.json``."""

import json
import random
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from app.training.intake.labelled_tickets import Tickets
from app.training.pipeline import TrainingOptions, train
from app.training.report.shown_intervals import shown_interval
from tests.html_reader import Reader

EVIL = '<script>alert("x")</script> & \'"><img src=http://example.invalid/x onerror=alert(1)> \x07\u202e javascript:'
Files = dict[str, bytes]


def made_up(n: int, n_labels: int, *, evil: bool = False) -> Tickets:
    rng = random.Random(n)
    labels = [f"{EVIL if evil else 'label'} {i:02}" for i in range(n_labels)]
    given = [labels[i % n_labels] for i in range(n)]
    texts = [
        f"{' '.join(rng.choices(['please', 'help', 'with', 'this', 'today', 'again', 'printer', 'door'], k=6))} "
        f"topic{'abcdefghijklmnopqrstuvwxyz'[labels.index(label) % 26]}{'xyz'[labels.index(label) // 26]} "
        f"{rng.choice('bcdfghjklmnp') * 3}{rng.choice('aeiou')}{rng.choice('bcdfghjklmnp') * 2}"
        for label in given
    ]
    # Some are told wrong, so that there are mistakes to show.
    given = [rng.choice(labels) if rng.random() < 0.15 else label for label in given]
    return Tickets(
        titles=[EVIL if evil else "Request"] * n, descriptions=[f"{t} {EVIL}" if evil else t for t in texts],
        labels={"team": given}, groups=None, sha256="0" * 64, notes=(EVIL,) if evil else ("a note",),
    )  # fmt: skip


OPTIONS = TrainingOptions(version="1.2.3", trained_at="2031-07-09T11:12:13")


def trained(tickets: Tickets, options: TrainingOptions = OPTIONS) -> Files:
    return train(tickets, options)


@pytest.fixture(scope="module")
def two_labels() -> Files:
    return trained(made_up(240, 2))


@pytest.fixture(scope="module")
def evil() -> Files:
    return trained(made_up(240, 3, evil=True))


def page(files: Files) -> str:
    return files["report.html"].decode()


def test_the_page_loads_nothing_and_runs_nothing(evil: Files) -> None:
    reader = Reader(page(evil))
    assert not reader.open
    assert not set(reader.tags) & {"script", "link", "img", "iframe", "object", "image", "use", "base", "form"}
    assert not [a for a in reader.attributes if a[1].startswith("on") or a[1] in {"src", "srcset", "xlink:href"}]
    assert all(value.startswith("#") for _, name, value in reader.attributes if name == "href")
    assert "url(" not in page(evil)
    assert "@import" not in page(evil)
    assert any(value.startswith("default-src 'none'") for _, _, value in reader.attributes)


def test_ticket_text_labels_and_notes_come_out_as_text(evil: Files) -> None:
    shown = "".join(Reader(page(evil)).text)
    assert '<script>alert("x")</script>' in shown
    assert "onerror=alert(1)" in shown
    assert "\x07" not in page(evil)


def test_every_picture_is_well_formed_and_says_what_it_shows(two_labels: Files) -> None:
    pictures = re.findall(r"<svg.*?</svg>", page(two_labels), flags=re.DOTALL)
    assert len(pictures) >= 3
    for picture in pictures:
        root = ET.fromstring(picture)  # noqa: S314 - made above
        assert root.attrib["role"] == "img"
        assert root.attrib["aria-label"]
        assert root.find("title") is not None
        assert root.find("desc") is not None
        _, _, width, height = map(float, root.attrib["viewBox"].split())
        for node in root.iter():
            assert "nan" not in str(node.attrib)
            if node.tag == "circle":
                assert 0 <= float(node.attrib["cx"]) <= width
                assert 0 <= float(node.attrib["cy"]) <= height


def test_the_page_shows_the_figures_of_metrics_json(two_labels: Files) -> None:
    figures = json.loads(two_labels["metrics.json"])["team"]
    shown = page(two_labels)
    for number in (
        figures["summary"]["accuracy"],
        figures["summary"]["macro_f1"],
        figures["calibration"]["expected_calibration_error"],
        figures["baselines"]["majority_accuracy"],
        figures["by_length"][0]["mean_confidence"],
    ):
        assert f"{number:.3f}" in shown
    assert shown_interval(figures["intervals"]["accuracy"], digits=3) in shown
    assert figures["learning_curve"]["conclusion"] in shown
    for row in figures["confusion_matrix"]["counts"]:
        for n in row:
            assert f">{n}<" in shown
    assert figures["overlap"]["texts"] == figures["overlap"]["near_duplicates"] == 0


def test_the_same_training_gives_the_same_page_without_a_time_of_day(two_labels: Files) -> None:
    again = trained(made_up(240, 2), replace(OPTIONS, trained_at="2032-01-01T00:00:00"))
    for name in ("report.html", "MODEL_CARD.md", "label_errors.csv"):
        assert two_labels[name] == again[name]
        assert b"2031" not in two_labels[name]


def test_without_examples_no_file_for_people_has_ticket_text() -> None:
    files = trained(made_up(240, 2), replace(OPTIONS, show_examples=False))
    with_examples = trained(made_up(240, 2))
    assert b"please help" not in files["label_errors.csv"]
    quoted = re.compile(r"(?:please|help|with|this|today|again|printer|door)(?: \w+){5} topic")
    assert quoted.search(page(with_examples))
    assert not quoted.search(page(files))
    assert "quotes no tickets" in page(files)
    assert "quotes tickets" in page(with_examples)


def test_77_labels_get_a_picture_and_a_list_in_place_of_a_table() -> None:
    shown = page(trained(made_up(1600, 77)))
    assert "The most frequent confusions of 77 labels" in shown
    assert "rows are true labels, columns are answers" not in shown
    assert len(shown) < 2_000_000
    assert len(re.findall("<svg", shown)) >= 3
    assert all(f"label {i:02}" in shown for i in range(77))


def test_without_evaluation_the_page_promises_nothing() -> None:
    files = trained(made_up(240, 2), replace(OPTIONS, evaluate=False))
    assert "Nothing was measured" in page(files)
    assert "Not evaluated" in page(files)
    assert "nothing is promised" in files["MODEL_CARD.md"].decode()


def test_text_has_enough_contrast_in_light_and_dark() -> None:
    style = Path("app/training/report/style.py").read_text()
    light, dark = re.findall(r":root \{([^}]*)\}", style)[:2]
    for scheme in (light, dark):
        colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", scheme))
        for ink in ("ink", "muted", "accent", "second"):
            for ground in ("page", "soft"):
                assert _contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
        assert _contrast(colours["ink"], colours["warn"]) >= 4.5
        heat = [int(part) for part in re.findall(r"--heat: ([\d ]+);", scheme)[0].split()]
        page_channels = [int(colours["page"][i : i + 2], 16) for i in (1, 3, 5)]
        darkest = "#" + "".join(f"{(a + b) // 2:02x}" for a, b in zip(heat, page_channels, strict=True))
        assert _contrast(colours["ink"], darkest) >= 4.5


def _contrast(first: str, second: str) -> float:
    """Return the contrast ratio of WCAG 2.2."""
    lighter, darker = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
