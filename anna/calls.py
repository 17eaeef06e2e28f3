"""From any image files to calls that say how far to trust them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

import keras
import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from anna import facts, likeness, models, predict, quality
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
    """Returns one row a file: `path`, `probability`, `unlike`, `call`, `warning`, `problem`.

    The probability is of ALL; the call is ALL or HEM, empty where a file could not be judged; then
    `problem` says why. `unlike` is the distance of `anna.likeness` from the cells learnt from, 1
    its limit, NaN where the model is not the trained ANNa. The warning says that a cell is drawn,
    that it could not be measured, and, by this distance and by `anna.quality`, how it differs from
    the cells learnt from.

    Args:
        model: Trained.
        paths: Files and folders, as `anna.predict.files` takes them.
        threshold: A cell is called ALL when its probability is at least this.
        known: The ranges of the cells learnt from; if None, those of the trained ANNa, and how
            unlike its cells each is.
        crop: As in `anna.predict.files`.
        progress: Whether to show bars.

    Raises:
        ValueError: If the threshold is not in 0..1.
    """
    require_fraction("threshold", threshold)
    judge = model
    if known is None:
        known = models.record(models.PRETRAINED)["ranges"]
        judge = likeness.pretrained(model)
    found = predict.files(judge, paths, crop=crop or models.crop_of(model), progress=progress)
    found = found.reindex(columns=["path", "probability", "unlike", "problem"])
    called = np.where(found["probability"] >= threshold, *reversed(CLASSES))
    found["call"] = np.where(found["probability"].isna(), "", called)
    bar = tqdm(found["path"], "measuring cells", unit="file", disable=not progress)
    measured = pd.DataFrame([_measured(path) for path in bar], columns=facts.COLUMNS)
    warned = quality.warnings(measured, known, crop=crop or models.crop_of(model))
    drawn, failed = np.where(are_drawn(found["path"]), DRAWN, ""), measured["problem"].fillna("")
    far = likeness.warnings(found["unlike"])
    each = zip(drawn, failed, far, warned, strict=True)
    notes = ["; ".join(filter(None, of_one)) for of_one in each]
    found["warning"] = np.where(found["call"] == "", "", notes)
    return found[["path", "probability", "unlike", "call", "warning", "problem"]]


def _measured(path: str) -> dict[str, object]:
    """Returns the facts of a file; where the disk fails, that is its problem."""
    try:
        return facts.of_file(path)
    except OSError as error:
        return {"problem": str(error)}
