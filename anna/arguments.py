"""The words of the command line: its commands, their options and examples."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import anna

_WHERE = """
C-NMC is taken from ANNA_INPUT (else from input/), results go to ANNA_OUTPUT (else to output/).
Exit codes: 0 all went well, 1 something was found wrong, 2 it failed.
"""
_QUIET = "no progress bars, no warnings; errors and the summary are still printed"
_SCALE = "C-NMC's pixels in one of the file (1); a lymphocyte of C-NMC is 187 pixels wide"
_RESUMES = ("verify", "prepare", "train")  # stopped, they go on when called again
_EXAMPLES = {
    None: """examples:
  python -m anna predict folder/ --out calls.csv
  anna verify /data/C-NMC_Leukemia
  anna prepare && anna train && anna test
  anna export anna.onnx
""",
    "sample": "example:\n  anna sample input/sample\n",
    "verify": "example:\n  anna verify /data/C-NMC_Leukemia --out problems.csv\n",
    "prepare": "examples:\n  anna prepare\n  ANNA_INPUT=archive.zip anna prepare --size 160\n",
    "train": "examples:\n  anna train\n  anna train --epochs 3 --seed 1\n"
    "  anna train --network anna-2020\n  anna train --devices all\n"
    "  anna train --fold 3 --folds 5 --name slow --learning-rate 0.0005\n\n"
    "Stopped, it goes on where it was when called again.\n",
    "gather": "examples:\n  anna gather\n  anna gather anna slow --folds 5\n",
    "test": "example:\n  anna test --resamples 500\n",
    "predict": "examples:\n  anna predict folder/ --out calls.csv\n"
    "  anna predict a.bmp b.png --page calls.html\n  anna predict folder/ --trained\n"
    "  anna predict folder/ --scale 2\n",
    "field": "examples:\n  anna field smear.png --out cells.csv --page field.html\n"
    "  anna field slide/ --scale 2 --summary share.csv\n",
    "compare": "example:\n  anna compare output/ other-output/ --page comparison.html\n",
    "report": "example:\n  anna report\n",
    "export": "examples:\n  anna export anna.onnx\n  anna export anna.tflite --trained\n"
    "  anna export saved/\n",
}


def parser(actions: Mapping[str, Callable]) -> argparse.ArgumentParser:
    """Returns the parser; what it parses has the command's action in `do`."""
    whole = argparse.ArgumentParser(
        prog="anna",
        description="Tells leukemic blasts from healthy cells. For research, not for diagnosis.",
        epilog=_EXAMPLES[None] + _WHERE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = whole.add_subparsers(required=True, metavar="COMMAND")
    for add in (_data, _training, _judging, _passing_on):
        add(commands, actions)
    return whole


def _data(commands, actions: Mapping[str, Callable]) -> None:
    sample = _command(commands, actions, "sample", "draw a stand-in for C-NMC")
    sample.add_argument("folder", type=Path, help="where it goes")
    sample.add_argument("--cells", type=int, default=640, help="training cells (640)")
    sample.add_argument("--seed", type=int, default=0)

    verify = _command(commands, actions, "verify", "check a copy of C-NMC")
    verify.add_argument("root", type=Path, help="its folder, or one above it")
    verify.add_argument("--out", type=Path, help="table of problems")

    prepare = _command(
        commands, actions, "prepare", "verify, split people, prepare pixels (notebook 2)"
    )
    prepare.add_argument("--size", type=_size, default=128, help="pixels the networks see (128)")
    prepare.add_argument("--crop", type=_count, default=320, help="pixels kept of a file (320)")
    prepare.add_argument("--valid", type=float, default=0.2, help="share that validates (0.2)")
    prepare.add_argument("--seed", type=int, default=0, help="of the split")


def _training(commands, actions: Mapping[str, Callable]) -> None:
    train = _command(commands, actions, "train", "train a network (notebook 3)")
    train.add_argument("--network", choices=anna.steps.NETWORKS, default="anna")
    train.add_argument("--epochs", type=_count, default=18)
    train.add_argument("--batch-size", type=_count, default=32)
    train.add_argument("--learning-rate", type=_above_zero, help="by default the recipe's")
    train.add_argument("--seed", type=int, default=0, help="of weights, order, augmentation")
    train.add_argument("--devices", type=_devices, default=1, help="how many, or all (1)")
    train.add_argument("--fold", type=int, help="train without this fold of people, from 0")
    train.add_argument("--folds", type=_count, help="with --fold: how many there are (5)")
    train.add_argument("--name", help="with --fold: of these folds, among others (the network's)")

    gather = _command(
        commands, actions, "gather", "score people by the folds that have not seen them"
    )
    gather.add_argument("names", nargs="*", default=["anna"], metavar="name", help="(anna)")
    gather.add_argument("--folds", type=int, default=5, help="how many there are (5)")
    gather.add_argument("--resamples", type=int, default=2000, help="behind each interval (2000)")
    gather.add_argument("--seed", type=int, default=0, help="of the bootstrap")


def _judging(commands, actions: Mapping[str, Callable]) -> None:
    test = _command(commands, actions, "test", "threshold, scores, model card (notebook 4)")
    test.add_argument("--resamples", type=int, default=2000, help="behind each interval (2000)")
    test.add_argument("--seed", type=int, default=0, help="of the bootstrap")

    predict = _command(commands, actions, "predict", "judge cells in image files")
    predict.add_argument("paths", nargs="+", help="images of one cell each, and folders of them")
    predict.add_argument("--out", type=Path, default=Path("calls.csv"), help="table of calls")
    predict.add_argument("--page", type=Path, help="HTML page with pictures, to pass on")
    predict.add_argument("--scale", type=float, default=1.0, help=_SCALE)
    _choose_model(predict)

    field = _command(commands, actions, "field", "find and judge the cells of smear images")
    field.add_argument("paths", nargs="+", help="images of whole fields, and folders of them")
    field.add_argument("--out", type=Path, default=Path("cells.csv"), help="table of cells")
    field.add_argument("--page", type=Path, help="HTML page with boxes and cells, to pass on")
    field.add_argument("--summary", type=Path, help="table of shares of ALL, by field and in all")
    field.add_argument("--scale", type=float, default=1.0, help=_SCALE)
    unet = "a U-Net of anna.segment to find cells; thresholds do if none is given"
    field.add_argument("--segmenter", type=Path, metavar="FILE", help=unet)
    _choose_model(field)


def _passing_on(commands, actions: Mapping[str, Callable]) -> None:
    compare = _command(commands, actions, "compare", "set runs side by side on the same people")
    compare.add_argument("outputs", nargs="+", type=Path, help="output folders of runs")
    compare.add_argument("--out", type=Path, default=Path("comparison.csv"), help="the table")
    compare.add_argument("--page", type=Path, help="HTML page with a figure")

    _command(commands, actions, "report", "write report.html of the run (notebook 4)")

    export = _command(commands, actions, "export", "write a network to pass on")
    export.add_argument("out", type=Path, help=".onnx, .tflite, or a folder for a SavedModel")
    _choose_model(export)


def _command(
    commands, actions: Mapping[str, Callable], name: str, about: str
) -> argparse.ArgumentParser:
    command = commands.add_parser(
        name,
        help=about,
        description=about[0].upper() + about[1:] + ".",
        epilog=_EXAMPLES[name] + _WHERE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    told = command.add_mutually_exclusive_group()
    told.add_argument("--quiet", action="store_true", help=_QUIET)
    told.add_argument(
        "--verbose", action="store_true", help="log what ANNa does, and show tracebacks"
    )
    command.set_defaults(do=actions[name], resumes=name in _RESUMES)
    return command


def _choose_model(command: argparse.ArgumentParser) -> None:
    which = command.add_mutually_exclusive_group()
    which.add_argument("--model", type=Path, help="a .keras file; by default the trained ANNa")
    which.add_argument(
        "--trained", action="store_true", help="what `anna train` made, with its threshold"
    )
    command.add_argument("--threshold", type=float, help="ALL from here on (0.5)")


def _count(text: str) -> int:
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more. Received: {text}")
    return value


def _size(text: str) -> int:
    if (value := _count(text)) % 16 or value < 32:
        raise argparse.ArgumentTypeError(
            f"must be 32 or more, and divisible by 16. Received: {text}"
        )
    return value


def _above_zero(text: str) -> float:
    if not 0 < (value := float(text)) < math.inf:
        raise argparse.ArgumentTypeError(f"must be above 0. Received: {text}")
    return value


def _devices(text: str) -> int | str:
    return text if text == "all" else int(text)
