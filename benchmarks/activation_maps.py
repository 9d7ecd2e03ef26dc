"""Activation maps a second, and how far they agree with those of pytorch-grad-cam and Captum, for one model.

    python benchmarks/activation_maps.py [RUN]

RUN is a run folder of photographs; without it a classifier of dogs and cats is trained first. All make maps for the
class that the model answers, of the same validation images in the same batches, in float32 in one process, and take
turns; the median of the rounds counts. A map's agreement is the correlation over its places with the peer's Grad-CAM;
both are cut at 0, as the method has it.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from peer_environments import let_torchvision_load, run_in
from side_by_side import FOLDER, Case, Results, add_arguments, let_peers_import_this_project, markdown, spread


def makers(model: Any) -> dict[str, Callable[[Any, Any], Any]]:
    """Each way to make maps (B, h, w) of images for classes."""
    let_torchvision_load()
    from captum.attr import LayerGradCam
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    from rushlight.inference.class_maps import class_maps

    theirs = GradCAM(model=model, target_layers=[model.body])
    captum = LayerGradCam(model, model.body)
    return {
        "Rushlight, class activation map": lambda images, classes: class_maps(model, images, classes, "cam")[0],
        "Rushlight, Grad-CAM": lambda images, classes: class_maps(model, images, classes, "grad_cam")[0],
        "pytorch-grad-cam": lambda images, classes: theirs(
            images, [ClassifierOutputTarget(number) for number in classes.tolist()]
        ),
        "Captum": lambda images, classes: captum.attribute(images, classes, relu_attributions=True)[:, 0].detach(),
    }


def measured(run: str, count: int, rounds: int) -> dict[str, Any]:
    """Images a second of each, and correlations with pytorch-grad-cam; in an environment that has them all."""
    import numpy as np
    import torch
    from torch.nn.functional import interpolate

    from rushlight.data.images import ImageData
    from rushlight.inference.predictor import Predictor

    predictor = Predictor.load(run, device="cpu")
    facts = json.loads((Path(run) / "run.json").read_text())
    data = ImageData.from_name(facts["data"]["name_or_path"], size=predictor.size)
    pixels = data.valid.pixels(np.linspace(0, data.valid.samples - 1, count).astype(int))
    images = predictor.inputs(pixels)
    model = predictor.model.float().eval()
    with torch.no_grad():  # peers differentiate with what comes of it
        classes = torch.cat([model(part).argmax(1) for part in images.split(32)])
    batches = list(zip(images.split(32), classes.split(32), strict=True))
    ways = makers(model)
    times: dict[str, list[float]] = {name: [] for name in ways}
    maps: dict[str, torch.Tensor] = {}
    for number in range(rounds + 1):
        order = list(ways.items())
        for name, way in order if number % 2 else reversed(order):
            started = time.perf_counter()
            found = [torch.as_tensor(np.asarray(way(*batch))) for batch in batches]
            times[name].append(time.perf_counter() - started)
            maps[name] = torch.cat(found).clamp_min(0)
    peer = maps["pytorch-grad-cam"]
    agreement = {}
    for name, own in maps.items():
        same_size = interpolate(own[:, None].float(), peer.shape[1:], mode="bilinear", align_corners=False)[:, 0]
        pairs = zip(same_size.flatten(1).numpy(), peer.flatten(1).numpy(), strict=True)
        agreement[name] = sorted(float(np.corrcoef(a, b)[0, 1]) for a, b in pairs if a.std() and b.std())
    return {"times": {name: sorted(found[1:]) for name, found in times.items()}, "agreement": agreement}


def table(results: Results, images: int) -> str:
    """One line a way."""
    lines = []
    for way in results.rows[0]["times"]:
        speeds = [images / seconds for row in results.rows for seconds in row["times"][way]]
        correlations = sorted(value for row in results.rows for value in row["agreement"][way])
        agreement = f"{median(correlations):.3f} (a twentieth below {correlations[len(correlations) // 20]:.3f})"
        lines.append([way, spread(speeds, "{:.1f}"), str(len(speeds)), agreement])
    return markdown(["way", "maps a second", "n", "correlation with pytorch-grad-cam"], lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="?", default=str(FOLDER / "activation-maps"))
    add_arguments(parser)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--turns", type=int, default=3, help="of all ways in each process")
    parser.add_argument("--here", action="store_true", help="measure in this environment and print JSON")
    arguments = parser.parse_args()
    if arguments.here:
        print(json.dumps(measured(arguments.run, arguments.images, arguments.turns)))
        return
    if not Path(arguments.run).exists():
        from command_line import rushlight

        rushlight("train", "images", "dogscats", "--freeze", "--minutes", "1", "--output", arguments.run)
    let_peers_import_this_project()  # their environment has them, and borrows the rest
    images = 8 if arguments.quick else arguments.images
    words = (arguments.run, "--images", images, "--turns", 1 if arguments.quick else arguments.turns, "--here")
    results = Results("activation-maps", {"images": images}, arguments.again_if_busy, arguments.quick)
    results.in_turns(
        [Case.of("all")],
        1 if arguments.quick else arguments.rounds,
        lambda case, number: run_in("activation_maps", "activation_maps.py", *words),
    )
    results.write_page(table(results, images))


if __name__ == "__main__":
    main()
