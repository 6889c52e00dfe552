"""A version directory is complete or absent, and nothing altered is ever loaded."""

import io
import json
import os
import pickle
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from app.models.artifacts import ArtifactError, list_versions, verify, write_version
from app.models.classifier import TicketClassifier
from tests.models.conftest import make_model, model_files

Alteration = Callable[[Path], object]


def test_an_untouched_version_loads(version_directory: Path) -> None:
    assert TicketClassifier.load(version_directory).version == "1.0.0"


def test_each_of_300_flipped_bits_is_refused(version_directory: Path) -> None:
    rng = random.Random(1)
    names = sorted(path.name for path in version_directory.iterdir())
    for _ in range(300):
        path = version_directory / rng.choice(names)
        original = path.read_bytes()
        bit = rng.randrange(len(original) * 8)
        flipped = bytearray(original)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        try:
            with pytest.raises(ArtifactError):
                TicketClassifier.load(version_directory)
        except pytest.fail.Exception:
            # A flipped bit in the white space or a letter's case of the manifest changes nothing that it promises.
            assert path.name == "manifest.json"
            assert json.loads(flipped) == json.loads(original)
        path.write_bytes(original)


ALTERATIONS: dict[str, Alteration] = {
    "truncated": lambda d: (d / "weights.npy").write_bytes((d / "weights.npy").read_bytes()[:-1]),
    "emptied": lambda d: (d / "vocabulary.txt").write_bytes(b""),
    "missing": lambda d: (d / "idf.npy").unlink(),
    "swapped": lambda d: (d / "idf.npy").write_bytes((d / "weights.npy").read_bytes()),
    "no manifest": lambda d: (d / "manifest.json").unlink(),
    "not a manifest": lambda d: (d / "manifest.json").write_text("[]"),
    "deeply nested manifest": lambda d: (d / "manifest.json").write_text("[" * 100_000),
    "a directory in place of a file": lambda d: ((d / "idf.npy").unlink(), (d / "idf.npy").mkdir()),
    "a pipe in place of a file": lambda d: ((d / "idf.npy").unlink(), os.mkfifo(d / "idf.npy")),
    "a link in place of a file": lambda d: ((d / "idf.npy").rename(d / "x"), (d / "idf.npy").symlink_to(d / "x")),
    "the manifest leads out": lambda d: (d / "manifest.json").write_text(
        json.dumps({"format": 1, "files": {"../secret": {"sha256": "0" * 64, "size": 0}}})
    ),
}


def test_what_serving_never_reads_may_be_left_out_but_not_altered(version_directory: Path) -> None:
    unread = version_directory / "notes.txt"
    unread.write_bytes(b"READ by nobody")
    with pytest.raises(ArtifactError, match="SHA-256"):
        TicketClassifier.load(version_directory)
    unread.unlink()
    unread.symlink_to("nowhere")
    with pytest.raises(ArtifactError, match="cannot be read"):
        TicketClassifier.load(version_directory)

    unread.unlink()

    assert TicketClassifier.load(version_directory).version == "1.0.0"
    with pytest.raises(ArtifactError, match=r"notes\.txt cannot be read"):
        verify(version_directory)


@pytest.mark.parametrize("name", sorted(model_files(make_model()).keys() - {"notes.txt"}))
def test_a_version_without_a_file_that_it_needs_is_refused(version_directory: Path, name: str) -> None:
    (version_directory / name).unlink()

    with pytest.raises(ArtifactError, match=rf"{name} cannot be read"):
        TicketClassifier.load(version_directory)


@pytest.mark.parametrize("name", ALTERATIONS)
def test_an_altered_version_is_refused_with_the_file_named(version_directory: Path, name: str) -> None:
    ALTERATIONS[name](version_directory)
    with pytest.raises(ArtifactError, match=str(version_directory)):
        TicketClassifier.load(version_directory)


class _Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("exploded",)


def _bomb_as_array() -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([_Bomb()], dtype=object), allow_pickle=True)
    return file.getvalue()


@pytest.mark.parametrize("planted", [pickle.dumps(_Bomb()), _bomb_as_array()], ids=["pickle", "array of objects"])
def test_a_planted_pickle_is_not_executed_though_its_hash_is_right(
    version_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planted: bytes
) -> None:
    monkeypatch.chdir(tmp_path)
    files = {path.name: path.read_bytes() for path in version_directory.iterdir() if path.name != "manifest.json"}

    refused = set()
    for name in (*files, "priority_model.joblib"):
        write_version(version_directory, files | {name: planted}, force=True)
        verify(version_directory)
        try:
            TicketClassifier.load(version_directory)
        except ArtifactError:
            refused.add(name)

    assert {"idf.npy", "model.json", "vocabulary.txt", "weights.npy"} <= refused
    assert "priority_model.joblib" not in refused
    assert not (tmp_path / "exploded").exists()


def test_an_existing_version_is_replaced_only_with_force(version_directory: Path) -> None:
    with pytest.raises(FileExistsError, match="--force"):
        write_version(version_directory, {"a.txt": b"new"})
    write_version(version_directory, {"a.txt": b"new"}, force=True)
    assert sorted(path.name for path in version_directory.iterdir()) == ["a.txt", "manifest.json"]
    verify(version_directory)


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_version(tmp_path / "v1.0.0", {"no/such/directory": b""})
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path: Path) -> None:
    leftover = tmp_path / ".v1.0.0.abc.partial"
    leftover.mkdir()
    write_version(tmp_path / "v1.0.0", {"a.txt": b""})
    assert [path.name for path in tmp_path.iterdir()] == ["v1.0.0"]


def test_versions_are_listed_by_number_without_strangers_and_links_that_lead_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    models, outside = tmp_path / "models", tmp_path / "outside"
    outside.mkdir()
    for name in ("v1.9.0", "v1.10.0", "v2.0.0-rc.1", "latest", "1.2.3", "v01.2.3", ".v3.0.0.x.partial"):
        (models / name).mkdir(parents=True)
    (models / "v4.0.0").symlink_to(outside)
    (models / "v0.1.0").symlink_to(models / "v1.9.0")
    (models / "v5.0.0").write_text("a file")
    assert [str(version) for version in list_versions(models)] == ["2.0.0-rc.1", "1.10.0", "1.9.0", "0.1.0"]
    warned = {record.__dict__["directory"] for record in caplog.records}
    assert warned == {"latest", "1.2.3", "v01.2.3", "v4.0.0", "v5.0.0"}
    assert list_versions(tmp_path / "nowhere") == []
