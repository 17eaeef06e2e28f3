"""What needs no network scores as it must."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from anna import baselines, cnmc, facts, features, metrics

COLUMNS = ["name", "subject", "group", "role", "label", "drawn", "probability"]


def perfect(labels):
    """Predictions of a model that is always right."""
    people = [f"p{row}" for row in range(len(labels))]
    found = pd.DataFrame({"name": people, "subject": people, "group": people, "label": labels})
    found["label"] = found["label"].astype("Int64")
    return found.assign(role="test", drawn=False, probability=found["label"].astype(float))


def area_by_pillow(path):
    left, top, right, bottom = Image.open(path).convert("RGB").getbbox()
    return (right - left) * (bottom - top)


def test_size_alone_ranks_by_the_boxs_area(cells):
    found = baselines.size_alone(cells)
    assert list(found.columns) == COLUMNS
    assert found.index.equals(cells.index)
    areas = cells["path"].map(area_by_pillow)
    assert spearmanr(areas, found["probability"]).statistic == pytest.approx(1)
    assert found["probability"].between(0, 1).all()


def test_size_alone_tells_something_on_people_it_has_not_seen(cells):
    found = baselines.size_alone(cells)
    tested = found[found["role"] == "test"]
    assert roc_auc_score(tested["label"].astype(int), tested["probability"]) > 0.6


def test_size_alone_learns_from_training_people_only(cells):
    first = baselines.size_alone(cells)
    turned = cells.copy()
    others = turned["role"].isin(["valid", "test"])
    turned.loc[others, "label"] = 1 - turned.loc[others, "label"]
    np.testing.assert_array_equal(baselines.size_alone(turned)["probability"], first["probability"])
    turned.loc[~others, "label"] = 1 - turned.loc[~others, "label"]
    assert not np.allclose(baselines.size_alone(turned)["probability"], first["probability"])


def test_an_image_that_cannot_be_read_does_not_stop_it(cells, tmp_path):
    broken = cells.copy()
    broken.loc[broken.index[-1], "path"] = str(tmp_path / "missing.bmp")
    assert baselines.size_alone(broken)["probability"].notna().all()


def test_the_forest_tells_people_it_has_not_seen(cells):
    found = baselines.forest(cells, progress=False)
    assert list(found.columns) == COLUMNS
    assert found.index.equals(cells.index)
    assert found["probability"].between(0, 1).all()
    tested = found[found["role"] == "test"]
    assert roc_auc_score(tested["label"].astype(int), tested["probability"]) > 0.6


def test_the_forest_learns_from_training_people_only(cells):
    first = baselines.forest(cells, progress=False)
    turned = cells.copy()
    others = turned["role"].isin(["valid", "test"])
    turned.loc[others, "label"] = 1 - turned.loc[others, "label"]
    second = baselines.forest(turned, progress=False)
    np.testing.assert_array_equal(second["probability"], first["probability"])
    turned.loc[~others, "label"] = 1 - turned.loc[~others, "label"]
    third = baselines.forest(turned, progress=False)
    assert not np.allclose(third["probability"], first["probability"])


def made_up(monkeypatch, *, rare):
    """Cells whose darkness alone tells ALL, with a share of HEM; half of them learn."""
    generator = np.random.default_rng(0)
    label = (generator.random(600) >= rare).astype(int)
    values = pd.DataFrame(generator.normal(size=(600, 15)), columns=list(features.FEATURES))
    values["green_mean"] -= 1.5 * label
    table = pd.DataFrame({"label": label, "role": ["train", "test"] * 300})
    monkeypatch.setattr(features, "of", lambda *_, **__: values)
    return table.assign(name="", subject="", group="", drawn=False)


def test_the_forest_finds_what_size_does_not_tell(monkeypatch):
    found = baselines.forest(made_up(monkeypatch, rare=0.5))
    tested = found[found["role"] == "test"]
    assert roc_auc_score(tested["label"], tested["probability"]) > 0.75


def test_the_forest_weighs_both_classes_alike(monkeypatch):
    found = baselines.forest(made_up(monkeypatch, rare=0.15))
    tested = found[found["role"] == "test"]
    assert tested["label"].mean() > 0.8
    by_class = tested.groupby("label")["probability"].mean()
    share = tested["label"].mean()
    assert by_class.mean() < share - 0.1  # near the share without the weights


def test_the_seed_makes_the_forest(monkeypatch):
    table = made_up(monkeypatch, rare=0.5)
    first, again, other = (baselines.forest(table, seed=seed) for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(first, again)
    assert not np.allclose(first["probability"], other["probability"])


def test_the_forest_passes_over_an_image_that_cannot_be_read(cells, tmp_path):
    broken = cells.copy()
    for row in (broken.index[0], broken.index[-1]):
        broken.loc[row, "path"] = str(tmp_path / "missing.bmp")
    assert baselines.forest(broken, progress=False)["probability"].notna().all()


def test_size_over_people_judges_everyone_by_others(cells, monkeypatch):
    """A person whose cells are the only ones of their kind cannot be known from others."""
    people = {"1": (1, 50), "2": (1, 50), "3": (1, 10), "H1": (0, 20), "H2": (0, 20), "H3": (0, 20)}
    rows = [(person, label, side) for person, (label, side) in people.items() for _ in range(20)]
    table = pd.DataFrame(rows, columns=["group", "label", "side"])
    table = table.assign(name="", subject=table["group"], role="train", drawn=False)
    sides = {"box_width": table["side"], "box_height": table["side"]}
    monkeypatch.setattr(facts, "of", lambda *_, **__: pd.DataFrame(sides))
    found = baselines.size_over_people(table, k=5)
    assert list(found.columns) == COLUMNS
    assert set(found["role"]) == {"valid"}
    mean = found.groupby("group")["probability"].mean()
    assert mean["3"] < 0.1
    assert mean[["1", "2"]].min() > mean[["H1", "H2", "H3"]].max()


def test_size_over_people_of_the_sample(cells):
    labelled = cells[cells["label"].notna() & (cells["split"] == "train")]
    found = baselines.size_over_people(labelled)
    assert found.index.equals(labelled.index)
    assert found["probability"].between(0, 1).all()


def test_all_positive_on_the_preliminary_set():
    """Weighted F1 by hand: F1 of ALL is 2·1219/(2·1219+648), of HEM 0; ALL weighs 1219/1867."""
    found = baselines.all_positive(perfect([1] * 1219 + [0] * 648))
    scores = metrics.evaluate(found, 0.5, resamples=0)["value"]
    want = 1219 / 1867 * (2 * 1219 / (2 * 1219 + 648))
    assert scores["weighted_f1"] == pytest.approx(want)
    assert round(want, 3) == 0.516
    assert (scores["sensitivity"], scores["fall_out"]) == (1, 1)


def test_a_listing_sorts_numbers_as_text(tmp_path):
    assert baselines.listing_order(12).tolist() == [0, 9, 10, 11, 1, 2, 3, 4, 5, 6, 7, 8]
    for number in range(1, 124):
        (tmp_path / f"{number}.bmp").touch()
    listed = [int(path.stem) - 1 for path in sorted(tmp_path.glob("*.bmp"))]
    assert baselines.listing_order(123).tolist() == listed


def test_reenactment_by_hand():
    """Twelve images: the images listed 1, 10, 11, 12, 2, … meet the labels of 1, 2, 3, 4, 5, …."""
    labels = [1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0]
    calls_ = [1, 0, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0]  # the labels of 1, 10, 11, 12, 2, 3, …, 9
    right = sum(a == b for a, b in zip(labels, calls_, strict=True))
    table = baselines.reenact(perfect(labels), 0.5).set_index("order")
    assert table.loc["by name", ["accuracy", "sensitivity", "fall_out", "auc"]].tolist() == [
        1, 1, 0, 1,
    ]  # fmt: skip
    assert table.loc["in listing order", "accuracy"] == pytest.approx(right / 12)
    assert table.loc["in listing order", "sensitivity"] == pytest.approx(4 / 7)
    assert table.loc["in listing order", "fall_out"] == pytest.approx(3 / 5)


@pytest.mark.parametrize("seed", range(3))
def test_reenactment_goes_by_the_numbers_of_the_files(seed):
    found = perfect(np.random.default_rng(seed).integers(0, 2, 150))
    mixed = found.sample(frac=1, random_state=seed)
    numbers = pd.Series(mixed.index + 1, mixed.index)
    pd.testing.assert_frame_equal(
        baselines.reenact(mixed, 0.5, numbers=numbers), baselines.reenact(found, 0.5)
    )


def test_a_perfect_model_on_the_published_labels(real_cells):
    labels = cnmc.labels(real_cells / cnmc.LABELS)
    numbers = pd.Series([int(file.removesuffix(".bmp")) for file in labels.index])
    table = baselines.reenact(perfect(labels["label"].to_numpy()), 0.5, numbers=numbers)
    table = table.set_index("order")
    assert table.loc["by name", "accuracy"] == 1
    wrong = table.loc["in listing order"]
    assert round(wrong["accuracy"], 3) == 0.560
    assert round(wrong["sensitivity"], 3) == 0.663
    assert round(1 - wrong["fall_out"], 3) == 0.366
