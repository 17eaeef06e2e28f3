"""The page of fields: boxes, pictures, evidence at its place; and the command that writes it."""

import base64
import io
import re

import cv2
import numpy as np
import pages
import pandas as pd
import pytest
import smears
from PIL import Image

import anna
from anna import field_page, fields, models, segment, smear
from anna.cli import main


@pytest.fixture(scope="module")
def made():
    return smears.draw(3)


@pytest.fixture(scope="module")
def model():
    return smears.network()


@pytest.fixture(scope="module")
def folder(made, tmp_path_factory):
    return smears.write(tmp_path_factory.mktemp("fields"), made[0])


@pytest.fixture(scope="module")
def judged(model, folder):
    return fields.judge(model, [folder], known=smears.KNOWN, progress=False)


def layers_of(text):
    """Returns the field and its evidence as the page shows them."""
    found = re.findall(r'<image[^>]* href="data:image/webp;base64,([^"]+)"', text)
    opened = (Image.open(io.BytesIO(base64.b64decode(each))) for each in found)
    return [np.asarray(each.convert("RGB")).astype(int) for each in opened]


def test_a_page_of_fields(model, judged, tmp_path):
    path = field_page.write(tmp_path / "page.html", judged, model, progress=False)
    text = pages.check_page(path)
    count = int(judged["cell"].notna().sum())
    assert text.count("<tr id=") == count == text.count('<a href="#f')
    assert text.count('alt="evidence"') == count
    assert "a &amp; b.png" in text
    assert "a & b.png" not in text
    assert f"<p>blank.png: {fields.NONE}</p>" in text
    assert "<p>broken.png: not a readable image" in text
    assert "Not for diagnosis" in text
    assert "have pictures" not in text


def test_a_switch_shows_the_evidence_of_each_cell_at_its_place(
    model, judged, made, tmp_path, monkeypatch
):
    def maps(model, pixels, **_):
        assert len(pixels) == len(signs)
        stripe = np.where(np.isin(np.arange(8), (3, 4)), 1.0, -1.0)  # a quarter of 320 pixels
        evidence = signs[:, None, None] * stripe * np.ones((len(pixels), 8, 8))
        return {"mask": np.ones(evidence.shape), "evidence": evidence}

    found = smear.find(made[0].pixels)
    signs = np.array([(-1.0) ** k for k in range(found.max())])
    monkeypatch.setattr(anna.predict, "maps", maps)
    monkeypatch.setattr(field_page, "WIDE", 400)
    path = field_page.write(tmp_path / "page.html", judged, model, progress=False)
    text = pages.check_page(path)
    [switch] = re.findall(r'<input type="checkbox" id="([^"]+)">', text)
    assert f'<label for="{switch}">' in text
    assert ":checked ~ svg .evidence { visibility: visible; }" in text
    field, seen = layers_of(text)
    assert field.shape == seen.shape == (320, 400, 3)
    labels = found[::2, ::2]
    redder, columns = seen[..., 0] - seen[..., 2], np.arange(400)
    for number, sign in enumerate(signs, 1):
        own = (labels == number).astype(np.uint8)
        left, _, width, _ = cv2.boundingRect(own)
        inside, away = cv2.erode(own, np.ones((9, 9))) > 0, np.abs(columns - left - width / 2)
        for side, expected in ((away < 16, sign), (away > 24, -sign)):
            assert (inside & side).sum() > 100
            assert np.percentile(expected * redder[inside & side], 5) > 30
    outside = cv2.dilate((labels > 0).astype(np.uint8), np.ones((9, 9))) == 0
    assert np.abs(redder[outside]).mean() < 1  # grey
    assert (field[..., 0] - field[..., 1])[outside].mean() > 10


def test_a_page_without_evidence_has_no_switch(model, judged, tmp_path):
    blind = anna.models.build("anna-2020", size=32)
    for network, options in ((model, {"evidence": False}), (blind, {})):
        path = tmp_path / "page.html"
        field_page.write(path, judged, network, progress=False, **options)
        text = pages.check_page(path)
        assert text.count('alt="cell"') == judged["cell"].notna().sum()
        assert len(layers_of(text)) == 1
        assert "checkbox" not in text
        assert "vidence:" not in text


def test_the_first_cells_have_pictures_and_the_page_says_so(model, made, tmp_path, monkeypatch):
    for k in range(3):
        Image.fromarray(made[k].pixels).save(tmp_path / f"{k}.png")
    cells = fields.judge(model, [tmp_path], known=smears.KNOWN, progress=False)
    first = int((cells["path"] == str(tmp_path / "0.png")).sum())
    monkeypatch.setattr(field_page, "MOST", first + 2)
    path = field_page.write(tmp_path / "page.html", cells, model, progress=False)
    text = pages.check_page(path)
    assert f"The first {first + 2} cells have pictures." in text
    assert text.count("<tr id=") == len(cells)
    assert text.count('alt="cell"') == text.count('alt="evidence"') == first + 2
    assert text.count('type="checkbox"') == 2


def test_a_page_of_some_rows_shows_their_cells(model, judged, tmp_path):
    there = judged[judged["cell"].notna()]
    few = there.iloc[[3, 1]]
    options = {"progress": False, "evidence": False}
    whole = field_page.write(tmp_path / "whole.html", there, model, **options).read_text()
    text = field_page.write(tmp_path / "few.html", few, model, **options).read_text()
    shown, all_shown = (
        re.findall(r'alt="cell"[^>]* src="([^"]+)"', each) for each in (text, whole)
    )
    assert shown == [all_shown[3], all_shown[1]]


@pytest.fixture
def words(model, tmp_path):
    """The words of a command that judges fields by a network without training."""
    anna.models.save(model, tmp_path / "m.keras")
    return ["--model", str(tmp_path / "m.keras"), "--out", str(tmp_path / "cells.csv"), "--quiet"]


def test_the_command_writes_the_shares_to_a_file(words, made, tmp_path, capsys):
    for k in range(2):
        Image.fromarray(made[k].pixels).save(tmp_path / f"{k}.png")
    paths, file = [str(tmp_path / f"{k}.png") for k in range(2)], tmp_path / "share.csv"
    assert main(["field", *paths, *words]) == 0
    assert not file.exists()
    assert main(["field", *paths, *words, "--summary", str(file)]) == 0
    found, expected = anna.tables.read(file), fields.summary(anna.tables.read(words[3]))
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)
    assert found["path"].tolist() == [*paths, "all fields"]
    assert 0 < found["warned"].iloc[-1] < found["cells"].iloc[-1]
    assert found["cells"].iloc[-1] == sum(len(field.cells) for field in made[:2])
    assert "all fields" in capsys.readouterr().out


def test_shares_go_to_a_file_of_their_own(words, folder, tmp_path, capsys):
    for place, said in ((words[3], "twice"), (str(tmp_path), "not a folder's")):
        with pytest.raises(SystemExit) as left:
            main(["field", str(folder), *words, "--summary", place])
        assert left.value.code == 2
        assert said in capsys.readouterr().err
    assert not (tmp_path / "cells.csv").exists()


def test_the_command_finds_cells_by_the_segmenter_that_it_is_given(words, folder, tmp_path):
    net = segment.build(filters=(4, 8))
    net.set_weights([np.zeros_like(weights) for weights in net.get_weights()])  # sees no cell
    file = models.save(net, tmp_path / "unet.keras")
    assert main(["field", str(folder), *words, "--segmenter", str(file)]) == 1
    found = anna.tables.read(words[3])
    assert found["cell"].isna().all()
    assert (found["problem"] == fields.NONE).sum() == 2
