"""How unlike the cells that were learnt from a picture is, by what the network reads of it.

The Mahalanobis distance of what a block of the probe's backbone says, averaged over the cell, from
what it said of the cells learnt from. The plain measures of `anna.quality` tell in words what is
unusual; this finds what no measure was made for, such as a disc of noise in the colours of a cell.
Source: Lee et al. 2018, A simple unified framework for detecting out-of-distribution samples and
adversarial attacks, doi 10.48550/arXiv.1807.03888.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import keras
import numpy as np
from keras import layers, ops
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from anna import models
from anna.layers import CellMean, MeanOfViews
from anna.probe import TAPS, Tap

TAP = Tap(scale=1, sight="raw", block="block10")
AXES = 64  # directions that count
WITHIN = 0.99  # share of unseen people's cells that lie within the limit


@dataclass(frozen=True)
class Likeness:
    """Where the cells learnt from lie.

    Attributes:
        centre: Their mean, (c,).
        axes: Directions in which each varies by 1, (c, k).
        limit: The distance that 1 in 100 cells of people not seen exceeds.
        network: Digest of the network that read them, as of `digest`.
    """

    centre: np.ndarray
    axes: np.ndarray
    limit: float
    network: str = ""

    def of(self, found: np.ndarray) -> np.ndarray:
        """Returns how unlike each is, (n,), of what was read there, (n, c); 1 is the limit."""
        along = (found - self.centre) @ self.axes
        return np.sqrt((along**2).mean(axis=1)) / self.limit

    def kept(self) -> dict[str, object]:
        """Returns plain values for a record, rounded to five digits."""
        short = np.vectorize(lambda x: float(f"{x:.5g}"))
        found = {name: short(getattr(self, name)).tolist() for name in ("centre", "axes", "limit")}
        return found | {"network": self.network}

    @classmethod
    def from_kept(cls, kept: Mapping[str, object]) -> Likeness:
        """Returns what `kept` gave away."""
        where = np.array(kept["centre"]), np.array(kept["axes"]), float(kept["limit"])
        return cls(*where, str(kept["network"]))


def fit(found: np.ndarray, parts: np.ndarray) -> tuple[Likeness, np.ndarray]:
    """Returns the likeness, and how unlike each cell is by one that has not seen its part, (n,).

    Args:
        found: What was read at `TAP`, (n, c).
        parts: (n,); no person is in two. The limit is where `WITHIN` of the cells lie within, each
            part measured by the others.
    """
    unseen = np.empty(len(found))
    for part in np.unique(parts):
        rows = parts == part
        unseen[rows] = _fit(found[~rows]).of(found[rows])
    limit = float(np.quantile(unseen, WITHIN))
    whole = _fit(found)
    return Likeness(whole.centre, whole.axes, limit), unseen / limit


def _fit(found: np.ndarray) -> Likeness:
    known = make_pipeline(StandardScaler(), PCA(AXES, whiten=True, svd_solver="full")).fit(found)
    scale, turn = known[0], known[1]
    axes = (turn.components_ / np.sqrt(turn.explained_variance_)[:, None]).T
    return Likeness(scale.mean_, axes / scale.scale_[:, None], 1.0)


def columns() -> slice:
    """Returns which of `anna.probe.features` are read at `TAP`."""
    widths = [tap.channels for tap in TAPS]
    start = sum(widths[: TAPS.index(TAP)])
    return slice(start, start + TAP.channels)


def beside(model: keras.Model, known: Likeness) -> keras.Model:
    """Returns a network whose second column, beside the probability, is how unlike an image is.

    uint8 RGB (n, size, size, 3) in, float32 (n, 2) out. It shares the layers of the model.

    Args:
        model: One probe, as `anna.ensemble.join` returns it.
        known: The cells that it has learnt from.

    Raises:
        ValueError: If the model is none of one probe.
    """
    if not reads(model):
        raise ValueError(f"Likeness is read in one probe of anna.ensemble. Received: {model.name}")
    member = model.get_layer("member0")
    _, cell = member.get_layer("density").output
    mask = layers.AveragePooling2D(TAP.share)(cell)
    read = CellMean(dtype="float32")([member.get_layer(TAP.layer).input, mask])
    views = model.get_layer("views")
    logit, read = keras.Model(member.input, [member.output, read])(views.output)
    for name in ("mean_of_views", "calibration", "probability"):
        logit = model.get_layer(name)(logit)
    read = MeanOfViews(views.views, dtype="float32", name="mean_read")(read)
    along = layers.Dense(known.axes.shape[1], dtype="float32", name="along")
    far = ops.sqrt(ops.mean(ops.square(along(read)), axis=-1, keepdims=True)) / known.limit
    along.set_weights([known.axes, -known.centre @ known.axes])
    return keras.Model(model.input, layers.Concatenate(dtype="float32")([logit, far]))


def warnings(unlike: np.ndarray) -> list[str]:
    """Returns what to say of each image, by how unlike it is, (n,); NaN and up to 1 say nothing."""
    say = "unlike the cells learnt from ({:.2f}; 99 in 100 cells of people not seen are within 1)"
    return [say.format(max(far, 1.01)) if far > 1 else "" for far in unlike]


def judging(
    model: keras.Model, known: Mapping[str, tuple[float, float]] | None
) -> tuple[keras.Model, Mapping[str, tuple[float, float]]]:
    """Returns what judges cells, and the ranges of the cells learnt from, for `anna.quality`.

    With ranges given, both as they are; with None those of the trained ANNa, and `pretrained`.
    """
    if known is not None:
        return model, known
    return pretrained(model), models.record(models.PRETRAINED)["ranges"]


@lru_cache(maxsize=4)
def pretrained(model: keras.Model) -> keras.Model:
    """Returns the model, with `beside` it how unlike the cells are that taught the trained ANNa.

    A model that does not read cells as that one does is returned as it is. What is returned is
    kept: it would be traced anew, for a second or two.
    """
    known = Likeness.from_kept(models.record(models.PRETRAINED)["likeness"])
    if not reads(model) or digest(model) != known.network:
        return model
    return beside(model, known)


def digest(model: keras.Model) -> str:
    """Returns a hash of how a model of one probe reads cells: size, crop and backbone."""
    found = hashlib.blake2b(f"{model.input_shape[1]} {models.crop_of(model)}".encode())
    for weights in model.get_layer("member0").get_layer("backbone").get_weights():
        found.update(np.ascontiguousarray(weights, np.float32))
    return found.hexdigest()[:16]


def reads(model: keras.Model) -> bool:
    """Returns whether `beside` can be asked of a model."""
    names = [layer.name for layer in model.layers]
    members = [name for name in names if name.startswith("member")]
    if members != ["member0"] or "views" not in names:
        return False
    return TAP.layer in {layer.name for layer in model.get_layer("member0").layers}
