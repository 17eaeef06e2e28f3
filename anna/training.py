"""Fit, resume, cross-validate."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from anna import backend, runs, splits
from anna.batches import Batches
from anna.keeping import Keeper, Progress, Replay
from anna.models import record

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
        best_epoch: The epoch of the smallest `val_loss`.
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
    batch_size: int = 32,
    learning_rate: float = 1e-3,
    patience: int = 6,
    seed: int = 0,
    progress: bool = True,
) -> Run:
    """Returns the training of a network on the people of role "train"; it resumes where it was.

    Adam with binary cross-entropy, classes weighted to count alike; what is validated and kept is
    the running mean of the weights over about an epoch. The people of role "valid" tell when to
    lower the learning rate (halved after half the patience), when to stop, and which epoch is best;
    those of role "test" are never looked at. After each epoch all that is needed to go on is
    written. Called again on the same folder with the same settings, it goes on after the last whole
    epoch, and a best model is never overwritten by a worse one. With other settings or other data,
    the earlier run is moved beside and a new one begins.

    Args:
        model: As `anna.models.build` returns it; given the weights of the best epoch.
        pixels: uint8 (n, size, size, 3); row i is `cells.iloc[i]`.
        cells: As `anna.splits.assign` returns it.
        folder: Where the run is kept.
        epochs: At most so many; a run that has more already keeps them.
        batch_size: Images a batch.
        learning_rate: Of Adam, at the start.
        patience: Epochs without a smaller validation loss before training stops.
        seed: Of the order of the images.
        progress: Whether to show a bar.

    Raises:
        anna.splits.LeakError: If a person is on two sides.
        ValueError: If pixels do not belong to cells, a class is missing on a side, or a new run
            would begin from trained weights.
        TrainingError: If the loss is no longer a number.
    """
    folder = Path(folder)
    _check(model, pixels, cells)
    settings = runs.identity(model, cells, pixels) | {
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "patience": patience,
        "seed": seed,
    }
    history = runs.opened(folder, settings, cells)
    done = len(history)
    if not done and getattr(model, "optimizer", None) and int(model.optimizer.iterations):
        raise ValueError(
            f"Build the network again; its weights are trained. Received: {model.name}"
        )
    if done < epochs and not _ended(history, patience):
        keeper = Keeper(folder, history, settings)
        _go_on(model, pixels, cells, keeper, epochs=epochs, progress=progress)
    model.load_weights(folder / "best.keras")
    best = record(folder / "best.keras")
    return Run(folder, model, pd.DataFrame(history), best["epoch"], len(history) - done)


def _go_on(
    model: keras.Model,
    pixels: np.ndarray,
    cells: pd.DataFrame,
    keeper: Keeper,
    *,
    epochs: int,
    progress: bool,
) -> None:
    """Trains from the epoch after those that the keeper has kept."""
    asked, done = keeper.settings, len(keeper.history)
    size = asked["batch_size"]
    learners = _batches(pixels, cells, "train", size, seed=asked["seed"], epoch=done)
    _compile(model, asked["learning_rate"], len(learners))
    if done:
        log.info("%s: goes on after epoch %d", keeper.folder, done)
        model.load_weights(keeper.folder / "last.keras")
    _run(
        model,
        keeper,
        x=learners,
        validation_data=_batches(pixels, cells, "valid", size),
        class_weight=_class_weights(learners),
        initial_epoch=done,
        epochs=epochs,
        callbacks=_callbacks(keeper, asked["patience"], epochs, progress),
    )


def _run(model: keras.Model, keeper: Keeper, **options) -> None:
    """Fits; the batches bring their own order. A loss that is no number becomes an error."""
    try:
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


def _check(model: keras.Model, pixels: np.ndarray, cells: pd.DataFrame) -> None:
    splits.check(cells)
    expected = (len(cells), *model.input_shape[1:])
    if pixels.shape != expected or pixels.dtype != np.uint8:
        raise ValueError(
            f"pixels must be uint8 {expected}. Received: {pixels.dtype} {pixels.shape}"
        )
    for role in ("train", "valid"):
        counts = cells.loc[cells["role"] == role, "label"].value_counts()
        if set(counts.index) != {0, 1}:
            raise ValueError(f"Role {role!r} needs both classes. Received: {counts.to_dict()}")


def _ended(history: list[dict], patience: int) -> bool:
    """Returns whether training has stopped by itself: no better epoch within the patience."""
    losses = [row["val_loss"] for row in history]
    return bool(losses) and len(losses) - 1 - int(np.argmin(losses)) >= patience


def _compile(model: keras.Model, learning_rate: float, steps: int) -> None:
    """Compiles; the weights are averaged over about an epoch, which steadies the validation."""
    momentum = 1 - 1 / max(steps, 2)
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate, use_ema=True, ema_momentum=momentum),
        loss=keras.losses.BinaryCrossentropy(),
        metrics=[keras.metrics.AUC(name="auc"), keras.metrics.BinaryAccuracy(name="accuracy")],
    )
    model.optimizer.build(model.trainable_variables)


def _batches(
    pixels: np.ndarray, cells: pd.DataFrame, role: str, batch_size: int, **order
) -> Batches:
    rows = np.flatnonzero(cells["role"] == role)
    labels = cells["label"].to_numpy(dtype=float, na_value=np.nan)
    return Batches(pixels, labels, rows, batch_size=batch_size, **order)


def _class_weights(batches: Batches) -> dict[int, float]:
    """Returns the weights that make both classes count alike, with mean 1 over the images."""
    labels = batches.labels[batches.rows]
    return {kind: len(labels) / (2 * float((labels == kind).sum())) for kind in (0, 1)}


def _callbacks(
    keeper: Keeper, patience: int, epochs: int, progress: bool
) -> list[keras.callbacks.Callback]:
    early = keras.callbacks.EarlyStopping(monitor="val_loss", patience=patience)
    slower = keras.callbacks.ReduceLROnPlateau(
        monitor="val_loss", factor=0.5, patience=max(patience // 2, 1), min_lr=1e-5
    )
    done = len(keeper.history)
    callbacks = [
        keras.callbacks.TerminateOnNaN(),
        keeper.average,
        early,
        slower,
        Replay([early, slower], keeper.history),
        keeper,
    ]
    if backend.tensorboard():
        logs = str(keeper.folder / "logs")
        callbacks.append(keras.callbacks.TensorBoard(logs, write_graph=False))
    return callbacks + ([Progress(done, epochs, keeper.folder.name)] if progress else [])


def cross_validate(
    build: Callable[[], keras.Model],
    pixels: np.ndarray,
    cells: pd.DataFrame,
    *,
    folder: str | Path,
    k: int = 5,
    seed: int = 0,
    **options,
) -> Iterator[tuple[pd.DataFrame, Run]]:
    """Yields, for each fold over people, the table with its roles and the training without it.

    Args:
        build: Makes a new, untrained network.
        pixels: As in `fit`.
        cells: With `group`; as `anna.splits.assign` returns it.
        folder: One folder a fold is made in it, so that an interrupted round goes on where it was.
        k: Number of folds.
        seed: Of the folds and of training.
        **options: Of `fit`.
    """
    for fold, table in enumerate(splits.rotations(cells, k=k, seed=seed)):
        place = Path(folder) / f"fold-{fold}"
        yield table, fit(build(), pixels, table, folder=place, seed=seed, **options)
