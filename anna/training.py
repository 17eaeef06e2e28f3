"""Fit, and go on."""

import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from anna import batches, devices, runs, splits
from anna.backend import several
from anna.encoders import backbone_of
from anna.keeping import Keeper, callbacks
from anna.lock import alone
from anna.recipe import Recipe
from anna.stored import load_weights, record, take_up
from anna.workspace import digest

log = logging.getLogger(__name__)


class TrainingError(RuntimeError):
    """Training cannot go on; the message says why."""


@dataclass(frozen=True)
class Run:
    """A training that has ended.

    Attributes:
        folder: Holds `best.keras`, `last.keras`, `history.csv`, `settings.json`, `split.csv`.
        model: The network with the weights of the best epoch.
        history: One row an epoch: `epoch` (from 1), `loss`, `val_loss`, `auc`, `val_auc`, …
        best_epoch: The epoch that was kept.
        new_epochs: How many epochs this call has trained; 0 if all was done before.
    """

    folder: Path
    model: keras.Model
    history: pd.DataFrame
    best_epoch: int
    new_epochs: int


def fit(
    model: keras.Model,
    pixels: np.ndarray,
    cells: pd.DataFrame,
    *,
    folder: str | Path,
    epochs: int = 30,
    seed: int = 0,
    start: str | Path | None = None,
    progress: bool = True,
    **recipe,
) -> Run:
    """Returns the training of a network on the people of role "train"; it resumes where it was.

    Adam with binary cross-entropy; what is validated and kept is the running mean of the weights
    over about an epoch. By default the people of role "valid" tell when to lower the learning rate
    (halved after half the patience), when to stop, and which epoch is best; with a cosine schedule
    they tell nothing, and need not be there. Those of role "test" are never looked at.

    After each epoch all that is needed to go on is written. Called again on the same folder with
    the same settings, it goes on after the last whole epoch, and a best model is never overwritten
    by a worse one. With other settings or other data, the earlier run is moved beside and a new one
    begins.

    Args:
        model: As `anna.models.build` returns it; given the weights of the epoch that is kept.
        pixels: uint8 (n, size, size, 3); row i is `cells.iloc[i]`.
        cells: As `anna.splits.assign` returns it.
        folder: Where the run is kept.
        epochs: At most so many; a run that has more already keeps them. With a cosine schedule just
            so many.
        seed: Of the order of the images, and of what dropout and augmentation draw.
        start: A `.keras` file of the same network whose weights a new run begins with.
        progress: Whether to show a bar.
        **recipe: Attributes of `anna.recipe.Recipe`.

    Raises:
        anna.splits.LeakError: If a person is on two sides.
        ValueError: If pixels do not belong to cells, a class is missing on a side, or a new run
            would begin from trained weights, or a file of the run is damaged, or the network was
            built for other devices, or there are no epochs.
        TrainingError: If the loss is no longer a number.
        anna.lock.BusyError: If another run is training in the folder.
        OSError: If the disk is full; the epochs before are kept.
    """
    if epochs < 1:
        raise ValueError(f"epochs must be 1 or more. Received: {epochs}")
    folder, plan = Path(folder), Recipe(**recipe)
    _check(model, pixels, cells, () if plan.fixed_length else ("valid",))
    settings = runs.identity(model, cells, pixels) | asdict(plan) | {"seed": seed}
    settings |= {"epochs": epochs} if plan.fixed_length else {}
    settings |= {"start": digest(start)} if start else {}
    with alone(folder.with_name(f".{folder.name}.lock"), wait=False):
        history = runs.opened(folder, settings, cells)
        done = len(history)
        if not done:
            _begin(model, start)
        if done < epochs and not plan.ended(history):
            keeper = Keeper(folder, history, settings, plan=plan, epochs=epochs)
            _go_on(model, pixels, cells, keeper, plan=plan, epochs=epochs, progress=progress)
        load_weights(model, folder / "best.keras")
        best = record(folder / "best.keras")
    return Run(folder, model, pd.DataFrame(history), best["epoch"], len(history) - done)


def _begin(model: keras.Model, start: str | Path | None) -> None:
    """Gives a new run its first weights; those that were trained elsewhere must be asked for."""
    if start:
        load_weights(model, start)
    elif getattr(model, "optimizer", None) and int(
        keras.ops.convert_to_numpy(model.optimizer.iterations)
    ):
        raise ValueError(
            "Build the network again, its weights are trained; or give start=. "
            f"Received: {model.name}"
        )


def _go_on(
    model: keras.Model,
    pixels: np.ndarray,
    cells: pd.DataFrame,
    keeper: Keeper,
    *,
    plan: Recipe,
    epochs: int,
    progress: bool,
) -> None:
    """Trains from the epoch after those that the keeper has kept."""
    done, size = len(keeper.history), plan.batch_size
    order = {"seed": keeper.settings["seed"], "epoch": done}
    learners = batches.of_role(
        pixels, cells, "train", batch_size=size, people=plan.balance == "people", **order
    )
    validators = batches.of_role(pixels, cells, "valid", batch_size=size)
    weight = batches.class_weights(learners) if plan.balance == "classes" else None
    if several.replicas() > 1:
        learners, weight = devices.Shared(learners, weight), None
        validators = devices.Shared(validators, whole=True)
    plan.compile(model, steps=len(learners), epochs=epochs)
    if done:
        log.info("%s: goes on after epoch %d", keeper.folder, done)
        take_up(model, keeper.folder / "last.keras")
    _run(
        model,
        keeper,
        x=learners,
        validation_data=validators if len(validators) else None,
        class_weight=weight,
        initial_epoch=done,
        epochs=epochs,
        callbacks=callbacks(keeper, plan, epochs, progress=progress),
    )


def _run(model: keras.Model, keeper: Keeper, **options) -> None:
    """Fits; the batches bring their own order. A loss that is no number becomes an error."""
    try:
        with several.synchronized(model, several.replicas() > 1):
            model.fit(shuffle=False, verbose=0, **options)
        broken = keeper.broken
    except Exception:  # PyTorch raises where the other backends go on with NaN
        broken = len(keeper.history) + 1
        if all(np.isfinite(weight).all() for weight in model.get_weights()):
            raise
    if broken:
        raise TrainingError(
            f"The loss is no number; the epochs before are kept in {keeper.folder}. Try a smaller "
            f"learning_rate. Received: {keeper.settings['learning_rate']} in epoch {broken}"
        )


def _check(
    model: keras.Model, pixels: np.ndarray, cells: pd.DataFrame, also: tuple[str, ...]
) -> None:
    splits.check(cells)
    devices.check(model)
    expected = (len(cells), *model.input_shape[1:])
    if pixels.shape != expected or pixels.dtype != np.uint8:
        raise ValueError(
            f"pixels must be uint8 {expected}. Received: {pixels.dtype} {pixels.shape}"
        )
    for role in ("train", *also):
        labels = cells.loc[cells["role"] == role, "label"]
        counts = {kind: int((labels == kind).sum()) for kind in (0, 1)}
        if labels.isna().any() or not all(counts.values()):
            raise ValueError(f"Role {role!r} needs both classes. Received: {counts}")


def warm_up(
    model: keras.Model,
    pixels: np.ndarray,
    cells: pd.DataFrame,
    *,
    folder: str | Path,
    epochs: int,
    **options,
) -> Path | None:
    """Returns weights to `start` from, trained while a published backbone rested; None without one.

    Large errors of a new decoder would overwrite what the backbone has learnt elsewhere.

    Args:
        model: As `anna.models.build` returns it, with an encoder or without.
        pixels: As in `fit`.
        cells: As in `fit`.
        folder: Where this run is kept.
        epochs: A few are enough; None is returned for 0.
        **options: Of `fit`.
    """
    backbone = backbone_of(model)
    if not backbone or not epochs:
        return None
    for layer in backbone:
        layer.trainable = False
    run = fit(model, pixels, cells, folder=folder, epochs=epochs, **options)
    for layer in backbone:
        layer.trainable = True
    return run.folder / "best.keras"
