"""Files that are not what they seem, disks that fail, folders that nobody may write to."""

import errno
import logging
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from copies import make, picture, place, save, uid
from PIL import Image

import anna
from anna import calls, cnmc, decoding, facts, images, models

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"


@pytest.mark.parametrize("kind", ["png", "jpeg", "tiff"])
def test_another_format_under_the_name_of_a_bmp_is_read(tmp_path, kind):
    Image.fromarray(picture(3)).save(tmp_path / "x.bmp", kind)
    assert decoding.decode(tmp_path / "x.bmp").shape == (24, 24, 3)


def test_a_program_under_the_name_of_a_bmp_is_never_run(tmp_path):
    (tmp_path / "x.bmp").write_bytes(POSTSCRIPT)
    with Image.open(tmp_path / "x.bmp") as image:
        assert image.format == "EPS"  # Pillow would hand it to Ghostscript
    with pytest.raises(decoding.ImageError, match=r"x\.bmp.*cannot identify"):
        decoding.decode(tmp_path / "x.bmp")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_under_the_name_of_a_bmp_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "x.bmp")
    with pytest.raises(decoding.ImageError, match=r"x\.bmp: not a file but a pipe"):
        decoding.decode(tmp_path / "x.bmp")


@pytest.fixture
def failing(monkeypatch, pictures):
    """The disk fails for one picture, as Drive does when it is gone; undone by the function."""
    opened, lost = Image.open, pictures["path"][20]

    def _open(path, *args, **options):
        if str(path) == lost:
            raise OSError(errno.EIO, "Input/output error", lost)
        return opened(path, *args, **options)

    monkeypatch.setattr(Image, "open", _open)
    return lambda: monkeypatch.setattr(Image, "open", opened)


def test_a_failing_disk_stops_preparing_and_leaves_nothing_black(
    load, tmp_path, failing, monkeypatch, pictures
):
    monkeypatch.setattr(images, "_CHUNK", 4)
    with pytest.raises(OSError, match=r"disk failed; run again.*20\.bmp.*Input/output"):
        load(tmp_path / "arrays")
    assert not list((tmp_path / "arrays").glob("*.npy"))
    failing()
    found = load(tmp_path / "arrays")
    assert found.reshape(30, -1).any(axis=1).all()


def test_a_failing_disk_stops_verifying_and_sets_nobody_aside(pictures, tmp_path, failing):
    with pytest.raises(OSError, match=r"disk failed; run again.*20\.bmp.*Input/output"):
        facts.of(pictures, cache=tmp_path / "facts.csv", progress=False)
    failing()
    found = facts.of(pictures, cache=tmp_path / "facts.csv", progress=False)
    assert found["problem"].isna().all()
    assert found["pixel_hash"].nunique() == 30


def test_a_failing_disk_leaves_a_cell_of_ones_own_unjudged(pictures, failing):
    """Others are judged: a page of calls is no training set."""
    model = models.build("anna", size=32, filters=(4, 8))
    found = calls.of(model, pictures["path"], known={}, progress=False)
    assert found["problem"].notna().sum() == 1
    assert found["probability"].notna().sum() == 29


def test_a_cell_that_could_not_be_measured_says_so(pictures, monkeypatch):
    def fails(path):
        raise OSError(errno.EIO, "Input/output error", path)

    monkeypatch.setattr(facts, "cut", fails)
    model = models.build("anna", size=32, filters=(4, 8))
    found = calls.of(model, pictures["path"][:2], known={}, progress=False)
    assert found["probability"].notna().all()
    assert found["warning"].str.contains("Input/output error").all()


def test_a_disk_that_does_not_answer_is_no_missing_image(pictures, load, tmp_path, monkeypatch):
    lstat = os.lstat

    def fails(path, **options):
        if str(path) == pictures["path"][20]:
            raise OSError(errno.EIO, "Input/output error", path)
        return lstat(path, **options)

    monkeypatch.setattr(os, "lstat", fails)
    assert load(tmp_path / "arrays").reshape(30, -1).any(axis=1).all()


def test_an_image_that_vanished_stops_the_work(pictures, load, tmp_path):
    Path(pictures["path"][20]).unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of 30 images.*prepare again.*20\.bmp"):
        load(tmp_path / "arrays")


def test_too_little_memory_is_not_a_bad_image(pictures, load, tmp_path, monkeypatch):
    def full(*_, **__):
        raise MemoryError

    monkeypatch.setattr(Image, "open", full)
    with pytest.raises(MemoryError):
        load(tmp_path / "arrays")
    assert not list((tmp_path / "arrays").glob("*.npy"))


def test_a_file_without_permission_is_told_and_read_once_it_may_be(user, caplog):
    paths = [user / f"{number}.bmp" for number in range(3)]
    for number, path in enumerate(paths):
        save(path, picture(number))
    table = pd.DataFrame({"path": [str(path) for path in paths]})
    paths[1].chmod(0)
    options = {"cache": user / "facts.csv", "progress": False}
    assert "Permission denied" in facts.of(table, **options)["problem"][1]
    with caplog.at_level(logging.WARNING):
        found = images.load(table, 8, crop=16, cache=user / "arrays", progress=False)
    assert found.reshape(3, -1).any(axis=1).tolist() == [True, False, True]
    assert f"left black: {paths[1]}" in caplog.text
    paths[1].chmod(0o600)
    assert facts.of(table, **options)["problem"].isna().all()
    found = images.load(table, 8, crop=16, cache=user / "arrays", progress=False)
    assert found.reshape(3, -1).any(axis=1).all()


def test_a_read_only_input_folder_is_enough(user, monkeypatch):
    monkeypatch.setenv("ANNA_OUTPUT", str(user / "output"))
    root = make(user / "input", {place("1"): 1, place("H1"): 2, "prelim/1.bmp": 3}, [])
    folders = [root, *(path for path in root.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o500)
    with pytest.raises(PermissionError):
        (root / "x").touch()
    cells = cnmc.index(cnmc.find(root))
    cnmc.verify(cells)
    assert images.load(cells, 8, crop=16, cache=user / "output" / "arrays").any()
    for folder in folders:
        folder.chmod(0o700)


def test_an_output_folder_that_is_not_ones_own_is_named(user, monkeypatch):
    (user / "theirs").mkdir(mode=0o500)
    monkeypatch.setenv("ANNA_OUTPUT", str(user / "theirs"))
    with pytest.raises(PermissionError, match="theirs"):
        anna.Workspace.locate()


def test_a_finished_cache_is_read_where_nothing_can_be_written(user):
    save(user / "0.bmp", picture(1))
    table = pd.DataFrame({"path": [str(user / "0.bmp")]})
    first = np.array(images.load(table, 8, crop=16, cache=user / "arrays", progress=False))
    (user / "arrays").chmod(0o500)
    found = images.load(table, 8, crop=16, cache=user / "arrays", progress=False)
    np.testing.assert_array_equal(found, first)
    (user / "arrays").chmod(0o700)


def test_names_with_spaces_and_accents(tmp_path, monkeypatch):
    monkeypatch.setenv("ANNA_OUTPUT", str(tmp_path / "Ergebnisse (für Zoë)"))
    people = {place(f"{k}", k % 3): k for k in range(1, 5)}
    people |= {place(f"H{k}", k % 3): 10 + k for k in range(1, 5)}
    root = make(tmp_path / "Müllers Dateien, ½ 细胞", people | {"prelim/1.bmp": 9}, [])
    ws = anna.Workspace.locate()
    cells = anna.splits.assign(cnmc.index(cnmc.find(root)), folder=ws.csv)
    pixels = images.load(cells, 8, crop=16, cache=ws.arrays, progress=False)
    assert pixels.reshape(len(cells), -1).any(axis=1).all()
    again = anna.tables.read(anna.tables.write(cells, ws.csv / "cells.csv"))
    pd.testing.assert_frame_equal(again, cells)
    assert all(Path(path).is_file() for path in again["path"])


def test_empty_folders_are_no_copy(tmp_path):
    (tmp_path / "training_data" / "fold_0" / "all").mkdir(parents=True)
    assert cnmc.find(tmp_path) == tmp_path
    with pytest.raises(FileNotFoundError, match=f"Received: {tmp_path}"):
        cnmc.index(tmp_path)


def test_one_person_alone_cannot_be_split(tmp_path, own_output):
    root = make(tmp_path, {f"fold_0/all/{uid('7', k)}": k for k in range(4)})
    with pytest.raises(ValueError, match=r"Each class needs 2 people.*1 of ALL, 0 of HEM"):
        anna.splits.assign(cnmc.index(root))
