"""The trained networks of a workspace: whether one may be judged, by which threshold, on what."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np

from anna import facts, likeness, models, quality, report, runs, workspace
from anna.workspace import Workspace

if TYPE_CHECKING:
    from anna.steps import Prepared


def best(ws: Workspace, name: str = "anna") -> Path:
    """Returns where the trained network is, or will be."""
    return ws.models / name / "best.keras"


def digest(ws: Workspace, name: str = "anna") -> str:
    """Returns a hash of the trained network."""
    return workspace.digest(best(ws, name))


def load(ws: Workspace, name: str, data: Prepared) -> keras.Model:
    """Returns a network that was trained, to its end, on what was prepared.

    Args:
        ws: Where `anna.steps.train`, or notebook 3, was.
        name: Of `anna.steps.NETWORKS`.
        data: What was prepared.

    Raises:
        FileNotFoundError: If it is not trained.
        anna.splits.LeakError: If it was trained on another split.
        ValueError: If its training was stopped, or if it is of another size or crop, or of other
            pixels.
    """
    runs.require_ended(ws.models / name)
    model = models.load(best(ws, name))
    made = {"size": model.input_shape[1], "crop": models.crop_of(model)}
    now = {key: data.settings[key] for key in made}
    if made != now:
        raise ValueError(
            f"The network {name} was trained on other pixels: train it again, or prepare as then. "
            f"Received: {made}, prepared {now}"
        )
    runs.check(ws.models / name, data.cells, data.pixels)
    return model


def threshold(ws: Workspace, name: str = "anna") -> float:
    """Returns the threshold that `anna.steps.judge`, or notebook 4, has found.

    Raises:
        FileNotFoundError: If the network has not been tested, or was trained again since.
    """
    if (found := _tested(ws, name)) is None:
        raise FileNotFoundError(
            f"Test the network {name} first (`anna test`): its threshold is missing, or of an "
            f"earlier training. Received: {ws.output / 'results.json'}"
        )
    return found


def describe(
    model: keras.Model, ws: Workspace, data: Prepared, *, name: str = "anna", progress: bool = True
) -> None:
    """Writes down what the cells are like that a network has learnt from, for `learnt`.

    Args:
        model: As `load` returns it.
        ws: As of `load`.
        data: As of `load`.
        name: As of `load`.
        progress: Whether to show a bar.
    """
    if _described(ws, name):
        return
    taught = data.cells["role"].isin(["train", "valid"]).to_numpy()
    seen = facts.of(data.cells[taught], cache=ws.csv / "facts.csv", progress=progress)
    rows = np.flatnonzero(taught)[seen["problem"].isna().to_numpy()]
    people = data.cells["group"].to_numpy()[rows]
    like = likeness.fit_network(model, data.pixels, rows, people=people, progress=progress)
    found = {
        "digest": digest(ws, name),
        "ranges": quality.ranges(seen),
        "likeness": like and like.kept(),
    }
    report.write_json(_description(ws, name), found)


def learnt(
    ws: Workspace, name: str = "anna"
) -> tuple[dict[str, tuple[float, float]] | None, likeness.Likeness | None]:
    """Returns the ranges of the cells that a network has learnt from, and where they lie.

    As `known` and `like` of `anna.calls.of` want them; None where it is not known.
    """
    return _described(ws, name) or (None, None)


def _described(ws: Workspace, name: str) -> tuple[dict, likeness.Likeness | None] | None:
    """Returns what `describe` has written of the network that is there; None if nothing sound."""
    path = _description(ws, name)
    if not path.is_file() or not best(ws, name).is_file():
        return None
    try:
        found = report.read_json(path)
        if found["digest"] != digest(ws, name):
            return None
        like = found["likeness"] and likeness.Likeness.from_kept(found["likeness"])
        return {key: (low, high) for key, (low, high) in found["ranges"].items()}, like
    except (ValueError, KeyError, TypeError, AttributeError):  # damaged: found anew by `describe`
        return None


def _description(ws: Workspace, name: str) -> Path:
    return ws.models / name / "learnt.json"


def card(ws: Workspace, name: str = "anna") -> Path | None:
    """Returns the model card, or None where the network that it tells of is not the one there."""
    path = ws.output / "model_card.md"
    return path if path.is_file() and _tested(ws, name) is not None else None


def _tested(ws: Workspace, name: str) -> float | None:
    """Returns the threshold of the network that is there, or None if it has not been tested."""
    path = ws.output / "results.json"
    tested = report.read_json(path)["settings"] if path.is_file() else {}
    known, run = tested.get("threshold", {}), tested.get("runs", {}).get(name, {})
    same = best(ws, name).is_file() and run.get("digest") == digest(ws, name)
    return known.get(name) if same else None
