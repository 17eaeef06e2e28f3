"""The results file and the model card."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Mapping
from datetime import UTC, date, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pandas as pd

from anna import metrics, schemas
from anna.card import DRAWN, card_values, model_card
from anna.patience import patiently
from anna.workspace import write_whole

__all__ = ["card_values", "model_card", "results", "versions", "write_json", "write_text"]

PACKAGES = (
    "anna-leukemia",
    "keras",
    "tensorflow",
    "jax",
    "torch",
    "numpy",
    "pandas",
    "scikit-learn",
    "opencv-python",
    "opencv-python-headless",
    "pillow",
    "matplotlib",
)


def results(
    found: dict[str, pd.DataFrame], scores: dict[str, pd.DataFrame], *, settings: dict, data: dict
) -> dict:
    """Returns all there is to say of a run, of plain values only, ready for `write_json`.

    Its form is that of `anna/schema/results.json`. Keys: schema_version, made (UTC), drawn, note,
    versions, hardware, settings, data, and models: for each its threshold, cells, people, left_out,
    level, resamples, scores (value, low, high), confusion, subjects and calibration.

    Args:
        found: predictions by the model's name.
        scores: tables of `metrics.evaluate` by the model's name.
        settings: of the run, nested as one likes; `model_file` is where the model lies.
        data: of the data, nested as one likes; tables become lists of rows.

    Raises:
        ValueError: predictions and scores are not of the same models, or scores do not come from
            `metrics.evaluate`.
    """
    if set(found) != set(scores):
        raise ValueError(
            "Predictions and scores must be of the same models. "
            f"Received: {sorted(found)} and {sorted(scores)}"
        )
    drawn = any("drawn" in table and bool(table["drawn"].any()) for table in found.values())
    return plain(
        {
            "schema_version": schemas.VERSION,
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "drawn": drawn,
            "note": DRAWN if drawn else None,
            "versions": versions(),
            "hardware": {"machine": platform.machine(), "cores": os.cpu_count()},
            "settings": settings,
            "data": data,
            "models": {name: _of_model(name, found[name], scores[name]) for name in found},
        }
    )


def versions() -> dict[str, str]:
    """Returns the versions of Python and of the packages that are installed, by name."""
    held = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            held[package] = version(package)
        except PackageNotFoundError:
            continue
    return held


def write_json(path: Path | str, values: dict) -> Path:
    """Returns the path of the JSON file written; NaN and missing values are null.

    Raises:
        TypeError: a value has no plain form.
    """
    text = json.dumps(plain(values), indent=2, ensure_ascii=False, allow_nan=False)
    return write_text(path, text + "\n")


def read_json(path: Path | str) -> dict:
    """Returns what `write_json` wrote.

    Raises:
        FileNotFoundError: If it is not there; a notebook before this one makes it.
    """
    return json.loads(patiently(Path(path).read_text, encoding="utf-8"))


def write_text(path: Path | str, text: str) -> Path:
    """Returns the path of the UTF-8 text file written, whole or not at all."""
    options = {"encoding": "utf-8", "errors": "backslashreplace"}  # names of files may be no UTF-8
    return write_whole(Path(path), lambda part: part.write_text(text, **options))


def plain(value: object) -> object:
    """Returns the value of dicts, lists, texts, numbers and None only.

    Raises:
        TypeError: there is no such form of it.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, pd.DataFrame):
        return [plain(row) for row in value.to_dict("records")]
    if isinstance(value, pd.Series):
        return plain(value.to_dict())
    if isinstance(value, np.ndarray | list | tuple | set | frozenset):
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        return [plain(one) for one in items]
    return _plain_scalar(value)


def _plain_scalar(value: object) -> object:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, os.PathLike):
        return Path(value).as_posix()
    raise TypeError(f"No plain form for JSON. Received: {type(value).__name__} {value!r}")


def _of_model(name: str, found: pd.DataFrame, scores: pd.DataFrame) -> dict:
    kept = ("threshold", "cells", "people", "left_out", "level", "resamples")
    missing = [key for key in kept if key not in scores.attrs]
    if missing:
        raise ValueError(
            f"Scores must come from metrics.evaluate. Received: {name} without {missing}"
        )
    threshold = scores.attrs["threshold"]
    return {key: scores.attrs[key] for key in kept} | {
        "scores": {metric: row.to_dict() for metric, row in scores.iterrows()},
        "confusion": metrics.confusion(found, threshold).to_dict("index"),
        "subjects": metrics.by_subject(found, threshold),
        "calibration": metrics.calibration(found),
    }
