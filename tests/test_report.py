import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tables import predictions, small

from anna import metrics, report
from anna.card import ROWS, listing, show, table


def run(*, drawn=False, **settings):
    found = {"anna": predictions((3, 4), drawn=drawn), "anna-2020": predictions((3, 4), seed=1)}
    scores = {name: metrics.evaluate(one, 0.4, resamples=50) for name, one in found.items()}
    data = {
        "counts": pd.DataFrame({"role": ["train", "test"], "ALL": [30, 7], "HEM": [pd.NA, 5]}),
        "set aside": np.int64(2),
    }
    return found, scores, report.results(found, scores, settings=settings, data=data)


def test_what_is_no_number_reads_as_none():
    assert show(float("nan")) == show(None) == "–"


def test_results_hold_every_score_and_survive_json(tmp_path):
    found, scores, results = run(epochs=30, rate=np.float32(0.5), folder=tmp_path)
    path = report.write_json(tmp_path / "made" / "results.json", results)
    again = json.loads(path.read_text(encoding="utf-8"))
    assert again == results
    model = again["models"]["anna"]
    assert set(model["scores"]) == set(metrics.METRICS)
    assert model["scores"]["auc"]["value"] == pytest.approx(scores["anna"].loc["auc", "value"])
    assert model["threshold"] == 0.4
    assert model["cells"] == len(found["anna"])
    assert model["people"] == len(model["subjects"]) == 7
    assert sum(one["cells"] for one in model["calibration"]) == len(found["anna"])
    counts = metrics.confusion(found["anna"], 0.4)
    assert model["confusion"]["ALL"]["HEM"] == counts.loc["ALL", "HEM"]
    assert again["data"]["counts"][0] == {"role": "train", "ALL": 30, "HEM": None}
    assert again["settings"]["folder"] == tmp_path.as_posix()


def test_results_say_when_and_with_what_they_were_made():
    _, _, results = run()
    made = datetime.fromisoformat(results["made"])
    assert abs((datetime.now(UTC) - made).total_seconds()) < 3600
    assert made.utcoffset().total_seconds() == 0
    assert results["versions"]["numpy"] == np.__version__
    assert "keras" in results["versions"]


@pytest.mark.parametrize("drawn", [True, False])
def test_drawn_cells_are_said_to_be_drawn(drawn):
    _, _, results = run(drawn=drawn)
    card = report.model_card(results)
    assert results["drawn"] is drawn
    assert (results["note"] == "Drawn cells, not real") == drawn
    assert ("> Drawn cells, not real." in card) == drawn
    assert ("CC BY 3.0" in card) == (not drawn)
    assert ("10.7937/tcia.2019.dc64i46r" in card) == (not drawn)


def test_undefined_scores_are_null(tmp_path):
    found = small([1, 1], [0.9, 0.2])
    scores = metrics.evaluate(found, resamples=5)
    results = report.results({"m": found}, {"m": scores}, settings={}, data={})
    again = json.loads(report.write_json(tmp_path / "r.json", results).read_text())
    assert again["models"]["m"]["scores"]["auc"] == {"value": None, "low": None, "high": None}
    assert "| AUC | – |" in report.model_card(again)


def test_plain_forms():
    values = {1: np.array([1.5, np.nan]), "set": {"b", "a"}, "path": Path("a/b"), "na": pd.NA}
    expected = {"1": [1.5, None], "set": ["a", "b"], "path": "a/b", "na": None}
    assert report.plain(values) == expected
    assert report.plain(np.bool_(True)) is True
    assert report.plain(pd.Timestamp("2026-01-02")) == "2026-01-02T00:00:00"
    assert report.plain(float("inf")) is None


def test_what_has_no_plain_form_is_refused_and_nothing_written(tmp_path):
    with pytest.raises(TypeError, match="Received: object"):
        report.write_json(tmp_path / "r.json", {"a": object()})
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = report.write_text(tmp_path / "card.md", "old")

    def half(self, text, **kwargs):
        with self.open("w") as file:
            file.write(text[:1])
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_text", half)
    with pytest.raises(OSError, match="disk full"):
        report.write_text(path, "new")
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["card.md"]


def test_models_and_scores_must_belong_together():
    found, scores, _ = run()
    with pytest.raises(ValueError, match=r"\['anna', 'anna-2020'\] and \['anna'\]"):
        report.results(found, {"anna": scores["anna"]}, settings={}, data={})
    bare = {name: pd.DataFrame(one.to_dict()) for name, one in scores.items()}
    with pytest.raises(ValueError, match="without"):
        report.results(found, bare, settings={}, data={})


def test_the_card_has_what_a_reader_in_medicine_looks_for():
    _, scores, results = run(epochs=30, augmentation={"flips": True}, model_file="m/best.keras")
    card = report.model_card(results)
    headings = [line[3:] for line in card.splitlines() if line.startswith("## ")]
    assert headings == [
        "What it is",
        "Intended use",
        "Data",
        "Split",
        "Settings",
        "Scores",
        "Calls",
        "People",
        "Calibration",
        "Limits",
        "How to load it",
    ]
    assert "Not for diagnosis" in card
    assert "age, sex, ethnicity" in card
    assert 'load_model("m/best.keras")' in card
    assert "- epochs: 30" in card and "  - flips: yes" in card
    expected = metrics.describe(scores["anna"].loc["weighted_f1"])
    other = metrics.describe(scores["anna-2020"].loc["weighted_f1"])
    assert f"| {ROWS['weighted_f1']} | {expected} | {other} |" in card
    assert "NaN" not in card and "None" not in card


def test_the_card_can_be_made_from_the_file(tmp_path):
    _, _, results = run()
    path = report.write_json(tmp_path / "r.json", results)
    assert report.model_card(json.loads(path.read_text())) == report.model_card(results)


def test_people_are_summed_up_by_class():
    found = small([1, 1, 1, 0], [0.9, 0.2, 0.3, 0.1], ["a", "a", "b", "h"])
    scores = metrics.evaluate(found, resamples=0)
    card = report.model_card(report.results({"m": found}, {"m": scores}, settings={}, data={}))
    assert "| m | ALL | 2 | 0.250 | 0.000 | 0.500 | 1 |" in card
    assert "| m | HEM | 1 | 1.000 | 1.000 | 1.000 | 0 |" in card


def test_tables_and_lists_in_markdown():
    assert table([{"a": 1, "b": 0.5}]) == "| a | b |\n| --- | --- |\n| 1 | 0.500 |"
    assert listing({}) == "Not recorded."
    assert show("a|b\nc") == "a\\|b c"
    assert show([1, 2.5]) == "1, 2.500"
    assert show([]) == "none"
