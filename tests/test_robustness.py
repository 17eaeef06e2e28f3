import numpy as np
import pandas as pd
import pytest
from tables import small

from anna import robustness
from anna.robustness import DISTURBANCES


def plain(*values, size=8):
    """Cells of one grey each, on black: a rim of two pixels all round."""
    pixels = np.zeros((len(values), size, size, 3), np.uint8)
    pixels[:, 2:-2, 2:-2] = np.array(values, np.uint8)[:, None, None, None]
    return pixels


def discs(count=3, size=48):
    """Coloured, grainy round cells on black."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    generator = np.random.default_rng(0)
    grain = generator.integers(-25, 25, (count, size, size, 3)) + [90, 40, 120]
    return (grain * (x**2 + y**2 < (size / 3) ** 2)[..., None]).astype(np.uint8)


def brightest(pixels):
    """A judge: the brightest value of a cell over 255."""
    return pixels.max(axis=(1, 2, 3)) / 255


@pytest.mark.parametrize("name", DISTURBANCES)
def test_each_disturbance_changes_cells_and_leaves_black_black(name):
    pixels = discs(size=128)
    pixels.flags.writeable = False
    changed = DISTURBANCES[name](pixels)
    assert changed.shape == pixels.shape and changed.dtype == np.uint8
    inside = pixels.any(axis=-1)
    assert np.abs(changed[inside].astype(int) - pixels[inside]).mean() > 1
    corner = np.s_[:, :4, :4]
    assert not changed[corner].any()
    if "rotation" not in name:
        assert not changed[~inside].any()


def test_no_cells_give_no_cells():
    none = np.zeros((0, 8, 8, 3), np.uint8)
    assert all(disturb(none).shape == none.shape for disturb in DISTURBANCES.values())


@pytest.mark.parametrize("name", DISTURBANCES)
@pytest.mark.parametrize("wrong", [discs().astype(float), discs()[0], discs()[:, :20]])
def test_what_is_no_cells_is_refused(name, wrong):
    with pytest.raises(ValueError, match="Cells must be uint8"):
        DISTURBANCES[name](wrong)


def test_brightness_is_a_factor_cut_off_at_white():
    changed = robustness.brightness(plain(100, 240), 1.15)
    assert changed[:, 4, 4, 0].tolist() == [115, 255]
    assert robustness.brightness(plain(100, 1), 0.85)[:, 4, 4, 0].tolist() == [85, 1]


def test_hue_turns_red_to_green_and_leaves_grey():
    cells = plain(0, 77)
    cells[0, 3, 3] = (200, 0, 0)
    green = robustness.hue(cells, 1 / 3)
    assert green[0, 3, 3].tolist() == [0, 200, 0]
    assert robustness.hue(cells, -1 / 3)[0, 3, 3].tolist() == [0, 0, 200]
    np.testing.assert_array_equal(green[1], cells[1])


def test_hue_of_five_per_cent_is_eighteen_degrees():
    cells = np.full((1, 4, 4, 3), (200, 0, 0), np.uint8)
    assert DISTURBANCES["hue +5 %"](cells)[0, 0, 0].tolist() == [200, 60, 0]  # 200 * 18 / 60
    assert DISTURBANCES["hue -5 %"](cells)[0, 0, 0].tolist() == [200, 0, 60]


def test_blur_mixes_inside_the_cell_and_not_with_the_black():
    cells = plain(90)
    np.testing.assert_array_equal(robustness.blur(cells, 1.0, crop=8), cells)
    cells[:, 2:-2, 4:-2] = 30
    row = robustness.blur(cells, 1.0, crop=8)[0, 4, 2:-2, 0].tolist()
    assert 90 > row[0] > row[1] > 60 > row[2] > row[3] > 30


def test_blur_is_measured_in_pixels_of_the_file():
    cells = discs()
    half = robustness.blur(cells, 4.0, crop=96)
    np.testing.assert_array_equal(half, robustness.blur(cells, 2.0, crop=48))
    assert (half != robustness.blur(cells, 4.0, crop=48)).any()


def test_jpeg_loses_grain_and_keeps_colours():
    cells = discs()
    inside = cells.any(axis=-1)
    fine, coarse = (robustness.jpeg(cells, quality) for quality in (100, 20))
    error = [np.abs(stored.astype(int) - cells)[inside].mean() for stored in (fine, coarse)]
    assert error[0] < error[1]
    red, green, blue = coarse[inside].mean(axis=0)
    assert blue > red > green


def test_rotation_is_anticlockwise_about_the_centre():
    cells = discs()
    np.testing.assert_allclose(
        robustness.rotation(cells, 90).astype(int), np.rot90(cells, axes=(1, 2)), atol=1
    )
    bar = np.zeros((1, 41, 41, 3), np.uint8)
    bar[0, 20, 20:36] = 200
    turned = robustness.rotation(bar, 45)[0, ..., 0]
    y, x = np.nonzero(turned > 60)
    assert y.max() <= 21 and x.min() >= 19
    np.testing.assert_allclose(20 - y, x - 20, atol=1.1)


def test_sweep_by_hand():
    """ALL of 100 and 90, HEM of 80 and 70, called ALL from 85.

    Darker, 90 becomes 76 and is missed: F1 of ALL 2/3, of HEM 4/5, so 11/15 weighted. Brighter, 80
    becomes 92 and is called ALL: the same with the classes changed round.
    """
    found = small([1, 1, 0, 0], [0.5] * 4)
    table = robustness.sweep(brightest, plain(100, 90, 80, 70), found, 85 / 255, progress=False)
    assert list(table.columns) == ["disturbance", "weighted_f1", "lost", "auc", "flipped"]
    assert table["disturbance"].tolist() == list(DISTURBANCES)
    rows = table.set_index("disturbance")
    for name in ("brightness +15 %", "brightness -15 %"):
        assert rows.loc[name].tolist() == pytest.approx([11 / 15, 4 / 15, 1.0, 0.25])
    assert rows.loc[["hue +5 %", "hue -5 %"]].to_numpy().tolist() == [[1, 0, 1, 0]] * 2
    assert table.attrs == {
        **{"weighted_f1": 1.0, "auc": 1.0, "threshold": 85 / 255},
        **{"cells": 4, "people": 4, "drawn": False},
    }


def test_cells_without_label_and_black_images_do_not_count():
    four = small([1, 1, 0, 0], [0.5] * 4)
    more = small([1, 1, 0, 0, None, 1], [0.5] * 6)
    kept = {"progress": False, "disturbances": {"dark": DISTURBANCES["brightness -15 %"]}}
    expected = robustness.sweep(brightest, plain(100, 90, 80, 70), four, 85 / 255, **kept)
    table = robustness.sweep(brightest, plain(100, 90, 80, 70, 90, 0), more, 85 / 255, **kept)
    pd.testing.assert_frame_equal(table, expected)
    assert table.attrs["cells"] == 4


def test_a_judge_that_goes_by_row_sees_all_rows():
    pixels, seen = discs(5), []

    def by_row(cells):
        seen.append(len(cells))
        return np.linspace(0, 1, len(cells))

    table = robustness.sweep(by_row, pixels, small([0, 0, 1, 1, 1], [0] * 5), 0.4, progress=False)
    assert seen == [5] * (1 + len(DISTURBANCES))
    assert not table[["lost", "flipped"]].to_numpy().any()


def test_a_loss_may_be_negative():
    found = small([1, 1, 0, 0], [0.5] * 4)
    only = {"disturbances": {"bright": DISTURBANCES["brightness +15 %"]}, "progress": False}
    table = robustness.sweep(brightest, plain(100, 90, 70, 60), found, 95 / 255, **only)
    assert table.loc[0, "lost"] == pytest.approx(-4 / 15)


@pytest.mark.parametrize(
    ("judge", "count", "threshold", "message"),
    [
        (lambda cells: np.ones((len(cells), 1)), 2, 0.5, r"give 2 probabilities. Received: \(2, 1"),
        (lambda cells: np.full(len(cells), np.nan), 2, 0.5, "in 0..1. Received: nan"),
        (lambda cells: np.full(len(cells), 1.5), 2, 0.5, "in 0..1. Received: 1.5"),
        (brightest, 3, 0.5, "Received: 2, 3"),
        (brightest, 2, 50, "Received: threshold=50"),
    ],
)
def test_what_does_not_fit_is_refused(judge, count, threshold, message):
    found = small([1, 0, 1][:count], [0.5] * count)
    with pytest.raises(ValueError, match=message):
        robustness.sweep(judge, plain(100, 50), found, threshold, progress=False)
