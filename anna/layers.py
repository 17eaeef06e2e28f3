"""The few layers that Keras lacks: densities, means over cells and views, a mask's teacher."""

import keras
from keras import KerasTensor, ops

from anna import backend

register = keras.saving.register_keras_serializable("anna")
VIEWS = 8  # quarter turns of an image and of its mirror image


def _total(x: KerasTensor) -> KerasTensor:
    """Returns the sum over height and width, (n, h, w, c) ↦ (n, 1, 1, c), line by line.

    TensorFlow adds what it is told to add at once in a row: over an image, three digits are lost.
    """
    return ops.sum(ops.sum(x, axis=2, keepdims=True), axis=1, keepdims=True)


@register
class FromBytes(keras.layers.Layer):
    """Returns images as float32, and remembers which crop of a file they are.

    Every network begins with it, so here it also says, in Keras' own way, whether XLA may compile
    them (`anna.backend.compiles`): else Keras does so wherever there is a GPU.

    Args:
        crop: Side of the central square of the file, in its pixels.
        **kwargs: As of any layer.

    Shapes: uint8 (n, h, w, 3) ↦ float32 (n, h, w, 3) of values 0 to 255.
    """

    def __init__(self, crop: int = 320, **kwargs):
        super().__init__(**{"dtype": "float32"} | kwargs)
        self.crop = crop
        self.supports_jit = backend.compiles()

    def call(self, x: KerasTensor) -> KerasTensor:
        """Returns the same values as float32."""
        return ops.cast(x, "float32")

    def get_config(self) -> dict:
        """Returns what `from_config` needs."""
        return super().get_config() | {"crop": self.crop}


@register
class Density(keras.layers.Layer):
    """Returns optical densities, and where the cell is: the stain as a chemist sees it.

    The density of a channel is -log(value / 255), which grows in proportion to the amount of stain
    (the law of Beer and Lambert; Ruifrok and Johnston 2001). Values below 4 count as 4.

    Shapes: float (n, h, w, 3) of values 0 to 255 ↦ [densities (n, h, w, 3), cell (n, h, w, 1) of 0
    and 1]; densities are 0 outside the cell, which is where all channels are at most 8.
    """

    def call(self, x: KerasTensor, training: bool = False) -> list[KerasTensor]:
        """Returns densities and cell."""
        return list(_fused_densities(x) if training else _densities(x))


def _densities(x: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
    cell = ops.cast(ops.max(x, axis=-1, keepdims=True) > 8.0, x.dtype)
    return -ops.log(ops.clip(x, 4.0, 255.0) / 255.0) * cell, cell


_fused_densities = backend.fused(_densities)


@register
class Centred(keras.layers.Layer):
    """Returns each cell's densities about its own mean, in steps of `unit`.

    The mean density of a cell tells how strongly a slide was stained, and so whose it is; what is
    left is texture.

    Args:
        unit: Density that becomes 1; about the standard deviation within a real cell.
        own_mean: Whether each cell and channel has its own mean; 1.3, common in C-NMC, if not.
        **kwargs: As of any layer.

    Shapes: [densities (n, h, w, 3), cell (n, h, w, 1)] ↦ (n, h, w, 3), within -5 to 5, 0 outside.
    """

    def __init__(self, unit: float = 0.12, own_mean: bool = True, **kwargs):
        super().__init__(**kwargs)
        self.unit, self.own_mean = unit, own_mean

    def call(self, inputs: list[KerasTensor], training: bool = False) -> KerasTensor:
        """Returns the texture."""
        return (_fused_about if training else _about)(*inputs, self.unit, self.own_mean)

    def get_config(self) -> dict:
        """Returns what `from_config` needs."""
        return super().get_config() | {"unit": self.unit, "own_mean": self.own_mean}


def _about(density: KerasTensor, cell: KerasTensor, unit: float, own_mean: bool) -> KerasTensor:
    own = _total(density * cell) / ops.maximum(_total(cell), 1.0)
    mean = own if own_mean else 1.3
    return ops.clip((density - mean) / unit, -5.0, 5.0) * cell


_fused_about = backend.fused(_about)


@register
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras' batch normalisation, in the one operation that TensorFlow has for it.

    Keras spells it out in some twenty, each of which goes through memory anew, and in float32.
    Under the other backends, over several devices, and with other options than those by default
    (of axis, scale and centre, with masks), it is left to Keras. In training the
    variance that is kept is that of a sample: by n / (n - 1) larger than Keras', of n values.

    Shapes: (n, h, w, c), in and out.
    """

    def call(
        self, inputs: KerasTensor, training: bool | None = None, mask: KerasTensor | None = None
    ) -> KerasTensor:
        """Returns the values with each channel's mean and variance made those it has learnt."""
        usual = len(inputs.shape) == 4 and self.axis in (-1, 3) and self.scale and self.center
        if not (usual and backend.normalizes()) or self.synchronized or mask is not None:
            return super().call(inputs, training=training, mask=mask)
        learns = bool(training and self.trainable)
        kept = (self.moving_mean, self.moving_variance)
        known = tuple(ops.cast(value, "float32") for value in (self.gamma, self.beta, *kept))
        if inputs.dtype == "float16":  # TensorFlow has it whole on GPUs alone, and says so aloud
            inputs = ops.cast(inputs, "float32")
        found, *now = backend.normalized(inputs, known, epsilon=self.epsilon, learns=learns)
        if learns:
            for variable, value in zip(kept, now, strict=True):
                variable.assign(variable * self.momentum + value * (1.0 - self.momentum))
        return ops.cast(found, self.compute_dtype)


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
        mean = _total(values * mask) / ops.maximum(_total(mask), 1.0)
        return ops.squeeze(mean, axis=(1, 2))


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

    Shapes: [mask (n, h, w, 1) of 0 to 1, cell (n, k·h, k·w, 1) of 0 and 1] ↦ mask.
    """

    def __init__(self, width: int = 3, weight: float = 0.5, **kwargs):
        super().__init__(**kwargs)
        self.width, self.weight = width, weight

    def call(self, inputs: list[KerasTensor], training: bool = False) -> KerasTensor:
        """Returns the mask as it came."""
        mask, cell = inputs
        if training:
            target = ops.stop_gradient(self.opened(cell, cell.shape[1] // mask.shape[1]))
            mask = ops.cast(mask, "float32")
            loss = ops.mean(ops.binary_crossentropy(target, mask))
            self._clear_losses()  # devices take turns in one layer: the one before has left its own
            self.add_loss(self.weight * loss)
        return mask

    def opened(self, cell: KerasTensor, step: int) -> KerasTensor:
        """Returns the opened foreground at a `step`-th of the sides, of 0 and 1."""
        seen = ops.max_pool(cell, step, step)
        eroded = -ops.max_pool(-seen, self.width, 1, "same")
        return ops.max_pool(eroded, self.width, 1, "same")

    def get_config(self) -> dict:
        """Returns what `from_config` needs."""
        return super().get_config() | {"width": self.width, "weight": self.weight}


@register
class Views(keras.layers.Layer):
    """Returns quarter turns of each image and of its mirror image, view by view.

    A cell has no up or down, so all views are the same cell, and the mean over what a network says
    of them is steadier than one answer.

    Args:
        views: 1, 2, 4 or 8; the first is the image itself.
        **kwargs: As of any layer.

    Shapes: (n, s, s, c) ↦ (views · n, s, s, c): all n images in the first view, then in the next.
    """

    def __init__(self, views: int = VIEWS, **kwargs):
        super().__init__(**kwargs)
        if views not in (1, 2, 4, 8):
            raise ValueError(f"views must be 1, 2, 4 or 8. Received: {views}")
        self.views = views

    def call(self, x: KerasTensor) -> KerasTensor:
        """Returns the views."""
        turned = [x]
        for step in (2, 4, 8):
            if self.views >= step:
                turned += [self._changed(view, step) for view in turned]
        return ops.concatenate(turned, axis=0)

    def _changed(self, x: KerasTensor, step: int) -> KerasTensor:
        """Returns the mirror image, the image upside down, or a quarter turn."""
        if step == 8:
            return ops.transpose(x, (0, 2, 1, 3))
        return ops.flip(x, axis=2 if step == 2 else 1)

    def compute_output_shape(self, shape: tuple) -> tuple:
        """Returns the shape of the views."""
        return (None, *shape[1:])

    def get_config(self) -> dict:
        """Returns what `from_config` needs."""
        return super().get_config() | {"views": self.views}


@register
class MeanOfViews(keras.layers.Layer):
    """Returns the mean over the views of each image: (views · n, c) ↦ (n, c)."""

    def __init__(self, views: int = VIEWS, **kwargs):
        super().__init__(**kwargs)
        self.views = views

    def call(self, x: KerasTensor) -> KerasTensor:
        """Returns the mean."""
        return ops.mean(ops.reshape(x, (self.views, -1, x.shape[-1])), axis=0)

    def compute_output_shape(self, shape: tuple) -> tuple:
        """Returns the shape of the mean."""
        return (None, *shape[1:])

    def get_config(self) -> dict:
        """Returns what `from_config` needs."""
        return super().get_config() | {"views": self.views}
