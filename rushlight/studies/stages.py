"""A part of a published recipe: so many epochs at a constant rate, or in cycles."""

from __future__ import annotations

from dataclasses import dataclass

from rushlight.training.learner import Learner


@dataclass(frozen=True)
class Stage:
    """One call of fit: at a constant rate, or in cycles of cosine annealing.

    Attributes:
        lr: learning rate.
        epochs: of constant rate; 0 for cycles.
        cycles: how many cycles.
        cycle_length: epochs of the first cycle.
        cycle_multiplier: each cycle is this many times as long as the one before.
    """

    lr: float
    epochs: int = 0
    cycles: int = 0
    cycle_length: int = 1
    cycle_multiplier: int = 1

    @property
    def total_epochs(self) -> int:
        """Passes over the data."""
        return self.epochs + sum(self.cycle_length * self.cycle_multiplier**k for k in range(self.cycles))

    def run(self, learner: Learner, scale: float, weight_decay: float) -> None:
        """Train, with every length multiplied by `scale` (at least one epoch stays)."""
        if self.epochs:
            epochs = max(1, round(self.epochs * scale))
            learner.fit(epochs, lr=self.lr, schedule="constant", weight_decay=weight_decay)
        if self.cycles:
            cycles = self.cycles if self.cycle_multiplier > 1 else max(1, round(self.cycles * scale))
            length = max(1, round(self.cycle_length * scale)) if self.cycle_multiplier > 1 else self.cycle_length
            learner.fit_cycles(
                cycles,
                cycle_length=length,
                cycle_multiplier=self.cycle_multiplier,
                lr=self.lr,
                weight_decay=weight_decay,
            )
