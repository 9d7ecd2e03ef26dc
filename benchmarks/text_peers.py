"""The trainings of the peers for `language_model_peers.py`: each trains for so many seconds on an array of numbers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from peer_environments import let_torchvision_load
from text_arrays import loss_with_context, loss_with_state, streams
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Trained:
    """What a training left behind.

    Attributes:
        loss: mean nats a token on an array.
        write: writes on from some tokens, so many.
        tokens: that it was trained on, counted as often as they were seen.
        seconds: that it took.
    """

    loss: Callable[[np.ndarray], float]
    write: Callable[[list[int], int], object]
    tokens: int
    seconds: float


class Clock:
    """How far a training is that ends after so many seconds."""

    def __init__(self, seconds: float) -> None:
        self.planned, self.tokens = seconds, 0
        self._started = time.perf_counter()

    @property
    def elapsed(self) -> float:
        """Seconds since it was made."""
        return time.perf_counter() - self._started

    @property
    def progress(self) -> float:
        """From 0 to 1."""
        return min(1.0, self.elapsed / self.planned)


def cosine(progress: float, warm_up: float, least: float = 0.0) -> float:
    """Up in a line, then down to `least` in half a cosine."""
    if progress < warm_up:
        return progress / warm_up
    return least + (1 - least) * 0.5 * (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up)))


@torch.inference_mode()
def write_with_state(step: Callable[[Tensor, Any], tuple[Tensor, Any]], prompt: list[int], length: int) -> list[int]:
    """Sample token by token from a model that keeps a state."""
    logits, state = step(torch.tensor([prompt]), None)
    written: list[int] = []
    for _ in range(length):
        written.append(int(torch.multinomial(logits[0, -1].softmax(0), 1)))
        logits, state = step(torch.tensor([written[-1:]]), state)
    return written


# --- a plain PyTorch script ------------------------------------------------------------------------------------------


class PlainLSTM(nn.Module):
    """Embedding, `nn.LSTM`, dropout, linear layer."""

    def __init__(self, vocabulary: int, embedding_size: int = 128, hidden_size: int = 512) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, embedding_size)
        self.lstm = nn.LSTM(embedding_size, hidden_size, batch_first=True)
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(hidden_size, vocabulary)

    def forward(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        shown, state = self.lstm(self.embedding(tokens), state)
        return self.head(self.dropout(shown)), state


def with_plain_lstm(train: np.ndarray, vocabulary: int, seconds: float, seed: int) -> Trained:
    """One layer of 512 units, AdamW at 0.004 down to 0 in a cosine, gradients up to 1, windows of 100."""
    torch.manual_seed(seed)
    model = PlainLSTM(vocabulary).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.1, fused=True)
    random, clock = np.random.default_rng(seed), Clock(seconds)
    while clock.progress < 1:
        state = None
        for inputs, targets in streams(train, 64, 100, int(random.integers(100))):
            for group in optimizer.param_groups:
                group["lr"] = 4e-3 * cosine(clock.progress, 0.05)
            logits, state = model(inputs, state)
            state = tuple(part.detach() for part in state)
            loss = functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            clock.tokens += targets.numel()
            if clock.progress >= 1:
                break
    elapsed = clock.elapsed
    model.eval()
    return Trained(
        lambda tokens: loss_with_state(model, tokens),
        lambda prompt, length: write_with_state(model, prompt, length),
        clock.tokens,
        elapsed,
    )


# --- a small GPT -----------------------------------------------------------------------------------------------------

CONTEXT, WIDTH, HEADS, LAYERS, GPT_BATCH, GPT_RATE = 64, 128, 4, 4, 12, 1e-3


class Block(nn.Module):
    """Attention to what was before, then a net for every position; each is added to what it reads, normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.before_attention, self.before_net = nn.LayerNorm(WIDTH, bias=False), nn.LayerNorm(WIDTH, bias=False)
        self.queries_keys_values = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.mix = nn.Linear(WIDTH, WIDTH, bias=False)
        self.net = nn.Sequential(
            nn.Linear(WIDTH, 4 * WIDTH, bias=False), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        parts = self.queries_keys_values(self.before_attention(x)).chunk(3, dim=-1)
        q, k, v = (part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in parts)
        seen = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.mix(seen.transpose(1, 2).flatten(2))
        return x + self.net(self.before_net(x))


class SmallGPT(nn.Module):
    """A GPT as it is taught (Karpathy, nanoGPT, its setting for a processor): 4 layers, 4 heads, 128 wide."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(vocabulary, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
        self.last_norm = nn.LayerNorm(WIDTH, bias=False)
        self.head = nn.Linear(WIDTH, vocabulary, bias=False)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                is_last = name.endswith(("mix.weight", "net.2.weight"))
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * LAYERS) if is_last else 0.02)
        self.head.weight = self.tokens.weight

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.tokens(tokens) + self.places.weight[: tokens.shape[1]]
        logits: Tensor = self.head(self.last_norm(self.blocks(x)))
        return logits


def with_small_gpt(train: np.ndarray, vocabulary: int, seconds: float, seed: int) -> Trained:
    """Batches of 12 windows of 64 drawn anywhere, AdamW at 0.001 down to a tenth in a cosine, gradients up to 1."""
    torch.manual_seed(seed)
    model = SmallGPT(vocabulary).train()
    matrices = [p for p in model.parameters() if p.ndim == 2]
    others = [p for p in model.parameters() if p.ndim != 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=GPT_RATE, betas=(0.9, 0.99), fused=True)
    windows = torch.from_numpy(train).unfold(0, CONTEXT + 1, 1)
    clock = Clock(seconds)
    while clock.progress < 1:
        chosen = windows[torch.randint(len(windows), (GPT_BATCH,))]
        for group in optimizer.param_groups:
            group["lr"] = GPT_RATE * cosine(clock.progress, 0.05, 0.1)
        logits, targets = model(chosen[:, :-1]), chosen[:, 1:]
        loss = functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        clock.tokens += targets.numel()
    elapsed = clock.elapsed
    model.eval()

    @torch.inference_mode()
    def write(prompt: list[int], length: int) -> list[int]:
        tokens = list(prompt)
        for _ in range(length):
            tokens.append(int(torch.multinomial(model(torch.tensor([tokens[-CONTEXT:]]))[0, -1].softmax(0), 1)))
        return tokens

    return Trained(lambda tokens: loss_with_context(model, tokens, CONTEXT), write, clock.tokens, elapsed)


# --- fastai ----------------------------------------------------------------------------------------------------------


def with_fastai(sizes: dict[str, int]) -> Callable[[np.ndarray, int, float, int], Trained]:
    """fastai's AWD-LSTM with its callbacks for recurrent nets, in one cycle that ends with the time."""

    def training(train: np.ndarray, vocabulary: int, seconds: float, seed: int) -> Trained:
        let_torchvision_load()
        import fastai.callback.all  # noqa: F401 - adds `no_bar` and `fit_one_cycle` to the learner
        from fastai.basics import Callback, CancelFitException, CrossEntropyLossFlat, DataLoaders, Learner
        from fastai.callback.rnn import rnn_cbs
        from fastai.text.models.awdlstm import AWD_LSTM, awd_lstm_lm_config
        from fastai.text.models.core import get_language_model

        class Windows:
            """Its usual streams and windows."""

            def __iter__(self) -> Any:
                return streams(train, 64, 72)

            def __len__(self) -> int:
                return -(-((len(train) - 1) // 64) // 72)

        class EndsWithTheTime(Callback):
            """The schedule follows the clock, not the steps."""

            order = 50  # before the schedule

            def before_batch(self) -> None:
                self.learn.pct_train = clock.progress
                if clock.progress >= 1:
                    raise CancelFitException

            def after_step(self) -> None:
                clock.tokens += self.y.numel()

        torch.manual_seed(seed)
        config = awd_lstm_lm_config | sizes | {"pad_token": 0}
        model = get_language_model(AWD_LSTM, vocabulary, config)
        learner = Learner(
            DataLoaders(Windows(), [next(iter(Windows()))]),
            model,
            loss_func=CrossEntropyLossFlat(),
            cbs=[*rnn_cbs(alpha=2, beta=1), EndsWithTheTime()],
            moms=(0.8, 0.7, 0.8),
        )
        clock = Clock(seconds)
        with learner.no_bar(), learner.no_logging():
            learner.fit_one_cycle(10_000, 1e-2, wd=0.1)
        elapsed = clock.elapsed
        model.eval()

        def step(tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
            if state is None:
                model.reset()
            return model(tokens)[0], True  # it keeps its state inside

        return Trained(
            lambda tokens: loss_with_state(step, tokens),
            lambda prompt, length: write_with_state(step, prompt, length),
            clock.tokens,
            elapsed,
        )

    return training


TRAININGS: dict[str, tuple[str, Callable[[np.ndarray, int, float, int], Trained]]] = {
    "plain PyTorch, LSTM of 512": ("rushlight", with_plain_lstm),
    "fastai, AWD-LSTM of its own size": ("fastai", with_fastai({})),
    "fastai, AWD-LSTM of two times 512": ("fastai", with_fastai({"n_hid": 512, "n_layers": 2})),
    "small GPT": ("rushlight", with_small_gpt),
}
