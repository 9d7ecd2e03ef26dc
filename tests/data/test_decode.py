"""Decoding: what each kind of file must become, pixel by pixel, and what must be refused."""

import io
import struct
import warnings
import zlib
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rushlight.data.decode import MAXIMUM_PIXELS, UnreadableImage, decode_image, shorter_side

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def quarters(size: int = 32, mode: str = "RGB") -> Image.Image:
    """Four coloured quarters: red and green above, blue and white below."""
    pixels = np.zeros((size, size, 3), np.uint8)
    half = size // 2
    pixels[:half, :half], pixels[:half, half:] = RED, GREEN
    pixels[half:, :half], pixels[half:, half:] = BLUE, WHITE
    return Image.fromarray(pixels).convert(mode)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def smooth(height: int, width: int) -> Image.Image:
    """A picture without symmetry, smooth enough to survive JPEG."""
    return Image.fromarray(noise(4, 4)).resize((width, height), Image.Resampling.BICUBIC)


def reason_of(data: bytes) -> str:
    with pytest.raises(UnreadableImage) as caught:
        decode_image(data, 32)
    assert caught.value.reason
    assert "\n" not in caught.value.reason
    return caught.value.reason


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP"])
def test_lossless_files_of_the_right_size_come_back_unchanged(kind):
    pixels = noise(32, 32)
    options = {"lossless": True} if kind == "WEBP" else {}
    assert np.array_equal(decode_image(encoded(Image.fromarray(pixels), kind, **options), 32), pixels)


def test_a_path_and_its_bytes_give_the_same_pixels(tmp_path):
    data = encoded(smooth(50, 40), "JPEG")
    file = tmp_path / "crème brûlée 🍮.jpeg"
    file.write_bytes(data)
    assert np.array_equal(decode_image(file, 32), decode_image(data, 32))
    assert np.array_equal(decode_image(str(file), 32), decode_image(data, 32))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_gives_the_upright_picture(kind, orientation):
    upright = smooth(48, 64)
    # What a camera held that way stores: the turn which the orientation asks for, undone.
    stored = {
        1: lambda image: image,
        2: lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: lambda image: image.transpose(Image.Transpose.ROTATE_180),
        4: lambda image: image.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: lambda image: image.transpose(Image.Transpose.TRANSPOSE),
        6: lambda image: image.transpose(Image.Transpose.ROTATE_90),
        7: lambda image: image.transpose(Image.Transpose.TRANSVERSE),
        8: lambda image: image.transpose(Image.Transpose.ROTATE_270),
    }[orientation](upright)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    turned = decode_image(encoded(stored, kind, exif=exif, **options), 32).astype(int)
    expected = decode_image(encoded(upright, kind, **options), 32).astype(int)
    tolerance = 12 if kind == "JPEG" else 0  # its 8 x 8 blocks fall elsewhere in a turned picture
    assert np.abs(turned - expected).max() <= tolerance


def test_a_damaged_exif_block_does_not_cost_the_picture():
    exif = b"Exif\0\0" + b"MM\0*\0\0\0\x08\xff\xff" + b"\x01" * 40
    picture = decode_image(encoded(quarters(), "JPEG", exif=exif, quality=95), 32)
    assert np.abs(picture[4, 4].astype(int) - RED).max() < 16


def test_transparency_lies_over_white():
    pixels = np.zeros((32, 32, 4), np.uint8)
    pixels[..., 0] = 255
    pixels[:16, :, 3], pixels[16:, :, 3] = 255, 0
    pixels[16:, 16:, 3] = 51
    picture = decode_image(encoded(Image.fromarray(pixels)), 32)
    assert tuple(picture[0, 0]) == RED
    assert tuple(picture[31, 0]) == WHITE
    assert tuple(picture[31, 31]) == (255, 204, 204)  # a fifth of red over white


def test_grey_with_alpha_lies_over_white():
    pixels = np.zeros((32, 32, 2), np.uint8)
    pixels[:16, :, 1] = 255
    picture = decode_image(encoded(Image.fromarray(pixels, "LA")), 32)
    assert picture[0, 0].tolist() == [0, 0, 0]
    assert tuple(picture[31, 31]) == WHITE


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "TIFF"])
def test_palette_colours_are_looked_up(kind):
    palette = quarters().quantize(8)
    picture = decode_image(encoded(palette, kind), 32)
    assert [tuple(picture[y, x]) for y, x in ((0, 0), (0, 31), (31, 0), (31, 31))] == [RED, GREEN, BLUE, WHITE]


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_transparent_palette_entry_is_white(kind):
    palette = quarters().quantize(8)
    picture = decode_image(encoded(palette, kind, transparency=palette.getpixel((0, 0))), 32)
    assert tuple(picture[0, 0]) == WHITE
    assert tuple(picture[0, 31]) == GREEN


@pytest.mark.parametrize(("mode", "transparent"), [("L", 0), ("RGB", RED), ("1", 0)])
def test_a_transparent_colour_is_white(mode, transparent):
    image = Image.new("RGB", (32, 32), WHITE)
    image.paste(RED if mode == "RGB" else (0, 0, 0), (0, 0, 16, 16))
    picture = decode_image(encoded(image.convert(mode), transparency=transparent), 32)
    assert (picture == 255).all()


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_becomes_rgb(kind):
    options = {"quality": 100} if kind == "JPEG" else {}
    picture = decode_image(encoded(quarters(mode="CMYK"), kind, **options), 32).astype(int)
    for (y, x), colour in {(4, 4): RED, (4, 27): GREEN, (27, 4): BLUE, (27, 27): WHITE}.items():
        assert np.abs(picture[y, x] - colour).max() <= 4


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_one_bit_is_black_and_white(kind):
    image = Image.new("1", (32, 32), 1)
    image.paste(0, (0, 0, 16, 32))
    picture = decode_image(encoded(image, kind), 32)
    assert (picture[:, :16] == 0).all()
    assert (picture[:, 16:] == 255).all()


def sixteen_bit_png(values: np.ndarray, colour_type: int = 0, extra: bytes = b"") -> bytes:
    """A 16-bit PNG written by hand, for Pillow cannot write one of every kind."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    height, width = values.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    image = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + image


RAMP = (np.arange(1024, dtype=np.uint32) * 64).reshape(32, 32).astype(np.uint16)


@pytest.mark.parametrize("kind", ["png", "tiff", "big-endian tiff"])
def test_sixteen_bits_are_scaled_and_not_clipped(kind):
    if kind == "png":
        data = sixteen_bit_png(RAMP)
    elif kind == "tiff":
        data = encoded(Image.fromarray(RAMP), "TIFF")
    else:
        data = encoded(Image.frombytes("I;16B", (32, 32), RAMP.astype(">u2").tobytes()), "TIFF")
    picture = decode_image(data, 32)
    assert np.array_equal(picture[..., 0], RAMP >> 8)
    assert len(np.unique(picture)) == 256


def test_sixteen_bit_colour_is_scaled():
    colour = np.stack([RAMP, RAMP[::-1], RAMP.T], axis=-1)
    assert np.array_equal(decode_image(sixteen_bit_png(colour, colour_type=2), 32), colour >> 8)


def test_a_transparent_sixteen_bit_grey_is_white():
    transparency = struct.pack(">I", 2) + b"tRNS" + struct.pack(">H", 0)
    transparency += struct.pack(">I", zlib.crc32(transparency[4:]))
    picture = decode_image(sixteen_bit_png(RAMP, extra=transparency), 32)
    assert tuple(picture[0, 0]) == WHITE
    assert picture[0, 5].tolist() == [1, 1, 1]


def test_floating_point_pixels_are_scaled_or_refused():
    ramp = (np.arange(1024, dtype=np.float32) / 1023).reshape(32, 32)
    picture = decode_image(encoded(Image.fromarray(ramp), "TIFF"), 32)
    assert np.array_equal(picture[..., 0], np.rint(ramp * 255))
    assert "scale" in reason_of(encoded(Image.fromarray(ramp * 1e6), "TIFF"))


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_of_an_animation_the_first_frame_counts(kind):
    frames = [Image.new("RGB", (32, 32), colour) for colour in (RED, BLUE)]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert (decode_image(data, 32) == RED).all()


def test_crop_keeps_the_centre_and_squash_and_pad_keep_everything():
    wide = Image.new("RGB", (96, 32), RED)
    wide.paste(GREEN, (32, 0, 64, 32))
    data = encoded(wide)
    assert (decode_image(data, 32, fit="crop") == GREEN).all()
    squashed = decode_image(data, 32, fit="squash")
    assert tuple(squashed[16, 0]) == tuple(squashed[16, 31]) == RED
    padded = decode_image(data, 32, fit="pad")
    assert tuple(padded[16, 0]) == RED
    assert padded[0, 0].tolist() == padded[31, 31].tolist() == [128, 128, 128]


def test_shrinking_is_antialiased():
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    shrunk = decode_image(encoded(Image.fromarray(stripes)), 32)
    assert np.abs(shrunk.astype(int) - 127).max() <= 8  # without a filter: all black or all white


def test_a_large_jpeg_decoded_at_a_fraction_looks_like_the_whole():
    photograph = smooth(1200, 1600)
    data = encoded(photograph, "JPEG", quality=95)
    exact = photograph.crop((200, 0, 1400, 1200)).resize((64, 64), Image.Resampling.BICUBIC)
    assert np.abs(decode_image(data, 64).astype(int) - np.asarray(exact)).max() <= 6


@settings(max_examples=30, deadline=None)
@given(
    width=st.integers(1, 90),
    height=st.integers(1, 90),
    size=st.sampled_from([1, 8, 33]),
    fit=st.sampled_from(["crop", "squash", "pad"]),
    mode=st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "I;16"]),
)
def test_any_shape_and_mode_becomes_a_square_of_rgb(width, height, size, fit, mode):
    image = Image.new(mode, (width, height))
    picture = decode_image(encoded(image), size, fit)
    assert picture.shape == (size, size, 3)
    assert picture.dtype == np.uint8


def test_a_thread_of_pixels_takes_no_memory():
    assert decode_image(encoded(Image.new("L", (1, 60_000), 7)), 128).shape == (128, 128, 3)


def test_empty_and_missing_files_say_so(tmp_path):
    assert "empty" in reason_of(b"")
    with pytest.raises(UnreadableImage, match="No such file"):
        decode_image(tmp_path / "gone.jpg", 32)
    with pytest.raises(UnreadableImage, match="cannot be read"):
        decode_image(tmp_path, 32)
    with pytest.raises(UnreadableImage, match="cannot be read"):
        decode_image("a\0b.jpg", 32)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6])
def test_truncated_files_are_refused_at_every_length(kind, share):
    data = encoded(Image.fromarray(noise(64, 64)), kind)
    assert reason_of(data[: int(len(data) * share)])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"])
def test_damaged_files_are_decoded_or_refused_but_never_crash(kind):
    data = bytearray(encoded(Image.fromarray(noise(24, 24)), kind))
    random = np.random.default_rng(1)
    for _ in range(40):
        damaged = bytearray(data)
        for position in random.integers(0, len(data), 8):
            damaged[position] = random.integers(256)
        with suppress(UnreadableImage):
            assert decode_image(bytes(damaged), 16).shape == (16, 16, 3)


def test_the_content_decides_and_not_the_extension(tmp_path):
    lying = tmp_path / "photo.jpg"
    lying.write_bytes(encoded(quarters(), "PNG"))
    assert tuple(decode_image(lying, 32)[0, 0]) == RED


@pytest.mark.parametrize("kind", ["EPS", "PDF", "TGA", "PPM", "ICO"])
def test_other_formats_are_refused_whatever_they_are_called(kind, tmp_path):
    lying = tmp_path / "photo.jpg"
    lying.write_bytes(encoded(quarters(), kind))
    with pytest.raises(UnreadableImage, match="not an image in a known format"):
        decode_image(lying, 32)


@pytest.mark.parametrize("side", [9_460, 20_000])  # just over the limit, and over twice the limit
def test_a_bomb_is_refused_before_it_is_decoded(side):
    assert side * side > MAXIMUM_PIXELS
    bomb = encoded(Image.new("1", (side, side)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "too large" in reason_of(bomb)


def test_the_shorter_side_is_read_from_the_header(tmp_path):
    file = tmp_path / "a.png"
    file.write_bytes(encoded(Image.new("RGB", (40, 30))))
    assert shorter_side(file) == 30
    file.write_bytes(b"nothing")
    assert shorter_side(file) is None
