"""The insides of uvicorn that ``app.server`` builds on are those that it was written for.

They are no public interface, so a new version may change them without a word. When this fails: read what has changed
in the module that is named, adapt ``app.server``, and put the new fingerprint here.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import inspect

import pytest

FINGERPRINTS = {
    "uvicorn._subprocess": "37993bfb375b1620",
    "uvicorn.config": "9a0e61fac4ae8c5d",
    "uvicorn.protocols.http.flow_control": "5fa7d4c24c4d34ea",
    "uvicorn.protocols.http.httptools_impl": "538ae1c1854ab427",
    "uvicorn.server": "73b416f78a828c2d",
    "uvicorn.supervisors.multiprocess": "f0f3924d95bd70cc",
}


def fingerprint(module: str) -> str:
    """Return a hash of what the module does, whatever its comments say."""
    tree = ast.parse(inspect.getsource(importlib.import_module(module)))
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()[:16]


@pytest.mark.parametrize("module", FINGERPRINTS)
def test_the_insides_that_are_relied_on_have_not_changed(module: str) -> None:
    assert fingerprint(module) == FINGERPRINTS[module]
