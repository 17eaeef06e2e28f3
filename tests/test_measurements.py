"""The measurements of speed and of full size: what they count is what happens."""

import argparse
import subprocess
import sys

import keras
import nbformat
import numpy as np
import psutil
import pytest

from anna import backend


@pytest.fixture
def full_size(benchmark):
    return benchmark("full_size")


@pytest.fixture
def speed(benchmark):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("the plain way is measured on TensorFlow")
    return benchmark("speed")


@pytest.fixture
def speed_ways(speed, benchmark):
    return benchmark("speed_ways")


def test_a_second_look_opens_no_image(full_size, sample_root, own_output):
    asked = argparse.Namespace(folder=sample_root.parent, train_cells=48, size=32, step=None)
    images = len(list(sample_root.rglob("*.bmp")))
    opened = {}
    for step in ("verify", "prepare", "again"):
        asked.step = step
        found = full_size.taken(asked)
        assert found["images"] == images
        opened[step] = found["opened"]
    assert opened == {"verify": images, "prepare": images, "again": 0}


def test_peak_memory_is_that_of_the_process(full_size, tmp_path):
    code = "import time; held = bytearray(300_000_000); held[::4096] = bytes(len(held[::4096]))"
    process = subprocess.Popen([sys.executable, "-c", f"{code}; time.sleep(1)"])
    peak = full_size.watched(psutil.Process(process.pid))
    process.wait()
    assert 300e6 < peak < 400e6


def test_two_ways_take_turns(speed):
    order = []
    ours, plain = iter([4.0, 9.0, 8.0]), iter([2.0, 3.0, 8.0])
    found = speed.in_turns(
        lambda: order.append("ours") or next(ours), lambda: order.append("plain") or next(plain), 3
    )
    assert order == ["ours", "plain"] * 3
    assert found == {"ours": 8.0, "plain": 3.0, "ratio": 2.0}


def test_preparation_is_measured_on_files(speed, monkeypatch, sample_root, own_output):
    monkeypatch.setenv("ANNA_INPUT", str(sample_root))
    rows = list(speed.preparation(argparse.Namespace(images=12, size=32, rounds=1)))
    assert {row["what"].split(", ")[-1] for row in rows} >= {"from memory"}
    for row in rows:
        assert row["ours"] > 0
        assert row["ratio"] == pytest.approx(row["ours"] / row["plain"])


@pytest.mark.parametrize(
    ("task", "network"), [("train", "anna-2020"), ("predict", "anna"), ("predict_singly", "anna")]
)
def test_both_ways_do_the_same_task(speed_ways, monkeypatch, task, network):
    asked = {"task": task, "network": network, "size": 32, "count": 8}
    pixels = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), np.uint8)
    monkeypatch.setattr(speed_ways, "ASKED", asked)
    ours, plain = (speed_ways.TASKS[task](way, pixels)() for way in (True, False))
    if task == "train":
        assert all(np.isfinite(found.history["loss"]).all() for found in (ours, plain))
    else:
        atol = 1e-4 if backend.precision() == "float32" else 1e-2  # ours may be bfloat16
        np.testing.assert_allclose(np.ravel(ours), np.ravel(plain), atol=atol)


def test_a_round_in_a_process_of_its_own(speed):
    work = {"task": "predict_singly", "network": "anna", "size": 32, "count": 2}
    found, machine = speed.in_two_processes(work, rounds=1)
    assert found["ours"] > 0
    assert found["plain"] > 0
    assert machine["matrix_rate"] > machine["operations"] > 0


def test_operations_are_those_of_a_convolution(speed_ways):
    image = keras.Input((16, 16, 3), dtype="uint8")
    x = keras.layers.Conv2D(4, 3, padding="same", use_bias=False)(
        keras.layers.Rescaling(1.0)(image)
    )
    expected = 2 * 16 * 16 * 9 * 3 * 4
    assert speed_ways.forwards(keras.Model(image, x)) == pytest.approx(expected, rel=0.1)


def test_the_slowest_cells_of_executed_notebooks(speed, tmp_path):
    notebook = nbformat.v4.new_notebook()
    for number, seconds in enumerate((1, 5)):
        cell = nbformat.v4.new_code_cell(f"step_{number}()\nmore")
        cell.metadata["execution"] = {
            "iopub.execute_input": "2026-01-01T00:00:00Z",
            "shell.execute_reply": f"2026-01-01T00:00:0{seconds}Z",
        }
        notebook.cells.append(cell)
    nbformat.write(notebook, tmp_path / "1_eda.ipynb")
    found = speed.slowest_cells(tmp_path)
    assert found.to_dict("records")[0] == {"notebook": "1_eda", "seconds": 5, "cell": "step_1()"}
    assert len(found) == 2


def test_rates_on_a_gpu_are_of_training_and_prediction(benchmark):
    gpu = benchmark("gpu")
    work = {"network": "anna-2020", "size": 32, "precision": "float32", "batch": 4}
    found = gpu.rates(work | {"cells": 16, "rounds": 1, "side": 64})
    assert min(found.values()) > 0
    assert found["batches alone"] > found["training"]
    assert {name for name in found if "held" in name} == {"training, held", "prediction, held"}
    small, large = (gpu.operations(work | {"size": size}) for size in (32, 64))
    assert 3 < large / small < 4.5


def test_a_gpu_is_asked_each_setting_once(benchmark):
    asked = argparse.Namespace(
        network=["anna", "anna-2020"],
        size=[128],
        batch=[32, 256],
        precision=["mixed_bfloat16", "float32"],
        cells=8,
        rounds=1,
        side=8,
    )
    found = [
        (work["network"], work["batch"], work["precision"])
        for work in benchmark("gpu").works(asked)
    ]
    assert len(found) == len(set(found)) == 8
