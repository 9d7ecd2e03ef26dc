"""How far the cells written out are from PyTorch's layers after 50 training steps.

    python benchmarks/written_out_cells.py

Both begin with the same weights and see the same noise; the largest difference between any two weights at the end is
printed for each cell.
"""

import torch
from torch import nn

from rushlight.nn.recurrent import CELLS, RecurrentLoop

FUSED = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
POSITIONS, STREAMS, INPUT_SIZE, HIDDEN_SIZE, STEPS = 20, 16, 42, 256, 50
LEARNING_RATE = 10.0  # high, as the loss is a mean over many numbers: the weights are to move
PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def trained(name: str) -> tuple[float, float]:
    """Train both sides; the largest difference of two weights, and how far the furthest has moved."""
    torch.manual_seed(0)
    fused = FUSED[name](INPUT_SIZE, HIDDEN_SIZE)
    loop = RecurrentLoop(CELLS[name](INPUT_SIZE, HIDDEN_SIZE))
    for part in PARTS:
        getattr(loop.cell, part).data.copy_(getattr(fused, f"{part}_l0").data)
    start = [parameter.detach().clone() for parameter in fused.parameters()]
    optimizers = [torch.optim.SGD(side.parameters(), lr=LEARNING_RATE, momentum=0.9) for side in (fused, loop)]
    for _ in range(STEPS):
        inputs = torch.randn(POSITIONS, STREAMS, INPUT_SIZE)
        wanted = torch.randn(POSITIONS, STREAMS, HIDDEN_SIZE)
        for side, optimizer in zip((fused, loop), optimizers, strict=True):
            optimizer.zero_grad()
            (side(inputs)[0] - wanted).square().mean().backward()
            optimizer.step()
    pairs = ((getattr(loop.cell, part), getattr(fused, f"{part}_l0")) for part in PARTS)
    difference = max(float((ours - theirs).detach().abs().max()) for ours, theirs in pairs)
    return difference, max(float((p - s).detach().abs().max()) for p, s in zip(fused.parameters(), start, strict=True))


def main() -> None:
    """Print a line a cell."""
    for name in CELLS:
        difference, moved = trained(name)
        print(f"{name:<5} largest difference after {STEPS} steps {difference:.1e}; weights moved by up to {moved:.2f}")


if __name__ == "__main__":
    main()
