"""Tables on disk: CSV files whose columns come back with the types they had."""

import os
from functools import partial
from pathlib import Path

import pandas as pd

from anna.patience import patiently
from anna.workspace import write_whole

TYPES = {
    "path": "str",
    "name": "str",
    "split": "str",
    "fold": "Int64",
    "subject": "str",
    "label": "Int64",
    "drawn": "bool",
    "group": "str",
    "role": "str",
    "probability": "float64",
    "problem": "str",
    "detail": "str",
    "network": "str",
}


def typed(data: pd.DataFrame | pd.Series, types: str | dict[str, str]) -> pd.DataFrame | pd.Series:
    """Returns the data with these types; what is missing stays missing, in text too.

    pandas before 3 would spell it out, as the text "None" or "nan".
    """
    return data.astype(types).where(data.notna())


def write(table: pd.DataFrame, path: str | os.PathLike) -> Path:
    r"""Returns `path`, a CSV of the table without its index, written whole.

    What of a file's name is no UTF-8 is written as `\x` and its number.
    """
    return write_whole(Path(path), partial(table.to_csv, index=False, errors="backslashreplace"))


def read(path: str | os.PathLike) -> pd.DataFrame:
    """Returns the table that `write` wrote; columns named in `TYPES` have those types.

    Raises:
        FileNotFoundError: If it is not there; a notebook before this one makes it.
        ValueError: If it is no such table; the message names it.
    """
    if not patiently(Path(path).is_file):
        raise FileNotFoundError(
            f"Run the notebook before this one, which makes it. Missing: {path}"
        )
    try:
        header = patiently(pd.read_csv, path, nrows=0).columns
        types = {key: kind for key, kind in TYPES.items() if key in header}
        return patiently(pd.read_csv, path, dtype=types)
    except ValueError as error:
        raise ValueError(
            f"{path} is damaged; run the notebook that makes it again. Received: {error}"
        ) from error
