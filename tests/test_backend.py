import importlib.util
import os
import subprocess
import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest

import anna
from anna import backend, ensemble, models, predict, recipe


def test_describe_tells_what_a_reader_of_results_needs():
    told = backend.describe()
    assert told["keras"] == keras.version()
    assert told["backend"] == keras.backend.backend()
    assert told["gpu"] == (", ".join(backend.gpus()) or "none")
    assert told["precision"] == backend.precision()


@pytest.mark.parametrize(
    ("capability", "expected"),
    [(9, "mixed_bfloat16"), (8, "mixed_bfloat16"), (7, "mixed_float16"), (0, "float32")],
)
def test_precision_follows_the_gpu(monkeypatch, capability, expected):
    monkeypatch.setattr(backend, "gpus", lambda: ["some GPU"])
    monkeypatch.setattr(backend, "_capability", lambda: capability)
    assert backend.precision() == expected


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="only TensorFlow uses it")
@pytest.mark.parametrize(("native", "expected"), [(True, "mixed_bfloat16"), (False, "float32")])
def test_precision_follows_the_processor(monkeypatch, native, expected):
    monkeypatch.setattr(backend, "gpus", list)
    monkeypatch.setattr(backend, "_multiplies_bfloat16", lambda: native)
    assert backend.precision() == expected
    assert backend.precision(depthwise=True) == "float32"
    for encoder, policy in ((None, expected), ("resnet50v2", expected), ("mobilenetv2", "float32")):
        network = models.build("anna", 32, encoder=encoder)
        assert network.get_layer("coarse_drop").dtype_policy.name == policy


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="XLA is theirs by nature")
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_where_tensorflow_sees_a_gpu_networks_learn_and_judge(monkeypatch, policy):
    tf = pytest.importorskip("tensorflow")
    seen = tf.config.list_physical_devices
    card = SimpleNamespace(device_type="GPU")  # Keras compiles with XLA where it sees one
    monkeypatch.setattr(
        tf.config,
        "list_physical_devices",
        lambda kind=None: seen(kind) + ([] if kind else [card]),
    )
    network = models.build("anna", 32, precision=policy)
    pixels = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), np.uint8)
    recipe.Recipe(**recipe.ANNA).compile(network, steps=1, epochs=1)
    losses = network.fit(pixels, np.arange(8) % 2, batch_size=8, verbose=0).history["loss"]
    assert np.isfinite(losses).all()
    joined = ensemble.join([network])
    for judge in (network, joined):
        assert np.isfinite(predict.probabilities(judge, pixels)).all()
        assert np.isfinite(predict.maps(judge, pixels)["evidence"]).all()
    mapper = predict._mapper(joined.get_layer("member0"))
    assert not (network.jit_compile or joined.jit_compile or mapper.jit_compile)
    small = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    assert small.jit_compile, "the disguise does not reach Keras"


def test_looking_at_data_does_not_load_keras():
    code = "import sys, anna; anna.cnmc, anna.metrics, anna.plots; print('keras' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"


@pytest.mark.parametrize("name", anna.ENVIRONMENT)
@pytest.mark.parametrize("chosen", [None, "0"])
def test_what_backends_are_asked_for_is_asked_unless_the_user_has_chosen(name, chosen):
    env = {name: value for name, value in os.environ.items() if name not in anna.ENVIRONMENT}
    env |= {name: chosen} if chosen else {}
    code = f"import os, anna; print(os.environ['{name}'])"
    told = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == (chosen or anna.ENVIRONMENT[name])


@pytest.mark.parametrize(
    ("cards", "looks", "expected"),
    [
        ([], 1, (16, 2, 1)),
        ([], 8, (16, 2, 1)),
        (["one"], 1, (256, 40, 1)),
        (["one"], 8, (32, 5, 1)),
        (["one"], 40, (6, 1, 1)),
    ],
)
def test_batches_of_prediction_suit_the_device(monkeypatch, cards, looks, expected):
    monkeypatch.setattr(backend, "gpus", lambda: cards)
    assert tuple(backend.batch_size(side, looks) for side in (128, 320, 4096)) == expected


IN_FLOAT32 = {
    "tensorflow": "not tensorflow.config.experimental.tensor_float_32_execution_enabled()",
    "jax": "jax.config.jax_default_matmul_precision == 'highest'",
    "torch": "not torch.backends.cudnn.allow_tf32 and not torch.backends.cuda.matmul.allow_tf32",
}
CHOSEN = {
    "jax": ({"JAX_DEFAULT_MATMUL_PRECISION": "tensorfloat32"}, IN_FLOAT32["jax"]),
    "torch": (
        {"TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": "1"},
        "not torch.backends.cuda.matmul.allow_tf32",
    ),
}


def told_under(name, what, **chosen):
    """Returns what an expression is under a backend once ANNa has loaded, and all that was said."""
    if not importlib.util.find_spec(name):
        pytest.skip(f"{name} is not installed")
    code = f"import sys, anna.backend, {name}; print({what}, 'torch' in sys.modules)"
    unset = ("JAX_DEFAULT_MATMUL_PRECISION", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE")
    env = {key: value for key, value in os.environ.items() if key not in unset}
    told = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=env | {"KERAS_BACKEND": name} | chosen,
        capture_output=True,
        text=True,
        check=True,
    )
    return told.stdout.split(), told.stderr


@pytest.mark.parametrize("name", IN_FLOAT32)
def test_float32_products_are_made_in_float32_on_every_backend(name):
    loaded = str(name == "torch")
    assert told_under(name, IN_FLOAT32[name]) == (["True", loaded], "")


@pytest.mark.parametrize("name", CHOSEN)
def test_who_chose_faster_products_has_them(name):
    chosen, exact = CHOSEN[name]
    assert told_under(name, exact, **chosen)[0][0] == "False"


def test_the_package_names_its_parts():
    for name in anna.__all__:
        assert getattr(anna, name)
    assert set(anna.__all__) <= set(dir(anna))
    with pytest.raises(AttributeError, match="nothing"):
        _ = anna.nothing


def test_models_load_without_a_word():
    code = "import anna; anna.models.build('anna-2020', size=32)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == told.stderr == ""
