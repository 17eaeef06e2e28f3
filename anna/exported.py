"""Networks that `anna.export` wrote: run by their own runtimes, and asked what they are."""

from __future__ import annotations

import importlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np

RECORD = "anna.json"  # in a LiteRT file, and in the folder `assets.extra` of a SavedModel


def load(path: str | Path, *, threads: int = 0) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a function from whole images, uint8 (n, height, width, 3), to (n,) probabilities.

    Args:
        path: Of what `anna.export.write` wrote.
        threads: Of ONNX Runtime and LiteRT; 0 lets them choose.
    """
    path = Path(path)
    if path.suffix == ".onnx":
        runtime = needed("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        session = runtime.InferenceSession(path, options)
        return lambda pixels: session.run(["probability"], {"image": pixels})[0][:, 0]
    if path.suffix == ".tflite":
        interpreter = needed("ai_edge_litert.interpreter").Interpreter
        run = interpreter(str(path), num_threads=threads or None).get_signature_runner()
        return lambda pixels: run(image=pixels)["probability"][:, 0]
    saved = needed("tensorflow").saved_model.load(path)  # its variables live as long as it does
    return lambda pixels: saved.serve(pixels)["probability"].numpy()[:, 0]


def record(path: str | Path) -> dict[str, str]:
    """Returns what travels with a network that `anna.export.write` wrote: texts by name.

    Among them are `input`, `output`, `classes`, `crop`, `size`, `threshold`, `licence`,
    `intended use`, `versions`, and what `about` held.
    """
    path = Path(path)
    if path.suffix == ".onnx":
        kept = needed("onnx").load(path).metadata_props
        return {entry.key: entry.value for entry in kept}
    if path.suffix == ".tflite":
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read(RECORD))
    return json.loads((path / "assets.extra" / RECORD).read_text(encoding="utf-8"))


def needed(module: str) -> ModuleType:
    """Returns the module.

    Raises:
        ImportError: If it is not installed; it says what to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            "Exports need packages that ANNa itself does not: "
            f"pip install onnx onnxruntime tf2onnx ai-edge-litert. Received: {error}"
        ) from error
