"""Cells are measured rightly, and read once."""

import logging
import shutil

import numpy as np
import pandas as pd
import pytest
from copies import picture, save
from scipy import ndimage

from anna import decoding, facts, kept

NOISE = np.random.default_rng(0)


@pytest.fixture
def cell_files(tmp_path):
    """Twelve different images, as a table of their paths with an index of its own."""
    paths = [tmp_path / "images" / f"{number:02}.bmp" for number in range(12)]
    for number, path in enumerate(paths):
        save(path, picture(number))
    return pd.DataFrame({"path": [str(path) for path in paths]}, index=range(100, 112))


@pytest.fixture
def reads(monkeypatch):
    """The paths that are read, in the order of reading."""
    paths, of_file = [], facts.of_file

    def counted(path):
        paths.append(path)
        return of_file(path)

    monkeypatch.setattr(facts, "of_file", counted)
    return paths


def on_black(mask, colour, side=450):
    image = np.zeros((side, side, 3), np.uint8)
    image[mask] = colour
    return image


def test_a_rectangle_measured_by_hand():
    image = np.zeros((450, 450, 3), np.uint8)
    image[60:90, 50:90] = 70, 30, 80
    image[60:70, 50:90] = 90, 10, 81  # a third of it: the medians stay
    found = facts.measure(image)
    assert [found[key] for key in facts.MEASURES[:4]] == [50, 60, 40, 30]
    assert found["area"] == 1200
    assert found["diameter"] == pytest.approx(34.641, abs=1e-3)
    assert (found["red"], found["green"], found["blue"]) == (70, 30, 80)


def test_an_ellipse_with_texture_as_scipy_measures_it():
    row, column = np.mgrid[:450, :450]
    mask = ((column - 230) / 110) ** 2 + ((row - 215) / 90) ** 2 <= 1
    image = on_black(mask, NOISE.integers((40, 20, 60), (60, 90, 160), (mask.sum(), 3)))
    found = facts.measure(image)
    assert decoding.box(image) == (120, 125, 221, 181)
    assert found["area"] == mask.sum() == pytest.approx(np.pi * 110 * 90, rel=0.01)
    assert found["diameter"] == pytest.approx((221 * 181) ** 0.5)
    for channel, name in enumerate(("red", "green", "blue")):
        assert found[name] == pytest.approx(np.median(image[mask][:, channel]), abs=1)
    part = np.s_[125:306, 120:341]
    grey = np.rint(image[part] @ [0.299, 0.587, 0.114])
    core = ndimage.binary_erosion(mask[part], np.ones((15, 15)))
    fine = grey - ndimage.gaussian_filter(grey, 2, mode="mirror")
    assert found["texture"] == pytest.approx(fine[core].std(), rel=1e-4)


def test_even_colour_has_no_texture_and_a_small_cell_an_unknown_one():
    row, column = np.mgrid[:450, :450]
    disc = np.hypot(row - 225, column - 225)
    assert facts.measure(on_black(disc <= 60, (60, 30, 70)))["texture"] < 0.05
    assert np.isnan(facts.measure(on_black(disc <= 5, (60, 30, 70)))["texture"])


@pytest.mark.parametrize("channel", range(3))
def test_a_cell_is_whatever_is_not_black_in_any_channel(channel):
    image = np.zeros((30, 40, 3), np.uint8)
    image[3, 5, channel] = image[20, 33, channel] = 1
    assert decoding.box(image) == (5, 3, 29, 18)
    assert facts.measure(image)["area"] == 2


def test_nothing_but_black():
    found = facts.measure(np.zeros((450, 450, 3), np.uint8))
    assert (found["area"], found["diameter"], found["box_width"]) == (0, 0, 0)
    assert np.isnan(found["red"])


def test_reach_by_hand():
    boxes = pd.DataFrame(
        {
            "width": [450, 450, 600],
            "height": [450, 450, 600],
            "box_left": [125, 200, 290],
            "box_top": [125, 30, 290],
            "box_width": [200, 50, 20],
            "box_height": [200, 60, 210],
        }
    )
    assert facts.reach(boxes).tolist() == [200, 390, 400]


def test_the_pixels_make_the_hash_not_the_file(tmp_path):
    save(tmp_path / "one.bmp", picture(1))
    save(tmp_path / "same.png", picture(1))
    save(tmp_path / "other.bmp", picture(2))
    save(tmp_path / "reshaped.bmp", picture(1).reshape(12, 48, 3))
    names = ["one.bmp", "same.png", "other.bmp", "reshaped.bmp"]
    one, same, other, reshaped = (
        facts.of_file(str(tmp_path / name))["pixel_hash"] for name in names
    )
    assert one == same
    assert len({one, other, reshaped}) == 3


def test_facts_of_a_file_that_is_not_there(tmp_path):
    row = facts.of_file(str(tmp_path / "missing.bmp"))
    assert (row["bytes"], row["modified"]) == (-1, -1)
    assert "missing.bmp" in row["problem"]


def test_one_row_an_image_in_the_order_asked(cell_files, tmp_path):
    asked = pd.concat([cell_files.iloc[::-1], cell_files.iloc[[3]]])
    found = facts.of(asked, cache=tmp_path / "facts.csv", progress=False)
    assert list(found.columns) == facts.COLUMNS
    assert found.index.equals(asked.index)
    assert found["path"].tolist() == asked["path"].tolist()
    assert found["red"].tolist() == [1 + number for number in [*range(11, -1, -1), 3]]
    assert (found[["width", "height"]] == 24).all(axis=None)
    assert found["problem"].isna().all()


def test_no_images_no_rows(tmp_path):
    none = pd.DataFrame({"path": pd.Series([], dtype="str")})
    found = facts.of(none, cache=tmp_path / "facts.csv")
    assert (len(found), list(found.columns)) == (0, facts.COLUMNS)


def test_a_second_call_reads_no_file(cell_files, tmp_path, reads):
    cache = tmp_path / "facts.csv"
    first = facts.of(cell_files, cache=cache, progress=False)
    assert sorted(reads) == cell_files["path"].tolist()
    reads.clear()
    pd.testing.assert_frame_equal(facts.of(cell_files, cache=cache, progress=False), first)
    assert reads == []


def test_only_what_is_new_or_changed_is_read_again(cell_files, tmp_path, reads):
    cache = tmp_path / "facts.csv"
    facts.of(cell_files.iloc[:10], cache=cache, progress=False)
    reads.clear()
    changed = cell_files["path"].iloc[4]
    save(changed, picture(200))  # as many bytes as before
    found = facts.of(cell_files, cache=cache, progress=False)
    assert sorted(reads) == sorted([changed, *cell_files["path"].iloc[10:]])
    assert found["red"].iloc[4] == 201


def test_a_file_that_went_and_came_back(cell_files, tmp_path, reads):
    cache, path = tmp_path / "facts.csv", cell_files["path"].iloc[0]
    kept = shutil.move(path, tmp_path / "kept.bmp")
    assert "00.bmp" in facts.of(cell_files, cache=cache, progress=False)["problem"].iloc[0]
    shutil.move(kept, path)
    assert facts.of(cell_files, cache=cache, progress=False)["problem"].isna().all()


@pytest.mark.parametrize("content", [b"", b"\x00\xff\x00", b"a,b\n1,2\n", b"path,bytes\nx,many\n"])
def test_a_damaged_cache_is_made_anew(cell_files, tmp_path, caplog, content):
    cache = tmp_path / "facts.csv"
    whole = facts.of(cell_files, cache=cache, progress=False)
    cache.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        found = facts.of(cell_files, cache=cache, progress=False)
    pd.testing.assert_frame_equal(found, whole)
    assert "facts.csv is damaged" in caplog.text
    caplog.clear()
    facts.of(cell_files, cache=cache, progress=False)
    assert not caplog.text


def test_stopped_half_way_it_goes_on(cell_files, tmp_path, monkeypatch, reads):
    cache, counted = tmp_path / "facts.csv", facts.of_file
    monkeypatch.setattr(kept, "_BATCH", 4)

    def stopped(path):
        if path.endswith("09.bmp"):
            raise KeyboardInterrupt
        return counted(path)

    monkeypatch.setattr(facts, "of_file", stopped)
    with pytest.raises(KeyboardInterrupt):
        facts.of(cell_files, cache=cache, progress=False)
    reads.clear()
    monkeypatch.setattr(facts, "of_file", counted)
    found = facts.of(cell_files, cache=cache, progress=False)
    assert sorted(reads) == cell_files["path"].tolist()[8:]
    assert found["red"].tolist() == [1 + number for number in range(12)]


def test_the_cache_lies_in_the_workspace(cell_files, own_output):
    facts.of(cell_files, progress=False)
    assert (own_output / "csv" / "facts.csv").is_file()


def test_drawn_cells_are_as_large_as_real_ones(indexed):
    size = facts.of(indexed).groupby(indexed["label"])["diameter"].mean()
    assert size[1] == pytest.approx(220, abs=15)
    assert size[0] == pytest.approx(187, abs=15)
