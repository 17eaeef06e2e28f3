"""Runs the notebooks in order, shows where it is, and leaves executed copies and their HTML.

python notebooks/execute.py                         all of them
python notebooks/execute.py --set epochs=3 size=64  with other settings
python notebooks/execute.py 3_training 4_test       some of them
"""

import argparse
import ast
import contextlib
import html
import os
import re
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbconvert import HTMLExporter

from anna import Workspace
from anna.lock import BusyError, alone
from anna.workspace import write_whole

HERE = Path(__file__).resolve().parent
WIDGET = "application/vnd.jupyter.widget-view+json"


class Client(NotebookClient):
    """Executes a notebook and tells on one line of the terminal which cell it is at."""

    def __init__(self, notebook: nbformat.NotebookNode, title: str):
        super().__init__(notebook, timeout=None, kernel_name="python3", store_widget_state=True)
        self.title, self.cell, self.note, self.shown = title, 0, "", 0.0
        self.count = sum(cell.cell_type == "code" for cell in notebook.cells)
        self.on_cell_execute = self._next
        self.extra_arguments = ["--log-level=ERROR"]

    def _next(self, cell: nbformat.NotebookNode, cell_index: int) -> None:
        code = [c for c in self.nb.cells[: cell_index + 1] if c.cell_type == "code"]
        self.cell, self.note = len(code), ""
        self._show()

    def process_message(self, msg: dict, cell: nbformat.NotebookNode, cell_index: int):
        """Handles a message of the kernel; the text of a progress bar goes to the terminal too."""
        state = msg["content"].get("data", {})
        state = state.get("state", {}) if isinstance(state, dict) else {}
        if msg["msg_type"] == "comm_msg" and isinstance(state.get("value"), str):
            self.note = html.unescape(re.sub(r"<[^>]*>", "", state["value"])).strip()
            if time.monotonic() - self.shown > 1:
                self._show()
        return super().process_message(msg, cell, cell_index)

    def _show(self) -> None:
        """Rewrites the line in a terminal; elsewhere writes one line a cell."""
        self.shown = time.monotonic()
        line = f"{self.title}: cell {self.cell} of {self.count}"
        if sys.stdout.isatty():
            sys.stdout.write(f"\r\033[K{line}  {self.note[:70]}")
        elif not self.note:
            sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


def execute(name: str, settings: dict[str, object], folder: Path) -> list[Path]:
    """Returns the executed copy and its HTML; both are written also if a cell fails.

    Raises:
        CellExecutionError: If a cell fails.
    """
    notebook = nbformat.read(HERE / f"{name}.ipynb", as_version=4)
    set_parameters(notebook, settings)
    try:
        Client(notebook, name).execute(cwd=str(HERE))
    finally:
        freeze_bars(notebook)
        written = [folder / f"{name}.ipynb", folder / f"{name}.html"]
        write_whole(written[0], lambda part: nbformat.write(notebook, part))
        page, _ = HTMLExporter().from_notebook_node(notebook)
        write_whole(written[1], lambda part: part.write_text(page, encoding="utf-8"))
    return written


def set_parameters(notebook: nbformat.NotebookNode, settings: dict[str, object]) -> None:
    """Adds, after the cell tagged `parameters`, one that sets those settings the notebook has."""
    for place, cell in enumerate(notebook.cells):
        if "parameters" in cell.metadata.get("tags", []):
            known = re.findall(r"^(\w+) *=", cell.source, re.MULTILINE)
            lines = [f"{key} = {value!r}" for key, value in settings.items() if key in known]
            if lines:
                notebook.cells.insert(place + 1, nbformat.v4.new_code_cell("\n".join(lines)))
            return


def known_settings() -> set[str]:
    """Returns the names of the settings of all notebooks."""
    notebooks = [nbformat.read(path, as_version=4) for path in HERE.glob("[0-9]_*.ipynb")]
    cells = [c for n in notebooks for c in n.cells if "parameters" in c.metadata.get("tags", [])]
    return {name for c in cells for name in re.findall(r"^(\w+) *=", c.source, re.MULTILINE)}


def freeze_bars(notebook: nbformat.NotebookNode) -> None:
    """Replaces progress bars, which only a live page can show, by their last text."""
    states = notebook.metadata.pop("widgets", {}).get(
        "application/vnd.jupyter.widget-state+json", {}
    )
    states = states.get("state", {})
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            view = output.get("data", {}).pop(WIDGET, None)
            if view:
                output["data"] = {"text/plain": bar_text(states, view["model_id"])}


def bar_text(states: dict, model: str) -> str:
    """Returns a progress bar's text: what stands before it and after it."""
    state = states.get(model, {}).get("state", {})
    parts = [child.removeprefix("IPY_MODEL_") for child in state.get("children", [])]
    texts = [states.get(part, {}).get("state", {}).get("value", "") for part in parts]
    plain = [re.sub(r"<[^>]*>", "", text) for text in texts if isinstance(text, str)]
    return html.unescape(" ".join(text.strip() for text in plain))


def main() -> int:
    """Returns 0 if all notebooks ran to the end."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="notebooks, by default all in order")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="other settings")
    asked = parser.parse_args()
    settings = {key: value_of(text) for key, _, text in (each.partition("=") for each in asked.set)}
    unknown = set(settings) - known_settings()
    if unknown or len(settings) < len(asked.set):
        known = ", ".join(sorted(known_settings()))
        parser.error(f"settings are NAME=VALUE, names {known}. Received: {asked.set}")
    for place in ("ANNA_INPUT", "ANNA_OUTPUT"):  # the notebooks run in a folder of their own
        if os.environ.get(place):
            os.environ[place] = str(Path(os.environ[place]).expanduser().resolve())
    names = asked.names or sorted(path.stem for path in HERE.glob("[0-9]_*.ipynb"))
    ws = Workspace.locate()
    try:
        with alone(ws.lock, wait=False):
            return execute_all(names, settings, ws.output)
    except BusyError as error:
        parser.error(str(error))


def execute_all(names: list[str], settings: dict[str, object], output: Path) -> int:
    """Returns 0 if these notebooks ran to the end, 1 if one stopped; tells which on the way."""
    folder, began = output / "notebooks", time.monotonic()
    for name in names:
        start = time.monotonic()
        try:
            execute(name, settings, folder)
        except (CellExecutionError, DeadKernelError) as error:
            sys.stdout.write(f"\n{name} stopped; see {folder / name}.html\n{error}\n")
            return 1
        sys.stdout.write("\r\033[K" if sys.stdout.isatty() else "")
        sys.stdout.write(f"{name}: done in {time.monotonic() - start:.0f} s\n")
    sys.stdout.write(f"All done in {time.monotonic() - began:.0f} s. Made:\n")
    for path in made(output):
        sys.stdout.write(f"  {path}\n")
    return 0


def value_of(text: str) -> object:
    """Returns a setting given as text: a Python literal, or the text itself."""
    with contextlib.suppress(ValueError, SyntaxError):
        return ast.literal_eval(text)
    return text


def made(output: Path) -> list[str]:
    """Returns the paths worth opening: pages, results and the folders of the rest."""
    pages = sorted((output / "notebooks").glob("*.html"))
    results = [
        output / name
        for name in ("results.json", "model_card.md", "report.html")
        if (output / name).exists()
    ]
    folders = [output / name for name in ("viz", "csv", "models") if (output / name).is_dir()]
    counted = [
        f"{p}{os.sep} ({sum(1 for f in p.rglob('*') if f.is_file())} files)" for p in folders
    ]
    return [str(path) for path in pages + results] + counted


if __name__ == "__main__":
    sys.exit(main())
