import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from anna import devices, models
from anna.backend import several
from anna.batches import Batches, class_weights

pytestmark = pytest.mark.backend
spreads = pytest.mark.skipif(
    keras.backend.backend() == "torch", reason="Keras trains on one device under PyTorch"
)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """The folder in which two_devices.py has trained, and what it wrote, in a process of its own.

    A process that has used its processor can no longer split it.
    """
    folder = tmp_path_factory.mktemp("two")
    command = [sys.executable, Path(__file__).with_name("two_devices.py"), folder]
    changed = {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
    }
    done = subprocess.run(
        command, env=os.environ | changed, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder, json.loads((folder / "found.json").read_text())


def weights(folder):
    return models.load(folder / "last.keras").get_weights()


@spreads
def test_two_devices_teach_as_one_and_a_run_goes_on_over_others(two):
    folder, found = two
    one, other = found["histories"]["one"], found["histories"]["one, two, one"]
    assert (one["new"], other["new"]) == (2, 1)
    for column in set(one) - {"new"}:
        np.testing.assert_allclose(other[column], one[column], rtol=1e-4, err_msg=column)
    pairs = zip(weights(folder / "one"), weights(folder / "one, two, one"), strict=True)
    for expected, weight in pairs:
        np.testing.assert_allclose(weight, expected, rtol=1e-3, atol=1e-5)


@spreads
def test_batches_that_do_not_divide_teach_and_validate_the_same(two):
    folder, found = two
    one, other = found["histories"]["odd, one"], found["histories"]["odd, two"]
    assert other["val_loss"] == pytest.approx(one["val_loss"], rel=1e-5)
    assert other["loss"] == pytest.approx(one["loss"], rel=1e-2)
    pairs = zip(weights(folder / "odd, one"), weights(folder / "odd, two"), strict=True)
    for expected, weight in pairs:
        np.testing.assert_allclose(weight, expected, rtol=1e-3, atol=1e-5)


@spreads
def test_gradients_are_clipped_as_those_of_the_whole_batch(two):
    one, other = (weights(two[0] / f"clipped, {count}") for count in ("one", "two"))
    for expected, weight in zip(one, other, strict=True):
        np.testing.assert_allclose(weight, expected, rtol=1e-4, atol=1e-6)


@spreads
def test_a_step_too_large_on_one_device_alone_is_left_out(two):
    one, other = two[1]["after"].values()
    assert one == other
    steps, scale, finite = other
    assert (steps, scale, finite) == (2, 2**14, True)


@spreads
def test_a_network_of_two_devices_judges_as_its_file_does(two):
    assert two[1]["judged apart by"] < 1e-6


@spreads
def test_what_cannot_be_spread_is_refused(two):
    many, outside = two[1]["refused"]
    assert "Received: 3" in many
    assert "inside `with anna.devices.spread" in outside
    assert "small, built for 1, in use 2" in outside


def test_one_device_is_nothing_special():
    with devices.spread(1) as count:
        assert count == several.replicas() == 1
    for wrong in (0, "some"):
        with pytest.raises(ValueError, match=rf"Received: {wrong!r}"), devices.spread(wrong):
            pass


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="the others can")
def test_pytorch_says_what_to_use_instead():
    with (
        pytest.raises(ValueError, match=r"KERAS_BACKEND=tensorflow or jax.*Received: torch"),
        devices.spread("all"),
    ):
        pass


@pytest.mark.parametrize("batch_size", [4, 5, 7])
def test_what_is_filled_in_weighs_nothing(monkeypatch, batch_size):
    monkeypatch.setattr(several, "replicas", lambda: 4)
    labels = np.array([1.0] * 9 + [0.0] * 4)
    loss = np.linspace(0, 1, 13)
    pixels = np.arange(13, dtype=np.uint8)[:, None, None, None]
    plain = Batches(pixels, labels, np.arange(13), batch_size=batch_size, seed=0)
    weigh = class_weights(plain)
    shared, whole = devices.Shared(plain, weigh), devices.Shared(plain, whole=True)
    seen, total = [], 0.0
    for number in range(len(plain)):
        rows, truth, weight = shared[number]
        assert len(rows) % 4 == 0
        real = plain[number][0].ravel()
        expected = [loss[row] * weigh[labels[row]] for row in real]
        assert (loss[rows.ravel()] * weight).mean() == pytest.approx(np.mean(expected))
        np.testing.assert_array_equal(truth[:, 0], labels[rows.ravel()])
        seen += rows.ravel()[weight > 0].tolist()
        total += (loss[whole[number][0].ravel()] * whole[number][2]).sum() / whole.filled.sum()
    assert sorted(seen) == list(range(13))
    assert total == pytest.approx(loss.mean())
    before = shared[0][0].ravel().tolist()
    shared.on_epoch_end()
    assert shared[0][0].ravel().tolist() != before
