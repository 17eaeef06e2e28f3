import json
import re
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest
from keras import layers

from anna import layout, models, predict, recipe, unet
from anna.augmentation import AUGMENTATIONS, STAGES
from anna.layers import CellMean, Centred, Density, MaskTeacher

pytestmark = pytest.mark.backend
SMALL = {"size": 32, "filters": (4, 8, 8), "precision": "float32"}


def pixels(count=3, size=32, seed=0):
    """Grey discs of random brightness on black, uint8 (count, size, size, 3)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] - size / 2 + 0.5
    disc = (x**2 + y**2 < (size / 3) ** 2)[None, ..., None]
    return (disc * rng.integers(40, 200, (count, size, size, 3))).astype(np.uint8)


@pytest.mark.parametrize(
    ("name", "options"),
    [("anna", SMALL), ("anna", {"size": 64}), ("anna-2020", {"size": 32})],
)
def test_probability_of_raw_bytes(name, options):
    model = models.build(name, **options)
    assert model.name == name
    assert model.input.dtype == "uint8"
    found = model.predict_on_batch(pixels(3, options["size"]))
    assert found.shape == (3, 1)
    assert found.dtype == np.float32
    assert ((found > 0) & (found < 1)).all()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"name": "resnet"}, "resnet"),
        ({"size": 100}, "100"),
        ({"size": 48, "encoder": "mobilenetv2"}, "48"),
        ({"augment": ("flip", "zoom")}, "zoom"),
        ({"size": 64, "encoder": "alexnet"}, "alexnet"),
    ],
)
def test_errors_end_with_the_offending_value(options, told):
    with pytest.raises(ValueError, match=rf"Received: .*{told}"):
        models.build(**options)


def test_the_original_is_as_published():
    model = models.build("anna-2020", size=128)
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds.count("MaxPooling2D") == 5  # four in the U-Net, one after its map
    assert kinds.count("Conv2DTranspose") == kinds.count("Concatenate") == 4
    assert kinds.count("Conv2D") == 2 * 9 + 1
    assert kinds.count("BatchNormalization") == 0
    filters = [layer.filters for layer in model.layers if type(layer) is layers.Conv2D]
    assert filters == [4, 4, 8, 8, 16, 16, 32, 32, 64, 64, 32, 32, 16, 16, 8, 8, 4, 4, 1]
    assert [x.units for x in model.layers if isinstance(x, layers.Dense)] == [512, 256, 128, 1]
    rates = [layer.rate for layer in model.layers if isinstance(layer, layers.Dropout)]
    assert rates == [0.25, 0.5, 0.5, 0.5, 0.5, 0.5, 0.2]
    assert model.get_layer("map_pool").output.shape[1:] == (32, 32, 1)


def test_the_original_sees_blue_first():
    model = models.build("anna-2020", size=32)
    first = model.get_layer("encoder1a")
    seen = keras.Model(model.input, first.input).predict_on_batch(pixels())
    np.testing.assert_array_equal(seen, pixels()[..., ::-1].astype("float32"))


def test_augmentations_can_be_switched():
    def names(**options):
        found = {layer.name for layer in models.build("anna", **SMALL, **options).layers}
        return found & set(STAGES)

    assert names() == set(STAGES)
    assert names(augment=False) == set()
    assert names(augment=("stain",)) == {"stain"}
    turned = models.build("anna", **SMALL, augment=("rotate", "flip"))
    assert turned.get_layer("pose").names == ("flip", "rotate")


def test_same_seed_same_network():
    one, same, other = (models.build("anna", seed=seed, **SMALL) for seed in (3, 3, 4))
    cells = pixels()
    found = [model.predict_on_batch(cells) for model in (one, same, other)]
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.allclose(found[0], found[2])


def test_the_call_is_the_mean_evidence_plus_size():
    model = models.build("anna", **SMALL)
    cells = pixels(4)
    maps = predict.maps(model, cells)
    mask, evidence = maps["mask"].astype(float), maps["evidence"].astype(float)
    mean = (mask * evidence).sum(axis=(1, 2)) / np.maximum(mask.sum(axis=(1, 2)), 1)
    weight, bias = (w.item() for w in model.get_layer("size_evidence").get_weights())
    logit = mean + weight * np.log(mask.mean(axis=(1, 2)) + 0.01) + bias
    expected = 1 / (1 + np.exp(-logit))
    np.testing.assert_allclose(model.predict_on_batch(cells)[:, 0], expected, atol=1e-4)


def test_density_by_hand():
    image = np.zeros((1, 2, 2, 3), "float32")
    image[0, 0, 0] = [255, 51, 1]  # the last counts as 4
    image[0, 1, 1] = 8  # dark enough to be background
    density, cell = (keras.ops.convert_to_numpy(part) for part in Density()(image))
    np.testing.assert_allclose(density[0, 0, 0], [0, np.log(5), np.log(255 / 4)], atol=1e-6)
    np.testing.assert_array_equal(cell[0, ..., 0], [[1, 0], [0, 0]])
    assert (density[0, 1, 1] == 0).all()


def test_texture_does_not_know_how_strongly_a_slide_was_stained():
    rng = np.random.default_rng(0)
    density = rng.uniform(0.8, 1.4, (2, 4, 4, 3)).astype("float32")
    cell = np.ones((2, 4, 4, 1), "float32")
    cell[:, 0] = 0
    layer = Centred(unit=0.5)
    found = keras.ops.convert_to_numpy(layer([density, cell]))
    darker = keras.ops.convert_to_numpy(layer([density + 0.7, cell]))
    np.testing.assert_allclose(darker, found, atol=1e-5)
    assert (found[:, 0] == 0).all()
    inside = density[:, 1:] - density[:, 1:].mean(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(found[:, 1:], inside / 0.5, atol=1e-5)
    common = keras.ops.convert_to_numpy(Centred(unit=0.5, own_mean=False)([density, cell]))
    np.testing.assert_allclose(common[:, 1:], (density[:, 1:] - 1.3) / 0.5, atol=1e-5)


def test_augmented_shows_what_training_sees():
    model = models.build("anna", **SMALL)
    cells = pixels(2)
    seen = models.augmented(model, cells)
    assert (seen.shape, seen.dtype) == (cells.shape, cells.dtype)
    assert (seen != cells).any()
    assert {name: models.augmented(model, cells, name).shape for name in AUGMENTATIONS} == (
        dict.fromkeys(AUGMENTATIONS, cells.shape)
    )
    stained = models.augmented(model, cells, "stain")
    np.testing.assert_array_equal(stained.max(axis=-1) > 0, cells.max(axis=-1) > 0)


def test_the_crop_travels_with_the_model(tmp_path):
    path = models.save(models.build("anna", crop=256, **SMALL), tmp_path / "m.keras")
    assert models.crop_of(models.load(path)) == 256
    assert models.crop_of(models.build("anna-2020", size=32)) == 320
    plain = keras.Sequential([keras.Input((2,)), layers.Dense(1)], name="plain")
    with pytest.raises(ValueError, match="Received: plain"):
        models.crop_of(plain)


def test_cell_mean_by_hand():
    values = np.arange(8, dtype="float32").reshape(1, 2, 2, 2)
    mask = np.array([[[1.0], [0.0]], [[0.0], [1.0]]], "float32")[None]
    found = keras.ops.convert_to_numpy(CellMean()([values, mask]))
    np.testing.assert_allclose(found, [[3.0, 4.0]])


def test_mask_teacher_drops_scraps_and_teaches_only_while_training():
    cell = np.zeros((1, 64, 64, 1), "float32")
    cell[:, 16:48, 16:48] = 1
    cell[:, 30:34, 48:60] = 1  # a thin scrap
    teacher = MaskTeacher(width=3)
    found = keras.ops.convert_to_numpy(teacher.opened(cell, 4))[0, ..., 0]
    expected = np.zeros((16, 16))
    expected[4:12, 4:12] = 1
    np.testing.assert_array_equal(found, expected)
    mask = np.full((1, 16, 16, 1), 0.5, "float32")
    teacher([mask, cell], training=False)
    assert teacher.losses == []
    teacher([mask, cell], training=True)
    assert float(teacher.losses[0]) == pytest.approx(teacher.weight * np.log(2), rel=1e-4)


def test_unet_shapes_and_indivisible_sides():
    x = keras.Input((32, 48, 3))
    features = unet.unet(x, (4, 8, 16))
    assert features.decoder.shape == (None, 32, 48, 4)
    assert features.bottleneck.shape == (None, 8, 12, 16)
    with pytest.raises(ValueError, match=r"divisible by 4.*30"):
        unet.unet(keras.Input((30, 32, 3)), (4, 8, 16))


def test_levels_tell_the_blocks():
    table = layout.levels(models.build("anna", size=64)).set_index("name")
    assert table.loc["encoder1", ["side", "channels", "skip_to"]].tolist() == [16, 32, "decoder1"]
    assert table.loc["bottleneck", ["side", "channels"]].tolist() == [4, 128]
    assert {"mask", "evidence", "P(ALL)"} <= set(table.index)


def test_mixed_precision_agrees():
    cells = pixels(4)
    full = models.build("anna", **SMALL)
    half = models.build("anna", **SMALL | {"precision": "mixed_bfloat16"})
    assert half.get_layer("bottleneck").compute_dtype == "bfloat16"
    assert half.get_layer("probability").compute_dtype == "float32"
    assert keras.config.dtype_policy().name == "float32"
    half.set_weights(full.get_weights())
    np.testing.assert_allclose(
        half.predict_on_batch(cells), full.predict_on_batch(cells), atol=0.02
    )


def test_round_trip_in_a_fresh_process(tmp_path):
    model = models.build("anna", **SMALL)
    path = models.save(model, tmp_path / "a model.keras", {"val_loss": 0.5})
    np.save(tmp_path / "pixels.npy", pixels())
    code = (
        "import sys, numpy as np, anna\n"
        "model = anna.models.load(sys.argv[1])\n"
        "found = model.predict_on_batch(np.load(sys.argv[2]))\n"
        "np.save(sys.argv[3], found)\n"
        "print(type(model.get_layer('texture')).__module__)\n"
    )
    command = [sys.executable, "-c", code, path, tmp_path / "pixels.npy", tmp_path / "found.npy"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert told.strip() == "anna.layers"
    expected = model.predict_on_batch(pixels())
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), expected, atol=1e-5)
    assert models.record(path) == {"val_loss": 0.5}
    assert [p.name for p in tmp_path.glob("*.keras")] == ["a model.keras"]


def test_own_layers_carry_the_package_name():
    for layer in (Centred, CellMean, MaskTeacher):
        assert keras.saving.get_registered_name(layer) == f"anna>{layer.__name__}"


@pytest.mark.parametrize("damage", ["cut", "text", "missing"])
def test_damaged_models_are_refused_by_name(tmp_path, damage):
    path = tmp_path / "broken.keras"
    if damage == "cut":
        models.save(models.build("anna", **SMALL), path)
        path.write_bytes(path.read_bytes()[:-5000])
    elif damage == "text":
        path.write_text("no model")
    with pytest.raises(ValueError, match=r"broken\.keras"):
        models.load(path)


def test_code_in_a_model_is_refused(tmp_path):
    x = keras.Input((2,))
    model = keras.Model(x, layers.Lambda(lambda v: v + 1, output_shape=(2,))(x))
    model.save(tmp_path / "lambda.keras")
    with pytest.raises(ValueError, match=r"lambda\.keras"):
        models.load(tmp_path / "lambda.keras")


def test_record_of_a_plain_keras_file_is_empty(tmp_path):
    x = keras.Input((2,))
    keras.Model(x, layers.Dense(1)(x)).save(tmp_path / "plain.keras")
    assert models.record(tmp_path / "plain.keras") == {}


@pytest.mark.parametrize("name", ["mobilenetv2", "efficientnetv2b0", "efficientnetlite0"])
def test_published_encoders(name):
    model = models.build("anna", size=64, encoder=name)
    assert model.predict_on_batch(pixels(2, 64)).shape == (2, 1)
    assert model.get_layer("evidence").output.shape[1:] == (32, 32, 1)


def test_encoder_weights_from_a_file(tmp_path):
    source = keras.applications.MobileNetV2(
        include_top=False, weights=None, input_shape=(64, 64, 3), name="source"
    )
    source.save_weights(tmp_path / "backbone.weights.h5")
    model = models.build(
        "anna", size=64, encoder="mobilenetv2", weights=tmp_path / "backbone.weights.h5"
    )
    np.testing.assert_array_equal(
        model.get_layer("Conv1").get_weights()[0], source.get_layer("Conv1").get_weights()[0]
    )
    with pytest.raises(FileNotFoundError, match=r"nowhere\.h5"):
        models.build("anna", size=64, encoder="mobilenetv2", weights="nowhere.h5")


def test_imagenet_without_a_network_says_what_to_do(monkeypatch):
    def unreachable(*, weights, **_):
        raise OSError(f"URL fetch failure of {weights}")

    monkeypatch.setattr(keras.applications, "MobileNetV2", unreachable)
    with pytest.raises(ConnectionError, match=r"weights=None.*URL fetch failure"):
        models.build("anna", size=64, encoder="mobilenetv2", weights="imagenet")


def test_a_saved_model_holds_no_lambda_and_names_its_record(tmp_path):
    path = models.save(models.build("anna", **SMALL), tmp_path / "m.keras", {"epoch": 2})
    with zipfile.ZipFile(path) as archive:
        assert json.loads(archive.read("anna.json")) == {"epoch": 2}
        assert "Lambda" not in archive.read("config.json").decode()


def test_a_file_says_nothing_that_another_keras_or_backend_minds(tmp_path):
    # Keras 3.15 writes `"input_axes": null` and `renorm`, which the Keras of Colab refuses.
    model = models.build(**SMALL)
    recipe.Recipe().compile(model, steps=1, epochs=1)
    path = models.save(model, tmp_path / "m.keras", {"epoch": 2})
    with zipfile.ZipFile(path) as archive:
        config = archive.read("config.json").decode()
    texts = re.findall(r'"keras.initializers".*?"config": ({.*?})', config)
    assert len(texts) > 10
    assert not [text for text in texts if "null" in text]
    assert "compile_config" in config
    assert not re.search("renorm|jit_compile", config)
    assert models.record(path) == {"epoch": 2}
