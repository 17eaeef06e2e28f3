"""Kill -9 in the middle of training: no worse best network, and the same end as without it."""

import json
import math
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_training import cells_and_pixels, network

from anna import models, training

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9 here")
MOMENTS = ["batch", ("last.keras", 1), ("best.keras", 2), ("last.keras", 2)]


def fit(folder):
    cells, pixels = cells_and_pixels()
    return training.fit(
        network(), pixels, cells, folder=folder, epochs=2, batch_size=16, progress=False
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return fit(tmp_path_factory.mktemp("undisturbed") / "run")


@pytest.fixture(scope="module")
def dead(tmp_path_factory):
    """The folders of trainings that were killed, by moment."""
    root = tmp_path_factory.mktemp("dead")
    folders = [root / str(number) / "run" for number in range(len(MOMENTS))]
    given = json.dumps(list(zip(map(str, folders), MOMENTS, strict=True)))
    command = [sys.executable, Path(__file__).with_name("deaths.py"), given]
    paths = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=paths, capture_output=True, text=True, check=False)
    expected = [-signal.SIGKILL] * len(MOMENTS)
    assert done.stdout.splitlines()[-1] == str(expected), done.stdout + done.stderr
    return dict(zip(MOMENTS, folders, strict=True))


def networks(folder):
    """The records of the networks that are there, each of them whole."""
    found = {}
    for path in folder.glob("*.keras"):
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
        found[path.name] = models.record(path)
    return found


@pytest.mark.parametrize("moment", MOMENTS, ids=str)
def test_killed_while_training_it_ends_as_undisturbed(dead, undisturbed, moment):
    folder = dead[moment]
    before = networks(folder)
    epochs = len(before.get("last.keras", {}).get("history", []))
    assert epochs == (moment in ("batch", ("best.keras", 2), ("last.keras", 2)))
    best = before.get("best.keras", {"val_loss": math.inf})["val_loss"]
    run = fit(folder)
    assert run.new_epochs == 2 - epochs
    pd.testing.assert_frame_equal(run.history, undisturbed.history, rtol=1e-3)
    pairs = zip(run.model.get_weights(), undisturbed.model.get_weights(), strict=True)
    for one, other in pairs:
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)
    assert networks(folder)["best.keras"]["val_loss"] == run.history["val_loss"].min() <= best
    assert not list(folder.glob(".*"))
    assert [path.name for path in folder.parent.iterdir()] == ["run"]
