from __future__ import annotations

import re
from pathlib import Path

from app.errors import CATALOGUE, KIND_BY_STATUS

DOCUMENT = (Path(__file__).parent.parent / "docs" / "errors.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| \[`(\w+)`\]\(#(\w+)\) \| (\d{3}) \| (.+) \|$", re.MULTILINE)


def test_the_documents_table_is_the_catalogue() -> None:
    rows = [(slug, anchor, int(status), meaning) for slug, anchor, status, meaning in ROW.findall(DOCUMENT)]

    assert rows == [(kind.slug, kind.slug, kind.status, kind.meaning) for kind in CATALOGUE]


def test_every_slug_has_a_section_with_its_cause_and_what_to_do() -> None:
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", DOCUMENT, re.MULTILINE | re.DOTALL))

    assert list(sections) == [kind.slug for kind in CATALOGUE]
    for slug, text in sections.items():
        assert "Cause: " in text, slug
        assert "Do:" in text, slug


def test_slugs_are_unique() -> None:
    slugs = [kind.slug for kind in CATALOGUE]

    assert len(set(slugs)) == len(slugs)


def test_every_status_of_the_catalogue_has_a_kind_of_that_status() -> None:
    assert {status: kind.status for status, kind in KIND_BY_STATUS.items()} == {
        kind.status: kind.status for kind in CATALOGUE
    }


def test_what_may_be_tried_again_says_when() -> None:
    assert all(kind.retry_after_seconds for kind in CATALOGUE if kind.status in {429, 503})
