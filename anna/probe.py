"""A linear probe: evidence read by one linear map from a backbone that knows photographs and rests.

The backbone (`anna.lite`) is never changed, so a few people cannot spoil it; what is learnt is one
number a channel. The mean of a map over a cell is linear, too: so the probe is found as a logistic
regression on the channels' means over the cell, at its optimum in seconds, and then stands in the
network as 1×1 convolutions whose sum is the map of evidence. Source: Alain and Bengio 2016,
Understanding intermediate layers using linear classifier probes, doi 10.48550/arXiv.1610.01644.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
from keras import layers
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from tqdm.auto import tqdm

from anna import lite
from anna.batches import chances
from anna.layers import CellMean, Density, FromBytes

# Taps, and what each divides the side by.
LEVELS = {"block1": 4, "block4": 8, "block7": 16, "block10": 16, "block14": 32}
_FINEST = min(LEVELS.values())


@dataclass(frozen=True)
class Probe:
    """A linear map of features to log-odds of ALL.

    Attributes:
        weights: float64 (c,), one a channel of the taps, in the order of `LEVELS`.
        offset: Added to the log-odds.
    """

    weights: np.ndarray
    offset: float

    def log_odds(self, found: np.ndarray) -> np.ndarray:
        """Returns log-odds of ALL, float64 (…,), of features (…, c)."""
        return found @ self.weights + self.offset


def build(size: int = 224, *, crop: int = 320, weights: str | None = None) -> keras.Model:
    """Returns the network: uint8 RGB (n, size, size, 3) in, probability of ALL (n, 1) out.

    Its layers `mask` and `evidence` are the maps, at a quarter of the size; the mean of the
    evidence over the mask is the log-odds. `put` gives it what a probe has learnt.

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
    _, cell = Density(name="density", dtype="float32")(raw)
    seen = layers.Rescaling(*lite.SCALE, dtype="float32", name="to_backbone")(raw)
    backbone = lite.efficientnet_lite0(input_tensor=seen, weights=weights, folded=True)
    backbone.trainable = False
    mask = layers.AveragePooling2D(_FINEST, dtype="float32", name="mask")(cell)
    each = []
    for tap, share in LEVELS.items():
        x = layers.Conv2D(1, 1, dtype="float32", name=f"evidence_{tap}")(
            backbone.get_layer(tap).output
        )
        each.append(layers.UpSampling2D(share // _FINEST, name=f"evidence_{tap}_up")(x))
    evidence = layers.Add(dtype="float32", name="evidence")(each)
    logit = CellMean(dtype="float32", name="logit")([evidence, mask])
    probability = layers.Activation("sigmoid", dtype="float32", name="probability")(logit)
    return keras.Model(image, probability, name="anna")


def reader(model: keras.Model) -> keras.Model:
    """Returns a network from images to features: the taps' means over the cell, float32 (n, c).

    Args:
        model: As `build` returns it.
    """
    _, cell = model.get_layer("density").output
    means = []
    for tap, share in LEVELS.items():
        mask = layers.AveragePooling2D(share)(cell)
        means.append(CellMean()([model.get_layer(tap).output, mask]))
    return keras.Model(model.input, layers.Concatenate()(means))


def features(
    model: keras.Model,
    pixels: np.ndarray,
    *,
    batch_size: int = 4,
    progress: bool = True,
) -> np.ndarray:
    """Returns what the probe reads of each image, float32 (n, c).

    Args:
        model: As `build` returns it.
        pixels: uint8 (n, size, size, 3) RGB.
        batch_size: Images a batch; few, so that they fit the processor's caches.
        progress: Whether to show a bar.
    """
    read, found = reader(model), []
    with tqdm(total=len(pixels), desc="reading cells", unit="cell", disable=not progress) as bar:
        for start in range(0, len(pixels), batch_size):
            part = np.ascontiguousarray(pixels[start : start + batch_size])
            found.append(np.asarray(read.predict_on_batch(part)))
            bar.update(len(part))
    return np.concatenate(found)


def fit(found: np.ndarray, labels: np.ndarray, people: np.ndarray, *, strength: float) -> Probe:
    """Returns the probe under which the labels are likeliest, given a penalty on its weights.

    Classes weigh alike, and within a class people by the square root of their cells.

    Args:
        found: Features, (copies, n, c): views of the same n cells.
        labels: (n,) of 0 and 1.
        people: (n,) names.
        strength: Inverse of the penalty per cell, above 0 (`C` of scikit-learn).

    Raises:
        ValueError: If a class is missing.
    """
    if set(np.unique(labels)) != {0, 1}:
        raise ValueError(f"Both classes are needed. Received: {np.unique(labels).tolist()}")
    copies, cells, channels = found.shape
    rows = found.reshape(-1, channels).astype(np.float64)
    scale = StandardScaler().fit(rows)
    weight = np.tile(chances(labels, people) * cells / copies, copies)
    model = LogisticRegression(C=strength, max_iter=2000, tol=1e-3)
    model.fit(scale.transform(rows), np.tile(labels, copies), sample_weight=weight)
    weights = model.coef_[0] / scale.scale_
    return Probe(weights, float(model.intercept_[0] - weights @ scale.mean_))


def put(model: keras.Model, learnt: Probe) -> None:
    """Gives the network of `build` what a probe has learnt; the offset goes to the first level."""
    start, offset = 0, learnt.offset
    for tap in LEVELS:
        layer = model.get_layer(f"evidence_{tap}")
        channels = layer.kernel.shape[2]
        kernel = learnt.weights[start : start + channels].reshape(1, 1, channels, 1)
        layer.set_weights([kernel, np.array([offset])])
        start, offset = start + channels, 0.0
