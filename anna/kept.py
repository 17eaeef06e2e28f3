"""What has been measured of files, kept in a CSV: a file is read again only when it has changed."""

import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
from tqdm.auto import tqdm

from anna import tables
from anna.patience import patiently

log = logging.getLogger(__name__)
_BATCH = 500  # files between two writes of the CSV


def rows(
    paths: pd.Series,
    measure: Callable[[str], dict],
    *,
    types: dict[str, str],
    cache: Path,
    title: str,
    progress: bool = True,
) -> pd.DataFrame:
    """Returns a row a file, indexed by path, in the order of `paths`.

    A file is measured again only when its path, bytes or time of change differ from the CSV; work
    that was interrupted goes on where it was.

    Args:
        paths: Of the files, str.
        measure: From a path to a row, by column.
        types: Of all columns; `path`, `bytes` and `modified` are among them.
        cache: The CSV.
        title: Of the bar.
        progress: Whether to show a bar.
    """
    known = _known(cache, types)
    held = set(zip(known.index, known["bytes"], known["modified"], strict=True))
    stale = [path for path in paths.drop_duplicates() if (path, *state(path)) not in held]
    bar = tqdm(total=len(stale), desc=title, unit="img", disable=not (progress and stale))
    with bar:
        for batch in _measured(stale, measure, types, bar):
            kept = known.drop(batch.index, errors="ignore")
            known = pd.concat([part for part in (kept, batch) if len(part)])
            tables.write(known.sort_index().reset_index()[list(types)], cache)
    return known.reindex(paths)


def state(path: str) -> tuple[int, int]:
    """Returns bytes and time of change in nanoseconds of a file, or -1 and -1 if there is none."""
    try:
        state = Path(path).stat()
    except OSError:
        return -1, -1
    return state.st_size, state.st_mtime_ns


def _known(cache: Path, types: dict[str, str]) -> pd.DataFrame:
    """Returns the kept rows by path; none if the CSV is missing or not of this version."""
    empty = pd.DataFrame(columns=list(types)).astype(types).set_index("path")
    if not patiently(cache.is_file):
        return empty
    try:
        return patiently(pd.read_csv, cache, dtype=types)[list(types)].set_index("path")
    except (ValueError, KeyError, OSError) as error:
        log.warning("%s is damaged and is made anew: %s", cache, error)
        return empty


def _measured(
    paths: list[str], measure: Callable[[str], dict], types: dict[str, str], bar: tqdm
) -> Iterator[pd.DataFrame]:
    """Yields the rows of the files by path, some at a time, measured by all cores."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(paths), _BATCH):
            found = []
            for row in pool.map(measure, paths[start : start + _BATCH]):
                found.append(row)
                bar.update()
            yield tables.typed(pd.DataFrame(found, columns=list(types)), types).set_index("path")
