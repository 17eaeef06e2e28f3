"""Several networks and several views of a cell as one network, calibrated."""

import math

import keras
from keras import layers

from anna import models
from anna.calibration import Calibration
from anna.layers import VIEWS, FromBytes, MeanOfViews, Views


def join(
    members: list[keras.Model],
    *,
    views: int = VIEWS,
    calibration: Calibration | None = None,
) -> keras.Model:
    """Returns one network from several: uint8 RGB (n, size, size, 3) in, probability (n, 1) out.

    Its log-odds are the mean of the members' over all views, then calibrated.

    Args:
        members: Networks `anna` of one size and crop, as `anna.models.build` returns them.
        views: As of `Views`.
        calibration: Temperature and offset, as found on people none of whom is tested.

    Raises:
        ValueError: If there is no member, or their sizes or crops differ.
    """
    seen = {(member.input_shape[1], models.crop_of(member)) for member in members}
    if len(seen) != 1:
        raise ValueError(f"Members must share one size and one crop. Received: {sorted(seen)}")
    [(size, crop)] = seen
    image = keras.Input((size, size, 3), dtype="uint8", name="pixels")
    turned = Views(views, dtype="float32", name="views")(FromBytes(crop, name="to_float")(image))
    each = [_logit(member, number)(turned) for number, member in enumerate(members)]
    mean = layers.Average(dtype="float32", name="mean_of_members")(each) if each[1:] else each[0]
    logit = MeanOfViews(views, dtype="float32", name="mean_of_views")(mean)
    scale = calibration or Calibration(1.0, 0.0)
    known = layers.Rescaling(
        1 / scale.temperature, scale.offset, dtype="float32", name="calibration"
    )
    probability = layers.Activation("sigmoid", dtype="float32", name="probability")
    return keras.Model(image, probability(known(logit)), name="anna")


def members(model: keras.Model) -> list[keras.Model]:
    """Returns the networks that `join` has joined in a model; none if it is of another kind."""
    return [layer for layer in model.layers if layer.name.startswith("member")]


def looks(model: keras.Model) -> int:
    """Returns how often a model looks at each image: its views times its members, 1 by itself.

    The members share a device side by side, not in turn, as TensorFlow has it.
    """
    views = [layer.views for layer in model.layers if isinstance(layer, Views)]
    return math.prod(views) * max(1, len(members(model)))


def _logit(member: keras.Model, number: int) -> keras.Model:
    """Returns a copy of the member as far as its log-odds, taking float images."""
    start = member.get_layer("to_float").output
    outputs = member.get_layer("logit").output
    part = keras.Model(start, outputs, name=f"member{number}")
    copy = keras.models.clone_model(part)  # has layers of its own, so `maps` finds its way in them
    copy.set_weights(part.get_weights())
    return copy
