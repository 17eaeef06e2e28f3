import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from pages import check_page

import anna
from anna.cli import main

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("1_eda", "2_preprocessing", "3_training", "4_test")
QUICK = ["size=32", "epochs=1", "sample_cells=60", "resamples=50"]  # as few as will do


def run(tmp_path, *arguments):
    places = {"ANNA_INPUT": "input", "ANNA_OUTPUT": "output"}  # relative to where one stands
    settings = [] if "--set" in arguments else ["--set", *QUICK]
    command = [sys.executable, ROOT / "notebooks" / "execute.py", *arguments, *settings]
    return subprocess.run(
        command, cwd=tmp_path, env=os.environ | places, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", NAMES)
def test_how_a_notebook_reads(name):
    cells = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4).cells
    assert cells[0].source.startswith(f"# {name[0]}. ")
    assert f"notebooks/{name}.ipynb" in cells[0].source
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert len(code) <= 25
    assert not any(cell.outputs or cell.execution_count for cell in code)
    assert sum("parameters" in cell.metadata.get("tags", []) for cell in code) == 1
    assert "COLAB_RELEASE_TAG" in code[0].source
    for place, cell in enumerate(code[1:]):
        assert len(cell.source.splitlines()) <= 15
        nodes = list(ast.walk(ast.parse(cell.source)))
        assert not any(isinstance(n, ast.FunctionDef | ast.ClassDef | ast.Lambda) for n in nodes)
        imports = any(isinstance(n, ast.Import | ast.ImportFrom) for n in nodes)
        assert imports == (place == 0)


def test_all_four_run_on_the_sample_and_again_without_redoing_work(tmp_path):
    (tmp_path / "input").mkdir()
    first = run(tmp_path)
    assert first.returncode == 0, first.stdout + first.stderr
    output = tmp_path / "output"
    for name in NAMES:
        assert f"{name}: done" in first.stdout
        assert (output / "notebooks" / f"{name}.html").stat().st_size > 100_000
        notebook = nbformat.read(output / "notebooks" / f"{name}.ipynb", as_version=4)
        kinds = [o.output_type for c in notebook.cells for o in c.get("outputs", [])]
        assert "error" not in kinds
        assert "stream" not in kinds or name == "3_training"
    results = json.loads((output / "results.json").read_text())
    assert results["drawn"] is True
    assert set(results["models"]) == {"anna-2020", "anna", "size alone"}
    assert "not real" in (output / "model_card.md").read_text()
    for each in ("results", "model_card"):
        anna.schemas.read(output / f"{each}.json", each)
    assert "Drawn cells, not real" in check_page(output / "report.html")
    check_results(output, results)
    kept = {path: path.stat().st_mtime_ns for path in work_of(output)}
    assert len(kept) >= 8
    second = run(tmp_path, *NAMES[:3])
    assert second.returncode == 0, second.stdout + second.stderr
    assert {path: path.stat().st_mtime_ns for path in work_of(output)} == kept


def work_of(output):
    """Returns the files that take work to make."""
    trained = (output / "models").rglob("*.keras")
    return [*trained, *(output / "arrays").glob("*.npy"), output / "csv" / "facts.csv"]


def check_results(output, results):
    """The scores on paper are those of the predictions on disk, and no person leaks."""
    cells = anna.tables.read(output / "csv" / "prepared.csv")
    anna.splits.check(cells)
    for name, model in results["models"].items():
        found = anna.tables.read(output / "csv" / f"predictions {name}.csv")
        valid, test = found[found["role"] == "valid"], found[found["role"] == "test"]
        threshold = anna.metrics.choose_threshold(valid, margin=1)
        assert model["threshold"] == pytest.approx(threshold)
        again = anna.metrics.evaluate(test, threshold, resamples=0)["value"]
        assert model["scores"]["weighted_f1"]["value"] == pytest.approx(again["weighted_f1"])
    patients = pd.read_csv(output / "csv" / "training_patients.csv")
    assert patients["cells"].sum() == (cells["split"] == "train").sum()


def test_one_fold_alone_runs_to_the_end_and_commands_train_for_notebooks(tmp_path, monkeypatch):
    root = anna.sample.write(tmp_path / "input", cells=300, progress=False)
    indexed = anna.cnmc.index(root)
    people = anna.splits.groups(indexed).groupby([indexed["fold"], indexed["label"]]).nunique()
    fold = people.unstack().min(axis=1).idxmax()
    assert people.unstack().min(axis=1).max() >= 3
    gone = [f"training_data/fold_{n}" for n in {0, 1, 2} - {fold}]
    for part in ("validation_data", "testing_data", *gone):
        (root / part).rename(tmp_path / part.replace("/", "_"))
    ran = run(tmp_path, "1_eda", "2_preprocessing")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    monkeypatch.setenv("ANNA_INPUT", str(tmp_path / "input"))
    monkeypatch.setenv("ANNA_OUTPUT", str(tmp_path / "output"))
    for network in anna.steps.NETWORKS:
        assert main(["train", "--network", network, "--epochs", "1", "--quiet"]) == 0
    ran = run(tmp_path, "4_test")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    results = json.loads((tmp_path / "output" / "results.json").read_text())
    assert results["data"]["tested on"] == "people held out of the training set"
    cells = anna.tables.read(tmp_path / "output" / "csv" / "prepared.csv")
    assert set(cells["role"]) == {"train", "valid", "test"}


def test_a_failing_cell_is_told_and_kept(tmp_path):
    (tmp_path / "input").mkdir()
    ran = run(tmp_path, "2_preprocessing")
    assert ran.returncode == 1
    assert "Run the notebook before this one" in ran.stdout
    assert "cells.csv" in (tmp_path / "output" / "notebooks" / "2_preprocessing.html").read_text()


def test_a_misspelt_setting_is_told(tmp_path):
    (tmp_path / "input").mkdir()
    ran = run(tmp_path, "--set", "epoch=3")
    assert ran.returncode == 2
    assert "epochs" in ran.stderr
    assert "epoch=3" in ran.stderr


def test_settings_are_put_after_those_of_the_notebook(execute):
    cell = nbformat.v4.new_code_cell("size = 128  # pixels\nseed = 0")
    cell.metadata["tags"] = ["parameters"]
    notebook = nbformat.v4.new_notebook(cells=[cell, nbformat.v4.new_code_cell("size")])
    execute.set_parameters(notebook, {"size": 64, "epochs": 3})
    assert [c.source for c in notebook.cells[1:]] == ["size = 64", "size"]
    assert [execute.value_of(t) for t in ("3", "0.5", "None", "abc")] == [
        3,
        0.5,
        None,
        "abc",
    ]


def test_bars_become_text(execute):
    states = {
        "bar": {"state": {"children": ["IPY_MODEL_a", "IPY_MODEL_b", "IPY_MODEL_c"]}},
        "a": {"state": {"value": "reading: 100%"}},
        "b": {"state": {"value": 3.0}},
        "c": {"state": {"value": " 3/3 [00:01&lt;00:00]"}},
    }
    view = {execute.WIDGET: {"model_id": "bar"}, "text/plain": "reading: 0%"}
    output = nbformat.v4.new_output("display_data", view)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x", outputs=[output])])
    key = "application/vnd.jupyter.widget-state+json"
    notebook.metadata["widgets"] = {key: {"state": states}}
    execute.freeze_bars(notebook)
    assert notebook.cells[0].outputs[0].data == {"text/plain": "reading: 100% 3/3 [00:01<00:00]"}
    assert "widgets" not in notebook.metadata


def test_no_notebook_looks_at_the_working_directory():
    for name in NAMES:
        text = (ROOT / "notebooks" / f"{name}.ipynb").read_text()
        assert not re.search(r"os\.getcwd|Path\.cwd|\.\./input", text)
