from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.models.artifacts import ArtifactError
from app.models.versions import VersionName
from app.serving.active_version import ActiveVersion


@pytest.mark.parametrize("content", ["1.2.0", "v1.2.0\n", "\n  1.2.0  \r\n\n", "# a reason\n1.2.0\n# another\n"])
def test_the_one_version_is_read_however_it_was_typed(tmp_path: Path, content: str) -> None:
    (tmp_path / "ACTIVE").write_bytes(content.encode())

    assert ActiveVersion(tmp_path).read() == VersionName(1, 2, 0)


def test_without_a_file_no_version_is_active(tmp_path: Path) -> None:
    assert ActiveVersion(tmp_path).read() is None
    assert ActiveVersion(tmp_path / "nowhere").read() is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "names 0 versions"),
        (b"# nothing\n", "names 0 versions"),
        (b"1.0.0\n1.1.0\n", "names 2 versions"),
        (b"latest", 'says "latest"'),
        (b"\xff\xfe1", "expected a version such as 1.2.0"),
        (b"x" * 1000, 'says "' + "x" * 40 + '"'),
        (b"#" * 2000, "larger than the 1024 bytes"),
    ],
)
def test_what_names_no_version_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "ACTIVE").write_bytes(content)

    with pytest.raises(ArtifactError, match="ACTIVE") as refused:
        ActiveVersion(tmp_path).read()

    assert said in str(refused.value)


@given(st.binary(max_size=2000))
def test_any_bytes_are_a_version_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    directory = tmp_path_factory.getbasetemp()
    (directory / "ACTIVE").write_bytes(content)
    try:
        assert ActiveVersion(directory).read() is not None
    except ArtifactError as error:
        assert len(str(error)) < 500  # noqa: PT017 - either outcome is right


def test_what_is_no_plain_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "ACTIVE")

    with pytest.raises(ArtifactError, match="not a regular file"):
        ActiveVersion(tmp_path).read()


def test_what_is_written_is_read_back_and_nothing_else_is_left(tmp_path: Path) -> None:
    active = ActiveVersion(tmp_path)

    active.write(VersionName(1, 2, 0))
    active.write(VersionName(2, 0, 0, "rc.1"))

    assert active.read() == VersionName(2, 0, 0, "rc.1")
    assert active.path.read_bytes() == b"2.0.0-rc.1\n"
    assert [path.name for path in tmp_path.iterdir()] == ["ACTIVE"]
    assert (tmp_path / "ACTIVE").stat().st_mode & 0o777 == 0o644


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "ACTIVE").mkdir()

    with pytest.raises(IsADirectoryError):
        ActiveVersion(tmp_path).write(VersionName(1, 0, 0))

    assert [path.name for path in tmp_path.iterdir()] == ["ACTIVE"]


def test_readers_never_see_a_part_of_what_is_written(tmp_path: Path) -> None:
    active = ActiveVersion(tmp_path)
    versions = [VersionName(1, 0, 0), VersionName(100_000, 200_000, 300_000)]
    active.write(versions[0])
    is_over = threading.Event()

    def write() -> None:
        while not is_over.is_set():
            for version in versions:
                active.write(version)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = {active.read() for _ in range(500)}
    finally:
        is_over.set()
        writer.join()

    assert seen <= set(versions)
