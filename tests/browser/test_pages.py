"""The pages of calls in a browser: sorted by a click, on a screen of any width."""

import numpy as np
import pytest
from PIL import Image

import anna
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
