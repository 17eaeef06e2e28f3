"""Calls on anybody's images: the table, the page, and the command line."""

import base64
import io
import os
import re
import shutil
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import anna
from anna.cli import main

KNOWN = {"diameter": (10.0, 2000.0)}


@pytest.fixture(scope="module")
def model():
    return anna.models.build("anna", size=32, crop=64, seed=0)


@pytest.fixture
def folder(tmp_path):
    """Two cells, one of them named like a tag, and a file that is none."""
    rng = np.random.default_rng(0)
    inside = np.hypot(*np.mgrid[-32:32, -32:32])[..., None] < 24
    for name in ("a.png", "<b>.bmp"):
        cell = rng.integers(60, 200, (64, 64, 3)) * inside
        Image.fromarray(cell.astype(np.uint8)).save(tmp_path / name)
    (tmp_path / "c.bmp").write_text("no image")
    return tmp_path


def test_each_file_is_a_row_with_its_call(model, folder):
    calls = anna.calls.of(model, [folder], known=KNOWN, progress=False)
    assert list(calls) == ["path", "probability", "unlike", "call", "warning", "problem"]
    calls = calls.set_index(calls["path"].str.extract(r"([^/]+)$")[0])
    assert calls.loc["c.bmp", "call"] == ""
    assert "not a readable image" in calls.loc["c.bmp", "problem"]
    judged = calls.drop("c.bmp")
    assert judged["problem"].isna().all()
    expected = np.where(judged["probability"] >= 0.5, "ALL", "HEM")
    assert judged["call"].tolist() == expected.tolist()
    assert (judged["warning"] == "").all()


def test_the_threshold_decides(model, folder):
    for threshold, call in ((0.0, "ALL"), (1.0, "HEM")):
        options = {"known": KNOWN, "threshold": threshold, "progress": False}
        assert anna.calls.of(model, [folder / "a.png"], **options)["call"].tolist() == [call]
    with pytest.raises(ValueError, match="threshold"):
        anna.calls.of(model, [folder], known=KNOWN, threshold=2, progress=False)


def test_the_page_needs_no_other_file(model, folder, tmp_path):
    calls = anna.calls.of(model, [folder], known=KNOWN, progress=False)
    text = anna.page.write(tmp_path / "page.html", calls, model, progress=False).read_text()
    assert not re.search(r"https?:", text)
    pictures = re.findall(r'src="data:image/webp;base64,([^"]+)"', text)
    assert len(pictures) == 4  # two cells and their evidence
    for picture in pictures:
        image = Image.open(io.BytesIO(base64.b64decode(picture)))
        assert image.size == (160, 160)
        assert np.asarray(image).std() > 5
    assert "&lt;b&gt;.bmp" in text
    assert "<b>.bmp" not in text
    assert "not a readable image" in text
    assert "Not for diagnosis" in text


def test_the_likeliest_come_first(model, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(anna.page, "MOST", 1)
    calls = anna.calls.of(model, [folder], known=KNOWN, progress=False)
    first = calls.sort_values("probability").dropna(subset="probability").iloc[-1]
    text = anna.page.write(tmp_path / "page.html", calls, model, progress=False).read_text()
    assert f"{first['probability']:.1%}" in text
    assert text.count("<tr>") == 3  # the head, one cell, and the file that is none
    assert "not a readable image" in text
    assert "the 1 least likely ALL are left out" in text


def test_the_overlay_is_red_for_all_blue_for_hem_and_grey_outside():
    image = np.full((32, 32, 3), 100, np.uint8)
    mask = np.zeros((4, 4))
    mask[:, 1:3] = 1
    evidence = np.where(np.arange(4) < 2, 2.0, -2.0) * np.ones((4, 1))
    red, _, blue = np.moveaxis(anna.page.overlay(image, mask, evidence).astype(int), -1, 0)
    assert red[16, 12] > blue[16, 12] + 40
    assert blue[16, 20] > red[16, 20] + 40
    assert red[16, 0] == blue[16, 0] == 100


def test_no_evidence_is_no_error():
    image = np.full((8, 8, 3), 100, np.uint8)
    found = anna.page.overlay(image, np.zeros((4, 4)), np.zeros((4, 4)))
    np.testing.assert_array_equal(found, image)


def test_predict_writes_the_table_and_the_page(model, folder, tmp_path, capsys):
    anna.models.save(model, tmp_path / "m.keras")
    out, page = tmp_path / "calls.csv", tmp_path / "calls.html"
    options = ["--model", str(tmp_path / "m.keras"), "--out", str(out), "--page", str(page)]
    assert main(["predict", str(folder / "a.png"), *options, "--quiet"]) == 0
    assert anna.tables.read(out)["probability"].between(0, 1).all()
    assert "a.png" in page.read_text()
    assert "1 files" in capsys.readouterr().out


def test_a_file_that_could_not_be_judged_is_exit_code_1(model, folder, tmp_path):
    anna.models.save(model, tmp_path / "m.keras")
    out = tmp_path / "calls.csv"
    options = ["--model", str(tmp_path / "m.keras"), "--out", str(out), "--quiet"]
    assert main(["predict", str(folder), *options]) == 1
    assert len(pd.read_csv(out)) == 3


def test_page_and_table_say_that_cells_are_drawn(model, folder, tmp_path, sample_root):
    options = {"known": KNOWN, "progress": False}
    drawn = next(sample_root.rglob("*.bmp"))
    for path, says in ((folder / "a.png", False), (drawn, True)):
        calls = anna.calls.of(model, [path], **options)
        text = anna.page.write(tmp_path / "page.html", calls, model, progress=False).read_text()
        assert (anna.card.DRAWN in text) == says
        assert (anna.calls.DRAWN in calls["warning"].item()) == says


def test_a_network_without_maps_has_a_page_without_evidence(folder, tmp_path):
    model = anna.models.build("anna-2020", size=32, crop=64, seed=0)
    calls = anna.calls.of(model, [folder / "a.png"], known=KNOWN, progress=False)
    text = anna.page.write(tmp_path / "page.html", calls, model, progress=False).read_text()
    assert text.count("<img ") == 1
    assert "Evidence:" not in text


def test_a_file_named_twice_is_judged_once(model, folder):
    found = anna.calls.of(model, [folder / "a.png", folder], known=KNOWN, progress=False)
    assert [name.rsplit("/")[-1] for name in found["path"]] == ["a.png", "<b>.bmp", "c.bmp"]


def test_hidden_files_of_a_folder_are_no_images(model, folder):
    (folder / "._a.png").write_bytes(b"as macOS leaves it")
    found = anna.calls.of(model, [folder], known=KNOWN, progress=False)
    assert len(found) == 3


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere all names are Unicode")
def test_a_name_that_is_no_utf_8_is_written_readably(model, folder, tmp_path):
    shutil.copy(folder / "a.png", os.fsencode(folder) + b"/caf\xe9.png")
    calls = anna.calls.of(model, [folder], known=KNOWN, progress=False)
    anna.tables.write(calls, tmp_path / "calls.csv")
    assert r"caf\udce9.png" in (tmp_path / "calls.csv").read_text(encoding="utf-8")
    text = anna.page.write(tmp_path / "page.html", calls, model, progress=False).read_text()
    assert r"caf\udce9.png" in text


def test_patterns_are_resolved(model, folder, tmp_path, monkeypatch):
    anna.models.save(model, tmp_path / "m.keras")
    monkeypatch.chdir(folder)
    options = ["--model", str(tmp_path / "m.keras"), "--quiet"]
    for words in (["*.png"], [f"{folder}/*.png"]):
        assert main(["predict", *words, *options]) == 0
        assert len(pd.read_csv("calls.csv")) == 1
