"""Keras callbacks that keep a training: every epoch on disk, the best one safe, a bar to watch.

Keras's own BackupAndRestore, ModelCheckpoint and EarlyStopping forget each other's state when a run
goes on (keras issue 17012): a worse epoch could overwrite the best. Here the history is part of the
saved model, and the state of the callbacks is replayed from it.
"""

import logging
import math
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from anna import backend, tables
from anna.recipe import Recipe
from anna.stored import record, save

log = logging.getLogger(__name__)
_BAR = "{desc}{percentage:.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"


class Keeper(keras.callbacks.Callback):
    """Writes `best.keras`, `last.keras` and `history.csv` after each epoch, each of them whole.

    `last.keras` holds weights, optimizer, history, how many epochs were asked for and are planned,
    `best.keras` its own validation loss: after a kill at any moment the two still tell the truth
    about themselves.

    Args:
        folder: Where the files go.
        history: Rows of the epochs before; grows.
        settings: Goes into the files' records.
        plan: How it is taught. Where its length is fixed, the newest epoch counts as the best,
            whatever its validation loss.
        epochs: Of the whole training.
    """

    def __init__(
        self,
        folder: Path,
        history: list[dict],
        settings: dict,
        *,
        plan: Recipe,
        epochs: int,
    ):
        super().__init__()
        self.plan, self.epochs = plan, epochs
        self.folder, self.history, self.settings = folder, history, settings
        best = folder / "best.keras"
        kept = best.is_file() and not plan.fixed_length
        self.best = record(best)["val_loss"] if kept else math.inf
        self.broken = None  # the epoch whose loss was no number
        self.average = keras.callbacks.SwapEMAWeights()  # validation too sees the mean weights

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Keeps the epoch, unless its loss is no number."""
        row = {"epoch": epoch + 1} | {key: float(value) for key, value in (logs or {}).items()}
        row["learning_rate"] = _rate(self.model)
        if not all(map(math.isfinite, (row["loss"], row.get("val_loss", 0.0)))):
            self.broken, self.model.stop_training = epoch + 1, True
            return
        self.history.append(row)
        if self.plan.fixed_length or row["val_loss"] < self.best:
            self.best = row.get("val_loss", math.inf)
            self.average.on_test_begin()
            save(self.model, self.folder / "best.keras", row | {"settings": self.settings})
            self.average.on_test_end()
        ended = len(self.history) >= self.epochs or self.plan.ended(self.history)
        planned = len(self.history) if ended else self.epochs
        about = {"history": self.history, "settings": self.settings}
        about |= {"asked": self.epochs, "planned": planned}
        save(self.model, self.folder / "last.keras", about)
        table = pd.DataFrame(self.history)
        tables.write(table, self.folder / "history.csv")


class Replay(keras.callbacks.Callback):
    """Brings other callbacks to where they were, by showing them the epochs before.

    Args:
        callbacks: Those to bring there; they stand before this one in the list given to `fit`.
        history: Rows of the epochs before.
    """

    def __init__(self, callbacks: list[keras.callbacks.Callback], history: list[dict]):
        super().__init__()
        self.callbacks, self.history = callbacks, tuple(history)

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Replays the history; the learning rate stays as it was loaded."""
        rate = _rate(self.model)
        for row in self.history:
            for callback in self.callbacks:
                callback.on_epoch_end(int(row["epoch"]) - 1, dict(row))
        self.model.optimizer.learning_rate = rate
        self.model.stop_training = False


class Draws(keras.callbacks.Callback):
    """Begins the random draws of dropout and augmentation anew at each epoch, by seed and epoch.

    Keras keeps no generator's state in a file, so a run that goes on would draw again what its
    first epochs drew.

    Args:
        seed: Of the run.
    """

    def __init__(self, seed: int):
        super().__init__()
        self.seed = seed

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Gives each generator a state of its own."""
        states = [each for each in self.model.variables if each.name == "seed_generator_state"]
        for number, state in enumerate(states):
            [seed] = np.random.SeedSequence([self.seed, epoch, number]).generate_state(1)
            state.assign(np.array([seed % 2**31, 0], state.dtype))


class Progress(keras.callbacks.Callback):
    """One bar over all epochs, with the losses of the last one.

    Args:
        done: Epochs before.
        epochs: Epochs in all.
        title: What the bar is called.
    """

    def __init__(self, done: int, epochs: int, title: str):
        super().__init__()
        self.done, self.epochs, self.bar = done, epochs, None
        self.title = title.replace("-", "\u2011")  # a hyphen at which no line ends

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Shows the bar, without its speed: name and losses must fit into a line of a notebook."""
        steps = self.params["steps"]
        self.bar = tqdm(total=self.epochs * steps, initial=self.done * steps, bar_format=_BAR)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Tells the epoch."""
        self.bar.set_description(f"{self.title}, {epoch + 1} of {self.epochs}")

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Moves on by a batch."""
        self.bar.update()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Tells the losses."""
        shown = {key: f"{logs[key]:.3f}" for key in ("loss", "val_loss", "val_auc") if key in logs}
        self.bar.set_postfix(shown)

    def on_train_end(self, logs: dict | None = None) -> None:
        """Closes the bar where training ended."""
        self.bar.total = self.bar.n
        self.bar.close()


class Logs(keras.callbacks.TensorBoard):
    """TensorBoard's logs; where they cannot be written, training goes on without them."""

    lost = False

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Opens the logs of training."""
        self._unless_lost(super().on_train_begin, logs)

    def on_test_begin(self, logs: dict | None = None) -> None:
        """Opens the logs of validation."""
        self._unless_lost(super().on_test_begin, logs)

    def on_test_end(self, logs: dict | None = None) -> None:
        """Writes what validation gave."""
        self._unless_lost(super().on_test_end, logs)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Writes what the epoch gave."""
        self._unless_lost(super().on_epoch_end, epoch, logs)

    def on_train_end(self, logs: dict | None = None) -> None:
        """Closes the logs."""
        self._unless_lost(super().on_train_end, logs)

    def _unless_lost(self, hook: Callable, *args) -> None:
        if self.lost:
            return
        try:
            hook(*args)
        except Exception as error:  # TensorFlow has errors of its own for every trouble of a disk
            self.lost = True
            log.warning("No more logs for TensorBoard; training goes on. Received: %s", error)


def callbacks(
    keeper: Keeper, plan: Recipe, epochs: int, *, progress: bool = True
) -> list[keras.callbacks.Callback]:
    """Returns all callbacks of a training, those that watch where the history has led them.

    Args:
        keeper: Of the training.
        plan: How it is taught.
        epochs: Of the whole training.
        progress: Whether to show a bar.
    """
    done = len(keeper.history)
    found = [Draws(keeper.settings["seed"]), keras.callbacks.TerminateOnNaN(), keeper.average]
    if not plan.fixed_length:
        found += _watchers(plan.patience, keeper.history)
    found.append(keeper)
    if backend.tensorboard():
        found.append(Logs(str(keeper.folder / "logs"), write_graph=False))
    return found + ([Progress(done, epochs, keeper.folder.name)] if progress else [])


def _rate(model: keras.Model) -> float:
    """Returns the learning rate of now."""
    return float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))


def _watchers(patience: int, history: list[dict]) -> list[keras.callbacks.Callback]:
    """Returns the callbacks that watch the validation loss, as far as the history has led them."""
    early = keras.callbacks.EarlyStopping(monitor="val_loss", patience=patience)
    slower = keras.callbacks.ReduceLROnPlateau(
        monitor="val_loss", factor=0.5, patience=max(patience // 2, 1), min_lr=1e-5
    )
    return [early, slower, Replay([early, slower], history)]
