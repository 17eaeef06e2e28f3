"""Batches of pixels and labels for Keras, read from a memory map."""

import keras
import numpy as np


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
    ):
        super().__init__()
        self.pixels, self.labels, self.rows = pixels, labels, np.asarray(rows)
        self.batch_size, self.seed, self.epoch = batch_size, seed, epoch
        self.order = self._shuffled()

    def _shuffled(self) -> np.ndarray:
        if self.seed is None:
            return self.rows
        return np.random.default_rng([self.seed, self.epoch]).permutation(self.rows)

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
