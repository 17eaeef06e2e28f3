"""The U-Net as a segmenter."""

import keras
import numpy as np
import pandas as pd
import pytest
from keras import ops
from test_wbc import disc, drawn_cell

from anna import mask_batches, masks, models, segment
from anna.plots import segmentation

pytestmark = pytest.mark.backend
SMALL = {"size": 32, "filters": (8, 16), "precision": "float32"}


def drawn_cells(count, seed=0):
    """Cells of several sizes and shapes of image: images and masks."""
    rng = np.random.default_rng(seed)
    pairs = []
    for _ in range(count):
        cell = int(rng.integers(13, 22))
        height, width = (int(side) for side in rng.integers(50, 64, 2))
        image, mask = drawn_cell(height, width, int(cell * rng.uniform(0.5, 0.7)), cell)
        noise = rng.normal(0, 6, image.shape)
        pairs.append(((image + noise).clip(0, 255).astype(np.uint8), mask))
    return tuple(map(list, zip(*pairs, strict=True)))


@pytest.fixture(scope="module")
def trained():
    model = segment.build(**SMALL)
    options = {
        "epochs": 20,
        "batch_size": 8,
        "learning_rate": 1e-2,
        "cutout": 0.0,
        "progress": False,
    }
    history = segment.fit(model, *drawn_cells(32), **options)
    return model, history


def test_shares_of_classes_at_every_pixel():
    model = segment.build(**SMALL)
    pixels = np.random.default_rng(0).integers(0, 255, (2, 32, 32, 3), dtype=np.uint8)
    found = np.asarray(model.predict_on_batch(pixels))
    assert found.shape == (2, 32, 32, 3)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=-1), 1, atol=1e-5)
    assert {"encoder1", "bottleneck", "decoder1"} <= {layer.name for layer in model.layers}


def test_the_same_seed_builds_the_same_network():
    one, same, other = (
        segment.build(**SMALL, seed=seed).get_layer("stem").get_weights()[0] for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_building_leaves_the_policy_as_it_was():
    before = keras.config.dtype_policy()
    segment.build(**SMALL | {"precision": "mixed_bfloat16"})
    assert keras.config.dtype_policy() == before


def test_a_size_that_cannot_be_halved_is_refused():
    with pytest.raises(ValueError, match=r"divisible by 32\. Received: 120"):
        segment.build(120)


def test_loss_by_hand():
    """One pixel of each class, each found with a share of 0.8: entropy -ln 0.8.

    Nucleus: 2·0.8 of 1 + 1; cell: 2·(0.9 + 0.9) of 2 + 2; one is added above and below.
    """
    true = np.eye(3, dtype=np.float32)[None, None]
    found = np.where(true == 1, 0.8, 0.1).astype(np.float32)
    overlap = (2.6 / 3 + 4.6 / 5) / 2
    value = float(segment.OverlapLoss()(true, found))
    assert value == pytest.approx(-np.log(0.8) + 1 - overlap, abs=1e-5)


def test_loss_of_a_perfect_mask_is_nought_also_without_a_cell():
    for mask in (drawn_cell(32, 32, 5, 9)[1], np.zeros((32, 32), np.uint8)):
        true = masks.shares(mask)[None].astype(np.float32) / 255
        assert float(segment.OverlapLoss()(true, true)) == pytest.approx(0, abs=1e-5)


def test_loss_is_one_an_image():
    true = np.zeros((3, 4, 4, 3), np.float32)
    assert segment.OverlapLoss().call(ops.convert_to_tensor(true), true).shape == (3,)


def test_image_and_shares_move_alike():
    """The image is its own shares, so wherever they go they must stay the same."""
    _, mask = drawn_cell(64, 64, 8, 16)
    shares = masks.shares(np.roll(mask, 9, axis=1))
    rng = np.random.default_rng(0)
    for _ in range(10):
        image, moved = mask_batches.view(shares, shares, rng)
        np.testing.assert_array_equal(image, moved)
        assert not np.array_equal(moved, shares)
        assert abs(moved.sum(axis=-1, dtype=int) - 255).max() <= 2


def test_a_cutout_is_black_but_for_the_cell():
    image, mask = drawn_cell(64, 64, 8, 16)
    seen, shares = mask_batches.view(image, masks.shares(mask), np.random.default_rng(0), 1.0)
    outside = shares[..., 0] > 127
    assert not seen[outside].any()
    assert seen[~outside].max(axis=-1).min() > 0


def test_views_depend_on_seed_epoch_and_batch_alone():
    images, drawn = drawn_cells(10)
    squares = np.stack([masks.to_square(image, 32) for image in images])
    shares = np.stack([masks.to_square(masks.shares(mask), 32) for mask in drawn])
    seen, again = (
        mask_batches.MaskBatches(squares, shares, batch_size=4, seed=5) for _ in range(2)
    )
    assert [len(seen[i][0]) for i in range(len(seen))] == [4, 4, 2]
    np.testing.assert_array_equal(seen[1][0], again[1][0])
    assert seen[0][0].dtype == np.uint8
    assert seen[0][1].max() == 1
    first = seen[0][0]
    seen.on_epoch_end()
    assert not np.array_equal(seen[0][0], first)


def test_training_finds_drawn_cells_it_has_not_seen(trained):
    model, history = trained
    assert history["epoch"].tolist() == list(range(1, 21))
    assert history["loss"].iloc[-1] < history["loss"].iloc[0] / 2
    images, drawn = drawn_cells(8, seed=1)
    found = segment.segment(model, images)
    assert [mask.shape for mask in found] == [mask.shape for mask in drawn]
    scores = pd.DataFrame(
        [masks.dice(truth, mask) for truth, mask in zip(drawn, found, strict=True)]
    )
    assert scores["nucleus"].mean() > 0.9
    assert scores["cell"].mean() > 0.95


def test_ratios_are_those_of_the_masks(trained):
    images, drawn = drawn_cells(3, seed=2)
    table = segment.ratios(trained[0], images)
    assert list(table.columns) == ["nucleus", "cell", "nucleus_to_cell"]
    np.testing.assert_allclose(table["nucleus_to_cell"], table["nucleus"] / table["cell"])
    truth = [masks.nucleus_to_cell(mask) for mask in drawn]
    np.testing.assert_allclose(table["nucleus_to_cell"], truth, atol=0.1)
    assert segment.ratios(trained[0], []).empty


def test_mirror_images_are_mirrored_back(trained):
    """Averaged over four mirror images, a mirrored cell gives the mirrored mask."""
    image = drawn_cells(1, seed=3)[0][0][:50, :50]
    image[disc((50, 50), (12, 30), 6)] = (90, 30, 120)
    straight, mirrored = segment.segment(trained[0], [image, image[:, ::-1]])
    assert (straight != mirrored[:, ::-1]).mean() < 0.01
    plain = segment.segment(trained[0], [image], flips=False)[0]
    assert plain.shape == straight.shape


def test_a_saved_segmenter_comes_back(trained, tmp_path):
    path = models.save(trained[0], tmp_path / "segmenter.keras", {"size": 32})
    images = drawn_cells(2, seed=4)[0]
    loaded = models.load(path)
    for one, other in zip(
        segment.segment(trained[0], images), segment.segment(loaded, images), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_each_image_needs_its_mask():
    images, drawn = drawn_cells(2)
    with pytest.raises(ValueError, match="Received: 2, 1"):
        segment.fit(segment.build(**SMALL), images, drawn[:1], progress=False)


def test_figure_of_contours():
    images, drawn = drawn_cells(2)
    empty = [drawn[0], np.zeros_like(drawn[1])]
    options = {"titles": ["1/001", "2/003"], "notes": [("N:C 0.50", "N:C 0.48")] * 2}
    figure = segmentation.contours(images, drawn, empty, **options)
    lines = [len(axes.collections) for axes in figure.axes]
    assert lines == [0, 0, 2, 2, 2, 0]
    figure.canvas.draw()
    with pytest.raises(ValueError, match=r"Received: \(2, 2, 2, 1, 2\)"):
        segmentation.contours(images, drawn, empty, **options | {"titles": ["1/001"]})
