"""The networks by name: `anna-2020` (the original, faithfully) and `anna` (ours)."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
from keras import KerasTensor, layers, ops

from anna import backend, unet
from anna.augmentation import AUGMENTATIONS, STAGES, stages
from anna.encoders import DEPTHWISE, weights_of
from anna.encoders import encoder as published_encoder
from anna.layers import BatchNormalization, CellMean, Centred, Density, FromBytes, MaskTeacher
from anna.stored import load, load_weights, record, save

__all__ = [
    "augmented", "build", "crop_of", "load", "load_weights", "pretrained", "record", "save",
]  # fmt: skip

FILTERS = (32, 64, 128)
PRETRAINED = Path(__file__).with_name("pretrained.keras")


def build(
    name: str = "anna",
    size: int = 128,
    *,
    crop: int = 320,
    augment: bool | tuple[str, ...] = True,
    centred: bool = True,
    filters: tuple[int, ...] = FILTERS,
    encoder: str | None = None,
    weights: str | Path | None = None,
    precision: str = "auto",
    seed: int = 0,
) -> keras.Model:
    """Returns a network, untrained: uint8 RGB (n, size, size, 3) in, probability of ALL (n, 1) out.

    Scaling and augmentation are inside; augmentation acts only while training.

    Args:
        name: "anna", or "anna-2020", which of the options below takes but `crop`, `precision` and
            `seed`.
        size: Side of the images in pixels, divisible by 16 (by 32 with an encoder).
        crop: Side of the central square of a file that the images show, in its pixels; the network
            remembers it for `anna.predict.files`.
        augment: All of `AUGMENTATIONS`, none, or some by name.
        centred: Whether a cell's stain is taken about its own mean; about a common one if not.
        filters: Channels of the levels of the U-Net, from a quarter of the resolution down.
        encoder: A backbone of `anna.encoders.SCALES` in place of the U-Net's own encoder.
        weights: Of the backbone: "imagenet", a file, or None.
        precision: A Keras dtype policy; "auto" asks the machine, with regard to the network:
            "anna-2020" takes pixels as they are, which in float16 might become too large.
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
    if precision == "auto":
        precision = backend.precision(depthwise=encoder in DEPTHWISE)
        if name == "anna-2020" and precision == "mixed_float16":
            precision = "float32"
    with _policy(precision):
        if name == "anna-2020":
            return keras.Model(image, _anna_2020(raw), name=name)
        texture, cell = _seen(raw, augment, centred, seed=seed)
        if encoder:
            features = _published(texture, cell, encoder, weights)
        else:
            features = _own(texture, cell, filters)
        model = keras.Model(image, _call(features, cell), name=name)
    if encoder:  # for the record of its training
        model.encoder = f"{encoder}, weights {weights_of(model) if weights else 'at random'}"
    return model


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
    return layers.Dense(1, activation="sigmoid", dtype="float32", name="probability")(x)


def _seen(
    raw: KerasTensor, augment: bool | tuple[str, ...], centred: bool, *, seed: int
) -> tuple[KerasTensor, KerasTensor]:
    """Returns the texture (n, h, w, 3) and the foreground (n, h, w, 1) of cells, augmented."""
    whole = {"dtype": "float32"}
    before = stages(AUGMENTATIONS if augment is True else tuple(augment or ()), seed=seed)
    after = [before.pop()] if before and before[-1].name == "stain" else []
    for stage in before:
        raw = stage(raw)
    density, cell = Density(name="density", **whole)(raw)
    for stage in after:
        density = stage(density)
    texture = Centred(own_mean=centred, name="texture", **whole)([density, cell])
    return texture, cell


def _own(texture: KerasTensor, cell: KerasTensor, filters: tuple[int, ...]) -> unet.Features:
    """Returns the features of a U-Net from a quarter of the resolution down.

    Two strided convolutions go before: the levels of full and half resolution cost most.
    """
    x = layers.Concatenate(name="texture_and_cell")([texture, cell])
    x = layers.Conv2D(filters[0] // 2, 3, 2, "same", activation="relu", name="stem_half")(x)
    x = layers.Conv2D(filters[0], 3, 2, "same", use_bias=False, name="stem_quarter")(x)
    x = BatchNormalization(momentum=0.9, name="stem_norm")(x)
    return unet.unet(layers.ReLU(name="stem")(x), filters)


def _published(
    texture: KerasTensor, cell: KerasTensor, name: str, weights: str | Path | None
) -> unet.Features:
    """Returns the features of a U-Net whose encoder is a published backbone.

    It wants pixels of 0 to 255, so the texture is put there about the middle, on black.
    """
    pixels = layers.Rescaling(25.0, 127.5, dtype="float32", name="on_grey")(texture)
    pixels = layers.Multiply(dtype="float32", name="as_pixels")([pixels, cell])
    skips, bottleneck = published_encoder(pixels, name, weights)
    widths = tuple(min(16 * 2**level, 128) for level in range(len(skips)))
    return unet.Features(bottleneck, unet.decode(bottleneck, skips, widths))


def _call(features: unet.Features, cell: KerasTensor) -> KerasTensor:
    """Returns the probability from the features; the layers `mask` and `evidence` are the maps.

    Bottleneck and decoder each give a map of evidence for ALL. Their sum's mean over the cell, plus
    a term for the cell's size, is the log-odds: but for its size, the map shows where the call came
    from.
    """
    mask = layers.Conv2D(1, 1, activation="sigmoid", dtype="float32", name="mask_raw")(
        features.decoder
    )
    mask = MaskTeacher(dtype="float32", name="mask")([mask, cell])
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


def pretrained() -> keras.Model:
    """Returns the trained ANNa that ships with the package: probabilities of ALL, calibrated.

    A linear probe (`anna.probe`) taught on 18 people of C-NMC 2019, two thirds of whose cells are
    ALL; its probabilities are made for such a share. How it was made, what it scored on people it
    had not seen, its licence and its limits: `record` of the file, and the card beside it,
    `anna/pretrained.md`.

    Raises:
        ValueError: If the file is missing or damaged.
    """
    return load(PRETRAINED)


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

    Args:
        model: As `build` returns it.
        pixels: uint8 (n, size, size, 3) RGB.
        only: One of `anna.augmentation.AUGMENTATIONS`; by default all that the network has.
    """
    used = [layer for layer in model.layers if layer.name in STAGES]
    density, cell = model.get_layer("density"), None
    x = ops.cast(pixels, "float32")
    for stage in used if only is None else stages((only,)):
        if stage.name == "stain":
            x, cell = density(x)
        x = stage(x, training=True)
    x = x if cell is None else 255.0 * ops.exp(-x) * cell
    return ops.convert_to_numpy(x).round().clip(0, 255).astype(np.uint8)
