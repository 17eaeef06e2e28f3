"""The blocks of a network, as a drawing shows them."""

import keras
import pandas as pd

_HEADS = {  # layers that a drawing shows after the U-Net: source and skip_to
    "map": (None, None),
    "flat": (None, None),
    "dense512": (None, None),
    "dense256": (None, None),
    "dense128": (None, None),
    "mask": ("decoder1", "P(ALL)"),
    "evidence": ("decoder1", None),
}


def levels(model: keras.Model) -> pd.DataFrame:
    """Returns the blocks of a network's U-Net, one row each, for `anna.plots.network`.

    Columns: `name`, `part` ("input", "encoder", "bottleneck", "decoder", "head", "output"), `side`
    in pixels, `channels`, `source` (the block it is computed from, where that is not the one
    before), and `skip_to` (another block that it also feeds).
    """
    rows = [("pixels", "input", model.input_shape[1], 3, None, None)]
    for layer in model.layers:
        part = layer.name.rstrip("0123456789")
        shape = getattr(layer.output, "shape", ())
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
