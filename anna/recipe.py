"""How a network is taught: every setting of a training that is not the network or the data."""

from dataclasses import dataclass

import keras

from anna.backend import several
from anna.optimizers import AdamW, LossScaleOptimizer

SCHEDULES = ("plateau", "cosine")
BALANCES = ("classes", "people")


@dataclass(frozen=True)
class Recipe:
    """How a network is taught.

    Attributes:
        batch_size: Images a batch.
        learning_rate: Of Adam, at its highest.
        schedule: "plateau": halved when validation people see no gain, stopped after `patience`,
            best epoch kept. "cosine": up within half an epoch, then down a cosine to nothing; the
            length is fixed beforehand and the end is kept, so nobody chooses an epoch.
        patience: Epochs without a smaller validation loss before training stops, on a plateau.
        balance: "classes": each image once an epoch, classes weighted to count alike. "people":
            images drawn by class, and within a class by person, each as often as the square root of
            how many cells they have: one person's hundreds of cells are no hundreds of witnesses.
        weight_decay: Of AdamW (Loshchilov and Hutter 2019).
        smoothing: How far labels are drawn from 0 and 1 towards a half (Szegedy et al. 2016).
        clip: Largest norm of a gradient; 0 for any.
    """

    batch_size: int = 32
    learning_rate: float = 1e-3
    schedule: str = "plateau"
    patience: int = 6
    balance: str = "classes"
    weight_decay: float = 0.0
    smoothing: float = 0.0
    clip: float = 0.0

    def __post_init__(self):
        for name, known in (("schedule", SCHEDULES), ("balance", BALANCES)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be in {known}. Received: {getattr(self, name)!r}")

    @property
    def fixed_length(self) -> bool:
        """Whether the number of epochs is fixed beforehand."""
        return self.schedule == "cosine"

    def optimizer(self, steps: int, epochs: int) -> keras.optimizers.Optimizer:
        """Returns AdamW that averages the weights over about an epoch of `steps` batches."""
        rate = self.learning_rate
        if self.fixed_length:
            warm = max(steps // 2, 1)
            rate = keras.optimizers.schedules.CosineDecay(
                self.learning_rate / 100,
                max(steps * epochs - warm, 1),
                alpha=0.01,
                warmup_target=self.learning_rate,
                warmup_steps=warm,
            )
        kind = AdamW if several.sharers() > 1 else keras.optimizers.AdamW
        return kind(
            rate,
            weight_decay=self.weight_decay,
            clipnorm=self.clip or None,
            use_ema=True,
            ema_momentum=1 - 1 / max(steps, 2),
        )

    def compile(self, model: keras.Model, *, steps: int, epochs: int) -> None:
        """Compiles a network for a training by this recipe, of so many batches an epoch."""
        optimizer = self.optimizer(steps, epochs)
        if model.dtype_policy.name == "mixed_float16":
            optimizer = LossScaleOptimizer(optimizer)
        model.compile(
            optimizer=optimizer,
            loss=keras.losses.BinaryCrossentropy(label_smoothing=self.smoothing),
            metrics=[keras.metrics.AUC(name="auc"), keras.metrics.BinaryAccuracy(name="accuracy")],
        )
        model.optimizer.build(model.trainable_variables)

    def ended(self, history: list[dict]) -> bool:
        """Returns whether a training has stopped by itself: no better epoch within the patience."""
        if self.fixed_length or not history:
            return False
        losses = [row["val_loss"] for row in history]
        return len(losses) - 1 - losses.index(min(losses)) >= self.patience


# How `anna` is taught on real cells; benchmarks/brain.py measures what each part is worth.
ANNA = {
    "learning_rate": 2e-3,
    "schedule": "cosine",
    "balance": "people",
    "weight_decay": 0.01,
    "smoothing": 0.05,
    "clip": 1.0,
}


def of(network: str) -> dict:
    """Returns the settings that a network is taught with, those aside that are as by default."""
    return dict(ANNA) if network == "anna" else {}
