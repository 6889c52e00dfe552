"""What starts, builds and releases the project says the same thing everywhere."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from app import __version__
from app.models.artifacts import ArtifactError
from app.models.classifier import TicketClassifier
from tests.processes import ServiceProcess, clean_environment, free_port

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SUPPORTED = ("3.11", "3.12", "3.13")
SERVICE_COMMAND = ["python", "-m", "app", "--host", "0.0.0.0"]  # noqa: S104 - a container is reached from outside


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def dockerfile() -> list[str]:
    joined = read("Dockerfile").replace("\\\n", " ")
    return [line.strip() for line in joined.splitlines() if line.strip() and not line.startswith("#")]


def instruction(name: str) -> list[str]:
    return [line.partition(" ")[2].strip() for line in dockerfile() if line.startswith(f"{name} ")]


def workflow() -> dict[str, Any]:
    yaml = pytest.importorskip("yaml", reason="comes with requirements-dev.lock")
    parsed: dict[str, Any] = yaml.safe_load(read(".github/workflows/ci.yml"))
    return parsed


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = shutil.which("make") or pytest.skip("make is not installed")
    return subprocess.run([command, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def make_targets() -> set[str]:
    return set(re.findall(r"^\.PHONY: (\S+)$", read("Makefile"), re.MULTILINE))


def test_every_supported_python_is_named_alike() -> None:
    assert PROJECT["project"]["requires-python"] == ">=3.11,<3.14"
    assert PROJECT["tool"]["ruff"]["target-version"] == "py" + SUPPORTED[0].replace(".", "")
    assert PROJECT["tool"]["mypy"]["python_version"] == SUPPORTED[0]
    assert workflow()["jobs"]["tests"]["strategy"]["matrix"]["python"] == list(SUPPORTED)
    assert f"for version in {' '.join(SUPPORTED)}" in read(".ci/run")
    assert read("runtime.txt").strip() == f"python-{SUPPORTED[-1]}"
    assert instruction("ARG") == [f"PYTHON_IMAGE=python:{SUPPORTED[-1]}-slim"]


def test_the_changelog_opens_with_unreleased_and_then_the_projects_version() -> None:
    headings = re.findall(r"^## \[(.+?)\](?: - (\d{4}-\d{2}-\d{2}))?$", read("CHANGELOG.md"), re.MULTILINE)
    assert headings[0] == ("Unreleased", "")
    assert headings[1][0] == PROJECT["project"]["version"]
    assert all(date for _, date in headings[1:])


def test_the_service_reports_the_projects_version() -> None:
    assert __version__ == PROJECT["project"]["version"]


def test_the_procfile_and_the_image_start_the_service_by_its_own_command() -> None:
    assert read("Procfile") == f"web: {' '.join(SERVICE_COMMAND)}\n"
    assert [json.loads(command) for command in instruction("CMD")] == [SERVICE_COMMAND]


def test_the_image_runs_as_a_numbered_user_that_is_not_root() -> None:
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", instruction("USER")[-1])
    assert dockerfile().index(f"USER {instruction('USER')[-1]}") > max(
        position for position, line in enumerate(dockerfile()) if line.startswith(("COPY", "RUN", "FROM"))
    )


def test_both_stages_of_the_image_have_the_same_interpreter() -> None:
    assert [base.partition(" ")[0] for base in instruction("FROM")] == ["${PYTHON_IMAGE}", "${PYTHON_IMAGE}"]


def test_the_image_installs_the_serving_locks_by_hash() -> None:
    (install,) = (command for command in instruction("RUN") if "pip install" in command)
    assert "--require-hashes" in install
    assert re.findall(r"[\w/-]+\.(?:lock|txt)", install) == [
        "/tmp/requirements-serve.lock",  # noqa: S108 - a path inside the image
        "/tmp/requirements-redis.lock",  # noqa: S108
        "/tmp/requirements-postgres.lock",  # noqa: S108
        "/tmp/requirements-connectors.lock",  # noqa: S108
    ]


def test_the_health_check_is_valid_python_and_needs_no_other_program() -> None:
    (check,) = instruction("HEALTHCHECK")
    program, flag, code = json.loads(check.partition(" CMD ")[2])
    assert (program, flag) == ("python", "-c")
    compile(code, "HEALTHCHECK", "exec")
    assert "/health/ready" in code
    assert "os.environ['PORT']" in code


def is_sent_to_the_build(path: str) -> bool:
    """Say whether .dockerignore lets a file through: the last rule that names it, or a directory it is in, decides."""
    rules = [line for line in read(".dockerignore").splitlines() if line and not line.startswith("#")]
    parts = path.split("/")
    inside = ["/".join(parts[: end + 1]) for end in range(len(parts))]
    is_sent = True
    for rule in rules:
        pattern = rule.removeprefix("!")
        # A star stops at a slash, two stars do not.
        expression = re.escape(pattern).replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*")
        if any(re.fullmatch(expression, one) for one in inside):
            is_sent = rule.startswith("!")
    return is_sent


def test_the_build_gets_what_the_image_copies_and_nothing_else() -> None:
    copied = {
        source.removeprefix("./")
        for copy in instruction("COPY")
        if not copy.startswith("--from")
        for source in copy.split()[:-1]
    }
    sent = {
        path.name for path in ROOT.iterdir() if path.name not in {".git", ".venv"} and is_sent_to_the_build(path.name)
    }
    assert sent == copied
    assert "models" in sent
    assert not is_sent_to_the_build("app/__pycache__/main.cpython-313.pyc")
    assert not is_sent_to_the_build("models/.v1.0.0.abc.partial/model.json")


# What the console shows of a version, of the files that hold numbers and names of labels only.
FIGURES = {"metrics.json"}


def test_the_image_has_all_that_serving_needs_of_a_version_and_nothing_else(tmp_path: Path) -> None:
    version = ROOT / "models" / "v1.0.0"
    for path in version.iterdir():
        if is_sent_to_the_build(path.relative_to(ROOT).as_posix()):
            shutil.copy(path, tmp_path)

    assert TicketClassifier.load(tmp_path).version == "1.0.0"
    kept = {path.name for path in tmp_path.iterdir()}
    assert kept > FIGURES
    for name in sorted(kept - FIGURES):
        (tmp_path / name).rename(tmp_path / "aside")
        with pytest.raises(ArtifactError):
            TicketClassifier.load(tmp_path)
        (tmp_path / "aside").rename(tmp_path / name)
    assert is_sent_to_the_build("models/v1.0.0/manifest.sig")


def test_git_ignores_environments_secrets_and_versions_of_ones_own() -> None:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    paths = [".venv/bin/python", ".venvs/3.12/x", ".env", ".env.local", "signing.key", ".env.example"]
    paths += ["models/v1.0.0/manifest.json", "models/v1.0.0/priority_model.joblib", "models/.v1.0.0.tmp/model.json"]
    paths += ["models/v1.0.1/model.json", "models/v2.0.0-rc.1/report.html", "models/ACTIVE"]
    run = subprocess.run(
        [git, "check-ignore", "--no-index", *paths], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30
    )
    assert run.stdout.split() == [*paths[:5], *paths[-4:]]


@pytest.mark.parametrize("target", ["serve", "dev", "test", "train", "lint", "bench", "help", "clean"])
def test_make_help_lists(target: str) -> None:
    assert re.search(rf"^  make {target} +\S", make("help").stdout, re.MULTILINE)


def test_make_test_installs_all_that_it_needs_once(tmp_path: Path) -> None:
    steps = make("--dry-run", "test", f"VENV={tmp_path / 'venv'}").stdout
    assert re.findall(r"-m pip install .*--requirement (\S+)", steps) == ["requirements-dev.lock"]
    assert [tool for tool in ("ruff", "mypy", "bandit", "pytest") if f"-m {tool}" not in steps] == []


def test_make_dev_serves_and_looks_for_changes(tmp_path: Path) -> None:
    command = shutil.which("make") or pytest.skip("make is not installed")
    installed, port, log_path = tmp_path / ".installed", free_port(), tmp_path / "log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [command, f"--old-file={installed}", "dev", f"VENV={tmp_path}", f"RUN={sys.executable}", f"PORT={port}"],
            cwd=ROOT,
            env=clean_environment(STORE_URL="off"),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        service = ServiceProcess(process, log_path, f"http://127.0.0.1:{port}")
        service.wait_until_live()
        assert "Started reloader process" in service.log()
        # Make passes the signal on. A second one, to the group, can meet the reloader in the handler of the first,
        # where it waits for a lock that it holds itself.
        process.terminate()
        process.wait(30)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_make_says_what_to_install_when_no_python_can_make_an_environment(tmp_path: Path) -> None:
    run = make("lint", f"VENV={tmp_path / 'venv'}", "PYTHON=")
    assert run.returncode != 0
    assert "3.11, 3.12 or 3.13" in run.stderr
    assert "python3-venv" in run.stderr
    assert not (tmp_path / "venv").exists()


def test_ci_run_is_an_executable_and_valid_script() -> None:
    assert (ROOT / ".ci/run").stat().st_mode & 0o111
    bash = shutil.which("bash") or pytest.skip("bash is not installed")
    subprocess.run([bash, "-n", str(ROOT / ".ci/run")], check=True, timeout=30)


@pytest.mark.parametrize("path", [".ci/run", ".github/workflows/ci.yml", "Makefile"])
def test_no_check_is_allowed_to_fail(path: str) -> None:
    ways_out = r"\|\| *true\b|\|\| *:\s|continue-on-error|--exit-zero|\bexit 0\b|^\t-"
    assert re.findall(ways_out, read(path), re.MULTILINE) == []


@pytest.mark.parametrize("path", [".ci/run", ".github/workflows/ci.yml", ".pre-commit-config.yaml"])
def test_every_make_command_that_is_called_exists(path: str) -> None:
    called = set(re.findall(r"^(?:[^#]*(?:run|entry): |\s*)make ([a-z][a-z-]*)", read(path), re.MULTILINE))
    assert called
    assert called <= make_targets()


def test_the_workflow_has_every_job_and_releases_only_after_all_of_them() -> None:
    jobs = workflow()["jobs"]
    checks = {"lint", "types", "tests", "security", "docker", "evaluation", "metrics", "performance", "sbom"}
    assert jobs.keys() == checks | {"release"}
    assert set(jobs["release"]["needs"]) == checks
    assert jobs["release"]["if"] == "github.ref_type == 'tag'"


def test_the_workflow_may_only_read_unless_it_signs() -> None:
    parsed = workflow()
    assert parsed["permissions"] == {"contents": "read"}
    asking = {name: job["permissions"] for name, job in parsed["jobs"].items() if "permissions" in job}
    assert asking == {"release": {"contents": "read", "id-token": "write"}}


def test_every_action_of_the_workflow_is_pinned_to_a_commit_with_its_release_beside_it() -> None:
    uses = re.findall(r"uses: *(.+)", read(".github/workflows/ci.yml"))
    assert uses
    assert [use for use in uses if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", use)] == []


def test_the_workflow_passes_actionlint() -> None:
    actionlint = shutil.which("actionlint") or pytest.skip(
        "actionlint is not installed; .github/actionlint.lock has it"
    )
    run = subprocess.run([actionlint], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 0, run.stdout


def test_the_licence_is_mit_everywhere() -> None:
    assert read("LICENSE").startswith("MIT License\n")
    assert PROJECT["project"]["license"] == {"text": "MIT"}
