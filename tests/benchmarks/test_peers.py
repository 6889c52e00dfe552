"""The command that measures other model servers, as far as it goes without them."""

import pytest

from benchmarks.peer_process import PEERS
from benchmarks.peers import main


def test_the_peers_are_listed_with_their_versions(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0

    listed = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [name for name, _ in listed] == ["mlserver", "bentoml", "litserve"]
    assert [version for _, version in listed] == [peer.version for peer in PEERS.values()]


@pytest.mark.parametrize("arguments", [["--only", "tritonserver"], ["--rounds", "0"]])
def test_an_unknown_peer_or_no_rounds_ends_with_exit_code_2_and_quotes_the_value(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    assert f"'{arguments[1]}'" in capsys.readouterr().err
