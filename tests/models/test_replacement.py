"""Writing a version over another one loses neither, wherever it fails and whatever kills it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Writes version 1.0.0 twice, in a process that meets ``sys.argv[1]`` at each of the steps of the second time in turn:
# it is killed there, or the step fails. A new process each time then says what it finds. An old C library is one
# without ``renameat2``.
EACH_STEP = """
import json, os, signal, sys
from pathlib import Path
from app.models.artifacts import list_versions, read_manifest, read_verified, verify, write_version

fate, library, base_dir = sys.argv[1:]
STEPS = ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree", "ctypes.dlsym")

def in_child(work):
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(write, json.dumps(work()).encode())
        os._exit(0)
    os.close(write)
    said = b"".join(iter(lambda: os.read(read, 4096), b""))
    os.close(read)
    return json.loads(said) if os.waitpid(pid, 0)[1] == 0 else None

def replace(directory, fatal_step):
    steps = []
    def meet(event, arguments):
        if event == "ctypes.dlsym" and library == "old" and arguments[1] == "renameat2":
            raise AttributeError("renameat2")
        if event in STEPS:
            steps.append(event)
            if len(steps) == fatal_step:
                if fate == "killed":
                    os.kill(os.getpid(), signal.SIGKILL)
                raise OSError(f"{event} failed")
    sys.addaudithook(meet)
    try:
        write_version(directory, {"a.txt": b"new"}, force=True)
    except OSError:
        pass
    return len(steps) < fatal_step

def look(base_dir):
    found = {}
    for version in list_versions(base_dir):
        directory = base_dir / version.directory_name
        verify(directory)
        found[str(version)] = bytes(read_verified(directory, read_manifest(directory), "a.txt")).decode()
    return found

step, is_over, outcomes = 0, False, []
while not is_over:
    step += 1
    directory = Path(base_dir, str(step), "v1.0.0")
    write_version(directory, {"a.txt": b"old"})
    is_over = in_child(lambda: replace(directory, step))
    outcomes.append(in_child(lambda: look(directory.parent)))
    write_version(directory, {"a.txt": b"newest"}, force=True)
    assert look(directory.parent) == {"1.0.0": "newest"}
    assert [path.name for path in directory.parent.iterdir()] == ["v1.0.0"], "the next writer clears up"
print(json.dumps(outcomes))
"""


@pytest.mark.parametrize("library", ["new", "old"])
@pytest.mark.parametrize("fate", ["killed", "failing"])
def test_at_every_step_of_a_replacement_there_is_the_old_version_or_the_new_one(
    fate: str, library: str, tmp_path: Path
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", EACH_STEP, fate, library, str(tmp_path)], cwd=ROOT, capture_output=True, check=False
    )

    assert ended.returncode == 0, ended.stderr.decode()
    outcomes = json.loads(ended.stdout)
    assert [found for found in outcomes if found not in ({"1.0.0": "old"}, {"1.0.0": "new"})] == []
    assert outcomes[-1] == {"1.0.0": "new"}
    assert {"1.0.0": "old"} in outcomes
