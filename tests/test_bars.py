"""Bars of long work count the work that was done: what was there before is not told as fast."""

import io
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tqdm.auto
from copies import picture, save

import anna
from anna import (
    archive,
    drive,
    features,
    images,
    keeping,
    kept,
    likeness,
    models,
    predict,
    probe,
    training,
)

pytestmark = pytest.mark.backend
PLACES = (archive, drive, images, keeping, kept, likeness, predict, probe)


@pytest.fixture
def bars(monkeypatch):
    """All bars that are shown, in the order in which they began."""
    shown = []

    class Kept(tqdm.auto.tqdm):
        def __init__(self, *args, **options):
            super().__init__(*args, **options | {"file": io.StringIO()})
            if not self.disable:
                shown.append(self)

    for place in PLACES:
        monkeypatch.setattr(place, "tqdm", Kept)
    return shown


@pytest.fixture
def own_cells(sample_copy):
    """The cells of a sample that a test may change."""
    return anna.splits.assign(anna.cnmc.index(sample_copy))


@pytest.fixture(scope="module")
def model():
    return models.build("anna", size=32, filters=(4, 8), precision="float32")


def told(bars):
    """Returns of each bar its title, where it began, where it ended, and how far it should come.

    The speed that a bar shows is what lies between the first two, over the time it took.
    """
    found = [(bar.desc.rstrip(": "), bar.initial, bar.n, bar.total) for bar in bars]
    bars.clear()
    return found


def test_a_copy_is_verified_once_and_then_only_what_has_changed(own_cells, tmp_path, bars):
    def _verify():
        anna.cnmc.verify(own_cells, cache=tmp_path / "facts.csv")
        return told(bars)

    count = len(own_cells)
    assert _verify() == [("reading images", 0, count, count)]
    assert _verify() == []
    for path in own_cells["path"].head(2):
        save(path, picture(5, side=450))
    assert _verify() == [("reading images", 0, 2, 2)]


def test_features_are_measured_once(cells, tmp_path, bars):
    for expected in ([("measuring cells", 0, len(cells), len(cells))], []):
        features.of(cells, cache=tmp_path / "features.csv")
        assert told(bars) == expected


def test_a_cache_that_was_begun_is_no_fast_one(cells, tmp_path, bars, monkeypatch):
    monkeypatch.setattr(images, "_CHUNK", 10)
    left, read, count = iter(range(25)), images.read, len(cells)

    def stopped(*args, **options):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return read(*args, **options)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(images, "read", stopped)
        images.load(cells, 32, cache=tmp_path)
    [(_, begun, _, _)] = told(bars)
    assert begun == 0
    images.load(cells, 32, cache=tmp_path)
    [(title, done, end, total)] = told(bars)
    assert (title, end, total) == ("preparing images", count, count)
    assert 0 < done <= 25
    assert done % 10 == 0
    images.load(cells, 32, cache=tmp_path)
    assert told(bars) == []


def test_an_archive_half_unpacked_is_no_fast_one(sample_root, tmp_path, own_output, bars):
    packed = Path(shutil.make_archive(tmp_path / "C-NMC", "zip", sample_root))
    with zipfile.ZipFile(packed) as whole:
        names = [name for name in whole.namelist() if archive._wanted(name)]
        part = archive.unpacked(packed).with_suffix(".part")
        whole.extractall(part, names[:7])
    archive.find(packed)
    assert told(bars) == [(f"unpacking {packed.name}", 7, len(names), len(names))]
    archive.find(packed)
    assert told(bars) == []


def test_a_folder_half_copied_is_no_fast_one(sample_root, tmp_path, bars):
    names = archive._files(sample_root)
    here = tmp_path / "copy.part"
    for name in names[:7]:
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(sample_root / name, here / name)
    seen = ("comparing with Drive", 0, len(names), len(names))
    done = (f"copying {sample_root.name}", 0, len(names) - 7, len(names) - 7)
    for expected in ([seen, done], [seen]):
        drive.bring_folder(sample_root, tmp_path / "copy", names)
        assert told(bars) == expected


def test_cells_are_judged_as_fast_as_the_bar_says(model, cells, tmp_path, bars):
    pixels = images.load(cells, 32, cache=tmp_path, progress=False)
    predict.cells(model, pixels, cells, batch_size=20)
    assert told(bars) == [("judging cells", 0, len(cells), len(cells))]


def test_a_file_counts_when_it_has_been_judged(model, tmp_path, bars, monkeypatch):
    for number in range(11):
        save(tmp_path / f"{number:02}.png", picture(number, side=40))
    (tmp_path / "03.png").write_bytes(b"no image")
    judge, counts = predict.said, []

    def slow(model, pixels, **options):
        counts.append(bars[0].n)
        return judge(model, pixels, **options)

    monkeypatch.setattr(predict, "said", slow)
    found = predict.files(model, tmp_path, batch_size=4)
    assert found["problem"].notna().sum() == 1
    assert counts == [1, 5, 9]
    assert told(bars) == [("judging files", 0, 11, 11)]


def test_features_of_a_backbone_are_read_as_fast_as_the_bar_says(bars):
    pixels = np.zeros((5, 64, 64, 3), np.uint8)
    probe.features(probe.build(64), pixels, batch_size=2)
    assert told(bars) == [("reading cells", 0, 5, 5)]


def test_cells_are_compared_as_fast_as_the_bar_says(model, bars, monkeypatch):
    monkeypatch.setattr(likeness, "AT_ONCE", 10)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), np.uint8)
    people = np.repeat(["a", "b"], 16)
    likeness.fit_network(model, pixels, np.arange(8, 40), people=people, progress=True)
    assert told(bars) == [("comparing cells", 0, 32, 32)]


def test_a_training_that_goes_on_is_no_fast_one(cells, tmp_path, bars):
    pixels = images.load(cells, 32, cache=tmp_path, progress=False)
    steps = -(-(cells["role"] == "train").sum() // 16)

    def _train(epochs):
        network = models.build("anna", size=32, filters=(4, 8), precision="float32")
        folder = tmp_path / "run"
        training.fit(network, pixels, cells, folder=folder, epochs=epochs, batch_size=16)
        return [each[1:] for each in told(bars)]

    assert _train(1) == [(0, steps, steps)]
    assert _train(3) == [(steps, 3 * steps, 3 * steps)]
    assert _train(3) == []
