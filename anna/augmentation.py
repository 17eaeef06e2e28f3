"""What training changes at random in an image, because it says nothing of the disease.

A cell has no up or down; its place and sharpness are the microscope's, its stain is the day's.
Sizes differ between healthy people, too: scaling a little keeps a network from trusting the sizes
of the few people it has seen. All of it acts only while training.
"""

import keras
from keras import KerasTensor, ops

from anna import backend
from anna.compression import Jpeg
from anna.stains import Stain

AUGMENTATIONS = ("flip", "rotate", "shift", "scale", "focus", "hue", "jpeg", "stain")
_POSE = AUGMENTATIONS[:4]
STAGES = ("pose", *AUGMENTATIONS[4:])
"""The layers that do them, in the order in which they are applied."""
register = keras.saving.register_keras_serializable("anna")


def stages(names: tuple[str, ...], *, seed: int | None = None) -> list[keras.layers.Layer]:
    """Returns the layers that augment as named, in the order in which they are to be applied.

    All but `Stain` work on float (n, h, w, 3) of 0 to 255; `Stain` on optical densities.

    Args:
        names: Among `AUGMENTATIONS`.
        seed: Of the random changes.

    Raises:
        ValueError: If a name is unknown.
    """
    if unknown := set(names) - set(AUGMENTATIONS):
        raise ValueError(f"augment must be among {AUGMENTATIONS}. Received: {sorted(unknown)}")
    found = []
    if pose := tuple(name for name in _POSE if name in names):
        found.append(Pose(pose, seed=seed, name="pose", dtype="float32"))
    for name, kind in zip(STAGES[1:], (Focus, Hue, Jpeg, Stain), strict=True):
        if name in names:
            found.append(kind(seed=seed, name=name, dtype="float32"))
    return found


@register
class Pose(keras.layers.Layer):
    """Turns, mirrors, shifts and scales each image at random, in a single interpolation.

    Args:
        names: Which of "flip", "rotate", "shift" and "scale".
        shift: Largest shift in each direction, as a share of the side.
        scale: Largest change of size, as a natural logarithm.
        seed: Of the random changes.
        **kwargs: As of any layer.

    Shapes: float (n, h, w, c), in and out; what comes from outside the image is black.
    """

    def __init__(
        self,
        names: tuple[str, ...] = _POSE,
        shift: float = 0.06,
        scale: float = 0.05,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.names, self.shift, self.scale, self.seed = tuple(names), shift, scale, seed
        self.random = keras.random.SeedGenerator(seed)

    def call(self, x: KerasTensor, training: bool = False) -> KerasTensor:
        """Returns the images in another pose, or as they are if not training."""
        if not training:
            return x
        height, width = x.shape[1:3]
        moves = self.transforms(ops.shape(x)[0], height, width)
        return ops.image.affine_transform(x, moves, interpolation="bilinear", fill_mode="constant")

    def transforms(self, count: int, height: int, width: int) -> KerasTensor:
        """Returns (count, 8): where each pixel comes from, as `keras.ops.image` takes it."""
        draw = {name: keras.random.uniform((count,), -1.0, 1.0, seed=self.random) for name in _POSE}
        sideways = keras.random.uniform((count,), -1.0, 1.0, seed=self.random)
        on = {name: float(name in self.names) for name in _POSE}
        angle = draw["rotate"] * 3.14159265 * on["rotate"]
        zoom = ops.exp(draw["scale"] * self.scale * on["scale"])
        mirror = ops.where(draw["flip"] * on["flip"] < 0, -1.0, 1.0)
        x0, y0 = (width - 1) / 2, (height - 1) / 2
        dx = x0 + draw["shift"] * self.shift * width * on["shift"]
        dy = y0 + sideways * self.shift * height * on["shift"]
        cos, sin = ops.cos(angle) * zoom, ops.sin(angle) * zoom
        first = [cos * mirror, -sin * mirror, dx - mirror * (cos * x0 - sin * y0)]
        second = [sin, cos, dy - sin * x0 - cos * y0]
        nothing = ops.zeros_like(cos)
        return ops.stack([*first, *second, nothing, nothing], axis=-1)

    def get_config(self) -> dict:
        """Returns what `from_config` needs."""
        own = {"names": self.names, "shift": self.shift, "scale": self.scale, "seed": self.seed}
        return super().get_config() | own


@register
class Focus(keras.layers.Layer):
    """Blurs or sharpens each image a little at random; black stays black.

    x ↦ x + a · (blurred - x), with the 3×3 binomial as the blur; a below 0 sharpens.

    Args:
        blur: Largest a.
        sharpen: Largest -a.
        seed: Of the random changes.
        **kwargs: As of any layer.

    Shapes: float (n, h, w, 3) of values 0 to 255, in and out.
    """

    def __init__(self, blur: float = 1.0, sharpen: float = 0.5, seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        self.blur, self.sharpen, self.seed = blur, sharpen, seed
        self.random = keras.random.SeedGenerator(seed)

    def call(self, x: KerasTensor, training: bool = False) -> KerasTensor:
        """Returns the images in another focus, or as they are if not training."""
        if not training:
            return x
        share = keras.random.uniform(
            (ops.shape(x)[0], 1, 1, 1), -self.sharpen, self.blur, seed=self.random
        )
        return _refocused(x, share)

    def get_config(self) -> dict:
        """Returns what `from_config` needs."""
        own = {"blur": self.blur, "sharpen": self.sharpen, "seed": self.seed}
        return super().get_config() | own


@backend.fused
def _refocused(x: KerasTensor, share: KerasTensor) -> KerasTensor:
    """Returns images with `share` (n, 1, 1, 1) of the way gone to their blur; black stays black."""
    around = ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    lines = (around[:, :-2] + around[:, 2:]) / 4 + around[:, 1:-1] / 2
    blurred = (lines[:, :, :-2] + lines[:, :, 2:]) / 4 + lines[:, :, 1:-1] / 2
    changed = ops.clip(x + share * (blurred - x), 0.0, 255.0)
    return ops.where(ops.max(x, axis=-1, keepdims=True) > 0, changed, 0.0)


@register
class Hue(keras.layers.Layer):
    """Turns the hues of each image at random; black and greys stay.

    Args:
        turn: Largest turn in both directions, as a share of the circle of hues in HSV.
        seed: Of the random changes.
        **kwargs: As of any layer.

    Shapes: float (n, h, w, 3) of values 0 to 255, in and out.
    """

    def __init__(self, turn: float = 0.06, seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        self.turn, self.seed = turn, seed
        self.random = keras.random.SeedGenerator(seed)

    def call(self, x: KerasTensor, training: bool = False) -> KerasTensor:
        """Returns the images in other hues, or as they are if not training."""
        if not training:
            return x
        count = ops.shape(x)[0]
        return _turned(
            x, keras.random.uniform((count, 1, 1), -self.turn, self.turn, seed=self.random)
        )

    def get_config(self) -> dict:
        """Returns what `from_config` needs."""
        return super().get_config() | {"turn": self.turn, "seed": self.seed}


@backend.fused
def _turned(x: KerasTensor, turn: KerasTensor) -> KerasTensor:
    """Returns images whose hues are turned by `turn` (n, 1, 1) circles."""
    hue, saturation, value = ops.unstack(ops.image.rgb_to_hsv(x / 255.0), axis=-1)
    turned = ops.stack([ops.mod(hue + turn, 1.0), saturation, value], axis=-1)
    return ops.clip(255.0 * ops.image.hsv_to_rgb(turned), 0.0, 255.0)
