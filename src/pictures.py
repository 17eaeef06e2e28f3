"""Puts the pictures of the last run into src/ and its scores into README.md: `make pictures`.

The pictures are those that the notebooks saved in output/viz. The scores come from
output/results.json, and from the benchmark on held-out real people where it has been run.
"""

import json
import re
import shutil
import sys
from pathlib import Path

import anna
from anna.card import ROWS, show, table
from anna.report import write_text

HERE = Path(__file__).resolve().parent
README = HERE.parent / "README.md"
PICTURES = ("evidence", "network", "curves", "people", "label_order")
BLOCK = re.compile(r"(<!-- results -->\n).*?(<!-- /results -->)", re.DOTALL)


def main() -> int:
    """Returns 0 if all is there."""
    ws = anna.Workspace.locate()
    results = ws.output / "results.json"
    missing = [p for p in (results, *(ws.viz / f"{n}.png" for n in PICTURES)) if not p.is_file()]
    if missing:
        sys.stderr.write(f"Run the notebooks first (make notebooks). Missing: {missing[0]}\n")
        return 1
    for name in PICTURES:
        shutil.copyfile(ws.viz / f"{name}.png", HERE / f"{name}.png")
    parts = [of_run(json.loads(results.read_text())), *map(of_people, held_out(ws))]
    text = "\n\n".join(["", *parts, ""]).lstrip("\n")
    write_text(README, BLOCK.sub(lambda m: m[1] + "\n" + text + m[2], README.read_text()))
    return 0


def of_run(results: dict) -> str:
    """Returns the scores of `make notebooks` as Markdown."""
    kind = "the drawn sample, **not real cells**" if results["drawn"] else "real C-NMC"
    models = results["models"]
    one = next(iter(models.values()))
    rows = [
        {"": title} | {f"`{name}`": cell(model["scores"][key]) for name, model in models.items()}
        for key, title in ROWS.items()
    ]
    about = (
        f"`make notebooks` on {kind}: {one['cells']:,} test cells of {one['people']} people "
        "whom no part of training has seen; in brackets the 95 % interval over people."
    )
    return f"{about}\n\n{table(rows)}"


def cell(score: dict) -> str:
    """Returns a score with its interval."""
    if score["low"] is None:
        return show(score["value"])
    return f"{score['value']:.3f} [{score['low']:.2f}, {score['high']:.2f}]"


def held_out(ws: anna.Workspace) -> list[Path]:
    """Returns the tables that `benchmarks/people.py` has left."""
    return sorted((ws.models / "held-out").glob("*/scores.csv"))


def of_people(path: Path) -> str:
    """Returns the scores on real people held out, as Markdown."""
    run = json.loads((path.parent / "about.json").read_text())
    rows = anna.tables.read(path).rename(columns={"metric": ""}).to_dict("records")
    about = (
        f"`python benchmarks/people.py --test {' '.join(run['test'])}` on **real cells**: "
        f"{run['cells']:,} cells of {len(run['learn'])} other people teach and validate, at most "
        f"{run['epochs']} epochs at {run['size']} pixels, seed {run['seed']}."
    )
    return f"{about}\n\n{table(rows)}"


if __name__ == "__main__":
    sys.exit(main())
