from __future__ import annotations

import hashlib
import json
import string
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from app.models.classifier import TicketClassifier
from scripts import bulk_eval
from scripts.lib.evaluation import EvaluatedRow, HeadAnswer, measure
from tests.conftest import StartProcess, WriteModel
from tests.processes import ROOT, free_port
from tests.scripts.conftest import RunScript, ScriptedService, WriteTickets

HEADER = "Title | P_true | P_pred | P_conf | MatchP | D_true | D_pred | D_conf | MatchD"
COLUMNS = ("title", "description", "customer_email", "priority", "department")
TICKETS = (
    ("Server is down", "main server offline for all users", "a@example.com", "Urgent", "Tech Support"),
    ("Refund", "invoice paid twice, refund please", "", "High", "Billing"),
    ("Quote", "price of a quote", "", "Medium", "Sales"),
    ("Users", "users and their price", "", "Low", ""),
)


def answer(label: str, *, confidence: float = 0.9) -> dict[str, object]:
    head = {"label": label, "confidence": confidence, "decision": "auto", "reasons": [], "alternatives": []}
    return {"predictions": {"department": head}, "model_version": "1.0.0"}


def test_the_table_has_every_ticket_under_the_promised_header(
    base_url: str, run_script: RunScript, write_csv: WriteTickets, models_dir: Path
) -> None:
    done = run_script("bulk_eval", "--base-url", base_url, "--csv", write_csv(COLUMNS, TICKETS))

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == HEADER
    model = TicketClassifier.load(models_dir / "v1.0.0")
    for line, (title, description, _, priority, department) in zip(lines[1:5], TICKETS, strict=True):
        heads = model.predict(title, description).heads
        cells = line.split(" | ")
        assert cells[0] == title
        assert cells[1:5] == [
            priority,
            heads["priority"].label,
            f"{heads['priority'].confidence:.3f}",
            "yes" if heads["priority"].label == priority else "NO",
        ]
        assert cells[5:7] == [department, heads["department"].label]
    assert lines[4].endswith("| "), "no verdict where the file gives no label"


def test_figures_and_reports_agree_with_scikit_learn(
    base_url: str, run_script: RunScript, write_csv: WriteTickets, tmp_path: Path
) -> None:
    report, lines_path = tmp_path / "report.md", tmp_path / "rows.jsonl"
    done = run_script(
        "bulk_eval", "--base-url", base_url, "--csv", write_csv(COLUMNS, TICKETS * 5),
        "--md-report", report, "--jsonl-output", lines_path,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in lines_path.read_text(encoding="utf-8").splitlines()]
    assert [row["row"] for row in rows] == list(range(2, 22))
    for head, n_labelled in (("priority", 20), ("department", 15)):
        labelled = [row["heads"][head] for row in rows if row["heads"][head]["true"]]
        true = [one["true"] for one in labelled]
        predicted = [one["predicted"] for one in labelled]
        accuracy, macro_f1 = accuracy_score(true, predicted), f1_score(true, predicted, average="macro")
        assert len(labelled) == n_labelled
        assert f"{head}: accuracy {accuracy:.4f}, macro-F1 {macro_f1:.4f}, {n_labelled} tickets" in done.stdout
        assert f"| {head} | {n_labelled} | {accuracy:.4f} | {macro_f1:.4f} |" in report.read_text(encoding="utf-8")
    assert HEADER in report.read_text(encoding="utf-8")


@given(
    pairs=st.lists(
        st.tuples(st.sampled_from(["a", "B", "c d"]), st.sampled_from(["a", "B", "c d", "e"])), min_size=1, max_size=30
    )
)
def test_accuracy_and_macro_f1_are_those_of_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    rows = [
        EvaluatedRow(i, "", "t", {"h": true}, {"h": HeadAnswer(label, 0.5, "auto", (label,))})
        for i, (true, label) in enumerate(pairs)
    ]
    figures = measure("h", rows, ["a", "B", "c d", "e"])
    true, predicted = zip(*pairs, strict=True)
    assert figures is not None
    assert figures.accuracy == pytest.approx(accuracy_score(true, predicted))
    assert figures.macro_f1 == pytest.approx(f1_score(true, predicted, average="macro", zero_division=0))
    assert not figures.unknown_labels


@pytest.mark.parametrize(("threshold", "exit_code"), [("0.5", 0), ("0.51", 1)])
def test_an_accuracy_below_its_threshold_ends_with_exit_code_1(
    threshold: str, exit_code: int, run_script: RunScript, write_csv: WriteTickets
) -> None:
    path = write_csv(["title", "department"], [["a", "Billing"], ["b", "Sales"]])
    with ScriptedService([(200, {}, answer("Billing"))]) as service:
        done = run_script(
            "bulk_eval", "--base-url", service.base_url, "--csv", path, "--fail-threshold-dept-acc", threshold
        )
    assert done.returncode == exit_code, done.stdout + done.stderr
    assert ("failed: department accuracy 0.5000 is below 0.51" in done.stdout) == bool(exit_code)


def test_a_row_that_fails_is_shown_and_the_others_are_measured(
    base_url: str, run_script: RunScript, write_csv: WriteTickets
) -> None:
    too_long = ("x" * 301, "text", "", "High", "Billing")
    done = run_script(
        "bulk_eval", "--base-url", base_url, "--csv", write_csv(COLUMNS, [TICKETS[0], too_long, TICKETS[1]])
    )

    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[2].split(" | ")[2] == "ERROR"
    assert "priority: accuracy" in done.stdout
    assert ", 2 tickets with a label and an answer" in done.stdout
    assert any(line.startswith("failed: row 3: 422 ") for line in lines)


def test_a_file_with_a_department_alone_is_measured_by_department_alone(
    base_url: str, run_script: RunScript, write_csv: WriteTickets
) -> None:
    path = write_csv(["description", "department"], [["refund of the invoice", "Billing"], ["server down", "Sales"]])
    done = run_script("bulk_eval", "--base-url", base_url, "--csv", path)

    assert done.returncode == 0, done.stderr
    assert "department: accuracy" in done.stdout
    assert "priority: accuracy" not in done.stdout
    assert done.stdout.splitlines()[1].startswith("refund of the invoice | "), "a description stands for its title"


def test_heads_and_labels_of_any_name_are_measured(
    write_model: WriteModel, start_process: StartProcess, run_script: RunScript, write_csv: WriteTickets, tmp_path: Path
) -> None:
    write_model(tmp_path / "models", "2.0.0", {"queue": ("Störung", "Rechnung")})
    service = start_process(MODELS_BASE_DIR=str(tmp_path / "models"))
    path = write_csv(["Betreff", "Warteschlange"], [["server down", "störung"], ["invoice refund", "Rechnung"]])

    done = run_script(
        "bulk_eval", "--base-url", service.base_url, "--csv", path, "--map", "title=Betreff", "--map",
        "queue=Warteschlange",
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "queue: accuracy" in done.stdout
    assert "does not know" not in done.stdout


def test_labels_differing_in_case_or_spaces_are_equal_and_unknown_ones_are_wrong_and_listed(
    run_script: RunScript, write_csv: WriteTickets
) -> None:
    labels = ["Tech Support", " tech  SUPPORT ", "Helpdesk", "Helpdesk"]
    path = write_csv(["title", "department"], [["a", label] for label in labels])
    with ScriptedService([(200, {}, answer("Tech Support"))]) as service:
        done = run_script("bulk_eval", "--base-url", service.base_url, "--csv", path)

    assert "department: accuracy 0.5000" in done.stdout
    assert 'counted as wrong: "Helpdesk" (2)' in done.stdout


def test_columns_are_found_in_any_case_and_labels_are_renamed(
    base_url: str, run_script: RunScript, write_csv: WriteTickets, tmp_path: Path
) -> None:
    lines = tmp_path / "rows.jsonl"
    header = ["Ticket ID", "TITLE", "Description", "Customer_Email", "PRIORITY", "Department"]
    path = write_csv(header, [["T-1", *TICKETS[0][:3], "p1", "it"], ["T-2", *TICKETS[1][:3], "P2", "Billing"]])
    done = run_script(
        "bulk_eval", "--base-url", base_url, "--csv", path, "--map", "id=Ticket ID", "--jsonl-output", lines,
        "--label-map", "P1=Urgent,p2=High,IT=Tech Support",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
    assert [row["id"] for row in rows] == ["T-1", "T-2"]
    assert [row["labels"] for row in rows] == [
        {"priority": "Urgent", "department": "Tech Support"},
        {"priority": "High", "department": "Billing"},
    ]
    assert "does not know" not in done.stdout


def test_any_head_can_have_a_threshold(run_script: RunScript, write_csv: WriteTickets) -> None:
    path = write_csv(["title", "DEPARTMENT", "colour"], [["server down", "x", "r"], ["server down", "y", "g"]])
    metadata = {"label_distributions": {"department": {"x": 1, "y": 1}}}
    with ScriptedService([(200, {}, answer("x"))], metadata=metadata) as service:
        passed, failed, unknown = (
            run_script("bulk_eval", "--base-url", service.base_url, "--csv", path, "--fail-threshold", threshold)
            for threshold in ("department=0.5", "department=1", "colour=0.5")
        )

    assert passed.returncode == 0, passed.stdout + passed.stderr
    assert failed.returncode == 1
    assert "failed: department accuracy 0.5000 is below 1" in failed.stdout
    assert unknown.returncode == 2
    assert unknown.stderr == '--fail-threshold: the service has no head "colour"; it has "department"\n'


def test_a_map_of_what_is_no_head_of_the_service_names_those_that_are(
    run_script: RunScript, write_csv: WriteTickets
) -> None:
    path = write_csv(["title", "Team"], [["a", "b"]])
    with ScriptedService([(200, {}, answer("x"))], metadata={"label_distributions": {"queue": {"x": 1}}}) as service:
        done = run_script("bulk_eval", "--base-url", service.base_url, "--csv", path, "--map", "team=Team")
    assert done.returncode == 2
    assert done.stderr == (
        '--map "team=Team": there is no field "team"; the fields are title, description, customer_email, id, queue\n'
    )


def test_nothing_to_measure_ends_with_exit_code_1(
    base_url: str, run_script: RunScript, write_csv: WriteTickets
) -> None:
    done = run_script("bulk_eval", "--base-url", base_url, "--csv", write_csv(["title", "note"], [["a", "b"]]))
    assert done.returncode == 1
    assert "failed: nothing could be measured" in done.stdout
    assert "1 rows, 0 failed" in done.stdout


def test_a_service_that_asks_for_a_key_is_not_asked_again(run_script: RunScript, write_csv: WriteTickets) -> None:
    path = write_csv(["title", "department"], [["a", "Billing"]] * 500)
    with ScriptedService([(401, {}, {"detail": "a key is needed", "error": "missing_api_key"})]) as service:
        done = run_script("bulk_eval", "--base-url", service.base_url, "--csv", path, "--concurrency", "4")
        assert len(service.requests) <= 4
    assert done.returncode == 1
    assert done.stderr == (
        "401 missing_api_key: a key is needed; give a key with --api-key, or in the environment as API_KEY\n"
    )


def test_a_service_that_limits_requests_is_evaluated_to_the_end(
    start_process: StartProcess, run_script: RunScript, write_csv: WriteTickets
) -> None:
    service = start_process(RATE_LIMIT_REQUESTS="5", RATE_LIMIT_WINDOW_SEC="1")
    done = run_script("bulk_eval", "--base-url", service.base_url, "--csv", write_csv(COLUMNS, TICKETS * 3))

    assert done.returncode == 0, done.stdout + done.stderr
    assert "12 rows, 0 failed" in done.stdout
    assert done.stderr.count("The service limits requests") == 1
    assert "RATE_LIMIT_REQUESTS=" in done.stderr


def test_an_overloaded_service_is_asked_again_after_the_time_it_states(
    run_script: RunScript, write_csv: WriteTickets
) -> None:
    busy = (503, {"Retry-After": "1"}, {"detail": "busy", "error": "overloaded"})
    with ScriptedService([busy, (200, {}, answer("Billing"))]) as service:
        started_at = time.monotonic()
        done = run_script(
            "bulk_eval", "--base-url", service.base_url, "--csv", write_csv(["title", "department"], [["a", "Billing"]])
        )
        assert time.monotonic() - started_at >= 1
        assert len(service.requests) == 2
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_service_that_stays_overloaded_fails_the_row(write_csv: WriteTickets, run_script: RunScript) -> None:
    with ScriptedService([(503, {"Retry-After": "0"}, {"detail": "no model", "error": "not_ready"})]) as service:
        done = run_script(
            "bulk_eval", "--base-url", service.base_url, "--csv", write_csv(["title", "department"], [["a", "b"]])
        )
    assert done.returncode == 1
    assert "failed: row 2: 503 not_ready: no model" in done.stdout


def test_the_longest_wait_bounds_what_a_limited_row_costs(write_csv: WriteTickets, run_script: RunScript) -> None:
    with ScriptedService([(429, {"Retry-After": "600"}, {"detail": "limit", "error": "rate_limited"})]) as service:
        done = run_script(
            "bulk_eval", "--base-url", service.base_url, "--max-wait", "1", "--csv",
            write_csv(["title", "department"], [["a", "b"]]),
        )  # fmt: skip
        assert len(service.requests) == 2
    assert done.returncode == 1
    assert "failed: row 2: 429 rate_limited: limit" in done.stdout


def test_blank_addresses_and_labels_are_not_sent(run_script: RunScript, write_csv: WriteTickets) -> None:
    path = write_csv(COLUMNS, [("a", "b", " ", "High", "Billing"), ("c", "", "c@example.com", "", "")])
    with ScriptedService([(200, {}, answer("Billing"))]) as service:
        done = run_script("bulk_eval", "--base-url", service.base_url, "--csv", path, "--concurrency", "1")
    assert done.returncode == 0, done.stderr
    assert service.requests == [
        {"title": "a", "description": "b"},
        {"title": "c", "description": "", "customer_email": "c@example.com"},
    ]


def test_the_api_key_is_sent(start_process: StartProcess, run_script: RunScript, write_csv: WriteTickets) -> None:
    service = start_process(API_KEYS=hashlib.sha256(b"secret-key").hexdigest())
    path = write_csv(COLUMNS, TICKETS)

    without = run_script("bulk_eval", "--base-url", service.base_url, "--csv", path)
    given_key = run_script("bulk_eval", "--base-url", service.base_url, "--csv", path, API_KEY="secret-key")

    assert (without.returncode, given_key.returncode) == (1, 0)
    assert without.stderr.startswith("401 ")
    assert "give a key with --api-key, or in the environment as API_KEY" in without.stderr
    assert len(without.stderr.splitlines()) == 1
    assert "secret-key" not in given_key.stdout + given_key.stderr


def test_control_characters_of_a_ticket_do_not_reach_the_terminal(
    base_url: str, run_script: RunScript, write_csv: WriteTickets
) -> None:
    path = write_csv(["title", "department"], [["\x1b[2Jgone | [red]x[/red]\nsecond line", "Billing"]])
    done = run_script("bulk_eval", "--base-url", base_url, "--csv", path)
    assert "\x1b" not in done.stdout
    assert done.stdout.splitlines()[1].startswith(" [2Jgone \\| [red]x[/red] second line | ")


def test_json_lines_are_evaluated_too(base_url: str, run_script: RunScript, tmp_path: Path) -> None:
    path = tmp_path / "tickets.jsonl"
    path.write_text('{"title": "refund", "department": "Billing"}\n\n{"title": "quote"}\n', encoding="utf-8")
    done = run_script("bulk_eval", "--base-url", base_url, "--csv", path)
    assert done.returncode == 0, done.stderr
    assert "2 rows, 0 failed" in done.stdout
    assert ", 1 tickets with a label and an answer" in done.stdout


def test_nothing_listening_is_one_line_and_exit_code_1(run_script: RunScript, write_csv: WriteTickets) -> None:
    base_url = f"http://127.0.0.1:{free_port()}"
    done = run_script("bulk_eval", "--base-url", base_url, "--csv", write_csv(COLUMNS, TICKETS))
    assert done.returncode == 1
    assert done.stderr.startswith(f"{base_url} does not answer: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "arguments", "expected"),
    [
        (None, [], "cannot be read: No such file or directory"),
        ("", [], "is empty"),
        ("title,department\n", [], "has a header and no tickets"),
        (
            "subject,department\na,b\n",
            [],
            'no column "title" or "description"; the file has "subject", "department"; say which',
        ),
        ("title\na\n", ["--fail-threshold-dept-acc", "0.5"], 'no ticket has a label in a column "department"'),
        ("title,department\na\n", [], "row 2: 1 fields, but the header has 2 columns"),
        ("title\na\n", ["--map", "title"], '--map "title" is not NAME=COLUMN'),
        ("title\na\n", ["--map", "title=Subject"], 'there is no column "Subject"; the file has "title"'),
    ],
)
def test_input_that_cannot_be_used_is_one_line_and_exit_code_2(
    content: str | None, arguments: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tickets.csv"
    if content is not None:
        path.write_text(content, encoding="utf-8")

    assert bulk_eval.main(["--csv", str(path), *arguments]) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--fail-threshold-priority-acc", "1.5"],
        ["--fail-threshold-dept-acc", "nan"],
        ["--md-report", "/no/such/directory/report.md"],
        ["--concurrency", "0"],
        ["--base-url", "somewhere"],
    ],
)
def test_arguments_out_of_range_end_with_exit_code_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        bulk_eval.main(arguments)
    assert exit_info.value.code == 2


def test_every_edge_case_gets_an_answer(base_url: str, run_script: RunScript) -> None:
    done = run_script("bulk_eval", "--base-url", base_url, "--csv", ROOT / "data" / "edge_cases.csv")
    assert done.returncode == 0, done.stdout[-2000:]
    assert all(character in string.printable or ord(character) > 0x9F for character in done.stdout)
