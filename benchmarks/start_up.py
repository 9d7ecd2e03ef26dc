"""How long it takes until something happens: imports, help, the first prediction; and the size on disk.

    python benchmarks/start_up.py
    python benchmarks/start_up.py --peers

Each line is a process of its own, started several times in turn; the median of the wall times counts, less that of a
Python that does nothing. The first prediction is that of a small net for 32 x 32 pixels of which the saved file is at
hand, for one image: `rushlight predict`, and for fastai `load_learner` and `predict`. The size is that of the package
and all that it needs, beside PyTorch and NumPy, which all of them need.
"""

import argparse
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from peer_environments import python_of, run_in
from side_by_side import Case, Results, Row, add_arguments, markdown, spread

IMPORTS = {
    "rushlight": ("import rushlight", "import rushlight; rushlight.Learner"),
    "fastai": ("import torch", "from fastai.vision.all import *"),
    "lightning": ("import lightning",),
    "skorch": ("import skorch",),
    "keras": ("import keras",),
}
TORCHVISION = "from peer_environments import let_torchvision_load; let_torchvision_load(); "
SHARED = ("torch", "numpy")
NOTHING, SIZE = "Python that does nothing", "size on disk"


def wall(command: list[str]) -> Row:
    """The wall time of a command."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=Path(__file__).parent)
    return {"seconds": time.perf_counter() - started}


def megabytes(package: str) -> float:
    """What a package and all that it needs take on disk in this environment, beside what all share."""
    pending, seen, total = [package], set(SHARED), 0
    while pending:
        name = re.sub(r"[-_.]+", "-", pending.pop().lower())
        if name in seen:
            continue
        seen.add(name)
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        for file in distribution.files or []:
            path = Path(str(distribution.locate_file(file)))
            total += path.stat().st_size if path.is_file() else 0
        needed = [requirement for requirement in distribution.requires or [] if "extra ==" not in requirement]
        pending += [re.split(r"[\s;<>=!~\[(]", requirement)[0] for requirement in needed]
    return total / 1e6


def fastai_predicts(folder: Path) -> list[str]:
    """Save a small net by fastai's own means, and give the command that predicts one image with it."""
    code = TORCHVISION + (
        "from fastai.vision.all import *; from pathlib import Path; from PIL import Image; import sys, numpy as np\n"
        "root = Path(sys.argv[1]); rng = np.random.default_rng(0)\n"
        "for label in ('a', 'b'):\n"
        "    (root / label).mkdir(parents=True, exist_ok=True)\n"
        "    for i in range(8):\n"
        "        pixels = rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)\n"
        "        Image.fromarray(pixels).save(root / label / f'{i}.png')\n"
        "loaders = ImageDataLoaders.from_folder(root, valid_pct=0.25, bs=4, num_workers=0)\n"
        "Learner(loaders, xresnet18(n_out=2), loss_func=CrossEntropyLossFlat()).export(root / 'model.pkl')\n"
    )
    subprocess.run([python_of("fastai"), "-c", code, folder], check=True, cwd=Path(__file__).parent)
    predict = TORCHVISION + (
        "from fastai.vision.all import *; import sys\n"
        "learner = load_learner(sys.argv[1] + '/model.pkl')\n"
        "with learner.no_bar(): print(learner.predict(sys.argv[1] + '/a/0.png'))\n"
    )
    return [str(python_of("fastai")), "-c", predict, str(folder)]


def rushlight_predicts(folder: Path) -> list[str]:
    """Train a ResNet-18 for a step, and give the command that predicts one image with it."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for label in ("a", "b"):
        (folder / "photos" / label).mkdir(parents=True)
        for number in range(8):
            pixels = rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "photos" / label / f"{number}.png")
    program = [sys.executable, "-m", "rushlight.app.cli"]
    words = ["train", "images", folder / "photos", "--model", "resnet18", "--steps", "1", "--output", folder / "run"]
    subprocess.run(list(map(str, program + words)), check=True, stdout=subprocess.DEVNULL)
    return [*program, "predict", str(folder / "run"), str(folder / "photos" / "a" / "0.png")]


def commands(folder: Path, peers: bool) -> dict[str, list[str]]:
    """What is timed, by what it is called."""
    program = [sys.executable, "-m", "rushlight.app.cli"]
    found = {NOTHING: [sys.executable, "-c", "pass"]}
    for name, statements in IMPORTS.items():
        for statement in statements if name == "rushlight" or peers else ():
            code = (TORCHVISION if name == "fastai" and "fastai" in statement else "") + statement
            found[f"{name}: `{statement}`"] = [str(python_of(name)), "-c", code]
    for words in (["--help"], ["train", "images", "--help"]):
        found[f"`rushlight {' '.join(words)}`"] = [*program, *words]
    found["`rushlight predict`, one image"] = rushlight_predicts(folder)
    if peers:
        found["fastai: `load_learner` and `predict`, one image"] = fastai_predicts(folder / "fastai")
    return found


def table(results: Results, names: list[str]) -> str:
    """One line each."""
    base = median(results.values(Case.of(NOTHING), "seconds"))
    lines = []
    for name in names:
        # Whole programs are given whole; an import is what it adds to a Python that does nothing.
        less = base if ": `import" in name or ": `from" in name else 0.0
        lines.append([name, spread([value - less for value in results.values(Case.of(name), "seconds")], "{:.3f}")])
    sizes = {row["on"]["package"]: f"{row['megabytes']:,.0f}" for row in results.rows if row["way"] == SIZE}
    return "\n\n".join(
        [
            markdown(["what", "seconds"], lines),
            markdown(["package", f"megabytes with all it needs beside {' and '.join(SHARED)}"], sizes.items()),
        ]
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, rounds=7)
    parser.add_argument("--peers", action="store_true", help="measure the peers too, each in its own environment")
    parser.add_argument("--size-of", help="print the megabytes of this package here as JSON")
    arguments = parser.parse_args()
    if arguments.size_of:
        print(json.dumps({"megabytes": megabytes(arguments.size_of)}))
        return
    os.environ["KERAS_BACKEND"] = "torch"  # the others are not installed
    results = Results("start-up", {}, arguments.again_if_busy, arguments.quick)
    with tempfile.TemporaryDirectory() as folder:
        timed = commands(Path(folder), arguments.peers)
        for command in timed.values():
            wall(command)  # fills the caches
        rounds = 1 if arguments.quick else arguments.rounds
        results.in_turns([Case.of(name) for name in timed], rounds, lambda case, _: wall(timed[case.way]))
    for name in IMPORTS if arguments.peers else ["rushlight"]:
        case = Case.of(SIZE, package=name)
        results.measured(case, 0, lambda name=name: run_in(name, "start_up.py", "--size-of", name))  # type: ignore[misc]
    results.write_page(table(results, list(timed)))


if __name__ == "__main__":
    main()
