"""A linear probe: evidence read by one linear map from a backbone that knows photographs and rests.

The backbone (`anna.lite`) is never changed, so a few people cannot spoil it; what is learnt is one
number a channel. It looks at a cell four times: as it is and with its stain centred, each at the
size given and at half of it. The mean of a map over a cell is linear, too: so the probe is found as
a logistic regression on the channels' means over the cell (`anna.penalised`), at its optimum in
seconds, and then stands in the network as 1×1 convolutions whose sum is the map of evidence.
Source: Alain and Bengio 2016, Understanding intermediate layers using linear classifier probes,
doi 10.48550/arXiv.1610.01644.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
from keras import KerasTensor, layers, ops
from tqdm.auto import tqdm

from anna import backend, lite
from anna.layers import CellMean, Centred, Density, FromBytes
from anna.penalised import PEOPLE, STEADY, Probe, fit, fits

__all__ = [
    "PEOPLE",
    "STEADY",
    "TAPS",
    "Probe",
    "Tap",
    "build",
    "features",
    "fit",
    "fits",
    "put",
    "reader",
]

_FINEST = 4  # what the map of evidence divides the side by; what is finer is averaged
# Every block of the backbone, and what its output divides the side of what it sees by.
LEVELS = {block: max(share, _FINEST) for block, share in lite.shares().items()}
SIGHTS = ("raw", "centred")
SCALES = (1, 2)  # what the side is divided by before the backbone sees the cell
GREY = 127  # of 255: the mean of each channel in a centred cell


@dataclass(frozen=True)
class Tap:
    """Where the probe reads.

    Attributes:
        scale: One of `SCALES`.
        sight: One of `SIGHTS`.
        block: One of `LEVELS`.
    """

    scale: int
    sight: str
    block: str

    @property
    def layer(self) -> str:
        """Name of the layer that weighs what is read here."""
        return f"evidence_{self.sight}_{self.scale}_{self.block}"

    @property
    def share(self) -> int:
        """What the map here divides the side of the image by."""
        return self.scale * LEVELS[self.block]

    @property
    def channels(self) -> int:
        """How many channels are read here."""
        return lite.channels()[self.block]


TAPS = tuple(Tap(scale, sight, block) for scale in SCALES for sight in SIGHTS for block in LEVELS)
"""All of them, in the order of the features."""


def build(size: int = 320, *, crop: int = 320, weights: str | None = None) -> keras.Model:
    """Returns the network: uint8 RGB (n, size, size, 3) in, probability of ALL (n, 1) out.

    Its layers `mask` and `evidence` are the maps, at a quarter of the size; the mean of the
    evidence over the mask, plus a term for the cell's size, is the log-odds. `put` gives it what a
    probe has learnt.

    Args:
        size: Side of the images in pixels, divisible by 64.
        crop: Side of the central square of a file that the images show, in its pixels.
        weights: Of the backbone: "imagenet" or None.

    Raises:
        ValueError: If the size does not fit.
        ImportError: If the weights are asked for and their package is missing.
    """
    if size < 64 or size % 64:
        raise ValueError(f"size must be divisible by 64. Received: {size}")
    image = keras.Input((size, size, 3), dtype="uint8", name="pixels")
    raw = FromBytes(crop, name="to_float")(image)
    density, cell = Density(name="density", dtype="float32")(raw)
    seen = _seen({"raw": raw, "centred": _centred(density, cell)}, _backbone(weights))
    mask = layers.AveragePooling2D(_FINEST, dtype="float32", name="mask")(cell)
    at_share = {tap.share: [] for tap in TAPS}
    for tap in TAPS:
        x = layers.Conv2D(1, 1, dtype="float32", name=tap.layer)(seen[tap])
        at_share[tap.share].append(x)
    sums = {n: layers.Add(dtype="float32", name=f"at_{n}")(x) for n, x in at_share.items()}
    evidence = layers.Add(dtype="float32", name="evidence")(
        [layers.UpSampling2D(n // _FINEST, name=f"up_{n}")(x) for n, x in sums.items()]
    )
    inside = CellMean(dtype="float32", name="inside")([evidence, mask])
    term = layers.Dense(1, dtype="float32", name="size_evidence")(_log_size(cell))
    logit = layers.Add(dtype="float32", name="logit")([inside, term])
    probability = layers.Activation("sigmoid", dtype="float32", name="probability")(logit)
    return keras.Model(image, probability, name="anna")


def _seen(sights: dict[str, KerasTensor], backbone: keras.Model) -> dict[Tap, KerasTensor]:
    """Returns what the backbone makes of each sight at each scale, by tap.

    The sights go through it as one batch: it then stands in the network, and in what is made of the
    network to pass on, once a scale.
    """
    found = {}
    both = layers.Concatenate(axis=0, dtype="float32", name="sights")(list(sights.values()))
    for scale in SCALES:
        pooled = layers.AveragePooling2D(scale, dtype="float32", name=f"sights_{scale}")(both)
        for block, each in zip(LEVELS, backbone(pooled), strict=True):
            parts = ops.split(each, len(sights))
            found |= {Tap(scale, sight, block): x for sight, x in zip(sights, parts, strict=True)}
    return found


def _backbone(weights: str | None) -> keras.Model:
    """Returns the backbone at rest: values of 0 to 255 in, the outputs of `LEVELS` out."""
    image = keras.Input((None, None, 3), name="image")
    seen = layers.Rescaling(*lite.SCALE, dtype="float32", name="to_backbone")(image)
    whole = lite.efficientnet_lite0(input_tensor=seen, weights=weights, folded=True)
    outputs = {block: whole.get_layer(block).output for block in LEVELS}
    for block, share in lite.shares().items():
        if share < _FINEST:
            mean = layers.AveragePooling2D(_FINEST // share, name=f"{block}_mean")
            outputs[block] = mean(outputs[block])
    backbone = keras.Model(image, list(outputs.values()), name="backbone")
    backbone.trainable = False
    return backbone


def _centred(density: KerasTensor, cell: KerasTensor) -> KerasTensor:
    """Returns the cells with a mean density of that of `GREY` in each channel, 0 to 255."""
    own = Centred(unit=1.0, name="own_density", dtype="float32")([density, cell])
    moved = layers.Rescaling(-1.0, float(np.log(GREY / 255)), dtype="float32", name="moved")(own)
    light = layers.Activation("exponential", dtype="float32", name="light")(moved)
    value = layers.ReLU(255.0, dtype="float32", name="value")(
        layers.Rescaling(255.0, dtype="float32", name="bright")(light)
    )
    return layers.Multiply(dtype="float32", name="centred")([value, cell])


def _log_size(cell: KerasTensor) -> KerasTensor:
    """Returns the logarithm of the share of the image that the cell fills, (n, 1)."""
    share = layers.GlobalAveragePooling2D(dtype="float32", name="share")(cell)
    return ops.log(ops.maximum(share, 1e-4))


def reader(model: keras.Model) -> keras.Model:
    """Returns a network from images to features, float32 (n, c).

    They are the means over the cell at each of `TAPS`, and last the logarithm of the cell's share
    of the image.

    Args:
        model: As `build` returns it.
    """
    _, cell = model.get_layer("density").output
    mask = {share: layers.AveragePooling2D(share)(cell) for share in {tap.share for tap in TAPS}}
    found = [CellMean()([model.get_layer(tap.layer).input, mask[tap.share]]) for tap in TAPS]
    return keras.Model(model.input, layers.Concatenate()([*found, _log_size(cell)]))


def features(
    model: keras.Model,
    pixels: np.ndarray,
    *,
    batch_size: int | None = None,
    progress: bool = True,
) -> np.ndarray:
    """Returns what the probe reads of each image, float32 (n, c), as `reader` gives it.

    Args:
        model: As `build` returns it.
        pixels: uint8 (n, size, size, 3) RGB.
        batch_size: Images a batch, as suits the machine if None.
        progress: Whether to show a bar.
    """
    batch_size = batch_size or backend.batch_size(pixels.shape[1])
    read, found = reader(model), []
    with tqdm(total=len(pixels), desc="reading cells", unit="cell", disable=not progress) as bar:
        for start in range(0, len(pixels), batch_size):
            part = np.ascontiguousarray(pixels[start : start + batch_size])
            found.append(np.asarray(read.predict_on_batch(part)))
            bar.update(len(part))
    return np.concatenate(found)


def put(model: keras.Model, learnt: Probe) -> None:
    """Gives the network of `build` what a probe has learnt; the offset goes to the size's term."""
    start = 0
    for tap in TAPS:
        layer = model.get_layer(tap.layer)
        channels = layer.kernel.shape[2]
        kernel = learnt.weights[start : start + channels].reshape(1, 1, channels, 1)
        layer.set_weights([kernel, np.zeros(1)])
        start += channels
    term = [learnt.weights[start:].reshape(1, 1), np.array([learnt.offset])]
    model.get_layer("size_evidence").set_weights(term)
