"""Warnings about cells unlike those learnt from."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from anna import facts, quality

KNOWN = {"diameter": (100.0, 300.0), "red": (40.0, 120.0), "texture": (0.7, 2.0)}


def measured(image):
    row = dict.fromkeys(facts.COLUMNS, np.nan) | facts.measure(image)
    return row | {"height": image.shape[0], "width": image.shape[1]}


def disc(diameter, *, colour=(80, 40, 90), noise=1.5, side=450):
    rng = np.random.default_rng(0)
    across = np.arange(side) - side / 2
    inside = np.hypot(across[:, None], across[None]) < diameter / 2
    image = np.clip(np.array(colour) + rng.normal(0, noise, (side, side, 1)), 1, 255)
    return (image * inside[..., None]).astype(np.uint8)


def warned(*images):
    return quality.warnings(pd.DataFrame([measured(image) for image in images]), KNOWN).tolist()


def test_a_usual_cell_has_no_warning():
    assert warned(disc(200)) == [""]


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (disc(60), "smaller than the cells learnt from (59, seen 100 to 300)"),
        (disc(380), "larger than the cells"),
        (disc(200, colour=(150, 40, 90)), "brighter in red (149"),
        (disc(200, noise=0), "blurred"),
        (disc(200, noise=8), "noisy or sharpened"),
        (np.full((450, 450, 3), 90, np.uint8), "not cut out on black"),
    ],
)
def test_what_is_unusual_is_said(image, said):
    [warning] = warned(image)
    assert said in warning


@pytest.mark.parametrize(
    ("image", "warning"),
    [
        (disc(200, colour=(80, 80, 80)), "no colour"),
        (disc(60, colour=(80, 80, 80)), "no colour; smaller than"),
        (np.full((450, 450, 3), 90, np.uint8), "no colour; not cut out on black"),
    ],
)
def test_a_grey_picture_has_no_colour(image, warning):
    assert warned(image)[0].startswith(warning)


@pytest.mark.parametrize(("name", "mode"), [("one.png", "L"), ("two.png", "LA"), ("all.jpg", "L")])
def test_a_grey_file_has_no_colour(tmp_path, name, mode):
    coloured = Image.fromarray(disc(200))
    grey = coloured.convert(mode)
    grey = grey.convert("RGB") if name == "all.jpg" else grey
    for image, place, says in ((coloured, "own.png", False), (grey, name, True)):
        image.save(tmp_path / place)
        row = facts.of_file(str(tmp_path / place))
        [warning] = quality.warnings(pd.DataFrame([row]), KNOWN)
        assert warning.startswith("no colour") == says


def test_black_has_no_measures_to_warn_of():
    assert "no colour" not in warned(np.zeros((450, 450, 3), np.uint8))[0]


def test_all_that_is_unusual_is_said():
    [warning] = warned(disc(60, colour=(150, 40, 90)))
    assert warning.count(";") == 1


@pytest.mark.parametrize(("moved", "said"), [(60, ""), (120, "31% lies beyond the central 320")])
def test_a_cell_beyond_the_square_that_is_judged_is_told(moved, said):
    [warning] = warned(np.roll(disc(210), moved, axis=1))
    assert warning.startswith(said)
    assert bool(warning) == bool(said)


def test_an_image_without_measures_has_none():
    table = pd.DataFrame([dict.fromkeys(facts.COLUMNS, np.nan)], index=[7])
    found = quality.warnings(table, KNOWN)
    assert found.to_dict() == {7: ""}


def test_ranges_leave_out_the_tails():
    table = pd.DataFrame({name: np.arange(1001.0) for name in quality.SAYS})
    assert quality.ranges(table, tail=0.01) == dict.fromkeys(quality.SAYS, (10.0, 990.0))
