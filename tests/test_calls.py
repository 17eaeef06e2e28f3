"""Calls on anybody's images: the table, the page, and the command line."""

import base64
import io
import os
import re
import shutil
import sys

import numpy as np
import pages
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


def shades(folder, *levels):
    """Returns files of cells of one grey each, unlike any other."""
    inside = np.hypot(*np.mgrid[-32:32, -32:32])[..., None] < 24
    paths = [folder / f"{level}.png" for level in levels]
    for path, level in zip(paths, levels, strict=True):
        Image.fromarray(np.uint8(level * inside * np.ones(3))).save(path)
    return paths


def table_of(paths, probabilities):
    """Returns calls; of a file without probability that it could not be judged."""
    rows = [
        {"path": str(path), "probability": p, "warning": "",
         "call": "" if np.isnan(p) else "ALL" if p >= 0.5 else "HEM",
         "problem": f"{path}: not a readable image" if np.isnan(p) else None}
        for path, p in zip(paths, probabilities, strict=True)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def pictures_of(text, name):
    found = re.findall(rf'alt="{name}"[^>]* src="data:image/webp;base64,([^"]+)"', text)
    opened = (Image.open(io.BytesIO(base64.b64decode(each))) for each in found)
    return [np.asarray(each.convert("RGB")).astype(int) for each in opened]


def test_the_likeliest_come_first_each_with_its_own_pictures(model, tmp_path):
    levels, probabilities = (60, 90, 120, 150, 180), (0.2, 0.9, 0.4, 0.7, 0.1)
    paths = shades(tmp_path, *levels)
    calls = table_of(paths, probabilities)
    text = anna.page.write(tmp_path / "page.html", calls, model, progress=False).read_text()
    assert re.findall(r'title="[^"]*/(\d+)\.png"', text) == ["90", "150", "120", "60", "180"]
    assert [cell[80, 80, 0] for cell in pictures_of(text, "cell")] == pytest.approx(
        [90, 150, 120, 60, 180], abs=4
    )
    for number, seen in zip((1, 3, 2, 0, 4), pictures_of(text, "evidence"), strict=True):
        image = anna.images.read(paths[number], 32, crop=64)
        maps = anna.predict.maps(model, image[None])
        over = anna.page.overlay(image, maps["mask"][0], maps["evidence"][0])
        expected = np.asarray(Image.fromarray(over).resize((160, 160))).astype(int)
        assert np.abs(seen - expected).mean() < 3


@pytest.mark.parametrize(("together", "batches"), [(2, [2, 2, 1]), (3, [3, 2]), (64, [5])])
def test_cells_are_judged_batch_by_batch_and_read_as_they_are_needed(
    together, batches, model, tmp_path, monkeypatch
):
    held, seen, kept = [], [], anna.predict.maps

    def maps(model, pixels, **options):
        seen.append(len(pixels))
        held.append(len(read))
        return kept(model, pixels, **options)

    def cells():
        for path in shades(tmp_path, 60, 90, 120, 150, 180):
            read.append(path)
            yield anna.images.read(path, 32, crop=64)

    read = []
    monkeypatch.setattr(anna.predict, "maps", maps)
    monkeypatch.setattr(anna.backend, "batch_size", lambda side: together)
    assert len(list(anna.page.pictures(model, cells()))) == 5
    assert seen == batches
    assert held == np.cumsum(batches).tolist()


def test_a_bar_tells_how_far_the_page_is(model, tmp_path, capsys):
    calls = table_of(shades(tmp_path, 60, 90), (0.2, 0.9))
    anna.page.write(tmp_path / "page.html", calls, model)
    told = capsys.readouterr().err
    assert "drawing cells" in told
    assert "2/2" in told
    anna.page.write(tmp_path / "page.html", calls, model, progress=False)
    assert capsys.readouterr().err == ""


def test_a_file_gone_since_it_was_judged_is_named(model, tmp_path):
    paths = shades(tmp_path, 60, 90)
    paths[0].unlink()
    with pytest.raises(anna.decoding.ImageError, match=r"60\.png"):
        anna.page.write(tmp_path / "page.html", table_of(paths, (0.2, 0.9)), model, progress=False)


def test_the_page_has_so_many_cells_and_says_how_many_more_there_are(model, tmp_path, monkeypatch):
    monkeypatch.setattr(anna.page, "MOST", 2)
    gone = [tmp_path / f"<i>{k}.bmp" for k in range(5)]
    calls = table_of([*gone, *shades(tmp_path, 60, 90, 120)], [np.nan] * 5 + [0.2, 0.9, 0.4])
    path = anna.page.write(tmp_path / "page.html", calls, model, progress=False)
    text = pages.check_page(path)
    assert re.findall(r">(\d+)\.png</td>", text) == ["90", "120"]
    assert "The 1 least likely ALL are in the CSV alone." in text
    assert "5 not judged, 0 with a warning" in text
    details = re.search(r"<details>(.*)</details>", text, re.DOTALL)[1]
    assert re.findall(r">&lt;i&gt;(\d)\.bmp: not a readable image</li>", details) == ["0", "1"]
    assert "<summary>5 not judged</summary>" in details
    assert "3 more are in the CSV" in details
    assert text.count("not a readable image") == 2
    monkeypatch.setattr(anna.page, "MOST", 5)
    text = anna.page.write(tmp_path / "page.html", calls, model, progress=False).read_text()
    assert text.count("not a readable image") == 5
    assert "CSV" not in text
    text = anna.page.write(path, calls.tail(3), model, progress=False).read_text()
    assert "<details>" not in text


def test_a_page_of_nothing_that_could_be_judged(model, tmp_path):
    calls = table_of([tmp_path / "a.bmp"], [np.nan])
    text = pages.check_page(anna.page.write(tmp_path / "p.html", calls, model, progress=False))
    assert "a.bmp: not a readable image" in text
    assert "<img" not in text


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


def test_cells_at_another_magnification_are_judged_at_that_of_the_cells_learnt_from(
    model, tmp_path
):
    y, x = np.mgrid[-40:40, -40:40]
    cell = ((np.hypot(y, x) < 24)[..., None] * (120 + 4 * x[..., None] + (0, 20, 40))).clip(0, 255)
    pictures = {"once": cell.astype(np.uint8), "twice": cell.repeat(2, 0).repeat(2, 1)}
    for name, picture in pictures.items():
        Image.fromarray(picture.astype(np.uint8)).save(tmp_path / f"{name}.png")
    known = {"diameter": (45.0, 50.0)}
    calls = [
        anna.calls.of(model, [tmp_path / f"{name}.png"], known=known, scale=scale, progress=False)
        for name, scale in (("once", 1.0), ("twice", 0.5), ("twice", 1.0))
    ]
    once, again, large = (table.iloc[0] for table in calls)
    assert again["probability"] == pytest.approx(once["probability"], abs=1e-5)
    assert once["warning"] == again["warning"] == ""
    assert "larger than the cells learnt from" in large["warning"]
    page = tmp_path / "page.html"
    options = ["--model", str(anna.models.save(model, tmp_path / "m.keras")), "--scale", "0.5"]
    out = ["--out", str(tmp_path / "calls.csv"), "--page", str(page), "--quiet"]
    assert main(["predict", str(tmp_path / "twice.png"), *options, *out]) == 0
    told = anna.tables.read(tmp_path / "calls.csv").iloc[0]
    assert told["probability"] == pytest.approx(once["probability"], abs=1e-5)
    with pytest.raises(ValueError, match="scale=0"):
        anna.calls.of(model, [tmp_path], known=known, scale=0, progress=False)
