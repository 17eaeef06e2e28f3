"""How unlike the cells that were learnt from a picture is, by what the network reads of it.

The Mahalanobis distance of what the network says early on, averaged over the cell, from what it
said of the cells learnt from: a probe in a block of its backbone, a U-Net in its encoder. The plain
measures of `anna.quality` tell in words what is unusual; this finds what no measure was made for,
such as a disc of noise in the colours of a cell.
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
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm.auto import tqdm

from anna import models, predict, reading

AXES = 64  # directions that count
PER_AXIS = 4  # cells to each of them at least
FLAT = 1e-6  # share of the greatest variance below which a direction says nothing
AT_ONCE = 512  # cells in memory
PARTS = 5  # of people, each measured by the others
WITHIN = 0.99  # share of unseen people's cells that lie within the limit


@dataclass(frozen=True, eq=False)
class Likeness:
    """Where the cells learnt from lie.

    Attributes:
        centre: Their mean, (c,).
        axes: Directions in which each varies by 1, (c, k).
        limit: The distance that 1 in 100 cells exceeds, each measured by other people's.
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
        found: What was read, (n, c).
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
    count = max(1, min(AXES, found.shape[1], len(found) // PER_AXIS))
    scale, turn = make_pipeline(StandardScaler(), PCA(count, svd_solver="full")).fit(found)
    varies = turn.explained_variance_ > FLAT * turn.explained_variance_[0]
    axes = (turn.components_[varies] / np.sqrt(turn.explained_variance_[varies, None])).T
    return Likeness(scale.mean_, axes / scale.scale_[:, None], 1.0)


def fit_network(
    model: keras.Model,
    pixels: np.ndarray,
    rows: np.ndarray,
    *,
    people: np.ndarray,
    progress: bool = False,
) -> Likeness | None:
    """Returns the likeness of cells by what a network reads.

    None where `anna.reading` finds nothing in it, and where the cells are too few, or too alike,
    for a limit. The limit is drawn among people from whom the network has learnt; more of others
    may lie beyond.

    Args:
        model: That has learnt from the cells.
        pixels: uint8 (n, size, size, 3) RGB.
        rows: Which of them it has learnt from, (m,).
        people: Whose these are, (m,) names.
        progress: Whether to show a bar.
    """
    if not reading.reads(model) or len(np.unique(people)) < 2 or len(rows) < PARTS * PER_AXIS:
        return None
    reader = keras.Model(model.input, reading.said_and_read(model)[1])
    found = np.empty((len(rows), reader.output_shape[1]))
    with tqdm(total=len(rows), desc="comparing cells", unit="cell", disable=not progress) as bar:
        for start in range(0, len(rows), AT_ONCE):
            part = rows[start : start + AT_ONCE]
            found[start : start + AT_ONCE] = predict.said(reader, pixels[part])
            bar.update(len(part))
    if not np.ptp(found, axis=0).any():
        return None
    parts = np.empty(len(rows), int)
    folds = GroupKFold(min(PARTS, len(np.unique(people))))
    for number, (_, held) in enumerate(folds.split(found, groups=people)):
        parts[held] = number
    return fit(found, parts)[0]


@lru_cache(maxsize=4)
def beside(model: keras.Model, known: Likeness) -> keras.Model:
    """Returns a network whose second column, beside the probability, is how unlike an image is.

    uint8 RGB (n, size, size, 3) in, float32 (n, 2) out. It shares the layers of the model, and is
    kept: it would be traced anew, for a second or two.

    Args:
        model: `anna`, a U-Net with an encoder of its own; or one probe, as `anna.ensemble.join`
            returns it.
        known: The cells that it has learnt from.

    Raises:
        ValueError: If the model reads nothing that can be compared.
    """
    if not reading.reads(model):
        raise ValueError(
            f"Likeness is read in one probe of anna.ensemble, or a U-Net. Received: {model.name}"
        )
    said, read = reading.said_and_read(model)
    place = keras.Input(known.centre.shape, name="place")
    along = layers.Dense(known.axes.shape[1], dtype="float32", name="along")
    far = ops.sqrt(ops.mean(ops.square(along(place)), axis=-1, keepdims=True)) / known.limit
    along.set_weights([known.axes, -known.centre @ known.axes])
    # By itself: names of its operations may be those of operations in a model that was loaded.
    unlike = keras.Model(place, far, name="unlike")
    both = layers.Concatenate(dtype="float32", name="said_and_unlike")([said, unlike(read)])
    return keras.Model(model.input, both)


def warnings(unlike: np.ndarray) -> list[str]:
    """Returns what to say of each image, by how unlike it is, (n,); NaN and up to 1 say nothing."""
    say = "unlike the cells learnt from ({:.2f}; the limit, 1, is drawn at 1 in 100 of them)"
    return [say.format(max(far, 1.01)) if far > 1 else "" for far in unlike]


def judging(
    model: keras.Model,
    known: Mapping[str, tuple[float, float]] | None,
    like: Likeness | None = None,
) -> tuple[keras.Model, Mapping[str, tuple[float, float]]]:
    """Returns what judges cells, and the ranges of the cells learnt from, for `anna.quality`.

    Args:
        model: Trained.
        known: The ranges of the cells that it has learnt from; if None, those of the trained ANNa.
        like: Where these cells lie; if neither is given, those of the trained ANNa, if the model
            reads cells as that one does.
    """
    if like is not None:
        model = beside(model, like)
    elif known is None:
        model = pretrained(model)
    return model, models.record(models.PRETRAINED)["ranges"] if known is None else known


def pretrained(model: keras.Model) -> keras.Model:
    """Returns the model, with `beside` it how unlike the cells are that taught the trained ANNa.

    A model that does not read cells as that one does is returned as it is.
    """
    network, known = reading.network_of(model), _of_pretrained()
    if network is model or not reading.is_probe(network) or digest(model) != known.network:
        return model
    return beside(model, known)


@lru_cache(maxsize=1)
def _of_pretrained() -> Likeness:
    return Likeness.from_kept(models.record(models.PRETRAINED)["likeness"])


@lru_cache(maxsize=4)
def digest(model: keras.Model) -> str:
    """Returns a hash of how a model of one probe reads cells: size, crop and backbone."""
    found = hashlib.blake2b(f"{model.input_shape[1]} {models.crop_of(model)}".encode())
    for weights in reading.network_of(model).get_layer("backbone").get_weights():
        found.update(np.ascontiguousarray(weights, np.float32))
    return found.hexdigest()[:16]
