from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scripts import bump_version
from tests.processes import ROOT

CHANGELOG = """\
# Changelog

## [Unreleased]

### Added

- A thing.

## [1.2.3] - 2020-01-01

- First.
"""


def git(root: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__init__.py").write_text('"""App."""\n\n__version__ = "1.2.3"\n', encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nversion = "1.2.3"\nrequires-python = ">=1.2.3"\n', encoding="utf-8"
    )
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG, encoding="utf-8")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "Start")
    return tmp_path


@pytest.mark.parametrize(("part", "new"), [("major", "2.0.0"), ("minor", "1.3.0"), ("patch", "1.2.4")])
def test_the_version_and_the_changelog_change_together(
    part: str, new: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = datetime.now(UTC).date()
    assert bump_version.main([part, "--root", str(project)]) == 0

    assert capsys.readouterr().out == f"1.2.3 -> {new}\n"
    assert f'__version__ = "{new}"' in (project / "app" / "__init__.py").read_text(encoding="utf-8")
    settings = (project / "pyproject.toml").read_text(encoding="utf-8")
    assert settings == f'[project]\nversion = "{new}"\nrequires-python = ">=1.2.3"\n'
    changelog = (project / "CHANGELOG.md").read_text(encoding="utf-8")
    days = {before.isoformat(), datetime.now(UTC).date().isoformat()}
    assert changelog in {
        CHANGELOG.replace("## [Unreleased]\n", f"## [Unreleased]\n\n## [{new}] - {day}\n") for day in days
    }


def bump_is_refused(project: Path, capsys: pytest.CaptureFixture[str], expected: str) -> None:
    names = ("app/__init__.py", "pyproject.toml", "CHANGELOG.md")
    before = [(project / name).read_text(encoding="utf-8") for name in names]
    assert bump_version.main(["minor", "--root", str(project)]) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert len(error.splitlines()) == 1
    assert [(project / name).read_text(encoding="utf-8") for name in names] == before


def test_changes_that_are_not_committed_are_refused_unless_allowed(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (project / "CHANGELOG.md").open("a", encoding="utf-8") as file:
        file.write("more\n")
    bump_is_refused(project, capsys, "not committed: CHANGELOG.md")
    assert bump_version.main(["minor", "--root", str(project), "--allow-dirty"]) == 0


def test_changes_elsewhere_do_not_matter(project: Path) -> None:
    (project / "notes.txt").write_text("x", encoding="utf-8")
    assert bump_version.main(["minor", "--root", str(project)]) == 0


def test_versions_that_differ_are_refused(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "pyproject.toml").write_text('version = "1.2.2"\n', encoding="utf-8")
    bump_is_refused(project, capsys, "app/__init__.py has 1.2.3, pyproject.toml has 1.2.2")


def test_a_release_with_nothing_to_say_is_refused(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "CHANGELOG.md").write_text(CHANGELOG.replace("- A thing.\n", ""), encoding="utf-8")
    bump_is_refused(project, capsys, "nothing under Unreleased")


def test_a_version_that_the_changelog_has_is_refused(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "CHANGELOG.md").write_text(f"{CHANGELOG}\n## [1.3.0] - 2021-01-01\n", encoding="utf-8")
    bump_is_refused(project, capsys, "has a section [1.3.0] already")


def test_another_directory_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bump_version.main(["minor", "--root", str(tmp_path)]) == 2
    assert "does not exist" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["huge"], ["minor", "major"]])
def test_anything_but_major_minor_or_patch_is_bad_usage(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        bump_version.main(arguments)
    assert exit_info.value.code == 2


def test_the_project_itself_can_be_bumped_as_far_as_its_versions_go() -> None:
    found = {
        name: match[1]
        for name, pattern in bump_version.VERSION_FILES.items()
        if (match := pattern.search((ROOT / name).read_text(encoding="utf-8")))
    }
    assert found.keys() == bump_version.VERSION_FILES.keys()
    assert len(set(found.values())) == 1
