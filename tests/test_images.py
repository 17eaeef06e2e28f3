"""Row i of the pixels is image i, and the cache never gives anything stale."""

import logging
import os
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from copies import picture, save
from PIL import Image

from anna import decoding, images


@pytest.fixture
def reads(monkeypatch):
    """The paths that are read, in no order."""
    paths, read = [], images.read

    def counted(path, *args, **options):
        paths.append(path)
        return read(path, *args, **options)

    monkeypatch.setattr(images, "read", counted)
    return paths


def load(pictures, folder, size=8, crop=16):
    return images.load(pictures, size, crop=crop, cache=folder, progress=False)


def by_pillow(path, size, crop):
    """The same crop by Pillow, which pads with black, and OpenCV's area average."""
    image = Image.open(path).convert("RGB")
    left, top = (image.width - crop) // 2, (image.height - crop) // 2
    part = np.asarray(image.crop((left, top, left + crop, top + crop)))
    return cv2.resize(part, (size, size), interpolation=cv2.INTER_AREA)


def test_row_i_is_cell_i(indexed, tmp_path):
    shuffled = indexed.sample(frac=1, random_state=3)
    found = images.load(shuffled, 64, cache=tmp_path, progress=False)
    assert found.shape == (len(indexed), 64, 64, 3)
    assert found.dtype == np.uint8
    for row, path in enumerate(shuffled["path"]):
        np.testing.assert_array_equal(found[row], by_pillow(path, 64, 320), err_msg=path)


def test_both_sizes_of_the_data_set_are_cropped_about_the_centre(indexed):
    for split, side in (("prelim", 450), ("final", 600)):
        path = indexed[indexed["split"] == split]["path"].iloc[0]
        whole = np.asarray(Image.open(path))
        assert whole.shape == (side, side, 3)
        first = (side - 320) // 2
        want = whole[first : first + 320, first : first + 320]
        np.testing.assert_array_equal(images.read(path, 320), want)


def test_shrinking_averages_areas(indexed):
    path = indexed["path"].iloc[0]
    blocks = images.read(path, 320).reshape(64, 5, 64, 5, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(images.read(path, 64), blocks, atol=0.51)


@pytest.mark.parametrize("shape", [(10, 10), (11, 8), (7, 30), (30, 9), (16, 16), (1, 1), (17, 17)])
def test_small_images_stand_in_the_middle_of_black(shape):
    image = np.random.default_rng(1).integers(1, 255, (*shape, 3), dtype=np.uint8)
    found = images.center_crop(image, 16)
    assert found.shape == (16, 16, 3)
    high, wide = min(shape[0], 16), min(shape[1], 16)
    top, left = (16 - high) // 2, (16 - wide) // 2
    y, x = (shape[0] - high) // 2, (shape[1] - wide) // 2
    want = np.zeros((16, 16, 3), np.uint8)
    want[top : top + high, left : left + wide] = image[y : y + high, x : x + wide]
    np.testing.assert_array_equal(found, want)


def test_a_crop_of_a_shared_array_does_not_change_it():
    image = picture(5)
    before = image.copy()
    images.resize(images.center_crop(image, 10), 5)[:] = 0
    np.testing.assert_array_equal(image, before)


def test_enlarging_keeps_even_colour():
    np.testing.assert_array_equal(
        images.resize(np.full((8, 8, 3), 90, np.uint8), 32), np.full((32, 32, 3), 90)
    )


def test_red_comes_first(tmp_path):
    save(tmp_path / "red.bmp", np.full((20, 20, 3), (200, 10, 30), np.uint8))
    found = load(pd.DataFrame({"path": [str(tmp_path / "red.bmp")]}), tmp_path)
    assert (found[0] == (200, 10, 30)).all()


def test_the_pixels_lie_on_disk_and_cannot_be_changed(pictures, tmp_path):
    found = load(pictures, tmp_path / "arrays")
    assert isinstance(found, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 0
    (kept,) = (tmp_path / "arrays").iterdir()
    assert kept.suffix == ".npy"
    np.testing.assert_array_equal(np.load(kept, allow_pickle=False), found)


def test_the_cache_is_used_again(pictures, tmp_path, reads):
    first = load(pictures, tmp_path / "arrays")
    (kept,) = (tmp_path / "arrays").iterdir()
    before, reads[:] = kept.stat(), []
    np.testing.assert_array_equal(load(pictures, tmp_path / "arrays"), first)
    assert reads == []
    assert list((tmp_path / "arrays").iterdir()) == [kept]
    assert (kept.stat().st_mtime_ns, kept.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


@pytest.mark.parametrize("change", [{"size": 12}, {"crop": 20}])
def test_a_changed_setting_makes_a_new_cache(pictures, tmp_path, change):
    first = np.array(load(pictures, tmp_path / "arrays"))
    found = load(pictures, tmp_path / "arrays", **change)
    settings = {"size": 8, "crop": 16} | change
    np.testing.assert_array_equal(found[7], by_pillow(pictures["path"][7], **settings))
    assert len(list((tmp_path / "arrays").iterdir())) == 2
    np.testing.assert_array_equal(load(pictures, tmp_path / "arrays"), first)


def test_a_changed_image_makes_a_new_cache(pictures, tmp_path):
    load(pictures, tmp_path / "arrays")
    path = Path(pictures["path"][3])
    size = path.stat().st_size
    save(path, picture(200))
    assert path.stat().st_size == size
    found = load(pictures, tmp_path / "arrays")
    np.testing.assert_array_equal(found[3], by_pillow(path, 8, 16))


@pytest.mark.parametrize(
    "change",
    [lambda t: t.iloc[::-1], lambda t: t.iloc[:20], lambda t: pd.concat([t, t.iloc[:1]])],
    ids=["order", "fewer", "twice"],
)
def test_other_rows_make_a_new_cache(pictures, tmp_path, change):
    load(pictures, tmp_path / "arrays")
    changed = change(pictures)
    found = load(changed, tmp_path / "arrays")
    want = [by_pillow(path, 8, 16) for path in changed["path"]]
    np.testing.assert_array_equal(found, want)


@pytest.mark.parametrize("stop", [0, 1, 11, 29])
def test_stopped_in_the_middle_it_ends_with_the_same_bytes(pictures, tmp_path, monkeypatch, stop):
    whole = load(pictures, tmp_path / "whole")
    monkeypatch.setattr(images, "_CHUNK", 4)
    read, seen = images.read, []

    def stopped(path, *args, **options):
        if path == pictures["path"][stop]:
            raise KeyboardInterrupt
        return read(path, *args, **options)

    def counted(path, *args, **options):
        seen.append(path)
        return read(path, *args, **options)

    monkeypatch.setattr(images, "read", stopped)
    with pytest.raises(KeyboardInterrupt):
        load(pictures, tmp_path / "arrays")
    assert not list((tmp_path / "arrays").glob("*.npy"))
    monkeypatch.setattr(images, "read", counted)
    found = load(pictures, tmp_path / "arrays")
    np.testing.assert_array_equal(found, whole)
    assert sorted(seen) == pictures["path"].tolist()[stop // 4 * 4 :]
    (kept,) = (tmp_path / "arrays").iterdir()
    assert kept.read_bytes() == (tmp_path / "whole" / kept.name).read_bytes()


def test_an_image_that_changes_while_work_is_stopped(pictures, tmp_path, monkeypatch, reads):
    monkeypatch.setattr(images, "_CHUNK", 4)
    read = images.read

    def stopped(path, *args, **options):
        if path == pictures["path"][20]:
            raise KeyboardInterrupt
        return read(path, *args, **options)

    monkeypatch.setattr(images, "read", stopped)
    with pytest.raises(KeyboardInterrupt):
        load(pictures, tmp_path / "arrays")
    save(pictures["path"][2], picture(222))
    monkeypatch.setattr(images, "read", read)
    found = load(pictures, tmp_path / "arrays")
    np.testing.assert_array_equal(found[2], by_pillow(pictures["path"][2], 8, 16))


@pytest.mark.parametrize("content", [lambda b: b[:-1], lambda b: b[:100], lambda b: b""])
def test_a_damaged_cache_is_made_anew(pictures, tmp_path, caplog, content):
    whole = np.array(load(pictures, tmp_path / "arrays"))
    (kept,) = (tmp_path / "arrays").iterdir()
    kept.write_bytes(content(kept.read_bytes()))
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(load(pictures, tmp_path / "arrays"), whole)
    assert f"{kept} is damaged" in caplog.text


class Program:
    """What makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def test_a_pickle_is_never_opened(pictures, tmp_path, caplog):
    whole, evil = np.array(load(pictures, tmp_path / "arrays")), tmp_path / "evil"
    (kept,) = (tmp_path / "arrays").iterdir()
    with kept.open("wb") as file:
        np.save(file, np.array([Program(str(evil))], dtype=object), allow_pickle=True)
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(load(pictures, tmp_path / "arrays"), whole)
    assert f"{kept} is damaged" in caplog.text
    assert not evil.exists()


def test_the_pickle_of_the_test_before_would_run(tmp_path):
    np.save(tmp_path / "a.npy", np.array([Program(str(tmp_path / "evil"))], dtype=object))
    np.load(tmp_path / "a.npy", allow_pickle=True)
    assert (tmp_path / "evil").is_dir()


def test_an_unreadable_image_is_black_and_told(pictures, tmp_path, caplog):
    Path(pictures["path"][3]).write_bytes(Path(pictures["path"][3]).read_bytes()[:500])
    Path(pictures["path"][9]).write_bytes(b"no image")
    with caplog.at_level(logging.WARNING):
        found = load(pictures, tmp_path / "arrays")
    black = np.flatnonzero(~found.reshape(30, -1).any(axis=1))
    assert black.tolist() == [3, 9]
    for row in black:
        assert pictures["path"][row] in caplog.text
    np.testing.assert_array_equal(found[10], by_pillow(pictures["path"][10], 8, 16))


def test_one_file_that_cannot_be_read_is_an_error(tmp_path):
    with pytest.raises(decoding.ImageError, match=r"missing\.bmp"):
        images.read(tmp_path / "missing.bmp")


def test_whole_numbers_of_numpy_are_settings_too(pictures, tmp_path):
    found = load(pictures, tmp_path / "arrays", size=np.int64(8))
    again = load(pictures, tmp_path / "arrays", size=8)
    np.testing.assert_array_equal(found, again)
    assert len(list((tmp_path / "arrays").glob("*.npy"))) == 1


def test_no_rows(pictures, tmp_path):
    assert load(pictures.iloc[:0], tmp_path / "arrays").shape == (0, 8, 8, 3)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"size": 0}, "size .*Received: 0"),
        ({"size": 64.5}, "size .*Received: 64.5"),
        ({"crop": -1}, "crop .*Received: -1"),
        ({"crop": "320"}, "crop .*Received: '320'"),
    ],
)
def test_settings_that_make_no_sense(pictures, tmp_path, settings, told):
    with pytest.raises(ValueError, match=told):
        load(pictures, tmp_path / "arrays", **settings)
    assert not (tmp_path / "arrays").exists()


def test_real_cells_as_pillow_crops_them(real_cells, tmp_path):
    paths = [str(path) for path in sorted(real_cells.rglob("*.bmp"))]
    found = images.load(pd.DataFrame({"path": paths}), 128, cache=tmp_path, progress=False)
    assert len(found) == 19
    np.testing.assert_array_equal(found, [by_pillow(path, 128, 320) for path in paths])


@pytest.mark.parametrize("size", [50, 64, 128, 160, 319, 320])
@pytest.mark.parametrize("place", [(0, 0), (37, 101), (200, 250)])
def test_shrinking_only_the_cell_gives_the_pixels_of_shrinking_all(size, place):
    image, (y, x) = np.zeros((320, 320, 3), np.uint8), place
    image[y : y + 70, x : x + 70] = np.random.default_rng(0).integers(0, 256, (70, 70, 3))
    whole = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(images.resize(image, size), whole)
