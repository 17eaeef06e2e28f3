"""The U-Net: an encoder that sees context, a decoder that brings it back to every pixel.

Ronneberger, Fischer and Brox, MICCAI 2015, doi 10.1007/978-3-319-24574-4_28; with padded
convolutions, and where asked with batch normalisation and bilinear up-sampling, as of today.
"""

from dataclasses import dataclass

from keras import KerasTensor, layers

from anna.layers import BatchNormalization


@dataclass(frozen=True)
class Features:
    """What a U-Net has to say of an image, coarse and fine.

    Attributes:
        bottleneck: (n, h / 2**levels, w / 2**levels, channels): context.
        decoder: (n, h, w, channels): context at every pixel.
    """

    bottleneck: KerasTensor
    decoder: KerasTensor


def unet(
    x: KerasTensor,
    filters: tuple[int, ...],
    *,
    norm: bool = True,
    dropout: tuple[float, ...] = (),
    learned_up: bool = False,
) -> Features:
    """Returns the features of a U-Net laid over `x`.

    Args:
        x: (n, h, w, channels); h and w divisible by 2 to the power of len(filters) - 1.
        filters: Channels of each level, from full resolution to the bottleneck.
        norm: Whether convolutions are followed by batch normalisation.
        dropout: Rates after each pooling, from the first; the last one serves all deeper ones.
        learned_up: Whether up-sampling is a 3×3 transposed convolution; bilinear if not.

    Raises:
        ValueError: If the sides of `x` cannot be halved as often as asked.
    """
    skips, bottleneck = encode(x, filters, norm=norm, dropout=dropout)
    decoder = decode(bottleneck, skips, filters[:-1], norm=norm, learned_up=learned_up)
    return Features(bottleneck, decoder)


def encode(
    x: KerasTensor, filters: tuple[int, ...], *, norm: bool = True, dropout: tuple[float, ...] = ()
) -> tuple[list[KerasTensor], KerasTensor]:
    """Returns the skip connections, finest first, and the bottleneck; arguments as in `unet`."""
    deepest = 2 ** (len(filters) - 1)
    if any(side is not None and side % deepest for side in x.shape[1:3]):
        raise ValueError(f"Sides must be divisible by {deepest}. Received: {x.shape[1:3]}")
    skips = []
    for level, channels in enumerate(filters[:-1], 1):
        x = block(x, channels, norm=norm, name=f"encoder{level}")
        skips.append(x)
        x = layers.MaxPooling2D(2, name=f"pool{level}")(x)
        if dropout:
            x = layers.Dropout(dropout[min(level, len(dropout)) - 1], name=f"drop{level}")(x)
    return skips, block(x, filters[-1], norm=norm, name="bottleneck")


def decode(
    x: KerasTensor,
    skips: list[KerasTensor],
    filters: tuple[int, ...],
    *,
    norm: bool = True,
    learned_up: bool = False,
) -> KerasTensor:
    """Returns the decoder's features at the resolution of the finest skip connection.

    Args:
        x: The bottleneck.
        skips: Skip connections, finest first, each twice as large as the next.
        filters: Channels of each level, finest first.
        norm: As in `unet`.
        learned_up: As in `unet`.
    """
    levels = list(zip(skips, filters, strict=True))
    for level, (skip, channels) in reversed(list(enumerate(levels, 1))):
        if learned_up:
            x = layers.Conv2DTranspose(channels, 3, 2, "same", name=f"up{level}")(x)
        else:
            whole = {"dtype": "float32"}  # in half precision Keras clips what it interpolates
            x = layers.UpSampling2D(2, interpolation="bilinear", **whole, name=f"up{level}")(x)
        x = layers.Concatenate(name=f"join{level}")([x, skip])
        x = block(x, channels, norm=norm, name=f"decoder{level}")
    return x


def block(x: KerasTensor, filters: int, *, norm: bool = True, name: str) -> KerasTensor:
    """Returns two 3×3 convolutions with ReLU over `x`, (n, h, w, filters)."""
    for step in ("a", "b"):
        x = layers.Conv2D(
            filters,
            3,
            padding="same",
            use_bias=not norm,
            kernel_initializer="he_normal",
            name=f"{name}{step}",
        )(x)
        if norm:
            x = BatchNormalization(momentum=0.9, name=f"{name}{step}_norm")(x)
        x = layers.ReLU(name=name if step == "b" else f"{name}{step}_relu")(x)
    return x
