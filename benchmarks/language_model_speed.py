"""Characters a second in training: `LanguageModel` against the same training as a plain PyTorch script.

    python benchmarks/language_model_speed.py
    python benchmarks/language_model_speed.py --hidden-size 512 --layers 2 --window 8

The plain script has `nn.LSTM`, an embedding and a linear layer of the same sizes, the same windows of the same text,
as much dropout (between the layers and before the last, as PyTorch does it), AdamW in its fused form, and a cosine.
Both sides take turns in one process; the median of the rounds counts.
"""

import argparse
import math
import time
from functools import partial
from statistics import median
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from rushlight.data.text import TextData
from rushlight.nn.language_model import map_state
from rushlight.runtime.memory import reuse_freed_memory
from rushlight.tasks.language_model import LanguageModel


class Plain(nn.Module):
    """What one writes without a library."""

    def __init__(self, tokens: int, embedding_size: int, hidden_size: int, layers: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(tokens, embedding_size)
        self.lstm = nn.LSTM(embedding_size, hidden_size, layers, dropout=0.5 if layers > 1 else 0.0)
        self.dropout = nn.Dropout(0.5)
        self.output = nn.Linear(hidden_size, tokens)

    def forward(self, tokens: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
        shown, state = self.lstm(self.embedding(tokens), state)
        return self.output(self.dropout(shown)), state


def plain(data: TextData, sizes: dict[str, int], steps: int) -> float:
    """Tokens a second of the plain script."""
    torch.manual_seed(0)
    model = Plain(data.tokenizer.size, **sizes).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.1, fused=True)
    data.train.set_epoch(0)
    tokens, state, step = 0, None, 0
    started = time.perf_counter()
    while step < steps:
        for inputs, targets in data.train:
            for group in optimizer.param_groups:
                group["lr"] = 4e-3 * 0.5 * (1 + math.cos(math.pi * step / steps))
            logits, state = model(inputs, state)
            state = map_state(torch.Tensor.detach, state)
            loss = cross_entropy(logits.flatten(0, 1), targets.flatten())
            if not math.isfinite(loss.item()):
                raise RuntimeError("loss is not finite")
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            tokens += targets.numel()
            step += 1
            if step == steps:
                break
    return tokens / (time.perf_counter() - started)


def ours(data: TextData, sizes: dict[str, int], steps: int, precision: str) -> float:
    """Tokens a second of `LanguageModel`."""
    # The dropout of the plain script, and none of those that it lacks.
    options = {"dropout": 0.5, "input_dropout": 0.0, "weight_dropout": 0.0, **sizes}
    model = LanguageModel(data, "lstm", model_options=options, device="cpu", precision=precision)
    model.learner.data = type(model.learner.data)(
        data.train
    )  # nothing to validate on: the plain script does not either
    started = time.perf_counter()
    model.fit(steps=steps)
    seconds = time.perf_counter() - started
    return model.learner.history[-1]["train_loss"].n / seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", nargs="?", default="python-prose")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--embedding-size", type=int, default=128)
    parser.add_argument("--hidden-size", type=int, default=512)
    parser.add_argument("--layers", type=int, default=1)
    parser.add_argument("--window", type=int, default=100)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--precision", default="float32", help="of LanguageModel; the plain script has float32")
    arguments = parser.parse_args()
    reuse_freed_memory()
    data = TextData.from_name(
        arguments.text, window=arguments.window, batch_size=arguments.batch_size, shift=False, device="cpu"
    )
    sizes = {name: getattr(arguments, name) for name in ("embedding_size", "hidden_size", "layers")}
    if arguments.steps > len(data.train):
        parser.error(f"at most {len(data.train)} steps, which is an epoch")
    ours_here = partial(ours, precision=arguments.precision)
    for measure in (plain, ours_here):  # warm-up
        measure(data, sizes, 3)
    ratios, speeds = [], []
    for number in range(arguments.rounds):
        pair = (plain, ours_here) if number % 2 else (ours_here, plain)
        found = {measure: measure(data, sizes, arguments.steps) for measure in pair}
        ratios.append(found[ours_here] / found[plain])
        speeds.append(found[plain])
    ratios.sort()
    print(f"the plain script trains on {median(speeds):,.0f} characters a second; {torch.get_num_threads()} threads")
    print(
        f"LanguageModel on {median(ratios):.3f} times as many (median of {len(ratios)} rounds; "
        f"{ratios[0]:.3f} to {ratios[-1]:.3f})"
    )


if __name__ == "__main__":
    main()
