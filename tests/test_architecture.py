"""Laws of the source itself, read from its syntax trees."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).parent.parent
APP = ROOT / "app"
# A module may import from its own layer and from those above it in this list.
LAYERS = (
    ("app", "app.config", "app.errors", "app.logging_utils"),
    ("app.models",),
    ("app.tickets", "app.charts"),
    ("app.training", "app.metrics"),
    ("app.store",),
    ("app.feedback", "app.insights"),
    ("app.limits", "app.serving"),
    ("app.connectors",),
    ("app.web",),
    ("app.main", "app.server"),
    ("app.__main__", "app.keys"),
)
# The order in which a ticket goes through training; a room may import from itself and from those before it.
TRAINING_ROOMS = ("intake", "splitting", "teaching", "fitting", "thresholds", "measuring", "report", "files")
# What stands beside the rooms: what has no topic of its own, and what puts the rooms together.
BESIDE_THE_ROOMS = {
    "app": {"__init__", "__main__", "main", "config", "errors", "keys", "logging_utils"},
    "app/training": {"__init__", "command", "pipeline"},
}
MODULES = sorted(APP.rglob("*.py"))
UNPICKLING = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def layer_of(module: str) -> int:
    for depth in range(module.count(".") + 1, 0, -1):
        prefix = ".".join(module.split(".")[:depth])
        for number, layer in enumerate(LAYERS):
            if prefix in layer and (prefix != "app" or module == "app"):
                return number
    pytest.fail(f"{module} is in no layer: add it to LAYERS")


def imports_of(path: Path) -> set[str]:
    """Return every module that a file imports, wherever in it the import stands."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            module = node.module or ""
            found |= {module} | {
                f"{module}.{alias.name}" for alias in node.names if is_module(f"{module}.{alias.name}")
            }
    return found


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_imports_point_down(path: Path) -> None:
    own = layer_of(module_name(path))

    for imported in imports_of(path):
        if imported.split(".")[0] == "app":
            assert layer_of(imported) <= own, f"{module_name(path)} imports {imported}"


def training_room(module: str) -> int | None:
    package, _, rest = module.partition("app.training.")
    room = rest.split(".")[0]
    return TRAINING_ROOMS.index(room) if not package and room in TRAINING_ROOMS else None


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_a_training_room_imports_from_itself_and_from_those_before_it(path: Path) -> None:
    own = training_room(module_name(path))

    for imported in imports_of(path) if own is not None else ():
        if imported.startswith("app.training."):
            room = training_room(imported)
            assert room is not None, f"{module_name(path)} imports {imported}, which puts the rooms together"
            assert room <= own, f"{module_name(path)} imports {imported}"


@pytest.mark.parametrize("folder", BESIDE_THE_ROOMS)
def test_no_module_with_a_topic_stands_beside_the_rooms(folder: str) -> None:
    assert {path.stem for path in (ROOT / folder).glob("*.py")} <= BESIDE_THE_ROOMS[folder]


def test_every_room_of_training_is_in_the_order() -> None:
    assert {path.parent.name for path in (APP / "training").glob("*/*.py")} == set(TRAINING_ROOMS)


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_every_module_says_in_its_first_line_what_it_is_for(path: Path) -> None:
    first_line = path.read_text(encoding="utf-8").partition("\n")[0]

    assert re.fullmatch(r'"""[^"].{10,}', first_line)


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_only_what_speaks_http_imports_the_web_framework(path: Path) -> None:
    first_web_layer = layer_of("app.web")

    if layer_of(module_name(path)) < first_web_layer:
        assert not {name.split(".")[0] for name in imports_of(path)} & {"fastapi", "starlette", "uvicorn"}


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_serving_does_not_import_training(path: Path) -> None:
    if not module_name(path).startswith("app.training"):
        assert not [name for name in imports_of(path) if name.startswith("app.training")]


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_only_the_routes_import_the_schemas(path: Path) -> None:
    if not module_name(path).startswith(("app.web.api", "app.models.schemas")):
        assert "app.models.schemas" not in imports_of(path)


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_only_the_store_speaks_to_databases(path: Path) -> None:
    if not module_name(path).startswith("app.store"):
        assert not {name.split(".")[0] for name in imports_of(path)} & {"sqlalchemy", "alembic", "psycopg", "sqlite3"}


def test_redis_is_imported_in_one_file_at_most() -> None:
    importers = [path for path in MODULES if any(name.split(".")[0] == "redis" for name in imports_of(path))]

    assert len(importers) <= 1


@pytest.mark.parametrize(
    "path", [path for path in MODULES if not module_name(path).startswith("app.training")], ids=module_name
)
def test_nothing_that_serves_can_unpickle(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))

    assert not {name.split(".")[0] for name in imports_of(path)} & UNPICKLING
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            allowed = [keyword.value for keyword in node.keywords if keyword.arg == "allow_pickle"]
            assert all(isinstance(value, ast.Constant) and value.value is False for value in allowed)
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            assert called not in {"eval", "exec", "read_pickle"}


@pytest.mark.parametrize(
    "path", [path for path in MODULES if module_name(path).startswith("app.training")], ids=module_name
)
def test_training_writes_joblib_files_but_never_reads_one(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert (node.value.id, node.attr) not in {(library, "load") for library in UNPICKLING}
            assert (node.value.id, node.attr) not in {(library, "loads") for library in UNPICKLING}


def test_serving_loads_neither_scikit_learn_nor_pandas() -> None:
    program = "import json, sys, app.main, app.__main__; print(json.dumps(sorted(sys.modules)))"

    output = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True).stdout

    loaded = {name.split(".")[0] for name in json.loads(output)}
    assert "numpy" in loaded
    assert not loaded & {"sklearn", "scipy", "pandas", "joblib", "torch", "pyarrow", "rich", "model_signing"}
    assert not [name for name in json.loads(output) if name.startswith("app.training")]


# A server imports the application, and Alembic runs its environment.
RUN_WHEN_IMPORTED = (APP / "main.py", APP / "store" / "migrations" / "env.py")


@pytest.mark.parametrize("path", [path for path in MODULES if path not in RUN_WHEN_IMPORTED], ids=module_name)
def test_no_module_runs_code_when_it_is_imported(path: Path) -> None:
    for statement in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Expr):
            assert isinstance(statement.value, ast.Constant), f"{path}:{statement.lineno} runs code"
        assert not isinstance(statement, ast.For | ast.While | ast.With), f"{path}:{statement.lineno} runs code"
