"""An installation gives what a lock pins, whatever has been released since, and a lock lacks nothing that it needs."""

from __future__ import annotations

import base64
import ensurepip
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

import pytest
from packaging.markers import default_environment
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
PYTHONS = ("3.11.0", "3.11.9", "3.12.0", "3.13.0")


@dataclass(frozen=True)
class Package:
    """A pinned package with what its own metadata says."""

    pin: Requirement
    version: Version
    extras: tuple[str, ...]
    needs: tuple[Requirement, ...]

    def applies(self, environment: Mapping[str, str]) -> bool:
        return self.pin.marker is None or self.pin.marker.evaluate(dict(environment))


def left_out() -> set[str]:
    """Return the packages that no lock has, though others ask for them."""
    lines = (ROOT / "requirements-left-out.txt").read_text(encoding="utf-8").splitlines()
    return {canonicalize_name(Requirement(line.partition(" #")[0]).name) for line in lines if not line.startswith("#")}


HERE = {name: str(value) for name, value in default_environment().items()}


def environment_of(python: str) -> dict[str, str]:
    return {**HERE, "python_version": python.rpartition(".")[0], "python_full_version": python}


def read_lock(name: str) -> dict[str, Package]:
    """Return every package of a lock; skip where those that this Python should have are not installed."""
    packages, missing = {}, []
    for line in re.findall(r"^[\w.-]+==[^\\\n]+", (ROOT / f"{name}.lock").read_text(encoding="utf-8"), re.MULTILINE):
        pin = Requirement(line.strip())
        (clause,) = pin.specifier
        version = Version(clause.version)
        try:
            installed = metadata(pin.name)
        except PackageNotFoundError:
            installed = None
        if installed is not None and Version(installed["Version"]) == version:
            extras = tuple(installed.get_all("Provides-Extra") or ())
            needs = tuple(Requirement(text) for text in installed.get_all("Requires-Dist") or ())
        else:
            extras, needs = (), ()
            if pin.marker is None or pin.marker.evaluate(dict(HERE)):
                missing.append(f"{pin.name} {version}")
        packages[canonicalize_name(pin.name)] = Package(pin, version, extras, needs)
    if missing:
        pytest.skip(f"{name}.lock is not what is installed here: {', '.join(missing)}")
    return packages


def listed(name: str) -> list[Requirement]:
    lines = (ROOT / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    texts = [line.partition(" #")[0].strip() for line in lines if not line.startswith("#")]
    included = [need for text in texts if text.startswith("-r ") for need in listed(text[3:].removesuffix(".txt"))]
    return included + [Requirement(text) for text in texts if text and not text.startswith("-r ")]


def needs_of(packages: Mapping[str, Package], name: str, environment: Mapping[str, str]) -> list[Requirement]:
    """Return everything that the list and the packages of a lock ask for, the extras they ask for included."""
    waiting = [need for need in listed(name) if need.marker is None or need.marker.evaluate(dict(environment))]
    found: dict[str, Requirement] = {}
    while waiting:
        need = waiting.pop()
        package = packages.get(canonicalize_name(need.name))
        is_new = str(need) not in found
        found[str(need)] = need
        for inner in package.needs if package is not None and is_new else ():
            contexts = [{**environment, "extra": extra} for extra in {"", *need.extras}]
            if inner.marker is None or any(map(inner.marker.evaluate, contexts)):
                waiting.append(inner)
    return list(found.values())


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("name", NAMES)
def test_a_lock_has_all_that_its_packages_ask_for(name: str, python: str) -> None:
    environment = environment_of(python)
    packages = read_lock(name)

    needs = needs_of(packages, name, environment)

    def is_pinned(need: Requirement) -> bool:
        if canonicalize_name(need.name) in left_out():
            return True
        package = packages.get(canonicalize_name(need.name))
        return (
            package is not None
            and package.applies(environment)
            and need.specifier.contains(package.version, prereleases=True)
        )

    assert [str(need) for need in needs if not is_pinned(need)] == []
    assert {canonicalize_name(need.name) for need in needs} >= {
        package for package, pinned in packages.items() if pinned.applies(environment)
    }


def write_wheel(directory: Path, package: Package, version: Version) -> str:
    """Write an empty wheel that asks for what the real one asks for, and return its hash."""
    name = canonicalize_name(package.pin.name).replace("-", "_")
    fields = [f"Name: {package.pin.name}", f"Version: {version}"]
    fields += [f"Provides-Extra: {extra}" for extra in package.extras]
    fields += [f"Requires-Dist: {need}" for need in package.needs]
    files = {
        "METADATA": "\n".join(["Metadata-Version: 2.1", *fields, ""]),
        "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    folder = f"{name}-{version}.dist-info"
    record = "".join(
        f"{folder}/{file},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode()[:-1]},\n"
        for file, text in files.items()
    )
    path = directory / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for file, text in {**files, "RECORD": f"{record}{folder}/RECORD,,\n"}.items():
            wheel.writestr(f"{folder}/{file}", text)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def newer(version: Version) -> Version:
    *front, last = version.release
    return Version(".".join(map(str, (*front, last + 1))))


def install_options() -> list[str]:
    """Return what `make` says to pip before it names the lock."""
    (recipe,) = re.findall(r"-m pip install (.*)--requirement \$\(1\)", (ROOT / "Makefile").read_text(encoding="utf-8"))
    return shlex.split(recipe)


def bundled_pip() -> str:
    directory = sysconfig.get_config_var("WHEEL_PKG_DIR") or Path(ensurepip.__file__).parent / "_bundled"
    (wheel,) = Path(directory).glob("pip-*.whl")
    return str(wheel)


@pytest.mark.parametrize("name", NAMES)
def test_no_lock_has_what_is_left_out(name: str) -> None:
    pinned = re.findall(r"^([\w.-]+)==", (ROOT / f"{name}.lock").read_text(encoding="utf-8"), re.MULTILINE)

    assert left_out() & set(map(canonicalize_name, pinned)) == set()


@pytest.mark.parametrize("name", NAMES)
def test_a_lock_installs_what_it_pins_when_every_package_has_a_newer_release(name: str, tmp_path: Path) -> None:
    packages = read_lock(name)
    index = tmp_path / "index"
    index.mkdir()
    lines = []
    for package in packages.values():
        digest = write_wheel(index, package, package.version)
        write_wheel(index, package, newer(package.version))
        lines.append(f"{package.pin} --hash=sha256:{digest}\n")
    lock, report = tmp_path / "stub.lock", tmp_path / "report.json"
    lock.write_text("".join(lines), encoding="utf-8")
    elsewhere = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}

    # Into nothing, as into a new environment, saying what would be installed, by the pip of new environments.
    dry = ("--dry-run", "--ignore-installed", "--report", str(report))
    run = subprocess.run(
        [sys.executable, "-m", "pip", "install", *install_options(), "--requirement", str(lock), *dry],
        env=elsewhere
        | {"PYTHONPATH": bundled_pip(), "PIP_CONFIG_FILE": os.devnull}
        | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index)},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )

    assert run.returncode == 0, run.stderr
    chosen = {
        canonicalize_name(item["metadata"]["name"]): Version(item["metadata"]["version"])
        for item in json.loads(report.read_text(encoding="utf-8"))["install"]
    }
    assert chosen == {package: pinned.version for package, pinned in packages.items() if pinned.applies(HERE)}


@pytest.mark.parametrize(
    "path",
    ["Makefile", "Dockerfile", ".ci/run", ".github/workflows/ci.yml", "README.md", "docs", "RELEASE_CHECKLIST.md"],
)
def test_nothing_that_installs_a_lock_resolves_anew(path: str) -> None:
    files = sorted((ROOT / path).glob("*.md")) if (ROOT / path).is_dir() else [ROOT / path]
    commands = [
        command
        for file in files
        for command in re.findall(
            r"\bpip\b[^\n]* install\b[^\n]*", re.sub(r"\\\n", " ", file.read_text(encoding="utf-8"))
        )
        if ".lock" in command or "--require-hashes" in command
    ]

    assert [command for command in commands if not {"--no-deps", "--require-hashes"} <= set(command.split())] == []
