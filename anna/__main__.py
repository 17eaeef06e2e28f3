"""The command line: `python -m anna predict FOLDER --out calls.csv`."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

import anna

_EXAMPLES = """examples:
  python -m anna predict folder/ --out calls.csv
  python -m anna predict a.bmp b.png --out calls.csv --page calls.html
  python -m anna verify /data/C-NMC_Leukemia
  python -m anna sample stand-in/
"""


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0 if all went well, 1 if something was found wrong, 2 if it failed."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    logging.basicConfig(level=logging.DEBUG if asked.verbose else logging.WARNING)
    try:
        return asked.do(asked)
    except (OSError, ValueError) as error:
        if asked.verbose:
            raise
        parser.exit(2, f"anna: {error}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m anna",
        description="Tells leukemic blasts from healthy cells. For research, not for diagnosis.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--quiet", action="store_true", help="no progress bars")
    common.add_argument("--verbose", action="store_true", help="log all, and show tracebacks")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    predict = commands.add_parser("predict", parents=[common], help="judge cells in image files")
    predict.add_argument("paths", nargs="+", help="images of one cell each, and folders of them")
    predict.add_argument("--out", type=Path, default=Path("calls.csv"), help="table of calls")
    predict.add_argument("--page", type=Path, help="HTML page with pictures, to pass on")
    predict.add_argument("--model", type=Path, help="a .keras file; by default the trained ANNa")
    predict.add_argument("--threshold", type=float, default=0.5, help="ALL from here on (0.5)")
    predict.set_defaults(do=_predict)

    verify = commands.add_parser("verify", parents=[common], help="check a copy of C-NMC")
    verify.add_argument("root", type=Path, help="its folder, or one above it")
    verify.add_argument("--out", type=Path, help="table of problems")
    verify.set_defaults(do=_verify)

    sample = commands.add_parser("sample", parents=[common], help="draw a stand-in for C-NMC")
    sample.add_argument("folder", type=Path, help="where it goes")
    sample.add_argument("--cells", type=int, default=640)
    sample.add_argument("--seed", type=int, default=0)
    sample.set_defaults(do=_sample)
    return parser


def _predict(asked: argparse.Namespace) -> int:
    if missing := [path for path in asked.paths if not Path(path).exists()]:
        raise FileNotFoundError(f"No such file or folder. Received: {missing[0]}")
    model = anna.models.load(asked.model) if asked.model else anna.models.pretrained()
    progress = not asked.quiet
    calls = anna.calls.of(model, asked.paths, threshold=asked.threshold, progress=progress)
    if calls.empty:
        raise FileNotFoundError(f"No images there. Received: {', '.join(asked.paths)}")
    anna.tables.write(calls, asked.out)
    if asked.page:
        anna.page.write(asked.page, calls, model, progress=progress)
    counts, unusual = calls["call"].value_counts(), int((calls["warning"] != "").sum())
    failed = int(calls["problem"].notna().sum())
    sys.stdout.write(
        f"{len(calls)} files: {counts.get('ALL', 0)} called ALL, {counts.get('HEM', 0)} HEM, "
        f"{failed} not judged, {unusual} with a warning; see {asked.page or asked.out}\n"
    )
    return 1 if failed else 0


def _verify(asked: argparse.Namespace) -> int:
    root = anna.cnmc.find(asked.root)
    if root is None:
        raise FileNotFoundError(f"No C-NMC below that folder. Received: {asked.root}")
    problems = anna.cnmc.verify(anna.cnmc.index(root))
    if asked.out:
        anna.tables.write(problems, asked.out)
    shown = anna.cnmc.summary(problems).to_string() if len(problems) else "whole and clean"
    sys.stdout.write(f"{root}\n{shown}\n")
    return 1 if len(problems) else 0


def _sample(asked: argparse.Namespace) -> int:
    options = {"seed": asked.seed, "cells": asked.cells, "progress": not asked.quiet}
    sys.stdout.write(f"{anna.sample.write(asked.folder, **options)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
