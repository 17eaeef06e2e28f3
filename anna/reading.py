"""What a network says early on of a cell, by which cells can be compared.

Of a probe it is a block of its backbone, of a U-Net its encoder, each map averaged over the cell.
"""

from __future__ import annotations

import keras
from keras import KerasTensor, layers

from anna import ensemble
from anna.layers import CellMean, MeanOfViews
from anna.probe import TAPS, Tap

TAP = Tap(scale=1, sight="raw", block="block10")


def reads(model: keras.Model) -> bool:
    """Returns whether a model says anything by which cells can be compared."""
    return bool(_maps(network_of(model)))


def said_and_read(model: keras.Model) -> tuple[KerasTensor, KerasTensor]:
    """Returns the probability, (n, 1), and what is read, float32 (n, c), its mean over the views.

    Args:
        model: That `reads`.
    """
    network = network_of(model)
    read = _read(network)
    if network is model:
        return model.output, read
    views = model.get_layer("views")
    said, read = keras.Model(network.input, [network.output, read])(views.output)
    for name in ("mean_of_views", "calibration", "probability"):
        said = model.get_layer(name)(said)
    return said, MeanOfViews(views.views, dtype="float32", name="mean_read")(read)


def columns() -> slice:
    """Returns which of `anna.probe.features` are read at `TAP`."""
    widths = [tap.channels for tap in TAPS]
    start = sum(widths[: TAPS.index(TAP)])
    return slice(start, start + TAP.channels)


def network_of(model: keras.Model) -> keras.Model:
    """Returns the one network that `anna.ensemble.join` has joined in a model, else the model."""
    members = ensemble.members(model)
    return members[0] if len(members) == 1 else model


def is_probe(network: keras.Model) -> bool:
    """Returns whether a network is a probe, as `anna.probe.build` returns it."""
    return TAP.layer in {layer.name for layer in network.layers}


def _maps(network: keras.Model) -> list[KerasTensor]:
    """Returns what is compared of an image, maps (n, h, w, c); nothing of networks of other kinds.

    Of a U-Net what its encoder says, which tells what is no cell better than its decoder.
    """
    if is_probe(network):
        return [network.get_layer(TAP.layer).input]
    known = {layer.name: layer for layer in network.layers}
    if "density" not in known or not isinstance(known.get("stem"), layers.ReLU):
        return []
    early = [known[name] for name in known if name.startswith(("stem", "encoder"))]
    return [layer.output for layer in early if isinstance(layer, layers.ReLU)]


def _read(network: keras.Model) -> KerasTensor:
    """Returns the means of `_maps` over the cell, float32 (n, c)."""
    _, cell = network.get_layer("density").output
    means = []
    for each in _maps(network):
        name, share = f"read{len(means)}", cell.shape[1] // each.shape[1]
        mask = layers.AveragePooling2D(share, name=f"{name}_mask")(cell)
        means.append(CellMean(dtype="float32", name=name)([each, mask]))
    return layers.Concatenate(dtype="float32", name="read")(means) if means[1:] else means[0]
