"""The fifteen features of drawn cells, by hand; every file is read once."""

import logging

import numpy as np
import pandas as pd
import pytest
from copies import picture, save
from scipy import ndimage

from anna import features, kept

NOISE = np.random.default_rng(0)
ROW, COLUMN = np.mgrid[:450, :450]


def on_black(mask, colour=(70, 30, 80)):
    image = np.zeros((*mask.shape, 3), np.uint8)
    image[mask] = colour
    return image


def disc(radius, row=225, column=225):
    return np.hypot(ROW - row, COLUMN - column) <= radius


@pytest.fixture
def cell_files(tmp_path):
    """Six different images, as a table of their paths with an index of its own."""
    paths = [str(tmp_path / "images" / f"{number}.bmp") for number in range(6)]
    for number, path in enumerate(paths):
        save(path, picture(number, side=40))
    return pd.DataFrame({"path": paths}, index=range(100, 106))


@pytest.fixture
def reads(monkeypatch):
    """The paths that are read, in the order of reading."""
    paths, of_file = [], features.of_file

    def counted(path):
        paths.append(path)
        return of_file(path)

    monkeypatch.setattr(features, "of_file", counted)
    return paths


def test_there_are_fifteen_and_each_is_told():
    found = features.measure(on_black(disc(60)))
    assert len(features.FEATURES) == 15
    assert list(found) == list(features.FEATURES)
    assert all(features.FEATURES.values())
    assert np.isfinite(list(found.values())).all()


@pytest.mark.parametrize("radius", [40, 110])
def test_an_even_disc_by_hand(radius):
    found = features.measure(on_black(disc(radius)))
    assert found["box_area"] == (2 * radius + 1) ** 2
    assert found["area"] == disc(radius).sum() == pytest.approx(np.pi * radius**2, rel=0.01)
    assert found["aspect"] == pytest.approx(1, abs=0.01)
    assert found["solidity"] > 0.97
    assert found["circularity"] == pytest.approx(0.9, abs=0.02)
    assert [found[f"{name}_mean"] for name in ("red", "green", "blue")] == [70, 30, 80]
    assert [found[f"{name}_sd"] for name in ("red", "green", "blue")] == [0, 0, 0]
    grains = [found[f"{name}_grain"] for name in ("fine", "medium", "coarse")]
    assert grains == pytest.approx([0, 0, 0], abs=1e-4)  # the black around does not leak in
    assert found["dark_share"] == 0


def test_a_rectangle_by_hand():
    """40 by 20 pixels; the outline runs from centre to centre, 39 by 19."""
    mask = np.zeros((450, 450), bool)
    mask[100:120, 200:240] = True
    found = features.measure(on_black(mask))
    assert (found["box_area"], found["area"], found["solidity"]) == (800, 800, 1)
    assert found["aspect"] == pytest.approx(2)
    assert found["circularity"] == pytest.approx(4 * np.pi * 39 * 19 / (2 * (39 + 19)) ** 2)


def test_a_notch_by_hand():
    """A square of 41 whose corner of 20 is missing; its hull lacks half of that corner."""
    mask = np.zeros((100, 100), bool)
    mask[30:71, 30:71] = True
    mask[51:71, 51:71] = False
    found = features.measure(on_black(mask))
    assert (found["box_area"], found["area"]) == (41**2, 41**2 - 20**2)
    outline = 40**2 - 20**2 + 0.5  # the outline cuts the inner corner by half a pixel
    assert found["solidity"] == pytest.approx(outline / (40**2 - 20**2 / 2))


def test_aspect_is_the_same_at_any_angle():
    long = np.abs(ROW - 225) <= 30, np.abs(COLUMN - 225) <= 90
    turned = np.abs(ROW - COLUMN) <= 30 * 2**0.5, np.abs(ROW + COLUMN - 450) <= 90 * 2**0.5
    upright, tilted = (features.measure(on_black(a & b)) for a, b in (long, turned))
    assert upright["aspect"] == pytest.approx(181 / 61)
    assert tilted["aspect"] == pytest.approx(181 / 61, rel=0.02)
    assert tilted["box_area"] > 1.5 * upright["box_area"]


def test_rougher_outlines_are_less_circular():
    angle = np.arctan2(ROW - 225, COLUMN - 225)
    lobed = np.hypot(ROW - 225, COLUMN - 225) <= 80 + 15 * np.cos(6 * angle)
    round_, rough = (features.measure(on_black(mask)) for mask in (disc(80), lobed))
    assert rough["circularity"] < round_["circularity"] - 0.2
    assert rough["solidity"] < round_["solidity"] - 0.05


def test_debris_beside_the_cell_does_not_count():
    littered = on_black(disc(60) | disc(6, row=120, column=330))
    assert features.measure(littered) == features.measure(on_black(disc(60)))


def test_a_hole_is_no_part_of_the_cell():
    whole, holed = (features.measure(on_black(disc(60) & ~hole)) for hole in (disc(-1), disc(9)))
    assert holed["area"] == whole["area"] - disc(9).sum()
    for name in ("red_mean", "red_sd", "dark_share", "box_area", "solidity", "circularity"):
        assert holed[name] == whole[name]
    assert holed["fine_grain"] == pytest.approx(0, abs=1e-4)


def test_stain_by_hand():
    """A dark nucleus of half the radius fills a quarter of the cell."""
    image = on_black(disc(80), (90, 60, 100))
    image[disc(40)] = 50, 20, 70
    share = disc(40).sum() / disc(80).sum()
    found = features.measure(image)
    assert found["dark_share"] == pytest.approx(share) == pytest.approx(0.25, abs=0.005)
    assert found["red_mean"] == pytest.approx(90 - 40 * share)
    assert found["green_sd"] == pytest.approx(40 * (share * (1 - share)) ** 0.5)
    assert found["blue_sd"] == pytest.approx(30 * (share * (1 - share)) ** 0.5)


def test_grain_as_scipy_measures_it():
    mask = ((COLUMN - 230) / 110) ** 2 + ((ROW - 215) / 90) ** 2 <= 1
    image = on_black(mask, NOISE.integers((40, 20, 60), (60, 90, 160), (mask.sum(), 3)))
    grey = np.rint(image @ [0.299, 0.587, 0.114])

    def blurred(sigma):
        return ndimage.gaussian_filter(grey, sigma) / np.maximum(
            ndimage.gaussian_filter(mask.astype(float), sigma), 1e-6
        )

    core = ndimage.binary_erosion(mask, np.ones((15, 15)))
    levels = [grey, blurred(2), blurred(4), blurred(8)]
    want = [(levels[scale] - levels[scale + 1])[core].std() for scale in range(3)]
    found = features.measure(image)
    grains = [found[f"{name}_grain"] for name in ("fine", "medium", "coarse")]
    assert grains == pytest.approx(want, rel=2e-3)


@pytest.mark.parametrize(("period", "strongest"), [(4, "fine"), (18, "medium"), (36, "coarse")])
def test_each_grain_sees_structures_of_its_size(period, strongest):
    image = on_black(disc(110))
    image[...] = image * (1 + 0.3 * np.sin(2 * np.pi * COLUMN / period))[..., None]
    found = features.measure(image)
    grains = {name: found[f"{name}_grain"] for name in ("fine", "medium", "coarse")}
    assert max(grains, key=grains.get) == strongest


@pytest.mark.parametrize("side", [250, 450, 600])
def test_neither_the_place_nor_the_size_of_the_picture_matters(side):
    colours = NOISE.integers(20, 90, (121, 121, 3))
    cell = on_black(disc(60)[165:286, 165:286])
    cell[cell[..., 0] > 0] = colours[cell[..., 0] > 0]
    image = np.zeros((side, side, 3), np.uint8)
    image[100:221, 90:211] = cell
    assert features.measure(image) == features.measure(cell)


def test_no_cell_has_no_features_and_a_speck_has_few():
    black = features.measure(np.zeros((450, 450, 3), np.uint8))
    assert list(black) == list(features.FEATURES)
    assert np.isnan(list(black.values())).all()
    speck = np.zeros((450, 450, 3), np.uint8)
    speck[7, 9] = 5, 0, 0
    found = features.measure(speck)
    assert (found["area"], found["aspect"], found["red_mean"]) == (1, 1, 5)
    assert np.isnan([found["circularity"], found["solidity"], found["fine_grain"]]).all()


def test_one_row_an_image_in_the_order_asked(cell_files, tmp_path):
    asked = pd.concat([cell_files.iloc[::-1], cell_files.iloc[[3]]])
    found = features.of(asked, cache=tmp_path / "features.csv", progress=False)
    assert list(found.columns) == list(features.FEATURES)
    assert found.index.equals(asked.index)
    assert found["red_mean"].tolist() == [6, 5, 4, 3, 2, 1, 4]
    assert (found["area"] == 31 * 32).all()


def test_only_what_is_new_or_changed_is_read_again(cell_files, tmp_path, reads):
    cache = tmp_path / "features.csv"
    first = features.of(cell_files.iloc[:4], cache=cache, progress=False)
    reads.clear()
    pd.testing.assert_frame_equal(
        features.of(cell_files.iloc[:4], cache=cache, progress=False), first
    )
    assert reads == []
    save(cell_files["path"].iloc[2], picture(200, side=40))  # as many bytes as before
    found = features.of(cell_files, cache=cache, progress=False)
    assert sorted(reads) == cell_files["path"].iloc[[2, 4, 5]].tolist()
    assert found["red_mean"].tolist() == [1, 2, 201, 4, 5, 6]


def test_stopped_half_way_it_goes_on(cell_files, tmp_path, monkeypatch, reads):
    cache, counted = tmp_path / "features.csv", features.of_file
    monkeypatch.setattr(kept, "_BATCH", 2)

    def stopped(path):
        if path.endswith("5.bmp"):
            raise KeyboardInterrupt
        return counted(path)

    monkeypatch.setattr(features, "of_file", stopped)
    with pytest.raises(KeyboardInterrupt):
        features.of(cell_files, cache=cache, progress=False)
    reads.clear()
    monkeypatch.setattr(features, "of_file", counted)
    found = features.of(cell_files, cache=cache, progress=False)
    assert sorted(reads) == cell_files["path"].iloc[4:].tolist()
    assert found["red_mean"].tolist() == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("content", [b"", b"\x00\xff\x00", b"a,b\n1,2\n", b"path,bytes\nx,many\n"])
def test_a_damaged_cache_is_made_anew(cell_files, tmp_path, caplog, content):
    cache = tmp_path / "features.csv"
    whole = features.of(cell_files, cache=cache, progress=False)
    cache.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        found = features.of(cell_files, cache=cache, progress=False)
    pd.testing.assert_frame_equal(found, whole)
    assert "features.csv is damaged" in caplog.text


def test_a_file_that_cannot_be_read_has_no_features(cell_files, tmp_path, caplog):
    broken = cell_files.copy()
    broken.loc[101, "path"] = str(tmp_path / "missing.bmp")
    with caplog.at_level(logging.WARNING):
        found = features.of(broken, cache=tmp_path / "features.csv", progress=False)
    assert found.loc[101].isna().all()
    assert found["area"].drop(101).notna().all()
    assert "missing.bmp" in caplog.text


def test_no_images_no_rows(tmp_path):
    none = pd.DataFrame({"path": pd.Series([], dtype="str")})
    assert features.of(none, cache=tmp_path / "features.csv").shape == (0, 15)


def test_the_cache_lies_in_the_workspace(cell_files, own_output):
    features.of(cell_files, progress=False)
    assert (own_output / "csv" / "features.csv").is_file()


def test_published_cells_have_the_features_of_cells(real_cells):
    paths = sorted(str(path) for path in real_cells.rglob("*.bmp"))
    found = pd.DataFrame([features.of_file(path) for path in paths])
    assert len(found) == 19
    assert found.notna().all(axis=None)
    assert found["box_area"].pow(0.5).between(100, 350).all()
    assert found["aspect"].between(1, 1.7).all()
    assert found["solidity"].between(0.8, 1).all()
    assert found["circularity"].between(0.4, 0.95).all()
    assert (found["green_mean"] < found[["red_mean", "blue_mean"]].min(axis=1)).all()
    assert found["fine_grain"].between(0.3, 5).all()
