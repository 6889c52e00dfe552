"""``CONNECTORS_FILE``: what is wrong in it is said in one line with file, table and key, and never with a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.connectors.connector import Connector
from app.connectors.connector_file import ConnectorFileError, connectors_or_exit, read_connectors

CANARY = "canary-5d0c-secret"
ENVIRONMENT = {
    "DESK_SECRET": CANARY,
    "NEW_SECRET": f"{CANARY}-2",
    "DESK_TOKEN": f"{CANARY}-token",
    "SHORT": "canary",
    "BLANK_AT_END": f"{CANARY} ",
    "NOT_ASCII": f"{CANARY}-ä",
    "TWO_LINES": f"{CANARY}\n",
    "EMPTY": "",
}
NO_HOST = "desk\\n.com"
LISTENING = 'type = "generic"\nsecret_env = "DESK_SECRET"\n'
API = 'api_url = "https://desk.example.com"\napi_token_env = "DESK_TOKEN"\n'


def read(directory: Path, text: str) -> tuple[Connector, ...]:
    path = directory / "connectors.toml"
    path.write_text(text, encoding="utf-8")
    return read_connectors(path, ENVIRONMENT)


def test_a_table_becomes_a_connector(tmp_path: Path) -> None:
    (connector,) = read(
        tmp_path,
        f"""
[desk-eu]
type = "generic"
secret_env = "NEW_SECRET, DESK_SECRET"
{API}
write = ["priority", "team"]
on_suggest = "note"
allow_from = ["203.0.113.0/24", "::1"]
not_people = ["bot"]
calls_per_minute = 30
look_seconds = 0
dry_run = true
unset.priority = ["normal", 2]
[desk-eu.labels.priority]
High = 3
[desk-eu.fields]
team = "group_id"
""",
    )

    assert (connector.name, connector.secret_names) == ("desk-eu", ("NEW_SECRET", "DESK_SECRET"))
    assert connector.secrets == (f"{CANARY}-2".encode(), CANARY.encode())
    assert (connector.api_url, connector.api_token) == ("https://desk.example.com", f"{CANARY}-token")
    assert connector.words == {"priority": {"High": "3"}}
    assert connector.unset["priority"] == (None, "normal", "2")
    assert connector.helpdesk.options.fields["team"] == "group_id"
    assert (connector.calls_per_minute, connector.look_seconds, connector.dry_run) == (30, 0, True)
    assert CANARY not in repr(connector)


def test_no_table_is_no_connector(tmp_path: Path) -> None:
    assert read(tmp_path, "") == ()


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('type = "generic"', "secret_env is missing"),
        (f'type = "generic"\nsecret_env = "{CANARY}"', "secret_env must name environment variables"),
        (f'type = "generic"\nsecret_env = "{CANARY.replace("-", "")}"', "secret_env must name environment variables"),
        (f'type = "generic"\nsecret_env = ["{CANARY}"]', "secret_env must be text"),
        ('type = "generic"\nsecret_env = ""', "secret_env must be text"),
        ('type = "generic"\nsecret_env = " , "', "secret_env is missing"),
        ('type = "generic"\nsecret_env = "NOWHERE"', "environment variable NOWHERE is not set; .env is not read"),
        ('type = "generic"\nsecret_env = "EMPTY"', "secret_env: the environment variable EMPTY is not set"),
        ('type = "generic"\nsecret_env = "SHORT"', "secret_env: the environment variable SHORT has a secret of less"),
        ('type = "generic"\nsecret_env = "NOT_ASCII"', "NOT_ASCII has characters that no header can carry"),
        ('type = "generic"\nsecret_env = "TWO_LINES"', "TWO_LINES has characters that no header can carry"),
        ('type = "generic"\nsecret_env = "BLANK_AT_END"', "BLANK_AT_END has characters that no header can carry"),
        (f'{LISTENING}secret = "{CANARY}"', "secret is not a key of this table: is secret_env meant?"),
        (f'{LISTENING}{API}api_token = "{CANARY}"', "api_token is not a key of this table: is api_token_env meant?"),
        (f'{LISTENING}api_url = "https://desk.example.com"', "api_url and api_token_env belong together"),
        (f'{LISTENING}api_token_env = "DESK_TOKEN"', "api_url and api_token_env belong together"),
        (f"{LISTENING}{API.replace('DESK_TOKEN', 'DESK_TOKEN,EMPTY')}", "api_token_env names one variable"),
        (
            f"{LISTENING}{API.replace('DESK_TOKEN', 'EMPTY')}",
            "api_token_env: the environment variable EMPTY",
        ),
        (f"{LISTENING}{API.replace('DESK_TOKEN', CANARY)}", "api_token_env must name environment variables"),
        (f"{LISTENING}{API.replace('https://', f'https://mia:{CANARY}@')}", "api_url must be an address"),
        (f"{LISTENING}{API.replace('https://', f'https://:{CANARY}@')}", "api_url must be an address"),
        (f"{LISTENING}{API.replace('https://', f'http://:{CANARY}@')}", "api_url must be an address"),
        (f"{LISTENING}{API.replace('.com', f'.com/?token={CANARY}')}", "api_url must be an address"),
        (
            f"{LISTENING}{API.replace('https://desk', 'http://desk')}",
            "api_url 'http://desk.example.com' must",
        ),
        (f"{LISTENING}{API.replace('https', 'ftp')}", "without a password in it, not 'ftp://desk.example.com'"),
        (f"{LISTENING}{API.replace('.com', '.com:99999')}", "api_url must be an address"),
        (f"{LISTENING}{API.replace('desk.example.com', '[::1')}", "api_url must be an address"),
        (f"{LISTENING}{API.replace('desk.example.com', NO_HOST)}", "api_url must be an address"),
        (f"{LISTENING}api_url = 7", "api_url must be text, not 7"),
        (f'{LISTENING}write = ["priority"]', "write needs api_url and api_token_env"),
        (f'{LISTENING}{API}write = ["language"]', "fields.language is missing"),
        (f'{LISTENING}{API}write = "priority"', "write must be a list of texts, not 'priority'"),
        (f'{LISTENING}{API}write = [""]', "write must be a list of texts, not ['']"),
        (f'{LISTENING}on_suggest = "mail"', "on_suggest must be nothing or note, not 'mail'"),
        (f"{LISTENING}labels = 7", "labels must be a table, not 7"),
        (f'{LISTENING}labels.priority = "High"', "labels.priority must be a table, not 'High'"),
        (f"{LISTENING}labels.priority.High = 1.5", "labels.priority.High must be text or a whole number, not 1.5"),
        (f"{LISTENING}labels.priority.High = true", "labels.priority.High must be text or a whole number, not True"),
        (f'{LISTENING}labels.priority.High = ""', "labels.priority.High must be text or a whole number, not ''"),
        (f'{LISTENING}unset.priority = "normal"', "unset.priority must be a list of values, not 'normal'"),
        (f"{LISTENING}unset.priority = [[]]", "unset.priority must be text or a whole number, not []"),
        (f"{LISTENING}fields.priority = []", "fields.priority must be text or a whole number, not []"),
        (f'{LISTENING}allow_from = ["10.0.0.0/33"]', "allow_from '10.0.0.0/33' is not an address or a network"),
        (f"{LISTENING}allow_from = [10]", "allow_from must be a list of texts, not [10]"),
        (f"{LISTENING}calls_per_minute = 0", "calls_per_minute must be a whole number from 1 to 100000, not 0"),
        (f"{LISTENING}calls_per_minute = true", "calls_per_minute must be a whole number from 1 to 100000, not True"),
        (f"{LISTENING}look_seconds = 1", "look_seconds must be a whole number from 2 to 86400, or 0, not 1"),
        (f'{LISTENING}dry_run = "yes"', "dry_run must be true or false, not 'yes'"),
        (f'{LISTENING}signature = "md5"', 'signature "md5" is none of'),
        (f'{LISTENING}pointers.id = "id"', "pointers.id must begin with a slash"),
        (f"{LISTENING}pointers = 7", "pointers must be a table of texts"),
        (f'{LISTENING}api.delete = "/x"', "api.delete is none of"),
        (f'{LISTENING}api.read = "tickets/{{id}}"', 'api.read "tickets/{id}" must begin with a slash'),
        (f'{LISTENING}api.note = "/notes"', 'api.note "/notes" must have {id} where'),
        (f'{LISTENING}api.method = "GET"', 'api.method "GET" is none of'),
        (f"{LISTENING}closed = 7", "closed must be a list"),
        ('secret_env = "DESK_SECRET"', "type is missing"),
        ('type = "remedy"\nsecret_env = "DESK_SECRET"', 'type "remedy" is none of'),
        ("type = 7", "type must be text, not 7"),
    ],
)
def test_what_is_wrong_in_a_table_is_said_with_file_table_and_key(tmp_path: Path, table: str, said: str) -> None:
    with pytest.raises(ConnectorFileError) as caught:
        read(tmp_path, f"[desk]\n{table}\n")

    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'connectors.toml'}: [desk] ")
    assert said in message
    assert CANARY not in message
    assert CANARY.replace("-", "") not in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f'secret_env = "{CANARY}"\n', "[secret_env] must be a table"),
        ("[Desk]\n", "[Desk] a name has lower-case letters"),
        ('["a\\nb"]\n', "[a\\nb] a name has lower-case letters"),
        (f'[desk]\nsecret_env = {CANARY}"\n', "line 2"),
        ("[desk]\n[desk]\n", "line 2"),
        ("[desk\n", "is not TOML: Expected"),
    ],
)
def test_what_is_wrong_with_the_file_is_said_and_where(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConnectorFileError) as caught:
        read(tmp_path, text)

    assert str(caught.value).startswith(f"{tmp_path / 'connectors.toml'}: ")
    assert said in str(caught.value)
    assert CANARY not in str(caught.value)


def test_a_file_that_is_not_there_or_not_text_is_said(tmp_path: Path) -> None:
    (tmp_path / "connectors.toml").write_bytes(b"\xff")
    for path, said in {
        tmp_path / "connectors.toml": "is not UTF-8 at byte 1: save it as UTF-8",
        tmp_path / "none.toml": "cannot be read: No such file or directory",
        tmp_path: "cannot be read: Is a directory",
    }.items():
        with pytest.raises(ConnectorFileError) as caught:
            read_connectors(path, ENVIRONMENT)
        assert str(caught.value) == f"{path}: {said}"


def test_a_start_with_a_wrong_file_ends_with_one_line_and_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "connectors.toml"
    path.write_text("[desk]\n", encoding="utf-8")

    with pytest.raises(SystemExit) as caught:
        connectors_or_exit(path)

    assert caught.value.code == 2
    assert capsys.readouterr().err == f"CONNECTORS_FILE {path}: [desk] type is missing\n"
