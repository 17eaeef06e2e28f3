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
from anna.stored import record
from anna.workspace import sweep, write_whole

log = logging.getLogger(__name__)
_NOT_ON = "The run cannot go on; move its folder away to begin anew"


def check(folder: str | Path, cells: pd.DataFrame) -> None:
    """Checks that a run has ended, and has learnt from the very people who teach in `cells`.

    Args:
        folder: Of a run of `fit`.
        cells: As `anna.splits.assign` returns it.

    Raises:
        FileNotFoundError: If there is no run in the folder.
        anna.splits.LeakError: If the run is of another split or of other labels.
        ValueError: If it was stopped before the length that it was planned for.
    """
    folder = Path(folder)
    files = [folder / name for name in ("best.keras", "last.keras", "split.csv")]
    if missing := [path for path in files if not path.is_file()]:
        raise FileNotFoundError(f"The network must be trained first. Missing: {missing[0]}")
    about = record(folder / "last.keras")
    if (done := len(about["history"])) < (planned := about.get("planned", 0)):
        raise ValueError(
            "Training was stopped before its end: run it again, it goes on. "
            f"Received: {folder} with {done} of {planned} epochs"
        )
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


def identity(model: keras.Model, cells: pd.DataFrame, pixels: np.ndarray) -> dict:
    """Returns what makes two runs the same run: the network and the data, as hashes and facts.

    Names are numbered anew in each process, and the dtype follows the machine: neither counts.
    """
    own = ("name", "dtype")
    layers = [
        [type(layer).__name__, {k: v for k, v in layer.get_config().items() if k not in own}]
        for layer in model.layers
    ]
    used = cells[cells["role"].isin(["train", "valid"])]
    data = hashlib.blake2b(
        used[["name", "label", "role"]].to_csv(index=False).encode(), digest_size=8
    )
    for start in range(0, len(pixels), 1024):
        data.update(np.ascontiguousarray(pixels[start : start + 1024]))
    return {
        "network": model.name,
        "size": model.input_shape[1],
        "parameters": model.count_params(),
        "layers": _hash(json.dumps(layers, default=str).encode()),
        "data": data.hexdigest(),
        "drawn": bool(cells["drawn"].any()),
    } | ({"encoder": model.encoder} if getattr(model, "encoder", None) else {})


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
    elif _record(folder, "best.keras").get("epoch", 0) > 1:  # 1: killed before its first last.keras
        _move_aside(folder, "a run without last.keras")
    patiently(folder.mkdir, parents=True, exist_ok=True)
    patiently((folder / "best.keras").unlink, missing_ok=True)
    about = {"settings": settings, "machine": backend.describe(), "started": _now()}
    text = json.dumps(about, indent=1)
    write_whole(folder / "settings.json", lambda part: part.write_text(text, encoding="utf-8"))
    split = cells[["name", "subject", "group", "label", "role"]]
    tables.write(split, folder / "split.csv")
    return []


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
