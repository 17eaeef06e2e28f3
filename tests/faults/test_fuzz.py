"""Whatever the input, only ANNa's own errors come out, and what comes out holds."""

import io
from contextlib import suppress

import numpy as np
import pandas as pd
import pytest
from copies import picture
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from anna import cnmc, decoding, facts, images, tables

quickly = settings(
    derandomize=True,
    max_examples=80,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
LINES = "Patient_ID,new_names,labels\nUID_7_1_1_all.bmp,1.bmp,1\nUID_H2_1_1_hem.bmp,2.bmp,0\n"


def image_bytes(kind):
    kept = io.BytesIO()
    Image.fromarray(picture(40)).save(kept, kind)
    return kept.getvalue()


IMAGES = [image_bytes(kind) for kind in ("bmp", "png", "jpeg", "tiff")]


@st.composite
def damaged(draw, contents):
    """Bytes of one of `contents`, cut somewhere, with some of them changed."""
    content = bytearray(draw(st.sampled_from(contents)))
    places = st.integers(0, len(content) - 1) | st.integers(0, min(80, len(content) - 1))
    for place in draw(st.lists(places, max_size=6)):
        content[place] = draw(st.integers(0, 255))
    return bytes(content[: draw(st.none() | st.integers(0, len(content)))])


@quickly
@given(
    st.text(max_size=40)
    | st.from_regex(r"UID_[Hh]?\d+_\d+_\d+_(all|hem)\.bmp", fullmatch=True)
    | st.from_regex(r"UID_[A-Za-z]?\w*_\w*_\w*_(all|hem|)\.\w+")
)
def test_any_name_is_a_person_or_none(name):
    person = cnmc.subject(name)
    assert person is None or person.removeprefix("H").isdecimal()
    if person:
        assert cnmc.subject(name.upper()) == cnmc.subject(name.lower()) == person


@quickly
@given(damaged([LINES.encode(), LINES.encode("utf-8-sig"), LINES.encode("utf-16")]) | st.binary())
def test_any_label_file_is_labels_or_a_value_error_that_names_it(tmp_path, content):
    path = tmp_path / "labels.csv"
    path.write_bytes(content)
    try:
        found = cnmc.labels(path)
    except ValueError as error:
        assert str(path) in str(error)
        return
    assert list(found) == ["name", "label"]
    assert set(found["label"].dropna()) <= {0, 1}


@quickly
@given(
    st.permutations(["Patient_ID", "new_names", "labels", "labels", " labels", "note"]),
    st.lists(
        st.lists(st.sampled_from(["1.bmp", "2.bmp", "0", "1", "2", "", '"', "é"])), max_size=5
    ),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_any_table_of_labels_is_labels_or_a_value_error_that_names_it(tmp_path, head, rows, end):
    path = tmp_path / "labels.csv"
    path.write_bytes(end.join(",".join(row) for row in [head, *rows]).encode())
    try:
        found = cnmc.labels(path)
    except ValueError as error:
        assert str(path) in str(error)
        return
    assert set(found["label"].dropna()) <= {0, 1}


@pytest.mark.filterwarnings("ignore")  # Pillow warns of oddities in what it reads all the same
@quickly
@given(damaged(IMAGES) | st.binary(max_size=200).map(lambda rest: b"BM" + rest))
def test_any_bytes_are_an_image_or_an_image_error_that_names_it(tmp_path, content):
    path = tmp_path / "x.bmp"
    path.write_bytes(content)
    try:
        found = decoding.decode(path)
    except decoding.ImageError as error:
        assert str(path) in str(error)
        return
    assert found.dtype == np.uint8
    assert found.ndim == 3
    assert found.shape[2] == 3
    assert found.size <= 3 * decoding.LARGEST


@pytest.mark.filterwarnings("ignore")  # Pillow's, as above
@quickly
@given(damaged(IMAGES))
def test_any_bytes_are_measured_and_cropped_or_told_as_a_problem(tmp_path, content):
    path = tmp_path / "x.bmp"
    path.write_bytes(content)
    row = facts.of_file(str(path))
    try:
        found = images.read(path, 16, crop=40)
    except decoding.ImageError as error:
        assert row["problem"] == str(error)
        return
    assert row["problem"] is None
    assert (found.shape, found.dtype) == ((16, 16, 3), np.uint8)
    assert set(row) == set(facts.COLUMNS)


@quickly
@given(st.integers(0, len(IMAGES[0]) - 1))
def test_a_bmp_cut_anywhere_is_never_taken_for_whole(tmp_path, length):
    path = tmp_path / "x.bmp"
    path.write_bytes(IMAGES[0][:length])
    with pytest.raises(decoding.ImageError, match=r"x\.bmp"):
        decoding.decode(path)


@quickly
@given(damaged([b"path,name,label\n/a/1.bmp,1.bmp,1\n/a/2.bmp,2.bmp,\n"]))
def test_any_table_is_read_or_a_value_error_that_names_it(tmp_path, content):
    path = tmp_path / "cells.csv"
    path.write_bytes(content)
    with suppress(ValueError):
        assert isinstance(tables.read(path), pd.DataFrame)
        return
    with pytest.raises(ValueError, match=r"cells\.csv"):
        tables.read(path)
