"""Measurements, in a process that may be measured for its coverage as well."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def undisturbed() -> Iterator[None]:
    """Take away what slows down our own code more than what it is compared with.

    That is the tracer of the coverage, and the objects of all other tests, which the collector would look through; the
    server freezes what is there when it starts, too.
    """
    tracer = sys.gettrace()
    sys.settrace(None)
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
    sys.settrace(tracer)
