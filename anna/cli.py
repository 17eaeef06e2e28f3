"""The command line: sample, verify, prepare, train, gather, test, predict, export."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable
from pathlib import Path

import anna

_WHERE = """
C-NMC is taken from ANNA_INPUT (else from input/), results go to ANNA_OUTPUT (else to output/).
Exit codes: 0 all went well, 1 something was found wrong, 2 it failed.
"""
_SHOWN = ("weighted_f1", "auc")
_EXAMPLES = {
    None: """examples:
  python -m anna predict folder/ --out calls.csv
  anna verify /data/C-NMC_Leukemia
  anna prepare && anna train && anna test
  anna export anna.onnx
""",
    "sample": "example:\n  anna sample input/\n",
    "verify": "example:\n  anna verify /data/C-NMC_Leukemia --out problems.csv\n",
    "prepare": "examples:\n  anna prepare\n  ANNA_INPUT=archive.zip anna prepare --size 160\n",
    "train": "examples:\n  anna train\n  anna train --epochs 3 --seed 1\n"
    "  anna train --network anna-2020\n  anna train --devices all\n"
    "  anna train --fold 3 --folds 5 --name slow --learning-rate 0.0005\n\n"
    "Stopped, it goes on where it was when called again.\n",
    "gather": "examples:\n  anna gather\n  anna gather anna slow --folds 5\n",
    "test": "example:\n  anna test --resamples 500\n",
    "predict": "examples:\n  anna predict folder/ --out calls.csv\n"
    "  anna predict a.bmp b.png --page calls.html\n  anna predict folder/ --trained\n",
    "export": "examples:\n  anna export anna.onnx\n  anna export anna.tflite --trained\n"
    "  anna export saved/\n",
}


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0 if all went well, 1 if something was found wrong, 2 if it failed."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    level = logging.DEBUG if asked.verbose else logging.ERROR if asked.quiet else logging.WARNING
    logging.basicConfig(level=level)
    try:
        return asked.do(asked)
    except KeyboardInterrupt:
        parser.exit(130, "anna: stopped; the same command goes on from here\n")
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        if asked.verbose:
            raise
        parser.exit(2, f"anna: {error}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="anna",
        description="Tells leukemic blasts from healthy cells. For research, not for diagnosis.",
        epilog=_EXAMPLES[None] + _WHERE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    sample = _command(commands, _sample, "draw a stand-in for C-NMC")
    sample.add_argument("folder", type=Path, help="where it goes")
    sample.add_argument("--cells", type=int, default=640, help="training cells (640)")
    sample.add_argument("--seed", type=int, default=0)

    verify = _command(commands, _verify, "check a copy of C-NMC")
    verify.add_argument("root", type=Path, help="its folder, or one above it")
    verify.add_argument("--out", type=Path, help="table of problems")

    prepare = _command(commands, _prepare, "verify, split people, prepare pixels (notebook 2)")
    prepare.add_argument("--size", type=int, default=128, help="pixels the networks see (128)")
    prepare.add_argument("--crop", type=int, default=320, help="pixels kept of a file (320)")
    prepare.add_argument("--valid", type=float, default=0.2, help="share that validates (0.2)")
    prepare.add_argument("--seed", type=int, default=0, help="of the split")

    train = _command(commands, _train, "train a network (notebook 3)")
    train.add_argument("--network", choices=anna.steps.NETWORKS, default="anna")
    train.add_argument("--epochs", type=int, default=18)
    train.add_argument("--batch-size", type=int, default=32)
    train.add_argument("--learning-rate", type=float, help="by default the recipe's")
    train.add_argument("--seed", type=int, default=0, help="of weights, order, augmentation")
    train.add_argument("--devices", type=_devices, default=1, help="how many, or all (1)")
    train.add_argument("--fold", type=int, help="train without this fold of people, from 0")
    train.add_argument("--folds", type=int, default=5, help="how many there are (5)")
    train.add_argument("--name", help="of these folds, among others (the network's)")

    gather = _command(commands, _gather, "score people by the folds that have not seen them")
    gather.add_argument("names", nargs="*", default=["anna"], metavar="name", help="(anna)")
    gather.add_argument("--folds", type=int, default=5, help="how many there are (5)")
    gather.add_argument("--resamples", type=int, default=2000, help="behind each interval (2000)")
    gather.add_argument("--seed", type=int, default=0, help="of the bootstrap")

    test = _command(commands, _test, "threshold, scores, model card (notebook 4)")
    test.add_argument("--resamples", type=int, default=2000, help="behind each interval (2000)")
    test.add_argument("--seed", type=int, default=0, help="of the bootstrap")

    predict = _command(commands, _predict, "judge cells in image files")
    predict.add_argument("paths", nargs="+", help="images of one cell each, and folders of them")
    predict.add_argument("--out", type=Path, default=Path("calls.csv"), help="table of calls")
    predict.add_argument("--page", type=Path, help="HTML page with pictures, to pass on")
    _choose_model(predict)

    export = _command(commands, _export, "write a network to pass on")
    export.add_argument("out", type=Path, help=".onnx, .tflite, or a folder for a SavedModel")
    _choose_model(export)
    return parser


def _command(commands, do: Callable, about: str) -> argparse.ArgumentParser:
    name = do.__name__.strip("_")
    command = commands.add_parser(
        name,
        help=about,
        description=about[0].upper() + about[1:] + ".",
        epilog=_EXAMPLES[name] + _WHERE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    told = command.add_mutually_exclusive_group()
    told.add_argument("--quiet", action="store_true", help="no progress bars, errors only")
    told.add_argument("--verbose", action="store_true", help="log all, and show tracebacks")
    command.set_defaults(do=do)
    return command


def _choose_model(command: argparse.ArgumentParser) -> None:
    which = command.add_mutually_exclusive_group()
    which.add_argument("--model", type=Path, help="a .keras file; by default the trained ANNa")
    which.add_argument(
        "--trained", action="store_true", help="what `anna train` made, with its threshold"
    )
    command.add_argument("--threshold", type=float, help="ALL from here on (0.5)")


def _chosen(asked: argparse.Namespace) -> tuple[Path, float, Path]:
    """Returns the file of the network asked for, its threshold, and its card."""
    file, threshold = asked.model or anna.models.PRETRAINED, 0.5
    card = Path(file).with_suffix(".md")
    if asked.trained:
        ws = anna.Workspace.locate()
        file, card = anna.steps.best(ws), ws.output / "model_card.md"
        threshold = anna.steps.threshold(ws)
    return file, threshold if asked.threshold is None else asked.threshold, card


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
    if asked.learning_rate:
        options["learning_rate"] = asked.learning_rate
    options |= {"devices": asked.devices, "progress": not asked.quiet}
    if asked.fold is None:
        run = anna.steps.train(ws, asked.network, **options)
    else:
        options |= {"folds": asked.folds, "network": asked.network, "name": asked.name}
        run = anna.rounds.train(ws, asked.fold, **options)
    return _say(
        f"{len(run.history)} epochs, {run.new_epochs} of them now, epoch {run.best_epoch} kept: "
        f"{run.folder / 'best.keras'}"
    )


def _devices(text: str) -> int | str:
    return text if text == "all" else int(text)


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
    return _say(f"{note}{ws.output / 'results.json'}, {ws.output / 'model_card.md'}")


def _predict(asked: argparse.Namespace) -> int:
    if missing := [path for path in asked.paths if not Path(path).exists()]:
        raise FileNotFoundError(f"No such file or folder. Received: {missing[0]}")
    file, threshold, _ = _chosen(asked)
    model, progress = anna.models.load(file), not asked.quiet
    calls = anna.calls.of(model, asked.paths, threshold=threshold, progress=progress)
    if calls.empty:
        raise FileNotFoundError(f"No images there. Received: {', '.join(asked.paths)}")
    anna.tables.write(calls, asked.out)
    if asked.page:
        anna.page.write(asked.page, calls, model, progress=progress)
    counts, unusual = calls["call"].value_counts(), int((calls["warning"] != "").sum())
    failed = int(calls["problem"].notna().sum())
    _say(
        f"{len(calls)} files: {counts.get('ALL', 0)} called ALL, {counts.get('HEM', 0)} HEM, "
        f"{failed} not judged, {unusual} with a warning; see {asked.page or asked.out}"
    )
    return 1 if failed else 0


def _export(asked: argparse.Namespace) -> int:
    file, threshold, card = _chosen(asked)
    return _say(anna.export.file(asked.out, source=file, card=card, threshold=threshold))


def _say(text: object) -> int:
    sys.stdout.write(f"{text}\n")
    return 0
