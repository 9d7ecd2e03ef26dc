"""Where the pixels go: flips, crops and quarter turns that copy pixels, and one affine resample.

Each function takes numbers that are already drawn, one per sample, and gives back a batch of the same shape,
type and memory format. Copies are exact and cost one gather; only `affine` interpolates, and only once.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

CropMode = Literal["reflect", "constant"]
FillMode = Literal["reflection", "border", "zeros"]


def horizontal_flip(images: Tensor, flip: Tensor) -> Tensor:
    """Mirror some images left to right.

    Args:
        images: (B, C, H, W).
        flip: which of them, (B,) bool.
    """
    return _gather_pixels(images, _rows(images), _mirrored_where(flip, _columns(images)))


def alternating_flip(images: Tensor, flip_first: Tensor, epoch: int) -> Tensor:
    """Mirror an image in every other epoch, so that two epochs in a row show it both ways.

    With independent flips an image is seen the same way twice in a row half of the time.
    Source: Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU" (2024).

    Args:
        images: (B, C, H, W).
        flip_first: which images are mirrored in even epochs, (B,) bool; the others are in odd ones.
        epoch: the number of the epoch, from 0.
    """
    return horizontal_flip(images, alternate(flip_first, epoch))


def alternate(flip_first: Tensor, epoch: int) -> Tensor:
    """Which images an alternating flip mirrors in this epoch: (B,) bool to (B,) bool."""
    return flip_first ^ bool(epoch % 2)


def pad_and_crop(images: Tensor, offsets: Tensor, padding: int, mode: CropMode = "reflect") -> Tensor:
    """Pad all four sides, then cut a window of the original size.

    Source: padding and random cropping, Lee et al., "Deeply-supervised nets" (2015).

    Args:
        images: (B, C, H, W), height and width above `padding` for mode "reflect".
        offsets: top and left of the window in the padded image, (B, 2) int64 in 0 .. 2 * padding;
            `padding` leaves the image where it is.
        padding: pixels added on each side.
        mode: "reflect" mirrors the image at its edge pixels, "constant" adds zeros, the mean colour.

    Raises:
        ValueError: the mode is unknown, or the padding too large for it.
    """
    return flip_and_crop(images, torch.zeros_like(offsets[:, 0], dtype=torch.bool), offsets, padding, mode)


def flip_and_crop(images: Tensor, flip: Tensor, offsets: Tensor, padding: int, mode: CropMode = "reflect") -> Tensor:
    """`pad_and_crop`, then `horizontal_flip`, in one gather instead of two.

    Args:
        images: (B, C, H, W).
        flip: (B,) bool, as in `horizontal_flip`.
        offsets: (B, 2) int64, as in `pad_and_crop`.
        padding: as in `pad_and_crop`.
        mode: as in `pad_and_crop`.

    Raises:
        ValueError: the mode is unknown, or the padding too large for it.
    """
    height, width = images.shape[-2:]
    if mode not in ("reflect", "constant"):
        raise ValueError(f"mode must be 'reflect' or 'constant', not '{mode}'")
    if mode == "reflect" and padding >= min(height, width):
        raise ValueError(f"cannot reflect {padding} pixels of images of {height} x {width}; pad fewer")
    rows = _rows(images) + (offsets[:, :1] - padding)
    columns = _mirrored_where(flip, _columns(images)) + (offsets[:, 1:] - padding)
    if mode == "reflect":
        return _gather_pixels(images, _reflected(rows, height), _reflected(columns, width))
    outside_rows = (rows < 0) | (rows >= height)
    outside_columns = (columns < 0) | (columns >= width)
    cropped = _gather_pixels(images, rows.clamp(0, height - 1), columns.clamp(0, width - 1))
    return cropped.masked_fill_(outside_rows[:, None, :, None] | outside_columns[:, None, None, :], 0)


def dihedral(images: Tensor, symmetry: Tensor) -> Tensor:
    """Mirror and turn by quarters: the eight symmetries of the square, without interpolation.

    Args:
        images: (B, C, H, W).
        symmetry: (B,) int64 in 0 .. 7, the sum of 1 (mirror left to right), 2 (mirror top to bottom, done
            second) and 4 (swap rows and columns, done last). 4 and more need square images.

    Raises:
        ValueError: the images are not square and a symmetry swaps rows and columns.
    """
    rows = _mirrored_where((symmetry & 2) > 0, _rows(images))
    columns = _mirrored_where((symmetry & 1) > 0, _columns(images))
    swap = (symmetry & 4) > 0
    if images.shape[-2] == images.shape[-1]:
        return _gather_pixels(images, rows, columns, swap)
    if swap.any():
        height, width = images.shape[-2:]
        raise ValueError(f"cannot swap rows and columns of images of {height} x {width}; use symmetries below 4")
    return _gather_pixels(images, rows, columns)


def affine(
    images: Tensor,
    *,
    rotation: Tensor | float = 0.0,
    zoom: Tensor | float = 1.0,
    shift: Tensor | float = 0.0,
    squeeze: Tensor | float = 1.0,
    fill: FillMode = "reflection",
) -> Tensor:
    """Squeeze, zoom, turn and shift images around their centre with one bilinear interpolation.

    Args:
        images: (B, C, H, W) of any float type; coordinates are computed in float32.
        rotation: degrees counter-clockwise, (B,) or one number for all.
        zoom: magnification, above 1 enlarges, (B,).
        shift: downwards and to the right, as fractions of height and width, (B, 2).
        squeeze: how much wider for its height the content becomes, its area kept, (B,).
        fill: what lies outside: "reflection" mirrors at the edges, "border" repeats the edge, "zeros" is
            the mean colour.
    """
    batch, _, height, width = images.shape
    rotation, zoom, squeeze = (_per_sample(value, images) for value in (rotation, zoom, squeeze))
    matrix = affine_matrix(
        rotation,
        zoom,
        squeeze,
        torch.as_tensor(shift, dtype=torch.float32, device=images.device).expand(batch, 2),
        (height, width),
    )
    # A position is a part that its row decides plus a part that its column does, so two small tables and one
    # sum give the grid. `F.affine_grid` multiplies matrices instead: slower on a CPU, and on a GPU perhaps in
    # TF32, whose three decimal digits are too few for a position.
    along_rows = matrix[:, None, :, 1] * _pixel_centres(height, images)[:, None] + matrix[:, None, :, 2]
    along_columns = matrix[:, None, :, 0] * _pixel_centres(width, images)[:, None]
    grid = along_rows[:, :, None] + along_columns[:, None]
    # A position in half precision would be a pixel off in a large image: those are resampled in float32.
    precision = torch.float64 if images.dtype == torch.float64 else torch.float32
    resampled = F.grid_sample(
        images.to(precision).contiguous(),  # on a CPU the copy costs less than sampling channels-last memory
        grid.to(precision),
        mode="bilinear",
        padding_mode=fill,
        align_corners=False,
    )
    return resampled.to(images.dtype, memory_format=_memory_format(images))


def affine_matrix(rotation: Tensor, zoom: Tensor, squeeze: Tensor, shift: Tensor, size: tuple[int, int]) -> Tensor:
    """The matrix from positions in the result to positions in the source, both from -1 to 1 over the image.

    Args:
        rotation: degrees counter-clockwise, (B,).
        zoom: magnification, (B,).
        squeeze: width over height of what was square, (B,).
        shift: downwards and to the right, fractions of height and width, (B, 2).
        size: height and width in pixels, so that a turn stays a turn when they differ.

    Returns:
        (B, 2, 3); the columns multiply (x, y, 1), the rows give (x, y).
    """
    height, width = size
    angle = torch.deg2rad(rotation)
    cosine, sine = angle.cos(), angle.sin()
    # Result = turn(stretch(source)) + shift; resampling asks the other way round, so everything is inverted.
    across, along = zoom * squeeze.sqrt(), zoom / squeeze.sqrt()
    linear = torch.stack(
        [
            torch.stack([cosine / across, -sine * (height / width) / across], dim=-1),
            torch.stack([sine * (width / height) / along, cosine / along], dim=-1),
        ],
        dim=-2,
    )
    # The image is two units wide in these coordinates, hence the factor.
    offset = -2 * (linear * shift.flip(-1)[:, None, :]).sum(dim=-1, keepdim=True)
    return torch.cat([linear, offset], dim=-1)


def _gather_pixels(images: Tensor, rows: Tensor, columns: Tensor, swap: Tensor | None = None) -> Tensor:
    """Pixel (y, x) of each result is pixel (rows[y], columns[x]) of its source.

    Args:
        images: (B, C, H, W).
        rows: (B, H) or (H,) int64.
        columns: (B, W) or (W,) int64.
        swap: (B,) bool, square images whose rows and columns change places in the result.
    """
    batch, channels, height, width = images.shape
    positions = rows.view(-1, height, 1) * width + columns.view(-1, 1, width)
    if swap is not None:
        positions = torch.where(swap[:, None, None], positions.transpose(1, 2), positions)
    first = torch.arange(batch, device=images.device) * (height * width)
    positions = (positions + first[:, None, None]).reshape(-1)
    # In channels-last memory a pixel is one row of a table, so a gather of rows moves whole pixels.
    table = images.permute(0, 2, 3, 1).reshape(-1, channels)
    pixels = table.index_select(0, positions).view(batch, height, width, channels)
    return pixels.permute(0, 3, 1, 2).contiguous(memory_format=_memory_format(images))


def _rows(images: Tensor) -> Tensor:
    return torch.arange(images.shape[-2], device=images.device)


def _columns(images: Tensor) -> Tensor:
    return torch.arange(images.shape[-1], device=images.device)


def _mirrored_where(mirror: Tensor, positions: Tensor) -> Tensor:
    """(B,) bool and (size,) positions to (B, size), in reverse where asked."""
    return torch.where(mirror[:, None], positions.flip(0), positions)


def _reflected(positions: Tensor, size: int) -> Tensor:
    """Fold positions back into 0 .. size - 1 at the edge pixels, which are not repeated."""
    positions = positions.abs()
    return torch.minimum(positions, 2 * (size - 1) - positions)


def _pixel_centres(size: int, images: Tensor) -> Tensor:
    """Where the pixels lie from -1 to 1, the outer edges of the image: (size,) float32."""
    return (torch.arange(size, dtype=torch.float32, device=images.device) * 2 + 1) / size - 1


def _per_sample(value: Tensor | float, images: Tensor) -> Tensor:
    return torch.as_tensor(value, dtype=torch.float32, device=images.device).expand(len(images))


def _memory_format(images: Tensor) -> torch.memory_format:
    # A batch of one channel is both; contiguous is asked first, as `torch.preserve_format` does.
    if images.is_contiguous() or not images.is_contiguous(memory_format=torch.channels_last):
        return torch.contiguous_format
    return torch.channels_last
