"""Random changes of stain and light, as layers: they say nothing of the disease, but of the day."""

import keras
from keras import KerasTensor, ops

from anna import backend

register = keras.saving.register_keras_serializable("anna")


@register
class Stain(keras.layers.Layer):
    """Changes the amount of stain of each image at random.

    By the law of Beer and Lambert a stain's optical density grows in proportion to its amount, and
    another light adds the same to all densities. Per image, d ↦ d · (1 + a + b) + c, where b and c
    differ between the channels.

    Args:
        stain: Largest |a|.
        channel: Largest |b|.
        light: Largest |c|.
        seed: Of the random changes.
        **kwargs: As of any layer.

    Shapes: optical densities, float (n, h, w, 3), in and out.
    """

    def __init__(
        self,
        stain: float = 0.25,
        channel: float = 0.1,
        light: float = 0.15,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.stain, self.channel, self.light, self.seed = stain, channel, light, seed
        self.random = keras.random.SeedGenerator(seed)

    def call(self, x: KerasTensor, training: bool = False) -> KerasTensor:
        """Returns the densities of another staining, or as they are if not training."""
        if not training:
            return x
        count = ops.shape(x)[0]
        amount = self._draw((count, 1, 1, 1), self.stain) + self._draw(
            (count, 1, 1, 3), self.channel
        )
        return _restained(x, amount, self._draw((count, 1, 1, 3), self.light))

    def _draw(self, shape: tuple, most: float) -> KerasTensor:
        return keras.random.uniform(shape, -most, most, seed=self.random)

    def get_config(self) -> dict:
        """Returns what `from_config` needs."""
        own = {"stain": self.stain, "channel": self.channel, "light": self.light}
        return super().get_config() | own | {"seed": self.seed}


@backend.fused
def _restained(x: KerasTensor, amount: KerasTensor, light: KerasTensor) -> KerasTensor:
    return x * (1 + amount) + light


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
