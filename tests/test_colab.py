"""The first cell in Google Colab: Drive is mounted, or its absence is told with what to do."""

import sys
import types

import pytest
from copies import make

from anna import archive, colab, patience, workspace
from anna.patience import DriveError


class MessageError(Exception):
    """Colab's own, which is no ValueError."""


@pytest.fixture
def package(monkeypatch, tmp_path):
    """A stand-in for google.colab, Drive not mounted; a test gives it its drive."""
    content = tmp_path / "content"
    content.mkdir()
    monkeypatch.setattr(workspace, "COLAB", content)
    monkeypatch.setattr(workspace, "DRIVE", content / "drive" / "MyDrive")
    monkeypatch.setattr(patience, "WAITS", (0,))
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab")
    for name in ("ANNA_INPUT", "ANNA_OUTPUT"):
        monkeypatch.delenv(name, raising=False)
    package = types.ModuleType("google.colab")
    monkeypatch.setitem(sys.modules, "google.colab", package)
    return package


def refusing(error):
    """Returns Colab's drive, whose mount fails so."""

    def mount(place):
        raise error

    return types.SimpleNamespace(mount=mount)


@pytest.mark.parametrize(
    "error",
    [
        MessageError("Error: credential propagation was unsuccessful"),
        ValueError("mount failed"),
        TimeoutError("no answer"),
        OSError("no such device"),
    ],
)
def test_a_drive_that_is_not_mounted_is_told_with_what_to_do(package, error):
    package.drive = refusing(error)
    with pytest.raises(DriveError, match=r"allow .*run again.*ANNA_INPUT and ANNA_OUTPUT") as told:
        colab.setup()
    assert str(error) in str(told.value)
    assert told.value.__cause__ is error


def test_who_keeps_everything_elsewhere_is_not_asked_for_drive(package, monkeypatch, tmp_path):
    copy = make(tmp_path / "data" / "C-NMC_Leukemia", {"prelim/1.bmp": 3})
    monkeypatch.setenv("ANNA_INPUT", str(copy.parent))
    monkeypatch.setenv("ANNA_OUTPUT", str(tmp_path / "results"))
    package.drive = refusing(MessageError("asked"))
    ws = colab.setup()
    assert archive.find(ws.input) == copy
    assert ws.output == tmp_path / "results"
    assert not workspace.DRIVE.exists()


@pytest.mark.parametrize(
    ("source", "output"), [("here", None), (None, "here"), ("MyDrive/a", "here")]
)
def test_drive_is_mounted_where_one_of_the_two_lies_on_it(
    package, monkeypatch, tmp_path, source, output
):
    for name, where in (("ANNA_INPUT", source), ("ANNA_OUTPUT", output)):
        if where:
            base = workspace.DRIVE.parent if where.startswith("MyDrive") else tmp_path
            monkeypatch.setenv(name, str(base / where))
    mounted = []
    package.drive = types.SimpleNamespace(mount=mounted.append)
    colab._mount()
    assert mounted == [str(workspace.DRIVE.parent)]
