"""The networks by name: `anna-2020` (the original, faithfully) and `anna` (ours)."""

import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from keras import KerasTensor, layers, ops

from anna import backend, unet
from anna.encoders import encoder as published_encoder
from anna.layers import CellMean, FromBytes, MaskTeacher, StainJitter
from anna.workspace import write_whole

AUGMENTATIONS = ("flip", "rotate", "shift", "stain")
FILTERS = (16, 32, 64, 128)
_HEADS = {  # layers that a drawing shows after the U-Net: source and skip_to
    "map": (None, None),
    "flat": (None, None),
    "dense512": (None, None),
    "dense256": (None, None),
    "dense128": (None, None),
    "mask": ("decoder1", "P(ALL)"),
    "evidence": ("decoder1", None),
}
_RECORD = "anna.json"  # the member of a .keras file that holds our record


def build(
    name: str = "anna",
    size: int = 128,
    *,
    crop: int = 320,
    augment: bool | tuple[str, ...] = True,
    filters: tuple[int, ...] = FILTERS,
    encoder: str | None = None,
    weights: str | Path | None = None,
    precision: str = "auto",
    seed: int = 0,
) -> keras.Model:
    """Returns a network, untrained: uint8 RGB (n, size, size, 3) in, probability of ALL (n, 1) out.

    Scaling and augmentation are inside; augmentation acts only while training.

    Args:
        name: "anna", or "anna-2020", which of the options below takes but `crop` and `seed`.
        size: Side of the images in pixels, divisible by 16 (by 32 with an encoder).
        crop: Side of the central square of a file that the images show, in its pixels; the network
            remembers it for `anna.predict.files`.
        augment: All of `AUGMENTATIONS`, none, or some by name.
        filters: Channels of the levels of the U-Net, from half the resolution down.
        encoder: A backbone of `anna.encoders.SCALES` in place of the U-Net's own encoder.
        weights: Of the backbone: "imagenet", a file, or None.
        precision: A Keras dtype policy; "auto" asks the machine.
        seed: Of weights, dropout and augmentation.

    Raises:
        ValueError: If the name, the size or an augmentation is unknown or does not fit.
    """
    if name not in ("anna", "anna-2020"):
        raise ValueError(f"name must be 'anna' or 'anna-2020'. Received: {name!r}")
    if size < 32 or size % (32 if encoder else 16):
        raise ValueError(f"size must be divisible by {32 if encoder else 16}. Received: {size}")
    keras.utils.set_random_seed(seed)
    image = keras.Input((size, size, 3), dtype="uint8", name="pixels")
    raw = FromBytes(crop, name="to_float")(image)
    if name == "anna-2020":
        return keras.Model(image, _anna_2020(raw), name=name)
    with _policy(backend.precision() if precision == "auto" else precision):
        seen = _augmented(raw, augment)
        features = _published(seen, encoder, weights) if encoder else _own(seen, filters)
        return keras.Model(image, _call(features, seen), name=name)


@contextmanager
def _policy(name: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _anna_2020(raw: KerasTensor) -> KerasTensor:
    """Returns the original's call: a U-Net of 4 filters, its only map flattened into dense layers.

    It took BGR pixels of 0 to 255 as they are.
    """
    x = ops.flip(raw, axis=-1)
    x = unet.unet(x, (4, 8, 16, 32, 64), norm=False, dropout=(0.25, 0.5), learned_up=True).decoder
    x = layers.Conv2D(1, 1, activation="sigmoid", name="map")(x)
    x = layers.Flatten(name="flat")(layers.MaxPooling2D(4, name="map_pool")(x))
    for units, rate in ((512, 0.5), (256, 0.5), (128, 0.2)):
        x = layers.Dense(units, activation="relu", name=f"dense{units}")(x)
        x = layers.Dropout(rate, name=f"dense{units}_drop")(x)
    return layers.Dense(1, activation="sigmoid", name="probability")(x)


def _augmented(raw: KerasTensor, augment: bool | tuple[str, ...]) -> KerasTensor:
    names = AUGMENTATIONS if augment is True else tuple(augment or ())
    if unknown := set(names) - set(AUGMENTATIONS):
        raise ValueError(f"augment must be among {AUGMENTATIONS}. Received: {sorted(unknown)}")
    black = {"fill_mode": "constant", "fill_value": 0.0}
    known = {
        "flip": partial(layers.RandomFlip, "horizontal_and_vertical"),
        "rotate": partial(layers.RandomRotation, 0.5, **black),
        "shift": partial(layers.RandomTranslation, 0.06, 0.06, **black),
        "stain": StainJitter,
    }
    for name in AUGMENTATIONS:
        raw = known[name](name=name, dtype="float32")(raw) if name in names else raw
    return raw


def _own(seen: KerasTensor, filters: tuple[int, ...]) -> unet.Features:
    """Returns the features of a U-Net from half the resolution down: full resolution costs most."""
    x = layers.Rescaling(1 / 127.5, -1.0, name="to_unit")(seen)
    x = layers.Conv2D(filters[0], 3, 2, "same", activation="relu", name="stem")(x)
    return unet.unet(x, filters)


def _published(seen: KerasTensor, name: str, weights: str | Path | None) -> unet.Features:
    """Returns the features of a U-Net whose encoder is a published backbone."""
    skips, bottleneck = published_encoder(seen, name, weights)
    widths = tuple(min(16 * 2**level, 128) for level in range(len(skips)))
    return unet.Features(bottleneck, unet.decode(bottleneck, skips, widths))


def _call(features: unet.Features, seen: KerasTensor) -> KerasTensor:
    """Returns the probability from the features; the layers `mask` and `evidence` are the maps.

    Bottleneck and decoder each give a map of evidence for ALL. Their sum's mean over the cell, plus
    a term for the cell's size, is the log-odds: but for its size, the map shows where the call came
    from.
    """
    mask = layers.Conv2D(1, 1, activation="sigmoid", dtype="float32", name="mask_raw")(
        features.decoder
    )
    mask = MaskTeacher(dtype="float32", name="mask")([mask, seen])
    fine = layers.Conv2D(1, 1, dtype="float32", name="evidence_fine")(
        layers.SpatialDropout2D(0.2, name="fine_drop")(features.decoder)
    )
    coarse = layers.Conv2D(1, 1, dtype="float32", name="evidence_coarse")(
        layers.SpatialDropout2D(0.2, name="coarse_drop")(features.bottleneck)
    )
    scale = fine.shape[1] // coarse.shape[1]
    coarse = layers.UpSampling2D(
        scale, interpolation="bilinear", dtype="float32", name="evidence_up"
    )(coarse)
    evidence = layers.Add(dtype="float32", name="evidence")([fine, coarse])
    inside = CellMean(dtype="float32", name="evidence_mean")([evidence, mask])
    share = ops.log(ops.mean(ops.stop_gradient(mask), axis=(1, 2)) + 0.01)
    size = layers.Dense(1, dtype="float32", name="size_evidence")(share)
    logit = layers.Add(dtype="float32", name="logit")([inside, size])
    return layers.Activation("sigmoid", dtype="float32", name="probability")(logit)


def levels(model: keras.Model) -> pd.DataFrame:
    """Returns the blocks of a network's U-Net, one row each, for `anna.plots.network`.

    Columns: `name`, `part` ("input", "encoder", "bottleneck", "decoder", "head", "output"), `side`
    in pixels, `channels`, `source` (the block it is computed from, where that is not the one
    before), and `skip_to` (another block that it also feeds).
    """
    rows = [("pixels", "input", model.input_shape[1], 3, None, None)]
    for layer in model.layers:
        part, shape = layer.name.rstrip("0123456789"), layer.output.shape
        if part in ("encoder", "bottleneck", "decoder") and len(shape) == 4:
            skip = layer.name.replace("encoder", "decoder") if part == "encoder" else None
            rows.append((layer.name, part, *shape[2:], None, skip))
        elif layer.name in _HEADS:
            side = shape[1] if len(shape) == 4 else 1
            rows.append((layer.name, "head", side, shape[-1], *_HEADS[layer.name]))
    rows.append(("P(ALL)", "output", 1, 1, None, None))
    columns = ["name", "part", "side", "channels", "source", "skip_to"]
    table = pd.DataFrame(rows, columns=columns)
    if "evidence" in set(table["name"]):
        table.loc[table["part"] == "bottleneck", "skip_to"] = "evidence"
    return table


def save(model: keras.Model, path: str | Path, record: dict | None = None) -> Path:
    """Returns `path`, a `.keras` file of the model with a record of ours in it, written whole.

    One file holds both, so that a model and what is said of it cannot come apart.
    """

    def _write(part: Path) -> None:
        model.save(part)
        with zipfile.ZipFile(part, "a") as archive:
            archive.writestr(_RECORD, json.dumps(record or {}, indent=1))

    return write_whole(Path(path), _write)


def record(path: str | Path) -> dict:
    """Returns the record that `save` put into a `.keras` file, empty if it has none."""
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read(_RECORD)) if _RECORD in archive.namelist() else {}


def crop_of(model: keras.Model) -> int:
    """Returns the side of the central square of a file that a network was built for, in pixels.

    Raises:
        ValueError: If the model is none of `build`.
    """
    for layer in model.layers:
        if isinstance(layer, FromBytes):
            return layer.crop
    raise ValueError(f"The model does not tell its crop; give crop=. Received: {model.name}")


def augmented(model: keras.Model, pixels: np.ndarray, only: str | None = None) -> np.ndarray:
    """Returns images as a network sees them while training, uint8 like `pixels`.

    Each call draws anew, which moves the network's own random state on.

    Args:
        model: As `build` returns it.
        pixels: uint8 (n, size, size, 3) RGB.
        only: One of `AUGMENTATIONS`; by default all that the network has.
    """
    seen = ops.cast(pixels, "float32")
    for layer in model.layers:
        if layer.name in AUGMENTATIONS and only in (None, layer.name):
            seen = layer(seen, training=True)
    return ops.convert_to_numpy(seen).round().clip(0, 255).astype(np.uint8)


def load(path: str | Path) -> keras.Model:
    """Returns the model of a `.keras` file; code in the file is refused.

    Raises:
        ValueError: If the file is no such model; the message names it.
    """
    try:
        return keras.models.load_model(path, safe_mode=True)
    except (ValueError, TypeError, OSError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: not a model that can be loaded. Received: {error}") from error
