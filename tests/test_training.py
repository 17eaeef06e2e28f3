import json
import math

import keras
import numpy as np
import pandas as pd
import pytest

from anna import encoders, layers, models, recipe, runs, splits, stored, training
from anna.batches import Batches, chances, class_weights
from anna.keeping import Keeper

pytestmark = pytest.mark.backend
SIZE = 32


def cells_and_pixels(people=6, each=8, seed=0):
    """A table and images that a small network can learn: ALL are larger discs than HEM."""
    rng = np.random.default_rng(seed)
    rows, images = [], []
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2 + 0.5
    roles = ["train"] * (people - 2) + ["valid", "test"]
    for label in (0, 1):
        for person, role in enumerate(roles):
            for number in range(each):
                subject = f"{'H' if label == 0 else ''}{person + 1}"
                disc = x**2 + y**2 < rng.normal(7 + 5 * label, 0.8) ** 2
                images.append(disc[..., None] * rng.integers(60, 160, 3))
                name = f"UID_{subject}_{number}_1_{'all' if label else 'hem'}.bmp"
                rows.append((name, subject, subject, role, label))
    cells = pd.DataFrame(rows, columns=["name", "subject", "group", "role", "label"])
    cells = cells.astype({"label": "Int64"}).assign(drawn=True, path=cells["name"], split="train")
    return cells, np.array(images, np.uint8)


def network():
    """A small network without anything random in it."""
    keras.utils.set_random_seed(1)
    image = keras.Input((SIZE, SIZE, 3), dtype="uint8")
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.Conv2D(4, 3, 2, activation="relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, keras.layers.Dense(1, activation="sigmoid")(x), name="small")


@pytest.fixture
def data():
    return cells_and_pixels()


def fit(folder, data, model=None, **options):
    cells, pixels = data
    options = {"epochs": 3, "batch_size": 16, "progress": False} | options
    return training.fit(model or network(), pixels, cells, folder=folder, **options)


def stopped(folder, data, model, *, after, **options):
    """Trains until so many epochs are kept, and is stopped."""

    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == after:
                raise KeyboardInterrupt

    kept = training.callbacks
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training, "callbacks", lambda *a, **b: [*kept(*a, **b), Stop()])
        fit(folder, data, model, **options)


def test_a_run_that_goes_on_draws_what_it_would_have_drawn(tmp_path, data):
    plan = {"schedule": "cosine", "epochs": 3, "seed": 5}

    def _anna():
        return models.build("anna", size=SIZE, filters=(4, 8), precision="float32")

    whole = fit(tmp_path / "whole", data, _anna(), **plan)
    stopped(tmp_path / "stopped", data, _anna(), after=1, **plan)
    later = fit(tmp_path / "stopped", data, _anna(), **plan)
    assert later.new_epochs == 2
    np.testing.assert_allclose(later.history["loss"], whole.history["loss"], rtol=1e-4)
    other = fit(tmp_path / "other", data, _anna(), **plan | {"seed": 6})
    assert abs(other.history["loss"] / whole.history["loss"] - 1).min() > 1e-3


def test_anna_learns_and_leaves_what_a_reader_needs(tmp_path, data):
    model = models.build("anna", size=SIZE, filters=(4, 8, 8), augment=("flip", "stain"))
    run = fit(tmp_path / "anna", data, model, epochs=12, patience=12)
    assert run.history["val_auc"].max() > 0.9
    assert run.best_epoch == run.history.set_index("epoch")["val_loss"].idxmin()
    assert run.new_epochs == len(run.history) == 12
    names = {path.name for path in run.folder.iterdir()}
    assert {"best.keras", "last.keras", "history.csv", "settings.json", "split.csv"} <= names
    assert not [name for name in names if name.startswith(".")]
    about = json.loads((run.folder / "settings.json").read_text())
    assert about["settings"]["seed"] == 0
    assert about["machine"]["backend"] == keras.backend.backend()
    assert {"cells", "layers", "parameters"} <= set(about["settings"])
    kept = models.load(run.folder / "best.keras")
    valid = (data[0]["role"] == "valid").to_numpy()
    labels = data[0].loc[valid, "label"].to_numpy(dtype=float)
    chance = kept.predict_on_batch(data[1][valid])[:, 0]
    loss = -np.log(np.where(labels == 1, chance, 1 - chance)).mean()
    assert loss == pytest.approx(models.record(run.folder / "best.keras")["val_loss"], rel=0.02)
    images = data[1][:5]
    np.testing.assert_allclose(
        kept.predict_on_batch(images), run.model.predict_on_batch(images), atol=1e-5
    )


def test_an_interrupted_run_ends_as_an_uninterrupted_one(tmp_path, data):
    whole = fit(tmp_path / "whole", data, epochs=6)
    fit(tmp_path / "parts", data, epochs=2)
    parts = fit(tmp_path / "parts", data, epochs=6)
    assert parts.new_epochs == 4
    pd.testing.assert_frame_equal(parts.history, whole.history, rtol=1e-3)
    np.testing.assert_allclose(
        parts.model.get_weights()[0], whole.model.get_weights()[0], rtol=1e-3, atol=1e-5
    )


def every_kind():
    """A network with each kind of layer whose settings a version of Keras tells in its own way."""
    image = keras.Input((SIZE, SIZE, 3), dtype="uint8")
    x = layers.FromBytes(crop=300)(image)
    x = keras.layers.Conv2D(4, 3, 2, activation="relu")(x)
    x = keras.layers.DepthwiseConv2D(3)(layers.BatchNormalization(momentum=0.9)(x))
    x = keras.layers.Conv2DTranspose(2, 4, 2)(keras.layers.BatchNormalization()(x))
    x = keras.layers.Dense(1)(keras.layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, x, name="each")


def test_a_network_is_the_same_under_every_keras(data):
    found = runs.identity(every_kind(), *data)
    assert found["layers"] == "e05db38f38333026"  # as Keras 3.13 and 3.15 give it, on each backend


def test_what_only_a_later_keras_tells_makes_no_other_network(data, monkeypatch):
    def _anna(**options):
        return models.build("anna", size=SIZE, filters=(4, 8), **options)

    now, kind = runs.identity(_anna(), *data), keras.layers.BatchNormalization
    told, later = kind.get_config, {"renorm": False, "renorm_momentum": 0.5, "something_new": None}
    monkeypatch.setattr(kind, "get_config", lambda layer: told(layer) | later)
    assert runs.identity(_anna(), *data) == now
    assert runs.identity(_anna(centred=False), *data) != now
    monkeypatch.setitem(later, "renorm", True)
    assert runs.identity(_anna(), *data) != now


def test_a_finished_run_is_not_done_again(tmp_path, data):
    fit(tmp_path / "run", data)
    before = (tmp_path / "run" / "best.keras").read_bytes()
    again = fit(tmp_path / "run", data)
    assert again.new_epochs == 0
    assert len(again.history) == 3
    assert (tmp_path / "run" / "best.keras").read_bytes() == before


def test_a_worse_epoch_never_overwrites_the_best(tmp_path):
    def keeper(history):
        one = Keeper(tmp_path, history, {}, plan=recipe.Recipe(), epochs=9)
        model = network()
        recipe.Recipe().compile(model, steps=10, epochs=1)
        one.set_model(model)
        one.average.set_model(model)
        return one

    first = keeper([])
    first.on_epoch_end(0, {"loss": 0.5, "val_loss": 0.4})
    best = (tmp_path / "best.keras").read_bytes()
    later = keeper(list(first.history))
    later.on_epoch_end(1, {"loss": 0.3, "val_loss": 0.6})
    assert (tmp_path / "best.keras").read_bytes() == best
    later.on_epoch_end(2, {"loss": 0.3, "val_loss": 0.3})
    assert models.record(tmp_path / "best.keras")["epoch"] == 3
    assert [row["epoch"] for row in models.record(tmp_path / "last.keras")["history"]] == [1, 2, 3]


def test_a_loss_that_is_no_number_stops_and_keeps_what_was(tmp_path, data):
    fit(tmp_path / "run", data, epochs=1)
    kept = (tmp_path / "run" / "best.keras").read_bytes()
    broken = network()
    fit_again = {"epochs": 3, "learning_rate": 1e-3}
    cells, pixels = data
    poison = broken.layers[-1]

    class Poison(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            poison.set_weights([np.full_like(w, np.nan) for w in poison.get_weights()])

    original = training.callbacks

    def with_poison(*args, **how):
        return [*original(*args, **how), Poison()]

    training.callbacks = with_poison
    try:
        with pytest.raises(training.TrainingError, match=r"Received: 0\.001 in epoch 2"):
            fit(tmp_path / "run", (cells, pixels), broken, **fit_again)
    finally:
        training.callbacks = original
    assert (tmp_path / "run" / "best.keras").read_bytes() == kept
    assert len(models.record(tmp_path / "run" / "last.keras")["history"]) == 1


def test_it_stops_when_validation_people_no_longer_gain(tmp_path, data):
    cells, pixels = data
    flipped = cells.assign(label=cells["label"].where(cells["role"] != "valid", 1 - cells["label"]))
    run = fit(tmp_path / "run", (flipped, pixels), epochs=40, patience=2, learning_rate=0.02)
    losses = run.history["val_loss"].to_numpy()
    assert len(losses) < 40
    assert len(losses) - 1 - losses.argmin() == 2
    assert run.history["learning_rate"].iloc[-1] < 0.02
    assert fit(
        tmp_path / "run", (flipped, pixels), epochs=60, patience=2, learning_rate=0.02
    ).new_epochs == 0  # fmt: skip


@pytest.mark.backend
def test_training_goes_on_without_logs_that_cannot_be_written(tmp_path, data, caplog):
    pytest.importorskip("tensorboard")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "logs").write_text("where a folder should be")
    run = fit(tmp_path / "run", data, epochs=2)
    assert len(run.history) == 2
    assert len([text for text in caplog.messages if "No more logs" in text]) == 1


@pytest.mark.parametrize("change", ["settings", "labels", "pixels"])
def test_another_run_does_not_mix_with_the_one_before(tmp_path, data, change, caplog):
    cells, pixels = data
    fit(tmp_path / "run", data, epochs=1)
    before = (tmp_path / "run" / "best.keras").read_bytes()
    options = {"batch_size": 8} if change == "settings" else {}
    if change == "labels":
        cells = cells.assign(label=1 - cells["label"])
    if change == "pixels":
        pixels = 255 - pixels
    run = fit(tmp_path / "run", (cells, pixels), epochs=1, **options)
    assert run.new_epochs == 1
    assert (tmp_path / "run.before-1" / "best.keras").read_bytes() == before
    assert "run.before-1" in caplog.text


def test_a_run_that_was_asked_for_with_less_is_another(tmp_path, data):
    first = fit(tmp_path / "first", data, epochs=1).folder / "best.keras"
    fit(tmp_path / "run", data, epochs=1, start=first)
    assert fit(tmp_path / "run", data, epochs=1).new_epochs == 1
    assert (tmp_path / "run.before-1").is_dir()


@pytest.mark.parametrize("schedule", ["cosine", "plateau"])
def test_a_run_that_was_stopped_is_not_judged(tmp_path, data, schedule):
    plan = {"schedule": schedule, "epochs": 3}
    stopped(tmp_path / "run", data, network(), after=2, **plan)
    with pytest.raises(ValueError, match=r"run it again.*2 of 3 epochs"):
        runs.check(tmp_path / "run", *data)
    fit(tmp_path / "run", data, **plan)
    runs.check(tmp_path / "run", *data)


def test_a_run_of_an_early_version_that_was_stopped_is_not_judged(tmp_path, data):
    """It told the length of a fixed schedule among its settings alone."""
    fit(tmp_path, data, epochs=1, schedule="cosine")
    about = stored.record(tmp_path / "last.keras")
    del about["planned"]
    about["settings"]["epochs"] = 3
    stored.save(network(), tmp_path / "last.keras", about)
    with pytest.raises(ValueError, match=r"run it again.*1 of 3 epochs"):
        runs.check(tmp_path, *data)


def test_leaks_and_missing_classes_are_refused_before_training(tmp_path, data):
    cells, pixels = data
    leak = cells.assign(role=cells["role"].where(cells.index % 8 != 0, "test"))
    with pytest.raises(splits.LeakError, match=r"Received: .*'1'"):
        fit(tmp_path, (leak, pixels))
    one_class = cells.assign(role=cells["role"].where(cells["group"] != "H5", "aside"))
    with pytest.raises(ValueError, match=r"'valid' needs both classes"):
        fit(tmp_path, (one_class, pixels))
    with pytest.raises(ValueError, match=r"Received: uint8 \(95, 32, 32, 3\)"):
        fit(tmp_path, (cells, pixels[:-1]))
    with pytest.raises(ValueError, match="Received: float32"):
        fit(tmp_path, (cells, pixels.astype("float32")))
    assert list(tmp_path.iterdir()) == []


def test_test_people_change_nothing(tmp_path, data):
    cells, pixels = data
    changed = pixels.copy()
    test = (cells["role"] == "test").to_numpy()
    swapped = cells.assign(label=cells["label"].where(~test, 1 - cells["label"]))
    one = fit(tmp_path / "one", data)
    other = fit(tmp_path / "other", (swapped, changed))
    pd.testing.assert_frame_equal(one.history, other.history)


def test_a_run_is_of_the_split_that_it_is_judged_with(tmp_path, data):
    cells, pixels = data
    fit(tmp_path / "run", data, epochs=1)
    runs.check(tmp_path / "run", cells, pixels)
    other = cells.assign(role=cells["role"].replace({"valid": "test", "test": "valid"}))
    with pytest.raises(splits.LeakError, match=r"train it again.*32 images differ"):
        runs.check(tmp_path / "run", other, pixels)
    with pytest.raises(FileNotFoundError, match="elsewhere"):
        runs.check(tmp_path / "elsewhere", cells, pixels)


def test_a_run_is_of_the_pixels_that_it_is_judged_with(tmp_path, data):
    cells, pixels = data
    fit(tmp_path, data, epochs=1)
    tested, taught = (cells["role"].isin(roles) for roles in (["test"], ["train", "valid"]))
    new = pixels.copy()
    new[tested] = 255 - new[tested]
    runs.check(tmp_path, cells, new)  # other people to test are no other teachers
    new[taught] = 255 - new[taught]
    with pytest.raises(ValueError, match="other pixels under the same names"):
        runs.check(tmp_path, cells, new)


def test_a_new_run_does_not_begin_from_trained_weights(tmp_path, data):
    model = network()
    fit(tmp_path / "one", data, model, epochs=1)
    with pytest.raises(ValueError, match=r"Build the network again.*Received: small"):
        fit(tmp_path / "two", data, model, epochs=1)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("float32", "mixed_bfloat16"),
        ("float32", "mixed_float16"),
        ("mixed_float16", "float32"),
        ("mixed_float16", "mixed_bfloat16"),
        ("mixed_float16", "mixed_float16"),
    ],
)
def test_another_machine_goes_on_with_the_same_run(tmp_path, data, first, then):
    """Weights, steps and moments are as they were: the cosine goes on, too."""
    plan = {"epochs": 2, "schedule": "cosine"}
    options = {"size": SIZE, "filters": (4, 8), "augment": False}
    model = models.build("anna", precision=first, **options)
    stopped(tmp_path, data, model, after=1, **plan)
    before, kept = state(model), training.callbacks
    other = models.build("anna", precision=then, **options)
    taken = {}

    class Look(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            taken.update(state(self.model))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "callbacks", lambda *a, **b: [Look(), *kept(*a, **b)])
        run = fit(tmp_path, data, other, **plan)
    assert (len(run.history), run.new_epochs) == (2, 1)
    assert taken["iterations"] == before["iterations"] > 0
    for one, same in zip(before["variables"], taken["variables"], strict=True):
        np.testing.assert_array_equal(one, same)
    steps = before["iterations"]
    assert state(other)["iterations"] == 2 * steps
    assert run.history["learning_rate"].is_monotonic_decreasing


def state(model):
    """What an optimizer knows, whatever it is wrapped in."""
    inner = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    values = [keras.ops.convert_to_numpy(variable) for variable in inner.variables]
    return {"iterations": int(inner.iterations), "variables": values}


def test_class_weights_make_classes_count_alike():
    labels = np.array([1.0] * 6 + [0.0] * 2)
    batches = Batches(np.zeros((8, 2, 2, 3), np.uint8), labels, np.arange(8))
    assert class_weights(batches) == {0: 2.0, 1: pytest.approx(2 / 3)}


def test_batches_cover_each_row_once_in_an_order_of_seed_and_epoch():
    pixels = np.arange(20, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
    rows = np.arange(3, 20)

    def order(epoch, seed=5):
        batches = Batches(pixels, np.zeros(20), rows, batch_size=4, seed=seed, epoch=epoch)
        assert len(batches) == 5
        return [int(v) for i in range(5) for v in batches[i][0][:, 0, 0, 0]]

    assert sorted(order(0)) == rows.tolist()
    assert order(0) == order(0)
    assert order(0) != order(1)
    assert order(0) != order(0, seed=6)
    going = Batches(pixels, np.zeros(20), rows, batch_size=4, seed=5)
    going.on_epoch_end()
    assert [int(v) for i in range(5) for v in going[i][0][:, 0, 0, 0]] == order(1)
    plain = Batches(pixels, np.zeros(20), rows, batch_size=4)
    assert plain[0][0][:, 0, 0, 0].tolist() == [3, 4, 5, 6]
    assert plain[0][1].dtype == np.float32


def test_the_best_of_a_new_run_starts_at_infinity(tmp_path):
    assert Keeper(tmp_path, [], {}, plan=recipe.Recipe(), epochs=1).best == math.inf


def test_a_cosine_needs_no_validation_people_and_keeps_the_end(tmp_path, data):
    cells, pixels = data
    cells = cells.assign(role=cells["role"].replace("valid", "aside"))
    course = {"schedule": "cosine", "balance": "people", "smoothing": 0.1, "clip": 1.0}
    run = fit(tmp_path / "run", (cells, pixels), epochs=4, **course)
    assert run.best_epoch == 4
    assert "val_loss" not in run.history
    rate = run.history["learning_rate"]
    assert rate.is_monotonic_decreasing
    assert rate.iloc[-1] < 0.05e-3
    with pytest.raises(ValueError, match="'valid' needs both classes"):
        fit(tmp_path / "other", (cells, pixels))


def test_a_cosine_resumes_to_the_same_weights(tmp_path, data):
    course = {"schedule": "cosine", "balance": "people", "weight_decay": 0.01, "epochs": 3}
    whole = fit(tmp_path / "whole", data, **course)
    stopped(tmp_path / "cut", data, network(), after=1, **course)
    again = fit(tmp_path / "cut", data, **course)
    assert again.new_epochs == 2
    for one, other in zip(whole.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    longer = fit(tmp_path / "cut", data, **course | {"epochs": 4})
    assert longer.new_epochs == 4  # another length is another course of the learning rate


def test_no_epochs_are_refused(tmp_path, data):
    with pytest.raises(ValueError, match=r"epochs must be 1 or more. Received: 0"):
        fit(tmp_path / "run", data, epochs=0)
    assert not (tmp_path / "run").exists()


def test_an_unknown_schedule_is_refused():
    with pytest.raises(ValueError, match="Received: 'linear'"):
        recipe.Recipe(schedule="linear")


def test_people_count_by_the_square_root_of_their_cells():
    labels = np.array([1] * 5 + [0] * 2)
    people = np.array(["a"] * 4 + ["b", "H1", "H1"])
    chance = chances(labels, people)
    # ALL: sqrt(4) and sqrt(1) share a half; HEM: one person has the other half.
    np.testing.assert_allclose(chance[:4].sum(), 0.5 * 2 / 3)
    np.testing.assert_allclose(chance[4], 0.5 / 3)
    np.testing.assert_allclose(chance[5:], 0.25)
    batches = Batches(np.zeros((7, 1)), labels, np.arange(7), seed=0, chance=np.eye(7)[2])
    assert set(batches.order) == {2}


def test_a_run_may_begin_from_trained_weights_when_asked(tmp_path, data):
    first = fit(tmp_path / "first", data, epochs=1)
    with pytest.raises(ValueError, match="give start="):
        fit(tmp_path / "second", data, first.model)
    start = first.folder / "best.keras"
    again = fit(tmp_path / "second", data, first.model, start=start, learning_rate=1e-12, epochs=1)
    for one, other in zip(models.load(start).get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.fixture
def small(monkeypatch):
    """The name of a backbone of five strided convolutions, which trains in seconds."""

    def _small(include_top, weights, input_tensor):
        x = input_tensor
        for level in range(5):
            x = keras.layers.Conv2D(4, 3, 2, "same", use_bias=False, name=f"back{level}")(x)
            x = keras.layers.BatchNormalization(name=f"back{level}_norm")(x)
            x = keras.layers.ReLU(name=f"back{level}_relu")(x)
        return keras.Model(input_tensor, x)

    monkeypatch.setattr(keras.applications, "Small", _small, raising=False)
    monkeypatch.setitem(encoders.SCALES, "small", ("Small", None))
    return "small"


def test_a_backbone_rests_while_it_is_frozen(tmp_path, data, small):
    model = models.build("anna", size=SIZE, encoder=small, augment=False)
    backbone = encoders.backbone_of(model)
    assert len(backbone) == 10
    assert "evidence_fine" not in {layer.name for layer in backbone}
    for layer in backbone:
        layer.trainable = False
    before = [weight for layer in backbone for weight in layer.get_weights()]
    head = model.get_layer("size_evidence").get_weights()[0]
    run = fit(tmp_path / "frozen", data, model, epochs=1)
    after = [weight for layer in backbone for weight in layer.get_weights()]
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)
    assert np.abs(run.model.get_layer("size_evidence").get_weights()[0] - head).max() > 0


def test_warm_up_leaves_a_backbone_ready_to_learn(tmp_path, data, small):
    cells, pixels = data
    plain = models.build("anna", size=SIZE, filters=(4, 8), augment=False)
    assert training.warm_up(plain, pixels, cells, folder=tmp_path / "none", epochs=1) is None
    model = models.build("anna", size=SIZE, encoder=small, augment=False)
    assert model.encoder == f"{small}, weights at random"
    other = models.build("anna", size=SIZE, encoder=small, augment=False, seed=1)
    assert encoders.weights_of(model) != encoders.weights_of(other)
    assert runs.identity(model, cells, pixels)["encoder"] == model.encoder
    assert training.warm_up(model, pixels, cells, folder=tmp_path / "none", epochs=0) is None
    assert not (tmp_path / "none").exists()
    quick = {"epochs": 1, "batch_size": 32, "progress": False}
    first = training.warm_up(model, pixels, cells, folder=tmp_path / "warm-up", **quick)
    kernel = next(iter(encoders.backbone_of(model)))
    assert kernel.trainable
    before = kernel.get_weights()[0]
    run = training.fit(model, pixels, cells, folder=tmp_path / "run", start=first, **quick)
    assert run.new_epochs == 1
    assert np.abs(kernel.get_weights()[0] - before).max() > 0
