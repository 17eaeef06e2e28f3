"""From any image files to calls that say how far to trust them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

import keras
import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from anna import facts, likeness, models, predict, quality, smear
from anna.archive import are_drawn
from anna.checks import CLASSES, require_fraction
from anna.crops import scaled
from anna.decoding import LARGEST, ImageError, cut

DRAWN = "drawn, not a real cell"


def of(
    model: keras.Model,
    paths: Iterable[str | os.PathLike],
    *,
    threshold: float = 0.5,
    known: Mapping[str, tuple[float, float]] | None = None,
    like: likeness.Likeness | None = None,
    scale: float = 1.0,
    progress: bool = True,
) -> pd.DataFrame:
    """Returns one row a file: `path`, `probability`, `unlike`, `call`, `warning`, `problem`.

    The probability is of ALL; the call is ALL or HEM, empty where a file could not be judged; then
    `problem` says why. `unlike` is the distance of `anna.likeness` from the cells learnt from, 1
    its limit, NaN where it is not known what these are like. The warning says that a cell is drawn,
    that it could not be measured, and, by this distance and by `anna.quality`, how it differs from
    the cells learnt from.

    Args:
        model: Trained.
        paths: Files and folders, as `anna.predict.files` takes them.
        threshold: A cell is called ALL when its probability is at least this.
        known: The ranges of the cells learnt from; if None, those of the trained ANNa.
        like: Where these cells lie; if neither is given, where those of the trained ANNa do, if the
            model is that.
        scale: Pixels of C-NMC for one of the file, as in `anna.smear.find`.
        progress: Whether to show bars.

    Raises:
        ValueError: If the threshold is not in 0..1, or the scale not within `anna.smear.SCALES`.
    """
    require_fraction("threshold", threshold)
    judge, known = likeness.judging(model, known, like)
    found = predict.files(judge, paths, crop=crop_of(model, scale), progress=progress)
    found = found.reindex(columns=["path", "probability", "unlike", "problem"])
    called = np.where(found["probability"] >= threshold, *reversed(CLASSES))
    found["call"] = np.where(found["probability"].isna(), "", called)
    bar = tqdm(found["path"], "measuring cells", unit="file", disable=not progress)
    measured = pd.DataFrame([_measured(path, scale) for path in bar], columns=facts.COLUMNS)
    warned = quality.warnings(measured, known, crop=models.crop_of(model))
    drawn, failed = np.where(are_drawn(found["path"]), DRAWN, ""), measured["problem"].fillna("")
    notes = quality.together(drawn, failed, likeness.warnings(found["unlike"]), warned)
    found["warning"] = np.where(found["call"] == "", "", notes)
    return found[["path", "probability", "unlike", "call", "warning", "problem"]]


def crop_of(model: keras.Model, scale: float) -> int:
    """Returns the side of the central square that is judged, in pixels of the file.

    Args:
        model: As in `of`.
        scale: As in `of`.

    Raises:
        ValueError: If the scale is not within `anna.smear.SCALES`.
    """
    smear.require_scale(scale)
    return max(1, round(models.crop_of(model) / scale))


def _measured(path: str, scale: float) -> dict[str, object]:
    """Returns the facts of a file at C-NMC's scale; where the disk fails, that is its problem."""
    try:
        row = facts.of_file(path)
        return row if scale == 1 or row["problem"] else row | _scaled(path, scale)
    except (OSError, ImageError) as error:
        return {"problem": str(error)}


def _scaled(path: str, scale: float) -> dict[str, object]:
    """Returns what `facts.of_file` measures, of the file with other pixels.

    Raises:
        anna.decoding.ImageError: If the cell would be larger than `anna.decoding.LARGEST` pixels.
    """
    found = cut(path)
    if found.pixels.size * scale**2 > 3 * LARGEST:
        raise ImageError(f"{path}: too large to be measured. Received: scale={scale}")
    if not found.pixels.size:
        return {}
    height, width = (round(side * scale) for side in found.shape)
    row = facts.measure(scaled(found.pixels, scale)) | {"height": height, "width": width}
    row["box_left"] += round(found.box[0] * scale)
    row["box_top"] += round(found.box[1] * scale)
    return row
