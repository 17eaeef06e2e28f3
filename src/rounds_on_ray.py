"""Rounds of cross-validation as jobs of Ray: on a cluster with a shared disk, or on this machine.

    pip install -e ".[cluster]" && anna prepare
    python src/rounds_on_ray.py slow:learning_rate=0.0005 fast:learning_rate=0.002 --folds 5

Each fold of each round is a job. One that dies, with its machine or alone, is started again and
goes on where it was, as does the whole when it is called again; at the end each round is gathered.
"""

import argparse
import ast
import os
import sys

import ray

import anna


def main(words: list[str] | None = None) -> None:
    """Runs the jobs of all rounds, as many at once as there is room for, and gathers them."""
    asked = _parser().parse_args(words)
    settings = {"env_vars": {k: v for k, v in os.environ.items() if k.startswith("ANNA_")}}
    ray.init(address=asked.address, runtime_env=settings, log_to_driver=asked.verbose)
    ws = anna.Workspace.locate()
    job = ray.remote(_train).options(
        num_cpus=asked.cpus, num_gpus=asked.gpus, max_retries=3, retry_exceptions=[OSError]
    )
    jobs = {
        job.remote(name, fold, asked.folds, options): f"{name}, fold {fold}"
        for name, options in asked.rounds
        for fold in range(asked.folds)
    }
    left = list(jobs)
    while left:
        [done], left = ray.wait(left)
        _say(f"{jobs[done]}: {ray.get(done)}; {len(left)} to go")
    for name, _ in asked.rounds:
        _, scores = anna.rounds.gather(ws, name, folds=asked.folds)
        score = anna.metrics.describe(scores.loc["auc"])
        _say(f"{name}: AUC {score}")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _train(name: str, fold: int, folds: int, options: dict) -> str:
    ws = anna.Workspace.locate()
    run = anna.rounds.train(ws, fold, folds=folds, name=name, progress=False, **options)
    return f"{run.new_epochs} epochs now, epoch {run.best_epoch} of {len(run.history)} kept"


def _round(word: str) -> tuple[str, dict]:
    """Returns a round's name and its options, of `name:key=value,key=value`."""
    name, _, rest = word.partition(":")
    pairs = (pair.split("=", 1) for pair in rest.split(",") if pair)
    try:
        return name, {key: ast.literal_eval(value) for key, value in pairs}
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected name:key=value. Received: {word}") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rounds", nargs="+", type=_round, metavar="name:key=value,...")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--cpus", type=float, default=1, help="that one job takes")
    parser.add_argument("--gpus", type=float, default=0, help="that one job takes")
    parser.add_argument("--address", help="of a cluster; by default one is started here")
    parser.add_argument("--verbose", action="store_true", help="show what the jobs print")
    return parser


if __name__ == "__main__":
    main()
