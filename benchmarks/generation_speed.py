"""Writing with the state kept, against feeding the window again for each character.

    python benchmarks/generation_speed.py

An LSTM of two layers with 512 units writes characters. `Writer` takes one step a character; the other side, as simple
scripts do, gives the model the last 100 characters each time. The weights are random, which costs the same.
"""

import argparse
import time
from statistics import median

import torch

from rushlight.data.tokenizers import CharacterTokenizer
from rushlight.inference.sampling import next_token_probabilities
from rushlight.inference.writer import Writer
from rushlight.nn.language_models import build_language_model

WINDOW = 100
ALPHABET = "abcdefghijklmnopqrstuvwxyz .,;:!?'\"()-\n0123456789"


def with_state(writer: Writer, prompt: str, length: int) -> float:
    """Seconds a character of `Writer.generate`."""
    started = time.perf_counter()
    for _ in writer.generate(prompt, length, seed=0):
        pass
    return (time.perf_counter() - started) / length


@torch.inference_mode()
def reading_again(writer: Writer, prompt: str, length: int) -> float:
    """Seconds a character where the window is read again each time."""
    numbers = writer.tokenizer.encode(prompt).tolist()
    random = torch.Generator().manual_seed(0)
    started = time.perf_counter()
    for _ in range(length):
        logits, _ = writer.model(torch.tensor(numbers[-WINDOW:])[:, None])
        numbers.append(int(torch.multinomial(next_token_probabilities(logits[-1, 0]), 1, generator=random)))
    return (time.perf_counter() - started) / length


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--length", type=int, default=10_000, help="characters that Writer writes a round")
    parser.add_argument("--length-again", type=int, default=300, help="characters that the other side writes a round")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    tokenizer = CharacterTokenizer.learn([ALPHABET])
    torch.manual_seed(0)
    model = build_language_model("lstm", tokenizer.size, embedding_size=128, hidden_size=512, layers=2)
    writer = Writer(model.eval(), tokenizer, device="cpu")
    prompt = (ALPHABET * 3)[:WINDOW]
    with_state(writer, prompt, 100), reading_again(writer, prompt, 20)  # warm-up
    ratios, kept = [], []
    for _ in range(arguments.rounds):
        kept.append(with_state(writer, prompt, arguments.length))
        ratios.append(reading_again(writer, prompt, arguments.length_again) / kept[-1])
    ratios.sort()
    print(f"{arguments.length:,} characters take {median(kept) * arguments.length:.1f} s with the state kept")
    print(
        f"reading {WINDOW} characters again for each takes {median(ratios):.1f} times as long "
        f"(median of {len(ratios)} rounds; {ratios[0]:.1f} to {ratios[-1]:.1f})"
    )


if __name__ == "__main__":
    main()
