import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_training import SIZE, network

from anna import lock, metrics, models, rounds, splits, steps, stored, tables
from anna.cli import main

FOLDS = 3


@pytest.fixture(scope="module")
def ws(tmp_path_factory, sample_root):
    """A workspace with the prepared sample; a small network takes the place of `anna`."""
    folder = tmp_path_factory.mktemp("rounds")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANNA_INPUT", str(sample_root))
        patch.setenv("ANNA_OUTPUT", str(folder))
        patch.setattr(models, "build", lambda *_, **__: network())
        found = steps.Workspace.locate()
        steps.prepare(found, size=SIZE, progress=False)
        yield found


def train(ws, fold, **options):
    return rounds.train(ws, fold, **{"folds": FOLDS, "epochs": 1, "progress": False} | options)


@pytest.fixture(scope="module")
def trained(ws):
    """Of each fold, trained in no order, its run."""
    return {fold: train(ws, fold) for fold in (2, 0, 1)}


def test_each_person_is_judged_once_by_a_network_that_has_not_seen_them(ws, trained):
    found, _ = rounds.gather(ws, folds=FOLDS, resamples=0)
    cells = steps.prepared(ws, progress=False).cells
    expected = cells[cells["role"].isin(["train", "valid"])]
    assert sorted(found["name"]) == sorted(expected["name"])
    assert found["fold"].nunique() == FOLDS
    for fold, part in found.groupby("fold"):
        split = tables.read(trained[fold].folder / "split.csv")
        taught = split.loc[split["role"].isin(["train", "valid"]), "group"]
        assert not set(part["group"]) & set(taught)
        assert (part["threshold"] == part["threshold"].iloc[0]).all()
        assert part["probability"].notna().all()
    kept = tables.read(ws.csv / "out of fold anna.csv")
    pd.testing.assert_frame_equal(kept, found, check_dtype=False)


def test_a_fold_that_is_done_is_not_done_again(ws, trained):
    judged = trained[1].folder / "judged.csv"
    before = judged.stat().st_mtime_ns
    assert train(ws, 1).new_epochs == 0
    assert judged.stat().st_mtime_ns == before
    judged.unlink()  # killed between the training and the judging
    with pytest.raises(FileNotFoundError, match=r"--fold N --folds 3.*Missing: \[1\]"):
        rounds.gather(ws, folds=FOLDS)
    assert train(ws, 1).new_epochs == 0
    assert judged.is_file()


def test_what_another_network_said_does_not_count(ws, trained):
    judged = trained[0].folder / "judged.csv"
    right = judged.read_bytes()
    tables.write(tables.read(judged).assign(network="another"), judged)
    with pytest.raises(FileNotFoundError, match=r"Missing: \[0\]"):
        rounds.gather(ws, folds=FOLDS)
    train(ws, 0)
    assert judged.read_bytes() == right


@pytest.mark.parametrize("other", ["learning_rate", "epochs"])
def test_folds_with_other_settings_are_not_scored_together(ws, trained, other):
    path = trained[2].folder / "last.keras"
    right, about = path.read_bytes(), stored.record(path)
    place, key = (about, "asked") if other == "epochs" else (about["settings"], other)
    place[key] *= 2
    stored.save(stored.load(path), path, about)
    try:
        with pytest.raises(ValueError, match=f"Received: other {other} in"):
            rounds.gather(ws, folds=FOLDS)
    finally:
        path.write_bytes(right)


def test_folds_of_an_early_version_are_scored(ws, trained):
    """They named their data in another way, and did not tell how many epochs were asked for."""
    paths = [run.folder / "last.keras" for run in trained.values()]
    before = {path: path.read_bytes() for path in paths}
    try:
        for path in paths:
            about = stored.record(path)
            del about["asked"]
            about["settings"]["data"] = about["settings"].pop("cells")
            stored.save(stored.load(path), path, about)
        assert len(rounds.gather(ws, folds=FOLDS)[0])
    finally:
        for path, content in before.items():
            path.write_bytes(content)


def test_folds_of_another_split_are_not_scored(ws, trained, monkeypatch):
    data = steps.prepared(ws, progress=False)
    other = steps.Prepared(data.cells, data.pixels, data.settings | {"seed": 1})
    monkeypatch.setattr(steps, "prepared", lambda *_, **__: other)
    with pytest.raises(splits.LeakError, match="train it again"):
        rounds.gather(ws, folds=FOLDS)


def test_the_same_fold_is_not_trained_by_two_at_once_but_another_is(ws, trained):
    folder = trained[0].folder
    with lock.alone(folder.with_name(f".{folder.name}.lock"), wait=False):
        with pytest.raises(lock.BusyError, match=str(os.getpid())):
            train(ws, 0)
        assert train(ws, 1).new_epochs == 0


def test_a_fold_that_is_not_there_is_refused(ws):
    with pytest.raises(ValueError, match=r"fold must be 0 to 2\. Received: 3"):
        train(ws, 3)


def test_each_fold_is_called_by_its_own_threshold():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 200)
    found = pd.DataFrame({"label": label, "group": [f"{i % 10}-{v}" for i, v in enumerate(label)]})
    found["probability"] = (rng.normal(label, 0.7) + 2).clip(0, 5) / 5
    found["threshold"] = np.where(np.arange(200) < 100, 0.3, 0.6)
    found.loc[0, "probability"] = np.nan
    scores = rounds.pooled(found, resamples=20)
    sound = found.dropna()
    called = (sound["probability"] >= sound["threshold"]) == (sound["label"] == 1)
    assert scores.loc["accuracy", "value"] == pytest.approx(called.mean())
    alone = metrics.evaluate(found, 0.5, resamples=20)
    pd.testing.assert_series_equal(scores.loc["auc"], alone.loc["auc"])
    assert scores.loc["accuracy", "value"] != pytest.approx(alone.loc["accuracy", "value"])
    assert scores.loc["accuracy", "low"] < called.mean() < scores.loc["accuracy", "high"]
    assert scores.attrs["left_out"] == 1


def test_the_command_line_trains_a_fold_and_gathers(ws, trained, capsys):
    command = ["train", "--fold", "2", "--folds", str(FOLDS), "--epochs", "1", "--quiet"]
    assert main(command) == 0
    assert "1 epochs, 0 of them now" in capsys.readouterr().out
    assert main(["gather", "--folds", str(FOLDS), "--resamples", "20", "--quiet"]) == 0
    told = capsys.readouterr().out
    assert "anna, " in told
    assert "people out of fold: weighted_f1 0." in told


@pytest.mark.skipif(not find_spec("ray"), reason="Ray is not installed (the extra cluster)")
def test_rounds_on_ray_go_on_where_they_were(ws):
    script = Path(__file__).resolve().parents[1] / "src" / "rounds_on_ray.py"
    command = [sys.executable, script, "on-ray:epochs=1,learning_rate=0.002", "--folds", f"{FOLDS}"]
    first, again = (
        subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        for _ in range(2)
    )
    for fold in range(FOLDS):
        assert f"on-ray, fold {fold}: 1 epochs now, epoch 1 of 1 kept" in first
        assert f"on-ray, fold {fold}: 0 epochs now, epoch 1 of 1 kept" in again
    assert first.splitlines()[-1] == again.splitlines()[-1]
    assert first.splitlines()[-1].startswith("on-ray: AUC 0.")
