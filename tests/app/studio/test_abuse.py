"""What is not a page's doing is refused with the right status, and takes no memory."""

import io
import socket
import struct
import zipfile
import zlib

import pytest
from PIL import Image

from rushlight.app.studio import answers
from rushlight.app.studio.guard import LARGEST_FORM, LARGEST_IMAGE
from tests.app.studio.conftest import Studio

IMAGE = {"content-type": "image/png"}


@pytest.fixture
def answer_address(studio: Studio) -> str:
    return f"/runs/{studio.run_id('images/photos-1')}/answer"


def status_of(reply: bytes) -> int:
    return int(reply.split(b" ", 2)[1])


def send_raw(studio: Studio, head: str, parts: "list[bytes] | None" = None) -> tuple[int, int]:
    """Send a request by hand; the status, and how many bytes of the body the studio let pass."""
    sent = 0
    with socket.create_connection(("127.0.0.1", studio.port), timeout=60) as connection:
        connection.sendall(head.encode())
        connection.setblocking(True)
        try:
            for part in parts or []:
                connection.sendall(part)
                sent += len(part)
        except (BrokenPipeError, ConnectionResetError):
            pass
        try:
            reply = connection.recv(4096)
        except ConnectionResetError:
            return 0, sent
    return status_of(reply), sent


def head(path: str, studio: Studio, *lines: str) -> str:
    fixed = [f"POST {path} HTTP/1.1", f"Host: 127.0.0.1:{studio.port}", "Content-Type: image/png"]
    return "\r\n".join([*fixed, *lines]) + "\r\n\r\n"


def test_a_gigabyte_that_is_announced_is_refused_before_it_comes(studio: Studio, answer_address: str) -> None:
    before = studio.memory()
    status, _ = send_raw(studio, head(answer_address, studio, "Content-Length: 1000000000"))
    assert status == 413
    assert studio.memory() - before < 10_000_000


def test_a_gigabyte_that_is_not_announced_is_cut_off(studio: Studio, answer_address: str) -> None:
    before = studio.memory()
    megabyte = b"100000\r\n" + b"\0" * 0x100000 + b"\r\n"
    status, sent = send_raw(studio, head(answer_address, studio, "Transfer-Encoding: chunked"), [megabyte] * 1000)
    assert status in (413, 0)  # 0: the connection was closed while we still sent, and with it the answer was lost
    assert sent < 4 * LARGEST_IMAGE
    assert studio.memory() - before < 6 * LARGEST_IMAGE
    assert studio.get("/").status == 200


def test_a_long_form_is_refused(studio: Studio) -> None:
    assert studio.form("/data", place="a" * LARGEST_FORM).status == 413


def png_with_size(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds as many black pixels, packed a thousandfold."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    row = b"\0" * (1 + (width + 7) // 8)
    packed = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [10_000, 40_000], ids=["100 million pixels", "1.6 billion pixels"])
def test_a_picture_that_unpacks_to_gigabytes_is_refused(side: int, studio: Studio, answer_address: str) -> None:
    bomb = png_with_size(side, side)
    assert len(bomb) < 1_000_000
    before = studio.memory()
    assert studio.ask("POST", answer_address, bomb, IMAGE).status == 413
    assert studio.memory() - before < 50_000_000


def zip_bomb() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", b"\0" * 50_000_000)
    return file.getvalue()


SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
HTML = b"<!doctype html><script>alert(1)</script>"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (SVG, "image/svg+xml"),
        (SVG, "image/png"),
        (HTML, "text/html"),
        (HTML, "image/jpeg"),
        (zip_bomb(), "application/zip"),
        (zip_bomb(), "image/png"),
        (b"", "image/png"),
        (b"\x89PNG\r\n\x1a\n broken", "image/png"),
        (
            b"--x\r\nContent-Disposition: form-data; name=a; filename=../../a.png\r\n\r\n",
            "multipart/form-data; boundary=x",
        ),
    ],
)
@pytest.mark.parametrize("what", ["answer", "explanation"])
def test_what_is_no_picture_is_refused_and_not_sent_back(what: str, data: bytes, kind: str, studio: Studio) -> None:
    address = f"/runs/{studio.run_id('images/photos-1')}/{what}"
    answer = studio.ask("POST", address, data, {"content-type": kind, "accept": "text/html"})
    assert answer.status == 415
    assert b"alert(1)" not in answer.body


@pytest.mark.parametrize(
    "path",
    [
        "/runs/../../etc/passwd",
        "/runs/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/runs/..%2f..%2fetc/pictures/passwd",
        "/static/../server.py",
        "/static/..%2fserver.py",
        "/static//etc/passwd",
        "/data/%2fetc%2fpasswd",
    ],
)
def test_a_path_for_a_name_finds_nothing(path: str, studio: Studio) -> None:
    assert studio.get(path).status == 404


def test_pictures_of_a_run_are_those_that_training_draws(studio: Studio) -> None:
    address = f"/runs/{studio.run_id('images/photos-1')}/pictures"
    assert studio.get(f"{address}/confusion.png").headers["content-type"] == "image/png"
    for name in ("run.json", "model.safetensors", "..%2f..%2f..%2fphotos%2fred%2f0.png"):
        assert studio.get(f"{address}/{name}").status == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Host": "evil.example"}, 421),
        ({"Host": ""}, 421),
        ({}, 400),  # from nowhere, as a program would: an ordinary answer
    ],
    ids=str,
)
def test_another_site_cannot_send_anything(headers: dict[str, str], status: int, studio: Studio) -> None:
    kind = {"content-type": "application/x-www-form-urlencoded"}
    assert studio.ask("POST", "/data", b"place=nowhere", kind | headers).status == status


def test_another_site_can_link_here_and_not_embed_or_read(studio: Studio) -> None:
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert studio.ask("GET", "/", headers=link).status == 200
    for mode in ("no-cors", "cors"):
        assert studio.ask("GET", "/", headers=link | {"sec-fetch-mode": mode}).status == 403
    assert studio.get("/").headers["x-frame-options"] == "DENY"


def test_the_way_of_asking_must_be_known(studio: Studio) -> None:
    assert studio.ask("DELETE", f"/runs/{studio.run_id('images/photos-1')}").status == 405
    assert studio.get(f"/runs/{studio.run_id('images/photos-1')}/answer").status == 405


def test_only_this_machine_is_listened_to(studio: Studio) -> None:
    own = socket.gethostbyname(socket.gethostname())
    if own.startswith("127."):
        pytest.skip("this machine has no other address")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((own, studio.port), timeout=5)


def test_a_photograph_of_forty_megapixels_is_still_taken() -> None:
    file = io.BytesIO()
    Image.new("L", (8000, 4900)).save(file, "PNG")
    assert max(answers.picture_of(file.getvalue()).size) == answers.LARGEST_SIDE
