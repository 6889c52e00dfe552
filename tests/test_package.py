"""`pip install .` gives another program the classifier, and its commands, wherever it runs."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import tomllib
import venv
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from app.models.classifier import TicketClassifier
from tests.processes import clean_environment
from tests.test_requirements import ranges

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PREDICT = """
import json, sys
import app, data, train
from app.models.classifier import TicketClassifier

model = TicketClassifier.load(sys.argv[1])
label = model.predict("Server is down", "Main server offline").heads["priority"].label
print(json.dumps([[app.__file__, data.__file__, train.__file__], "sklearn" in sys.modules, label]))
"""


def run(*command: str | Path, cwd: Path) -> str:
    finished = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of commands of an environment with the wheel, which sees the packages of this one."""
    if find_spec("hatchling") is None:
        pytest.skip("hatchling, which builds the wheel, comes with requirements-dev.lock")
    directory = tmp_path_factory.mktemp("package")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    run(*pip, "wheel", ROOT, "--no-deps", "--no-build-isolation", "--wheel-dir", directory, cwd=directory)
    (wheel,) = directory.glob("*.whl")
    venv.create(directory / "venv", with_pip=False, symlinks=True)
    python = directory / "venv" / "bin" / "python"
    run(*pip, "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=directory)
    (site,) = (directory / "venv").glob("lib/python*/site-packages")
    (site / "these.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    return python.parent


def test_another_program_predicts_from_any_directory(commands: Path, models_dir: Path, tmp_path: Path) -> None:
    version = models_dir / "v1.0.0"

    answer = json.loads(run(commands / "python", "-c", PREDICT, version, cwd=tmp_path))

    files, has_scikit_learn, label = answer
    assert all(Path(file).is_relative_to(commands.parent) for file in files)
    assert not has_scikit_learn
    assert (
        label == TicketClassifier.load(version).predict("Server is down", "Main server offline").heads["priority"].label
    )


@pytest.mark.parametrize("command", sorted(PROJECT["scripts"]))
def test_every_command_is_installed(commands: Path, tmp_path: Path, command: str) -> None:
    assert run(commands / command, "--help", cwd=tmp_path).startswith("usage:")


@pytest.mark.slow
def test_the_installed_trainer_has_the_data_that_it_needs(commands: Path, tmp_path: Path) -> None:
    run(commands / "ticket-classifier-train", "--rows", "120", "--models-dir", "models", cwd=tmp_path)

    assert TicketClassifier.load(tmp_path / "models" / "v1.0.0").heads == ("priority", "department")


def test_the_package_needs_what_serving_needs() -> None:
    assert set(map(Requirement, PROJECT["dependencies"])) == set(ranges("requirements-serve"))


@pytest.mark.parametrize("extra", sorted(PROJECT["optional-dependencies"]))
def test_an_extra_asks_for_the_same_ranges_as_the_lists(extra: str) -> None:
    wanted = set(map(Requirement, PROJECT["optional-dependencies"][extra]))

    if extra == "training":
        assert wanted <= set(ranges("requirements"))
    else:
        assert wanted == set(ranges(f"requirements-{extra}"))
