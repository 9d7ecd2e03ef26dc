"""Where in an image a classifier finds the evidence for a class.

- Zhou, Khosla, Lapedriza, Oliva and Torralba, "Learning deep features for discriminative localization", 2016: where the
  head is linear after pooling, each position of the last feature map adds its own part to the logit ("class activation
  map"; CAM).
- Selvaraju et al., "Grad-CAM: Visual explanations from deep networks via gradient-based localization", 2017: for any
  other head, the channels of the last feature map are weighed by the gradient of the logit.
- Zeiler and Fergus, "Visualizing and understanding convolutional networks", 2014: cover one place after the other and
  see what that does to the probability; it asks nothing of the model ("occlusion").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from rushlight.runtime.errors import InputError

METHODS = ("auto", "cam", "grad_cam", "occlusion")
METHOD_NAMES = {"cam": "class activation map", "grad_cam": "Grad-CAM", "occlusion": "occlusion"}
_PATCHES_A_SIDE = 6  # of an occlusion map: a patch covers a sixth of the side,
_STEPS_A_PATCH = 2  # and moves by half of itself


def class_maps(
    model: nn.Module,
    images: Tensor,
    classes: Tensor,
    method: str = "auto",
    layer: str | None = None,
    exclusive: bool = True,
) -> tuple[Tensor, str]:
    """Evidence for one class of each image, against the other classes.

    Args:
        model: (B, C, H, W) to logits (B, classes); it is put in evaluation mode.
        images: (B, C, H, W), as the model meets them.
        classes: (B,) the class of each image that is asked for.
        method: a name in `METHODS`; `auto` is CAM where the head allows it, else Grad-CAM.
        layer: for Grad-CAM, the name of the module whose output is the feature map; the body's output if None, or of a
            model that does not name its body, the last map that there is.
        exclusive: only one class can be right, so that what speaks for all of them decides nothing. Else each output is
            taken for itself, and where the head allows it the map adds up to it.

    Returns:
        Maps (B, h, w) float32, positive where something speaks for the class, and the method that was used.

    Raises:
        InputError: the model keeps no places, or has no such layer.
    """
    model.eval()
    if method in ("auto", "cam") and layer is None:
        evidence = _evidence(model, images)
        if evidence is not None:
            if exclusive:
                evidence = evidence - evidence.mean(dim=1, keepdim=True)  # what all classes share decides nothing
            else:
                evidence = evidence + _constant(model, evidence)
            return evidence[torch.arange(len(images)), classes.to(evidence.device)], "cam"
        if method == "cam":
            raise InputError("this head is not linear after pooling, so there is no class activation map: use Grad-CAM")
    return _grad_cam(model, images, classes, layer, exclusive), "grad_cam"


@torch.inference_mode()
def _evidence(model: Any, images: Tensor) -> Tensor | None:
    """Each position's part in each logit (B, classes, h, w); None where the head cannot tell."""
    of_head = getattr(getattr(model, "head", None), "evidence", None)
    if of_head is None or not hasattr(model, "forward_features"):
        return None
    found: Tensor | None = of_head(model.forward_features(images))
    return None if found is None else found.float()


@torch.inference_mode()
def _constant(model: Any, evidence: Tensor) -> Tensor:
    """What the outputs are beside the evidence, spread over its positions."""
    shared: Tensor = model.head.constant().float()
    return shared[None, :, None, None] / (evidence.shape[-2] * evidence.shape[-1])


def _grad_cam(model: nn.Module, images: Tensor, classes: Tensor, layer: str | None, exclusive: bool) -> Tensor:
    structured: Any = model
    with torch.enable_grad():
        if layer is None and hasattr(model, "forward_features") and hasattr(model, "forward_head"):
            features = structured.forward_features(images.detach()).detach().requires_grad_()
            logits = structured.forward_head(features)
        else:
            with kept_output(model, layer or _last_map(model, images[:1])) as kept:
                logits = model(images.detach().requires_grad_())
            features = kept()
        if features.ndim != 4 or features.shape[-1] * features.shape[-2] == 1:
            raise InputError("this network keeps no places in its last features, so it has no heat map: use occlusion")
        chosen = logits[torch.arange(len(images)), classes.to(logits.device)]
        against_others = chosen - logits.mean(dim=1) if exclusive else chosen
        (gradient,) = torch.autograd.grad(against_others.sum(), features)
    weights = gradient.float().mean(dim=(2, 3), keepdim=True)
    return (weights * features.detach().float()).sum(dim=1)


@contextmanager
def kept_output(model: nn.Module, layer: str) -> Iterator[Callable[[], Tensor]]:
    """A context in which the output of a module is kept; the hook is removed at its end, whatever happens.

    Args:
        model: the whole.
        layer: the module's name in `named_modules`.

    Yields:
        A function that gives the output of the last forward pass.

    Raises:
        InputError: there is no such module.
    """
    modules = dict(model.named_modules())
    if layer not in modules:
        raise InputError(f"the model has no layer '{layer}'; print(model) shows them all")
    outputs: list[Tensor] = []

    def keep(module: nn.Module, inputs: Any, output: Tensor) -> None:
        outputs.append(output)

    handle = modules[layer].register_forward_hook(keep)
    try:
        yield lambda: outputs[-1]
    finally:
        handle.remove()


def _last_map(model: nn.Module, image: Tensor) -> str:
    """The name of the last module, in the order of the forward pass, that gives a map with places."""
    found: list[str] = []
    handles = []

    def noting(name: str) -> Callable[..., None]:
        def note(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.ndim == 4 and output.shape[-1] * output.shape[-2] > 1:
                found.append(name)

        return note

    try:
        for name, module in model.named_modules():
            if name and not list(module.children()):
                handles.append(module.register_forward_hook(noting(name)))
        with torch.inference_mode():
            model(image)
    finally:
        for handle in handles:
            handle.remove()
    if not found:
        raise InputError("no layer of this network gives a map with places, so it has no heat map: use occlusion")
    return found[-1]


@torch.inference_mode()
def occlusion_maps(
    probabilities: Callable[[Tensor], Tensor], images: Tensor, classes: Tensor, batch_size: int = 64
) -> Tensor:
    """How much the probability of a class falls where a place is covered with the mean colour.

    Args:
        probabilities: images (B, C, H, W), normalised, to (B, classes).
        images: (B, C, H, W), normalised, so that 0 is the mean colour.
        classes: (B,) the class of each image that is asked for.
        batch_size: covered images at once.

    Returns:
        (B, h, w): the fall of the probability, for patches that overlap by half.
    """
    height, width = images.shape[2:]
    steps = _PATCHES_A_SIDE * _STEPS_A_PATCH - 1
    tall, wide = -(-height // _PATCHES_A_SIDE), -(-width // _PATCHES_A_SIDE)
    tops = torch.linspace(0, height - tall, steps).round().long().tolist()
    lefts = torch.linspace(0, width - wide, steps).round().long().tolist()
    maps = []
    for image, wanted in zip(images, classes.tolist(), strict=True):
        whole = probabilities(image[None])[0, wanted]
        covered = image.repeat(steps * steps, 1, 1, 1)
        for number in range(steps * steps):
            top, left = tops[number // steps], lefts[number % steps]
            covered[number, :, top : top + tall, left : left + wide] = 0
        found = torch.cat([probabilities(part)[:, wanted] for part in covered.split(batch_size)])
        maps.append((whole - found).view(steps, steps))
    return torch.stack(maps)
