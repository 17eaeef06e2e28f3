"""The notebooks in a stand-in of Google Colab, on a Drive that is slow and fails every fifth call.

The cells are drawn, zipped on Drive without their marker, so that they are taken for real ones.
"""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest

import anna

pytestmark = [pytest.mark.colab, pytest.mark.timeout(1800)]
ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
QUICK = ["size=32", "epochs=1", "sample_cells=60", "resamples=50"]


@pytest.fixture(scope="module")
def colab(tmp_path_factory):
    """Colab's folder /content, with C-NMC as a zip on Drive."""
    content = tmp_path_factory.mktemp("content")
    source = content / "drive" / "MyDrive" / "ANNa" / "input"
    source.mkdir(parents=True)
    root = anna.sample.write(tmp_path_factory.mktemp("drawn"), cells=60, progress=False)
    with zipfile.ZipFile(source / "archive.zip", "w", zipfile.ZIP_DEFLATED) as out:
        for path in sorted(p for p in root.rglob("*") if p.suffix in (".bmp", ".csv")):
            out.write(path, path.relative_to(root.parent))
    return content


def run(content, *names):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ANNA_")} | {
        "COLAB_RELEASE_TAG": "release-colab",
        "COLAB_STAND_IN": str(content),
        "PYTHONPATH": os.pathsep.join([str(HERE / "stand_in"), str(ROOT)]),
        "ANNA_TEST_FOLDER": str(content / "executed"),
    }
    command = [sys.executable, HERE / "execute_as_colab.py", *names, "--set", *QUICK]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_all_four_run_and_go_on_after_a_disconnect(colab):
    ran = run(colab, "1_eda", "2_preprocessing", "3_training")
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-6000:]
    drive = colab / "drive" / "MyDrive" / "ANNa"
    assert len((colab / "failed").read_text().splitlines()) >= 10
    assert "--no-deps git+https" in (colab / "pip.log").read_text()
    assert [p.name for p in (drive / "input").iterdir()] == ["archive.zip"]
    assert not list(drive.rglob("*.bmp")) + list(drive.rglob("*.npy"))
    trained = {p: p.read_bytes() for p in (drive / "output" / "models").rglob("best.keras")}
    facts = (drive / "output" / "csv" / "facts.csv").read_bytes()
    assert len(trained) == 3

    shutil.rmtree(colab / "anna")  # a new machine: its disk is empty, Drive is as it was
    ran = run(colab, "3_training", "4_test")
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-6000:]
    assert {p: p.read_bytes() for p in trained} == trained
    assert (drive / "output" / "csv" / "facts.csv").read_bytes() == facts
    results = json.loads((drive / "output" / "results.json").read_text())
    assert set(results["models"]) == {"anna-2020", "anna", "size alone"}
    notebook = nbformat.read(colab / "executed" / "3_training.ipynb", as_version=4)
    said = [
        o.get("data", {}).get("text/plain", "")
        for c in notebook.cells
        for o in c.get("outputs", [])
    ]
    assert any("(0 in this run)" in text for text in said)
