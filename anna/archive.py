"""Where a copy of C-NMC lies: in a folder, below it, or in Kaggle's zip or another archive."""

import gzip
import hashlib
import logging
import lzma
import os
import re
import shutil
import tarfile
import time
import zipfile
import zlib
from collections.abc import Iterable
from glob import escape
from pathlib import Path, PurePosixPath

from tqdm.auto import tqdm

from anna.drive import bring_file, bring_folder, on_drive
from anna.lock import alone
from anna.patience import patiently
from anna.workspace import Workspace, is_archive, named_when_full, require_room

log = logging.getLogger(__name__)
PARTS = {  # as Kaggle calls them, and as the Cancer Imaging Archive does
    "training_data": "C-NMC_training_data",
    "validation_data": "C-NMC_test_prelim_phase_data",
    "testing_data": "C-NMC_test_final_phase_data",
}
TABLE = "C-NMC_test_prelim_phase_data_labels.csv"  # in the folder of its images, or beside it
NAMES = {*PARTS, *PARTS.values()}
_VERSION = 2  # of what is taken out of an archive
_FOLD = "fold_[0-9]"
ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2")
MARKER = "DRAWN.json"  # lies in the folder of a drawn stand-in
_DAMAGE = (
    EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, gzip.BadGzipFile,
)  # fmt: skip


def find(folder: str | Path) -> Path | None:
    """Returns the folder that holds `training_data/` (or another part of C-NMC), or None.

    The parts may be called as by Kaggle or by the Cancer Imaging Archive; folds may lie in the
    folder itself, too. Looked for are, in this order: the folder, the folders up to three below it,
    Kaggle's zip or a tar, and last a drawn sample: real cells win over drawn ones. Hidden folders
    are passed over. What lies on Google Drive is copied to the local disk, once on each machine.

    Args:
        folder: A folder, or an archive; an archive is unpacked beside the arrays, once. A fold, or
            a part of C-NMC, stands for the whole copy around it.
    """
    folder = Path(folder)
    folder = folder.parent if re.fullmatch(_FOLD, folder.name) else folder
    folder = folder.parent if folder.name in NAMES else folder
    nearest = patiently(_inside, folder)
    if nearest and not (nearest / MARKER).exists():
        return _near(nearest)
    for archive in patiently(_archives, folder):
        if not is_archive(archive):
            log.warning("passed over, not a whole zip (was its download cut off?): %s", archive)
            continue
        try:
            found = _inside(_unpack(archive))
        except _DAMAGE as error:
            told = "passed over, damaged (was its download cut off?): %s. Received: %s"
            log.warning(told, archive, error)
            continue
        if found is not None:
            return found
    return nearest


def is_drawn(folder: Path) -> bool:
    """Returns whether a folder lies in a drawn stand-in."""
    folder = folder.resolve()
    return any((above / MARKER).is_file() for above in (folder, *folder.parents))


def are_drawn(paths: Iterable[str | os.PathLike]) -> list[bool]:
    """Returns of each file whether it lies in a drawn stand-in; each folder is looked at once."""
    folders = [Path(path).parent for path in paths]
    known = {folder: is_drawn(folder) for folder in set(folders)}
    return [known[folder] for folder in folders]


def part_of(root: Path, name: str) -> Path:
    """Returns where a part of C-NMC lies below `root`, whatever it is called there.

    Args:
        root: As `find` returns it.
        name: Of `PARTS`.
    """
    for called in (name, PARTS[name]):
        if (root / called).is_dir():
            return root / called
    return root if name == "training_data" else root / name


def _archives(folder: Path) -> list[Path]:
    """Returns the file itself, or the archives in a folder, by name."""
    if folder.is_file():
        return [folder]
    return sorted(p for p in folder.glob("[!.]*") if p.name.endswith(ENDINGS))


def _near(root: Path) -> Path:
    """Returns the folder, or its copy on the local disk if it lies on Google Drive."""
    if not on_drive(root):
        return root
    names = patiently(_files, root)
    known = hashlib.blake2b("\n".join([str(root), *names]).encode(), digest_size=4).hexdigest()
    target = Workspace.locate().arrays.parent / "copied" / f"{root.name}_{known}"
    return bring_folder(root, target, names)


def _files(root: Path) -> list[str]:
    files = [path.relative_to(root).as_posix() for path in root.rglob("*")]
    return sorted(name for name in files if _wanted(name))


def _inside(folder: Path) -> Path | None:
    """Returns the nearest folder with a part of C-NMC in it, one of real cells first."""
    drawn = []
    for depth in range(4):
        below = [folder] if depth == 0 else folder.glob("/".join(["[!.]*"] * depth))
        for place in sorted(below):
            if not place.is_dir() or any(place.is_relative_to(found) for found in drawn):
                continue  # folders of a drawn copy are none of their own
            if any((place / name).is_dir() for name in NAMES) or any(place.glob(_FOLD)):
                if not (place / MARKER).exists():
                    return place
                drawn.append(place)
    return drawn[0] if drawn else None


def unpacked(archive: Path) -> Path:
    """Returns the folder that an archive is unpacked into, on the local disk.

    Its name holds hashes of the archive's path, and of its size and time of change: Kaggle calls
    every download archive.zip, and a corrected label leaves the size as it was.
    """
    state = patiently(archive.stat)
    about = (str(archive.resolve()), f"{state.st_size} {state.st_mtime_ns} {_VERSION}")
    known = (hashlib.blake2b(each.encode(), digest_size=4).hexdigest() for each in about)
    return Workspace.locate().arrays.parent / "unpacked" / "_".join([archive.stem, *known])


def _unpack(archive: Path) -> Path:
    """Returns the folder of the archive's C-NMC files, unpacked on the local disk if not there.

    What an archive at the same place held before is removed.

    Raises:
        ValueError: If a member would be written outside of it.
        OSError: If the disk has no room for it.
    """
    target = unpacked(archive)
    if not target.is_dir():
        with alone(target.with_name(f".{target.name}.lock"), wait=True):
            if not target.is_dir():
                part = target.with_name(f"{target.name}.part")
                for old in _superseded(target):
                    shutil.rmtree(old) if old.is_dir() else old.unlink()
                if on_drive(archive):
                    copy = bring_file(archive, target.with_name(f"{target.name}_{archive.name}"))
                    _extract(copy, part)
                    copy.unlink()
                else:
                    _extract(archive, part)
                part.replace(target)
    return target


def _superseded(target: Path) -> list[Path]:
    """Returns what was made of an earlier archive at the same place, whole or half."""
    place = escape(target.name.rpartition("_")[0])
    made = target.parent.glob(f"{place}_*")
    return [path for path in made if not path.name.startswith(target.name)]


def _extract(archive: Path, part: Path) -> None:
    """Unpacks what is of C-NMC and not yet there, each file with its time of change."""
    with _opened(archive) as source:
        zipped = isinstance(source, zipfile.ZipFile)
        members = _zip_members(source) if zipped else _tar_members(source)
        for name in members:
            if leads_outside(name):
                raise ValueError(f"{archive}: leads outside. Received: {name!r}")
        part.mkdir(parents=True, exist_ok=True)
        there = {name for name, (_, size, _) in members.items() if _is_whole(part / name, size)}
        needed = sum(size for name, (_, size, _) in members.items() if name not in there)
        require_room(part, needed, f"to unpack {archive}")
        title, options = f"unpacking {archive.name}", {} if zipped else {"filter": "data"}
        with tqdm(total=len(members), initial=len(there), desc=title, unit="img") as bar:
            for name, (member, _, changed) in members.items():
                done = part / name
                if name not in there:
                    with named_when_full(done):
                        source.extract(member, part, **options)
                    bar.update()
                os.utime(done, (changed, changed))


def _is_whole(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def leads_outside(member: str) -> bool:
    """Returns whether an archive's member would be written outside of its folder."""
    return PurePosixPath(member).is_absolute() or ".." in re.split(r"[/\\]", member)


def _opened(archive: Path) -> zipfile.ZipFile | tarfile.TarFile:
    return zipfile.ZipFile(archive) if zipfile.is_zipfile(archive) else tarfile.open(archive)


def _zip_members(source: zipfile.ZipFile) -> dict[str, tuple]:
    """Returns member, bytes and time of change by name; a zip's clock has no zone."""
    found = {m.filename: m for m in source.infolist() if _wanted(m.filename)}
    return {
        name: (m, m.file_size, time.mktime((*m.date_time, 0, 0, -1))) for name, m in found.items()
    }


def _tar_members(source: tarfile.TarFile) -> dict[str, tuple]:
    """Returns member, bytes and time of change by name; links are left out."""
    found = {m.name: m for m in source.getmembers() if m.isfile() and _wanted(m.name)}
    return {name: (m, m.size, m.mtime) for name, m in found.items()}


def _wanted(member: str) -> bool:
    """Returns whether a file is of C-NMC, tells labels, or says that its cells are drawn."""
    parts = member.split("/")
    inside = any(part in NAMES or re.fullmatch(_FOLD, part) for part in parts)
    return (inside and member.endswith((".bmp", ".csv"))) or parts[-1] in (MARKER, TABLE)
