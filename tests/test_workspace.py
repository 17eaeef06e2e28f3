"""Input and output are found wherever ANNa runs, and files are written whole."""

import os

import pytest

import anna
from anna import workspace
from anna.workspace import Workspace, write_whole


@pytest.fixture
def checkout(monkeypatch, tmp_path):
    """A checkout of the project, without the variables that would lead elsewhere."""
    (tmp_path / "checkout" / "notebooks").mkdir(parents=True)
    file = tmp_path / "checkout" / "anna" / "workspace.py"
    monkeypatch.setattr(workspace, "__file__", str(file))
    monkeypatch.setattr(workspace, "COLAB", tmp_path / "no_colab")
    for name in ("ANNA_INPUT", "ANNA_OUTPUT", "COLAB_RELEASE_TAG"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "checkout"


@pytest.fixture
def colab(checkout, monkeypatch, tmp_path):
    """Google Colab's folder, Drive not mounted."""
    (tmp_path / "content").mkdir()
    monkeypatch.setattr(workspace, "COLAB", tmp_path / "content")
    monkeypatch.setattr(workspace, "DRIVE", tmp_path / "content" / "drive" / "MyDrive")
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab")
    return tmp_path / "content"


def test_a_checkout_is_found_from_any_folder(checkout, monkeypatch, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    found = Workspace.locate()
    assert found == Workspace(
        checkout / "input", checkout / "output", checkout / "output" / "arrays"
    )
    assert not list(elsewhere.iterdir())


def test_this_package_is_in_its_checkout():
    assert workspace._home()[0].joinpath("anna", "workspace.py").samefile(workspace.__file__)


def test_without_a_checkout_the_current_folder_serves(checkout, monkeypatch, tmp_path):
    (checkout / "notebooks").rmdir()
    monkeypatch.chdir(tmp_path)
    assert Workspace.locate().output == tmp_path / "output"


def test_all_output_folders_are_made(checkout):
    found = anna.Workspace.locate()
    for folder in (found.arrays, found.csv, found.models, found.viz):
        assert folder.is_dir()
        assert folder.parent == found.output
    assert not found.input.exists()


@pytest.mark.parametrize("place", ["checkout", "colab"])
def test_the_variables_win(place, request, monkeypatch, tmp_path):
    request.getfixturevalue(place)
    (tmp_path / "mine").mkdir()
    monkeypatch.setenv("ANNA_INPUT", str(tmp_path / "mine"))
    monkeypatch.setenv("ANNA_OUTPUT", str(tmp_path / "results"))
    found = Workspace.locate()
    assert (found.input, found.output) == (tmp_path / "mine", tmp_path / "results")


def test_variables_may_be_relative_or_of_the_home_folder(checkout, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ANNA_OUTPUT", "~/results")
    monkeypatch.setenv("ANNA_INPUT", "checkout")
    found = Workspace.locate()
    assert (found.input, found.output) == (checkout, tmp_path / "home" / "results")


def test_empty_variables_count_as_none(checkout, monkeypatch):
    monkeypatch.setenv("ANNA_INPUT", "")
    monkeypatch.setenv("ANNA_OUTPUT", "")
    assert Workspace.locate().input == checkout / "input"


def test_a_missing_input_is_named(checkout, monkeypatch, tmp_path):
    missing = tmp_path / "no" / "such" / "folder"
    monkeypatch.setenv("ANNA_INPUT", str(missing))
    with pytest.raises(FileNotFoundError, match=f"Received: {missing}$"):
        Workspace.locate()


def test_colab_keeps_results_on_drive_and_arrays_on_the_local_disk(colab):
    workspace.DRIVE.mkdir(parents=True)
    found = Workspace.locate()
    assert found.output == workspace.DRIVE / "ANNa" / "output"
    assert found.input == workspace.DRIVE / "ANNa" / "input"
    assert found.arrays == colab / "anna" / "arrays"


def test_colab_without_drive_is_all_local(colab):
    found = Workspace.locate()
    assert found.output == colab / "ANNa" / "output"
    assert found.arrays == found.output / "arrays"


def test_write_whole_leaves_the_new_file_and_nothing_else(tmp_path):
    target = tmp_path / "new" / "table.csv"
    parts = []

    def write(part):
        parts.append(part)
        part.write_text("new")

    assert write_whole(target, write) == target
    assert target.read_text() == "new"
    assert parts[0] != target
    assert parts[0].suffix == ".csv"
    assert os.listdir(target.parent) == ["table.csv"]  # noqa: PTH208 (hidden files too)


def test_a_writer_that_fails_leaves_the_old_file(tmp_path):
    target = tmp_path / "table.csv"
    target.write_text("old")

    def write(part):
        part.write_text("half of the ne")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_whole(target, write)
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["table.csv"]  # noqa: PTH208


def test_a_file_that_is_no_zip_is_refused(monkeypatch, tmp_path):
    (tmp_path / "cut.zip").write_bytes(b"PK\x03\x04 and no more")
    monkeypatch.setenv("ANNA_INPUT", str(tmp_path / "cut.zip"))
    with pytest.raises(ValueError, match=r"Received: .*cut\.zip"):
        Workspace.locate()
