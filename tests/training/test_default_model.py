"""The model that comes with the project is the one that ``python train.py`` makes."""

import json
import os
import platform
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import joblib
import numpy as np
import pytest
import scipy
import sklearn

from app.models.classifier import TicketClassifier
from app.models.features import join_fields
from tests.training.conftest import ROOT

COMMITTED = ROOT / "models" / "v1.0.0"
METADATA = json.loads((COMMITTED / "model_metadata.json").read_text())
LIBRARIES = {
    "python": platform.python_version(),
    "numpy": np.__version__,
    "scipy": scipy.__version__,
    "scikit-learn": sklearn.__version__,
    "joblib": joblib.__version__,
}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(METADATA["libraries"] != LIBRARIES, reason="the same bytes are promised for the same libraries")
def test_training_again_gives_the_same_bytes(tmp_path: Path) -> None:
    trained_at = datetime.fromisoformat(METADATA["trained_at"])
    done = subprocess.run(
        [sys.executable, "train.py", "--version", METADATA["version"], "--models-dir", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "SOURCE_DATE_EPOCH": str(int(trained_at.timestamp()))},
        capture_output=True,
        text=True,
        timeout=590,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    trained = tmp_path / COMMITTED.name
    assert {path.name for path in trained.iterdir()} == {path.name for path in COMMITTED.iterdir()}
    different = [path.name for path in trained.iterdir() if path.read_bytes() != (COMMITTED / path.name).read_bytes()]
    assert different == []


def test_its_scikit_learn_parts_open_and_say_what_it_says() -> None:
    title, description = "Server is down", "Main server offline, all users"
    served = TicketClassifier.load(COMMITTED).predict_proba([title], [description])

    for head, probabilities in served.items():
        vectorizer, regression = (joblib.load(COMMITTED / f"{head}_{part}.joblib") for part in ("vectorizer", "model"))
        text = join_fields(title, description)
        assert regression.predict_proba(vectorizer.transform([text])) == pytest.approx(probabilities)
