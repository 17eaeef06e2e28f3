import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from anna import ensemble, images, models, predict

pytestmark = pytest.mark.backend


@pytest.fixture(scope="module")
def model():
    return models.build("anna", size=32, filters=(4, 8, 8), precision="float32")


@pytest.fixture(scope="module")
def pixels():
    rng = np.random.default_rng(0)
    return rng.integers(0, 255, (11, 32, 32, 3), dtype=np.uint8)


def table(count):
    return pd.DataFrame(
        {
            "name": [f"{i}.bmp" for i in range(count)],
            "subject": "57",
            "group": "57",
            "role": "test",
            "label": pd.array([1] * count, "Int64"),
            "drawn": False,
            "path": "unused",
        },
        index=range(100, 100 + count),
    )


def test_rows_stay_with_their_cells(model, pixels):
    found = predict.cells(model, pixels, table(11), batch_size=4, progress=False)
    assert list(found.columns) == [
        *("name", "subject", "group", "role", "label", "probability", "drawn")
    ]
    assert found.index.tolist() == list(range(100, 111))
    expected = model.predict_on_batch(pixels)[:, 0]
    np.testing.assert_allclose(found["probability"], expected, atol=1e-5)


def test_batch_size_does_not_matter(model, pixels):
    one, all_at_once = (predict.probabilities(model, pixels, batch_size=b) for b in (3, 64))
    np.testing.assert_allclose(one, all_at_once, atol=1e-5)
    assert predict.probabilities(model, pixels[:0]).shape == (0,)


@pytest.mark.parametrize(("views", "expected"), [(None, 16), (1, 16), (4, 4), (8, 2)])
def test_a_batch_shrinks_with_the_views(model, pixels, tmp_path, monkeypatch, views, expected):
    joined = ensemble.join([model], views=views) if views else model
    kept, sizes = joined.predict_on_batch, []

    def seen(batch):
        sizes.append(len(batch))
        return kept(batch)

    monkeypatch.setattr(predict.backend, "batch_size", lambda side, looks=1: 16 // looks)
    monkeypatch.setattr(joined, "predict_on_batch", seen)
    predict.probabilities(joined, pixels)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    predict.files(joined, tmp_path, progress=False)
    assert set(sizes) == {expected}


def test_black_images_have_no_probability(model, pixels):
    dark = pixels.copy()
    dark[4] = 0
    found = predict.cells(model, dark, table(11), progress=False)
    assert found["probability"].isna().tolist() == [i == 4 for i in range(11)]


def test_wrong_number_of_rows_is_refused(model, pixels):
    with pytest.raises(ValueError, match=r"Received: 11, 10"):
        predict.cells(model, pixels, table(10), progress=False)


def test_maps(model, pixels):
    maps = predict.maps(model, pixels)
    assert {name: value.shape for name, value in maps.items()} == {
        "mask": (11, 8, 8),
        "evidence": (11, 8, 8),
    }
    assert maps["mask"].min() >= 0
    assert maps["mask"].max() <= 1
    with pytest.raises(ValueError, match="Received: anna-2020"):
        predict.maps(models.build("anna-2020", size=32), pixels)


def test_maps_of_any_number_are_those_of_each_alone(model, pixels):
    each = [predict.maps(model, pixels[k : k + 1]) for k in range(11)]
    for batch_size in (3, 64, None):
        found = predict.maps(model, pixels, batch_size=batch_size)
        for name in found:
            alone = np.concatenate([one[name] for one in each])
            np.testing.assert_allclose(found[name], alone, atol=1e-5)
    assert predict.maps(model, pixels[:0])["evidence"].shape == (0, 8, 8)


def test_maps_see_batches_of_one_size_and_never_all_images(pixels, monkeypatch):
    joined = ensemble.join([models.build(size=32, filters=(4, 8, 8), precision="float32")])
    mapper, sizes = predict._mapper(joined.get_layer("member0")), []
    kept = mapper.predict_on_batch

    def seen(batch):
        sizes.append((len(batch), batch.dtype))
        return kept(batch)

    monkeypatch.setattr(mapper, "predict_on_batch", seen)
    many = np.tile(pixels, (200, 1, 1, 1))
    predict.maps(joined, pixels, batch_size=16)
    tracemalloc.start()
    try:
        predict.maps(joined, many, batch_size=16)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert set(sizes) == {(16, np.dtype("float32"))}
    assert most < many.nbytes  # as numbers of four bytes all of them would be four times that


def test_maps_are_traced_once_and_follow_the_weights(pixels):
    own = models.build(size=32, filters=(4, 8, 8), precision="float32")
    first, mapper = predict.maps(own, pixels)["evidence"], predict._mapper(own)
    own.set_weights([2 * weight for weight in own.get_weights()])
    assert np.abs(predict.maps(own, pixels)["evidence"] - first).max() > 0.01
    assert predict._mapper(own) is mapper


def test_any_files_and_the_bad_ones_as_rows(model, tmp_path):
    rng = np.random.default_rng(1)
    image = rng.integers(0, 255, (450, 450, 3), dtype=np.uint8)
    folder = tmp_path / "some folder é"
    (folder / "below").mkdir(parents=True)
    Image.fromarray(image).save(folder / "b.bmp")
    Image.fromarray(image).save(folder / "below" / "c.PNG")
    Image.fromarray(image[..., 0]).save(folder / "grey.tif")
    Image.new("RGB", (450, 450)).save(folder / "black.png")
    (folder / "a.bmp").write_bytes((folder / "b.bmp").read_bytes()[:1000])
    (folder / "notes.txt").write_text("no image")
    missing = tmp_path / "missing.bmp"
    found = predict.files(model, [folder, missing], progress=False)
    names = [path.rsplit("/", 1)[-1] for path in found["path"]]
    assert names == ["a.bmp", "b.bmp", "c.PNG", "black.png", "grey.tif", "missing.bmp"]
    found = found.set_index(pd.Index(names))
    assert found["problem"].notna().tolist() == [True, False, False, True, False, True]
    assert found["probability"].isna().tolist() == [True, False, False, True, False, True]
    for name in ("a.bmp", "black.png", "missing.bmp"):
        assert name in found.loc[name, "problem"]
    expected = model.predict_on_batch(images.resize(images.center_crop(image), 32)[None])
    assert found.loc["b.bmp", "probability"] == pytest.approx(expected.item(), abs=1e-5)
    assert found.loc["c.PNG", "probability"] == pytest.approx(expected.item(), abs=1e-5)


def test_a_path_alone_is_one_path_not_its_letters(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cells").mkdir()
    for name in ("one.png", "cells/two.png"):
        (tmp_path / name).touch()
    assert predict.listed("cells") == [Path("cells/two.png")]
    assert predict.listed(Path("one.png")) == [Path("one.png")]
    assert predict.listed(["one.png", "cells"]) == [Path("one.png"), Path("cells/two.png")]


def test_an_empty_folder_gives_no_row(model, tmp_path):
    assert predict.files(model, [tmp_path], progress=False).empty
