"""The two halves of a probe's network say together what the whole says, and learn as one."""

import numpy as np
import pandas as pd
import pytest

import anna
from anna import halves, probe

pytestmark = pytest.mark.backend


@pytest.fixture(scope="module")
def cells():
    """Discs of noise on black, uint8 (4, 64, 64, 3)."""
    rng = np.random.default_rng(0)
    far = np.hypot(*np.mgrid[-32:32, -32:32])
    inside = far < np.array([20, 24, 28, 22])[:, None, None]
    return (rng.integers(40, 220, (4, 64, 64, 3)) * inside[..., None]).astype(np.uint8)


@pytest.fixture
def network(cells):
    """A network that a probe was put into, and the probe."""
    model = probe.build(64)
    found = probe.features(model, cells, progress=False)
    weights = np.random.default_rng(1).normal(0, 0.03, found.shape[1])
    learnt = probe.Probe(weights / found.std(axis=0).clip(1e-9), 0.3)
    probe.put(model, learnt)
    return model, learnt


def kept(model, learnt, cells):
    maps = halves.before(model).predict(cells, verbose=0)
    other = halves.others(model, learnt, probe.features(model, cells, progress=False))
    other = np.broadcast_to(other[:, None, None, None], (*maps.shape[:3], 1))
    return np.concatenate([maps, other], axis=-1).astype(np.float32)


def test_the_halves_say_what_the_whole_says(network, cells):
    model, learnt = network
    whole = anna.predict.probabilities(model, cells)
    assert np.ptp(whole) > 0.01
    found = halves.after(model).predict(kept(model, learnt, cells), verbose=0)[:, 0]
    np.testing.assert_allclose(found, whole, atol=1e-4)


def test_what_the_second_half_learns_the_whole_has_learnt(network, cells, tmp_path):
    model, learnt = network
    before = anna.predict.probabilities(model, cells)
    probe.loosen(model)
    seen, second = kept(model, learnt, cells), halves.after(model)
    table = pd.DataFrame({name: list("abcd") for name in ("name", "subject", "group")})
    table = table.assign(label=pd.array([0, 1, 0, 1], "Int64"), drawn=True, role="train")
    options = {"epochs": 2, "schedule": "cosine", "learning_rate": 1e-3, "progress": False}
    anna.training.fit(second, seen, table, folder=tmp_path / "run", **options)
    after = anna.predict.probabilities(model, cells)
    assert np.abs(after - before).max() > 1e-3
    np.testing.assert_allclose(second.predict(seen, verbose=0)[:, 0], after, atol=1e-4)


def test_what_goes_round_the_cut_is_the_finer_levels_and_the_size(network, cells):
    model, learnt = network
    found = probe.features(model, cells, progress=False)
    widths = [
        model.get_layer(f"evidence_{s}_{t}").kernel.shape[2]
        for s in probe.SIGHTS
        for t in probe.LEVELS
    ]
    of = np.append(np.repeat([t for _ in probe.SIGHTS for t in probe.LEVELS], widths), "size")
    kept = np.isin(of, ["block1", "block4", "size"])
    expected = (found[:, kept] * learnt.weights[kept]).sum(axis=1) + learnt.offset
    np.testing.assert_allclose(halves.others(model, learnt, found), expected)
