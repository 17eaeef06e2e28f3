"""What has been measured of files, kept in a CSV: a file is read again only when it has changed."""

import itertools
import logging
import os
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pandas as pd
from tqdm.auto import tqdm

from anna import pool, tables
from anna.patience import patiently

log = logging.getLogger(__name__)
_BATCH = 500  # files measured at a time
_PAUSE = 5  # seconds between two writes of the CSV, at least
_CHECK = "check_3"  # the column of each row's checksum, and the version of what is measured
_NO_MEASURE = ["path", "bytes", "modified", "problem"]


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

    A file is measured again only when its path, bytes or time of change differ from the CSV, when
    its row there is damaged, or when nothing could be measured; work that was interrupted goes on
    where it was.

    Args:
        paths: Of the files, str.
        measure: From a path to a row, by column.
        types: Of all columns; `path`, `bytes` and `modified` are among them.
        cache: The CSV.
        title: Of the bar.
        progress: Whether to show a bar.
    """
    known = _known(cache, list(types))
    held = set(zip(known.index, known["bytes"], known["modified"], strict=True))
    now = {path: tuple(map(str, state(path))) for path in paths.drop_duplicates()}
    stale = [path for path, (size, changed) in now.items() if (path, size, changed) not in held]
    bar = tqdm(total=len(stale), desc=title, unit="img", disable=not (progress and stale))
    known, written, unsaved = known.drop(stale, errors="ignore"), time.monotonic(), False
    try:
        for batch in _measured(stale, measure, types, bar):
            known, unsaved = pd.concat([known, batch]), True
            if time.monotonic() >= written + _PAUSE:
                _write(known, list(types), cache)
                written, unsaved = time.monotonic(), False
    finally:
        bar.close()
        if unsaved:
            _write(known, list(types), cache)
    found = known.where(known != "").reset_index()[list(types)]
    return tables.typed(found, types).set_index("path").reindex(paths)


def _write(known: pd.DataFrame, columns: list[str], cache: Path) -> None:
    sure = known[known.drop(columns=_NO_MEASURE, errors="ignore").ne("").any(axis=1)]
    sure = sure.sort_index().reset_index()[columns]
    tables.write(sure.assign(**{_CHECK: _checks(sure)}), cache)


def state(path: str) -> tuple[int, int]:
    """Returns bytes and time of change in nanoseconds of a file, -1 and -1 if it cannot be read."""
    try:
        state = Path(path).stat()
    except OSError:
        return -1, -1
    return (state.st_size, state.st_mtime_ns) if os.access(path, os.R_OK) else (-1, -1)


def _known(cache: Path, columns: list[str]) -> pd.DataFrame:
    """Returns the kept rows by path, as text; those that are not as they were written are missing.

    There are none if the CSV is missing or not of this version.
    """
    empty = pd.DataFrame(columns=columns, dtype="str").set_index("path")
    if not patiently(cache.is_file):
        return empty
    try:
        table = patiently(pd.read_csv, cache, dtype="str", keep_default_na=False)
        known, checks = table[columns], table[_CHECK]
    except (ValueError, KeyError, OSError) as error:
        log.warning("%s is damaged, or of another version, and is made anew: %s", cache, error)
        return empty
    sound = checks == _checks(known)
    if not sound.all():
        log.warning("%s is damaged: %d rows are made anew", cache, (~sound).sum())
    return known[sound].drop_duplicates("path").set_index("path")


def _checks(table: pd.DataFrame) -> pd.Series:
    """Returns the checksum of each row of a table of text, as text."""
    lines = ["\x1f".join(row).encode() for row in table.to_numpy(object).tolist()]
    return pd.Series([f"{zlib.crc32(line):08x}" for line in lines], table.index, dtype="str")


def _measured(
    paths: list[str], measure: Callable[[str], dict], types: dict[str, str], bar: tqdm
) -> Iterator[pd.DataFrame]:
    """Yields the rows of the files by path, some at a time, as text, measured by all cores."""
    with closing(pool.each(measure, paths)) as measured:
        while found := list(itertools.islice(_counted(measured, bar), _BATCH)):
            batch = tables.typed(pd.DataFrame(found, columns=list(types)), types).astype(object)
            yield batch.where(batch.notna(), "").map(str).astype("str").set_index("path")


def _counted(rows: Iterator[dict], bar: tqdm) -> Iterator[dict]:
    for row in rows:
        bar.update()
        yield row
