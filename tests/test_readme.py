"""The README and the reference say what the project does: routes, commands, files, links, the first answer."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import httpx
import pytest
from starlette.routing import Route

from app.config import Settings
from app.models import decisions
from app.web.api.hooks import HOOKS_PATH
from tests.test_architecture import LAYERS

if TYPE_CHECKING:
    from tests.conftest import StartProcess, StartService

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
MOST_BYTES = 20_000
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROMPTED = {"python", ".venv/bin/python"}
# What comes to be only where the service or training runs.
MADE_LATER = {"models/ACTIVE", "models/vX.Y.Z/", "models/vX.Y.Z/report.html"}


def blocks(language: str, page: str = README) -> list[str]:
    return [text for name, text in BLOCK.findall(page) if name == language]


def section(title: str) -> str:
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#+ |\Z)", REFERENCE, re.MULTILINE | re.DOTALL)
    assert found, f"the reference has no section {title}"
    return found[1]


def commands() -> list[list[str]]:
    """Return every command of both pages as its words: the lines of shell blocks, and what begins so in back quotes."""
    lines = "\n".join(blocks("sh", README + REFERENCE)).replace("\\\n", " ")
    prose = BLOCK.sub("", README + REFERENCE)
    inline = re.findall(r"`((?:[A-Z_]+=\S+ )*(?:make|(?:\.venv/bin/)?python|uvicorn|pip|train\.py) [^`]+)`", prose)
    # A line break inside quotes belongs to its command, so the block is cut as a shell would cut it.
    pieces = re.findall(r"(?:'[^']*'|\"[^\"]*\"|[^\n'\"])+", re.sub(r"(?:^|\s)#.*", "", lines))
    split = [shlex.split(piece) for piece in [*pieces, *inline]]
    return [strip_variables(words) for words in split if words]


def strip_variables(words: list[str]) -> list[str]:
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0], re.DOTALL):
        words = words[1:]
    return words


PYTHON_COMMANDS = [words[1:] for words in commands() if words[0] in PROMPTED]


@cache
def help_of(*command: str) -> str:
    result = subprocess.run(
        [sys.executable, *command, "--help"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def target_of(words: list[str]) -> tuple[str, ...]:
    return tuple(words[:2]) if words[0] == "-m" else (words[0],)


def test_the_readme_is_short_enough_to_be_read() -> None:
    assert len(README.encode()) < MOST_BYTES


def test_the_readme_shows_commands() -> None:
    assert len(PYTHON_COMMANDS) > 10
    assert {words[0] for words in commands()} >= {"make", "curl", "docker", "python", "pip", "uvicorn"}


@pytest.mark.parametrize("words", PYTHON_COMMANDS, ids=" ".join)
def test_every_python_command_exists_and_takes_its_options(words: list[str]) -> None:
    target = target_of(words)
    options = [word.partition("=")[0] for word in words[len(target) :] if re.match(r"--?[a-z]", word)]

    for option in options:
        assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", help_of(*target)), option


@pytest.mark.parametrize("option", re.findall(r"^\| `(--[a-z-]+)[^|]*\|", REFERENCE, re.MULTILINE))
def test_every_option_of_the_table_is_one_of_training(option: str) -> None:
    assert re.search(rf"{re.escape(option)}\b", help_of("train.py"))


def test_every_make_command_is_explained_and_exists() -> None:
    targets = set(re.findall(r"^\.PHONY: (\S+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"`(?:[A-Z_]+=\S+ )*make ([a-z-]+)", section("Commands of make")))

    assert named == targets - {"help"}


def test_every_command_for_operators_is_in_the_table() -> None:
    starts = 'if __name__ == "__main__":'
    programs = {path.name for path in (ROOT / "scripts").glob("*.py") if starts in path.read_text(encoding="utf-8")}

    assert programs == set(re.findall(r"^\| `python scripts/(\w+\.py)", REFERENCE, re.MULTILINE))


def test_the_table_of_routes_is_what_the_service_answers(start_service: StartService) -> None:
    rows = re.findall(r"^\| (`(?:GET|POST|DELETE) .*?) \|", section("Routes"), re.MULTILINE)
    named = {tuple(name.split()) for row in rows for name in re.findall(r"`([^`]+)`", row)}

    served = start_service().app.routes
    routes = {
        (method, route.path_format) for route in served if isinstance(route, Route) for method in route.methods or ()
    }

    assert named == {(method, path) for method, path in routes if method != "HEAD"}
    # Some helpdesks look whether a hook is there before they take its address.
    looked_at = {path for method, path in named if method == "GET"} | {HOOKS_PATH}
    assert {path for method, path in routes if method == "HEAD"} == looked_at


def test_every_setting_that_is_named_exists() -> None:
    named = set(re.findall(r"\b([A-Z]+(?:_[A-Z]+)+)\b", README + REFERENCE)) - {"MODEL_CARD", "RELEASE_CHECKLIST"}
    of_make = {name for name in named if name.endswith("_ARGS")}

    assert named - of_make - {"SOURCE_DATE_EPOCH", "ADMIN_KEY", "API_KEY", "OTHER_HASH"} <= {
        name.upper() for name in Settings.model_fields
    }


def first_request() -> dict[str, Any]:
    curl = next(words for words in commands() if words[0] == "curl")
    assert curl[1] == "http://127.0.0.1:8000/classify"
    assert curl[curl.index("-H") + 1] == "Content-Type: application/json"
    ticket: dict[str, Any] = json.loads(curl[curl.index("-d") + 1])
    return ticket


def test_the_answer_to_the_first_request_is_that_of_the_model_that_comes_with_it(start_service: StartService) -> None:
    shown = README.partition("<!-- answer:begin -->")[2].partition("<!-- answer:end -->")[0]
    answer = start_service(models_base_dir=str(ROOT / "models"), model_version="1.0.0").classify(first_request())

    assert answer.status_code == 200
    example = json.loads(BLOCK.findall(shown.strip())[0][1])
    assert example == {**answer.json(), "prediction_id": example["prediction_id"]}


def test_every_decision_and_every_reason_is_explained() -> None:
    reasons = {value for name, value in vars(decisions).items() if name.isupper() and isinstance(value, str)}
    explained = README.partition("`reasons` says why")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `(\w+)` \|", README.partition("| `decision` |")[2].partition("\n\n")[0], re.MULTILINE)

    assert set(re.findall(r"`(\w+)`", explained)) - {"auto"} == reasons
    assert tuple(rows) == get_args(decisions.Decision)


def test_the_fields_of_the_answer_are_listed(start_service: StartService) -> None:
    heading = "| field of the answer | what |"
    rows = section("Ticket").partition(heading)[2]
    named = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (.*?) \|", rows, re.MULTILINE))))

    assert named == set(start_service().classify().json())


def test_the_files_of_a_version_are_listed() -> None:
    rows = re.findall(r"^\| (`.*?) \|", section("What a version is made of"), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    heads = ("priority", "department")
    expected = {name.replace("<head>", head) for name in named for head in heads}

    assert {path.name for path in (ROOT / "models" / "v1.0.0").iterdir()} == expected


def test_every_path_that_is_named_exists() -> None:
    places = r"`((?:app|data|deploy|docs|scripts|models)/[\w./-]*|requirements[\w-]*\.\w+)`"
    named = set(re.findall(places, README + REFERENCE))
    tree = next(text for text in blocks("") if "train.py " in text)
    outer = re.findall(r"^([\w.]+/?) ", tree, re.MULTILINE) + re.findall(r"^([\w.]+/)$", tree, re.MULTILINE)
    inner = [f"app/{name}" for name in re.findall(r"^  ([\w.]+/?) ", tree, re.MULTILINE)]

    assert len(named) > 10
    assert len(inner) > 5
    for path in {*named, *outer, *inner} - MADE_LATER:
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize(
    "page", ["README.md", "CHANGELOG.md", "RELEASE_CHECKLIST.md", "load_test.md", "data/README.md"]
)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        if "://" in target:
            continue
        linked = (ROOT / page).parent / path if path else ROOT / page
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", BLOCK.sub("", linked.read_text(encoding="utf-8")), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}, target


def test_the_probes_are_those_of_the_kubernetes_example() -> None:
    yaml = pytest.importorskip("yaml", reason="comes with requirements-dev.lock")
    shown = yaml.safe_load(blocks("yaml", OPERATIONS)[0])
    example = (ROOT / "deploy/kubernetes/ticket-classifier.yaml").read_text(encoding="utf-8")
    deployment = next(yaml.safe_load_all(example))
    (container,) = deployment["spec"]["template"]["spec"]["containers"]

    assert shown == {name: container[name] for name in container if name.endswith("Probe")}


def test_the_python_example_runs() -> None:
    (program,) = blocks("python")
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("Urgent ")


def test_the_readme_shows_what_was_measured() -> None:
    assert "<!-- figures:summary -->" in README


def test_the_architecture_page_puts_modules_into_the_layers_that_are_checked() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| (.*?) \|", page, re.MULTILINE)

    assert [int(number) for number, _ in rows] == list(range(1, len(LAYERS) + 1))
    for (_, modules), layer in zip(rows, LAYERS, strict=True):
        assert set(re.findall(r"`([\w.]+)`", modules)) <= set(layer)


def sent(line: list[str], base_url: str) -> dict[str, Any]:
    """Send what a line of curl sends, and return the answer's JSON."""
    data = line[line.index("-d") + 1] if "-d" in line else None
    method = line[line.index("-X") + 1] if "-X" in line else "GET" if data is None else "POST"
    url = next(word for word in line if word.startswith("http"))
    headers = dict(word.split(": ") for word in line if word.startswith("Content-Type"))
    answer = httpx.request(
        method, url.replace("http://127.0.0.1:8000", base_url), content=data, headers=headers, timeout=30
    )
    assert answer.is_success, answer.text
    body: dict[str, Any] = answer.json()
    return body


def test_six_lines_classify_review_judge_and_show_the_promises(start_process: StartProcess, tmp_path: Path) -> None:
    block = README.partition("### Let people judge")[2].partition("```sh\n")[2].partition("```")[0]
    classify, see, claim, judge, see_again, promises = (shlex.split(line) for line in block.splitlines())
    service = start_process(MODELS_BASE_DIR=str(ROOT / "models"), STORE_URL=f"sqlite:///{tmp_path / 'store.db'}")
    base_url = service.base_url

    classified = sent(classify, base_url)
    # Whoever types finds the ticket there already.
    service.wait_for(lambda: bool(sent(see, base_url)["items"]))
    (item,) = sent(see, base_url)["items"]
    (claimed,) = sent(claim, base_url)["items"]
    judged = sent(judge, base_url)

    assert item["prediction_id"] == claimed["prediction_id"] == judged["prediction_id"] == classified["prediction_id"]
    assert judged["agreed"] == {"priority": classified["predicted_priority"] == "High"}
    assert sent(see_again, base_url)["items"] == []
    states = {(promise["head"], promise["label"]): promise["state"] for promise in sent(promises, base_url)["promises"]}
    assert states["priority", None] == "unproven"
    assert ("priority", "Urgent") in states
