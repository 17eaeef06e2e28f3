"""From any image files to calls that say how far to trust them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

import keras
import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from anna import facts, models, predict, quality
from anna.archive import are_drawn
from anna.checks import CLASSES, require_fraction

DRAWN = "drawn, not a real cell"


def of(
    model: keras.Model,
    paths: Iterable[str | os.PathLike],
    *,
    threshold: float = 0.5,
    known: Mapping[str, tuple[float, float]] | None = None,
    crop: int | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Returns one row a file: `path`, `probability` of ALL, `call`, `warning`, `problem`.

    The call is ALL or HEM, empty where a file could not be judged; then `problem` says why. The
    warning says that a cell is drawn, that it could not be measured, and, by `anna.quality`, what
    is unlike the cells learnt from.

    Args:
        model: Trained.
        paths: Files and folders, as `anna.predict.files` takes them.
        threshold: A cell is called ALL when its probability is at least this.
        known: The ranges of the cells learnt from; those of the trained ANNa if None.
        crop: As in `anna.predict.files`.
        progress: Whether to show bars.

    Raises:
        ValueError: If the threshold is not in 0..1.
    """
    require_fraction("threshold", threshold)
    if known is None:
        known = models.record(models.PRETRAINED)["ranges"]
    found = predict.files(model, paths, crop=crop, progress=progress)
    called = np.where(found["probability"] >= threshold, *reversed(CLASSES))
    found["call"] = np.where(found["probability"].isna(), "", called)
    bar = tqdm(found["path"], "measuring cells", unit="file", disable=not progress)
    measured = pd.DataFrame([_measured(path) for path in bar], columns=facts.COLUMNS)
    warned = quality.warnings(measured, known, crop=crop or models.crop_of(model))
    drawn, failed = np.where(are_drawn(found["path"]), DRAWN, ""), measured["problem"].fillna("")
    notes = ["; ".join(filter(None, each)) for each in zip(drawn, failed, warned, strict=True)]
    found["warning"] = np.where(found["call"] == "", "", notes)
    return found[["path", "probability", "call", "warning", "problem"]]


def _measured(path: str) -> dict[str, object]:
    """Returns the facts of a file; where the disk fails, that is its problem."""
    try:
        return facts.of_file(path)
    except OSError as error:
        return {"problem": str(error)}
