import html
import json
import re
import shutil

import outputs
import pandas as pd
import pytest
from pages import check_page

import anna
from anna import finished, metrics, reporting
from anna.reporting import checklists

NUMBERS = {
    "claim_2024": [str(number) for number in range(1, 45)],
    "tripod_ai": [
        *("1", "2", "3a", "3b", "3c", "4", "5a", "5b", "6a", "6b", "6c", "7", "8a", "8b", "8c"),
        *("9a", "9b", "9c", "10", "11", "12a", "12b", "12c", "12d", "12e", "12f", "12g", "13"),
        *("14", "15", "16", "17", "18a", "18b", "18c", "18d", "18e", "18f", "19", "20a", "20b"),
        *("20c", "21", "22", "23a", "23b", "24", "25", "26", "27a", "27b", "27c"),
    ],
}
PICTURES = (
    "confusion", "class_balance", "network", "learning_curves", "reliability", "people", "evidence",
    "robustness", "deletion", "published", "label_order",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run with all that notebook 4 leaves; the pictures are copies of one."""
    folder = tmp_path_factory.mktemp("run")
    history = pd.DataFrame({"epoch": [1, 2, 3], "val_loss": [0.7, 0.4, 0.5]})
    anna.tables.write(history, folder / "models" / "anna" / "history.csv")
    return outputs.write(folder, drawn=True, pictures=PICTURES)


@pytest.fixture(scope="module")
def page(folder):
    return check_page(anna.reporting.write(folder))


def text_of(page):
    """The words of a page, without tags and pictures."""
    bare = re.sub(r"<(style|script)>.*?</\1>", "", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", bare)).split())


def rows_of(page, anchor):
    """The rows of the first table after an anchor, as lists of texts."""
    body = page.split(f'id="{anchor}"')[1].split("<tbody>")[1].split("</tbody>")[0]
    return [
        [text_of(cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row)]
        for row in body.split("<tr>")[1:]
    ]


def test_the_report_is_written_beside_the_results(folder, page, tmp_path):
    assert (folder / "report.html").read_text(encoding="utf-8") == page
    assert reporting.write(folder, tmp_path / "other.html") == tmp_path / "other.html"
    assert len(re.findall("<img ", page)) == len(PICTURES) + 1  # and the curves


def test_every_score_is_that_of_the_results(folder, page):
    models = json.loads((folder / "results.json").read_text())["models"]
    rows = {row[0]: row[1:] for row in rows_of(page, "performance")}
    assert set(rows) == set(anna.card.ROWS.values())
    for metric, title in anna.card.ROWS.items():
        told = [metrics.describe(pd.Series(m["scores"][metric], dtype=float)) for m in
                models.values()]  # fmt: skip
        assert rows[title] == told


def test_people_and_cells_are_counted_from_the_predictions(folder, page):
    found = anna.tables.read(folder / "csv" / "predictions anna.csv")
    rows = {row[0]: row[1:] for row in rows_of(page, "flow")}
    for role, title in (("train", "learn"), ("valid", "validate"), ("test", "test")):
        own = found[found["role"] == role]
        told = []
        for label in (1, 0):
            kind = own[own["label"] == label]
            told += [str(len(kind)), str(kind["group"].nunique())]
        assert rows[title] == [*told, "0"]
    test = found[found["role"] == "test"]
    assert len(rows_of(page, "people")) == test["group"].nunique()


def test_differences_are_those_of_the_comparison(folder, page):
    table = anna.comparison.of(folder, folder, model=["anna", "size alone"], resamples=200)
    run = table["run"].iloc[-1]
    shown = anna.comparison.shown(table)[f"{run}, difference"].tolist()
    assert [row[1] for row in rows_of(page, "differences")] == shown


@pytest.mark.parametrize("drawn", [True, False])
def test_drawn_cells_are_said_to_be_drawn_before_all_else(folder, tmp_path, drawn):
    run = folder if drawn else outputs.write(tmp_path / "run", pictures=())
    words = text_of(check_page(reporting.write(run, tmp_path / "report.html")))
    beginning = words[: words.index("Summary")]
    assert ("Drawn cells, not real." in beginning) == drawn
    assert ("No figure on this page says anything about patients" in beginning) == drawn
    assert "Not for diagnosis" in beginning
    assert ("CC BY 3.0" in words) == (not drawn)
    assert ("not that it holds for people" in words) == drawn


@pytest.mark.parametrize("name", list(NUMBERS))
def test_each_item_of_a_checklist_is_told_once_with_where_or_why_not(page, name):
    items = checklists.items(name)
    assert items["item"].tolist() == NUMBERS[name]
    assert (items["asks"] != "").all()
    assert set(items["status"]) <= set(checklists.STATUSES)
    where, lacks = items["where"] != "", items["lacks"] != ""
    assert where[items["status"].isin(["met", "in part"])].all()
    assert lacks[items["status"] != "met"].all()
    assert not lacks[items["status"] == "met"].any()
    anchor = checklists.TITLES[name][0]
    rows = rows_of(page, anchor)
    assert [row[0] for row in rows] == NUMBERS[name]
    assert [row[2] for row in rows] == items["status"].tolist()  # the run lacks nothing
    assert all(row[3] for row in rows)


def test_what_a_run_has_not_left_is_not_met(tmp_path):
    folder = outputs.write(tmp_path / "bare", pictures=())
    for name in ("facts", "prepared", "problems"):
        (folder / "csv" / f"{name}.csv").unlink()
    text = check_page(reporting.write(folder))
    claim = {row[0]: row[2:] for row in rows_of(text, "claim")}
    assert claim["30"][0] == "not met" and "has left nothing" in claim["30"][1]
    assert claim["31"][0] == "not met"
    assert claim["38"][0] == "in part" and claim["38"][1].startswith("performance ;")
    assert claim["37"][0] == "in part"
    assert claim["20"] == ["met", "disjoint"]
    assert '"#published"' not in text


def test_a_checklist_counts_its_items(page):
    told = re.findall(r"<p>(\d+) items: (\d+) met, (\d+) in part, (\d+) not met, (\d+) does", page)
    assert [int(row[0]) for row in told] == [44, 52]
    for total, *parts in told:
        assert sum(int(part) for part in parts) == int(total)


def test_texts_from_the_run_are_shown_not_obeyed(tmp_path):
    found = {"anna": outputs.everyone(seed=1), "<b>": outputs.everyone(seed=2)}
    nasty = "</td><script>alert(1)</script>"
    folder = outputs.write(tmp_path / "run", found=found, pictures=(), note=nasty)
    results = json.loads((folder / "results.json").read_text())
    results["data"]["tested on"] = nasty  # stands in a sentence, the setting in a table
    (folder / "results.json").write_text(json.dumps(results))
    text = check_page(reporting.write(folder))
    assert "<script" not in text and "<b>" not in text
    assert text.count(html.escape(nasty)) == 3


def test_a_person_on_two_sides_is_no_report(tmp_path):
    found = outputs.everyone()
    found.loc[found["group"] == "n0", ["group", "subject"]] = "t0"  # taught, and tests
    folder = outputs.write(tmp_path / "leak", found={"anna": found}, pictures=())
    with pytest.raises(anna.splits.LeakError, match="t0"):
        reporting.write(folder)
    assert not (folder / "report.html").exists()


def test_predictions_of_another_run_are_no_report(folder, tmp_path):
    mixed = shutil.copytree(folder, tmp_path / "mixed")
    other = outputs.everyone(seed=9, drawn=True)
    anna.tables.write(other, mixed / "csv" / "predictions anna.csv")
    with pytest.raises(ValueError, match="same run as results"):
        reporting.write(mixed)
    (mixed / "csv" / "predictions anna.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"predictions anna\.csv"):
        reporting.write(mixed)


def test_one_class_or_one_person_is_told(tmp_path):
    found = outputs.everyone()
    healthy = (found["role"] == "test") & (found["label"] == 0)
    folder = outputs.write(tmp_path / "all", found={"anna": found[~healthy]}, pictures=())
    assert "no model can be ranked" in text_of(check_page(reporting.write(folder)))
    alone = found["group"].isin(["tH1", "tH2", "tH3", "tH4"])
    folder = outputs.write(tmp_path / "one", found={"anna": found[~alone]}, pictures=())
    assert "how people differ, nobody can tell" in text_of(check_page(reporting.write(folder)))


def test_what_was_made_anew_since_the_test_is_not_shown(folder, tmp_path):
    mixed = shutil.copytree(folder, tmp_path / "mixed")
    (mixed / "viz" / "people.png").write_bytes((mixed / "viz" / "people.png").read_bytes() + b" ")
    (mixed / "models" / "anna" / "history.csv").write_text("epoch,val_loss\n1,0.1\n")
    text = check_page(reporting.write(mixed))
    assert len(re.findall("<img ", text)) == len(PICTURES)
    assert "smallest validation loss" not in text
    table = anna.tables.read(mixed / "csv" / "prepared.csv")
    anna.tables.write(table.iloc[1:], mixed / "csv" / "prepared.csv")
    with pytest.raises(ValueError, match=r"prepared\.csv must be of the same run"):
        reporting.write(mixed)


def test_pictures_older_than_the_network_are_of_another_run(folder, tmp_path):
    mixed = shutil.copytree(folder, tmp_path / "mixed")
    (mixed / "models" / "anna" / "best.keras").write_bytes(b"trained now")
    held = {name for name in finished.left(mixed) if name.startswith("viz/")}
    assert held == {f"viz/{name}.png" for name in ("class_balance", "network", "learning_curves")}


def test_without_intervals_it_says_that_none_were_asked_for(tmp_path):
    written = reporting.write(outputs.write(tmp_path, pictures=(), resamples=0)).read_text()
    assert "No intervals were asked for" in written
    assert "single test person" not in written
