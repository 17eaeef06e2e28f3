"""Calibrated probabilities mean what they say; only validation people decide how."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import expit, log_expit, logit
from sklearn.metrics import roc_auc_score
from tables import small

from anna import calibration, metrics
from anna.calibration import Calibration


def miscalibrated(temperature, offset, *, count=40_000, seed=0, role="valid"):
    """Predictions whose labels follow log-odds / temperature + offset."""
    generator = np.random.default_rng(seed)
    z = generator.normal(0.3, 2.5, count)
    labels = (generator.random(count) < expit(z / temperature + offset)).astype(int)
    return small(labels, expit(z), role=role)


def calibrated(found, fitted):
    return found.assign(probability=fitted.apply(found["probability"]))


@pytest.mark.parametrize(("temperature", "offset"), [(1, 0), (2.5, -0.7), (0.6, 0.4)])
def test_known_temperature_and_offset_are_found(temperature, offset):
    fitted = calibration.fit(miscalibrated(temperature, offset))
    assert fitted.temperature == pytest.approx(temperature, rel=0.05)
    assert fitted.offset == pytest.approx(offset, abs=0.05)


def test_the_temperature_alone():
    fitted = calibration.fit(miscalibrated(3, 0), offset=False)
    assert fitted.temperature == pytest.approx(3, rel=0.05)
    assert fitted.offset == 0
    assert fitted.apply(0.5) == 0.5


def test_no_other_temperature_and_offset_are_likelier():
    """Against a minimiser of the likelihood of Platt's targets, by hand 4/5 and 1/7."""
    found = small([1, 0, 1, 0, 1, 0, 0, 0], [0.9, 0.8, 0.7, 0.6, 0.4, 0.3, 0.2, 0.1])
    z, target = logit(found["probability"]), np.where(found["label"] == 1, 4 / 5, 1 / 7)

    def unlikely(slope_and_offset):
        line = slope_and_offset[0] * z + slope_and_offset[1]
        return -(target * log_expit(line) + (1 - target) * log_expit(-line)).sum()

    slope, offset = minimize(unlikely, [1, 0], tol=1e-10).x
    fitted = calibration.fit(found)
    assert fitted.temperature == pytest.approx(1 / slope, rel=1e-4)
    assert fitted.offset == pytest.approx(offset, abs=1e-4)


def test_applied_by_hand():
    """Odds of 4 to 1 become 2 to 1 at temperature 2, and 1 to 1 with an offset of -log 2."""
    assert Calibration(2).apply(0.8) == pytest.approx(2 / 3)
    assert Calibration(2, -np.log(2)).apply([0.8, 0.5]) == pytest.approx([1 / 2, 1 / 3])
    values = np.array([0.01, 0.3, 0.99], np.float32)
    np.testing.assert_allclose(Calibration().apply(values), values, rtol=1e-6)


def test_shape_and_index_stay_and_what_is_missing_stays_missing():
    series = pd.Series(np.array([0.2, np.nan, 0.9], np.float32), index=["c", "a", "b"])
    applied = Calibration(2).apply(series)
    assert applied.index.tolist() == ["c", "a", "b"]
    assert applied.dtype == "float64"
    assert applied.isna().tolist() == [False, True, False]
    assert Calibration(2).apply(np.full((2, 3), 0.5)).shape == (2, 3)


@pytest.mark.parametrize("kind", [int, "float32", float])
def test_certain_probabilities_stay_finite(kind):
    applied = Calibration(4, 1).apply(np.array([0, 1], kind))
    edge = np.log(1e7) / 4
    assert applied == pytest.approx([expit(1 - edge), expit(1 + edge)], rel=1e-6)


def test_the_order_stays():
    found = miscalibrated(2.5, -0.7, count=2000)
    after = calibrated(found, calibration.fit(found))
    label = found["label"].astype(int)
    assert roc_auc_score(label, after["probability"]) == roc_auc_score(label, found["probability"])
    assert (found["probability"].rank() == after["probability"].rank()).all()


@pytest.mark.parametrize(("temperature", "offset"), [(3, 0), (1, -1), (2, 0.8)])
def test_other_people_are_better_calibrated(temperature, offset):
    fitted = calibration.fit(miscalibrated(temperature, offset, count=5000))
    others = miscalibrated(temperature, offset, count=5000, seed=1, role="test")
    before, after = (
        metrics.evaluate(found, resamples=0)["value"]
        for found in (others, calibrated(others, fitted))
    )
    assert before["ece"] > 0.08
    assert after["ece"] < 0.03
    assert after["brier"] < before["brier"]


def test_weights_are_how_often_a_row_counts():
    found = miscalibrated(2, 0.5, count=300)
    often = np.random.default_rng(1).integers(0, 4, 300)
    repeated = found.loc[found.index.repeat(often)].reset_index(drop=True)
    weighted, counted = calibration.fit(found, weights=often), calibration.fit(repeated)
    assert weighted.temperature == pytest.approx(counted.temperature, rel=0.01)
    assert weighted.offset == pytest.approx(counted.offset, abs=0.01)
    scaled = calibration.fit(found, weights=pd.Series(often * 10.0))
    assert scaled.temperature == pytest.approx(weighted.temperature)


def test_each_person_may_count_alike():
    """One person of many cells, ALL whatever the probability, moves the offset; alike, hardly."""
    found = miscalibrated(1, 0, count=400)
    found["group"] = [f"p{row % 40}" for row in range(400)]
    heavy = small([1] * 2000, np.linspace(0.1, 0.9, 2000), ["heavy"] * 2000)
    both = pd.concat([found, heavy], ignore_index=True)
    alike = 1 / both.groupby("group")["group"].transform("size")
    cells, people = calibration.fit(both), calibration.fit(both, weights=alike)
    assert cells.offset > 1
    assert abs(people.offset) < 0.5


def test_classes_that_do_not_overlap_stay_finite():
    found = small([0, 0, 0, 1, 1, 1], [0.1, 0.2, 0.3, 0.6, 0.7, 0.9])
    for offset in (True, False):
        fitted = calibration.fit(found, offset=offset)
        assert 0.1 < fitted.temperature < 10
        assert calibrated(found, fitted)["probability"].between(0.05, 0.95).all()


def test_the_test_set_calibrates_nothing():
    found = miscalibrated(1, 0, count=100)
    found.loc[:2, "role"] = "test"
    with pytest.raises(ValueError, match=r"calibrates nothing\. Received: 3 rows of role test"):
        calibration.fit(found)
    with pytest.raises(ValueError, match=r"lack columns \['role'\]"):
        calibration.fit(found.drop(columns="role"))


def test_cells_without_label_or_probability_are_left_out():
    found = miscalibrated(2, 0.5, count=500)
    more = small([None, 1, 0], [0.9, np.nan, np.nan])
    both = pd.concat([more, found], ignore_index=True)
    weights = [9.0] * 3 + [1.0] * 500
    assert calibration.fit(both, weights=weights) == calibration.fit(found)


@pytest.mark.parametrize("offset", [True, False])
def test_a_network_that_ranks_upside_down_has_no_temperature(offset):
    found = small([1, 1, 0, 1, 0, 0], [0.1, 0.3, 0.4, 0.6, 0.8, 0.9])
    with pytest.raises(ValueError, match=r"ALL is no likelier.*a slope of -0\.\d+ over 6 cells"):
        calibration.fit(found, offset=offset)


def test_one_class_or_one_probability_tells_nothing():
    with pytest.raises(ValueError, match=r"both classes. Received: only \['ALL'\]"):
        calibration.fit(small([1, 1], [0.2, 0.8]))
    with pytest.raises(ValueError, match=r"both classes. Received: only \['HEM'\]"):
        calibration.fit(small([1, 0, 0], [0.2, 0.8, 0.3]), weights=[0, 1, 1])
    with pytest.raises(ValueError, match=r"more than one probability. Received: 0\.7"):
        calibration.fit(small([1, 0], [0.7, 0.7]))


@pytest.mark.parametrize(
    ("weights", "match"),
    [
        ([1, 1], r"One weight a row is needed, 3. Received: shape \(2,\)"),
        ([1, -2, 1], r"not negative. Received: -2"),
        ([1, 1, np.nan], r"finite and not negative. Received: nan"),
        (pd.Series([1, 1, 1], index=[2, 1, 0]), r"same index. Received: \[2, 1, 0\]"),
    ],
)
def test_unusable_weights_are_named(weights, match):
    with pytest.raises(ValueError, match=match):
        calibration.fit(small([1, 0, 1], [0.2, 0.8, 0.9]), weights=weights)


@pytest.mark.parametrize("temperature", [0, -1, np.inf, np.nan])
def test_a_temperature_is_positive(temperature):
    with pytest.raises(ValueError, match=f"positive and finite. Received: {temperature}"):
        Calibration(temperature)


def test_offset_and_probabilities_are_in_their_range():
    with pytest.raises(ValueError, match=r"offset must be finite\. Received: nan"):
        Calibration(1, np.nan)
    with pytest.raises(ValueError, match=r"in 0..1. Received: 1\.5"):
        Calibration().apply([0.2, 1.5, np.nan])
    with pytest.raises(ValueError, match=r"in 0..1. Received: -3\.0"):
        Calibration().apply(-3.0)


def test_it_is_frozen_and_survives_json():
    fitted = calibration.fit(miscalibrated(2, 0.5, count=500))
    with pytest.raises(dataclasses.FrozenInstanceError):
        fitted.temperature = 1
    assert Calibration(**json.loads(json.dumps(dataclasses.asdict(fitted)))) == fitted
