"""Versions: their names, and their order."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.models.versions import VersionName

IN_ORDER = [
    "0.9.9", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11",
    "1.0.0-rc.1", "1.0.0", "1.0.1", "1.9.0", "1.10.0", "2.0.0",
]  # fmt: skip


def test_versions_are_ordered_as_semantic_versioning_says() -> None:
    shuffled = [VersionName.parse(text) for text in IN_ORDER]
    random.Random(0).shuffle(shuffled)
    assert [str(version) for version in sorted(shuffled)] == IN_ORDER


@pytest.mark.parametrize(
    "text", ["", "1", "1.0", "1.x", "01.0.0", "1.0.0.0", "1.0.0-", "1.0.0+b", "v1.0.0 ", "1.0.0\n", "\uff11.0.0"]
)
def test_what_is_not_a_version_is_refused_and_quoted(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not MAJOR\.MINOR\.PATCH"):
        VersionName.parse(text)


@given(st.tuples(*[st.integers(0, 999_999_999)] * 3))
def test_a_version_is_read_back_as_it_was_written(numbers: tuple[int, int, int]) -> None:
    version = VersionName(*numbers)
    assert VersionName.parse(version.directory_name) == version
    assert not version.prerelease
