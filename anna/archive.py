"""Where a copy of C-NMC lies: in a folder, below it, or in Kaggle's zip."""

import logging
import re
import zipfile
from pathlib import Path, PurePosixPath

from tqdm.auto import tqdm

from anna.lock import alone
from anna.workspace import Workspace, named_when_full, require_room

log = logging.getLogger(__name__)
PARTS = ("training_data", "validation_data", "testing_data")
MARKER = "DRAWN.json"  # lies in the folder of a drawn stand-in


def find(folder: str | Path) -> Path | None:
    """Returns the folder that holds `training_data/` (or another part of C-NMC), or None.

    Looked for are, in this order: the folder itself, the folders up to three below it, Kaggle's
    zip, and last a drawn sample: real cells win over drawn ones. Hidden folders are passed over.

    Args:
        folder: A folder, or Kaggle's zip; a zip is unpacked beside the arrays, once.
    """
    folder = Path(folder)
    folder = folder.parent if re.fullmatch(r"fold_\d", folder.name) else folder
    folder = folder.parent if folder.name in PARTS else folder
    nearest = _inside(folder)
    if nearest and not (nearest / MARKER).exists():
        return nearest
    for archive in [folder] if folder.is_file() else sorted(folder.glob("*.zip")):
        if not zipfile.is_zipfile(archive):
            log.warning("passed over, not a whole zip (was its download cut off?): %s", archive)
        elif (unpacked := _inside(_unpack(archive))) is not None:
            return unpacked
    return nearest


def _inside(folder: Path) -> Path | None:
    """Returns the nearest folder with a part of C-NMC in it, one of real cells first."""
    drawn = None
    for depth in range(4):
        below = [folder] if depth == 0 else folder.glob("/".join(["[!.]*"] * depth))
        for place in sorted(below):
            if any((place / part).is_dir() for part in PARTS):
                if not (place / MARKER).exists():
                    return place
                drawn = drawn or place
    return drawn


def _unpack(archive: Path) -> Path:
    """Returns the folder of the zip's C-NMC files, unpacked on the local disk if not there.

    The folder's name holds the zip's size: Kaggle calls every download archive.zip.

    Raises:
        ValueError: If a member would be written outside of it.
        OSError: If the disk has no room for it.
    """
    name = f"{archive.stem}_{archive.stat().st_size}"
    target = Workspace.locate().arrays.parent / "unpacked" / name
    if not target.is_dir():
        with alone(target.with_name(f".{name}.lock"), wait=True):
            if not target.is_dir():
                _extract(archive, target.with_name(f"{name}.part")).replace(target)
    return target


def _extract(archive: Path, part: Path) -> Path:
    """Returns the folder `part` with the zip's C-NMC files; those that are whole there stay."""
    with zipfile.ZipFile(archive) as source:
        members = [m for m in source.infolist() if _wanted(m.filename)]
        for member in members:
            if leads_outside(member.filename):
                raise ValueError(f"{archive}: leads outside. Received: {member.filename!r}")
        part.mkdir(parents=True, exist_ok=True)
        require_room(part, sum(m.file_size for m in members), f"to unpack {archive}")
        for member in tqdm(members, f"unpacking {archive.name}", unit="img"):
            done = part / member.filename
            if not (done.is_file() and done.stat().st_size == member.file_size):
                with named_when_full(done):
                    source.extract(member, part)
    return part


def leads_outside(member: str) -> bool:
    """Returns whether a zip's member would be written outside of the folder it is unpacked to."""
    return PurePosixPath(member).is_absolute() or ".." in re.split(r"[/\\]", member)


def _wanted(member: str) -> bool:
    """Returns whether a zip's member is of C-NMC, or says that its cells are drawn."""
    parts = member.split("/")
    inside = any(part in parts for part in PARTS) and member.endswith((".bmp", ".csv"))
    return inside or parts[-1] == MARKER
