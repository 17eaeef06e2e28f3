"""Caches, splits and networks damaged by hand: noticed, and named."""

import io
import json
import logging
import shutil
import zipfile

import keras
import numpy as np
import pandas as pd
import pytest
from test_training import cells_and_pixels, network

from anna import images, keeping, models, splits, training


def flipped(content, place, bit=0):
    damaged = bytearray(content)
    damaged[place] ^= 1 << bit
    return bytes(damaged)


def test_any_bit_flipped_in_a_cache_is_noticed(load, whole, tmp_path, caplog):
    load(tmp_path / "arrays")
    [kept] = (tmp_path / "arrays").iterdir()
    content = kept.read_bytes()
    header = [(place, bit) for place in range(0, 128, 3) for bit in (0, 5)]
    body = [(place, place % 8) for place in range(128, len(content), 97)]
    for place, bit in header + body:
        kept.write_bytes(flipped(content, place, bit))
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            found = images._kept(kept.parent, kept.stem.rpartition("_")[0], whole.shape)
        if found is None:
            assert f"{kept} is damaged" in caplog.text
        else:  # a byte that means nothing
            np.testing.assert_array_equal(found, whole)
            assert place < 128
    np.testing.assert_array_equal(load(tmp_path / "arrays"), whole)
    kept.write_bytes(flipped(content, 2000))
    np.testing.assert_array_equal(load(tmp_path / "arrays"), whole)
    assert kept.read_bytes() == content


def test_a_cache_of_other_pixels_under_its_name_is_noticed(load, whole, tmp_path):
    load(tmp_path / "arrays")
    [kept] = (tmp_path / "arrays").iterdir()
    np.save(kept, whole[::-1])
    np.testing.assert_array_equal(load(tmp_path / "arrays"), whole)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A saved network, its bytes, and what it says of some cells."""
    model = models.build("anna", 32, filters=(4, 4), augment=False)
    path = models.save(model, tmp_path_factory.mktemp("stored") / "m.keras", {"epoch": 3})
    cells = np.random.default_rng(0).integers(0, 255, (2, 32, 32, 3), dtype=np.uint8)
    return path, path.read_bytes(), cells, model.predict_on_batch(cells)


def test_a_bit_flipped_in_a_network_is_refused_or_means_nothing(stored, tmp_path):
    _, content, cells, expected = stored
    path, refused = tmp_path / "flipped.keras", 0
    places = np.random.default_rng(0).integers(0, len(content), 24)
    for place in places:
        path.write_bytes(flipped(content, place, place % 8))
        try:
            found = models.load(path).predict_on_batch(cells)
        except ValueError as error:
            assert "flipped.keras" in str(error)
            refused += 1
            continue
        np.testing.assert_array_equal(found, expected)
        assert models.record(path) in ({"epoch": 3}, {})
    assert refused > len(places) / 2


@pytest.mark.parametrize("share", [0, 0.3, 0.9, 0.999])
def test_a_network_cut_anywhere_is_refused_by_name(stored, tmp_path, share):
    path = tmp_path / "cut.keras"
    path.write_bytes(stored[1][: int(share * len(stored[1]))])
    with pytest.raises(ValueError, match=r"cut\.keras: not a model"):
        models.load(path)
    with pytest.raises(ValueError, match=r"cut\.keras: not a model"):
        models.record(path)


@pytest.mark.parametrize(
    "member", ["../evil.txt", "assets/../../evil.txt", "/evil.txt", "..\\evil"]
)
def test_a_network_that_leads_outside_is_refused_by_name(stored, tmp_path, member):
    path = tmp_path / "in" / "evil.keras"
    path.parent.mkdir()
    path.write_bytes(stored[1])
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(member, "outside")
    with pytest.raises(ValueError, match=r"evil\.keras: .*leads outside"):
        models.load(path)
    assert not list(tmp_path.rglob("evil.txt"))


CODE = {
    "os.system": {"module": "os", "class_name": "system", "config": {"command": "touch evil"}},
    "eval": {"module": "builtins", "class_name": "eval", "config": {"source": "open('evil', 'w')"}},
}


@pytest.mark.parametrize("what", CODE)
def test_a_network_that_names_other_code_is_refused_by_name(stored, tmp_path, what, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path, written = tmp_path / "code.keras", io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(stored[1])) as old, zipfile.ZipFile(written, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json":
                config = json.loads(content)
                config["config"]["layers"][1] |= CODE[what] | {"registered_name": None}
                content = json.dumps(config)
            new.writestr(name, content)
    path.write_bytes(written.getvalue())
    with pytest.raises(ValueError, match=r"code\.keras") as told:
        models.load(path)
    assert CODE[what]["class_name"] in str(told.value)
    assert [p.name for p in tmp_path.iterdir()] == ["code.keras"]


def test_a_network_with_a_lambda_is_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x = keras.Input((4,))
    code = keras.layers.Lambda(lambda x: __import__("os").mkdir("evil") or x, output_shape=(4,))
    path = models.save(keras.Model(x, code(x)), tmp_path / "code.keras")
    with pytest.raises(ValueError, match=r"code\.keras: .*[Ll]ambda"):
        models.load(path)
    assert [p.name for p in tmp_path.iterdir()] == ["code.keras"]
    keras.models.load_model(path, safe_mode=False)(np.zeros((1, 4)))  # it would work
    assert (tmp_path / "evil").is_dir()


def fit_in(folder, epochs):
    cells, pixels = cells_and_pixels()
    return training.fit(network(), pixels, cells, folder=folder, epochs=epochs, progress=False)


@pytest.fixture(scope="module")
def two_epochs(tmp_path_factory):
    return fit_in(tmp_path_factory.mktemp("trained") / "run", 2).folder


@pytest.fixture
def trained(two_epochs, tmp_path):
    """A function that trains on, and the folder of a run of two epochs that may be damaged."""
    folder = shutil.copytree(two_epochs, tmp_path / "run")
    return lambda epochs=3: fit_in(folder, epochs), folder


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("name", ["last.keras", "best.keras"])
@pytest.mark.parametrize("damage", ["cut", "bit"])
def test_a_run_with_a_damaged_network_does_not_go_on_and_loses_nothing(trained, name, damage):
    fit, folder = trained
    content = (folder / name).read_bytes()
    weights = content.index(b"\x89HDF") + 3000
    (folder / name).write_bytes(content[:-40] if damage == "cut" else flipped(content, weights))
    before = files_of(folder)
    with pytest.raises(ValueError, match=name.replace(".", r"\.")):
        fit(2 if name == "best.keras" else 3)
    assert files_of(folder) == before


def test_a_run_without_its_best_network_does_not_go_on_with_a_worse_one(trained):
    fit, folder = trained
    (folder / "best.keras").unlink()
    with pytest.raises(ValueError, match=r"move its folder away.*Missing: .*best\.keras"):
        fit()


def test_a_run_without_its_last_network_is_kept_beside(trained, caplog):
    fit, folder = trained
    (folder / "last.keras").unlink()
    best = (folder / "best.keras").read_bytes()
    assert fit().new_epochs == 3
    assert (folder.with_name("run.before-1") / "best.keras").read_bytes() == best
    assert "run.before-1" in caplog.text


@pytest.mark.parametrize("epoch", [1, None])
def test_a_network_of_others_in_the_folder_is_kept_beside(trained, caplog, epoch):
    """A run of one epoch with other settings, or any network that was put there by hand."""
    fit, folder = trained
    (folder / "last.keras").unlink()
    model = models.load(folder / "best.keras")
    models.save(model, folder / "best.keras", {"epoch": epoch, "settings": {}} if epoch else {})
    best = (folder / "best.keras").read_bytes()
    fit()
    assert (folder.with_name("run.before-1") / "best.keras").read_bytes() == best
    assert "run.before-1" in caplog.text


def test_pixels_that_are_no_bytes_are_refused(tmp_path):
    cells, pixels = cells_and_pixels()
    poisoned = pixels.astype(np.float32)
    poisoned[3, 5, 5] = np.nan
    with pytest.raises(ValueError, match=r"pixels must be uint8.*Received: float32"):
        training.fit(network(), poisoned, cells, folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_loss_of_infinity_keeps_the_epochs_before(trained, monkeypatch):
    fit, folder = trained
    best = (folder / "best.keras").read_bytes()
    ended = keeping.Keeper.on_epoch_end
    infinite = {"loss": np.inf, "val_loss": 0.1}
    monkeypatch.setattr(
        keeping.Keeper, "on_epoch_end", lambda keeper, epoch, logs: ended(keeper, epoch, infinite)
    )
    with pytest.raises(training.TrainingError, match="epochs before are kept"):
        fit()
    assert (folder / "best.keras").read_bytes() == best
    assert len(models.record(folder / "last.keras")["history"]) == 2


def test_a_kept_split_with_an_unknown_role_or_other_rows_is_made_anew(cells, tmp_path, own_output):
    first = splits.assign(cells, folder=tmp_path)
    kept = pd.read_csv(tmp_path / "splits.csv", dtype=str)
    misspelt = kept.assign(role=kept["role"].replace("train", "trbin"))
    sorted_by_hand = kept.sort_values(["role", "name"], ascending=False)
    for damaged in (misspelt, sorted_by_hand):
        damaged.to_csv(tmp_path / "splits.csv", index=False)
        assert splits.assign(cells, folder=tmp_path)["role"].tolist() == first["role"].tolist()
