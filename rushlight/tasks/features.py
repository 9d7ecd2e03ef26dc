"""What a frozen body says of every image, computed once and kept.

The cache goes by content alone: by the pixels in their order, the weights of the body, and how the one is shown to the
other. So a body that was trained in between, or a changed image, is never answered from it.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from rushlight.data.batches import ImageBatches
from rushlight.nn.backbones import BackboneClassifier
from rushlight.nn.heads import PooledHead
from rushlight.runtime.cache_limit import keep_within_limit, mark_used
from rushlight.runtime.device import Precision
from rushlight.runtime.distributed import leader_first
from rushlight.runtime.files import storage_error, user_cache_folder
from rushlight.runtime.seeds import epoch_order
from rushlight.runtime.terminal import progress

VERSION = 2  # of how features are computed and kept
_IMAGES_AT_ONCE = 32  # maps of more leave the processor's caches
_FEATURES_AT_ONCE = 4096
View = int | Literal["as it is", "mirrored"]
AS_IT_IS: Literal["as it is"] = "as it is"
MIRRORED: Literal["mirrored"] = "mirrored"


def features_once(
    model: BackboneClassifier, batches: ImageBatches, device: torch.device, precision: Precision, view: View = AS_IT_IS
) -> np.ndarray:
    """Features of every image of a part, in its order, from the cache where they are kept already.

    Args:
        model: its body is run once over the images, as it is when it answers.
        batches: the part.
        device: where to compute.
        precision: of the body.
        view: how the images are shown to the body: as they are, mirrored left to right, or augmented as in the epoch
            of that number.

    Returns:
        (N, F) float32 where the head begins with pooling, which is done already; else maps (N, C, h, w) float16.
        Memory-mapped.

    Raises:
        StorageError: the cache cannot be written.
    """
    path = _path(model, batches, precision, view)
    with leader_first(f"features/{path.stem}"):
        kept = _read(path, batches.samples)
        if kept is not None:
            return kept
        found = _kept(path, _computed(model, batches, device, precision, view), batches.samples)
        keep_within_limit()
        return found


def are_kept(model: BackboneClassifier, batches: ImageBatches, precision: Precision, view: View = AS_IT_IS) -> bool:
    """Whether `features_once` has nothing to compute."""
    return _read(_path(model, batches, precision, view), batches.samples) is not None


@torch.inference_mode()
def outputs_from_kept(
    model: nn.Module, batches: ImageBatches, device: torch.device, precision: Precision
) -> Tensor | None:
    """What a model says of every image of a part, from what is kept of its body; nothing is computed for it.

    Args:
        model: any.
        batches: the part, taken as it is.
        device: where to compute.
        precision: of the model.

    Returns:
        (N, classes) float32 on the CPU; None where the model has no body and pooling head, or nothing is kept.
    """
    if not isinstance(model, BackboneClassifier) or not isinstance(model.head, PooledHead):
        return None
    features = _read(_path(model, batches, precision, AS_IT_IS), batches.samples)
    if features is None:
        return None
    model.eval()
    rows = []
    for part in torch.arange(batches.samples).split(_FEATURES_AT_ONCE):
        pooled = torch.from_numpy(np.ascontiguousarray(features[part.numpy()])).to(device)
        with precision.autocast():
            rows.append(model.head.forward_pooled(pooled).float().cpu())
    return torch.cat(rows)


def _path(model: BackboneClassifier, batches: ImageBatches, precision: Precision, view: View) -> Path:
    return user_cache_folder() / "features" / f"{_key(model, batches, precision, view)}.npy"


def _read(path: Path, count: int) -> np.ndarray | None:
    with suppress(OSError, ValueError, EOFError):
        kept: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
        if len(kept) == count:
            mark_used(path)
            return kept
    return None


@torch.inference_mode()
def _computed(
    model: BackboneClassifier, batches: ImageBatches, device: torch.device, precision: Precision, view: View
) -> Iterator[np.ndarray]:
    model.eval()
    pool = getattr(model.head, "pool", None)
    as_they_are = batches.as_they_are()
    with progress("Asking the pretrained network", batches.samples, "images") as shown:
        for rows in torch.arange(batches.samples).split(_IMAGES_AT_ONCE):
            images = batches.augmented(rows, view) if isinstance(view, int) else as_they_are.inputs(rows)
            images = images.to(device)
            if view == MIRRORED:
                images = images.flip(3)
            with precision.autocast():
                features = model.forward_features(images.contiguous(memory_format=torch.channels_last))
            yield (features.half() if pool is None else pool(features)).cpu().numpy()
            shown.advance(len(rows))


def _kept(path: Path, parts: Iterator[np.ndarray], count: int) -> np.ndarray:
    """The parts written one after the other to a file, which takes its place once it is whole."""
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        whole: Any = None
        done = 0
        for part in parts:
            if whole is None:
                shape = (count, *part.shape[1:])
                whole = np.lib.format.open_memmap(unfinished, mode="w+", dtype=part.dtype, shape=shape)
            whole[done : done + len(part)] = part
            done += len(part)
        whole.flush()
        os.replace(unfinished, path)  # noqa: PTH105
    except OSError as error:
        raise storage_error(path, error) from error
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _key(model: BackboneClassifier, batches: ImageBatches, precision: Precision, view: View) -> str:
    digest = hashlib.sha256()
    for name, tensor in model.body.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    head = getattr(model.head, "with_maximum", "map")
    digest.update(repr((VERSION, head, precision.name, view, batches.scaling)).encode())
    if isinstance(view, int):
        digest.update(repr((batches.seed, batches.augmentation, batches.image_size)).encode())
        digest.update(batches.numbers.numpy().data)
    for rows in torch.arange(batches.samples).split(_IMAGES_AT_ONCE):
        digest.update(np.ascontiguousarray(batches.pixels(rows)).data)
    return digest.hexdigest()[:32]


class FeatureBatches:
    """Batches of features that were computed once, to train a head on; a new order every epoch.

    Args:
        features: (N, ...), may be memory-mapped.
        targets: (N,) int64.
        batch_size: images a batch.
        shuffle: take them in a new order every epoch.
        seed: of the order.
        device: where the batches are made.
    """

    def __init__(
        self,
        features: np.ndarray,
        targets: Tensor,
        *,
        batch_size: int,
        shuffle: bool = False,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        self._features, self.targets = features, targets
        self.batch_size, self.shuffle, self.seed, self.device = batch_size, shuffle, seed, torch.device(device)
        self.epoch = 0

    @property
    def samples(self) -> int:
        """Number of images."""
        return len(self.targets)

    def __len__(self) -> int:
        full, rest = divmod(self.samples, self.batch_size)
        return full if self.shuffle and full else full + bool(rest)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return self.iterate_from(0)

    def iterate_from(self, batch_index: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of the present epoch from one on, as they would have come."""
        order = epoch_order(self.samples, self.seed, self.epoch) if self.shuffle else torch.arange(self.samples)
        for rows in order.split(self.batch_size)[batch_index : len(self)]:
            features = torch.from_numpy(np.ascontiguousarray(self._features[rows.numpy()], np.float32))
            yield features.to(self.device), self.targets[rows].to(self.device)
        self.epoch += 1
