"""Let an exported language model write on from a beginning, without Rushlight and without PyTorch.

    rushlight export runs/text/book-1 --to onnx
    pip install onnxruntime
    python onnx_language_model.py runs/text/book-1/model.onnx "Once upon a time" 400 0.8

The state is an input and an output: what one call leaves is given to the next, so each character costs one step. This
example is for models of characters; the metadata name the tokenizer of others.
"""

import json
import sys
from collections.abc import Iterator

import numpy as np
import onnxruntime


def write(model: str, beginning: str, length: int, temperature: float, seed: int = 0) -> Iterator[str]:
    """Draw one character after the other."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    told = session.get_modelmeta().custom_metadata_map
    if told["tokenizer"] != "character":
        raise SystemExit(f"this example reads characters; the model reads by '{told['tokenizer']}'")
    vocabulary, first = json.loads(told["vocabulary"]), int(told["first_number"])
    states = json.loads(told["states"])
    number_of = {character: first + place for place, character in enumerate(vocabulary)}
    outputs = ["logits", *(state["output"] for state in states)]
    before = {state["input"]: np.zeros((1, state["size"]), np.float32) for state in states}
    if json.loads(told["lowercase"]):
        beginning = beginning.lower()
    random = np.random.default_rng(seed)
    numbers = [number_of[character] for character in beginning if character in number_of] or [first]
    for _ in range(length):
        tokens = np.array(numbers, np.int64)[:, None]  # (time, batch)
        logits, *after = session.run(outputs, {"tokens": tokens, **before})
        before = {state["input"]: part for state, part in zip(states, after, strict=True)}
        scores = logits[-1, 0, first:].astype(np.float64) / temperature  # what is unknown or padding is never written
        probabilities = np.exp(scores - scores.max())
        place = int(random.choice(len(probabilities), p=probabilities / probabilities.sum()))
        numbers = [first + place]
        yield vocabulary[place]


def main(model: str, beginning: str = "", length: str = "400", temperature: str = "0.8") -> None:
    """Print the beginning and what follows, as it is drawn."""
    print(beginning, end="", flush=True)
    for character in write(model, beginning, int(length), float(temperature)):
        print(character, end="", flush=True)
    print()


if __name__ == "__main__":
    main(*sys.argv[1:])
