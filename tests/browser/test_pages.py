"""The pages to pass on in a browser: sorted by a click, whole on any screen and on paper."""

import re

import numpy as np
import pytest
from PIL import Image

import anna
from anna.cli import main
from anna.sample import fields

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The page of a drawn field, and that of the cells cut out of it."""
    folder, model = tmp_path_factory.mktemp("pages"), anna.models.pretrained()
    field = fields.draw(1, shape=(720, 1024), cells=6)
    Image.fromarray(field.pixels).save(folder / "smear.png")
    found = anna.fields.judge(model, [folder / "smear.png"], progress=False)
    anna.field_page.write(folder / "field.html", found, model, progress=False)
    for row in field.cells.itertuples():
        cut = field.pixels * (field.labels == row.cell)[..., None].astype(np.uint8)
        place = np.s_[row.top : row.top + row.height, row.left : row.left + row.width]
        Image.fromarray(cut[place]).save(folder / f"cell-{row.cell}.png")
    calls = anna.calls.of(model, sorted(folder.glob("cell-*.png")), progress=False)
    anna.page.write(folder / "calls.html", calls, model, progress=False)
    return folder


@pytest.mark.parametrize(
    ("name", "head"),
    [("field", "probability of ALL"), ("field", "area"), ("calls", "probability of ALL")],
)
def test_a_click_on_a_head_sorts(name, head, pages, browser):
    page, errors = browser.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"file://{pages / name}.html")
    click = page.locator("thead th", has_text=head).first
    column = click.evaluate("head => head.cellIndex")
    orders = []
    for _ in range(2):
        click.click()
        texts = page.locator(f"thead + tbody td:nth-child({column + 1})").all_inner_texts()
        orders.append([float(text.rstrip("%") or -1) for text in texts])  # not judged: empty
    assert len(set(orders[0])) >= 4
    assert orders == [sorted(orders[0]), sorted(orders[0], reverse=True)]
    assert errors == []
    page.close()


@pytest.mark.parametrize("width", [390, 820, 1280])
@pytest.mark.parametrize("name", ["field", "calls"])
def test_a_page_is_as_wide_as_the_screen(name, width, pages, browser):
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.goto(f"file://{pages / name}.html")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_tick_shows_the_evidence_in_the_field(scheme, pages, browser):
    page = browser.new_page(color_scheme=scheme)
    page.goto(f"file://{pages / 'field.html'}")
    evidence = page.locator("svg image.evidence")
    height, plain = "document.documentElement.scrollHeight", page.locator("svg").screenshot()
    before = page.evaluate(height)
    assert not evidence.is_visible()
    page.get_by_label("evidence").check()
    assert evidence.is_visible()
    assert page.evaluate(height) == before
    assert page.locator("svg").screenshot() != plain
    page.get_by_label("evidence").uncheck()
    assert not evidence.is_visible()
    page.close()


def test_what_was_not_judged_is_unfolded_by_a_click(pages, browser, tmp_path):
    (tmp_path / "broken.bmp").write_text("no image")
    model = anna.models.pretrained()
    paths = [tmp_path / "broken.bmp", next(pages.glob("cell-*.png"))]
    calls = anna.calls.of(model, paths, progress=False)
    anna.page.write(tmp_path / "calls.html", calls, model, progress=False)
    page = browser.new_page()
    page.goto(f"file://{tmp_path / 'calls.html'}")
    told = page.get_by_text("not a readable image")
    assert not told.is_visible()
    page.get_by_text("1 not judged", exact=True).click()
    assert told.is_visible()
    page.close()


A4 = {"width": 794, "height": 1123}  # pixels of CSS


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """The report of a run on a small sample, and its comparison with another run."""
    folder = tmp_path_factory.mktemp("reports")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANNA_INPUT", str(folder / "input"))
        (folder / "input").mkdir()
        assert main(["sample", str(folder / "input"), "--cells", "60", "--quiet"]) == 0
        for seed in ("0", "1"):
            patch.setenv("ANNA_OUTPUT", str(folder / seed))
            for command in (
                ["prepare", "--size", "32"],
                ["train", "--epochs", "1", "--seed", seed],
                ["test", "--resamples", "50"],
                ["report"],
            ):
                assert main([*command, "--quiet"]) == 0
    page = folder / "comparison.html"
    outputs = [str(folder / seed) for seed in "01"]
    table = str(folder / "comparison.csv")
    assert main(["compare", *outputs, "--out", table, "--page", str(page), "--quiet"]) == 0
    return {"report": folder / "0" / "report.html", "comparison": page}


@pytest.mark.parametrize("name", ["report", "comparison"])
def test_a_report_is_whole_on_any_screen_and_on_paper(name, reports, browser):
    page, asked = browser.new_page(viewport=A4), []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(reports[name].as_uri())
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []  # one file
    for width in (390, A4["width"], 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.set_viewport_size(A4)
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth") <= A4["width"]
    sizes = "all => all.map(one => [one.naturalWidth, one.getBoundingClientRect().height])"
    shown = page.locator("img").evaluate_all(sizes)
    assert shown
    assert all(width > 0 and 0 < height < A4["height"] for width, height in shown), shown
    paper = page.pdf(format="A4")
    sheets = len(re.findall(rb"/Type\s*/Page\b", paper))
    assert sheets >= (4 if name == "report" else 1)
    page.close()
