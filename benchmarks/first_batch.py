"""From a folder of images to the first batch, and how fast batches come then: here and in peers.

    python benchmarks/first_batch.py
    python benchmarks/first_batch.py --quick --only rushlight plain

Two folders, each with a class a folder and no parts: the 1,802 photographs of dogs and cats, at 224 pixels, and the
60,000 small images of CIFAR-10. Each line is a process of its own that begins with the files (which the system has in
memory) and nothing in a cache of its own, sets a fifth aside, takes the first batch of 64 normalised, mirrored images,
and then goes through the training part twice. `seconds to the first batch` counts from the start of the process, its
imports included; `an epoch` is the second pass. Memory is what all processes together have at most, shared pages
counted once (Linux).

- Rushlight: `ImageData.from_folder`, which decodes everything once, and the same again with what it then has kept;
- fastai: `ImageDataLoaders.from_folder` with `Resize(224)`, `Flip` and `Normalize`, two workers;
- plain PyTorch: torchvision's `ImageFolder` and a `DataLoader` with two workers;
- Keras: `image_dataset_from_directory` on its PyTorch backend, in the form that needs no TensorFlow (Grain).
"""

import argparse
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from peer_environments import let_torchvision_load, run_in
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

BATCH, WORKERS = 64, 2
SIDES = {"photographs": 224, "small images": 32}
QUICK = 400  # images of each folder
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MEMORY_EVERY = 0.1  # seconds


def folder_of(kind: str, most: int | None) -> Path:
    """A folder of the images of a data set, by class, without parts."""
    from rushlight.data import catalog

    folder = (FOLDER / "first-batch" / f"{kind.replace(' ', '-')}-{most or 'all'}").absolute()
    if folder.is_dir():
        return folder
    source = catalog.get("dogscats" if kind == "photographs" else "cifar10")
    files = sorted(source.rglob("*.jpg"))
    unfinished = folder.with_suffix(".tmp")
    shutil.rmtree(unfinished, ignore_errors=True)
    for file in files[:: -(-len(files) // most) if most else 1]:
        place = unfinished / file.parent.name / f"{file.parent.parent.name}-{file.name}"
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(file, place)
        except OSError:  # the two lie on different disks
            shutil.copy(file, place)
    unfinished.replace(folder)
    return folder


# --- each returns what makes batches, which is gone through twice ----------------------------------------------------


def with_rushlight(folder: Path, side: int) -> Iterable[Any]:
    """All images decoded once."""
    from rushlight.data.images import ImageData

    return ImageData.from_folder(folder, size=side, batch_size=BATCH, device="cpu").train


def with_fastai(folder: Path, side: int) -> Iterable[Any]:
    """Its data block for folders."""
    let_torchvision_load()
    from fastai.vision.all import Flip, ImageDataLoaders, Normalize, Resize

    resize = Resize(side) if side > SIDES["small images"] else None
    return ImageDataLoaders.from_folder(
        folder,
        valid_pct=0.2,
        seed=0,
        item_tfms=resize,
        batch_tfms=[Flip(), Normalize.from_stats(MEAN, DEVIATION)],
        bs=BATCH,
        num_workers=WORKERS,
    ).train


def with_plain(folder: Path, side: int) -> Iterable[Any]:
    """`ImageFolder` and `DataLoader`, as in PyTorch's own example for ImageNet."""
    let_torchvision_load()
    import torch
    from torchvision import datasets, transforms

    shape = [transforms.Resize(side), transforms.CenterCrop(side)] if side > SIDES["small images"] else []
    last = [transforms.RandomHorizontalFlip(), transforms.ToTensor(), transforms.Normalize(MEAN, DEVIATION)]
    images = datasets.ImageFolder(str(folder), transforms.Compose([*shape, *last]))
    train, _ = torch.utils.data.random_split(images, [0.8, 0.2], torch.Generator().manual_seed(0))
    return torch.utils.data.DataLoader(train, BATCH, shuffle=True, num_workers=WORKERS, drop_last=True)


def with_keras(folder: Path, side: int) -> Iterable[Any]:
    """Its reader of folders, as it works without TensorFlow."""
    os.environ["KERAS_BACKEND"] = "torch"
    import keras

    images = keras.utils.image_dataset_from_directory(
        folder,
        image_size=(side, side),
        batch_size=BATCH,
        validation_split=0.2,
        subset="training",
        seed=0,
        verbose=False,
        format="grain",
        crop_to_aspect_ratio=True,
    )
    mirror = keras.layers.RandomFlip("horizontal")
    scale = keras.layers.Normalization(
        mean=[255 * value for value in MEAN], variance=[(255 * value) ** 2 for value in DEVIATION]
    )

    class Prepared:
        """The batches, mirrored and scaled."""

        def __iter__(self) -> Any:
            return ((scale(mirror(pixels, training=True)), targets) for pixels, targets in images)

    return Prepared()


WAYS: dict[str, tuple[str, Callable[[Path, int], Iterable[Any]]]] = {
    "Rushlight": ("rushlight", with_rushlight),
    "Rushlight, second time": ("rushlight", with_rushlight),
    "fastai": ("fastai", with_fastai),
    "plain PyTorch": ("fastai", with_plain),
    "Keras": ("keras", with_keras),
}
CACHED = "Rushlight, second time"


class MemoryWatch:
    """The most memory of this process and its children, in megabytes; pages that they share count once."""

    def __init__(self) -> None:
        self.most = 0.0
        self._over = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while not self._over.wait(MEMORY_EVERY):
            self.most = max(self.most, sum(map(_share_of_memory, _this_and_children())))

    def stop(self) -> float:
        """The figure."""
        self._over.set()
        return self.most


def _this_and_children() -> list[str]:
    tasks = Path(f"/proc/{os.getpid()}/task")
    try:
        children = [child for task in tasks.iterdir() for child in (task / "children").read_text().split()]
    except OSError:
        children = []
    return ["self", *children]


def _share_of_memory(process: str) -> float:
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has just ended, or the system has no such file
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)


def here(way: str, folder: Path, side: int, started: float) -> Row:
    """Measure one way in this process.

    Args:
        started: when the process was started, in seconds since 1970.
    """
    watch = MemoryWatch()
    batches = WAYS[way][1](folder, side)
    next(iter(batches))
    first = time.time() - started
    for _ in batches:
        pass
    began, count = time.perf_counter(), 0
    for inputs, _ in batches:
        count += len(inputs)
    seconds = time.perf_counter() - began
    return {"first_batch": first, "epoch": seconds, "images_a_second": count / seconds, "megabytes": watch.stop()}


def measured(case: Case, most: int | None) -> Row:
    """Run one way in its environment, with an empty cache or one that was filled before."""
    kind = str(dict(case.on)["data"])
    folder = folder_of(kind, most)
    with tempfile.TemporaryDirectory(dir=FOLDER) as cache:
        os.environ["RUSHLIGHT_CACHE"] = str(Path(cache).absolute())
        words = ("--here", case.way, "--folder", folder, "--side", SIDES[kind], "--started")
        try:
            if case.way == CACHED:
                run_in("rushlight", "first_batch.py", *words, time.time())
            return run_in(WAYS[case.way][0], "first_batch.py", *words, time.time())
        finally:
            del os.environ["RUSHLIGHT_CACHE"]


def table(results: Results, cases: list[Case]) -> str:
    """One line a way and folder."""
    head = ["from a folder of", "way", "seconds to the first batch", "an epoch, s", "images a second", "megabytes"]
    figures = {"first_batch": "{:.2f}", "epoch": "{:.2f}", "images_a_second": "{:,.0f}", "megabytes": "{:,.0f}"}
    lines = [
        [str(dict(case.on)["data"]), case.way, *(spread(results.values(case, f), form) for f, form in figures.items())]
        for case in cases
    ]
    return markdown(head, lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--here", choices=WAYS, help="measure this one here and print JSON")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--side", type=int)
    parser.add_argument("--started", type=float)
    arguments = parser.parse_args()
    if arguments.here:
        print(json.dumps(here(arguments.here, arguments.folder, arguments.side, arguments.started)))
        return
    let_peers_import_this_project()
    most = QUICK if arguments.quick else None
    results = Results("first-batch", {}, arguments.again_if_busy, arguments.quick)
    cases = [Case.of(way, data=kind) for kind in SIDES for way in chosen(WAYS, arguments.only)]
    rounds = 1 if arguments.quick else arguments.rounds
    for kind in SIDES:
        for file in folder_of(kind, most).rglob("*.jpg"):
            file.read_bytes()  # the system has it in memory from here on
    results.in_turns(cases, rounds, lambda case, _: measured(case, most))
    results.write_page(table(results, cases))


if __name__ == "__main__":
    main()
