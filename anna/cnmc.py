"""What C-NMC 2019 looks like on disk: names, subjects, folds, labels.

The data: Gupta and Gupta, 2019, ALL Challenge dataset of ISBI 2019 (C-NMC 2019), The Cancer Imaging
Archive, doi 10.7937/tcia.2019.dc64i46r, licence CC BY 3.0.
"""

import re
from pathlib import Path

import pandas as pd

from anna import facts, tables
from anna.archive import NAMES, TABLE, find, is_drawn, part_of
from anna.label_file import NONE, labels

__all__ = ["census", "find", "index", "labels", "set_aside", "subject", "summary", "verify"]
PRELIM = Path("validation_data") / "C-NMC_test_prelim_phase_data"
FINAL = Path("testing_data") / "C-NMC_test_final_phase_data"
LABELS = Path("validation_data") / TABLE
SIDES = {"train": 450, "prelim": 450, "final": 600}  # pixels of the published images
CLASSES = {1: "ALL", 0: "HEM"}
COLUMNS = ["path", "name", "split", "fold", "subject", "label", "drawn"]
PUBLISHED = {  # images of ALL and of HEM; of the final set only the sum is public
    "training_data/fold_0": (2397, 1130),
    "training_data/fold_1": (2418, 1163),
    "training_data/fold_2": (2457, 1096),
    PRELIM.as_posix(): (1219, 648),
    FINAL.as_posix(): (2586,),
}
_NAME = re.compile(r"UID_(H?)0*(\d+)_(\d+)_(\d+)_(all|hem)\.bmp", re.IGNORECASE)


def subject(name: str) -> str | None:
    """Returns the person an image is of, `57` or `H49`, or None if the name tells none.

    Args:
        name: As published, `UID_57_29_1_all.bmp`. A lower-case `h3` is `H3`.
    """
    found = _NAME.fullmatch(name)
    return found[1].upper() + found[2] if found else None


def index(root: str | Path) -> pd.DataFrame:
    """Returns `cells`: one row an image of the copy of C-NMC below `root`, sorted by path.

    Columns: `path` (str); `name`, as in the labels; `split`, "train", "prelim" or "final"; `fold`
    (Int64, 0–2 or missing); `subject` (str or missing); `label` (Int64, 1 ALL, 0 HEM, or missing);
    `drawn` (bool), whether the cells are the drawn stand-in. Labels come from the folder or, in the
    preliminary set, from the CSV by name; no order of a listing is used.

    Raises:
        FileNotFoundError: If there is no image of C-NMC below `root`.
        ValueError: If a path is no Unicode.
    """
    root = Path(root).absolute()
    rows = [*_training(root), *_prelim(root), *_final(root)]
    if not rows:
        raise FileNotFoundError(
            f"No C-NMC image found; expected training_data/fold_0/all/*.bmp below. Received: {root}"
        )
    odd = [path for path, *_ in rows if path.encode(errors="ignore").decode() != path]
    if odd:  # a table could not give it back
        raise ValueError(f"Paths must be Unicode; rename the folder or file. Received: {odd[0]!r}")
    cells = pd.DataFrame(rows, columns=COLUMNS[:-1]).assign(drawn=is_drawn(root))
    cells = tables.typed(cells, {key: tables.TYPES[key] for key in COLUMNS})
    return cells.sort_values("path", ignore_index=True)


def _training(root: Path) -> list[tuple]:
    rows = []
    base = part_of(root, "training_data")
    for path in sorted(base.glob("fold_[0-9]*/**/[!.]*.bmp")):
        fold = int(re.match(r"fold_(\d+)", path.relative_to(base).parts[0])[1])
        label = {"all": 1, "hem": 0}.get(path.parent.name.lower())
        rows.append((str(path), path.name, "train", fold, subject(path.name), label))
    return rows


def _prelim(root: Path) -> list[tuple]:
    file = _label_file(root)
    table = labels(file) if file.is_file() else NONE
    table = table[~table.index.duplicated(keep=False)]
    rows = []
    for path in sorted(_images(root, PRELIM).glob("[!.]*.bmp")):
        known = path.name in table.index
        name, label = table.loc[path.name, ["name", "label"]] if known else (path.name, None)
        rows.append((str(path), name, "prelim", None, subject(name), label))
    return rows


def _final(root: Path) -> list[tuple]:
    files = sorted(_images(root, FINAL).glob("[!.]*.bmp"))
    return [(str(path), path.name, "final", None, None, None) for path in files]


def _images(root: Path, place: Path) -> Path:
    """Returns the folder of a test set's images; `place` as Kaggle nests it, which not all do."""
    outer = part_of(root, place.parts[0])
    return outer / place.name if (outer / place.name).is_dir() else outer


def _label_file(root: Path) -> Path:
    inside = part_of(root, LABELS.parts[0]) / LABELS.name
    return inside if inside.is_file() else root / LABELS.name


def census(cells: pd.DataFrame) -> pd.DataFrame:
    """Returns counts of images and people by folder, beside the published number of images.

    Index: `folder`; columns: `all`, `hem`, `unlabelled`, `images`, `people`, `published`.
    """
    table = pd.DataFrame(
        {
            "folder": [_folder(row) for row in cells.itertuples()],
            "all": (cells["label"] == 1).fillna(False),
            "hem": (cells["label"] == 0).fillna(False),
            "unlabelled": cells["label"].isna(),
            "people": cells["subject"],
            "images": True,
        }
    ).groupby("folder")
    sums = table[["all", "hem", "unlabelled", "images"]].sum()
    counts = sums.assign(people=table["people"].nunique()).reindex(list(PUBLISHED), fill_value=0)
    return counts.assign(published={folder: sum(n) for folder, n in PUBLISHED.items()})


def _folder(row) -> str:
    if row.split == "train":
        return f"training_data/fold_{row.fold}"
    return (PRELIM if row.split == "prelim" else FINAL).as_posix()


def verify(
    cells: pd.DataFrame, *, cache: Path | None = None, progress: bool = True
) -> pd.DataFrame:
    """Returns what is wrong with a copy of C-NMC: columns `path`, `problem`, `detail`.

    Every image is decoded to its last byte. The problems: unreadable, wrong mode, wrong size,
    empty, unlabelled, unnamed, label conflict, duplicate name, identical pixels, missing image,
    census. Each row names a file, or for the census a folder.

    Args:
        cells: As `index` returns it.
        cache: As in `anna.facts.of`.
        progress: Whether to show a bar.
    """
    seen = facts.of(cells, cache=cache, progress=progress)
    found = [
        *_damaged(cells, seen),
        *_misnamed(cells),
        *_repeated(cells, seen),
        *_absent(cells),
        *_miscounted(cells),
    ]
    return pd.DataFrame(found, columns=["path", "problem", "detail"]).astype("str")


def _damaged(cells: pd.DataFrame, seen: pd.DataFrame) -> list[tuple]:
    found = []
    for cell, fact in zip(cells.itertuples(), seen.itertuples(), strict=True):
        side = SIDES[cell.split]
        if isinstance(fact.problem, str):
            found.append((cell.path, "unreadable", fact.problem))
            continue
        if fact.mode != "RGB":
            found.append((cell.path, "wrong mode", f"{fact.mode}, expected RGB"))
        if (fact.width, fact.height) != (side, side):
            size = f"{fact.width:.0f}×{fact.height:.0f}, expected {side}×{side}"
            found.append((cell.path, "wrong size", size))
        if fact.area == 0:
            found.append((cell.path, "empty", "all pixels are black"))
    return found


def _misnamed(cells: pd.DataFrame) -> list[tuple]:
    found = []
    for cell in cells[cells["split"] != "final"].itertuples():
        told = _NAME.fullmatch(cell.name)
        if cell.label is pd.NA:
            found.append((cell.path, "unlabelled", "neither folder nor CSV gives a label"))
        elif not told:
            found.append((cell.path, "unnamed", f"the name tells no subject: {cell.name}"))
        elif CLASSES[cell.label] != told[5].upper():
            said = f"labelled {CLASSES[cell.label]}, named {cell.name}"
            found.append((cell.path, "label conflict", said))
    return found


def _repeated(cells: pd.DataFrame, seen: pd.DataFrame) -> list[tuple]:
    named = cells[cells["split"] != "final"]
    names, hashes = named["name"].str.lower(), seen["pixel_hash"].dropna()
    keys = (("duplicate name", names), ("identical pixels", hashes))
    found = []
    for problem, key in keys:
        for _, rows in cells.loc[key[key.duplicated(keep=False)].index].groupby(key):
            paths = rows["path"].tolist()
            found += [(p, problem, ", ".join(q for q in paths if q != p)) for p in paths]
    return found


def _absent(cells: pd.DataFrame) -> list[tuple]:
    """Returns a row for each image that the label CSV names and the folder lacks."""
    found = []
    files = {_label_file(root): _images(root, PRELIM) for root in _roots(cells)}
    for file, folder in files.items():
        there = {path.name for path in folder.glob("[!.]*.bmp")}
        for row in labels(file).reset_index().itertuples() if file.is_file() else ():
            if row.file not in there:
                detail = f"the CSV names it {row.name}"
                found.append((str(folder / row.file), "missing image", detail))
    return found


def _miscounted(cells: pd.DataFrame) -> list[tuple]:
    if cells["drawn"].any():
        return []
    counts = census(cells)
    counts = counts[counts["images"] != counts["published"]]
    return [
        (folder, "census", f"{row.images:,} images, published {row.published:,}")
        for folder, row in zip(counts.index, counts.itertuples(), strict=True)
    ]


def _roots(cells: pd.DataFrame) -> list[Path]:
    paths = {Path(path).parent for path in cells["path"]}
    return sorted(
        {p.parent for folder in paths for p in (folder, *folder.parents) if p.name in NAMES}
    )


def summary(problems: pd.DataFrame) -> pd.DataFrame:
    """Returns `verify`'s findings in a few lines: `problem`, `files`, and an example's `detail`."""
    table = problems.groupby("problem", sort=False).agg(
        files=("path", "size"), example=("path", "first"), detail=("detail", "first")
    )
    return table.sort_values("files", ascending=False).reset_index()


def set_aside(cells: pd.DataFrame, problems: pd.DataFrame) -> pd.DataFrame:
    """Returns `cells` without the images that cannot be used; the files stay where they are.

    Set aside are images that are unreadable, empty, labelled without naming anyone, or of two
    minds about their label.
    """
    bad = problems[problems["problem"].isin(["unreadable", "empty", "unnamed", "label conflict"])]
    return cells[~cells["path"].isin(bad["path"])].reset_index(drop=True)
