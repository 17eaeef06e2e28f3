"""Cells and their masks for a segmenter to learn from: another view of them in each epoch."""

import cv2
import keras
import numpy as np


class MaskBatches(keras.utils.PyDataset):
    """Batches (uint8 images, float32 shares) of cells, turned, flipped and scaled at random.

    Image and shares move alike. What is drawn depends on seed, epoch and batch alone.

    Args:
        images: uint8 (n, size, size, 3) RGB.
        shares: uint8 (n, size, size, 3), as `anna.masks.shares`.
        batch_size: Images a batch; the last may be smaller.
        cutout: Share of the images whose cell is put on black, as C-NMC's cells are.
        seed: Of the order and the views.
    """

    def __init__(
        self,
        images: np.ndarray,
        shares: np.ndarray,
        *,
        batch_size: int = 16,
        cutout: float = 0.0,
        seed: int = 0,
    ):
        super().__init__()
        self.images, self.shares = images, shares
        self.batch_size, self.cutout, self.seed = batch_size, cutout, seed
        self.epoch = 0

    def __len__(self) -> int:
        return -(-len(self.images) // self.batch_size)

    def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(len(self.images))
        rng = np.random.default_rng([self.seed, self.epoch, number])
        rows = order[number * self.batch_size : (number + 1) * self.batch_size]
        views = [view(self.images[i], self.shares[i], rng, self.cutout) for i in rows]
        images, shares = (np.stack(part) for part in zip(*views, strict=True))
        return images, shares.astype(np.float32) / 255

    def on_epoch_end(self) -> None:
        """Draws anew."""
        self.epoch += 1


def view(
    image: np.ndarray, shares: np.ndarray, rng: np.random.Generator, cutout: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Returns image and shares flipped, turned, shifted and scaled alike, mirrored at the edge.

    Args:
        image: uint8 (size, size, 3).
        shares: uint8 (size, size, 3).
        rng: Draws the view.
        cutout: Probability that all but the cell becomes black.
    """
    size = len(image)
    move = cv2.getRotationMatrix2D(
        ((size - 1) / 2, (size - 1) / 2), rng.uniform(0, 360), np.exp(rng.uniform(-0.25, 0.25))
    )
    move[:, 2] += rng.uniform(-0.06, 0.06, 2) * size
    if rng.random() < 0.5:
        image, shares = image[:, ::-1], shares[:, ::-1]
    image, shares = (
        cv2.warpAffine(
            np.ascontiguousarray(part), move, (size, size), borderMode=cv2.BORDER_REFLECT_101
        )
        for part in (image, shares)
    )
    if rng.random() < cutout:
        image = np.where(shares[..., :1] > 127, 0, image).astype(np.uint8)
    return image, shares
