"""JupyterLab in a real browser: started on copies of the notebooks, driven, and looked at."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

WIDTH, HEIGHT = 1366, 768  # pixels of a laptop
TOKEN = "anna"
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SETTINGS = {  # all cells are drawn, also those out of view; no questions at the start
    "notebook-extension/tracker": {"windowingMode": "none", "scrollPastEnd": False},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "apputils-extension/themes": {"theme": THEMES["light"]},
}


def chromium() -> str | None:
    """Returns the path of the system's Chromium, or of the one that CHROMIUM names."""
    names = ("chromium", "chromium-browser", "google-chrome")
    given = os.environ.get("CHROMIUM")
    return given or next((found for name in names if (found := shutil.which(name))), None)


@contextmanager
def server(folder: Path, environment: dict[str, str]):
    """Gives the address of a JupyterLab on the folder, with settings of its own."""
    private = folder.parent / "jupyter"
    for name, values in SETTINGS.items():
        file = private / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))
    places = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "IPYTHONDIR": "ipython",
    }
    environment = os.environ | environment | {k: str(private / v) for k, v in places.items()}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += ["--ServerApp.port=0", f"--IdentityProvider.token={TOKEN}", "--log-level=WARN"]
    command += [f"--ServerApp.root_dir={folder}", "--LabApp.expose_app_in_browser=True"]
    with (folder.parent / "lab.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        yield _address(private / "runtime", process)
    finally:
        process.terminate()
        process.wait(30)


def _address(runtime: Path, process: subprocess.Popen) -> str:
    """Returns the server's address as soon as it answers."""
    for _ in range(120):
        time.sleep(0.5)
        assert process.poll() is None, "JupyterLab stopped; see lab.log"
        for file in runtime.glob("jpserver-*.json"):
            address = json.loads(file.read_text())["url"]
            with urllib.request.urlopen(f"{address}api/status?token={TOKEN}") as answer:
                if answer.status == 200:
                    return address
    raise TimeoutError("JupyterLab did not answer within a minute; see lab.log")


def open_notebook(page, address: str, name: str) -> None:
    """Opens a notebook and waits until its kernel is there."""
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    page.goto(f"{address}lab/tree/{name}.ipynb?token={TOKEN}&reset")
    page.wait_for_function(
        "() => window.jupyterapp?.shell.currentWidget?.sessionContext"
        "?.session?.kernel?.status === 'idle'",
        timeout=120_000,
    )


def run_all(page, minutes: float = 9) -> None:
    """Run, Run All Cells, as in the menu; waits until each code cell has its number."""
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.wait_for_function(
        """() => {
            const panel = window.jupyterapp.shell.currentWidget;
            const code = panel.content.widgets.filter(c => c.model.type === 'code');
            const error = '[data-mime-type="application/vnd.jupyter.error"]';
            const failed = document.querySelector(error);
            const ran = c => c.model.executionCount && c.model.executionState !== 'running';
            const done = code.every(ran);
            return failed || (done && panel.sessionContext.session.kernel.status === 'idle');
        }""",
        timeout=minutes * 60_000,
        polling=500,
    )
    page.wait_for_timeout(1000)  # the last bars are drawn


def rerun(page, places: list[int]) -> None:
    """Runs single cells in this order, as Shift+Enter does."""
    for place in places:
        page.evaluate(
            """async place => {
                const notebook = window.jupyterapp.shell.currentWidget.content;
                notebook.activeCellIndex = place;
                notebook.deselectAll();
                await window.jupyterapp.commands.execute('notebook:run-cell');
            }""",
            place,
        )


def run_from(page, place: int) -> None:
    """Run, Run Selected Cell and All Below."""
    page.evaluate(
        """async place => {
            window.jupyterapp.shell.currentWidget.content.activeCellIndex = place;
            await window.jupyterapp.commands.execute('notebook:run-all-below');
        }""",
        place,
    )


def show(page, theme: str) -> None:
    """Changes the theme and makes the window as high as the notebook, its begin on top."""
    page.evaluate(
        "theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})",
        THEMES[theme],
    )
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    page.wait_for_timeout(1500)
    bottom = page.evaluate(
        """() => {
            const outer = document.querySelector('.jp-NotebookPanel .jp-WindowedPanel-outer');
            outer.scrollTop = 0;
            const cells = [...outer.querySelectorAll('.jp-Cell')];
            return cells.at(-1).getBoundingClientRect().bottom;
        }"""
    )
    page.set_viewport_size({"width": WIDTH, "height": int(bottom) + 120})
    page.wait_for_timeout(1000)


LOOK = """() => {
    const panel = document.querySelector('.jp-NotebookPanel-notebook');
    const all = selector => [...panel.querySelectorAll(selector)];
    const wide = e => e.scrollWidth - e.clientWidth;
    const box = e => { const b = e.getBoundingClientRect(); return [b.x, b.y, b.width, b.height]; };
    const behind = e => {
        for (; e; e = e.parentElement) {
            const colour = getComputedStyle(e).backgroundColor;
            if (!/rgba\\(.*, 0\\)|transparent/.test(colour)) return colour;
        }
        return 'rgb(255, 255, 255)';
    };
    return {
        errors: all('[data-mime-type="application/vnd.jupyter.error"],'
            + '[data-mime-type="application/vnd.jupyter.stderr"]').map(e => e.innerText),
        right: panel.getBoundingClientRect().right,
        figures: all('.jp-OutputArea-output img')
            .map(e => ({box: box(e), natural: e.naturalWidth})),
        tables: all('.jp-OutputArea-output table').map(e => ({
            start: e.innerText.slice(0, 60),
            hidden: Math.max(wide(e), wide(e.closest('.jp-OutputArea-output'))),
            cells: [...e.querySelectorAll('th, td')].filter(c => c.innerText.trim()).map(c => ({
                text: c.innerText, size: parseFloat(getComputedStyle(c).fontSize),
                ink: getComputedStyle(c).color, paper: behind(c), hidden: wide(c)})),
        })),
        bars: all('.jp-OutputArea-output .widget-hbox, .jp-OutputArea-output .jupyter-widget-hbox')
            .map(e => ({text: e.innerText.replace(/\\s+/g, ' '),
                lines: Math.round(e.getBoundingClientRect().height / 28)})),
        code: all('.jp-CodeCell .cm-scroller')
            .map(e => ({start: e.innerText.slice(0, 60), hidden: wide(e)})),
        text: all('.jp-OutputArea-output pre')
            .map(e => ({start: e.innerText.slice(0, 60),
                        hidden: wide(e.closest('.jp-OutputArea-output'))})),
    };
}"""
