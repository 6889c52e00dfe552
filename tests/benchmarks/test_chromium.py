from __future__ import annotations

import psutil
import pytest

from benchmarks.chromium import missing, running_chromium


@pytest.mark.slow
def test_no_process_is_left_of_a_browser() -> None:
    if (reason := missing()) is not None:
        pytest.skip(reason)
    me = psutil.Process()
    before = set(me.children(recursive=True))

    with running_chromium() as browser:
        browser.new_page().goto("about:blank")
        started = set(me.children(recursive=True)) - before

    assert len(started) > 2
    assert psutil.wait_procs(started, timeout=10)[1] == []
