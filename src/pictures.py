"""Puts pictures of the last run into src/ and its scores into both READMEs: `make pictures`.

The pictures are those that the notebooks saved in output/viz. The scores come from
output/results.json. What the benchmarks on real cells left in output/csv and output/viz goes along;
where they have not been run, their part of the pages stays as it is.
"""

import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

import anna
from anna.card import ROWS, show, table
from anna.report import write_text

HERE = Path(__file__).resolve().parent
PAGES = (HERE.parent / "README.md", HERE.parent / "benchmarks" / "README.md")
PICTURES = ("evidence", "network", "curves", "people", "label_order")
REAL = (
    *(f"{of}_{what}" for of in ("probe", "brain") for what in ("robustness", "deletion")),
    "field",
)
PARTS = "abcde"


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
    for name in REAL:
        if (ws.viz / f"{name}.png").is_file():
            shutil.copyfile(ws.viz / f"{name}.png", HERE / f"{name}.png")
    blocks = {"results": of_run(json.loads(results.read_text()))}
    blocks |= {name: text for name, text in of_benchmarks(ws.csv) if text}
    for page in PAGES:
        write_text(page, filled(page.read_text(), blocks))
    return 0


def filled(text: str, blocks: dict[str, str]) -> str:
    """Returns the text with each block between its two marks."""
    for name, block in blocks.items():
        marks = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        text = marks.sub(lambda found, block=block: f"{found[1]}\n{block}\n\n{found[2]}", text)
    return text


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


def of_benchmarks(folder: Path) -> Iterator[tuple[str, str]]:
    """Yields name and Markdown of each table of real cells that is there."""
    for name, show_table in TABLES.items():
        path = folder / f"{SOURCES.get(name, name)}.csv"
        if path.is_file():
            yield name, table(show_table(anna.tables.read(path)).to_dict("records"))


def of_methods(rows: pd.DataFrame) -> pd.DataFrame:
    """Returns the methods: pooled weighted F1 with its interval, AUC part by part."""
    spread = rows["method"].str.contains("spread")
    interval = [
        "" if pd.isna(low) else f" [{low:.2f}, {high:.2f}]"
        for low, high in zip(rows["low"], rows["high"], strict=True)
    ]
    shown = pd.DataFrame({"": rows["method"]})
    shown["weighted F1"] = [
        f"{v:.3f}{i}" for v, i in zip(rows["weighted_f1"], interval, strict=True)
    ]
    names = {"mean AUC": "mean AUC", "sensitivity": "sens.", "specificity": "spec.", "ece": "ECE"}
    for key, title in names.items():
        shown[title] = rows[key].map("{:.3f}".format)
    for start in ("F1", "AUC"):
        parts = rows[[f"{start} {part}" for part in PARTS]]
        shown[f"{start} {', '.join(PARTS)}"] = [
            ", ".join(f"{value:.3f}" for value in row) for row in parts.to_numpy()
        ]
    shown[""] = shown[""].where(~spread, shown[""] + " (standard deviation)")
    return shown


def of_short(rows: pd.DataFrame) -> pd.DataFrame:
    """Returns the methods without the parts, and without the ablations."""
    kept = rows[~rows["method"].str.contains("the same without")]
    shown = of_methods(kept)
    return shown[[name for name in shown if ", ".join(PARTS) not in name]]


def rounded(rows: pd.DataFrame) -> pd.DataFrame:
    """Returns the table with numbers as short texts, empty where there is none."""
    return rows.map(lambda v: f"{v:.3f}" if isinstance(v, float) else v).replace("nan", "")


def of_ingredients(rows: pd.DataFrame) -> pd.DataFrame:
    """Returns what each ingredient is worth, in short."""
    kept = ["variant", "weighted_f1", "lost F1", "mean AUC", "lost AUC"]
    kept += [f"AUC {part}" for part in PARTS]
    return rounded(rows[[name for name in kept if name in rows]])


def of_segmenter(rows: pd.DataFrame) -> pd.DataFrame:
    """Returns Dice and the error of the nucleus-to-cell ratio by data set and method."""
    shown = rows[["dataset", "method", "images"]].copy()
    for part in ("nucleus", "cell"):
        spread = rows[f"{part}_sd_folds"]
        both = zip(rows[part], spread, strict=True)
        shown[f"{part}, Dice ± sd of folds"] = [f"{mean:.3f} ± {sd:.3f}" for mean, sd in both]
    shown["nucleus-to-cell ratio, mean error"] = rows["ratio_error"].map("{:.3f}".format)
    return shown


def of_speed(rows: pd.DataFrame) -> pd.DataFrame:
    """Returns rates in three digits; a share of the matrix rate where there is one."""
    shown = rows.rename(columns={"what": "images or cells a second"})
    for name in {"ours", "plain", "limit"} & set(shown):
        rates = shown[name].map(lambda v: f"{v:,.0f}" if v >= 100 else f"{v:.1f}")
        shown[name] = rates.where(shown[name].notna(), "")
    shown["ratio"] = shown["ratio"].map("{:.2f}".format)
    return rounded(shown)


def of_notebooks(rows: pd.DataFrame) -> pd.DataFrame:
    """Returns whole seconds, and the first line of each cell as code."""
    code = rows["cell"].map(lambda line: f"`{line.strip()}`" if isinstance(line, str) else "")
    seconds = rows["seconds"].map("{:.0f}".format)
    return rows.assign(seconds=seconds, cell=code)


def of_gpu(rows: pd.DataFrame) -> pd.DataFrame:
    """Returns rates in cells a second, and shares in per cent."""
    shown = rows[["network", "size", "precision", "batch"]].copy()
    for name in rows.columns[rows.columns.get_loc("batch") + 1 :]:
        if name.startswith("share"):
            shown[name] = rows[name].map("{:.1%}".format)
        elif "FLOP" not in name:
            shown[name] = rows[name].map("{:,.0f}".format)
    return shown


def of_full_size(rows: pd.DataFrame) -> pd.DataFrame:
    """Returns what each step costs on a data set of full size."""
    shown = rows.drop(columns="below 2 GB")
    shown["minutes"] = shown["minutes"].map("{:.1f}".format)
    for name in ("images", "images/s", "opened", "peak MB", "peak MB at 2,000"):
        shown[name] = shown[name].map("{:,.0f}".format)
    return shown


TABLES = {
    "speed": of_speed,
    "notebooks": of_notebooks,
    "serving": rounded,
    "gpu_jax": of_gpu,
    "full_size": of_full_size,
    "probe_short": of_short,
    "probe_methods": of_methods,
    "probe_ingredients": of_ingredients,
    "probe_calibration": rounded,
    "probe_robustness": rounded,
    "probe_deletion": rounded,
    "brain_methods": of_methods,
    "brain_ingredients": of_ingredients,
    "brain_photographs": of_ingredients,
    "brain_calibration": rounded,
    "brain_robustness": rounded,
    "brain_deletion": rounded,
    "brain_likeness": rounded,
    "segmenter": of_segmenter,
    **dict.fromkeys(("fields_drawn", "fields_real", "fields_calls"), rounded),
}
SOURCES = {"probe_short": "probe_methods"}  # tables of another name


if __name__ == "__main__":
    sys.exit(main())
