"""The command line: each command a thin face on the functions that the notebooks call."""

from __future__ import annotations

import argparse
import logging
import sys
import traceback
from pathlib import Path

import anna
from anna import arguments

_SHOWN = ("weighted_f1", "auc")


def main(words: list[str] | None = None) -> int:
    """Returns the exit code: 0 if all went well, 1 if something was found wrong, 2 if it failed."""
    parser = arguments.parser(_ACTIONS)
    asked = parser.parse_args(words)
    logging.basicConfig(level=logging.ERROR if asked.quiet else logging.WARNING)
    if asked.verbose:
        logging.getLogger(anna.__name__).setLevel(logging.DEBUG)  # not Pillow's, Matplotlib's, …
    try:
        return asked.do(asked)
    except KeyboardInterrupt:
        ahead = "; the same command goes on from here" if asked.resumes else ""
        parser.exit(130, f"anna: stopped{ahead}\n")
    except Exception as error:  # Python's own exit code 1 would say that something was found
        if asked.verbose:
            traceback.print_exc()
        parser.exit(2, f"anna: {_told(error)}\n")


def _told(error: Exception) -> str:
    """Returns what to print of an error; of one that was not foreseen its kind, too, in a line."""
    if isinstance(error, OSError | ValueError | RuntimeError | ImportError):
        return str(error)
    return f"{type(error).__name__}: {' '.join(str(error).split())} (--verbose shows where)"


def _chosen(asked: argparse.Namespace) -> tuple[Path, float, Path | None]:
    """Returns the file of the network asked for, its threshold, and its card if it has one."""
    threshold = asked.threshold
    if asked.trained:
        ws = anna.Workspace.locate()
        file = anna.trained.best(ws)
        anna.runs.require_ended(file.parent)
        card = anna.trained.card(ws)
        threshold = anna.trained.threshold(ws) if threshold is None else threshold
    else:
        file = Path(asked.model or anna.models.PRETRAINED)
        card = file.with_suffix(".md")
    return file, 0.5 if threshold is None else threshold, card


def _known(asked: argparse.Namespace) -> dict[str, object]:
    """Returns what the network asked for has learnt from, as `anna.calls.of` takes it."""
    if not asked.trained:
        return {}
    known, like = anna.trained.learnt(anna.Workspace.locate())
    return {"known": known, "like": like}


def _sample(asked: argparse.Namespace) -> int:
    options = {"seed": asked.seed, "cells": asked.cells, "progress": not asked.quiet}
    return _say(anna.sample.write(asked.folder, **options))


def _verify(asked: argparse.Namespace) -> int:
    root = anna.cnmc.find(asked.root)
    if root is None:
        raise FileNotFoundError(f"No C-NMC below that folder. Received: {asked.root}")
    problems = anna.cnmc.verify(anna.cnmc.index(root), progress=not asked.quiet)
    if asked.out:
        anna.tables.write(problems, asked.out)
    shown = anna.cnmc.summary(problems).to_string() if len(problems) else "whole and clean"
    _say(f"{root}\n{shown}")
    return 1 if len(problems) else 0


def _prepare(asked: argparse.Namespace) -> int:
    ws = anna.Workspace.locate()
    settings = {name: getattr(asked, name) for name in ("size", "crop", "valid", "seed")}
    data, problems = anna.steps.prepare(ws, **settings, progress=not asked.quiet)
    count = data.cells["role"].value_counts()
    roles = ", ".join(f"{role} {number:,}" for role, number in count.items())
    return _say(f"{roles}; {len(problems)} findings; see {ws.csv}")


def _train(asked: argparse.Namespace) -> int:
    ws = anna.Workspace.locate()
    options = {"epochs": asked.epochs, "batch_size": asked.batch_size, "seed": asked.seed}
    options |= {"devices": asked.devices, "progress": not asked.quiet}
    given = {"learning_rate": asked.learning_rate, "folds": asked.folds, "name": asked.name}
    options |= {key: value for key, value in given.items() if value is not None}
    if asked.fold is not None:
        run = anna.rounds.train(ws, asked.fold, network=asked.network, **options)
    elif {"folds", "name"} & options.keys():
        raise ValueError("--folds and --name go with --fold, which says which of them to train")
    else:
        run = anna.steps.train(ws, asked.network, **options)
    return _say(
        f"{len(run.history)} epochs, {run.new_epochs} of them now, epoch {run.best_epoch} kept: "
        f"{run.folder / 'best.keras'}"
    )


def _gather(asked: argparse.Namespace) -> int:
    ws = anna.Workspace.locate()
    options = {"folds": asked.folds, "resamples": asked.resamples, "seed": asked.seed}
    for name in asked.names:
        _, scores = anna.rounds.gather(ws, name, **options)
        rows = (f"{key} {anna.metrics.describe(scores.loc[key])}" for key in _SHOWN)
        shown = ", ".join(rows)
        _say(f"{name}, {scores.attrs['people']} people out of fold: {shown}")
    return _say(f"see {ws.csv}")


def _test(asked: argparse.Namespace) -> int:
    ws = anna.Workspace.locate()
    options = {"resamples": asked.resamples, "seed": asked.seed, "progress": not asked.quiet}
    results = anna.steps.judge(ws, **options)
    rows = {name: model["scores"] for name, model in results["models"].items()}
    for name, scores in rows.items():
        shown = (f"{key} {anna.card.score(scores[key])}" for key in _SHOWN)
        _say(f"{name}: {', '.join(shown)}")
    note = f"{results['note']}. " if results["note"] else ""
    _say(f"tested on {results['data']['tested on']}")
    return _say(f"{note}{ws.output / 'results.json'}, {ws.output / 'model_card.md'}")


def _predict(asked: argparse.Namespace) -> int:
    paths = _images(asked)
    file, threshold, _ = _chosen(asked)
    model, progress = anna.models.load(file), not asked.quiet
    how = _known(asked) | {"scale": asked.scale, "progress": progress}
    calls = anna.calls.of(model, paths, threshold=threshold, **how)
    anna.tables.write(calls, asked.out)
    if asked.page:
        crop = anna.calls.crop_of(model, asked.scale)
        anna.page.write(asked.page, calls, model, crop=crop, progress=progress)
    counts, unusual = calls["call"].value_counts(), int((calls["warning"] != "").sum())
    failed = int(calls["problem"].notna().sum())
    _say(
        f"{len(calls)} files: {counts.get('ALL', 0)} called ALL, {counts.get('HEM', 0)} HEM, "
        f"{failed} not judged, {unusual} with a warning; see {asked.page or asked.out}"
    )
    return 1 if failed else 0


def _field(asked: argparse.Namespace) -> int:
    paths = _images(asked)
    file, threshold, _ = _chosen(asked)
    model, options = anna.models.load(file), {"scale": asked.scale, "progress": not asked.quiet}
    if asked.segmenter:
        options["segmenter"] = anna.models.load(asked.segmenter)
    cells = anna.fields.judge(model, paths, threshold=threshold, **options, **_known(asked))
    anna.tables.write(cells, asked.out)
    shares = anna.fields.summary(cells)
    if asked.summary:
        anna.tables.write(shares, asked.summary)
    if asked.page:
        anna.field_page.write(asked.page, cells, model, **options)
    _say(shares.to_string(index=False))
    _say(f"see {asked.page or asked.out}")
    return 1 if (cells["problem"].notna() & (cells["problem"] != anna.fields.EDGE)).any() else 0


def _compare(asked: argparse.Namespace) -> int:
    table = anna.comparison.of(*asked.outputs)
    anna.tables.write(table, asked.out)
    if asked.page:
        anna.comparison.write_page(asked.page, table)
    return _say(f"{table.to_string(index=False)}\nsee {asked.page or asked.out}")


def _report(asked: argparse.Namespace) -> int:
    return _say(anna.reporting.write(anna.Workspace.locate().output))


def _export(asked: argparse.Namespace) -> int:
    file, threshold, card = _chosen(asked)
    return _say(anna.export.file(asked.out, source=file, card=card, threshold=threshold))


def _images(asked: argparse.Namespace) -> list[Path]:
    """Returns the images asked for; raises before any work if there are none, or no place for it.

    Patterns such as `*.bmp` are resolved here, too: not every shell does it.
    """
    places = [path for key in ("out", "page", "summary") if (path := vars(asked).get(key))]
    for number, path in enumerate(places):
        if path.is_dir():
            raise IsADirectoryError(f"A file's name is needed, not a folder's. Received: {path}")
        if path.resolve() in [other.resolve() for other in places[:number]]:
            raise ValueError(f"Each result must have a file of its own. Received: {path} twice")
    found = []
    for word in asked.paths:
        paths = [word] if Path(word).exists() else _matching(Path(word))
        if not paths:
            raise FileNotFoundError(f"No such file or folder. Received: {word}")
        found += paths
    if not (images := anna.predict.listed(found)):
        raise FileNotFoundError(f"No images there. Received: {', '.join(asked.paths)}")
    return images


def _matching(pattern: Path) -> list[Path]:
    return sorted(Path(pattern.anchor).glob(pattern.relative_to(pattern.anchor).as_posix()))


def _say(text: object) -> int:
    sys.stdout.write(f"{text}\n")
    return 0


_ACTIONS = {
    "sample": _sample,
    "verify": _verify,
    "prepare": _prepare,
    "train": _train,
    "gather": _gather,
    "test": _test,
    "predict": _predict,
    "field": _field,
    "compare": _compare,
    "report": _report,
    "export": _export,
}
