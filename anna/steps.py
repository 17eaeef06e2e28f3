"""The way of the notebooks as three steps in a workspace: prepare, train, judge.

Each leaves in the workspace what the notebook of that name leaves there, so that one can go on
where the other stopped; of the figures only those of the scores.
"""

from __future__ import annotations

import importlib
import operator
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import pandas as pd

from anna import baselines, cnmc, finished, images, metrics, plots, report, splits, tables
from anna.lock import alone
from anna.workspace import Workspace

NETWORKS = ("anna", "anna-2020")


@dataclass(frozen=True)
class Prepared:
    """What `prepare` has left in a workspace.

    Attributes:
        cells: With `group` and `role`.
        pixels: uint8 (len(cells), size, size, 3) RGB.
        settings: `size`, `crop`, `valid` and `seed`.
    """

    cells: pd.DataFrame
    pixels: np.ndarray
    settings: dict


def prepare(
    ws: Workspace,
    *,
    size: int = 128,
    crop: int = images.CROP,
    valid: float = 0.2,
    seed: int = 0,
    progress: bool = True,
) -> tuple[Prepared, pd.DataFrame]:
    """Returns what is prepared, and the problems of `anna.cnmc.verify`.

    Indexes and verifies the copy of C-NMC in the input, sets aside what cannot be used, splits the
    people, and prepares the pixels.

    Args:
        ws: Whose input holds C-NMC.
        size: As of `anna.images.load`.
        crop: As of `anna.images.load`.
        valid: As of `anna.splits.assign`.
        seed: Of the split.
        progress: Whether to show bars.

    Raises:
        FileNotFoundError: If there is no C-NMC.
        anna.lock.BusyError: If another command prepares, judges or executes notebooks here.
    """
    root = cnmc.find(ws.input)
    if root is None:
        raise FileNotFoundError(
            "ANNA_INPUT must hold C-NMC, or a stand-in that `anna sample` drew. "
            f"Received: {ws.input}"
        )
    with alone(ws.lock, wait=False):
        cells = cnmc.index(root)
        problems = cnmc.verify(cells, progress=progress)
        tables.write(problems, ws.csv / "problems.csv")
        tables.write(cells, ws.csv / "cells.csv")
        usable = cnmc.set_aside(cells, problems)
        split = splits.assign(usable, seed=seed, valid=valid, folder=ws.csv)
        pixels = images.load(split, size, crop=crop, cache=ws.arrays, progress=progress)
        tables.write(split, ws.csv / "prepared.csv")
        settings = {"size": size, "crop": crop, "valid": valid, "seed": seed}
        report.write_json(ws.csv / "preparation.json", settings)
        return Prepared(split, pixels, settings), problems


def prepared(ws: Workspace, *, progress: bool = True) -> Prepared:
    """Returns what `prepare`, or notebook 2, has left.

    Raises:
        FileNotFoundError: If it has left nothing.
        ValueError: If it was damaged since; the message names the file.
    """
    cnmc.find(ws.input)  # unpacks Kaggle's zip again where the disk is a new one
    cells = tables.read(ws.csv / "prepared.csv")
    path = ws.csv / "preparation.json"
    try:
        settings = report.read_json(path)
        size, crop = (operator.index(settings[name]) for name in ("size", "crop"))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is damaged; prepare again (notebook 2, or `anna prepare`). "
            f"Received: {type(error).__name__}: {error}"
        ) from error
    pixels = images.load(cells, size, crop=crop, cache=ws.arrays, progress=progress)
    return Prepared(cells, pixels, settings)


def train(
    ws: Workspace,
    name: str,
    *,
    seed: int = 0,
    devices: int | str = 1,
    progress: bool = True,
    **options,
):
    """Returns the `anna.training.Run` of a network, each by its own recipe; it goes on if stopped.

    Args:
        ws: Where `prepare` was.
        name: Of `NETWORKS`.
        seed: Of weights, order and augmentation.
        devices: As of `anna.devices.spread`.
        progress: Whether to show bars.
        **options: Of `anna.training.fit`, such as `epochs`, `batch_size` and `learning_rate`.
    """
    models, recipe, training = (_with_keras(part) for part in ("models", "recipe", "training"))
    spread = _with_keras("devices").spread
    data = prepared(ws, progress=progress)
    size, crop = data.settings["size"], data.settings["crop"]
    options = {**recipe.of(name), **options, "seed": seed, "progress": progress}
    with spread(devices):
        network = models.build(name, size, crop=crop, seed=seed)
        return training.fit(network, data.pixels, data.cells, folder=ws.models / name, **options)


def judge(ws: Workspace, *, resamples: int = 2000, seed: int = 0, progress: bool = True) -> dict:
    """Returns the results of the trained networks and of size alone, written with the model card.

    The threshold of each comes from the validation people; then the test set is opened. What the
    cells are like that `anna` has learnt from is written down for `anna.trained.learnt`.

    Args:
        ws: Where `train` was.
        resamples: Of the bootstrap over people behind each interval.
        seed: Of the bootstrap.
        progress: Whether to show bars.

    Raises:
        FileNotFoundError: If no network is trained.
        anna.splits.LeakError: If one was trained on another split.
        ValueError: As of `anna.trained.load`.
        anna.lock.BusyError: As of `prepare`.
    """
    with alone(ws.lock, wait=False):
        data = prepared(ws, progress=progress)
        networks = _networks(ws, data)
        found = _said(networks, data, progress=progress)
        by_role = {name: table.groupby("role") for name, table in found.items()}
        threshold = {
            name: metrics.choose_threshold(roles.get_group("valid"), margin=1)
            for name, roles in by_role.items()
        }
        splits.check(data.cells)
        tested = {name: roles.get_group("test") for name, roles in by_role.items()}
        scores = {
            name: metrics.evaluate(table, threshold[name], resamples=resamples, seed=seed)
            for name, table in tested.items()
        }
        for name, table in found.items():
            tables.write(table, ws.csv / f"predictions {name}.csv")
        _draw(ws, {name: (table, threshold[name]) for name, table in tested.items()})
        results = report_on(ws, tested, scores, data=data)
        if "anna" in networks:
            _with_keras("trained").describe(networks["anna"], ws, data, progress=progress)
        return results


def _draw(ws: Workspace, judged: dict[str, tuple[pd.DataFrame, float]]) -> None:
    """Saves the figures of the scores, as notebook 4 does."""
    networks = {name: judged[name] for name in NETWORKS if name in judged}
    first = next(iter(networks))
    figures = {
        "confusion": plots.confusion(networks),
        "curves": plots.curves(judged),
        "reliability": plots.reliability(networks),
        "people": plots.subject_strip(*judged[first]),
    }
    for name, figure in figures.items():
        plots.save(figure, ws.viz / f"{name}.png")


def _networks(ws: Workspace, data: Prepared) -> dict:
    """Returns the trained networks by name.

    Raises:
        FileNotFoundError: If there is none.
    """
    trained = _with_keras("trained")
    names = [name for name in NETWORKS if trained.best(ws, name).is_file()] or [NETWORKS[0]]
    return {name: trained.load(ws, name, data) for name in names}


def _said(networks: dict, data: Prepared, *, progress: bool) -> dict[str, pd.DataFrame]:
    """Returns what the networks, and size alone, say of all cells."""
    judge = _with_keras("predict").cells
    found = {
        name: judge(model, data.pixels, data.cells, progress=progress)
        for name, model in networks.items()
    }
    return found | {"size alone": baselines.size_alone(data.cells)}


def report_on(
    ws: Workspace,
    tested: dict[str, pd.DataFrame],
    scores: dict[str, pd.DataFrame],
    *,
    data: Prepared,
) -> dict:
    """Returns the results, written to `results.json`, and as `model_card.md`.

    Args:
        ws: Of the run.
        tested: Predictions of test people by the network's name.
        scores: Of `anna.metrics.evaluate` by the same names.
        data: What was prepared.
    """
    trained = _with_keras("trained")
    made = {name: ws.models / name / "settings.json" for name in tested}
    runs = {
        name: report.read_json(path) | {"digest": trained.digest(ws, name)}
        for name, path in made.items()
        if path.is_file()
    }
    first = NETWORKS[0] if NETWORKS[0] in runs else next(iter(runs), NETWORKS[0])
    settings = {
        "preparation": data.settings,
        "threshold": {name: table.attrs["threshold"] for name, table in scores.items()},
        "runs": runs,
        "model_file": trained.best(ws, first).relative_to(ws.output).as_posix(),
    }
    about = {
        "images": len(data.cells),
        "drawn": bool(data.cells["drawn"].any()),
        "tested on": splits.tested_on(data.cells),
        "split": splits.listed(data.cells),
    }
    results = report.results(tested, scores, settings=settings, data=about)
    results["files"] = finished.left(ws.output)
    report.write_json(ws.output / "results.json", results)
    report.write_json(ws.output / "model_card.json", report.card_values(results))
    report.write_text(ws.output / "model_card.md", report.model_card(results))
    return results


def _with_keras(part: str) -> ModuleType:
    """Returns a part that needs Keras, loaded only now: `prepare` does not wait for it."""
    importlib.import_module("anna.backend")
    return importlib.import_module(f"anna.{part}")
