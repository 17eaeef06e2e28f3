"""Masks, the data set of hand-drawn masks, and Otsu's thresholds."""

import cv2
import numpy as np
import pytest
from PIL import Image
from places import DATA

from anna import masks, otsu, wbc
from anna.decoding import ImageError


def disc(shape, centre, radius):
    y, x = np.ogrid[: shape[0], : shape[1]]
    return (x - centre[0]) ** 2 + (y - centre[1]) ** 2 <= radius**2


def drawn_cell(height=60, width=60, nucleus=9, cell=20):
    """A round cell amid a pale field: image and mask."""
    middle = (width // 2, height // 2)
    mask = disc((height, width), middle, cell).astype(np.uint8)
    mask[disc((height, width), middle, nucleus)] = 2
    colours = np.array([(240, 230, 200), (190, 150, 180), (90, 30, 120)], np.uint8)
    return colours[mask], mask


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Two data sets of drawn cells, the first with cells that were taken twice."""
    root = tmp_path_factory.mktemp("wbc")
    for dataset, numbers in (("dataset_1", range(150, 175)), ("dataset_2", range(1, 11))):
        (root / dataset).mkdir()
        for number in reversed(numbers):
            image, mask = drawn_cell(52 + number % 5, 60)
            place = root / dataset / f"{number:03}"
            Image.fromarray(image).save(place.with_suffix(".bmp"))
            grey = np.array([0, 128, 255], np.uint8)[mask]
            Image.fromarray(grey).save(place.with_suffix(".png"))
    return root


def test_stray_greys_go_to_the_nearest():
    grey = np.array([[0, 7, 64, 65, 128, 191, 192, 255]], np.uint8)
    assert masks.from_grey(grey).tolist() == [[0, 0, 0, 1, 1, 1, 2, 2]]


def test_dice_by_hand():
    truth = np.array([[2, 2, 1, 1, 0, 0]], np.uint8)
    found = np.array([[2, 1, 1, 0, 0, 0]], np.uint8)
    assert masks.dice(truth, found) == pytest.approx({"nucleus": 2 / 3, "cell": 6 / 7})
    assert masks.dice(truth, truth) == {"nucleus": 1, "cell": 1}
    assert masks.dice(truth, np.zeros_like(truth)) == {"nucleus": 0, "cell": 0}


def test_dice_of_nothing_is_undefined_and_shapes_must_agree():
    empty = np.zeros((3, 4), np.uint8)
    assert all(np.isnan(score) for score in masks.dice(empty, empty).values())
    with pytest.raises(ValueError, match=r"one shape.*\(3, 4\), \(4, 3\)"):
        masks.dice(empty, empty.T)


def test_ratio_by_hand():
    mask = np.array([[2, 1, 1, 0], [0, 1, 0, 0]], np.uint8)
    assert masks.areas(mask) == {"nucleus": 1, "cell": 4}
    assert masks.nucleus_to_cell(mask) == 0.25
    assert np.isnan(masks.nucleus_to_cell(np.zeros((2, 2), np.uint8)))


@pytest.mark.parametrize("shape", [(120, 120), (120, 101), (97, 120), (300, 300)])
def test_a_mask_comes_back_from_the_square(shape):
    middle = (shape[1] // 2, shape[0] // 2)
    mask = disc(shape, middle, min(shape) // 3).astype(np.uint8)
    mask[disc(shape, middle, min(shape) // 6)] = 2
    square = masks.to_square(masks.shares(mask), 128)
    assert square.shape == (128, 128, 3)
    back = masks.from_square(square.astype(np.float32) / 255, shape)
    assert back.shape == shape
    assert min(masks.dice(mask, back).values()) > 0.99


def test_the_square_keeps_proportions():
    image = np.zeros((60, 120, 3), np.uint8)
    image[disc((60, 120), (60, 30), 20)] = 255
    _, _, width, height = cv2.boundingRect(masks.to_square(image, 240)[..., 0] // 128)
    assert abs(width - height) <= 1
    assert width == pytest.approx(82, abs=2)


def test_an_unknown_class_is_refused():
    with pytest.raises(ValueError, match="Received: 3"):
        masks.shares(np.full((2, 2), 3, np.uint8))


def test_one_cell_has_the_nucleus_and_no_holes():
    mask = np.zeros((40, 60), np.uint8)
    mask[2:38, 30:58] = 1  # the larger, without a nucleus
    mask[10:30, 4:24] = 1
    mask[14:20, 8:14] = 2
    mask[24:26, 18:20] = 0
    alone = masks.one_cell(mask)
    assert masks.areas(alone) == {"nucleus": 36, "cell": 400}
    assert alone[25, 19] == 1
    assert not alone[:, 30:].any()
    assert not masks.one_cell(np.zeros((5, 5), np.uint8)).any()


def test_the_index_is_sorted_and_each_image_has_its_mask(root):
    cells = wbc.index(root)
    assert list(cells.columns) == ["name", "dataset", "path", "mask", "fold"]
    assert cells["name"].is_monotonic_increasing
    assert cells["name"].is_unique
    assert cells["dataset"].value_counts().to_dict() == {"dataset_1": 25, "dataset_2": 10}
    image, mask = wbc.read(cells.iloc[3])
    assert (image.shape, mask.shape) == ((55, 60, 3), (55, 60))
    assert set(np.unique(mask)) == {0, 1, 2}
    images, drawn = wbc.load(cells, progress=False)
    np.testing.assert_array_equal(images[3], image)
    np.testing.assert_array_equal(drawn[3], mask)


def test_folds_share_the_data_sets_evenly_and_keep_a_cell_in_one(root):
    cells = wbc.index(root, k=5, seed=3)
    counts = cells.groupby(["dataset", "fold"]).size()
    assert counts["dataset_1"].between(4, 6).all()
    assert (counts["dataset_2"] == 2).all()
    fold = cells.set_index("name")["fold"]
    for one, other in (("157", "158"), ("166", "171"), ("167", "169")):
        assert fold[f"dataset_1/{one}"] == fold[f"dataset_1/{other}"]
    assert cells["fold"].equals(wbc.index(root, k=5, seed=3)["fold"])
    assert not cells["fold"].equals(wbc.index(root, k=5, seed=4)["fold"])


def test_find(root, tmp_path):
    assert wbc.find(root) == root
    assert wbc.find(root.parent) == root
    assert wbc.find(tmp_path) is None


def test_what_is_not_whole_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="No cells"):
        wbc.index(tmp_path)
    (tmp_path / "dataset_1").mkdir()
    place = tmp_path / "dataset_1" / "001"
    Image.fromarray(drawn_cell()[0]).save(place.with_suffix(".bmp"))
    with pytest.raises(FileNotFoundError, match=r"001\.png"):
        wbc.index(tmp_path)
    Image.fromarray(drawn_cell(50)[1]).save(place.with_suffix(".png"))
    row = {"path": place.with_suffix(".bmp"), "mask": place.with_suffix(".png")}
    with pytest.raises(ImageError, match=r"001\.png.*\(50, 60\) for \(60, 60\)"):
        wbc.read(row)


def test_otsu_takes_each_part_from_its_own_channel():
    """Only the nucleus is dark in green, and only the cell has colour."""
    _, mask = drawn_cell()
    image = np.array([(255, 255, 255), (150, 230, 150), (90, 30, 120)], np.uint8)[mask]
    np.testing.assert_array_equal(otsu.otsu(image, "green", "saturation"), mask)
    assert masks.areas(otsu.otsu(image, "green", "green"))["cell"] == (mask == 2).sum()


def test_multi_otsu_finds_a_plain_cell():
    pytest.importorskip("skimage", reason="scikit-image is not installed")
    image, mask = drawn_cell()
    np.testing.assert_array_equal(otsu.multi_otsu(image, "green"), mask)
    assert not otsu.multi_otsu(np.zeros((9, 9, 3), np.uint8), "green").any()


def test_stained_parts_are_bright_in_every_channel():
    image, mask = drawn_cell()
    for name in otsu.CHANNELS:
        grey = otsu.channel(image, name)
        assert grey[mask == 2].mean() > grey[mask == 0].mean(), name
    with pytest.raises(ValueError, match="Received: 'hue'"):
        otsu.channel(image, "hue")


def test_scores_have_a_row_a_cell_and_a_column_a_setting():
    image, mask = drawn_cell()
    settings = [("green", "green"), ("red", "blue")]
    table = otsu.scores([image, image], [mask, np.zeros_like(mask)], otsu.otsu, settings)
    assert list(table.columns) == settings
    expected = np.mean(list(masks.dice(mask, otsu.otsu(image, "red", "blue")).values()))
    assert table[("red", "blue")].tolist() == pytest.approx([expected, 0])


def test_the_published_masks():
    root = wbc.find(DATA / "wbc_masks")
    if root is None:
        pytest.skip(f"the hand-drawn masks are not here (set ANNA_REAL_DATA): {DATA}")
    cells = wbc.index(root)
    assert cells["dataset"].value_counts().to_dict() == {"dataset_1": 239, "dataset_2": 80}
    some = cells[cells["name"].isin(["dataset_1/001", "dataset_2/034", "dataset_2/047"])]
    images, drawn = wbc.load(some, progress=False)
    assert [image.shape for image in images] == [(120, 120, 3), (300, 300, 3), (300, 300, 3)]
    for mask in drawn:
        assert set(np.unique(mask)) == {0, 1, 2}
        np.testing.assert_array_equal(masks.one_cell(mask) > 0, mask > 0)
        assert 0.1 < masks.nucleus_to_cell(mask) < 0.95
