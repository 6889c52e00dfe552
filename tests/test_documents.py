"""What the service shows and what the pages and files for operators say is the same."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.config import Settings
from app.errors import CATALOGUE
from app.store.database import Database
from tests.feedback.judged import add_audits, let_promise
from tests.in_process import TICKET
from tests.web.api.test_model_drift import write_with_reference

if TYPE_CHECKING:
    from tests.conftest import StartService, WriteModel

yaml = pytest.importorskip("yaml", reason="comes with requirements-dev.lock")

pytestmark = pytest.mark.once

ROOT = Path(__file__).parent.parent
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
SECURITY = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
PAGES = sorted((ROOT / "docs").glob("*.md"))
MADE_LATER = {"benchmarks/.venvs"}
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "ticket-classifier.json").read_text(encoding="utf-8"))
KUBERNETES = list(yaml.safe_load_all((ROOT / "deploy/kubernetes/ticket-classifier.yaml").read_text(encoding="utf-8")))
METRIC_ROW = re.compile(r"^\| `(\w+)` \| (counter|gauge|histogram) \| ([`\w, ]*)\| .+ \|$", re.MULTILINE)
METRIC_NAME = re.compile(r"\b(?:connector|http|ticket|rate_limit|store|service|process)_\w+")
SUFFIXES = re.compile(r"_(?:bucket|sum|count)$")

Shown = dict[str, tuple[str, frozenset[str]]]


@pytest.fixture
def shown(start_service: StartService, write_model: WriteModel, tmp_path: Path) -> Shown:
    """The type and the label names of every metric, from a service that has counted something in each."""
    store = f"sqlite:///{tmp_path / 'store.db'}"
    models = write_with_reference(write_model, tmp_path)
    let_promise(tmp_path / "v1.0.0")
    service = start_service(models_base_dir=models, store_url=store)
    with closing(Database(store)) as database:
        add_audits(database, service.state["registry"].current.model_digest, [True])
    assert service.get("/model/promises").status_code == 200
    for _ in range(2):
        service.request("POST", "/classify/batch", json={"tickets": [dict(TICKET)] * 100})
    service.get("/nope")
    metrics = service.state["metrics"]
    metrics.model_reloaded("unchanged")
    metrics.connector_event("desk", "delivery", "known")
    metrics.connector_attempt("desk", "done")
    metrics.connector_waiting("desk", 1)
    found: Shown = {}
    for family in text_string_to_metric_families(service.get("/metrics").text):
        labels = frozenset(name for sample in family.samples for name in sample.labels) - {"le"}
        found[family.name + ("_total" if family.type == "counter" else "")] = family.type, labels
    return found


def test_the_table_of_metrics_is_what_is_shown(shown: Shown) -> None:
    rows = {
        name: (kind, frozenset(re.findall(r"`(\w+)`", labels))) for name, kind, labels in METRIC_ROW.findall(OPERATIONS)
    }

    assert rows == shown


def dashboard_queries() -> list[str]:
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]


def alert_rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]


def test_the_dashboard_shows_every_metric_and_no_other(shown: Shown) -> None:
    used = {SUFFIXES.sub("", name) for query in dashboard_queries() for name in METRIC_NAME.findall(query)}

    assert used == set(shown)


def test_alerts_ask_for_metrics_that_exist(shown: Shown) -> None:
    used = {SUFFIXES.sub("", name) for rule in alert_rules() for name in METRIC_NAME.findall(rule["expr"])}

    assert used <= set(shown)
    assert used


def test_every_panel_has_a_place_of_its_own() -> None:
    panels = DASHBOARD["panels"]
    cells = [
        (x, y)
        for box in (panel["gridPos"] for panel in panels)
        for x in range(box["x"], box["x"] + box["w"])
        for y in range(box["y"], box["y"] + box["h"])
    ]

    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["title"] for panel in panels)
    assert {variable["name"] for variable in DASHBOARD["templating"]["list"]} == {"datasource", "instance"}
    assert all("$instance" in query or "vector" in query for query in dashboard_queries())


def test_every_alert_has_a_runbook_in_the_page_for_operators() -> None:
    headings = re.findall(r"^### (Ticket\w+)$", OPERATIONS, re.MULTILINE)

    assert headings == [rule["alert"] for rule in alert_rules()]
    for rule in alert_rules():
        assert rule["annotations"]["runbook"] == f"docs/operations.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}


def test_every_alert_has_a_test() -> None:
    tests = yaml.safe_load(ALERTS.with_name("alerts_test.yml").read_text(encoding="utf-8"))["tests"]

    fired = {case["alertname"] for test in tests for case in test["alert_rule_test"] if case["exp_alerts"]}
    assert fired == {rule["alert"] for rule in alert_rules()}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool comes with Prometheus")
@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "rules", "alerts.yml"],
        ["test", "rules", "alerts_test.yml"],
        ["check", "config", "--syntax-only", "prometheus.yml"],
    ],
    ids=["rules", "tests", "configuration"],
)
def test_promtool_accepts(arguments: list[str]) -> None:
    result = subprocess.run(
        ["promtool", *arguments], cwd=ALERTS.parent, capture_output=True, text=True, check=False, timeout=60
    )

    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool comes with Prometheus")
def test_promtool_accepts_what_is_shown(start_service: StartService) -> None:
    service = start_service()
    service.classify()

    result = subprocess.run(
        ["promtool", "check", "metrics"],
        input=service.get("/metrics").content,
        capture_output=True,
        check=False,
        timeout=60,
    )

    assert result.returncode == 0, result.stdout + result.stderr


def test_the_kubernetes_example_asks_the_right_paths_and_waits_long_enough(start_service: StartService) -> None:
    deployment, _, service, *_ = KUBERNETES
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    values = {entry["name"]: entry.get("value") for entry in container["env"]}

    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert start_service().get(container[name]["httpGet"]["path"]).status_code == 200
        assert container[name]["httpGet"]["port"] == container["ports"][0]["name"]
    assert pod["terminationGracePeriodSeconds"] > int(values["DRAIN_SECONDS"]) + 20
    assert {name.lower() for name in values} <= set(Settings.model_fields)
    assert service["spec"]["selector"] == deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["ports"][0]["targetPort"] == container["ports"][0]["name"]


def test_the_kubernetes_example_suits_a_helpdesk_and_says_how_to_make_its_secret() -> None:
    container = KUBERNETES[0]["spec"]["template"]["spec"]["containers"][0]
    variables = {entry["name"]: entry.get("value", "") for entry in container["env"]}
    secrets = [entry["valueFrom"]["secretKeyRef"] for entry in container["env"] if "valueFrom" in entry]
    settings = Settings(_env_file=None, **{name.lower(): value for name, value in variables.items() if value})

    assert settings.rate_limit_requests / settings.rate_limit_window_sec >= 50
    assert settings.trusted_proxies
    for text in ((ROOT / "deploy/kubernetes/ticket-classifier.yaml").read_text(encoding="utf-8"), OPERATIONS):
        (command,) = re.findall(r"kubectl create secret generic .*", text.replace("\\\n", ""))
        assert {secret["name"] for secret in secrets} == {command.split()[4]}
        assert re.findall(r"--from-literal=([\w-]+)=", command) == [secret["key"] for secret in secrets]


def test_the_kubernetes_example_fills_a_volume_in_which_a_version_can_be_activated(
    models_dir: Path, start_service: StartService, tmp_path: Path
) -> None:
    deployment, claim, *_ = KUBERNETES
    pod = deployment["spec"]["template"]["spec"]
    (filler,), (container,) = pod["initContainers"], pod["containers"]
    variables = {entry["name"]: entry.get("value") for entry in container["env"]}
    (mount,) = filler["volumeMounts"]
    volume = next(volume for volume in pod["volumes"] if volume["name"] == mount["name"])
    script = filler["args"][0].replace("/srv/models", str(models_dir)).replace('"/models/', f'"{tmp_path}/')

    for _ in range(2):
        subprocess.run([*filler["command"], script], check=True, timeout=30)

    assert [path.name for path in tmp_path.iterdir()] == ["v1.0.0"]
    service = start_service(models_base_dir=str(tmp_path), admin_api_keys=(sha256(b"admin").hexdigest(),))
    answer = service.request("POST", "/model/activate", json={"version": "1.0.0"}, headers={"X-API-Key": "admin"})
    assert answer.status_code == 200
    assert (tmp_path / "ACTIVE").exists()
    assert filler["image"] == container["image"]
    assert mount in container["volumeMounts"]
    assert variables["MODELS_BASE_DIR"] == mount["mountPath"]
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    assert pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsGroup"]


def test_prometheus_scrapes_the_port_of_every_pod_that_serves() -> None:
    configuration = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text(encoding="utf-8"))
    ((found_by,),) = (job["dns_sd_configs"] for job in configuration["scrape_configs"])
    template = KUBERNETES[0]["spec"]["template"]
    (container,) = template["spec"]["containers"]
    listens_on = int(container["args"][container["args"].index("--port") + 1])
    pods = next(service for service in KUBERNETES if f"{service['metadata']['name']}.default.svc" in found_by["names"])

    assert found_by["port"] == container["ports"][0]["containerPort"] == listens_on
    # Without an address of its own, a Service's name has an A record for each pod.
    assert found_by["type"] == "A"
    assert (pods["kind"], pods["spec"]["clusterIP"]) == ("Service", "None")
    assert pods["spec"]["publishNotReadyAddresses"] is True
    assert pods["spec"]["selector"] == template["metadata"]["labels"]


def test_the_tests_that_the_security_page_names_exist() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", SECURITY)

    assert len(named) > 20
    for path, name in named:
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, f"{path}::{name}"


def test_the_security_page_has_every_risk_of_the_list_once() -> None:
    rows = re.findall(r"^\| API(\d+):2023 ", SECURITY, re.MULTILINE)

    assert rows == [str(i) for i in range(1, 11)]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_inside_the_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        if "://" in target:
            continue
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}, target


def test_the_page_of_the_architecture_has_a_sentence_for_every_room() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = {path.parent.relative_to(ROOT) for path in (ROOT / "app").rglob("__init__.py")} - {Path("app")}

    named = re.findall(r"^\| `(app/[\w/]+)/` \| \S.*\|$", page, re.MULTILINE)

    assert sorted(named) == sorted(str(room) for room in rooms)


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda path: path.name)
def test_every_place_in_the_code_that_a_page_names_is_there(page: Path) -> None:
    named = set(re.findall(r"`((?:app|benchmarks|scripts|tests)/[\w./-]*)", page.read_text(encoding="utf-8")))

    for name in named - MADE_LATER:
        assert (ROOT / name).exists(), name


def test_settings_and_slugs_that_the_page_for_operators_names_exist() -> None:
    settings = set(re.findall(r"`([A-Z]+_[A-Z_]+)(?:=[^`]*)?`", OPERATIONS))
    slugs = set(re.findall(r"\b[45]\d\d `(\w+)`", OPERATIONS))

    assert settings <= {name.upper() for name in Settings.model_fields} | {"PYTHON_IMAGE"}
    assert slugs <= {kind.slug for kind in CATALOGUE}
