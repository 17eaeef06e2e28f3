"""The real cells of the benchmarks, and the five parts of people that they are judged by."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd

import anna

SHARED = Path(__file__).resolve().parents[2] / "shared"
PARTS = {
    "a": ("51", "30", "44", "2", "H10"),
    "b": ("34", "46", "38", "16", "H14"),
    "c": ("32", "33", "23", "H22"),
    "d": ("4", "H12"),
    "e": ("5", "H11"),
}


def root() -> Path:
    """Returns the folder of real C-NMC: below ANNA_INPUT, or unpacked from ../shared/data.

    Raises:
        FileNotFoundError: If neither is there.
    """
    ws = anna.Workspace.locate()
    found = anna.cnmc.find(ws.input)
    if found and not anna.sample.is_drawn(found):
        return found
    data = Path(os.environ.get("ANNA_REAL_DATA") or SHARED / "data")
    archives = [data / "cnmc_fold1.zip", data / "cnmc_extra.zip"]
    if missing := [path for path in archives if not path.is_file()]:
        raise FileNotFoundError(
            "Real cells are needed: set ANNA_INPUT to C-NMC, or ANNA_REAL_DATA to the folder of "
            f"the packed parts. Missing: {missing[0]}"
        )
    target = ws.output / "real"
    for path in archives:
        tool = data.parent / "tools" / "unpack_cnmc.py"
        subprocess.run([sys.executable, tool, path, target], check=True, stdout=sys.stderr)
    return anna.cnmc.find(target)


def parts_of_real_cells(progress: bool = True) -> pd.DataFrame:
    """Returns the training cells of the people in `PARTS`, with `group` and `part`.

    People who share an image are one, wherever they stand, and must not be in two parts.

    Raises:
        anna.splits.LeakError: If they are.
    """
    ws = anna.Workspace.locate()
    kept = ws.csv / "real_cells.csv"
    if not progress and kept.is_file():
        return anna.tables.read(kept)
    part_of = {subject: part for part, people in PARTS.items() for subject in people}
    cells = anna.cnmc.index(root())
    cells = cells[(cells["split"] == "train") & cells["subject"].isin(list(part_of))]
    cells = cells.reset_index(drop=True)
    cells["group"] = anna.splits.groups(cells)
    cells["part"] = cells["subject"].map(part_of)
    shared = cells.groupby("group")["part"].nunique()
    if (shared > 1).any():
        raise anna.splits.LeakError(
            f"One person stands in two parts. Received: {list(shared.index[shared > 1])}"
        )
    anna.tables.write(cells, kept)
    return cells
