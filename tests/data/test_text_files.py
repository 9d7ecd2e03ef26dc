"""Text as it lies on disk, made plain: encodings, marks, line ends, and bytes that are no characters."""

import codecs
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rushlight.data import text_files
from rushlight.data.text_files import TextFiles, text_paths
from rushlight.runtime.errors import InputError


def written(folder: Path, data: bytes, name: str = "text.txt") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def read(*paths: Path, **options: object) -> str:
    return "".join(TextFiles(list(paths), **options).chunks())  # type: ignore[arg-type]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32-le", "shift_jis", "gb18030"])
def test_every_encoding_is_read_whatever_the_size_of_a_block(tmp_path, monkeypatch, encoding):
    text = "日本の文\nabc\n" * 30
    path = written(tmp_path, text.encode(encoding))
    for size in (1, 2, 3, 7, 1 << 20):  # blocks that cut characters in two
        monkeypatch.setattr(text_files, "CHUNK_BYTES", size)
        assert read(path, encoding=encoding) == text


def test_byte_order_marks_go_and_crlf_becomes_lf_also_where_a_block_ends(tmp_path, monkeypatch):
    first = written(tmp_path, codecs.BOM_UTF8 + b"one\r\ntwo\r\n", "1.txt")
    second = written(tmp_path, codecs.BOM_UTF8 + "thrée\rfour\r\n\ufeff".encode(), "2.txt")
    for size in (1, 2, 4, 5, 1000):
        monkeypatch.setattr(text_files, "CHUNK_BYTES", size)
        assert read(first, second) == "one\ntwo\nthrée\rfour\n\ufeff"


@given(text=st.text(max_size=200), size=st.integers(1, 50))
def test_any_text_comes_back_but_for_its_line_ends(tmp_path_factory, text, size):
    encoded = text.encode("utf-8", "surrogatepass")
    try:
        encoded.decode("utf-8")
    except UnicodeDecodeError:
        return  # lone surrogates are no text
    path = written(tmp_path_factory.mktemp("text"), encoded)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_files, "CHUNK_BYTES", size)
        assert read(path) == text.removeprefix("\ufeff").replace("\r\n", "\n")


def test_chunks_end_where_a_line_ends_and_a_line_beyond_measure_is_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(text_files, "CHUNK_BYTES", 5)
    monkeypatch.setattr(text_files, "LONGEST_LINE", 12)
    path = written(tmp_path, b"ab\ncdefgh\nij\n" + b"x" * 40 + b"\r\nend")
    chunks = list(TextFiles([path]).chunks())
    assert "".join(chunks) == "ab\ncdefgh\nij\n" + "x" * 40 + "\nend"
    assert chunks[0].endswith("\n")
    assert max(map(len, chunks)) < 20


def test_invalid_bytes_are_an_error_with_file_and_offset(tmp_path, monkeypatch):
    path = written(tmp_path, "naïve ".encode() * 3 + b"caf\xe9 au lait")
    for size in (1, 4, 1000):
        monkeypatch.setattr(text_files, "CHUNK_BYTES", size)
        with pytest.raises(InputError, match=r"text\.txt' is not utf-8: byte 0xe9 at offset 24;.*--encoding"):
            read(path)


def test_invalid_bytes_are_replaced_and_counted_on_request(tmp_path, monkeypatch):
    path = written(tmp_path, b"caf\xe9 \xff na\xc3\xafve \xc3")
    for size in (1, 3, 1000):
        monkeypatch.setattr(text_files, "CHUNK_BYTES", size)
        files = TextFiles([path], replace_invalid=True)
        assert "".join(files.chunks()) == "caf\ufffd \ufffd naïve \ufffd"
        assert files.invalid == 3


def test_an_unknown_encoding_is_answered_with_the_nearest():
    with pytest.raises(InputError, match="did you mean 'latin-1'"):
        TextFiles([], encoding="latin-11")


def test_lower_case_is_that_of_whole_lines(tmp_path, monkeypatch):
    monkeypatch.setattr(text_files, "CHUNK_BYTES", 3)
    text = "ΟΔΥΣΣΕΥΣ\nİstanbul ÉCOLE\n"
    assert read(written(tmp_path, text.encode()), lowercase=True) == text.lower()


def test_a_folder_gives_its_text_files_by_name_and_nothing_else(tmp_path):
    (tmp_path / "deep").mkdir()
    for name in ("b.txt", "a.md", "deep/c.TXT", ".hidden.txt", "picture.png"):
        (tmp_path / name).write_text(name)
    assert [str(path.relative_to(tmp_path)) for path in text_paths(tmp_path)] == ["a.md", "b.txt", "deep/c.TXT"]
    assert text_paths([tmp_path / "b.txt", tmp_path / "a.md"]) == [tmp_path / "b.txt", tmp_path / "a.md"]


def test_what_is_not_there_is_named(tmp_path):
    (tmp_path / "book.txt").write_text("x")
    with pytest.raises(InputError, match=r"no text '.*bok\.txt'.*did you mean 'book\.txt'"):
        text_paths(tmp_path / "bok.txt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no text files"):
        text_paths(tmp_path / "empty")
    with pytest.raises(InputError, match="no text was named"):
        text_paths([])


@pytest.mark.parametrize(("content", "named"), [("one\ntwo\n".encode("utf-16"), "utf-16"), (b"caf\xe9\n", "latin-1")])
def test_a_refusal_names_the_encoding_that_the_text_probably_has(tmp_path: Path, content: bytes, named: str) -> None:
    with pytest.raises(InputError, match=f"--encoding {named}"):
        read(written(tmp_path, content))
