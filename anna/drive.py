"""What lies on Google Drive is brought to the local disk once, before its many small reads."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tqdm.auto import tqdm

from anna import workspace
from anna.patience import patiently

_CHUNK = 16 * 2**20  # bytes
_THREADS = 16  # small files of Drive wait for the network, not for the processor


def on_drive(path: Path) -> bool:
    """Returns whether a path is of Google Drive, mounted in Colab, one's own or shared."""
    return Path(path).is_relative_to(workspace.DRIVE.parent)


def bring_file(source: Path, target: Path) -> Path:
    """Returns `target`, a local copy of a large file; a copy cut off goes on where it was.

    Raises:
        OSError: If the local disk has no room for it.
        anna.patience.DriveError: If Drive stays away.
    """
    state = patiently(os.stat, source)
    part = target.with_name(target.name + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    done = part.stat().st_size if part.is_file() else 0
    _require_room(part.parent, state.st_size - done)
    bar = tqdm(
        total=state.st_size, initial=done, desc=f"copying {source.name}", unit="B", unit_scale=True
    )
    with bar, part.open("ab") as out:
        while done < state.st_size:
            chunk = patiently(_chunk, source, done)
            if not chunk:
                raise OSError(f"The file ended early; upload it again. Received: {source}")
            out.write(chunk)
            done += len(chunk)
            bar.update(len(chunk))
    os.utime(part, ns=(state.st_atime_ns, state.st_mtime_ns))
    return part.replace(target)


def _chunk(source: Path, start: int) -> bytes:
    with source.open("rb") as file:
        file.seek(start)
        return file.read(_CHUNK)


def bring_folder(source: Path, target: Path, names: list[str]) -> Path:
    """Returns `target`, a local copy of these files of a folder; what is there is not copied again.

    But a file changed on Drive is, by its size or its time of change: labels get corrected, images
    replaced. Drive is asked for these only of files that are here, without reading them.

    Args:
        source: The folder on Drive.
        target: The local one; until all are there it is called `.part`.
        names: Of the files, relative to the folder.
    """
    here = target if target.is_dir() else target.with_name(target.name + ".part")
    any_here = here.is_dir()
    with ThreadPoolExecutor(_THREADS) as pool:
        try:
            same = pool.map(partial(_is_as_on_drive, source, here), names)
            how = {"unit": "img", "delay": 2, "disable": not any_here}  # seconds
            whole = list(tqdm(same, "comparing with Drive", len(names), **how))
            needed = [name for name, kept in zip(names, whole, strict=True) if not kept]
            for folder in {(here / name).parent for name in needed}:
                folder.mkdir(parents=True, exist_ok=True)
            done = pool.map(partial(_bring, source, here), needed)
            title, quiet = f"copying {source.name}", not needed
            for _ in tqdm(done, title, len(needed), unit="img", disable=quiet):
                pass
        finally:
            pool.shutdown(cancel_futures=True)
    return here.replace(target)


def _is_as_on_drive(source: Path, target: Path, name: str) -> bool:
    """Returns whether a file need not be copied."""
    if not (target / name).is_file():
        return False
    ours, theirs = (target / name).stat(), patiently(os.stat, source / name)
    return (ours.st_size, ours.st_mtime_ns) == (theirs.st_size, theirs.st_mtime_ns)


def _bring(source: Path, target: Path, name: str) -> None:
    half = target / f"{name}.half"
    patiently(shutil.copy2, source / name, half)
    half.replace(target / name)


def _require_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(f"{folder}: no room. Needed: {needed} bytes. Received: {free}")
