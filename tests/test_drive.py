"""A Drive that fails for a moment is waited for; what lies on it is brought to the local disk."""

import builtins
import errno
import io
import os
import shutil
import sys
import tarfile
import types
import zipfile
from pathlib import Path

import keras
import pytest
from copies import make, picture, place, save, uid

from anna import archive, cnmc, colab, models, patience, sample, tables, workspace
from anna import drive as bringing
from anna.drive import on_drive
from anna.patience import DriveError, patiently

PICTURES = {place("20"): 1, place("H2", fold=1): 2, "prelim/1.bmp": 3, "final/1.bmp": 4}


@pytest.fixture(autouse=True)
def no_waits(monkeypatch):
    monkeypatch.setattr(patience, "WAITS", (0, 0, 0))


@pytest.fixture
def drive(monkeypatch, tmp_path):
    """Colab's folders with Drive mounted; returns ANNa's input folder there."""
    content = tmp_path / "content"
    monkeypatch.setattr(workspace, "COLAB", content)
    monkeypatch.setattr(workspace, "DRIVE", content / "drive" / "MyDrive")
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab")
    for name in ("ANNA_INPUT", "ANNA_OUTPUT"):
        monkeypatch.delenv(name, raising=False)
    source = workspace.DRIVE / "ANNa" / "input"
    source.mkdir(parents=True)
    return source


@pytest.fixture
def copy(tmp_path):
    return make(tmp_path / "data" / "C-NMC_Leukemia", PICTURES, [(uid("57"), "1.bmp", 1)])


def failing(call, times, number=errno.EIO):
    """Returns `call`, which fails that often before it works."""
    left = iter(range(times))

    def tried(*args, **kwargs):
        if next(left, None) is not None:
            raise OSError(number, os.strerror(number))
        return call(*args, **kwargs)

    return tried


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOTCONN])
def test_a_moment_is_waited_for(number):
    assert patiently(failing(str, 3, number), 5) == "5"


@pytest.mark.parametrize(("said", "waits"), [(5, True), (32, True), (2, False)])
def test_a_file_that_a_virus_scanner_holds_on_windows_is_waited_for(said, waits):
    held = PermissionError(errno.EACCES, "held")
    held.winerror = said
    left = [held] * 2

    def _moved():
        if left:
            raise left.pop()
        return "moved"

    if waits:
        assert patiently(_moved) == "moved"
        left += [held] * 9
    with pytest.raises(PermissionError, match="held"):
        patiently(_moved)


def test_a_disk_that_stays_away_is_told_with_what_to_do():
    with pytest.raises(
        DriveError, match=r"Disconnect and delete runtime.*Received: .*Input/output"
    ):
        patiently(failing(str, 4), 5)


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ENOSPC])
def test_other_trouble_is_told_at_once(number):
    call = failing(str, 1, number)
    with pytest.raises(OSError, match=os.strerror(number)):
        patiently(call, 5)
    assert call(5) == "5"


def test_a_write_is_done_again_and_leaves_nothing_else(tmp_path):
    write = failing(lambda part: part.write_text("whole"), 2)
    workspace.write_whole(tmp_path / "table.csv", write)
    assert [p.read_text() for p in tmp_path.iterdir()] == ["whole"]


class OneOpening:
    """Lets one opening of a file of this name fail, if there are so many."""

    def __init__(self, monkeypatch, name, moment):
        self.name, self.left, self.whole = name, moment, io.open
        monkeypatch.setattr(io, "open", self)
        monkeypatch.setattr(builtins, "open", self)

    def __call__(self, path, *args, **kwargs):
        if Path(str(path)).name == self.name:
            self.left -= 1
            if self.left == -1:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
        return self.whole(path, *args, **kwargs)


@pytest.fixture(scope="module")
def network():
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])


@pytest.mark.parametrize("moment", range(2))
def test_a_network_is_written_whole_whichever_opening_failed(
    network, tmp_path, monkeypatch, moment
):
    opening = OneOpening(monkeypatch, "m.keras", moment)
    path = models.save(network, tmp_path / "m.keras", {"epoch": 3})
    assert opening.left < 0
    assert models.record(path) == {"epoch": 3}
    assert models.load(path).count_params() == 3


@pytest.mark.parametrize(
    ("read", "openings"), [(models.record, 1), (models.load, 1), (models.load_weights, 2)]
)
def test_a_network_is_read_whichever_opening_failed(network, tmp_path, monkeypatch, read, openings):
    path = models.save(network, tmp_path / "m.keras", {"epoch": 3})
    what = (network, path) if read is models.load_weights else (path,)
    for moment in range(openings):
        with monkeypatch.context() as patch:
            opening = OneOpening(patch, "m.keras", moment)
            read(*what)
        assert opening.left < 0


@pytest.mark.parametrize("name", ["archive.zip", "C-NMC.tar", "C-NMC.tar.gz"])
def test_an_archive_on_drive_is_copied_and_unpacked(drive, copy, monkeypatch, name):
    if name.endswith(".zip"):
        with zipfile.ZipFile(drive / name, "w") as out:
            for path in sorted(p for p in copy.rglob("*") if p.is_file()):
                out.write(path, path.relative_to(copy.parent))
    else:
        with tarfile.open(drive / name, "w:gz" if name.endswith("gz") else "w") as out:
            out.add(copy, copy.name)
    monkeypatch.setattr(archive.Path, "open", failing(archive.Path.open, 2))
    found = archive.find(drive)
    assert found.is_relative_to(workspace.COLAB / "anna")
    assert len(cnmc.index(found)) == 4
    assert not list((workspace.COLAB / "anna").rglob(f"*{name}*.part"))
    assert not list((workspace.COLAB / "anna").rglob(name))
    state = {p: p.stat().st_mtime // 2 for p in copy.rglob("*.bmp")}
    assert {
        copy / p.relative_to(found): p.stat().st_mtime // 2 for p in found.rglob("*.bmp")
    } == state


def test_a_copy_of_an_archive_goes_on_and_an_older_one_is_removed(drive, copy, monkeypatch):
    packed = Path(shutil.make_archive(drive / "archive", "tar", copy.parent))
    target = archive.unpacked(packed)
    half = target.with_name(f"{target.name}_archive.tar.part")
    half.parent.mkdir(parents=True)
    half.write_bytes(packed.read_bytes()[:1000])
    (older := half.with_name(f"{target.name[:-1]}x_archive.tar.part")).write_bytes(b"of before")
    starts, chunk = [], bringing._chunk

    def told(source, start):
        starts.append(start)
        return chunk(source, start)

    monkeypatch.setattr(bringing, "_chunk", told)
    assert len(cnmc.index(archive.find(drive))) == 4
    assert starts == [1000]
    assert not older.exists()


def test_a_folder_on_drive_is_copied_once_and_goes_on(drive, copy, monkeypatch):
    shutil.copytree(copy, drive / copy.name)
    whole = shutil.copy2
    monkeypatch.setattr(shutil, "copy2", failing(whole, 999))
    with pytest.raises(DriveError):
        archive.find(drive)
    monkeypatch.setattr(shutil, "copy2", failing(whole, 2))
    found = archive.find(drive)
    assert not found.is_relative_to(drive)
    assert len(cnmc.index(found)) == 4
    monkeypatch.setattr(shutil, "copy2", lambda *_: pytest.fail("copied again"))
    assert archive.find(drive) == found


def test_labels_corrected_on_drive_are_copied_again_and_nothing_else(drive, copy, monkeypatch):
    shutil.copytree(copy, drive / copy.name)
    found = archive.find(drive)
    [labels] = (drive / copy.name).rglob("*.csv")
    [local] = found.rglob("*.csv")
    before = local.read_text()
    labels.write_text(before.replace(",1\n", ",0\n"))
    copied, whole = [], shutil.copy2
    monkeypatch.setattr(shutil, "copy2", lambda *a: (copied.append(a[0].name), whole(*a)))
    assert archive.find(drive) == found
    assert copied == [labels.name]
    assert local.read_text() == labels.read_text() != before


def test_an_image_replaced_on_drive_is_copied_again_and_nothing_else(drive, copy, monkeypatch):
    shutil.copytree(copy, drive / copy.name)
    found = archive.find(drive)
    [image] = (drive / copy.name).rglob(uid("20"))
    [local] = found.rglob(uid("20"))
    size = image.stat().st_size
    save(image, picture(7))
    os.utime(image, (1e9, 1e9))  # an older one, of the same size
    assert image.stat().st_size == size
    copied, whole = [], shutil.copy2
    monkeypatch.setattr(shutil, "copy2", lambda *a: (copied.append(a[0].name), whole(*a)))
    assert archive.find(drive) == found
    assert copied == [image.name]
    assert local.read_bytes() == image.read_bytes()
    assert archive.find(drive) == found
    assert copied == [image.name]


def test_drive_is_not_asked_of_what_is_not_here_yet(tmp_path):
    assert not bringing._is_as_on_drive(tmp_path / "no Drive", tmp_path, "1.bmp")


@pytest.mark.parametrize("name", ["../training_data/evil.csv", "/training_data/evil.csv"])
def test_a_tar_that_leads_outside_is_refused(drive, tmp_path, name):
    with tarfile.open(drive / "evil.tar", "w") as out:
        out.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(ValueError, match=r"leads outside"):
        archive.find(drive)
    assert not list(tmp_path.rglob("evil.csv"))


def test_a_link_in_a_tar_is_left_out(drive):
    with tarfile.open(drive / "evil.tar", "w") as out:
        link = tarfile.TarInfo("training_data/fold_0/all/UID_1_1_1_all.bmp")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        out.addfile(link)
    assert archive.find(drive) is None


def test_the_sample_is_drawn_on_the_local_disk_and_again_on_a_new_one(drive, monkeypatch):
    root = sample.stand_in(drive, seed=1, cells=40)
    assert root.is_relative_to(workspace.COLAB / "anna")
    assert [p.name for p in drive.iterdir()] == ["sample.json"]
    names = sorted(p.name for p in root.rglob("*"))
    shutil.rmtree(workspace.COLAB / "anna")
    monkeypatch.setattr(colab, "_mount", lambda: None)
    monkeypatch.setattr(colab, "has_kaggle_key", lambda: False)
    colab.setup()
    assert sorted(p.name for p in root.rglob("*")) == names


@pytest.mark.parametrize("place", ["MyDrive/a", "Shareddrives/lab/a", ".shortcut-targets-by-id/1"])
def test_shared_drives_are_drive_too(drive, place):
    assert on_drive(workspace.DRIVE.parent / place)
    assert not on_drive(workspace.COLAB / "a")


@pytest.mark.parametrize(("held", "found"), [("KAGGLE_KEY", True), ("OTHER", False)])
def test_any_one_secret_of_kaggle_will_do(monkeypatch, tmp_path, held, found):
    def get(name):
        if name != held:
            raise KeyError(name)  # Colab raises for a secret that is missing
        return "secret"

    package = types.ModuleType("google.colab")
    package.userdata = types.SimpleNamespace(get=get)
    monkeypatch.setitem(sys.modules, "google.colab", package)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    for name in colab._SECRETS:
        monkeypatch.delenv(name, raising=False)
    assert colab.has_kaggle_key() is found


def test_kaggle_is_asked_where_drive_has_nothing(drive, copy, monkeypatch):
    monkeypatch.setenv("ANNA_INPUT", "")
    monkeypatch.setattr(colab, "_mount", lambda: None)
    monkeypatch.setenv("KAGGLE_KEY", "a key")
    monkeypatch.setattr(colab, "_from_kaggle", lambda: copy.parent)
    assert archive.find(colab.setup().input) == copy


def test_nothing_is_missing_here():
    assert colab.missing() == []


def test_a_table_is_read_through_a_failure(tmp_path, monkeypatch, cells):
    tables.write(cells, tmp_path / "cells.csv")
    monkeypatch.setattr(tables.pd, "read_csv", failing(tables.pd.read_csv, 2))
    assert len(tables.read(tmp_path / "cells.csv")) == len(cells)
