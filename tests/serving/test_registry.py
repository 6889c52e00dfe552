from __future__ import annotations

import gc
import hashlib
import logging
import os
import shutil
import sys
import threading
import time
import weakref
from typing import TYPE_CHECKING

import pytest

from app.errors import MODEL_REFUSED, ServiceError
from app.models.versions import VersionName
from app.serving.registry import LoadedModel, ModelRegistry, ModelState, ReloadResult

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import WriteModel


def test_the_highest_release_is_chosen_by_number(tmp_path: Path, write_model: WriteModel) -> None:
    for version in ("1.2.0", "1.10.0", "1.9.0"):
        write_model(tmp_path, version)
    registry = ModelRegistry(tmp_path)

    state = registry.load()

    assert registry.current is state.model is not None
    assert (state.model.version, state.degraded) == ("1.10.0", False)


def test_a_pre_release_is_served_only_when_pinned(tmp_path: Path, write_model: WriteModel) -> None:
    write_model(tmp_path, "1.0.0")
    write_model(tmp_path, "2.0.0-rc.1")

    unpinned, pinned = ModelRegistry(tmp_path), ModelRegistry(tmp_path, pinned_version="2.0.0-rc.1")

    assert [registry.load().model.version for registry in (unpinned, pinned) if registry.load().model] == [
        "1.0.0",
        "2.0.0-rc.1",
    ]


def test_two_models_of_the_same_version_have_different_digests(tmp_path: Path, write_model: WriteModel) -> None:
    directory = write_model(tmp_path, "1.0.0")
    first = LoadedModel.load(directory)
    of_manifest = hashlib.sha256((directory / "manifest.json").read_bytes()).hexdigest()
    write_model(tmp_path, "1.0.0", {"priority": ("High", "Low")})
    second = LoadedModel.load(directory)

    assert first.model_digest == of_manifest[:12]
    assert second.version == first.version
    assert second.model_digest != first.model_digest


@pytest.mark.parametrize("damage", ["flipped", "truncated", "missing", "extra", "no manifest"])
def test_a_damaged_newest_version_gives_way_to_the_next_good_one(
    tmp_path: Path, write_model: WriteModel, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    write_model(tmp_path, "1.0.0")
    newest = write_model(tmp_path, "1.1.0")
    weights = newest / "weights.npy"
    content = weights.read_bytes()
    if damage == "flipped":
        weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif damage == "truncated":
        weights.write_bytes(content[:-1])
    elif damage == "missing":
        weights.unlink()
    elif damage == "extra":
        shutil.copy(weights, newest / "vocabulary.txt")
    else:
        (newest / "manifest.json").unlink()

    state = ModelRegistry(tmp_path).load()

    assert state.model is not None
    assert (state.model.version, state.degraded) == ("1.0.0", True)
    assert str(newest) in state.reason
    assert any("refused" in record.message and record.levelno == logging.WARNING for record in caplog.records)


def test_a_pinned_version_has_no_substitute(tmp_path: Path, write_model: WriteModel) -> None:
    write_model(tmp_path, "1.0.0")

    state = ModelRegistry(tmp_path, pinned_version="1.1.0").load()

    assert state.model is None
    assert "v1.1.0" in state.reason


def test_names_that_are_no_versions_and_links_that_lead_out_are_ignored(
    tmp_path: Path, write_model: WriteModel, caplog: pytest.LogCaptureFixture
) -> None:
    base_dir, outside = tmp_path / "models", tmp_path / "outside"
    write_model(base_dir, "1.0.0")
    write_model(outside, "9.0.0")
    (base_dir / "v9.0.0").symlink_to(outside / "v9.0.0")
    (base_dir / "latest").mkdir()

    state = ModelRegistry(base_dir).load()

    assert state.model is not None
    assert (state.model.version, state.degraded) == ("1.0.0", False)
    assert len([record for record in caplog.records if "ignored" in record.message]) == 2


def test_an_empty_directory_is_told_with_its_name(tmp_path: Path) -> None:
    seen: list[ModelState] = []

    state = ModelRegistry(tmp_path, on_change=seen.append).load()

    assert state.model is None
    assert str(tmp_path) in state.reason
    assert seen == [state]


def test_a_version_under_another_name_is_refused(tmp_path: Path, write_model: WriteModel) -> None:
    shutil.copytree(write_model(tmp_path, "1.0.0"), tmp_path / "v9.0.0")

    state = ModelRegistry(tmp_path).load()

    assert state.model is not None
    assert (state.model.version, state.degraded) == ("1.0.0", True)
    assert "v9.0.0 holds version 1.0.0" in state.reason


@pytest.mark.parametrize("kind", ["file", "link to a file", "broken link", "circle", "link out", "pipe"])
def test_what_only_has_the_name_of_a_version_is_ignored_with_a_warning(
    tmp_path: Path, write_model: WriteModel, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    base_dir, outside = tmp_path / "models", tmp_path / "outside"
    write_model(base_dir, "1.0.0")
    write_model(outside, "9.9.9")
    stranger = base_dir / "v9.9.9"
    if kind == "file":
        stranger.write_bytes(b"")
    elif kind == "pipe":
        os.mkfifo(stranger)
    else:
        targets = {
            "link to a file": base_dir / "v1.0.0" / "idf.npy",
            "circle": stranger,
            "link out": outside / "v9.9.9",
        }
        stranger.symlink_to(targets.get(kind, tmp_path / "nowhere"))

    state = ModelRegistry(base_dir).load()

    assert state.model is not None
    assert (state.model.version, state.degraded) == ("1.0.0", False)
    assert [record.__dict__["directory"] for record in caplog.records if "ignored" in record.message] == ["v9.9.9"]


def test_a_link_that_leads_out_is_not_followed_however_it_is_named_as_the_one_to_serve(
    tmp_path: Path, write_model: WriteModel
) -> None:
    base_dir, outside = tmp_path / "models", tmp_path / "outside"
    write_model(base_dir, "1.0.0")
    (base_dir / "v9.9.9").symlink_to(write_model(outside, "9.9.9"))
    registry = ModelRegistry(base_dir)
    registry.load()

    with pytest.raises(ServiceError) as refused:
        registry.activate(VersionName.parse("9.9.9"))

    assert "leads out" in refused.value.detail
    assert ModelRegistry(base_dir, pinned_version="9.9.9").load().model is None
    (base_dir / "ACTIVE").write_text("9.9.9")
    assert ModelRegistry(base_dir).load().degraded


def test_an_active_file_that_is_a_link_is_not_read(tmp_path: Path, write_model: WriteModel) -> None:
    base_dir = tmp_path / "models"
    write_model(base_dir, "1.0.0")
    (tmp_path / "secret").write_text("a secret line\n")
    (base_dir / "ACTIVE").symlink_to(tmp_path / "secret")

    state = ModelRegistry(base_dir).load()

    assert state.degraded
    assert "secret line" not in state.reason


def test_a_directory_that_cannot_be_read_is_told_and_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    registry = ModelRegistry(tmp_path / ("x" * 300))

    assert registry.load().model is None
    assert registry.available_versions() == []
    assert any("cannot be read" in record.message for record in caplog.records)


def test_hundreds_of_versions_are_listed_in_order_and_only_the_highest_is_loaded(
    tmp_path: Path, write_model: WriteModel
) -> None:
    write_model(tmp_path, "3.99.7")
    for number in range(500):
        (tmp_path / f"v{number % 3}.{number}.0").mkdir()
    registry = ModelRegistry(tmp_path)

    state = registry.load()

    assert state.model is not None
    assert (state.model.version, state.degraded) == ("3.99.7", False)
    assert registry.available_versions()[:3] == ["3.99.7", "2.497.0", "2.494.0"]
    assert len(registry.available_versions()) == 501


def test_listing_again_does_not_warn_again(
    tmp_path: Path, write_model: WriteModel, caplog: pytest.LogCaptureFixture
) -> None:
    write_model(tmp_path, "1.0.0")
    (tmp_path / "latest").mkdir()
    registry = ModelRegistry(tmp_path)
    registry.load()

    registry.available_versions()
    registry.follow()

    assert len([record for record in caplog.records if "ignored" in record.message]) == 1


def test_following_loads_nothing_while_nothing_has_changed(tmp_path: Path, write_model: WriteModel) -> None:
    write_model(tmp_path, "1.0.0")
    damaged = write_model(tmp_path, "1.1.0")
    (damaged / "idf.npy").unlink()
    results: list[ReloadResult] = []
    registry = ModelRegistry(tmp_path, on_reload=results.append)
    state = registry.load()

    for _ in range(3):
        registry.follow()
    unchanged = registry.state is state
    write_model(tmp_path, "1.1.0")
    registry.follow()
    registry.follow()

    assert unchanged
    assert results == ["changed"]
    assert registry.current is not None
    assert (registry.current.version, registry.state.degraded) == ("1.1.0", False)


def test_a_call_for_reload_is_followed_once_by_each_and_by_the_caller_not_again(
    tmp_path: Path, write_model: WriteModel
) -> None:
    write_model(tmp_path, "1.0.0")
    called: list[ReloadResult] = []
    told: list[ReloadResult] = []
    caller, other = ModelRegistry(tmp_path, on_reload=called.append), ModelRegistry(tmp_path, on_reload=told.append)
    for registry in (caller, other):
        registry.load()
    write_model(tmp_path, "1.1.0")

    caller.reload_everywhere()
    for registry in (caller, other) * 2:
        registry.follow()
    caller.activate(VersionName.parse("1.1.0"))
    for registry in (caller, other) * 2:
        registry.follow()
    caller.activate(VersionName.parse("1.1.0"))
    for registry in (caller, other) * 2:
        registry.follow()

    assert called == told == ["changed", "unchanged", "unchanged"]
    assert {path.name for path in tmp_path.iterdir()} == {"v1.0.0", "v1.1.0", "ACTIVE", "RELOAD"}


def test_a_reload_where_others_cannot_be_told_is_done_and_said(
    tmp_path: Path, write_model: WriteModel, caplog: pytest.LogCaptureFixture
) -> None:
    write_model(tmp_path, "1.0.0")
    registry = ModelRegistry(tmp_path)
    registry.load()
    (tmp_path / "RELOAD").mkdir()
    write_model(tmp_path, "1.1.0")

    model = registry.reload_everywhere().model

    assert model is not None
    assert model.version == "1.1.0"
    assert "other processes are not told to reload: RELOAD is not writable: Is a directory" in caplog.text


def test_a_refused_activation_changes_no_state_and_no_file(tmp_path: Path, write_model: WriteModel) -> None:
    write_model(tmp_path, "1.0.0")
    (write_model(tmp_path, "0.9.0") / "idf.npy").unlink()
    results: list[ReloadResult] = []
    registry = ModelRegistry(tmp_path, on_reload=results.append)
    state = registry.load()

    with pytest.raises(ServiceError) as refused:
        registry.activate(VersionName.parse("0.9.0"))

    assert refused.value.kind is MODEL_REFUSED
    assert refused.value.detail.startswith("v0.9.0/idf.npy cannot be read")
    assert registry.state is state
    assert results == ["refused"]
    assert not (tmp_path / "ACTIVE").exists()


def test_a_reload_without_any_version_left_keeps_the_model(tmp_path: Path, write_model: WriteModel) -> None:
    directory = write_model(tmp_path, "1.0.0")
    registry = ModelRegistry(tmp_path)
    model = registry.load().model
    shutil.rmtree(directory)

    with pytest.raises(ServiceError):
        registry.reload()

    assert registry.current is model is not None
    assert registry.state.degraded


def test_a_model_that_was_replaced_is_freed_by_the_next_look_at_the_directory(
    tmp_path: Path, write_model: WriteModel
) -> None:
    write_model(tmp_path, "1.0.0")
    registry = ModelRegistry(tmp_path)
    registry.load()
    assert registry.current is not None
    old = weakref.ref(registry.current.classifier._scorer._weights)

    registry.reload()
    is_kept = old() is not None
    registry.follow()
    gc.collect()

    assert is_kept
    assert old() is None


def test_other_threads_get_their_turn_while_a_model_is_loaded(tmp_path: Path, write_model: WriteModel) -> None:
    write_model(tmp_path, "1.0.0")
    usual = sys.getswitchinterval()
    seen: set[float] = set()
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.is_set():
            seen.add(sys.getswitchinterval())
            time.sleep(0)

    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(5):
        ModelRegistry(tmp_path).load()
    is_over.set()
    watcher.join()

    assert min(seen) < usual / 10
    assert sys.getswitchinterval() == usual
