"""Seconds of training until 80, 85, 88 and 90 % of CIFAR-10's test images are answered rightly: here and in peers.

    python benchmarks/time_to_accuracy.py
    python benchmarks/time_to_accuracy.py --only rushlight fastai --rounds 1
    python benchmarks/time_to_accuracy.py --only xresnet18 --lengths 12 --rounds 1

The targets were fixed before anything was measured. No training is looked at on its way: each length of a fixed ladder
is a training of its own, whose rates end where it ends, with other random numbers each round; it is measured on the
10,000 test images once, at its end. The time to a target is that of the shortest training of which the median over the
rounds reaches it. A way climbs until it has reached all targets or a step would take longer than `--most-minutes`.
`--lengths` measures some lengths alone: where only a bound is wanted, one long training says that a way takes longer.

- Rushlight as a person types it: `train images cifar10 --minutes M`, which keeps 2,500 training images aside, and
  `evaluate RUN --split test`, once as it is and once more with `--tta`, several views of each image; the seconds are
  those of the whole training, from its first step to the saved model;
- fastai with `fit_one_cycle`, its own optimizer and smoothed loss, on its xresnet18 and on the widest net of its
  lecture; that one also as its tutorials have it, without what is said below: from the files, in float32;
- Lightning, Keras (on PyTorch) and a plain PyTorch script with one small residual net and one recipe (one cycle);
- the published speed run (Muon, `speed_run.py`), also at half of its width, measured with six views as it has it.

The other peers train on all 50,000 images, decoded beforehand, in batches that are made as whole tensors, with
convolutions in channels-last memory and, where the processor has it, in bfloat16; only their training is timed, after a
warm-up.
"""

import argparse
import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import Any

from peer_environments import run_in
from side_by_side import (
    FOLDER,
    Case,
    Results,
    Row,
    add_arguments,
    chosen,
    let_peers_import_this_project,
    markdown,
    spread,
)

TARGETS = (0.80, 0.85, 0.88, 0.90)
MINUTES = (0.5, 1, 1.5, 2, 3, 5, 7, 10, 15, 20)
EPOCHS = (1, 2, 3, 5, 8, 12, 18, 25)
SPEED_RUN_EPOCHS = (2, 3, 4, 6, 8)
QUICK_IMAGES, QUICK_MINUTES = 1000, 0.05
ENVIRONMENTS = {
    "fastai, xresnet18": "fastai",
    "fastai, the lecture's widest net": "fastai",
    "fastai from files in float32, the lecture's widest net": "fastai",
    "Lightning, small residual net": "lightning",
    "Keras, small residual net": "keras",
    "plain PyTorch, small residual net": "rushlight",
    "speed run": "rushlight",
    "speed run of half the width": "rushlight",
}
RUSHLIGHT = "Rushlight"
WITH_VIEWS = "with several views of each test image"  # of the same trainings
LADDERS: dict[str, tuple[float, ...]] = {
    RUSHLIGHT: MINUTES,
    **{way: SPEED_RUN_EPOCHS if way.startswith("speed run") else EPOCHS for way in ENVIRONMENTS},
}


def from_files() -> dict[str, Callable[..., Any]]:
    """For each peer that reads files a function from them, epochs and seed to a trained module."""
    import image_peers

    make = image_peers.widest_of_the_lecture
    return {"fastai from files in float32, the lecture's widest net": image_peers.with_fastai_from_files(make, 1e-2)}


def trainings() -> dict[str, Callable[..., Any]]:
    """For each peer a function from images, targets, epochs and seed to a trained module."""
    import image_peers
    import speed_run

    def run_of(widths: tuple[int, int, int]) -> Callable[..., Any]:
        return lambda images, targets, epochs, seed: speed_run.SixViews(
            speed_run.train(images, targets, epochs, widths, seed)
        )

    return {
        "fastai, xresnet18": image_peers.with_fastai(image_peers.xresnet18, 5e-3),
        "fastai, the lecture's widest net": image_peers.with_fastai(image_peers.widest_of_the_lecture, 1e-2),
        "Lightning, small residual net": image_peers.with_lightning,
        "Keras, small residual net": image_peers.with_keras,
        "plain PyTorch, small residual net": image_peers.with_plain,
        "speed run": run_of((64, 256, 256)),
        "speed run of half the width": run_of((32, 128, 128)),
    }


def here(way: str, epochs: int, seed: int, most: int | None) -> Row:
    """Train a peer in this process, and measure it."""
    from image_recipes import accuracy, decoded, files_of, normalised

    data = decoded("cifar10", most)
    train: Callable[..., Any]
    given: tuple[Any, ...]
    if way in from_files():
        train, given = from_files()[way], (files_of("cifar10", "train", most),)
    else:
        train, given = trainings()[way], (normalised(data["train_images"]), data["train_targets"])
    few = len(given[0]) // 512
    train(*(part[::few] for part in given), 1, seed)  # warm-up
    started = time.perf_counter()
    model = train(*given, epochs, seed)
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "accuracy": accuracy(model, normalised(data["test_images"]), data["test_targets"])}


def with_rushlight(minutes: float, seed: int, quick: bool) -> Row:
    """The two commands."""
    from command_line import rushlight

    run = FOLDER / "time-to-accuracy" / f"{minutes:g}-minutes-seed-{seed}"
    shutil.rmtree(run, ignore_errors=True)  # of an earlier, disturbed measurement
    words = ["train", "images", "cifar10", "--minutes", f"{minutes:g}", "--seed", str(seed), "--no-report"]
    rushlight(*words, *(["--train-images", str(QUICK_IMAGES)] if quick else []), "--output", str(run))
    seconds = json.loads((run / "run.json").read_text())["seconds"]
    asked = ["evaluate", str(run), "--split", "test", "--json"]
    plain, views = (json.loads(rushlight(*asked, *more))["accuracy"]["value"] for more in ([], ["--tta"]))
    return {"seconds": seconds, "accuracy": plain, "accuracy_of_views": views}


def measured(case: Case, seed: int, quick: bool) -> Row:
    """One training, in its environment."""
    length = dict(case.on)["length"]
    if case.way == RUSHLIGHT:
        return with_rushlight(length, seed, quick)
    words = ["--here", case.way, "--length", round(length), "--seed", seed, *["--quick"] * quick]
    return run_in(ENVIRONMENTS[case.way], "time_to_accuracy.py", *words)


def climb(results: Results, way: str, ladder: Sequence[float], number: int, most_seconds: float, quick: bool) -> None:
    """A round of a way: up its ladder, in later rounds as far as in the first."""
    before: Row | None = None
    for length in ladder:
        case = Case.of(way, length=length)
        if number and not results.values(case, "seconds"):
            return
        if not number and before is not None:
            expected = before["seconds"] * length / before["on"]["length"]
            if before["accuracy"] >= max(TARGETS) or expected > most_seconds:
                return
        before = results.measured(case, number, lambda case=case: measured(case, number, quick))  # type: ignore[misc]
        if before is None or quick:
            return


def lengths(results: Results, way: str) -> list[float]:
    """Those of a way that were measured."""
    return sorted({row["on"]["length"] for row in results.rows if row["way"] == way})


def time_to(results: Results, way: str, target: float, figure: str = "accuracy") -> str:
    """The time of the shortest training that reaches a target, or that of the longest that does not."""
    longest: list[float] = []
    for length in lengths(results, way):
        accuracies = results.values(Case.of(way, length=length), figure)
        seconds = results.values(Case.of(way, length=length), "seconds")
        if accuracies and median(accuracies) >= target:
            return spread(seconds, "{:,.0f}")
        longest = seconds or longest
    return f"not in {median(longest):,.0f}" if longest else "not measured"


def table(results: Results, ways: list[str]) -> str:
    """Times to the targets, and below them every training; also of ways that were measured before."""
    ways = [way for way in LADDERS if way in ways or lengths(results, way)]
    first, second = [], []
    for way, figure, name in _measures(results, ways):
        first.append([name, *(time_to(results, way, target, figure) for target in TARGETS)])
        for length in lengths(results, way):
            case = Case.of(way, length=length)
            accuracies = [100 * value for value in results.values(case, figure)]
            unit = "minutes" if way == RUSHLIGHT else "epochs"
            seconds = spread(results.values(case, "seconds"), "{:,.0f}")
            second.append([name, f"{length:g} {unit}", seconds, f"{spread(accuracies)} %", str(len(accuracies))])
    times = markdown(["way", *(f"s to {100 * target:.0f} %" for target in TARGETS)], first)
    return times + "\n\n" + markdown(["way", "length", "seconds", "test accuracy", "runs"], second)


def _measures(results: Results, ways: list[str]) -> Iterator[tuple[str, str, str]]:
    """Each way with its accuracies and a name for them."""
    for way in ways:
        yield way, "accuracy", way
        if any(results.values(Case.of(way, length=length), "accuracy_of_views") for length in lengths(results, way)):
            yield way, "accuracy_of_views", f"{way}, {WITH_VIEWS}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--most-minutes", type=float, default=30, help="no training of a peer that would take longer")
    parser.add_argument("--lengths", type=float, nargs="*", help="only these minutes or epochs")
    parser.add_argument("--here", choices=ENVIRONMENTS, help="measure this one here and print JSON")
    parser.add_argument("--length", type=int)
    parser.add_argument("--seed", type=int)
    arguments = parser.parse_args()
    quick: bool = arguments.quick
    if arguments.here:
        most = QUICK_IMAGES if quick else None
        print(json.dumps(here(arguments.here, arguments.length, arguments.seed, most)))
        return
    let_peers_import_this_project()
    ladders = LADDERS | ({RUSHLIGHT: (QUICK_MINUTES,)} if quick else {})
    if arguments.lengths:
        ladders = dict.fromkeys(LADDERS, arguments.lengths)
    ways = chosen(LADDERS, arguments.only)
    results = Results("time-to-accuracy", {}, arguments.again_if_busy, quick)
    if any(way != RUSHLIGHT for way in ways):
        from image_recipes import decoded

        decoded("cifar10", QUICK_IMAGES if quick else None)  # for all of them, here and once
    for number in range(1 if quick else arguments.rounds):
        for way in ways if number % 2 == 0 else list(reversed(ways)):
            climb(results, way, ladders[way], number, 60 * arguments.most_minutes, quick)
    results.write_page(table(results, ways))


if __name__ == "__main__":
    main()
