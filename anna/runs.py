"""What a training is on disk: whose it is, whether it goes on, and which split it has learnt."""

import hashlib
import json
import logging
from datetime import UTC, datetime
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from anna import backend, splits, tables
from anna.patience import patiently
from anna.stored import portable, record
from anna.workspace import sweep, write_whole

log = logging.getLogger(__name__)
_NOT_ON = "The run cannot go on; move its folder away to begin anew"
_OWN = ("name", "dtype")  # of a layer: numbered anew in each process, and as the machine likes it


def require_ended(folder: Path) -> dict:
    """Returns the record of a run that has ended.

    Raises:
        FileNotFoundError: If there is no run in the folder.
        ValueError: If it was stopped before the length that it was planned for.
    """
    files = [folder / name for name in ("best.keras", "last.keras", "split.csv")]
    if missing := [path for path in files if not path.is_file()]:
        raise FileNotFoundError(f"The network must be trained first. Missing: {missing[0]}")
    about = record(folder / "last.keras")
    asked = about.get("settings", {}).get("epochs", 0)  # as early versions tell it
    if (done := len(about["history"])) < (planned := about.get("planned", asked)):
        raise ValueError(
            "Training was stopped before its end: run it again, it goes on. "
            f"Received: {folder} with {done} of {planned} epochs"
        )
    return about


def check(folder: str | Path, cells: pd.DataFrame, pixels: np.ndarray) -> None:
    """Checks that a run has ended, and has learnt from the very cells that teach in `cells`.

    Args:
        folder: Of a run of `fit`.
        cells: As `anna.splits.assign` returns it.
        pixels: uint8 (n, size, size, 3); row i is `cells.iloc[i]`.

    Raises:
        FileNotFoundError: If there is no run in the folder.
        anna.splits.LeakError: If the run is of another split or of other labels.
        ValueError: If it was stopped before the length that it was planned for, or has learnt from
            other pixels.
    """
    folder = Path(folder)
    about = require_ended(folder)
    columns = ["name", "label", "role"]
    then, now = (
        set(table.loc[table["role"].isin(["train", "valid"]), columns].itertuples(index=False))
        for table in (tables.read(folder / "split.csv"), cells)
    )
    if then != now:
        raise splits.LeakError(
            "The network was trained on another split: train it again. "
            f"Received: {folder}, of which {len(then ^ now)} images differ"
        )
    known = about["settings"].get("cells")  # early versions do not tell
    if known not in (None, taught(cells, pixels)):
        raise ValueError(
            "The network was trained on other pixels under the same names: train it again, or "
            f"prepare as then. Received: {folder}"
        )


def identity(model: keras.Model, cells: pd.DataFrame, pixels: np.ndarray) -> dict:
    """Returns what makes two runs the same run: the network and the data, as hashes and facts.

    It is the same under every Keras: of the settings of a layer those do not count that only some
    versions tell. They are what `anna.stored.portable` drops, and what is left open.
    """
    layers = [[type(layer).__name__, _settings(layer)] for layer in model.layers]
    return {
        "network": model.name,
        "size": model.input_shape[1],
        "parameters": model.count_params(),
        "layers": _hash(json.dumps(layers, default=str).encode()),
        "cells": taught(cells, pixels),
        "drawn": bool(cells["drawn"].any()),
    } | ({"encoder": model.encoder} if getattr(model, "encoder", None) else {})


def _settings(layer: keras.Layer) -> dict:
    told = _given(portable(layer.get_config()))
    return {name: value for name, value in told.items() if name not in _OWN}


def _given(config: object) -> object:
    """Returns a configuration without what is left open in it, at any depth."""
    if isinstance(config, list):
        return [_given(each) for each in config]
    if not isinstance(config, dict):
        return config
    return {name: _given(value) for name, value in config.items() if value is not None}


def taught(cells: pd.DataFrame, pixels: np.ndarray) -> str:
    """Returns a hash of the cells that teach or validate: names, labels, roles and pixels."""
    used = cells["role"].isin(["train", "valid"]).to_numpy()
    table = cells.loc[used, ["name", "label", "role"]].to_csv(index=False)
    found, rows = hashlib.blake2b(table.encode(), digest_size=8), np.flatnonzero(used)
    for start in range(0, len(rows), 1024):
        found.update(pixels[rows[start : start + 1024]])
    return found.hexdigest()


def _hash(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def opened(folder: Path, settings: dict, cells: pd.DataFrame) -> list[dict]:
    """Returns the history of the run in the folder; begins one if none has these settings.

    Raises:
        ValueError: If it has, and its networks are damaged or gone; the message names the file.
    """
    sweep(folder)
    kept = _record(folder, "last.keras")
    if kept:
        before = kept.get("settings", {})
        both = settings.keys() | before.keys()
        differ = sorted(key for key in both if before.get(key) != settings.get(key))
        if not differ and _record(folder, "best.keras"):
            return kept["history"]
        if not differ:
            raise ValueError(f"{_NOT_ON}. Missing: {folder / 'best.keras'}")
        _move_aside(folder, f"a run with other {', '.join(differ)}")
    elif patiently((folder / "best.keras").is_file) and not _just_begun(folder, settings):
        _move_aside(folder, "a run without last.keras")
    patiently(folder.mkdir, parents=True, exist_ok=True)
    patiently((folder / "best.keras").unlink, missing_ok=True)
    about = {"settings": settings, "machine": backend.describe(), "started": _now()}
    text = json.dumps(about, indent=1)
    write_whole(folder / "settings.json", lambda part: part.write_text(text, encoding="utf-8"))
    split = cells[["name", "subject", "group", "label", "role"]]
    tables.write(split, folder / "split.csv")
    return []


def _just_begun(folder: Path, settings: dict) -> bool:
    """Returns whether this very run was killed between its first best.keras and last.keras."""
    about = _record(folder, "best.keras")
    return about.get("epoch") == 1 and about.get("settings") == settings


def _record(folder: Path, name: str) -> dict:
    """Returns the record of a network of the run, empty if there is none."""
    path = folder / name
    try:
        return record(path) if patiently(path.is_file) else {}
    except ValueError as error:
        raise ValueError(f"{_NOT_ON}. Received: {error}") from error


def _move_aside(folder: Path, what: str) -> None:
    number = 1
    while (aside := folder.with_name(f"{folder.name}.before-{number}")).exists():
        number += 1
    log.warning("%s is %s: moved to %s", folder, what, aside.name)
    patiently(folder.replace, aside)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
