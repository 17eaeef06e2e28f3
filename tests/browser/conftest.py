import lab
import pytest


@pytest.fixture(scope="module")
def browser():
    if lab.chromium() is None:
        pytest.skip("No Chromium is here: install it, or name it in CHROMIUM")
    sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=lab.chromium(), args=lab.FLAGS)
        yield found
        found.close()
