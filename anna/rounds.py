"""Cross-validation as jobs: each fold is trained by itself, anywhere; then all are scored together.

Every job is one call that goes on where it was stopped, in a folder of its own, so that any queue
can hand them out: a shell, SLURM's arrays, Ray. The test set stays closed.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd

from anna import (
    bootstrap,
    metrics,
    models,
    predict,
    recipe,
    runs,
    splits,
    steps,
    tables,
    training,
)
from anna.devices import spread
from anna.stored import record
from anna.workspace import Workspace, digest

_DATA = ("cells", "data")  # what tells a run's cells; the latter is of early versions


def train(
    ws: Workspace,
    fold: int,
    *,
    folds: int = 5,
    network: str = "anna",
    name: str | None = None,
    devices: int | str = 1,
    progress: bool = True,
    **options,
) -> training.Run:
    """Returns the training without the people of one fold, who are then judged: `judged.csv`.

    Whose fold a person is in follows from what was prepared, and from `folds`. Several folds may be
    trained at the same time, on one disk; the same one may not.

    Args:
        ws: Where `anna.steps.prepare` was.
        fold: 0 to folds-1.
        folds: How many there are.
        network: One of `anna.steps.NETWORKS`.
        name: Of this round among others, such as those of a sweep; by default the network's.
        devices: As of `anna.devices.spread`.
        progress: Whether to show bars.
        **options: Of `anna.training.fit`, such as `epochs`, `learning_rate` and `seed`.

    Raises:
        FileNotFoundError: If nothing was prepared.
        ValueError: If there is no such fold, or fewer than `folds` people of a class.
        anna.lock.BusyError: If another process is training this fold.
    """
    if not 0 <= fold < folds:
        raise ValueError(f"fold must be 0 to {folds - 1}. Received: {fold}")
    data = steps.prepared(ws, progress=progress)
    cells = next(islice(_rotations(data, folds), fold, None))
    size, crop = data.settings["size"], data.settings["crop"]
    options = recipe.of(network) | options
    folder = _folder(ws, name or network, folds, fold)
    with spread(devices):
        model = models.build(network, size, crop=crop, seed=options.get("seed", 0))
        run = training.fit(model, data.pixels, cells, folder=folder, progress=progress, **options)
        if not _current(folder):
            _judge(run, data.pixels, cells, progress=progress)
    return run


def gather(
    ws: Workspace,
    name: str = "anna",
    *,
    folds: int = 5,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Returns what the folds' networks say of the people they have not seen, and its scores.

    The predictions have a row a cell of role "train" or "valid", with `fold` and `threshold`, which
    the validation people of the fold gave. A cell is called by the threshold of its fold; AUC,
    average precision, Brier score and calibration error are of the probabilities as they are. Both
    are written to `csv/`.

    Args:
        ws: Where the folds were trained.
        name: Of the round.
        folds: How many there are.
        resamples: As in `anna.metrics.evaluate`.
        seed: As in `anna.metrics.evaluate`.

    Raises:
        FileNotFoundError: If a fold is not trained to its end; the message names all such.
        anna.splits.LeakError: If one has learnt from another split of the people.
        ValueError: If not all were trained with the same settings.
    """
    data = steps.prepared(ws, progress=False)
    folders = [_folder(ws, name, folds, fold) for fold in range(folds)]
    if missing := [fold for fold, folder in enumerate(folders) if not _current(folder)]:
        raise FileNotFoundError(
            f"All folds are needed; `anna train --fold N --folds {folds}` trains one. "
            f"Missing: {missing} in {folders[0].parent}"
        )
    for folder, cells in zip(folders, _rotations(data, folds), strict=True):
        runs.check(folder, cells, data.pixels)
    _check_alike(folders)
    parts = [tables.read(folder / "judged.csv") for folder in folders]
    found = pd.concat(parts, ignore_index=True).drop(columns="network")
    scores = pooled(found, resamples=resamples, seed=seed)
    tables.write(found, ws.csv / f"out of fold {name}.csv")
    tables.write(scores.reset_index(), ws.csv / f"out of fold {name} scores.csv")
    return found, scores


def pooled(found: pd.DataFrame, **options) -> pd.DataFrame:
    """Returns the scores of predictions of which each has its own `threshold`.

    Args:
        found: As `anna.metrics.evaluate` takes it, with `threshold`, float in 0..1.
        **options: Of `anna.metrics.evaluate`.
    """
    called = (found["probability"] >= found["threshold"]).astype(float)
    called = found.assign(probability=called.where(found["probability"].notna()))
    scores = metrics.evaluate(found, **options)
    counted = list(bootstrap.COUNTED)
    scores.loc[counted] = metrics.evaluate(called, **options).loc[counted]
    scores.attrs["threshold"] = None
    return scores


def _folder(ws: Workspace, name: str, folds: int, fold: int) -> Path:
    return ws.models / f"{name} in {folds} folds" / f"fold-{fold}"


def _rotations(data: steps.Prepared, folds: int):
    settings = {key: data.settings[key] for key in ("seed", "valid")}
    return splits.rotations(data.cells, k=folds, **settings)


def _judge(run: training.Run, pixels: np.ndarray, cells: pd.DataFrame, *, progress: bool) -> None:
    """Writes what the network says of its test people, called by its validation people."""
    rows = np.flatnonzero(cells["role"].isin(["valid", "test"]))
    found = predict.cells(run.model, pixels[rows], cells.iloc[rows], progress=progress)
    threshold = metrics.choose_threshold(found[found["role"] == "valid"], margin=1)
    tested = found[found["role"] == "test"].assign(
        fold=int(run.folder.name.rpartition("-")[2]),
        threshold=threshold,
        network=digest(run.folder / "best.keras"),
    )
    tables.write(tested, run.folder / "judged.csv")


def _current(folder: Path) -> bool:
    """Returns whether the network that is kept now has judged its test people."""
    try:
        judged = tables.read(folder / "judged.csv")
        return (judged["network"] == digest(folder / "best.keras")).all()
    except FileNotFoundError:
        return False


def _check_alike(folders: list[Path]) -> None:
    """Checks that runs differ in their data alone."""
    made = []
    for folder in folders:
        about = record(folder / "last.keras")
        settings = dict(about["settings"])
        settings["epochs"] = about.get("asked", settings.get("epochs"))
        made.append({key: value for key, value in settings.items() if key not in _DATA})
    differ = {key for other in made for key in made[0] if other.get(key) != made[0][key]}
    if differ:
        raise ValueError(
            "All folds must be trained with the same settings; give other settings another name. "
            f"Received: other {', '.join(sorted(differ))} in {folders[0].parent}"
        )
