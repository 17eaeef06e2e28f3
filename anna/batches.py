"""Batches of pixels and labels for Keras, read from a memory map."""

import keras
import numpy as np
import pandas as pd


class Batches(keras.utils.PyDataset):
    """Batches (uint8 (b, size, size, 3), float32 (b, 1)) of some rows of an array of pixels.

    Shuffled batches are another order each epoch; the order depends on seed and epoch alone, so a
    run that goes on after an interruption sees what it would have seen.

    Args:
        pixels: uint8 (n, size, size, 3), usually a memory map.
        labels: (n,) of 0 and 1.
        rows: Positions to use, int.
        batch_size: Images a batch; the last may be smaller.
        seed: Of the order; None keeps the order of `rows`.
        epoch: The first epoch to come.
        chance: How likely each of `rows` is to be drawn, float (len(rows),), for epochs drawn with
            replacement; by default each row comes once an epoch.
    """

    def __init__(
        self,
        pixels: np.ndarray,
        labels: np.ndarray,
        rows: np.ndarray,
        *,
        batch_size: int = 32,
        seed: int | None = None,
        epoch: int = 0,
        chance: np.ndarray | None = None,
    ):
        super().__init__()
        self.pixels, self.labels, self.rows = pixels, labels, np.asarray(rows)
        self.batch_size, self.seed, self.epoch = batch_size, seed, epoch
        self.chance = chance
        self.order = self._shuffled()

    def _shuffled(self) -> np.ndarray:
        if self.seed is None:
            return self.rows
        random = np.random.default_rng([self.seed, self.epoch])
        if self.chance is None:
            return random.permutation(self.rows)
        return random.choice(self.rows, len(self.rows), p=self.chance)

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        start = number * self.batch_size
        rows = self.order[start : start + self.batch_size]
        return self.pixels[rows], self.labels[rows].astype(np.float32)[:, None]

    def on_epoch_end(self) -> None:
        """Draws the order of the next epoch."""
        self.epoch += 1
        self.order = self._shuffled()


def chances(labels: np.ndarray, people: np.ndarray) -> np.ndarray:
    """Returns how likely each cell is to be drawn, float (n,), summing to 1.

    Classes are equally likely; within a class a person is as likely as the square root of the
    number of cells, and the cells of a person are equally likely.

    Args:
        labels: (n,) of 0 and 1.
        people: (n,) names.
    """
    cells = pd.Series(people).groupby(people).transform("size").to_numpy(float)
    weight = pd.Series(1 / np.sqrt(cells))
    return (weight / weight.groupby(labels).transform("sum") / len(set(labels))).to_numpy()


def of_role(
    pixels: np.ndarray, cells: pd.DataFrame, role: str, *, people: bool = False, **options
) -> Batches:
    """Returns the batches of the cells of a role.

    Args:
        pixels: uint8 (n, size, size, 3); row i is `cells.iloc[i]`.
        cells: As `anna.splits.assign` returns it.
        role: "train", "valid" or "test".
        people: Whether epochs are drawn by class and person, with `chances`.
        **options: Of `Batches`.
    """
    rows = np.flatnonzero(cells["role"] == role)
    labels = cells["label"].to_numpy(dtype=float, na_value=np.nan)
    chance = chances(labels[rows], cells["group"].to_numpy()[rows]) if people else None
    return Batches(pixels, labels, rows, chance=chance, **options)


def class_weights(batches: Batches) -> dict[int, float]:
    """Returns the weights that make both classes count alike, with mean 1 over the images."""
    labels = batches.labels[batches.rows]
    return {kind: len(labels) / (2 * float((labels == kind).sum())) for kind in (0, 1)}
