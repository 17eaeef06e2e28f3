"""Where a copy of C-NMC lies: in a folder, below it, or in Kaggle's zip."""

import shutil
import zipfile
from pathlib import Path, PurePosixPath

from tqdm.auto import tqdm

from anna.workspace import Workspace

PARTS = ("training_data", "validation_data", "testing_data")
MARKER = "DRAWN.json"  # lies in the folder of a drawn stand-in


def find(folder: str | Path) -> Path | None:
    """Returns the folder that holds `training_data/` (or another part of C-NMC), or None.

    Looked for are, in this order: the folder itself, the folders up to three below it, Kaggle's
    zip, and last a drawn sample: real cells win over drawn ones.

    Args:
        folder: A folder, or Kaggle's zip; a zip is unpacked into the output folder, once.
    """
    folder = Path(folder)
    folder = folder.parent if folder.name in PARTS else folder
    if folder.is_file():
        return _inside(_unpack(folder)) if zipfile.is_zipfile(folder) else None
    real = _inside(folder)
    if real and not (real / MARKER).exists():
        return real
    for archive in sorted(folder.glob("*.zip")):
        if (unpacked := _inside(_unpack(archive))) is not None:
            return unpacked
    return real


def _inside(folder: Path) -> Path | None:
    """Returns the nearest folder with a part of C-NMC in it, one of real cells first."""
    found = []
    for depth in range(4):
        below = [folder] if depth == 0 else folder.glob("/".join("*" * depth))
        found += [p for p in sorted(below) if any((p / part).is_dir() for part in PARTS)]
    return min(found, key=lambda p: (p / MARKER).exists(), default=None)


def _unpack(archive: Path) -> Path:
    """Returns the folder of the zip's C-NMC files, unpacked under the output folder if not there.

    Raises:
        ValueError: If a member would be written outside of it.
        OSError: If the disk has no room for it.
    """
    target = Workspace.locate().output / "unpacked" / archive.stem
    if target.is_dir():
        return target
    part = target.with_name(target.name + ".part")
    with zipfile.ZipFile(archive) as source:
        members = [m for m in source.infolist() if _wanted(m.filename)]
        for member in members:
            if PurePosixPath(member.filename).is_absolute() or ".." in member.filename.split("/"):
                raise ValueError(f"{archive}: leads outside. Received: {member.filename!r}")
        needed, part_parent = sum(m.file_size for m in members), part.parent
        part_parent.mkdir(parents=True, exist_ok=True)
        if needed > shutil.disk_usage(part_parent).free:
            raise OSError(f"{part_parent}: no room to unpack {archive}. Needed: {needed} bytes")
        for member in tqdm(members, f"unpacking {archive.name}", unit="img"):
            done = part / member.filename
            if not (done.is_file() and done.stat().st_size == member.file_size):
                source.extract(member, part)
    part.mkdir(exist_ok=True)
    return part.replace(target)


def _wanted(member: str) -> bool:
    return any(part in member.split("/") for part in PARTS) and member.endswith((".bmp", ".csv"))
