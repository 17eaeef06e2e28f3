"""How unlike the cells learnt from a picture is."""

import cv2
import keras
import numpy as np
import pytest
from PIL import Image
from places import DATA
from scipy.spatial.distance import mahalanobis

import anna
from anna import ensemble, likeness, probe, reading, wbc
from anna.layers import Views

pytestmark = pytest.mark.backend


@pytest.fixture(scope="module")
def cloud():
    """What was read of 600 cells of ten parts, each somewhere else, and the parts."""
    rng = np.random.default_rng(0)
    parts = np.repeat(np.arange(10), 60)
    moved = rng.normal(0, 0.3, (10, 112))[parts]
    return rng.normal(0, 1, (600, 112)) @ rng.normal(0, 1, (112, 112)) + 5 + moved, parts


def test_the_distance_is_that_of_mahalanobis(cloud, monkeypatch):
    monkeypatch.setattr(likeness, "AXES", 112)  # all directions
    found, parts = cloud
    known, _ = likeness.fit(found, parts)
    inverse = np.linalg.inv(np.cov(found.T))
    far = [mahalanobis(row, found.mean(axis=0), inverse) for row in found[:20]]
    expected = np.array(far) / np.sqrt(112) / known.limit
    np.testing.assert_allclose(known.of(found[:20]), expected, rtol=1e-3)


def test_the_limit_is_drawn_by_parts_that_were_not_there(cloud):
    found, parts = cloud
    known, unlike = likeness.fit(found, parts)
    assert (unlike > 1).mean() == pytest.approx(1 - likeness.WITHIN, abs=0.002)
    assert (known.of(found) > 1).mean() < (unlike > 1).mean()  # those who were there lie nearer
    last = parts == 9
    alone, _ = likeness.fit(found[~last], parts[~last])
    np.testing.assert_allclose(unlike[last] * known.limit, alone.of(found[last]) * alone.limit)


def test_a_record_keeps_it(cloud):
    found, parts = cloud
    known, _ = likeness.fit(found, parts)
    again = likeness.Likeness.from_kept(known.kept())
    np.testing.assert_allclose(again.of(found), known.of(found), rtol=1e-3)


def test_a_network_says_it_beside_the_probability(sample_pixels):
    network = probe.build(64, crop=320)
    said = probe.features(network, sample_pixels, progress=False)
    read = said[:, reading.columns()]
    rng = np.random.default_rng(0)
    known = likeness.Likeness(read.mean(axis=0), rng.normal(0, 1, (112, 8)), 2.0)
    for views in (1, 8):
        model = ensemble.join([network], views=views)
        found = anna.predict.said(likeness.beside(model, known), sample_pixels)
        own = anna.predict.probabilities(model, sample_pixels)
        np.testing.assert_allclose(found[:, 0], own, atol=1e-5)
        seen = np.asarray(Views(views)(sample_pixels.astype(np.float32))).astype(np.uint8)
        said = probe.features(network, seen, progress=False)[:, reading.columns()]
        read = said.reshape(views, len(sample_pixels), -1).mean(axis=0)
        np.testing.assert_allclose(found[:, 1], known.of(read), rtol=1e-3, atol=1e-5)


@pytest.fixture
def sample_pixels(sample_root):
    paths = sorted(sample_root.rglob("*.bmp"))[:5]
    return np.stack([anna.images.read(path, 64) for path in paths])


def test_networks_that_do_not_read_there_are_refused(cloud):
    known, _ = likeness.fit(*cloud)
    two = [anna.models.build("anna", 32, filters=(4, 4)) for _ in range(2)]
    for model in (anna.models.build("anna-2020", 32), ensemble.join(two)):
        with pytest.raises(ValueError, match=r"one probe of anna\.ensemble, or a U-Net"):
            likeness.beside(model, known)
        assert likeness.pretrained(model) is model
        assert likeness.fit_network(model, **few_cells()) is None


def few_cells():
    """Images, which of them were learnt from, and whose they are."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), np.uint8)
    return {"pixels": pixels, "rows": np.arange(8, 40), "people": np.repeat(["a", "b"], 16)}


@pytest.mark.parametrize("joined", [False, True])
def test_a_network_of_ones_own_says_it_too(joined, tmp_path):
    path = anna.models.save(anna.models.build("anna", 32, filters=(8, 16)), tmp_path / "own.keras")
    keras.utils.clear_session()  # as one who comes back: names of layers begin anew
    network = anna.models.load(path)
    model = ensemble.join([network]) if joined else network
    cells = few_cells()
    known = likeness.fit_network(model, **cells)
    both = likeness.beside(model, known)
    assert both is likeness.beside(model, known)  # traced once
    said, alone = anna.predict.said(both, cells["pixels"]), anna.predict.probabilities
    np.testing.assert_allclose(said[:, 0], alone(model, cells["pixels"]), atol=1e-5)
    stripes = np.where(np.arange(32) % 2, 255, 1).astype(np.uint8)[:, None, None]
    far = anna.predict.said(both, np.broadcast_to(stripes, (1, 32, 32, 3)))[0, 1]
    assert 0.4 < np.median(said[8:, 1]) < 1 < far
    assert said[8:, 1].max() < 1.5 < far
    assert likeness.pretrained(model) is model


@pytest.mark.parametrize("cells", ["of one person", "none", "two", "alike"])
def test_of_too_little_nothing_is_known(cells):
    model, given = anna.models.build("anna", 32, filters=(8, 16), augment=False), few_cells()
    few = {"of one person": slice(16), "none": slice(0), "two": slice(15, 17), "alike": slice(None)}
    given |= {name: given[name][few[cells]] for name in ("rows", "people")}
    if cells == "alike":
        given["pixels"][:] = given["pixels"][0]
    assert likeness.fit_network(model, **given) is None


def test_probes_of_other_weights_or_another_crop_are_not_measured_by_the_trained_one():
    for crop in (160, 320):
        model = ensemble.join([probe.build(64, crop=crop)], views=1)
        assert reading.reads(model)
        assert likeness.pretrained(model) is model


def cell_of(colours, inside):
    """A picture of C-NMC's size: colours inside, black outside."""
    return (np.clip(colours, 1, 255) * inside[..., None]).astype(np.uint8)


@pytest.fixture
def no_cells(tmp_path):
    """Pictures in the colours and of the size of cells, which are none."""
    y, x = np.mgrid[:450, :450] - 224.5
    noise = cv2.GaussianBlur(np.random.default_rng(0).normal(0, 6, (450, 450, 3)), (0, 0), 0.9)
    colours, text = np.array([75, 32, 82]) + noise, np.zeros((450, 450), np.uint8)
    cv2.putText(text, "ANNa", (60, 260), 0, 4, 1, 40)
    shapes = {"disc": np.hypot(y, x) < 100, "square": np.maximum(abs(y), abs(x)) < 75, "text": text}
    for name, inside in shapes.items():
        Image.fromarray(cell_of(colours, inside)).save(tmp_path / f"{name}.png")
    return tmp_path


def test_what_is_no_cell_is_warned_of(no_cells):
    calls = anna.calls.of(anna.models.pretrained(), [no_cells], progress=False)
    assert len(calls) == 3
    assert (calls["unlike"] > 1.5).all()
    assert calls["warning"].str.contains("unlike the cells learnt from").all()


@pytest.fixture(scope="module")
def beside():
    return likeness.pretrained(anna.models.pretrained())


def test_real_cells_are_like_those_learnt_from(beside, real_cells):
    cells = anna.cnmc.index(real_cells)
    found = anna.predict.files(beside, cells["path"], progress=False)
    assert (found["unlike"] <= 1).sum() >= len(cells) - 1


def test_cells_of_another_stain_are_not(beside, tmp_path):
    root = wbc.find(DATA)
    if root is None:
        pytest.skip(f"the masks are not here (set ANNA_REAL_DATA): {DATA}")
    cells = wbc.index(root)
    pictures, truth = wbc.load(cells[cells["dataset"] == "dataset_2"].iloc[::10], progress=False)
    paths = [tmp_path / f"{number}.png" for number in range(len(pictures))]
    for path, picture, mask in zip(paths, pictures, truth, strict=True):
        Image.fromarray(cv2.resize(cell_of(picture, mask > 0), (450, 450))).save(path)
    assert (anna.predict.files(beside, paths, progress=False)["unlike"] > 1).mean() > 0.9
