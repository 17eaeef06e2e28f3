"""The first cell of a notebook in Google Colab: Drive, what is missing, and where C-NMC is."""

import importlib.metadata
import importlib.util
import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

from anna import archive, sample, workspace
from anna.drive import on_drive
from anna.patience import DriveError, patiently
from anna.workspace import Workspace

log = logging.getLogger(__name__)
KAGGLE = "andrewmvd/leukemia-classification"
_SECRETS = ("KAGGLE_API_TOKEN", "KAGGLE_KEY")
_UNUSED = {"jupyter"}  # Colab has an interface of its own
_MODULES = {"opencv-python-headless": "cv2"}  # whichever of its packages brings it


def setup() -> Workspace:
    """Returns the workspace, ready: Drive mounted, packages there, C-NMC found where it can be.

    C-NMC comes from `ANNa/input` on Drive, a folder or one archive, which is brought to the local
    disk; else from Kaggle, where the user has a key for it; else the first notebook draws a sample,
    and a later one draws it again on a new machine. Models and results stay on Drive. Where both
    `ANNA_INPUT` and `ANNA_OUTPUT` are set, and neither lies on Drive, it is not mounted.

    Raises:
        anna.patience.DriveError: If Drive cannot be mounted, or stays away; the message says what
            to do.
        ConnectionError: If Kaggle does not hand the data out.
    """
    _mount()
    _install(missing())
    ws = Workspace.locate()
    if os.environ.get("ANNA_INPUT") or archive.find(ws.input) is not None:
        return ws
    if has_kaggle_key():
        os.environ["ANNA_INPUT"] = str(_from_kaggle())
        return Workspace.locate()
    note = sample.note_of(ws.input)
    if note.is_file():
        sample.stand_in(ws.input, **json.loads(patiently(note.read_text)))
    return ws


def _mount() -> None:
    """Mounts Drive, unless it is there or the user keeps everything elsewhere."""
    if _is_elsewhere() or patiently(workspace.DRIVE.is_dir):
        return
    from google.colab import drive

    try:
        patiently(drive.mount, str(workspace.DRIVE.parent))
    except Exception as error:  # Colab's errors for these have no home; one is of a refusal
        raise DriveError(
            "Drive must be mounted: allow it and run again, or set ANNA_INPUT and ANNA_OUTPUT to "
            "keep everything elsewhere. If it was allowed: Runtime, Disconnect and delete runtime, "
            f"then Run all. Received: {error}"
        ) from error


def _is_elsewhere() -> bool:
    """Returns whether the user has named places for input and output, neither of them on Drive."""
    places = [os.environ.get(name) for name in ("ANNA_INPUT", "ANNA_OUTPUT")]
    return all(place and not on_drive(Path(place).expanduser().resolve()) for place in places)


def missing() -> list[str]:
    """Returns the packages that ANNa needs and this machine lacks."""
    needed = importlib.metadata.requires("anna-leukemia") or []
    names = [re.match(r"[\w.-]+", line)[0] for line in needed if "extra" not in line]
    return [name for name in names if name not in _UNUSED and not _is_here(name)]


def _is_here(name: str) -> bool:
    if name in _MODULES:
        return importlib.util.find_spec(_MODULES[name]) is not None
    try:
        return bool(importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return False


def _install(names: list[str]) -> None:
    """Installs packages without what they ask for, so that Colab's own are not replaced."""
    if names:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", *names]
        subprocess.run(command, check=True)


def has_kaggle_key() -> bool:
    """Returns whether the user has a key of Kaggle: in the environment, a file, or a secret."""
    files = [Path.home() / ".kaggle" / name for name in ("kaggle.json", "access_token")]
    if any(os.environ.get(name) for name in _SECRETS) or any(file.is_file() for file in files):
        return True
    return any(_secret(name) for name in _SECRETS)


def _secret(name: str) -> str | None:
    """Returns a secret of Colab, None if it is missing or not shared, or if this is not Colab."""
    try:
        from google.colab import userdata

        return userdata.get(name)
    except Exception:  # Colab's errors for these have no home
        return None


def _from_kaggle() -> Path:
    try:
        import kagglehub

        return Path(kagglehub.dataset_download(KAGGLE))
    except Exception as error:
        raise ConnectionError(
            "Kaggle must hand out C-NMC. Check the key, or put Kaggle's zip into ANNa/input on "
            f"Drive. Received: {error}"
        ) from error
