import importlib.util
import json
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parents[1]


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("pictures", HERE / "src" / "pictures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- results -->\nold\n<!-- /results -->\nafter\n")
    monkeypatch.setattr(module, "README", readme)
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
    text = pictures.README.read_text()
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
    assert "old" in pictures.README.read_text()


def test_the_readme_names_files_that_exist():
    text = (HERE / "README.md").read_text()
    for name in ("execute.py", *(f"{n}.ipynb" for n in ("1_eda", "2_preprocessing"))):
        assert f"notebooks/{name}" in text
        assert (HERE / "notebooks" / name).exists()
    for picture in ("evidence", "network", "curves", "people", "label_order"):
        assert f"src/{picture}.png" in text
        assert (HERE / "src" / f"{picture}.png").exists()
