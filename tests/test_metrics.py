import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as sk
from scipy.special import expit, logit
from tables import predictions, small

from anna import bootstrap, metrics


def values(found, threshold=0.5):
    return metrics.evaluate(found, threshold, resamples=0)["value"]


def test_a_table_computed_by_hand():
    # 4 ALL of which 3 are called ALL; 2 HEM of which 1 is called ALL.
    found = small([1, 1, 1, 1, 0, 0], [0.9, 0.8, 0.5, 0.3, 0.7, 0.1])
    score = values(found)
    assert score["accuracy"] == pytest.approx(4 / 6)
    assert score["sensitivity"] == score["recall_all"] == pytest.approx(3 / 4)
    assert score["specificity"] == score["recall_hem"] == pytest.approx(1 / 2)
    assert score["fall_out"] == pytest.approx(1 / 2)
    assert score["ppv"] == score["precision_all"] == pytest.approx(3 / 4)
    assert score["npv"] == score["precision_hem"] == pytest.approx(1 / 2)
    assert score["f1_all"] == pytest.approx(3 / 4)
    assert score["f1_hem"] == pytest.approx(1 / 2)
    assert score["weighted_f1"] == pytest.approx((4 * 3 / 4 + 2 * 1 / 2) / 6)
    # Of 8 pairs of ALL and HEM, the ALL cell is higher in all but .5 < .7 and .3 < .7.
    assert score["auc"] == pytest.approx(6 / 8)
    # Precision where each ALL cell is reached: 1, 1, 3/4, 4/5.
    assert score["average_precision"] == pytest.approx((1 + 1 + 3 / 4 + 4 / 5) / 4)
    assert score["brier"] == pytest.approx((0.01 + 0.04 + 0.25 + 0.49 + 0.49 + 0.01) / 6)
    # Every cell is alone in its bin.
    assert score["ece"] == pytest.approx((0.1 + 0.2 + 0.5 + 0.7 + 0.7 + 0.1) / 6)


def test_a_probability_at_the_threshold_is_called_all():
    assert values(small([1, 0], [0.5, 0.4]), 0.5)["sensitivity"] == 1


def test_the_calling_of_everything_all_scores_what_is_published():
    # 1,219 ALL and 648 HEM, all called ALL: weighted F1 0.516 (REFERENCE, section 3).
    found = small([1] * 1219 + [0] * 648, [0.9] * 1867)
    score = values(found)
    assert round(score["weighted_f1"], 3) == 0.516
    assert score["sensitivity"] == score["fall_out"] == 1
    assert score["auc"] == 0.5
    assert np.isnan(score["npv"])
    assert score["weighted_precision"] == pytest.approx((1219 / 1867) ** 2)
    assert score["precision_all"] == pytest.approx(1219 / 1867)


def test_the_original_network_scores_what_it_reported():
    # TP 997, FP 530, TN 118, FN 222: accuracy 59.72 %, sensitivity and fall-out 81.79 %.
    outcomes = np.repeat([[1, 1], [0, 1], [0, 0], [1, 0]], [997, 530, 118, 222], axis=0)
    score = values(small(outcomes[:, 0], outcomes[:, 1].astype(float)))
    assert round(score["accuracy"], 4) == 0.5972
    assert round(score["sensitivity"], 4) == round(score["fall_out"], 4) == 0.8179


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.8])
def test_every_score_agrees_with_scikit_learn(seed, threshold):
    found = predictions((4, 5), (10, 40), seed=seed)
    found["probability"] = found["probability"].round(2)  # ties
    label, probability = found["label"].astype(int), found["probability"]
    called = (probability >= threshold).astype(int)
    score = values(found, threshold)
    for name, positive in (("all", 1), ("hem", 0)):
        for kind in ("precision", "recall", "f1"):
            expected = getattr(sk, f"{kind}_score")(label, called, pos_label=positive)
            assert score[f"{kind}_{name}"] == pytest.approx(expected)
    for kind in ("precision", "recall", "f1"):
        expected = getattr(sk, f"{kind}_score")(label, called, average="weighted")
        assert score[f"weighted_{kind}"] == pytest.approx(expected)
    assert score["accuracy"] == pytest.approx(sk.accuracy_score(label, called))
    assert score["auc"] == pytest.approx(sk.roc_auc_score(label, probability))
    assert score["average_precision"] == pytest.approx(
        sk.average_precision_score(label, probability)
    )
    assert score["brier"] == pytest.approx(sk.brier_score_loss(label, probability))


def arrays(found):
    person, _ = pd.factorize(found["group"])
    label = found["label"].to_numpy(dtype=int)
    return {"person": person, "label": label, "probability": found["probability"].to_numpy()}


def test_resampled_scores_agree_with_scikit_learn_weights():
    found = predictions((5, 6), (10, 40), seed=3)
    found["probability"] = found["probability"].round(2)
    cells = arrays(found)
    weights = bootstrap.draw_people(found.groupby("group", sort=False)["label"].first(), 5, 1)
    drawn = bootstrap.scores(cells, weights, threshold=0.4, bins=10)
    label, probability = cells["label"], cells["probability"]
    for row, people in enumerate(weights):
        weight = {"sample_weight": people[cells["person"]]}
        called = probability >= 0.4
        expected = {
            "auc": sk.roc_auc_score(label, probability, **weight),
            "average_precision": sk.average_precision_score(label, probability, **weight),
            "brier": sk.brier_score_loss(label, probability, **weight),
            "weighted_f1": sk.f1_score(label, called, average="weighted", **weight),
            "npv": sk.precision_score(label, called, pos_label=0, **weight),
        }
        for name, value in expected.items():
            assert drawn[name][row] == pytest.approx(value), name
        copies = found.loc[found.index.repeat(weight["sample_weight"].astype(int))]
        assert drawn["ece"][row] == pytest.approx(values(copies, 0.4)["ece"])


def test_weights_of_one_give_the_plain_scores():
    found = predictions((3, 4))
    ones = np.ones((1, found["group"].nunique()))
    drawn = bootstrap.scores(arrays(found), ones, threshold=0.5, bins=metrics.BINS)
    plain = values(found)
    assert list(drawn) == list(metrics.METRICS) == list(plain.index)
    for name in metrics.METRICS:
        assert drawn[name][0] == pytest.approx(plain[name]), name


def test_ranking_does_not_depend_on_how_resamples_are_chunked(monkeypatch):
    found = predictions((3, 3))
    whole = metrics.evaluate(found, resamples=50)
    monkeypatch.setattr(bootstrap, "CHUNK", 7)
    pd.testing.assert_frame_equal(metrics.evaluate(found, resamples=50), whole)


def test_both_classes_keep_their_number_of_people():
    labels = np.array([1, 0, 1, 0, 0])
    weights = bootstrap.draw_people(labels, 100, seed=0)
    assert (weights[:, labels == 1].sum(axis=1) == 2).all()
    assert (weights[:, labels == 0].sum(axis=1) == 3).all()
    assert weights.max() == 3


def covered(people, share, trials=400):
    """How often an interval, of scores of so many people, holds the true mean."""
    rng, hits = np.random.default_rng(0), 0
    for trial in range(trials):
        weights = bootstrap.draw_people(np.ones(people), resamples=1000, seed=trial)
        low, high = np.quantile(weights @ rng.normal(size=people) / people, [share, 1 - share])
        hits += low <= 0 <= high
    return hits / trials


def test_intervals_over_few_people_reach_further():
    assert covered(5, 0.025) < 0.88
    assert covered(5, bootstrap.tail(5, 0.95)) > 0.90
    assert abs(covered(30, bootstrap.tail(30, 0.95)) - 0.95) < 0.025
    assert bootstrap.tail(10_000, 0.95) == pytest.approx(0.025, rel=0.01)


def test_the_rarer_class_decides_how_far_an_interval_reaches():
    drawn = pd.DataFrame(np.arange(1001.0)[:, None].repeat(3, axis=1))
    drawn.columns = ["sensitivity", "specificity", "auc"]
    people = pd.Series([1] * 40 + [0] * 5)
    ends = bootstrap.ends(drawn, people, 0.95)
    assert ends["low"].to_dict() == pytest.approx(
        {
            "sensitivity": 1000 * bootstrap.tail(40, 0.95),
            "specificity": 1000 * bootstrap.tail(5, 0.95),
            "auc": 1000 * bootstrap.tail(5, 0.95),
        }
    )
    assert (ends["low"] + ends["high"]).to_numpy() == pytest.approx(1000)


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_alone_leaves_undefined_scores_undefined(label):
    found = small([label] * 4, [0.9, 0.8, 0.2, 0.6])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = metrics.evaluate(found, resamples=30)
    value = scores["value"]
    right = 3 if label else 1
    assert value["accuracy"] == value["weighted_recall"] == right / 4
    assert np.isnan(value["auc"])
    assert np.isnan(value["specificity" if label else "sensitivity"])
    assert np.isnan(value["average_precision"]) == (label == 0)
    assert np.isfinite(scores.loc["accuracy", ["low", "high"]].astype(float)).all()
    assert scores[scores["value"].isna()][["low", "high"]].isna().all(axis=None)


def test_one_person_has_scores_but_no_interval():
    scores = metrics.evaluate(small([1, 1, 0], [0.9, 0.2, 0.1], ["a", "a", "b"]))
    assert scores.attrs["people"] == 2
    assert scores["value"]["accuracy"] == pytest.approx(2 / 3)
    assert scores[["low", "high"]].isna().all(axis=None)


def test_cells_without_label_or_probability_are_left_out_and_counted():
    found = small([1, 0, None, 1, 0, 1], [0.9, 0.1, 0.4, np.nan, 0.2, 0.7])
    scores = metrics.evaluate(found, 0.3, resamples=10, level=0.9)
    assert scores.attrs == {
        "threshold": 0.3,
        "cells": 4,
        "people": 4,
        "left_out": 2,
        "resamples": 10,
        "level": 0.9,
        "drawn": False,
    }
    assert scores["value"]["accuracy"] == 1


def test_intervals_are_the_same_for_a_seed_and_hold_the_value():
    found = predictions()
    first, again = metrics.evaluate(found, seed=4), metrics.evaluate(found, seed=4)
    pd.testing.assert_frame_equal(first, again)
    assert not first.equals(metrics.evaluate(found, seed=5))
    assert (first["low"] < first["high"]).all()
    ranked = first.drop(index="ece")
    assert ((ranked["low"] < ranked["value"]) & (ranked["value"] < ranked["high"])).all()


def test_intervals_follow_people_not_cells():
    # Each person is all right or all wrong: 400 cells hold no more than 20 witnesses.
    right = np.random.default_rng(0).random(20) < 0.7
    label = np.repeat(np.arange(20) % 2, 20)
    probability = np.where(np.repeat(right, 20), label, 1 - label).astype(float)
    score = metrics.evaluate(small(label, probability, np.repeat(np.arange(20), 20)))
    width = score.loc["accuracy", "high"] - score.loc["accuracy", "low"]
    assert 0.25 < width < 0.55
    cells = metrics.evaluate(small(label, probability)).loc["accuracy"]
    assert cells["high"] - cells["low"] < width / 3


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    # Right with a chance of its own in each of 30 people, 0.75 on average.
    generator, covered = np.random.default_rng(1), 0
    label = np.repeat(np.arange(30) % 2, 10)
    for seed in range(100):
        skill = np.repeat(generator.beta(6, 2, 30), 10)
        right = generator.random(300) < skill
        found = small(label, np.where(right, label, 1 - label).astype(float), np.arange(300) // 10)
        score = metrics.evaluate(found, resamples=200, seed=seed).loc["accuracy"]
        covered += score["low"] <= 0.75 <= score["high"]
    assert 85 <= covered <= 99


def test_the_threshold_is_the_middle_of_the_best_stretch():
    assert metrics.choose_threshold(small([0, 1], [0.2, 0.8])) == pytest.approx(0.5)
    found = small([0, 0, 1, 1], [0.1, 0.3, 0.4, 0.9])
    assert metrics.choose_threshold(found) == pytest.approx(0.35)


def test_the_widest_of_equally_good_stretches_is_taken():
    # Accuracy 3/4 in (.1, .2], in (.3, .9] and in no other.
    found = small([0, 1, 0, 1], [0.1, 0.2, 0.3, 0.9])
    assert metrics.choose_threshold(found, metric="accuracy") == pytest.approx(0.6)


def test_neighbouring_equally_good_stretches_are_one():
    # Sensitivity is 1 up to 0.6, whatever the healthy cells below it.
    found = small([0, 0, 1], [0.2, 0.4, 0.6])
    assert metrics.choose_threshold(found, metric="sensitivity") == pytest.approx(0.3)


@pytest.mark.parametrize("metric", ["weighted_f1", "accuracy", "f1_hem"])
@pytest.mark.parametrize("seed", range(3))
def test_no_threshold_is_better_than_the_chosen_one(metric, seed):
    found = predictions((4, 4), (5, 30), seed=seed, role="valid", skill=0.5)
    found["probability"] = found["probability"].astype("float32")
    best = values(found, metrics.choose_threshold(found, metric=metric))[metric]
    grid = np.concatenate([np.linspace(0, 1, 201), found["probability"]])
    others = [bootstrap_free_score(found, threshold, metric) for threshold in grid]
    assert best >= max(others) - 1e-9


def test_with_a_margin_a_lead_that_is_luck_is_given_up_for_a_half():
    found = predictions((8, 8), (20, 21), seed=0, role="valid", skill=0.6)
    best, steady = (metrics.choose_threshold(found, margin=margin) for margin in (0, 1))
    assert abs(steady - 0.5) < abs(best - 0.5)
    shifted = found.assign(probability=expit(logit(found["probability"]) + 3))
    moved = metrics.choose_threshold(shifted, margin=1)
    assert moved > 0.7  # no luck: a half would call nearly all
    error = metrics.evaluate(shifted, moved).loc["weighted_f1"]
    top = values(shifted, metrics.choose_threshold(shifted))["weighted_f1"]
    assert top - (error["high"] - error["low"]) < error["value"] <= top


def test_with_a_margin_the_threshold_is_steadier_and_serves_new_people_better():
    options = {"cells": (10, 11), "skill": 0.6}
    few = [predictions((6, 6), seed=seed, role="valid", **options) for seed in range(30)]
    many = predictions((40, 40), seed=1000, **options)
    chosen = [[metrics.choose_threshold(found, margin=m) for found in few] for m in (0, 1)]
    best, steady = ([values(many, t)["weighted_f1"] for t in each] for each in chosen)
    assert np.std(chosen[1]) < 0.6 * np.std(chosen[0])
    assert np.mean(steady) > np.mean(best)


def test_where_one_stretch_is_right_a_margin_changes_nothing():
    found = small([0, 0, 1, 1], [0.1, 0.2, 0.25, 0.9], [1, 2, 3, 4])
    assert metrics.choose_threshold(found, margin=1) == pytest.approx(0.225)


@pytest.mark.parametrize("metric", ["weighted_f1", "ppv", "specificity"])
def test_a_margin_bears_certain_probabilities_and_scores_without_a_value(metric):
    found = small([0, 1, 0, 1, 1], [0.0, 0.3, 0.7, 1.0, 1.0])
    threshold = metrics.choose_threshold(found, metric=metric, margin=1)
    best = values(found, metrics.choose_threshold(found, metric=metric))[metric]
    assert 0 < threshold <= 1
    assert values(found, threshold)[metric] <= best


def bootstrap_free_score(found, threshold, metric):
    label, called = found["label"].astype(int), (found["probability"] >= threshold).astype(int)
    if metric == "accuracy":
        return sk.accuracy_score(label, called)
    if metric == "f1_hem":
        return sk.f1_score(label, called, pos_label=0)
    return sk.f1_score(label, called, average="weighted")


def test_certain_probabilities_leave_a_usable_threshold():
    found = small([0, 0, 1], [0.0, 1.0, 1.0])
    threshold = metrics.choose_threshold(found, metric="specificity")
    assert threshold == pytest.approx(0.5)
    assert values(found, threshold)["specificity"] == 0.5


def test_the_test_set_chooses_no_threshold():
    found = small([0, 1], [0.2, 0.8])
    found.loc[1, "role"] = "test"
    with pytest.raises(ValueError, match="1 rows of role test"):
        metrics.choose_threshold(found)


def test_a_threshold_needs_both_classes_and_a_known_metric():
    with pytest.raises(ValueError, match="only ALL"):
        metrics.choose_threshold(small([1, 1], [0.2, 0.8]))
    with pytest.raises(ValueError, match="'auc'"):
        metrics.choose_threshold(small([0, 1], [0.2, 0.8]), metric="auc")


def test_confusion_has_truth_in_rows():
    found = small([1, 1, 1, 0, 0, None], [0.9, 0.8, 0.1, 0.7, 0.2, 0.5])
    table = metrics.confusion(found, 0.5)
    assert table.loc["ALL", "ALL"] == 2
    assert table.loc["ALL", "HEM"] == 1
    assert table.loc["HEM", "ALL"] == 1
    assert table.loc["HEM", "HEM"] == 1


def test_the_report_is_scikit_learns():
    found = predictions((3, 4))
    label, called = found["label"].astype(int), (found["probability"] >= 0.5).astype(int)
    expected = sk.classification_report(
        label, called, target_names=["HEM", "ALL"], output_dict=True
    )
    report = metrics.classification_report(found, 0.5)
    assert list(report.index) == ["HEM", "ALL", "accuracy", "macro avg", "weighted avg"]
    assert report.loc["HEM", "precision"] == expected["HEM"]["precision"]
    assert report.loc["weighted avg", "f1-score"] == expected["weighted avg"]["f1-score"]
    assert report.loc["accuracy", "f1-score"] == pytest.approx(expected["accuracy"])
    assert report.loc["ALL", "support"] == (found["label"] == 1).sum()


def test_subjects_are_people_with_their_names():
    found = small([1, 1, 1, 0], [0.9, 0.2, 0.4, 0.1], ["20+21", "20+21", "5", "H1"])
    found["subject"] = ["20", "21", "5", "H1"]
    table = metrics.by_subject(found, 0.4)
    assert list(table["subject"]) == ["5", "20 = 21", "H1"]
    assert list(table["accuracy"]) == [1, 0.5, 1]
    assert list(table["cells"]) == [1, 2, 1]
    assert table["mean_probability"][1] == pytest.approx(0.55)


def test_calibration_bins_hold_their_lower_edge():
    found = small([0, 1, 1, 0, 1], [0.0, 0.1, 0.19, 0.95, 1.0])
    table = metrics.calibration(found)
    assert list(table["cells"]) == [1, 2, 0, 0, 0, 0, 0, 0, 0, 2]
    assert table["mean_probability"][1] == pytest.approx(0.145)
    assert list(table["observed"].dropna()) == [0, 1, 0.5]
    assert table["high"].iloc[-1] == 1
    with pytest.raises(ValueError, match="bins=0"):
        metrics.calibration(found, 0)


def test_compare_writes_value_and_interval():
    scores = metrics.evaluate(predictions((3, 3)), resamples=20)
    scores.loc["auc"] = 0.9123, 0.881, 0.939
    scores.loc["npv"] = np.nan
    scores.loc["ppv"] = 0.5, np.nan, np.nan
    table = metrics.compare({"anna": scores, "again": scores}, ["auc", "npv", "ppv"])
    assert list(table["anna"]) == ["0.912 [0.88, 0.94]", "–", "0.500"]
    assert list(table.columns) == ["anna", "again"]
    with pytest.raises(ValueError, match="nonsense"):
        metrics.compare({"anna": scores}, ["nonsense"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"label": [2, 0]}, "0 or 1. Received: 2"),
        ({"probability": [1.5, 0.2]}, "0..1. Received: 1.5"),
        ({"probability": [-0.1, 0.2]}, "0..1. Received: -0.1"),
        ({"group": [None, "b"]}, "1 cells without one"),
        ({"label": [None, None]}, "2 rows"),
    ],
)
def test_a_table_that_cannot_be_scored_is_refused_by_its_value(change, words):
    with pytest.raises(ValueError, match=words):
        metrics.evaluate(small([1, 0], [0.9, 0.2]).assign(**change))


def test_settings_out_of_range_and_missing_columns_are_refused():
    found = small([1, 0], [0.9, 0.2])
    with pytest.raises(ValueError, match=r"threshold=1\.2"):
        metrics.evaluate(found, 1.2)
    with pytest.raises(ValueError, match="level=95"):
        metrics.evaluate(found, level=95)
    with pytest.raises(ValueError, match=r"lack columns \['group'\]"):
        metrics.evaluate(found.drop(columns="group"))
    with pytest.raises(ValueError, match=r"lack columns \['role'\]"):
        metrics.choose_threshold(found.drop(columns="role"))


def test_the_table_given_is_left_as_it_was():
    found = predictions((3, 3))
    before = found.copy()
    metrics.evaluate(found, resamples=5)
    metrics.by_subject(found, 0.5)
    pd.testing.assert_frame_equal(found, before)
