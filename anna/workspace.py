"""Where input and output are: a checkout, Colab with Drive, or ANNA_INPUT and ANNA_OUTPUT."""

import os
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

COLAB = Path("/content")
DRIVE = COLAB / "drive" / "MyDrive"


@dataclass(frozen=True)
class Workspace:
    """The folders of one user of ANNa.

    Attributes:
        input: Where C-NMC lies, a folder or Kaggle's zip. Only the built-in sample is written here.
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
            ValueError: If it names a file that is no zip, or a zip cut off.
        """
        home, local = _home()
        source = Path(os.environ.get("ANNA_INPUT") or home / "input").expanduser().resolve()
        output = Path(os.environ.get("ANNA_OUTPUT") or home / "output").expanduser().resolve()
        if os.environ.get("ANNA_INPUT") and not source.exists():
            raise FileNotFoundError(
                "ANNA_INPUT must name the folder (or Kaggle's zip) that holds C-NMC. "
                f"Received: {os.environ['ANNA_INPUT']}"
            )
        if source.is_file() and not zipfile.is_zipfile(source):
            raise ValueError(f"ANNA_INPUT is no whole zip; fetch it again. Received: {source}")
        arrays = local / "arrays" if local else output / "arrays"
        workspace = cls(source, output, arrays)
        for folder in (arrays, workspace.csv, workspace.models, workspace.viz):
            folder.mkdir(parents=True, exist_ok=True)
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


def _home() -> tuple[Path, Path | None]:
    """Returns the folder of input and output, and a local folder for caches if it is slow."""
    checkout = Path(__file__).resolve().parents[1]
    if COLAB.is_dir() and "COLAB_RELEASE_TAG" in os.environ:
        return (DRIVE / "ANNa", COLAB / "anna") if DRIVE.is_dir() else (COLAB / "ANNa", None)
    return (checkout if (checkout / "notebooks").is_dir() else Path.cwd()), None


def write_whole(path: Path, write: Callable[[Path], object]) -> Path:
    """Returns `path`, written by `write` under a temporary name and then renamed.

    A reader, and a run killed in the middle, sees the old file or the new one, never half of one.
    The temporary name keeps the ending of `path`, for writers that look at it. `write` may write a
    folder, too.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=path.parent) as folder:
        part = Path(folder) / path.name
        write(part)
        if part.is_dir() and path.is_dir():  # only an empty folder can be replaced at once
            path.replace(part.with_name("before"))
        part.replace(path)
    return path
