import html
import json

import numpy as np
import outputs
import pytest
from pages import check_page
from sklearn.metrics import roc_auc_score

import anna
from anna import comparison, finished, metrics, paired, plots, report, tables
from anna.card import ROWS


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    return outputs.write(tmp_path_factory.mktemp("a") / "first", pictures=())


@pytest.fixture(scope="module")
def second(tmp_path_factory):
    found = {"anna": outputs.everyone(seed=7, skill=0.6)}
    folder = tmp_path_factory.mktemp("b") / "second"
    return outputs.write(folder, found=found, pictures=(), epochs=3)


@pytest.fixture(scope="module")
def compared(first, second):
    return anna.comparison.of(first, second, resamples=200)


def one(table, run, metric):
    return table[(table["run"] == run) & (table["metric"] == metric)].iloc[0]


def test_each_run_has_the_scores_and_intervals_of_its_results(first, second, compared):
    for folder in (first, second):
        told = finished.read(folder).model("anna")["scores"]
        for metric in metrics.METRICS:
            row = one(compared, folder.name, metric)
            for end in ("value", "low", "high"):
                assert row[end] == pytest.approx(told[metric][end], abs=1e-9), metric


def test_the_difference_is_that_of_the_same_people(first, second, compared):
    a, b = (finished.read(folder).tested("anna") for folder in (first, second))
    row = one(compared, "second", "auc")
    expected = roc_auc_score(b["label"], b["probability"]) - roc_auc_score(
        a["label"], a["probability"]
    )
    assert row["difference"] == pytest.approx(expected)
    people = a["group"].unique()
    label = a.groupby("group")["label"].first()
    generator, gaps = np.random.default_rng(3), []
    for _ in range(80):  # the plain way: draw people, put their cells together, score
        drawn = np.concatenate(
            [generator.choice(people[label[people] == kind], 5) for kind in (0, 1)]
        )
        rows = np.concatenate([np.flatnonzero(a["group"] == person) for person in drawn])
        one_a, one_b = a.iloc[rows], b.iloc[rows]
        gaps.append(
            roc_auc_score(one_b["label"], one_b["probability"])
            - roc_auc_score(one_a["label"], one_a["probability"])
        )
    low, high = np.quantile(gaps, [0.025, 0.975])
    assert row["difference_low"] == pytest.approx(low, abs=0.06)
    assert row["difference_high"] == pytest.approx(high, abs=0.06)
    assert row["difference_low"] < row["difference"] < row["difference_high"] < 0


def test_pairing_makes_the_interval_of_a_small_change_narrow():
    found = outputs.everyone(seed=1, skill=1)
    test = found[found["role"] == "test"]
    near = test.assign(probability=test["probability"] ** 1.01)
    _, other = paired.differences([test, near], [0.5, 0.5], resamples=200)
    gap = other.loc["brier"]
    assert gap["difference_high"] - gap["difference_low"] < 0.1 * (gap["high"] - gap["low"])


def test_a_run_beside_itself_does_not_differ(first):
    table = comparison.of(first, first, resamples=50)
    assert list(dict.fromkeys(table["run"])) == ["first", "first (2)"]
    again = table[table["run"] == "first (2)"]
    ends = again[["difference", "difference_low", "difference_high"]].dropna()
    assert len(ends) == len(metrics.METRICS) and (ends == 0).all(axis=None)
    assert table.attrs["settings"] == []


def test_two_models_of_one_run_can_be_compared(first):
    table = comparison.of(first, first, model=["anna", "size alone"], resamples=50)
    assert set(table["run"]) == {"first anna", "first size alone"}
    assert one(table, "first size alone", "auc")["difference"] < 0


def test_the_order_of_rows_does_not_matter(first, second, compared, tmp_path):
    found = anna.tables.read(second / "csv" / "predictions anna.csv")
    mixed = {"anna": found.sample(frac=1, random_state=0)}
    folder = outputs.write(tmp_path / "second", found=mixed, pictures=())
    again = comparison.of(first, folder, resamples=200)
    for column in ("value", "difference", "difference_low"):
        assert np.allclose(again[column], compared[column], equal_nan=True)


def test_three_runs(first, second):
    table = comparison.of(first, second, first, resamples=20)
    assert one(table, "first (2)", "auc")["difference"] == 0
    assert list(comparison.shown(table)) == [
        "metric", "first", "second", "second, difference", "first (2)", "first (2), difference",
    ]  # fmt: skip


def test_other_people_are_refused(first, tmp_path):
    found = outputs.everyone()
    found["name"] = "other" + found["name"]
    folder = outputs.write(tmp_path / "other", found={"anna": found}, pictures=())
    with pytest.raises(ValueError, match="tested on the same people"):
        comparison.of(first, folder)


def test_drawn_beside_real_is_refused(first, tmp_path):
    folder = outputs.write(tmp_path / "drawn", drawn=True, pictures=())
    with pytest.raises(ValueError, match="drawn and on real"):
        comparison.of(first, folder)


@pytest.mark.parametrize("column", ["group", "label"])
def test_the_same_names_of_other_people_are_refused(first, tmp_path, column):
    found = outputs.everyone()
    place = found.index[found["role"] == "test"][0]
    found.loc[place, column] = "tnobody" if column == "group" else 1 - found.loc[place, "label"]
    folder = outputs.write(tmp_path / "other", found={"anna": found}, pictures=())
    with pytest.raises(ValueError, match=f"1 cells with another {column} in other"):
        comparison.of(first, folder)


def test_the_same_names_of_other_pictures_are_refused(first, tmp_path):
    folder = outputs.write(tmp_path / "other", pictures=())
    facts = tables.read(folder / "csv" / "facts.csv")
    facts["pixel_hash"] = "other" + facts["pixel_hash"]
    tables.write(facts, folder / "csv" / "facts.csv")
    with pytest.raises(ValueError, match=r"not those that were tested.*other"):
        comparison.of(first, folder)
    results = report.read_json(folder / "results.json")
    report.write_json(folder / "results.json", results | {"files": finished.left(folder)})
    with pytest.raises(ValueError, match="another picture in other"):
        comparison.of(first, folder)


def test_fewer_people_are_compared_with_a_warning(first, tmp_path):
    found = outputs.everyone(seed=7)
    gone = found["group"] == "tH0"
    folder = outputs.write(tmp_path / "fewer", found={"anna": found[~gone]}, pictures=())
    with pytest.warns(UserWarning, match=f"first was tested on {gone.sum()} cells more"):
        table = comparison.of(first, folder, resamples=50)
    assert table.attrs["people"] == 9
    told = finished.read(folder).model("anna")["scores"]["auc"]["value"]
    assert one(table, "fewer", "auc")["value"] == pytest.approx(told)
    assert "cells more" in comparison.write_page(tmp_path / "page.html", table).read_text()


def test_predictions_of_another_run_are_refused(first, second, tmp_path):
    folder = outputs.write(tmp_path / "mixed", pictures=())
    stray = (second / "csv" / "predictions anna.csv").read_bytes()
    (folder / "csv" / "predictions anna.csv").write_bytes(stray)
    with pytest.raises(ValueError, match=r"predictions anna\.csv must be of the same run"):
        comparison.of(first, folder)


def test_results_that_do_not_fit_the_schema_are_refused(first, tmp_path):
    folder = outputs.write(tmp_path / "old", pictures=())
    results = json.loads((folder / "results.json").read_text())
    del results["schema_version"]
    (folder / "results.json").write_text(json.dumps(results))
    with pytest.raises(ValueError, match=r"results\.json must fit the schema"):
        comparison.of(first, folder)


def test_misuse_is_told(first, second, tmp_path):
    with pytest.raises(ValueError, match="Two runs or more"):
        comparison.of(first)
    with pytest.raises(ValueError, match="One model a run"):
        comparison.of(first, second, model=["anna"])
    with pytest.raises(ValueError, match=r"Received: anna-2020"):
        comparison.of(first, second, model="anna-2020")
    with pytest.raises(FileNotFoundError, match="Run notebook 4"):
        comparison.of(first, tmp_path / "nowhere")


def test_a_single_person_of_a_class_gives_no_interval(tmp_path):
    found = outputs.everyone()
    alone = found["group"].isin(["tH1", "tH2", "tH3", "tH4"])
    folder = outputs.write(tmp_path / "one", found={"anna": found[~alone]}, pictures=())
    table = comparison.of(folder, folder, resamples=20)
    assert table[["low", "high", "difference_low", "difference_high"]].isna().all(axis=None)
    comparison.write_page(tmp_path / "page.html", table)


def test_the_page_holds_all_and_needs_no_other_file(compared, tmp_path):
    path = comparison.write_page(tmp_path / "page.html", compared)
    text = check_page(path).replace("\N{NO-BREAK SPACE}", " ")
    for row in comparison.shown(compared).to_dict("records"):
        assert all(html.escape(str(value)) in text for value in row.values())
    assert "Not for diagnosis" in text
    assert "settings, runs, anna, settings, epochs" in text
    assert len(comparison.shown(compared)) == len(ROWS)


def test_the_figure_shows_each_run(compared):
    figure = plots.differences(compared)
    scores, gaps = figure.axes
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["first", "second"]
    assert scores.get_yticklabels()[0].get_text() == "weighted F1"
    shown = gaps.lines[1].get_xdata()  # after the line of the first run, which has none
    told = [one(compared, "second", metric)["difference"] for metric in ROWS]
    assert np.allclose(shown, told)
