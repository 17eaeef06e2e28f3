"""A linear probe: evidence read by one linear map from a backbone that knows photographs and rests.

The backbone (`anna.lite`) is never changed, so a few people cannot spoil it; what is learnt is one
number a channel. It looks at a cell twice, as it is and with its stain centred. The mean of a map
over a cell is linear, too: so the probe is found as a logistic regression on the channels' means
over the cell, at its optimum in seconds, and then stands in the network as 1×1 convolutions whose
sum is the map of evidence. Source: Alain and Bengio 2016, Understanding intermediate layers using
linear classifier probes, doi 10.48550/arXiv.1610.01644.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
from keras import KerasTensor, layers, ops
from tqdm.auto import tqdm

from anna import backend, lite
from anna.batches import chances
from anna.layers import CellMean, Centred, Density, FromBytes
from anna.penalised import between_people, logistic

_FINEST = 4  # what the map of evidence divides the side by; what is finer is averaged
# Every block of the backbone, and what its tap divides the side by.
LEVELS = {block: max(share, _FINEST) for block, share in lite.shares().items()}
SIGHTS = ("raw", "centred")
GREY = 127  # of 255: the mean of each channel in a centred cell
PEOPLE = 10.0  # how much more it costs to go by what differs between people of one class
STEADY = 6.0  # how much more it costs to go by what a disturbance of the file changes


@dataclass(frozen=True)
class Probe:
    """A linear map of features to log-odds of ALL.

    Attributes:
        weights: float64 (c,), in the order of `features`.
        offset: Added to the log-odds.
    """

    weights: np.ndarray
    offset: float

    def log_odds(self, found: np.ndarray) -> np.ndarray:
        """Returns log-odds of ALL, float64 (…,), of features (…, c)."""
        return found @ self.weights + self.offset


def build(size: int = 320, *, crop: int = 320, weights: str | None = None) -> keras.Model:
    """Returns the network: uint8 RGB (n, size, size, 3) in, probability of ALL (n, 1) out.

    Its layers `mask` and `evidence` are the maps, at a quarter of the size; the mean of the
    evidence over the mask, plus a term for the cell's size, is the log-odds. `put` gives it what a
    probe has learnt.

    Args:
        size: Side of the images in pixels, divisible by 32.
        crop: Side of the central square of a file that the images show, in its pixels.
        weights: Of the backbone: "imagenet" or None.

    Raises:
        ValueError: If the size does not fit.
        ImportError: If the weights are asked for and their package is missing.
    """
    if size < 32 or size % 32:
        raise ValueError(f"size must be divisible by 32. Received: {size}")
    image = keras.Input((size, size, 3), dtype="uint8", name="pixels")
    raw = FromBytes(crop, name="to_float")(image)
    density, cell = Density(name="density", dtype="float32")(raw)
    taps = _taps(size, weights)
    seen = {"raw": taps(raw), "centred": taps(_centred(density, cell))}
    mask = layers.AveragePooling2D(_FINEST, dtype="float32", name="mask")(cell)
    each = {share: [] for share in LEVELS.values()}
    for sight, found in seen.items():
        for (tap, share), x in zip(LEVELS.items(), found, strict=True):
            x = layers.Conv2D(1, 1, dtype="float32", name=f"evidence_{sight}_{tap}")(x)
            each[share].append(x)
    sums = {share: layers.Add(dtype="float32", name=f"at_{share}")(x) for share, x in each.items()}
    evidence = layers.Add(dtype="float32", name="evidence")(
        [layers.UpSampling2D(share // _FINEST, name=f"up_{share}")(x) for share, x in sums.items()]
    )
    inside = CellMean(dtype="float32", name="inside")([evidence, mask])
    term = layers.Dense(1, dtype="float32", name="size_evidence")(_log_size(cell))
    logit = layers.Add(dtype="float32", name="logit")([inside, term])
    probability = layers.Activation("sigmoid", dtype="float32", name="probability")(logit)
    return keras.Model(image, probability, name="anna")


def _taps(size: int, weights: str | None) -> keras.Model:
    """Returns the backbone at rest: values of 0 to 255 in, the outputs of `LEVELS` out."""
    image = keras.Input((size, size, 3), name="image")
    seen = layers.Rescaling(*lite.SCALE, dtype="float32", name="to_backbone")(image)
    whole = lite.efficientnet_lite0(input_tensor=seen, weights=weights, folded=True)
    outputs = {block: whole.get_layer(block).output for block in LEVELS}
    for block, share in lite.shares().items():
        if share < _FINEST:
            mean = layers.AveragePooling2D(_FINEST // share, name=f"{block}_mean")
            outputs[block] = mean(outputs[block])
    taps = keras.Model(image, list(outputs.values()), name="backbone")
    taps.trainable = False
    return taps


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

    They are the means over the cell of each sight's taps, and last the logarithm of the cell's
    share of the image.

    Args:
        model: As `build` returns it.
    """
    _, cell = model.get_layer("density").output
    found = []
    for sight in SIGHTS:
        for tap, share in LEVELS.items():
            mask = layers.AveragePooling2D(share)(cell)
            found.append(CellMean()([model.get_layer(f"evidence_{sight}_{tap}").input, mask]))
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


def fit(
    found: np.ndarray,
    labels: np.ndarray,
    people: np.ndarray,
    *,
    strength: float,
    alike: float = PEOPLE,
    changes: np.ndarray | None = None,
    steady: float = STEADY,
) -> Probe:
    """Returns the probe under which the labels are likeliest, given a penalty on its weights.

    Classes weigh alike, and within a class people by the square root of their cells. A direction in
    which people of one class differ costs more: the penalty on weights w of standardised channels
    is w·(I + alike·S + steady·D)·w, with S the covariance of people's means about their class
    (within-class covariance, as Hatch et al. 2006 weigh it for speakers), and D the mean square of
    what becomes of a cell's channels when its file is blurred, compressed or tinted (as in tangent
    propagation, Simard et al. 1991). The size stands by itself, and its log-odds are added, as
    those of independent evidence.

    Args:
        found: Features, (copies, n, c): views of the same n cells.
        labels: (n,) of 0 and 1.
        people: (n,) names.
        strength: Inverse of the penalty per cell, above 0 (`C` of scikit-learn).
        alike: How much more it costs to go by what differs between people of one class.
        changes: Features of disturbed cells less those of the same cells undisturbed, (m, c); by
            default nothing is known of disturbance.
        steady: How much more it costs to go by what changes.

    Raises:
        ValueError: If a class is missing.
    """
    if set(np.unique(labels)) != {0, 1}:
        raise ValueError(f"Both classes are needed. Received: {np.unique(labels).tolist()}")
    copies, cells, channels = found.shape
    rows = found.reshape(-1, channels).astype(np.float64)
    weight = np.tile(chances(labels, people) * cells / copies, copies)
    labels, people = np.tile(labels, copies), np.tile(people, copies)
    changes = np.zeros((1, channels)) if changes is None else changes

    def _costs(rows: np.ndarray, scale: np.ndarray) -> np.ndarray:
        moved = changes[:, :-1].astype(np.float64) / scale
        return (
            np.eye(channels - 1)
            + alike * between_people(rows, labels, people)
            + steady * (moved.T @ moved) / len(moved)
        )

    seen, offset = logistic(rows[:, :-1], labels, weight, strength=strength, costs=_costs)
    size, more = logistic(rows[:, -1:], labels, weight, strength=1.0)
    return Probe(np.concatenate([seen, size]), offset + more)


def put(model: keras.Model, learnt: Probe) -> None:
    """Gives the network of `build` what a probe has learnt; the offset goes to the size's term."""
    start = 0
    for sight in SIGHTS:
        for tap in LEVELS:
            layer = model.get_layer(f"evidence_{sight}_{tap}")
            channels = layer.kernel.shape[2]
            kernel = learnt.weights[start : start + channels].reshape(1, 1, channels, 1)
            layer.set_weights([kernel, np.zeros(1)])
            start += channels
    term = [learnt.weights[start:].reshape(1, 1), np.array([learnt.offset])]
    model.get_layer("size_evidence").set_weights(term)
