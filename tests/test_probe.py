"""The linear probe: what is found on channels' means is what the network's map says."""

import keras
import numpy as np
import pytest

import anna
from anna import probe

pytestmark = pytest.mark.backend


@pytest.fixture(scope="module")
def cells():
    """Discs of noise on black, uint8 (3, 128, 128, 3)."""
    rng = np.random.default_rng(0)
    far = np.hypot(*np.mgrid[-64:64, -64:64])
    inside = far < np.array([40, 48, 56])[:, None, None]
    return (rng.integers(40, 220, (3, 128, 128, 3)) * inside[..., None]).astype(np.uint8)


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    return probe.build(128)


@pytest.fixture(scope="module")
def learnt(network, cells):
    found = probe.features(network, cells, progress=False)
    weights = np.random.default_rng(1).normal(0, 0.005, found.shape[1])
    return probe.Probe(weights / found.std(axis=0).clip(1e-9), 0.3)


def odds(probability):
    return np.log(probability / (1 - probability))


def test_the_network_says_what_the_probe_found(network, cells, learnt):
    probe.put(network, learnt)
    expected = learnt.log_odds(probe.features(network, cells, progress=False))
    found = odds(anna.predict.probabilities(network, cells, batch_size=3))
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_the_mean_of_the_evidence_and_the_size_are_the_call(network, cells, learnt):
    probe.put(network, learnt)
    maps = anna.predict.maps(network, cells)
    assert maps["evidence"].shape == maps["mask"].shape == (3, 32, 32)
    weight = maps["mask"] / maps["mask"].sum((1, 2), keepdims=True)
    share = (cells > 8).any(axis=-1).mean(axis=(1, 2))
    found = (weight * maps["evidence"]).sum((1, 2)) + learnt.weights[-1] * np.log(share)
    expected = odds(anna.predict.probabilities(network, cells, batch_size=3))
    np.testing.assert_allclose(found + learnt.offset, expected, atol=1e-2)


def test_it_reads_the_cell_at_half_the_resolution_too(network, cells):
    half = cells.astype(np.float32).reshape(3, 64, 2, 64, 2, 3).mean((2, 4))
    maps = network.get_layer("backbone").predict_on_batch(half)
    found = probe.features(network, cells, progress=False)
    start = (found.shape[1] - 1) // 2  # the whole resolution comes first
    inside = (cells > 8).any(axis=-1).astype(np.float32)
    for level, (share, seen) in enumerate(zip(probe.LEVELS.values(), maps, strict=True)):
        side, width = 64 // share, seen.shape[-1]
        tap = probe.TAPS[len(probe.TAPS) // 2 + level]
        assert (tap.scale, tap.sight, tap.share) == (2, "raw", 2 * share)
        weight = inside.reshape(3, side, 2 * share, side, 2 * share).mean((2, 4))[..., None]
        expected = (weight * seen).sum((1, 2)) / weight.sum((1, 2))
        read = found[:, start : start + width]
        np.testing.assert_allclose(read, expected, atol=0.01 * np.abs(expected).max())
        start += width


def test_the_centred_sight_does_not_see_how_strong_the_stain_is(network, cells):
    dim = (cells * 0.6).round().astype(np.uint8)
    seen = keras.Model(network.input, probe._centred(*network.get_layer("density").output))
    first, second = (np.asarray(seen(each)) for each in (cells, dim))
    assert np.abs(first - second).mean() < 2 < np.abs(cells - dim.astype(float)).mean() / 3
    inside = first[0][(cells[0] > 8).any(axis=-1)]
    np.testing.assert_allclose(np.exp(np.log(inside).mean(axis=0)), probe.GREY, rtol=0.05)
    assert (first[0][(cells[0] == 0).all(axis=-1)] == 0).all()


def test_views_and_calibration_go_around_it(network, cells, learnt):
    probe.put(network, learnt)
    known = anna.calibration.Calibration(2.0, -0.5)
    joined = anna.ensemble.join([network], views=2, calibration=known)
    views = [cells, cells[:, :, ::-1]]
    each = [learnt.log_odds(probe.features(network, view, progress=False)) for view in views]
    found = odds(anna.predict.probabilities(joined, cells, batch_size=3))
    np.testing.assert_allclose(found, np.mean(each, axis=0) / 2 - 0.5, atol=1e-3)


def planted(rng, shift=0.0):
    """Four people, 60 cells each: channel 1 tells the classes apart, the last is the size."""
    people = np.repeat(["p", "q", "r", "s"], 60)
    labels = np.repeat([1, 0, 1, 0], 60)
    found = rng.normal(size=(240, 5))
    found[:, 1] += 2 * labels + shift
    return found[None], labels, people


def test_it_finds_what_tells_the_classes_apart():
    found, labels, people = planted(np.random.default_rng(0))
    learnt = probe.fit(found, labels, people, strength=0.1)
    assert np.argmax(np.abs(learnt.weights)) == 1
    unseen, truth, _ = planted(np.random.default_rng(1))
    assert ((learnt.log_odds(unseen[0]) > 0) == truth).mean() > 0.8


def test_a_weaker_penalty_gives_larger_weights():
    data = planted(np.random.default_rng(0))
    fits = probe.fits(*data, strengths=(1e-4, 1e-2, 1.0))
    sizes = [np.linalg.norm(each.weights[:-1]) for each in fits]
    assert sizes[0] < sizes[1] < sizes[2]
    alone = probe.fit(*data, strength=1e-2)
    np.testing.assert_array_equal(fits[1].weights, alone.weights)
    assert fits[1].offset == alone.offset


def test_the_same_cells_twice_teach_the_same():
    found, labels, people = planted(np.random.default_rng(0))
    once = probe.fit(found, labels, people, strength=0.1)
    twice = probe.fit(np.concatenate([found, found]), labels, people, strength=0.1)
    np.testing.assert_allclose(twice.weights, once.weights, atol=1e-3)
    assert twice.offset == pytest.approx(once.offset, abs=1e-2)


def test_it_goes_less_by_what_differs_between_people_of_a_class():
    found, labels, people = planted(np.random.default_rng(0))
    found[0, people == "p", 2] += 6
    found[0, people == "r", 2] += 2
    free = probe.fit(found, labels, people, strength=0.1, alike=0.0)
    tied = probe.fit(found, labels, people, strength=0.1, alike=100.0)
    assert free.weights[2] > 0.3
    assert abs(tied.weights[2]) < abs(free.weights[2]) / 3
    assert tied.weights[1] > free.weights[1] / 3


def test_it_goes_less_by_what_disturbance_changes():
    found, labels, people = planted(np.random.default_rng(0))
    found[0, :, 2] += 2 * labels  # tells the classes apart as well as channel 1, but is not steady
    changes = np.zeros((40, 5))
    changes[:, 2] = np.random.default_rng(1).normal(0, 2, 40)
    plain = probe.fit(found, labels, people, strength=0.1)
    free = probe.fit(found, labels, people, strength=0.1, changes=changes, steady=0.0)
    tied = probe.fit(found, labels, people, strength=0.1, changes=changes, steady=50.0)
    np.testing.assert_array_equal(free.weights, plain.weights)
    assert abs(tied.weights[2]) < abs(free.weights[2]) / 3
    assert tied.weights[1] > free.weights[1]


def test_the_size_is_added_as_evidence_by_itself():
    found, labels, people = planted(np.random.default_rng(0))
    found[0, :, -1] += 2 * labels
    found[0, :, 0] = found[0, :, -1]  # the same once more among the channels
    learnt = probe.fit(found, labels, people, strength=0.1)
    alone = probe.fit(found[..., [3, 4]], labels, people, strength=0.1)
    assert learnt.weights[-1] == pytest.approx(alone.weights[-1], rel=1e-3)
    assert learnt.weights[0] > 0.3


def test_classes_weigh_alike_whatever_their_number():
    found, labels, people = planted(np.random.default_rng(0))
    kept = np.r_[0:240:1][(labels == 1) | (np.arange(240) % 6 == 0)]
    learnt = probe.fit(found[:, kept], labels[kept], people[kept], strength=0.1)
    assert abs(learnt.log_odds(found[0]).mean()) < 0.5


def test_both_classes_are_needed():
    found, labels, people = planted(np.random.default_rng(0))
    with pytest.raises(ValueError, match="Both classes"):
        probe.fit(found[:, labels == 1], labels[labels == 1], people[labels == 1], strength=1)


def test_the_size_must_fit():
    with pytest.raises(ValueError, match="divisible by 64"):
        probe.build(160)
