"""Keras' optimizers, for batches that several devices share: each device sees the whole batch.

Under TensorFlow Keras clips on each device what that device alone has seen, and asks the first
alone whether a step of float16 has become too large. On one device, and under JAX, all is Keras'.
"""

import keras
from keras import KerasTensor, ops

from anna.backend import several

register = keras.saving.register_keras_serializable("anna")


@register
class AdamW(keras.optimizers.AdamW):
    """AdamW (Loshchilov and Hutter 2019), which clips the gradients of the whole batch."""

    def _clip_gradients(self, grads: list[KerasTensor]) -> list[KerasTensor]:
        """Returns each device's share of the whole batch's clipped gradients."""
        devices = several.sharers()
        if devices == 1:
            return super()._clip_gradients(grads)
        return [grad / devices for grad in super()._clip_gradients(several.summed(grads))]


@register
class LossScaleOptimizer(keras.optimizers.LossScaleOptimizer):
    """Scales the loss for float16; leaves out a step that any device finds too large."""

    def check_finite(self, grads: list[KerasTensor]) -> KerasTensor:
        """Returns whether the gradients are numbers on all devices, bool ()."""
        finite = super().check_finite(grads)
        if several.sharers() == 1:
            return finite
        [faults] = several.summed([1.0 - ops.cast(finite, "float32")])
        return ops.equal(faults, 0.0)
