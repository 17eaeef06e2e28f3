import importlib.util
import json
import re
from pathlib import Path

import pandas as pd
import pytest

HERE = Path(__file__).resolve().parents[1]


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("pictures", HERE / "src" / "pictures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- results -->\nold\n<!-- /results -->\nafter\n")
    monkeypatch.setattr(module, "PAGES", (readme,))
    monkeypatch.setattr(module, "HERE", tmp_path)
    return module


def test_scores_and_pictures_of_the_last_run_go_into_the_readme(pictures, own_output, tmp_path):
    score = {"value": 0.9126, "low": 0.85, "high": 0.951}
    model = {"cells": 200, "people": 16, "scores": dict.fromkeys(pictures.ROWS, score)}
    own_output.mkdir(parents=True, exist_ok=True)
    (own_output / "results.json").write_text(json.dumps({"drawn": True, "models": {"anna": model}}))
    (own_output / "viz").mkdir(parents=True, exist_ok=True)
    for name in pictures.PICTURES:
        (own_output / "viz" / f"{name}.png").write_bytes(name.encode())
    assert pictures.main() == 0
    text = pictures.PAGES[0].read_text()
    assert text.startswith("before\n<!-- results -->\n")
    assert text.endswith("<!-- /results -->\nafter\n")
    assert "old" not in text
    assert "not real cells" in text
    assert "200 test cells of 16 people" in text
    assert "| weighted F1 (the challenge's metric) | 0.913 [0.85, 0.95] |" in text
    assert (tmp_path / "network.png").read_bytes() == b"network"


def test_without_a_run_it_says_what_to_do(pictures, own_output, capsys):
    assert pictures.main() == 1
    assert "make notebooks" in capsys.readouterr().err
    assert "old" in pictures.PAGES[0].read_text()


def test_tables_of_the_benchmarks_go_between_their_marks(pictures, tmp_path):
    parts = {f"{kind} {part}": [0.5] * 2 for kind in ("F1", "AUC") for part in "abcde"}
    scores = dict.fromkeys(("sensitivity", "specificity", "ece", "mean AUC"), [0.25] * 2)
    rows = {"method": ["anna, seed 0", "anna, spread of seeds"], "weighted_f1": [0.8126, 0.02]}
    rows |= {"low": [0.7, None], "high": [0.9, None]}
    (tmp_path / "csv").mkdir()
    pd.DataFrame(rows | scores | parts).to_csv(tmp_path / "csv" / "brain_methods.csv", index=False)
    blocks = dict(pictures.of_benchmarks(tmp_path / "csv"))
    assert list(blocks) == ["brain_methods"]
    assert "| anna, seed 0 | 0.813 [0.70, 0.90] | 0.250 |" in blocks["brain_methods"]
    assert "spread of seeds (standard deviation) | 0.020 |" in blocks["brain_methods"]
    text = "<!-- brain_methods -->\nold\n<!-- /brain_methods -->\n<!-- other -->\nkept"
    found = pictures.filled(text, blocks)
    assert "old" not in found
    assert "0.813" in found
    assert found.endswith("<!-- other -->\nkept")


def test_the_pages_have_a_place_for_every_table(pictures):
    text = "".join((HERE / name / "README.md").read_text() for name in (".", "benchmarks"))
    for name in ("results", *pictures.TABLES):
        assert f"<!-- {name} -->" in text
        assert f"<!-- /{name} -->" in text


def test_the_pages_link_to_files_that_exist():
    for page in (HERE / "README.md", HERE / "benchmarks" / "README.md"):
        links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
        assert links
        for link in links:
            assert (page.parent / link).exists(), f"{page}: {link}"


def test_the_readme_names_files_that_exist():
    text = (HERE / "README.md").read_text()
    for name in ("execute.py", *(f"{n}.ipynb" for n in ("1_eda", "2_preprocessing"))):
        assert f"notebooks/{name}" in text
        assert (HERE / "notebooks" / name).exists()
