"""From whole fields of a smear to judged cells: each found, cut out, judged; and how many are ALL.

cells = anna.fields.judge(anna.models.pretrained(), ["field.png"])
anna.tables.write(cells, "cells.csv")
anna.field_page.write("field.html", cells, anna.models.pretrained())
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

import cv2
import keras
import numpy as np
import pandas as pd
from scipy.stats import binomtest
from tqdm.auto import tqdm

from anna import bootstrap, facts, likeness, predict, quality, smear
from anna.checks import CLASSES, require_fraction
from anna.decoding import ImageError, decode
from anna.images import resize
from anna.models import crop_of
from anna.parting import disc

BOX = ["left", "top", "width", "height"]
COLUMNS = ["path", "cell", *BOX, "area", "probability", "unlike", "call", "warning", "problem"]
EDGE = "cut off by the edge of the field"
NONE = "no nucleated cell was found"
_TYPES = dict.fromkeys(["cell", *BOX, "area"], "Int64")
_TYPES |= dict.fromkeys(["probability", "unlike"], "float64")


def judge(
    model: keras.Model,
    paths: Iterable[str | os.PathLike],
    *,
    scale: float = 1.0,
    threshold: float = 0.5,
    segmenter: keras.Model | None = None,
    known: Mapping[str, tuple[float, float]] | None = None,
    like: likeness.Likeness | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Returns one row a nucleated cell: `path`, `cell`, box, `area`, `probability`, `call`, ….

    The box `left`, `top`, `width`, `height` and the area are in pixels of the file. The call is ALL
    or HEM; `unlike` and `warning` are those of `anna.calls.of`. A cell that the edge
    cuts off is not judged, and its `problem` says so; a file that cannot be read, or shows no cell,
    is one row with a problem and no cell.

    Args:
        model: Trained on cells cut out on black.
        paths: Files and folders, as `anna.predict.files` takes them; each image is a field.
        scale: As in `anna.smear.find`: pixels of C-NMC for one of the file.
        threshold: A cell is called ALL when its probability is at least this.
        segmenter: As in `anna.smear.find`.
        known: As in `anna.calls.of`.
        like: As in `anna.calls.of`.
        progress: Whether to show a bar.

    Raises:
        ValueError: If the threshold is not in 0..1, or the scale not within `anna.smear.SCALES`.
    """
    require_fraction("threshold", threshold)
    smear.require_scale(scale)
    options = {"scale": scale, "threshold": threshold, "segmenter": segmenter}
    options |= {"known": known, "like": like}
    tables = []
    for path in tqdm(predict.listed(paths), "judging fields", unit="field", disable=not progress):
        try:
            table = of_image(model, decode(path), **options)[0].assign(path=str(path))
            problem = NONE
        except ImageError as error:
            table, problem = pd.DataFrame(), str(error)
        if table.empty:
            row = {"path": str(path), "call": "", "warning": "", "problem": problem}
            table = pd.DataFrame([row])
        tables.append(table.reindex(columns=COLUMNS).astype(_TYPES))
    empty = pd.DataFrame(columns=COLUMNS).astype(_TYPES)
    return pd.concat(tables, ignore_index=True) if tables else empty


def of_image(
    model: keras.Model,
    image: np.ndarray,
    *,
    scale: float = 1.0,
    threshold: float = 0.5,
    segmenter: keras.Model | None = None,
    known: Mapping[str, tuple[float, float]] | None = None,
    like: likeness.Likeness | None = None,
) -> tuple[pd.DataFrame, np.ndarray]:
    """Returns the rows of one field as `judge` does, without `path`, and where the cells are.

    Args:
        model: Trained on cells cut out on black.
        image: uint8 (height, width, 3) RGB.
        scale: As in `judge`.
        threshold: As in `judge`.
        segmenter: As in `judge`.
        known: As in `judge`.
        like: As in `judge`.
    """
    judge, known = likeness.judging(model, known, like)
    labels = smear.find(image, scale=scale, segmenter=segmenter)
    crops = cutouts(image, labels, scale=scale, side=crop_of(model))
    boxes = [cv2.boundingRect((labels == k + 1).astype(np.uint8)) for k in range(len(crops))]
    table = pd.DataFrame(boxes, columns=BOX)
    table.insert(0, "cell", np.arange(1, len(crops) + 1))
    table["area"] = np.bincount(labels.ravel(), minlength=len(crops) + 1)[1:]
    edge = np.isin(table["cell"], _border(image, labels, scale))
    said = pd.DataFrame(predict.said(judge, resized(model, crops))).reindex(columns=[0, 1])
    said[edge] = np.nan
    table["probability"], table["unlike"] = said[0], said[1]
    table["problem"] = np.where(edge, EDGE, None)
    table["call"] = np.where(table["probability"] >= threshold, *reversed(CLASSES))
    warned = _warnings(image, labels, scale, known=known, crop=crop_of(model))
    table["warning"] = quality.together(likeness.warnings(table["unlike"]), warned)
    table.loc[edge, ["call", "warning"]] = ""
    return table, labels


def cutouts(
    image: np.ndarray, labels: np.ndarray, *, scale: float = 1.0, side: int = 320
) -> np.ndarray:
    """Returns each cell as C-NMC shows it, uint8 (n, side, side, 3) RGB, in the order of numbers.

    Args:
        image: uint8 (height, width, 3) RGB.
        labels: int32 (height, width), as `anna.smear.find` returns them.
        scale: As in `judge`.
        side: Of the result in pixels of C-NMC.
    """
    cut = [
        smear.cut(image, labels == k, scale=scale, side=side) for k in range(1, labels.max() + 1)
    ]
    return np.stack(cut) if cut else np.zeros((0, side, side, 3), np.uint8)


def resized(model: keras.Model, crops: np.ndarray) -> np.ndarray:
    """Returns the cut-out cells as large as the model takes them, uint8 (n, size, size, 3)."""
    size = model.input_shape[1]
    return np.stack([resize(one, size) for one in crops]) if len(crops) else crops


def _border(image: np.ndarray, labels: np.ndarray, scale: float) -> np.ndarray:
    """Returns the numbers of the cells at the edge of the image, or at the dark around a field."""
    sides = (labels[0], labels[-1], labels[:, 0], labels[:, -1])
    unlit = smear.unlit(image, scale=scale).astype(np.uint8)
    beside = cv2.dilate(unlit, disc(2 * smear.BAND / scale)) > 0  # outlines were moved by one
    return np.unique(np.concatenate([*sides, labels[beside]]))


def _warnings(
    image: np.ndarray, labels: np.ndarray, scale: float, *, known: Mapping, crop: int
) -> list[str]:
    whole = cutouts(image, labels, scale=scale, side=450)
    rows = [facts.measure(one) | {"width": len(one), "height": len(one)} for one in whole]
    columns = [*facts.MEASURES, "width", "height"]
    return quality.warnings(pd.DataFrame(rows, columns=columns), known, crop=crop).tolist()


def summary(
    cells: pd.DataFrame, *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """Returns one row a field and a last one for all: how many cells, and the share called ALL.

    Columns: `path` ("all fields" in the last), `cells` judged, `blasts` (called ALL), `share` with
    its interval `low` and `high`, `warned` (judged with a warning), `not_judged`. The interval of a
    field is Wilson's (Journal of the American Statistical Association 22 (1927) 209). That of three
    or more fields reaches at least as far as Wilson's of all cells, and as far as a bootstrap over
    fields does, since the cells of one are no independent witnesses. Both know of chance alone, not
    of wrong calls. The fields should be of one patient.

    Args:
        cells: As `judge` returns them, or read from a file that `anna.tables.write` wrote of them.
        level: Of the intervals, in 0..1.
        resamples: How often fields are drawn with replacement.
        seed: Of the draws.

    Raises:
        ValueError: If the level is not in 0..1.
    """
    require_fraction("level", level)
    rows = [_counted(part) | {"path": path} for path, part in cells.groupby("path", sort=False)]
    for row in rows:
        row |= wilson(row["blasts"], row["cells"], level=level)
    total = _counted(cells) | {"path": "all fields"}
    total |= wilson(total["blasts"], total["cells"], level=level)
    counts = np.array([(row["blasts"], row["cells"]) for row in rows if row["cells"]])
    if len(counts) >= 3:
        drawn = np.random.default_rng(seed).integers(0, len(counts), (resamples, len(counts)))
        blasts, judged = counts[drawn].sum(axis=1).T
        share = bootstrap.tail(len(counts), level)
        low, high = np.quantile(blasts / judged, (share, 1 - share)).tolist()
        total["low"], total["high"] = min(low, total["low"]), max(high, total["high"])
    columns = ["path", "cells", "blasts", "share", "low", "high", "warned", "not_judged"]
    return pd.DataFrame([*rows, total], columns=columns)


def _counted(cells: pd.DataFrame) -> dict[str, int]:
    judged = cells["probability"].notna()
    return {
        "cells": int(judged.sum()),
        "blasts": int((cells["call"] == "ALL").sum()),
        "warned": int((judged & (cells["warning"].fillna("") != "")).sum()),
        "not_judged": int((~judged & cells["cell"].notna()).sum()),
    }


def wilson(count: int, total: int, *, level: float = 0.95) -> dict[str, float]:
    """Returns `share`, `low` and `high`: count of total with Wilson's interval, NaN of nothing."""
    if not total:
        return dict.fromkeys(("share", "low", "high"), float("nan"))
    interval = binomtest(count, total).proportion_ci(level, method="wilson")
    return {"share": count / total, "low": interval.low, "high": interval.high}
