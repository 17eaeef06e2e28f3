"""The trained networks of a workspace: whether one may be judged, and by which threshold."""

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


def learn(ws: Workspace, name: str, data: Prepared, *, progress: bool = False) -> None:
    """Writes down which cells a trained network has learnt from, for `learnt`.

    Args:
        ws: As of `load`.
        name: As of `load`.
        data: What it was trained on.
        progress: Whether to show a bar.

    Raises:
        As of `load`.
    """
    if _known(ws, name):
        return
    taught = data.cells["role"].isin(["train", "valid"]).to_numpy()
    seen = facts.of(data.cells[taught], progress=progress)
    rows = np.flatnonzero(taught)[seen["problem"].isna().to_numpy()]
    people = data.cells["group"].to_numpy()[rows]
    model = load(ws, name, data)
    like = likeness.fit_network(model, data.pixels, rows, people=people, progress=progress)
    found = {
        "digest": digest(ws, name),
        "ranges": quality.ranges(seen),
        "likeness": like and like.kept(),
    }
    report.write_json(_learnt(ws, name), found)


def learnt(
    ws: Workspace, name: str = "anna"
) -> tuple[dict[str, tuple[float, float]] | None, likeness.Likeness | None]:
    """Returns the ranges of the cells that a network has learnt from, and where they lie.

    As `known` and `like` of `anna.calls.of` want them; None where it is not known.
    """
    known = _known(ws, name)
    like = known.get("likeness")
    return known.get("ranges"), likeness.Likeness.from_kept(like) if like else None


def _known(ws: Workspace, name: str) -> dict:
    """Returns what `learn` has written of the network that is there; nothing else."""
    path = _learnt(ws, name)
    try:
        found = report.read_json(path) if path.is_file() else {}
    except ValueError:  # damaged: it is found anew when the network is tested
        return {}
    return found if found.get("digest") == digest(ws, name) else {}


def _learnt(ws: Workspace, name: str) -> Path:
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
