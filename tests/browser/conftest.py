import lab
import pytest


@pytest.fixture(scope="module")
def browser():
    # They run only where they are asked for, so it is no success if they cannot.
    if lab.chromium() is None:
        pytest.fail("No Chromium is here: install it, or name it in CHROMIUM", pytrace=False)
    try:
        from playwright import sync_api
    except ImportError:
        pytest.fail('No Playwright is here: pip install -e ".[browser]"', pytrace=False)
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=lab.chromium(), args=lab.FLAGS)
        yield found
        found.close()
