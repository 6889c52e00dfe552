"""The lists of dependencies: ranges that end, locks that agree, and an image without the training libraries."""

import json
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
NAMES = (
    "requirements-serve",
    "requirements-redis",
    "requirements-postgres",
    "requirements-connectors",
    "requirements-signing",
    "requirements-teacher",
    "requirements",
    "requirements-dev",
)
# With the environments of what the tests install beside the service.
LOCKS = (*NAMES, "tests/helpdesks/django-helpdesk")
TRAINING_ONLY = {"joblib", "locust", "pandas", "pyarrow", "scikit-learn", "scipy"}


def ranges(name: str) -> list[Requirement]:
    """Return what a list asks for, with the lists that it includes."""
    found: list[Requirement] = []
    for line in (ROOT / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        text = line.split(" #")[0].split("#")[0].strip()
        if text.startswith("-r "):
            found += ranges(text.removeprefix("-r ").removesuffix(".txt"))
        elif text:
            found.append(Requirement(text))
    return found


def pins(name: str) -> dict[str, tuple[Version, str]]:
    """Return the version and the lines (hashes included) of every package in a lock."""
    text = (ROOT / f"{name}.lock").read_text(encoding="utf-8")
    blocks = re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;]+)(.*(?:\n[ \t].*)*)", text, re.MULTILINE)
    found = {canonicalize_name(package): (Version(version), rest) for package, version, rest in blocks}
    assert len(found) == len(blocks), f"{name}.lock pins a package twice: it would differ between Python versions"
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_every_range_ends_before_a_major_version_that_was_not_tried(name: str) -> None:
    ends = {"<", "~="}
    unbounded = [str(wanted) for wanted in ranges(name) if not any(part.operator in ends for part in wanted.specifier)]
    assert unbounded == []


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_has_every_package_that_its_list_asks_for_in_the_range_asked_for(name: str) -> None:
    locked = pins(name)
    for wanted in ranges(name):
        package = canonicalize_name(wanted.name)
        assert package in locked, f"{wanted.name} of {name}.txt is not in {name}.lock: run make lock"
        assert locked[package][0] in wanted.specifier, f"{name}.lock has {locked[package][0]}, asked for {wanted}"


@pytest.mark.parametrize("name", LOCKS)
def test_every_pin_of_a_lock_has_a_hash(name: str) -> None:
    assert [package for package, (_, lines) in pins(name).items() if "--hash=sha256:" not in lines] == []


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_no_host_and_no_local_path(name: str) -> None:
    text = (ROOT / f"{name}.lock").read_text(encoding="utf-8")
    places = r"\w+://\S+|^--?(?:i|f|index-url|extra-index-url|find-links|trusted-host)\b.*"
    assert re.findall(places, text, re.MULTILINE) == []


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_has_no_deep_learning_packages(name: str) -> None:
    heavy = ("torch", "nvidia", "cuda", "tensorflow", "transformers", "sentence-transformers")
    assert [package for package in pins(name) if package.startswith(heavy)] == []


@pytest.mark.parametrize("name", NAMES[:-1])
def test_a_package_has_the_same_version_in_every_lock(name: str) -> None:
    widest = pins("requirements-dev")
    different = {
        package: (version, widest.get(package, (None, ""))[0])
        for package, (version, _) in pins(name).items()
        if widest.get(package, (None, ""))[0] != version
    }
    assert different == {}


def in_the_image() -> set[str]:
    return {package for name in NAMES[:3] for package in pins(name)}


def test_the_image_installs_no_training_library() -> None:
    assert set() == TRAINING_ONLY & in_the_image()


# Hides every package outside the image's locks, then starts the service's modules and answers one ticket.
SERVE_WITHOUT_THE_REST = """
import importlib.abc, json, sys
hidden = set(json.loads(sys.argv[1]))

class Hide(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(f"No module named {name!r} in the image", name=name)

sys.meta_path.insert(0, Hide())
for name in list(sys.modules):
    if name.partition(".")[0] in hidden:
        del sys.modules[name]
import app.__main__, app.main
from app.models.classifier import TicketClassifier
print(TicketClassifier.load(sys.argv[2]).predict("Server is down", "Main server offline").heads["department"].label)
"""


def test_the_service_answers_with_nothing_but_what_the_image_installs() -> None:
    installed = in_the_image()
    hidden = [
        module
        for module, owners in packages_distributions().items()
        if not installed & {canonicalize_name(owner) for owner in owners}
    ]
    assert {"sklearn", "scipy", "pandas"} <= set(hidden)
    newest = max((ROOT / "models").glob("v*"), key=lambda path: Version(path.name))

    run = subprocess.run(
        [sys.executable, "-c", SERVE_WITHOUT_THE_REST, json.dumps(hidden), str(newest)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert run.returncode == 0, run.stderr
    assert run.stdout.strip()
