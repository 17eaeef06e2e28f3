"""The few layers that Keras lacks: stain jitter, the mean over a cell, the teacher of its mask."""

import keras
from keras import KerasTensor, ops

register = keras.saving.register_keras_serializable("anna")


@register
class FromBytes(keras.layers.Layer):
    """Returns images as float32, and remembers which crop of a file they are.

    Args:
        crop: Side of the central square of the file, in its pixels.
        **kwargs: As of any layer.

    Shapes: uint8 (n, h, w, 3) ↦ float32 (n, h, w, 3) of values 0 to 255.
    """

    def __init__(self, crop: int = 320, **kwargs):
        super().__init__(**{"dtype": "float32"} | kwargs)
        self.crop = crop

    def call(self, x: KerasTensor) -> KerasTensor:
        """Returns the same values as float32."""
        return ops.cast(x, "float32")

    def get_config(self) -> dict:
        """Returns what `from_config` needs."""
        return super().get_config() | {"crop": self.crop}


@register
class StainJitter(keras.layers.Layer):
    """Changes stain and light of each image at random while training; black stays black.

    By the law of Beer and Lambert a stain's optical density, -log(intensity), grows in proportion
    to its amount. Per image and channel, the density is scaled by up to `stain` and the light by
    up to `light`: x ↦ b·x**a.

    Args:
        stain: Largest relative change of the density, 0 to 1.
        light: Largest relative change of the light, 0 to 1.
        seed: Of the random changes.
        **kwargs: As of any layer.

    Shapes: float (n, h, w, 3) of values 0 to 255, in and out.
    """

    def __init__(self, stain: float = 0.2, light: float = 0.15, seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        self.stain, self.light, self.seed = stain, light, seed
        self.random = keras.random.SeedGenerator(seed)

    def call(self, x: KerasTensor, training: bool = False) -> KerasTensor:
        """Returns the images with another stain and light, or as they are if not training."""
        if not training:
            return x
        draw = (ops.shape(x)[0], 1, 1, 3)
        power = 1 + keras.random.uniform(draw, -self.stain, self.stain, seed=self.random)
        gain = 1 + keras.random.uniform(draw, -self.light, self.light, seed=self.random)
        lit = ops.clip(x / 255.0, 1 / 512, 1.0)
        changed = ops.clip(255.0 * gain * ops.power(lit, power), 0.0, 255.0)
        return ops.where(ops.max(x, axis=-1, keepdims=True) > 0, changed, 0.0)

    def get_config(self) -> dict:
        """Returns what `from_config` needs."""
        own = {"stain": self.stain, "light": self.light, "seed": self.seed}
        return super().get_config() | own


@register
class CellMean(keras.layers.Layer):
    """Returns the mean of a map over the cell: [map (n, h, w, c), mask (n, h, w, 1)] ↦ (n, c).

    The mask, 0 to 1, only says where; no gradient flows into it from here. A mask of less than one
    pixel in all counts as one.
    """

    def call(self, inputs: list[KerasTensor]) -> KerasTensor:
        """Returns the weighted mean over height and width."""
        values, mask = inputs
        mask = ops.stop_gradient(ops.cast(mask, values.dtype))
        return ops.sum(values * mask, axis=(1, 2)) / ops.maximum(ops.sum(mask, axis=(1, 2)), 1.0)


@register
class MaskTeacher(keras.layers.Layer):
    """Teaches a mask, while training, to follow the image's foreground; returns the mask.

    C-NMC's cells stand on black, but "not black" also holds scraps of neighbours. So the target is
    the foreground after an opening, which drops what is thinner than `width` pixels of the mask.
    The loss is binary cross-entropy, added to the model's own.

    Args:
        width: Side of the square of the opening, in pixels of the mask.
        weight: Of the loss.
        **kwargs: As of any layer.

    Shapes: [mask (n, h, w, 1) of 0 to 1, image (n, 2h, 2w, 3) of 0 to 255] ↦ mask.
    """

    def __init__(self, width: int = 7, weight: float = 0.5, **kwargs):
        super().__init__(**kwargs)
        self.width, self.weight = width, weight

    def call(self, inputs: list[KerasTensor], training: bool = False) -> KerasTensor:
        """Returns the mask as it came."""
        mask, image = inputs
        if training:
            target = ops.stop_gradient(self.foreground(image))
            mask = ops.cast(mask, "float32")
            loss = ops.mean(ops.binary_crossentropy(target, mask))
            self.add_loss(self.weight * loss)
        return mask

    def foreground(self, image: KerasTensor) -> KerasTensor:
        """Returns the opened foreground, float32 (n, h, w, 1) of 0 and 1."""
        seen = ops.max(ops.cast(image, "float32"), axis=-1, keepdims=True)
        seen = ops.cast(ops.max_pool(seen, 2, 2) > 8.0, "float32")
        eroded = -ops.max_pool(-seen, self.width, 1, "same")
        return ops.max_pool(eroded, self.width, 1, "same")

    def get_config(self) -> dict:
        """Returns what `from_config` needs."""
        return super().get_config() | {"width": self.width, "weight": self.weight}
