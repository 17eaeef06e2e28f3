import keras
import numpy as np
import pytest
from keras import ops

from anna.layers import BatchNormalization, Centred, Density

pytestmark = pytest.mark.backend
SHAPE = (6, 8, 8, 5)


def images(seed):
    random = np.random.default_rng(seed)
    return random.normal(3.0, [1.0, 2.0, 0.1, 5.0, 1.0], SHAPE).astype("float32")


def taught(kind, **options):
    """A network of one normalisation, after 20 steps of gradient descent, and its losses."""
    norm = kind(momentum=0.9, **options)
    model = keras.Sequential([keras.Input(SHAPE[1:]), norm])
    model.compile(keras.optimizers.SGD(0.5), "mse")
    wanted = np.tanh(images(1))
    losses = [model.train_on_batch(images(2 + step), wanted) for step in range(20)]
    return model, np.array(losses, float)


@pytest.mark.parametrize("options", [{}, {"epsilon": 0.1}, {"scale": False}, {"axis": 1}])
def test_batch_normalisation_learns_and_judges_as_keras_does(options):
    (ours, losses), (kept, expected) = (
        taught(kind, **options) for kind in (BatchNormalization, keras.layers.BatchNormalization)
    )
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    assert losses[-1] < 0.8 * losses[0]
    of_sample = 1 + 1 / np.prod(SHAPE[:3])  # n / (n - 1)
    for one, other in zip(ours.get_weights(), kept.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=2 * (of_sample - 1), atol=1e-4)
    x = images(0)
    np.testing.assert_allclose(ours.predict_on_batch(x), kept.predict_on_batch(x), atol=5e-3)
    kept.set_weights(ours.get_weights())
    np.testing.assert_allclose(ours.predict_on_batch(x), kept.predict_on_batch(x), atol=1e-5)


def test_what_is_not_trainable_normalises_by_what_it_has_learnt():
    model, _ = taught(BatchNormalization)
    norm, before = model.layers[0], model.get_weights()
    norm.trainable = False
    found = ops.convert_to_numpy(norm(images(0), training=True))
    np.testing.assert_allclose(found, model.predict_on_batch(images(0)), atol=1e-5)
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("own_mean", [True, False])
def test_cells_look_alike_while_training_and_after(own_mean):
    x = np.random.default_rng(0).uniform(0, 255, (3, 16, 16, 3)).astype("float32")
    x[:, :4] = 0
    density, centred = Density(), Centred(own_mean=own_mean)
    learning, judging = (
        [*density(x, training=way), centred(density(x, training=way), training=way)]
        for way in (True, False)
    )
    for one, other in zip(learning, judging, strict=True):
        np.testing.assert_allclose(*map(ops.convert_to_numpy, (one, other)), atol=1e-5)
