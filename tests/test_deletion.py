from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from anna import deletion

CORNER = np.s_[:, :8, :8]


@pytest.fixture
def cells():
    """Twenty cells of 16 x 16 without black, the upper left quarter bright."""
    pixels = np.full((20, 16, 16, 3), 40, np.uint8)
    pixels[CORNER] = 200
    return pixels


@pytest.fixture
def maps():
    """What speaks for ALL, on a grid of 8 x 8: the upper left quarter; and a mask that is full."""
    evidence = np.zeros((20, 8, 8), np.float32)
    evidence[:, :4, :4] = 2.0
    return evidence, np.ones_like(evidence)


def quarter(pixels):
    """A judge: the share of the upper left quarter that is as bright as it was."""
    return (pixels[CORNER][..., 0] == 200).mean(axis=(1, 2))


def of(table, order):
    return table.loc[table["order"] == order, "probability"].to_numpy()


def drawn(judge, *args, **kwargs):
    """The curve, and the images the judge was shown, by order and step."""
    shown = []

    def keeping(pixels):
        shown.append(pixels.copy())
        return judge(pixels)

    table = deletion.curve(keeping, *args, progress=False, **kwargs)
    steps = (len(shown) - 1) // 2
    return table, {"evidence": shown[1 : 1 + steps], "random": shown[1 + steps :]}


def test_true_evidence_falls_faster_than_random(cells, maps):
    table = deletion.curve(quarter, cells, *maps, steps=4, progress=False)
    assert table["share"].tolist() == [0, 0.25, 0.5, 0.75, 1] * 2
    assert of(table, "evidence").tolist() == [1, 0, 0, 0, 0]
    np.testing.assert_allclose(of(table, "random"), [1, 0.75, 0.5, 0.25, 0], atol=0.08)
    area = deletion.areas(table)
    assert area["evidence"] == 0.125
    assert area["random"] == pytest.approx(0.5, abs=0.06)


def test_evidence_turned_round_falls_slower_than_random(cells, maps):
    evidence, masks = maps
    table = deletion.curve(quarter, cells, -evidence, masks, steps=4, progress=False)
    assert of(table, "evidence").tolist() == [1, 1, 1, 1, 0]
    assert deletion.areas(table)["evidence"] == 0.875


def test_flat_evidence_falls_as_random(cells, maps):
    flat = np.zeros_like(maps[0])
    area = deletion.areas(deletion.curve(quarter, cells, flat, maps[1], steps=4, progress=False))
    assert area["evidence"] == pytest.approx(area["random"], abs=0.06)


def test_a_call_hem_loses_its_lowest_evidence_first(cells, maps):
    evidence, masks = maps

    def hem(pixels):
        return 1 - quarter(pixels)

    table = deletion.curve(hem, cells, -evidence, masks, steps=4, progress=False)
    assert of(table, "evidence").tolist() == [1, 0, 0, 0, 0]
    table = deletion.curve(hem, cells, evidence, masks, steps=4, progress=False)
    assert of(table, "evidence").tolist() == [1, 1, 1, 1, 0]


def test_the_threshold_decides_which_class_is_followed(cells, maps):
    def third(pixels):
        return quarter(pixels) * 0.3

    followed = deletion.curve(third, cells, *maps, threshold=0.2, steps=4, progress=False)
    np.testing.assert_allclose(of(followed, "evidence"), [0.3, 0, 0, 0, 0])
    followed = deletion.curve(third, cells, *maps, steps=4, progress=False)
    np.testing.assert_allclose(of(followed, "evidence"), [0.7, 0.7, 0.7, 0.7, 1])


def test_both_orders_hide_the_same_share_of_the_map_s_pixels(cells, maps):
    _, shown = drawn(quarter, cells, *maps, steps=8, fill="black")
    for images in shown.values():
        for step, hidden in enumerate(images, 1):
            black = ~hidden.any(axis=-1)
            assert (black.mean(axis=(1, 2)) == step / 8).all()
            blocks = black.reshape(20, 8, 2, 8, 2).mean(axis=(2, 4))
            assert set(np.unique(blocks)) <= {0.0, 1.0}
    assert len({image.tobytes() for image in shown["random"][3]}) == 20


def test_what_is_hidden_stays_hidden(cells, maps):
    _, shown = drawn(quarter, cells, *maps, steps=8, fill="black")
    for images in shown.values():
        for before, after in pairwise(images):
            assert not after[before == 0].any()


def test_patches_go_as_one(cells, maps):
    _, shown = drawn(quarter, cells, *maps, steps=4, fill="black", patch=2)
    for images in shown.values():
        blocks = (images[0] == 0)[..., 0].reshape(20, 4, 4, 4, 4).mean(axis=(2, 4))
        assert (blocks.sum(axis=(1, 2)) == 4).all() and set(np.unique(blocks)) == {0.0, 1.0}


def test_a_patch_ranks_by_its_mean_inside_the_cell(cells, maps):
    """The strong patch is half outside the cell, where its evidence is none."""
    evidence, masks = np.zeros_like(maps[0]), maps[1].copy()
    evidence[:, 4:6, 4:6], evidence[:, :2, 1] = 1.0, 1.5
    masks[:, :2, 0] = 0
    _, shown = drawn(quarter, cells, evidence, masks, steps=31, fill="black", patch=2)
    first = ~shown["evidence"][0].any(axis=-1)
    assert first.sum(axis=(1, 2)).tolist() == [8] * 20 and first[:, :4, 2:4].all()


def test_the_mean_colour_keeps_size_outline_and_mean(cells, maps):
    cells[:, :, :3] = 0
    cells[:, :2] = 0
    _, shown = drawn(quarter, cells, *maps, steps=4)
    seen = cells.any(axis=-1)
    mean = np.rint(cells[0][seen[0]].mean(axis=0))
    for images in shown.values():
        for hidden in images:
            np.testing.assert_array_equal(hidden.any(axis=-1), seen)
        assert (images[-1][seen] == mean).all()
        assert (images[0][seen] != cells[seen]).any()


def test_only_the_cell_is_hidden(cells, maps):
    evidence, masks = maps
    masks[:, :, 6:] = 0.4
    _, shown = drawn(quarter, cells, evidence, masks, steps=2, fill="black")
    for images in shown.values():
        assert not images[-1][:, :, :12].any()
        np.testing.assert_array_equal(images[-1][:, :, 12:], cells[:, :, 12:])


def test_cells_without_a_mask_do_not_count(cells, maps):
    evidence, masks = maps
    expected = deletion.curve(quarter, cells, evidence, masks, steps=4, progress=False)
    masks[5:] = 0.3
    table = deletion.curve(quarter, cells, evidence, masks, steps=4, progress=False)
    assert of(table, "evidence").tolist() == of(expected, "evidence").tolist()
    assert (expected.attrs["cells"], table.attrs["cells"]) == (20, 5)


def test_the_seed_changes_the_random_order_alone(cells, maps):
    one, same, other = (
        deletion.curve(quarter, cells, *maps, seed=seed, progress=False) for seed in (1, 1, 2)
    )
    pd.testing.assert_frame_equal(one, same)
    assert (of(one, "evidence") == of(other, "evidence")).all()
    assert (of(one, "random") != of(other, "random")).any()


def test_pixels_stay_as_they_were(cells, maps):
    before = cells.copy()
    cells.flags.writeable = False
    deletion.curve(quarter, cells, *maps, progress=False)
    np.testing.assert_array_equal(cells, before)


def test_areas_by_hand():
    rows = {"share": [0, 0.5, 1] * 2, "order": ["evidence"] * 3 + ["random"] * 3}
    table = pd.DataFrame(rows | {"probability": [1, 0.2, 0, 0.8, 0.8, 0.4]})
    area = deletion.areas(table)
    assert area.index.tolist() == ["evidence", "random"]
    assert area.tolist() == pytest.approx([0.3 + 0.05, 0.4 + 0.3])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"evidence": np.zeros((20, 4, 4))}, r"Received: .*\(20, 4, 4\)"),
        ({"masks": np.zeros((20, 8, 8))}, "No mask holds a cell. Received: masks up to 0"),
        ({"pixels": np.zeros((3, 16, 16, 3), np.uint8)}, r"Received: \(\(3, 16"),
        ({"fill": "white"}, "Received: 'white'"),
        ({"patch": 0}, "Received: 0, 10"),
        ({"steps": 0}, "Received: 1, 0"),
        ({"threshold": 2}, "Received: threshold=2"),
        ({"judge": lambda pixels: np.ones(3)}, r"Received: \(3,\)"),
    ],
)
def test_what_does_not_fit_is_refused(cells, maps, change, message):
    given = {"judge": quarter, "pixels": cells, "evidence": maps[0], "masks": maps[1]} | change
    with pytest.raises(ValueError, match=message):
        deletion.curve(**given, progress=False)
