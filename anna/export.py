"""A network to pass on: ONNX, LiteRT and SavedModel, each checked against Keras before it is kept.

What is written takes a file's pixels as they are, of any size; crop, resize, calibration and all
else are inside. It needs neither ANNa nor Keras.
"""

from __future__ import annotations

import json
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import keras
import numpy as np

from anna import exported, front, images, models, report
from anna.backend import require_tensorflow, silence
from anna.card import CREDIT, DRAWN, INTENDED
from anna.checks import CLASSES, require_fraction
from anna.exported import RECORD, needed
from anna.sample import drawing
from anna.sample.people import cell_rng, plan
from anna.workspace import write_whole

TOLERANCE = 1e-4  # largest difference of a probability from that of Keras
_CODE = "Code: MIT, the ANNa project."


class ExportError(RuntimeError):
    """What was written does not say what Keras says, and was not kept."""


def write(
    model: keras.Model,
    path: str | Path,
    *,
    about: Mapping[str, object] | None = None,
    threshold: float = 0.5,
) -> Path:
    """Returns `path`, the network in the format that its ending names, written whole.

    `.onnx` is ONNX, `.tflite` LiteRT (TensorFlow Lite); without an ending it is a folder, a
    SavedModel. In each, `image` is uint8 RGB (n, height, width, 3), the whole pixels of files, and
    `probability` float32 (n, 1), of ALL. Networks of mixed precision become float32.
    `anna.exported.record` gives back what travels with it.

    Args:
        model: Of `anna.models` or `anna.ensemble.join`.
        path: Where it goes. A SavedModel that is there is replaced, another folder is not.
        about: What else a reader must know, by name; texts, or plain values.
        threshold: From which probability on a cell is to be called ALL.

    Raises:
        ValueError: If the ending names no format, the threshold is not in 0..1, or the model is
            none of ANNa's.
        FileExistsError: If another folder is in the way.
        ImportError: If a package is missing; it says which.
        ExportError: If a probability differs from Keras' by more than `TOLERANCE`.
    """
    path = Path(path)
    put = _writer(path)
    require_fraction("threshold", threshold)
    require_tensorflow("Exports are made")
    network = front.whole(model)
    kept = _told(model, about or {}, threshold)

    def _write(part: Path) -> None:
        with silence(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the converters' own, of NumPy and Protobuf
            put(network, part, kept)
        _compare(model, network, part)

    return write_whole(path, _write)


def file(
    path: str | Path,
    *,
    source: str | Path = models.PRETRAINED,
    card: str | Path | None = None,
    threshold: float = 0.5,
) -> Path:
    """Returns `path`, the network of a `.keras` file as `write` writes it, with record and card.

    Args:
        path: As of `write`.
        source: Of `anna.models.save`, by default the trained ANNa.
        card: Its model card, where there is one; by default the Markdown file beside it.
        threshold: As of `write`.
    """
    source = Path(source)
    model = models.load(source)
    about = dict(models.record(source))
    card = Path(card or source.with_suffix(".md"))
    if card.is_file():
        about["card"] = card.read_text(encoding="utf-8")
    if "drawn" in (settings := about.get("settings", {})):  # a run of `anna.training`
        about["data"] = DRAWN if settings["drawn"] else CREDIT
    return write(model, path, about=about, threshold=threshold)


def _writer(path: Path) -> Callable[[keras.Model, Path, dict], None]:
    """Returns what writes the format, once all that it needs is there."""
    formats = {
        ".onnx": (_onnx, ("onnx", "onnxruntime", "tf2onnx")),
        ".tflite": (_litert, ("ai_edge_litert.interpreter",)),
        "": (_saved_model, ()),
    }
    if path.suffix not in formats:
        raise ValueError(
            f"The ending must be .onnx, .tflite, or none for a SavedModel. Received: {path.name}"
        )
    if path.is_dir() and not (path / "saved_model.pb").is_file():
        raise FileExistsError(
            f"Will not overwrite a folder that is no SavedModel. Received: {path}"
        )
    put, packages = formats[path.suffix]
    for package in packages:
        needed(package)
    return put


def _told(model: keras.Model, about: Mapping[str, object], threshold: float) -> dict[str, str]:
    size, crop = model.input_shape[1], models.crop_of(model)
    sources = [_CODE, *(f"{key.capitalize()}: {about[key]}." for key in _SOURCES if key in about)]
    kept = {
        "title": "ANNa: tells leukemic blasts (ALL) from healthy cells (HEM). Not for diagnosis.",
        "input": "image: uint8 RGB (n, height, width, 3), whole pixels of files of one cell each, "
        f"centred on black at C-NMC's magnification; the central {crop} are seen, at {size}",
        "output": "probability: float32 (n, 1), of ALL",
        "classes": list(CLASSES),
        "crop": crop,
        "size": size,
        "threshold": threshold,
        "intended use": INTENDED,
        "licence": " ".join(sources),
        "versions": report.versions(),
    }
    values = {**report.plain(about), **report.plain(kept)}
    return {k: v if isinstance(v, str) else json.dumps(v, ensure_ascii=False)
            for k, v in values.items()}  # fmt: skip


_SOURCES = ("data", "backbone")
_SIDES = ("n", "height", "width")


def _compare(model: keras.Model, network: keras.Model, path: Path) -> None:
    """Raises ExportError unless what was written says of drawn cells what Keras says of them."""
    size, crop = model.input_shape[1], models.crop_of(model)
    inner = network.layers[-1]  # the model, or its copy of float32
    for cells in _cells():
        seen = np.stack([images.resize(images.center_crop(cell, crop), size) for cell in cells])
        expected = np.asarray(inner.predict_on_batch(seen))[:, 0]
        with silence():
            differs = float(np.abs(exported.load(path)(cells) - expected).max())
        if not differs <= TOLERANCE:  # also if it is no number
            raise ExportError(
                f"What is exported must agree with Keras to {TOLERANCE}; it was not kept. "
                f"Received: {differs:.2g} apart, {path.name}"
            )


def _cells() -> Iterable[np.ndarray]:
    """Yields drawn cells as whole files, and parts of them smaller than most crops."""
    people = plan(cells=40)
    rows = [people.iloc[len(people) // 2], people.iloc[-1]]
    cells = np.stack([drawing.draw(row.donor, cell_rng(0, row.key), 450) for row in rows])
    cells = np.concatenate([cells, cells[..., ::-1]])  # another stain, and other probabilities
    yield cells
    yield np.ascontiguousarray(cells[1:3, 60:391, 90:389])


def _saved_model(network: keras.Model, path: Path, kept: dict[str, str]) -> None:
    _archive(network, path)
    extra = path / "assets.extra"
    extra.mkdir()
    report.write_json(extra / RECORD, kept)


def _archive(network: keras.Model, path: Path) -> None:
    """Writes a SavedModel; Keras' own `Model.export` traces each network inside once more."""
    spec = keras.InputSpec(shape=network.input_shape, dtype="uint8", name="image")
    archive = keras.export.ExportArchive()
    archive.add_endpoint("serve", lambda image: network(image, training=False), [spec])
    archive.write_out(path, verbose=False)


def _litert(network: keras.Model, path: Path, kept: dict[str, str]) -> None:
    lite = needed("tensorflow").lite
    with tempfile.TemporaryDirectory() as folder:
        _archive(network, Path(folder) / "saved")
        converter = lite.TFLiteConverter.from_saved_model(str(Path(folder) / "saved"))
        path.write_bytes(converter.convert())
    # Behind the network, as LiteRT's metadata go.
    with path.open("r+b") as file, zipfile.ZipFile(file, "a") as archive:
        archive.writestr(RECORD, json.dumps(kept, ensure_ascii=False, indent=1))


def _onnx(network: keras.Model, path: Path, kept: dict[str, str]) -> None:
    tf, onnx, tf2onnx = (needed(name) for name in ("tensorflow", "onnx", "tf2onnx"))
    spec = [tf.TensorSpec(network.input_shape, tf.uint8, name="image")]
    call = tf.function(
        lambda image: network(image, training=False), input_signature=spec, autograph=False
    )
    made, _ = tf2onnx.convert.from_function(call, input_signature=spec)
    onnx.helper.set_model_props(made, kept)
    for value in (*made.graph.input, *made.graph.output):
        for name, side in zip(_SIDES, value.type.tensor_type.shape.dim, strict=False):
            if side.dim_param:
                side.dim_param = name
    onnx.save(made, path)
