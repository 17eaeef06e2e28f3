"""The CSV that tells the labels of the preliminary set."""

import warnings
from pathlib import Path

import pandas as pd

_LABELS = {"1": 1, "0": 0, "1.0": 1, "0.0": 0}  # pandas writes the latter once one is missing
NONE = pd.DataFrame({"name": [], "label": []}, index=pd.Index([], name="file"))


def labels(path: str | Path) -> pd.DataFrame:
    """Returns the preliminary set's labels: index `file`, columns `name` and `label` (Int64).

    Rows repeated to the letter count once; a file with two different rows stays in twice. A label
    that is neither 0 nor 1 is missing.

    Raises:
        ValueError: If the CSV cannot be read or lacks a column.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # rows longer than the header
            table = pd.read_csv(
                path, dtype=str, encoding="utf-8-sig", skipinitialspace=True, index_col=False
            )
    except (ValueError, OSError, pd.errors.ParserWarning) as error:
        raise ValueError(f"{path}: not a CSV of labels. Received: {error}") from error
    table.columns = table.columns.str.strip()
    needed = ["new_names", "Patient_ID", "labels"]
    if any(list(table.columns).count(name) != 1 for name in needed):
        raise ValueError(f"{path}: columns missing or double. Received: {list(table.columns)}")
    table = table[needed].apply(lambda column: column.str.strip())
    table = table.set_axis(["file", "name", "label"], axis=1).dropna(subset=["file", "name"])
    table["label"] = table["label"].map(_LABELS).astype("Int64")
    return table.drop_duplicates().set_index("file")
