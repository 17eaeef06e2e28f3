"""The notebooks as a reader of JupyterLab sees them: run, looked at in two themes, run again.

Screenshots of the whole notebooks go to output/browser/.
"""

import io
import re
from pathlib import Path

import lab
import nbformat
import numpy as np
import pytest
from PIL import Image

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1800)]
ROOT = Path(__file__).resolve().parents[2]
SHOTS = ROOT / "output" / "browser"
NAMES = ("1_eda", "2_preprocessing", "3_training", "4_test")
QUICK = {"size": 32, "epochs": 2, "sample_cells": 80, "resamples": 50}  # as few as will do
LEGIBLE = 4.5  # contrast of text that WCAG 2.2 asks for (level AA)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, execute):
    """Copies of the notebooks with quick settings, and an empty input folder beside them."""
    home = tmp_path_factory.mktemp("lab")
    for name in ("books", "input"):
        (home / name).mkdir()
    for name in NAMES:
        notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
        execute.set_parameters(notebook, QUICK)
        nbformat.write(notebook, home / "books" / f"{name}.ipynb")
    return home / "books"


@pytest.fixture(scope="module")
def address(folder):
    places = {"ANNA_INPUT": str(folder.parent / "input")}
    places |= {"ANNA_OUTPUT": str(folder.parent / "output")}
    with lab.server(folder, places) as found:
        yield found


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_reads_well_and_runs_again(name, browser, address, folder):
    page = browser.new_page()
    lab.open_notebook(page, address, name)
    lab.run_all(page)
    SHOTS.mkdir(parents=True, exist_ok=True)
    for theme in lab.THEMES:
        lab.show(page, theme)
        picture = page.screenshot(path=SHOTS / f"{name}_{theme}.png")
        check(page.evaluate(lab.LOOK), picture)
    cells = nbformat.read(folder / f"{name}.ipynb", as_version=4).cells
    code = [place for place, cell in enumerate(cells) if cell.cell_type == "code"]
    drawing = [place for place in code if "plots." in cells[place].source]
    settings = next(p for p in code if "parameters" in cells[p].metadata.get("tags", []))
    middle = code[len(code) // 2]
    lab.rerun(page, [*reversed(drawing), middle, middle])
    assert page.evaluate(lab.LOOK)["errors"] == []
    lab.run_from(page, settings)
    assert page.evaluate(lab.LOOK)["errors"] == []
    page.close()


def check(seen, picture):
    assert seen["errors"] == []
    assert len(seen["figures"]) >= 4
    whole = Image.open(io.BytesIO(picture)).convert("L")
    for figure in seen["figures"]:
        left, top, width, height = figure["box"]
        assert figure["natural"] > 300
        assert width > 300
        assert left + width <= seen["right"]
        part = np.asarray(whole.crop((left, top, left + width, top + height)))
        assert part.std() > 5, f"blank: {figure}"
        assert (part > 250).mean() > 0.05, f"no white paper: {figure}"
    assert len(seen["tables"]) >= 3
    for part in (*seen["tables"], *seen["code"], *seen["text"]):
        assert part["hidden"] <= 1, f"cut off: {part}"
    for cell in (cell for table in seen["tables"] for cell in table["cells"]):
        assert cell["size"] >= 11, f"small: {cell}"
        assert cell["hidden"] <= 1, f"cut off: {cell}"
        assert contrast(cell["ink"], cell["paper"]) >= LEGIBLE, f"faint: {cell}"
    assert seen["bars"]
    for bar in seen["bars"]:
        assert "100%" in bar["text"]
        assert bar["lines"] == 1, f"a bar in several lines: {bar}"


def contrast(ink, paper):
    """Returns the contrast of two colours of CSS, 1 to 21, after WCAG 2.2."""
    lights = sorted(luminance(colour) + 0.05 for colour in (ink, paper))
    return lights[1] / lights[0]


def luminance(colour):
    """Returns the relative luminance of a colour of CSS, 0 to 1, after WCAG 2.2."""
    values = np.array([float(n) for n in re.findall(r"[\d.]+", colour)[:3]]) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])
