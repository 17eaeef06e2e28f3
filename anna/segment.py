"""The U-Net as a segmenter: background, cytoplasm or nucleus at every pixel of a white blood cell.

The same U-Net as the classifier's, with three maps for an output.
"""

from collections.abc import Sequence

import keras
import numpy as np
import pandas as pd
from keras import KerasTensor, layers, ops
from tqdm.auto import tqdm

from anna import backend, masks, unet
from anna.keeping import Progress
from anna.layers import FromBytes
from anna.mask_batches import MaskBatches
from anna.stains import StainJitter

SIZE, EPOCHS = 128, 22
FILTERS = (16, 32, 64, 128, 128)
STAIN, LIGHT = 0.06, 0.08  # with more jitter, red cells that touch pass for cytoplasm
CUTOUT = 0.1  # without it, the black around a cell of C-NMC passes for cytoplasm
register = keras.saving.register_keras_serializable("anna")


def build(
    size: int = SIZE,
    *,
    filters: tuple[int, ...] = FILTERS,
    precision: str = "auto",
    seed: int = 0,
) -> keras.Model:
    """Returns a segmenter, untrained: uint8 RGB (n, size, size, 3) in, shares of classes out.

    The shares are float32 (n, size, size, 3) in the order of `anna.masks.CLASSES` and sum to 1.
    Scaling, and the jitter of stain and light while training, are inside. The U-Net works from half
    the resolution down, since full resolution costs most, and a transposed convolution leads back.

    Args:
        size: Side of the images in pixels, divisible by 2 to the power of len(filters).
        filters: Channels of the levels of the U-Net, from half the resolution down.
        precision: A Keras dtype policy; "auto" asks the machine.
        seed: Of weights and jitter.

    Raises:
        ValueError: If the size cannot be halved as often as the filters ask.
    """
    if size < 32 or size % 2 ** len(filters):
        raise ValueError(f"size must be divisible by {2 ** len(filters)}. Received: {size}")
    keras.utils.set_random_seed(seed)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(backend.precision() if precision == "auto" else precision)
    try:
        image = keras.Input((size, size, 3), dtype="uint8", name="pixels")
        return keras.Model(image, _shares(image, filters), name="segmenter")
    finally:
        keras.config.set_dtype_policy(before)


def _shares(image: KerasTensor, filters: tuple[int, ...]) -> KerasTensor:
    x = FromBytes(name="to_float")(image)
    x = StainJitter(STAIN, LIGHT, name="stain", dtype="float32")(x)
    x = layers.Rescaling(1 / 127.5, -1.0, name="to_unit")(x)
    x = layers.Conv2D(filters[0], 3, 2, "same", activation="relu", name="stem")(x)
    x = unet.unet(x, filters).decoder
    x = layers.Conv2DTranspose(3, 4, 2, "same", dtype="float32", name="evidence")(x)
    return layers.Softmax(dtype="float32", name="shares")(x)


@register
class OverlapLoss(keras.losses.Loss):
    """Cross-entropy, plus what nucleus and whole cell lack of a Dice of 1 in each image.

    Cross-entropy makes every pixel's share honest; the overlap, with shares in place of pixels, is
    what a segmenter is judged by, and gives a small nucleus the weight of a large one. Milletari,
    Navab and Ahmadi, 3DV 2016, doi 10.1109/3DV.2016.79.

    Shapes: true and found shares (n, h, w, 3) ↦ (n,).
    """

    def call(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        """Returns the loss of each image."""
        entropy = ops.mean(ops.categorical_crossentropy(y_true, y_pred), axis=(1, 2))
        true, found = (ops.stack([y[..., 2], 1 - y[..., 0]], axis=-1) for y in (y_true, y_pred))
        both = ops.sum(true * found, axis=(1, 2))
        total = ops.sum(true, axis=(1, 2)) + ops.sum(found, axis=(1, 2))
        return entropy + 1 - ops.mean((2 * both + 1) / (total + 1), axis=-1)


def fit(
    model: keras.Model,
    images: Sequence[np.ndarray],
    drawn: Sequence[np.ndarray],
    *,
    epochs: int = EPOCHS,
    batch_size: int = 16,
    learning_rate: float = 3e-3,
    cutout: float = CUTOUT,
    seed: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    """Returns the loss of each epoch, columns `epoch` (from 1) and `loss`; trains the model.

    AdamW, whose rate rises over a twentieth of the steps and falls as a cosine to zero; the model
    is left with the mean of its weights over about the last tenth. Nothing is chosen on the way, so
    nothing needs to be held out.

    Args:
        model: As `build` returns it.
        images: uint8 (height, width, 3) RGB, of any sizes.
        drawn: The mask of each, uint8 (height, width).
        epochs: How often each image is seen.
        batch_size: Images a batch.
        learning_rate: The highest.
        cutout: As of `MaskBatches`.
        seed: Of order and augmentation.
        progress: Whether to show a bar.

    Raises:
        ValueError: If there is not one mask an image.
    """
    if len(images) != len(drawn):
        raise ValueError(f"One mask an image is needed. Received: {len(images)}, {len(drawn)}")
    size = model.input_shape[1]
    batches = MaskBatches(
        np.stack([masks.to_square(image, size) for image in images]),
        np.stack([masks.to_square(masks.shares(mask), size) for mask in drawn]),
        batch_size=batch_size,
        cutout=cutout,
        seed=seed,
    )
    model.compile(_optimizer(epochs * len(batches), learning_rate), OverlapLoss())
    bar = [Progress(0, epochs, model.name)] if progress else []
    history = model.fit(batches, epochs=epochs, shuffle=False, verbose=0, callbacks=bar)
    # The weights have become their means: JAX must not find two in one place, or loses both.
    model.set_weights(model.get_weights())
    losses = history.history["loss"]
    return pd.DataFrame({"epoch": range(1, len(losses) + 1), "loss": losses})


def _optimizer(steps: int, learning_rate: float) -> keras.optimizers.Optimizer:
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps - steps // 20, warmup_target=learning_rate, warmup_steps=steps // 20
    )
    mean = {"use_ema": True, "ema_momentum": 1 - min(10 / steps, 0.5)}
    return keras.optimizers.AdamW(rate, weight_decay=1e-4, **mean)


def segment(
    model: keras.Model,
    images: Sequence[np.ndarray],
    *,
    batch_size: int = 32,
    flips: bool = True,
    progress: bool = False,
) -> list[np.ndarray]:
    """Returns the mask of each image at the image's own size, of one cell without holes.

    Args:
        model: As `build` returns it, trained.
        images: uint8 (height, width, 3) RGB, of any sizes; one cell each.
        batch_size: Images a batch.
        flips: Whether to average over the image and its mirror images, four in all.
        progress: Whether to show a bar.
    """
    size, found = model.input_shape[1], []
    with tqdm(total=len(images), desc="segmenting", unit="cell", disable=not progress) as bar:
        for start in range(0, len(images), batch_size):
            part = images[start : start + batch_size]
            shares = _predicted(model, np.stack([masks.to_square(i, size) for i in part]), flips)
            for one, image in zip(shares, part, strict=True):
                found.append(masks.one_cell(masks.from_square(one, image.shape[:2])))
            bar.update(len(part))
    return found


def _predicted(model: keras.Model, squares: np.ndarray, flips: bool) -> np.ndarray:
    """Returns the shares of a batch, float32 (n, size, size, 3), a mean over mirror images."""
    ways = ((), (1,), (2,), (1, 2)) if flips else ((),)
    views = (np.ascontiguousarray(np.flip(squares, way)) for way in ways)
    seen = [np.asarray(model.predict_on_batch(view)) for view in views]
    return np.mean([np.flip(one, way) for one, way in zip(seen, ways, strict=True)], axis=0)


def ratios(model: keras.Model, images: Sequence[np.ndarray], **options) -> pd.DataFrame:
    """Returns `nucleus`, `cell` and `nucleus_to_cell` of each image's cell, one row an image.

    The areas are in pixels of the image, the ratio as of `anna.masks.nucleus_to_cell`, NaN where no
    cell was found.

    Args:
        model: As `build` returns it, trained.
        images: uint8 (height, width, 3) RGB, of any sizes.
        **options: Of `segment`.
    """
    found = segment(model, images, **options)
    rows = [masks.areas(mask) | {"nucleus_to_cell": masks.nucleus_to_cell(mask)} for mask in found]
    return pd.DataFrame(rows, columns=[*masks.PARTS, "nucleus_to_cell"])
