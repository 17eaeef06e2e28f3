"""Networks to pass on: they say what Keras says, without ANNa or Keras, or are not kept."""

import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from places import REPO

import anna
from anna.calibration import Calibration

for package in ("onnx", "onnxruntime", "tf2onnx", "ai_edge_litert"):
    pytest.importorskip(package, reason="pip install onnx onnxruntime tf2onnx ai-edge-litert")
pytestmark = pytest.mark.skipif(
    anna.backend.keras.backend.backend() != "tensorflow", reason="exports need TensorFlow"
)
FILES = ("anna.onnx", "anna.tflite", "anna-saved")
SMALL = {"size": 32, "filters": (4, 8, 8), "precision": "float32"}
# Nothing of these may be loaded while a snippet of the README runs.
BARRED = {
    "anna.onnx": ("anna", "keras", "tensorflow", "cv2", "onnx"),
    "anna.tflite": ("anna", "keras", "tensorflow", "cv2"),
    "anna-saved": ("anna", "cv2"),  # TensorFlow itself looks for Keras
}
BARRIER = """
import sys
class Barrier:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {barred}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Barrier())
"""


@pytest.fixture(scope="module")
def unet():
    return anna.models.build("anna", **SMALL)


@pytest.fixture(scope="module")
def cells(sample_root):
    """Four drawn files of 450 pixels, uint8."""
    paths = sorted((sample_root / "training_data").rglob("*.bmp"))[::12]
    return np.stack([anna.decoding.decode(path) for path in paths])


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """A folder of the trained ANNa in each format."""
    folder = tmp_path_factory.mktemp("to_pass_on")
    for name in FILES:
        anna.export.file(folder / name)
    return folder


def keras_says(model, cells):
    size, crop = model.input_shape[1], anna.models.crop_of(model)
    seen = [anna.images.resize(anna.images.center_crop(cell, crop), size) for cell in cells]
    return np.asarray(model.predict_on_batch(np.stack(seen)))[:, 0]


@pytest.mark.parametrize("name", FILES)
def test_it_says_what_keras_says_of_files_of_any_size(unet, cells, name, tmp_path):
    known = Calibration(temperature=1.7, offset=0.4)
    model = anna.ensemble.join([unet], views=8, calibration=known)
    judge = anna.exported.load(anna.export.write(model, tmp_path / name))
    for part in (cells, cells[:2, 50:, 30:421], cells[:1, 90:349, 100:]):
        part = np.ascontiguousarray(part)
        np.testing.assert_allclose(judge(part), keras_says(model, part), atol=1e-4)


@pytest.mark.parametrize("name", ["anna", "anna-2020"])
def test_networks_of_mixed_precision_are_exported_in_float32(cells, tmp_path, name):
    mixed, whole = (
        anna.models.build(name, **SMALL | {"precision": precision})
        for precision in ("mixed_bfloat16", "float32")
    )
    whole.set_weights(mixed.get_weights())
    judge = anna.exported.load(anna.export.write(mixed, tmp_path / "anna.onnx"))
    np.testing.assert_allclose(judge(cells), keras_says(whole, cells), atol=1e-4)


@pytest.mark.parametrize("name", FILES)
def test_the_trained_anna_on_real_cells(pretrained, real_cells, name):
    paths = anna.cnmc.index(real_cells)["path"]
    judge = anna.exported.load(pretrained / name)
    model = anna.models.pretrained()
    for path in paths[::3]:
        cell = anna.decoding.decode(path)[None]
        np.testing.assert_allclose(judge(cell), keras_says(model, cell), atol=1e-4)


def test_what_a_reader_needs_travels_with_it(pretrained):
    first, *others = (anna.exported.record(pretrained / name) for name in FILES)
    assert first == others[0] == others[1]
    assert first["crop"] == "320"
    assert first["threshold"] == "0.5"
    assert first["classes"] == '["HEM", "ALL"]'
    for source in ("MIT", "CC BY 3.0", "Apache License 2.0"):
        assert source in first["licence"]
    assert first["card"] == anna.models.PRETRAINED.with_suffix(".md").read_text()
    assert "Not for diagnosis" in first["intended use"]


@pytest.mark.parametrize("name", FILES)
def test_the_snippet_of_the_readme_runs_alone(pretrained, sample_root, name, tmp_path):
    snippets = re.findall(r"```python\n(.*?)```", (REPO / "README.md").read_text(), re.DOTALL)
    [snippet] = [text for text in snippets if f'"{name}"' in text]
    cell = sorted((sample_root / "training_data").rglob("*.bmp"))[-1]
    Image.open(cell).save(tmp_path / "cell.bmp")
    (tmp_path / name).symlink_to(pretrained / name)
    code = BARRIER.replace("{barred}", repr(BARRED[name])) + snippet
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    expected = anna.predict.files(anna.models.pretrained(), [cell], progress=False)
    assert float(done.stdout) == pytest.approx(expected["probability"][0], abs=1e-4)


def test_one_that_differs_is_not_kept(unet, tmp_path, monkeypatch):
    kept = anna.export.write(unet, tmp_path / "anna.onnx").read_bytes()
    monkeypatch.setattr(anna.images, "shares", lambda side, size: np.eye(size, side, dtype="f4"))
    with pytest.raises(anna.export.ExportError, match=r"agree with Keras.*Received: .* apart"):
        anna.export.write(unet, tmp_path / "anna.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["anna.onnx"]
    assert (tmp_path / "anna.onnx").read_bytes() == kept


def test_a_saved_model_is_replaced_another_folder_is_not(unet, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(FileExistsError, match="mine"):
        anna.export.write(unet, tmp_path / "mine")
    for threshold in (0.3, 0.6):
        anna.export.write(unet, tmp_path / "ours", threshold=threshold)
        assert anna.exported.record(tmp_path / "ours")["threshold"] == str(threshold)


def test_what_cannot_be_exported_is_said(unet, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"\.onnx.*Received: anna\.h5"):
        anna.export.write(unet, tmp_path / "anna.h5")
    with pytest.raises(ValueError, match="threshold"):
        anna.export.write(unet, tmp_path / "anna.onnx", threshold=2)
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(ImportError, match="pip install onnx onnxruntime tf2onnx"):
        anna.export.write(unet, tmp_path / "anna.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("crop", "size"), [(320, 32), (320, 96), (320, 128), (320, 160), (300, 128), (64, 32)]
)
def test_crop_and_resize_as_layers_are_those_of_the_package(cells, crop, size):
    for cell in (cells[0], cells[1, 40:373, 71:]):
        expected = anna.images.resize(anna.images.center_crop(cell, crop), size).astype(int)
        found = anna.front.Crop(crop)(np.ascontiguousarray(cell)[None])
        found = np.asarray(anna.front.Resize(crop, size)(found))[0].astype(int)
        assert np.abs(found - expected).max() <= 1
        assert (found != expected).mean() < 0.002
