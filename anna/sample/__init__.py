"""A stand-in C-NMC 2019, drawn: the built-in default when no real data is there.

Folders, names, file formats and oddities are those of the real data set; the people and their
cells are invented. `plan` puts the whole data set on paper, `write` draws it.
"""

import csv
import hashlib
import json
import logging
import shutil
import struct
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from anna import pool
from anna.archive import MARKER
from anna.drive import on_drive
from anna.lock import alone
from anna.sample import drawing
from anna.sample.people import PRELIM, VERSION, cell_rng, plan
from anna.workspace import Workspace, named_when_full, write_whole

log = logging.getLogger(__name__)

FOLDER = "C-NMC_Leukemia"


def write(
    folder: str | Path,
    *,
    seed: int = 0,
    cells: int = 640,
    names: Iterable[str] = (),
    progress: bool = True,
) -> Path:
    """The folder that holds `training_data`, drawn under `folder` unless it is there already.

    Args:
        folder: where `C-NMC_Leukemia` goes.
        seed: the same seed gives the same bytes on every platform.
        cells: training cells, from 40 to the real 10,661; the other parts follow.
        names: paths of training images as published, to be drawn in place of invented ones.
        progress: whether to show a bar.

    Raises:
        ValueError: if `cells` is out of range, or a name is none of C-NMC's.
        FileExistsError: if a `C-NMC_Leukemia` that was not drawn is in the way.
    """
    root, names = Path(folder) / FOLDER, sorted(names)
    asked = {"seed": seed, "cells": cells, "version": VERSION}
    if names:
        asked["names"] = hashlib.blake2b("\n".join(names).encode(), digest_size=8).hexdigest()
    if not _is_whole(root, asked):
        with alone(root.with_name(f".{FOLDER}.lock"), wait=True):
            if not _is_whole(root, asked):
                _draw_anew(root, plan(seed=seed, cells=cells, names=names), asked, progress)
    return root


def _draw_anew(root: Path, table: pd.DataFrame, asked: dict, progress: bool) -> None:
    if root.exists() and not is_drawn(root):
        raise FileExistsError(f"Will not overwrite data that is not drawn. Received: {root}")
    work = root.with_name(f".{FOLDER}.unfinished")
    shutil.rmtree(work, ignore_errors=True)
    _draw_all(table, work, asked["seed"], progress)
    _write_labels(table, work)
    _write_marker(table, work, asked)
    shutil.rmtree(root, ignore_errors=True)
    work.replace(root)
    log.info("drew %d cells in %s", len(table), root)


def stand_in(source: str | Path, *, seed: int = 0, cells: int = 640) -> Path:
    """Returns a sample drawn into `source / "sample"`, the input folder of somebody without C-NMC.

    Where that is on Google Drive, which is slow with many small files, it is drawn on the local
    disk, and a note of how stays on Drive.

    Args:
        source: The input folder; but for a README and an earlier sample it must be empty.
        seed: As of `write`.
        cells: As of `write`.

    Raises:
        FileNotFoundError: If other things lie there: then C-NMC was meant, and not found.
    """
    own = {"README.md", "sample", note_of(source).name}
    foreign = {p.name for p in Path(source).glob("[!.]*")} - own
    if foreign:
        raise FileNotFoundError(
            "No C-NMC is here. Give the folder that holds C-NMC_Leukemia, that folder itself, "
            "Kaggle's zip, or for the drawn sample an empty folder. "
            f"Received: {source}, which holds {', '.join(sorted(foreign)[:5])}"
        )
    if not on_drive(source):
        return write(Path(source) / "sample", seed=seed, cells=cells)
    note = json.dumps({"seed": seed, "cells": cells})
    write_whole(note_of(source), lambda part: part.write_text(note, encoding="utf-8"))
    return write(Workspace.locate().arrays.parent / "sample", seed=seed, cells=cells)


def note_of(source: str | Path) -> Path:
    """Returns where, in an input folder on Google Drive, it is noted how the sample was drawn."""
    return Path(source) / "sample.json"


def is_drawn(root: str | Path) -> bool:
    """Whether the cells under `root`, the folder that holds `training_data`, are drawn."""
    return (Path(root) / MARKER).is_file()


def _is_whole(root: Path, asked: dict) -> bool:
    try:
        marker = json.loads((root / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    files = sum(1 for _ in root.rglob("*.bmp"))
    known = {key: marker.get(key) for key in (*asked, "names")}
    return known == {"names": None} | asked and files == marker.get("files")


def _draw_all(table: pd.DataFrame, root: Path, seed: int, progress: bool) -> None:
    for folder in {(root / path).parent for path in table["path"]}:
        folder.mkdir(parents=True)

    def _one(row) -> None:
        pixels = drawing.draw(row.donor, cell_rng(seed, row.key), _SIDES[row.split])
        with named_when_full(root / row.path):
            (root / row.path).write_bytes(_bmp(pixels, row.split))

    rows = list(table.itertuples(index=False))
    with closing(pool.each(_one, rows)) as done:
        for _ in tqdm(done, "drawing cells", len(rows), unit="cell", disable=not progress):
            pass


_SIDES = {"train": 450, "prelim": 450, "final": 600}


def _bmp(pixels: np.ndarray, split: str) -> bytes:
    """A 24-bit BMP with the header that this part of C-NMC has: V5 for the preliminary set.

    Layout after Microsoft's BITMAPINFOHEADER and BITMAPV5HEADER; rows run from bottom to top
    and are padded to four bytes.
    """
    side = len(pixels)
    rows = np.zeros((side, -(-side * 3 // 4) * 4), np.uint8)
    rows[:, : side * 3] = pixels[::-1, :, ::-1].reshape(side, -1)
    extra = _V5 if split == "prelim" else b""
    start = 54 + len(extra)
    density = 0 if split == "final" else 3779
    header = struct.pack("<2sIIIIiiHHIIiiII", b"BM", start + rows.size, 0, start, start - 14,
                         side, side, 1, 24, 0, rows.size, density, density, 0, 0)  # fmt: skip
    return header + extra + rows.tobytes()


# Channel masks, sRGB mark, end points, gamma, intent: what the preliminary files carry.
_V5 = struct.pack(
    "<4I4s9I3I4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000, b"BGRs",
    0, 0, 0xFC1EB854, 0, 0, 0xFC666666, 0, 0, 0xFF28F5C4, 0, 0, 0, 4, 0, 0, 0)  # fmt: skip


def _write_labels(table: pd.DataFrame, root: Path) -> None:
    prelim = table[table["split"] == "prelim"]
    number = prelim["path"].str.extract(r"(\d+)\.bmp$")[0].astype(int)
    prelim = prelim.loc[number.sort_values().index]
    with (root / f"{PRELIM}_labels.csv").open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\r\n")
        out.writerow(("Patient_ID", "new_names", "labels"))
        for row in prelim.itertuples():
            out.writerow((row.name, Path(row.path).name, row.label))


def _write_marker(table: pd.DataFrame, root: Path, asked: dict) -> None:
    note = "These cells are drawn by the program anna.sample. They are not real, nor from people."
    parts = table["split"].value_counts().to_dict()
    marker = {"note": note} | asked | {"files": len(table), "parts": parts}
    text = json.dumps(marker, indent=2) + "\n"
    (root / MARKER).write_text(text, encoding="utf-8", newline="\n")
