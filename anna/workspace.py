"""Where input and output are: a checkout, Colab with Drive, or ANNA_INPUT and ANNA_OUTPUT."""

import errno
import hashlib
import os
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from anna.patience import patiently

COLAB = Path("/content")
DRIVE = COLAB / "drive" / "MyDrive"
_WRITING = ".writing-"
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # errors of a full disk


@dataclass(frozen=True)
class Workspace:
    """The folders of one user of ANNa.

    Attributes:
        input: Where C-NMC lies, a folder or Kaggle's zip. Only the built-in sample is written here,
            and of it in Colab no more than a note.
        output: Where results go. All of it can be deleted.
        arrays: Where caches of pixels go: the local disk, also where `output` is on Drive.
    """

    input: Path
    output: Path
    arrays: Path

    @classmethod
    def locate(cls) -> "Workspace":
        """Returns the workspace of this machine, its output folders made.

        `ANNA_INPUT` and `ANNA_OUTPUT` win; then Google Colab, with results on Drive where it is
        mounted; then the checkout that holds this package; then the current folder.

        Raises:
            FileNotFoundError: If `ANNA_INPUT` names nothing that exists.
            ValueError: If it names a file that is no zip or tar, or one cut off.
        """
        home, local = _home()
        source = Path(os.environ.get("ANNA_INPUT") or home / "input").expanduser().resolve()
        output = Path(os.environ.get("ANNA_OUTPUT") or home / "output").expanduser().resolve()
        if os.environ.get("ANNA_INPUT") and not patiently(source.exists):
            raise FileNotFoundError(
                "ANNA_INPUT must name the folder (or Kaggle's zip) that holds C-NMC. "
                f"Received: {os.environ['ANNA_INPUT']}"
            )
        if patiently(source.is_file) and not is_archive(source):
            raise ValueError(f"ANNA_INPUT is no whole zip; fetch it again. Received: {source}")
        arrays = local / "arrays" if local else output / "arrays"
        workspace = cls(source, output, arrays)
        for folder in (arrays, workspace.csv, workspace.models, workspace.viz):
            patiently(folder.mkdir, parents=True, exist_ok=True)
        return workspace

    @property
    def csv(self) -> Path:
        """Tables: the index, the facts of the images, the split, the predictions."""
        return self.output / "csv"

    @property
    def models(self) -> Path:
        """One folder a trained model."""
        return self.output / "models"

    @property
    def viz(self) -> Path:
        """Figures."""
        return self.output / "viz"

    @property
    def lock(self) -> Path:
        """Held, with `anna.lock.alone`, by commands that write tables which must fit each other."""
        return self.output / ".lock"


def _home() -> tuple[Path, Path | None]:
    """Returns the folder of input and output, and a local folder for caches if it is slow."""
    checkout = Path(__file__).resolve().parents[1]
    if COLAB.is_dir() and "COLAB_RELEASE_TAG" in os.environ:
        mounted = patiently(DRIVE.is_dir)
        return (DRIVE / "ANNa", COLAB / "anna") if mounted else (COLAB / "ANNa", None)
    return (checkout if (checkout / "notebooks").is_dir() else Path.cwd()), None


def is_archive(path: Path) -> bool:
    """Returns whether a file is a zip, whole to its end, or a tar, compressed or not."""
    return patiently(_is_archive, path)


def _is_archive(path: Path) -> bool:
    with path.open("rb") as file:  # is_zipfile would take a disk that fails for a file that is none
        file.read(1)
        return zipfile.is_zipfile(file) or (not file.seek(0) and tarfile.is_tarfile(file))


def write_whole(path: Path, write: Callable[[Path], object]) -> Path:
    """Returns `path`, written by `write` under a temporary name and then renamed.

    A reader, and a run killed in the middle, sees the old file or the new one, never half of one.
    The temporary name keeps the ending of `path`, for writers that look at it. Where the disk fails
    for a moment, `write` is called again. It may write a folder, too.

    Raises:
        OSError: If the disk is full; the message names the file, and the old one stays.
    """
    path = Path(path)
    with named_when_full(path):
        patiently(path.parent.mkdir, parents=True, exist_ok=True)
        folder = patiently(tempfile.mkdtemp, prefix=_WRITING, dir=path.parent)
        try:
            part = Path(folder) / path.name
            patiently(write, part)
            if part.is_dir() and path.is_dir():  # only an empty folder can be replaced at once
                path.replace(part.with_name("before"))
            patiently(part.replace, path)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return path


def digest(path: str | Path) -> str:
    """Returns a hash of a file's content."""
    return hashlib.blake2b(patiently(Path(path).read_bytes), digest_size=8).hexdigest()


def sweep(folder: Path) -> None:
    """Removes what writers that were killed have left in a folder that nobody else writes to."""
    for left in Path(folder).glob(f"{_WRITING}*"):
        shutil.rmtree(left, ignore_errors=True)


@contextmanager
def named_when_full(path: Path) -> Iterator[None]:
    """Makes the error of a full disk name the file and say what to do.

    Raises:
        OSError: In place of the system's own, with its number.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise OSError(
            error.errno, f"No room left on the disk; free some and run again. Received: {path}"
        ) from error


def require_room(folder: Path, needed: int, purpose: str) -> None:
    """Checks before long work that a disk has room for what it will write.

    Args:
        folder: Where it will be written.
        needed: Bytes.
        purpose: What for, "to unpack archive.zip".

    Raises:
        OSError: If it has not.
    """
    if needed > shutil.disk_usage(folder).free:
        raise OSError(errno.ENOSPC, f"{folder}: no room {purpose}. Needed: {needed} bytes")
