"""A full disk: an error that names the file, the old results whole, nothing half in their place."""

import errno
import shutil
import tempfile

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from copies import make, place
from test_training import cells_and_pixels, network

import anna
from anna import (
    archive,
    export,
    facts,
    images,
    models,
    plots,
    report,
    sample,
    tables,
    training,
    workspace,
)
from anna.workspace import named_when_full

FULL = "No room left on the disk; free some and run again. Received: .*"


def test_a_cache_for_which_there_is_no_room_is_not_begun(load, small_disk, everything, monkeypatch):
    usage = shutil._ntuple_diskusage(10**6, 10**6 - 1000, 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OSError, match=r"no room for 30 images\. Needed: 368640 bytes") as told:
        load(small_disk / "arrays", 64)
    assert told.value.errno == errno.ENOSPC
    assert everything(small_disk) == []


def test_a_disk_that_fills_up_while_a_cache_is_written(
    load, small_disk, tmp_path, monkeypatch, pictures, everything
):
    monkeypatch.setattr(images, "_CHUNK", 10)
    room = workspace.require_room
    monkeypatch.setattr(images, "require_room", lambda *_: None)  # another program takes the room
    with pytest.raises(OSError, match=FULL + r"\.part") as told:
        load(small_disk / "arrays", 128)
    assert told.value.errno in (errno.ENOSPC, errno.EFBIG)
    assert not list(small_disk.rglob("*.npy"))
    monkeypatch.setattr(images, "require_room", room)
    larger = shutil.copytree(small_disk, tmp_path / "larger")
    shutil.rmtree(small_disk / "arrays")
    read = []
    kept = images.read
    monkeypatch.setattr(images, "read", lambda *a, **b: read.append(a) or kept(*a, **b))
    found = load(larger / "arrays", 128)
    assert len(read) == 20  # ten were kept
    np.testing.assert_array_equal(found, load(tmp_path / "whole", 128))
    assert len(everything(larger)) == 1


def test_work_on_a_full_disk_is_refused_and_not_locked_out_later(load, small_disk, whole):
    if not small_disk.is_mount():
        pytest.skip("no disk can be mounted here that another program could fill")
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space"):
        filler.write_bytes(bytes(10**7))
    cells, pixels = cells_and_pixels()
    fit = {"folder": small_disk / "run", "epochs": 1, "progress": False}
    for work in (
        lambda: load(small_disk / "arrays"),
        lambda: training.fit(network(), pixels, cells, **fit),
    ):
        with pytest.raises(OSError, match=r"[Nn]o room") as told:
            work()
        assert str(small_disk) in str(told.value)
        assert told.value.errno == errno.ENOSPC
    filler.unlink()
    np.testing.assert_array_equal(load(small_disk / "arrays"), whole)
    assert training.fit(network(), pixels, cells, **fit).new_epochs == 1


def test_an_export_of_before_stays_when_the_disk_is_full(small_disk, everything):
    path = small_disk / "model.onnx"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match=FULL + "model"):
        export.write(models.build("anna-2020", 64), path)
    assert path.read_bytes() == b"old"
    assert everything(small_disk) == [path.name]


def big_table(count):
    return pd.DataFrame({"name": [f"UID_{k}_1_1_all.bmp" for k in range(count)], "label": 1})


@pytest.mark.parametrize("what", ["csv", "json", "card", "picture"])
def test_results_of_before_stay_when_the_disk_is_full(small_disk, what, everything):
    figure = plt.figure(figsize=(8, 8))
    figure.figimage(np.random.default_rng(0).random((1200, 1200, 3)))
    plt.close(figure)
    write, path = {
        "csv": (tables.write, small_disk / "cells.csv"),
        "json": (
            lambda table, path: report.write_json(path, {"rows": table}),
            small_disk / "r.json",
        ),
        "card": (lambda table, path: report.write_text(path, table.to_csv()), small_disk / "c.md"),
        "picture": (lambda _, path: plots.save(figure, path), small_disk / "p.png"),
    }[what]
    path.write_text("old")
    with pytest.raises(OSError, match=FULL + path.name) as told:
        write(big_table(60_000), path)
    assert told.value.errno in (errno.ENOSPC, errno.EFBIG)
    assert path.read_text() == "old"
    assert everything(small_disk) == [path.name]


def test_a_network_of_before_stays_when_the_disk_is_full(small_disk, everything):
    small = models.build("anna", 32, filters=(4, 4))
    path = models.save(small, small_disk / "best.keras", {"epoch": 1})
    with pytest.raises(OSError, match=FULL + r"best\.keras"):
        models.save(models.build("anna-2020", 64), path, {"epoch": 2})
    assert models.record(path) == {"epoch": 1}
    assert models.load(path).count_params() == small.count_params()
    assert everything(small_disk) == ["best.keras"]


def test_measures_of_before_stay_when_the_disk_is_full(pictures, small_disk, monkeypatch):
    cache = small_disk / "facts.csv"
    first = facts.of(pictures[:5], cache=cache, progress=False)
    filler = small_disk / "filler"
    monkeypatch.setattr(tables, "write_whole", lambda path, write: filled(path, write, filler))
    with pytest.raises(OSError, match=FULL + r"facts\.csv"):
        facts.of(pictures, cache=cache, progress=False)
    monkeypatch.undo()
    filler.unlink()
    pd.testing.assert_frame_equal(facts.of(pictures[:5], cache=cache, progress=False), first)


def filled(path, write, filler):
    """Writes on a disk that another program fills at the same moment."""

    def _write(part):
        with filler.open("wb") as file:
            file.write(bytes(10**7))  # more than there is

    return workspace.write_whole(path, lambda part: (_write(part), write(part)))


def test_a_zip_on_a_full_disk(tmp_path, small_disk, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 255, (500, 500, 3), np.uint8)
    root = make(tmp_path / "data" / "C-NMC_Leukemia", {place("1"): 1})
    cv2.imwrite(str(root / "training_data" / "fold_0" / "all" / "big.bmp"), noise)
    packed = shutil.make_archive(tmp_path / "archive", "zip", tmp_path / "data")
    monkeypatch.setenv("ANNA_OUTPUT", str(small_disk))
    monkeypatch.setattr(archive, "require_room", lambda *_: None)
    with pytest.raises(OSError, match=FULL + r"big\.bmp"):
        archive.find(packed)
    assert not [p for p in (small_disk / "unpacked").iterdir() if p.suffix != ".part"]


def test_the_sample_on_a_full_disk(small_disk):
    with pytest.raises(OSError, match=FULL + r"\.bmp"):
        sample.write(small_disk, cells=40, progress=False)
    assert anna.cnmc.find(small_disk) is None


def test_a_full_temporary_folder_harms_nothing_and_is_named(
    load, whole, tmp_path, small_disk, monkeypatch
):
    with pytest.raises(OSError, match="filler"), named_when_full(small_disk / "filler"):
        (small_disk / "filler").write_bytes(bytes(10**7))
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    np.testing.assert_array_equal(load(tmp_path / "arrays"), whole)
    assert len(tables.read(tables.write(big_table(9), tmp_path / "t.csv"))) == 9
    path = models.save(models.build("anna", 32), tmp_path / "m.keras")
    if small_disk.is_mount():  # Keras unpacks there what it loads
        with pytest.raises(OSError, match=FULL + "disk"):
            models.load(path)
        (small_disk / "filler").unlink()
    monkeypatch.setattr(tempfile, "tempdir", None)
    assert models.load(path).name == "anna"
