"""One text in parts: where it is cut, what is learned from which, what is kept, and what is refused."""

import numpy as np
import pytest

from rushlight.data.text import TextData
from rushlight.data.text_files import TextFiles
from rushlight.runtime.errors import InputError

LINES = [f"line {number} of the text\n" for number in range(100)]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of the test's own."""
    monkeypatch.setenv("RUSHLIGHT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def book(tmp_path):
    path = tmp_path / "book.txt"
    path.write_text("".join(LINES))
    return path


def text_of(data: TextData, part: str) -> str:
    return data.tokenizer.decode(data.part(part).tokens)


def test_the_last_fifth_of_the_lines_validates(book):
    data = TextData.from_files(book, device="cpu")
    assert text_of(data, "train") == "".join(LINES[:80])
    assert text_of(data, "valid") == "".join(LINES[80:])
    assert any("first 80 lines train" in note for note in data.notes)


@pytest.mark.parametrize("fraction", [0.1, 0.5])
def test_another_share_may_validate(book, fraction):
    data = TextData.from_files(book, valid_fraction=fraction, device="cpu")
    assert text_of(data, "valid") == "".join(LINES[round(100 * (1 - fraction)) :])


def test_the_cut_is_the_same_however_the_text_comes_in_chunks(book, monkeypatch, tmp_path):
    monkeypatch.setattr("rushlight.data.text_files.CHUNK_BYTES", 17)
    data = TextData.from_files(book, device="cpu")
    assert text_of(data, "valid") == "".join(LINES[80:])


def test_a_text_of_few_lines_is_cut_between_characters(tmp_path):
    path = tmp_path / "one_line.txt"
    path.write_text("abcdefghij" * 100)
    data = TextData.from_files(path, device="cpu")
    assert (len(data.train.tokens), len(data.valid.tokens)) == (800, 200)
    assert any("few lines" in note for note in data.notes)


def test_parts_of_their_own_are_taken_as_they_are_and_test_is_read_when_asked_for(tmp_path, monkeypatch):
    for part, text in (("train", "abc\n" * 300), ("valid", "abd\n" * 20), ("test", "cab\n" * 20)):
        (tmp_path / f"{part}.txt").write_text(text)
    read: list[str] = []
    plain = TextFiles.chunks

    def noted(self):
        read.extend(path.name for path in self.paths)
        return plain(self)

    monkeypatch.setattr(TextFiles, "chunks", noted)
    data = TextData.from_name(tmp_path, device="cpu")
    assert "test.txt" not in read
    assert data.has_test
    assert text_of(data, "valid") == "ab\ufffd\n" * 20  # d is unknown: the vocabulary is of the training part alone
    assert text_of(data, "test") == "cab\n" * 20
    assert "test.txt" in read
    assert any("20 characters of the validation part (25 %) are unknown" in note for note in data.notes)


def test_several_files_and_a_folder_are_one_text(tmp_path):
    folder = tmp_path / "letters"
    folder.mkdir()
    for number in range(4):
        (folder / f"{number}.txt").write_text("".join(LINES[25 * number : 25 * number + 25]))
    whole = TextData.from_files(folder, device="cpu")
    assert text_of(whole, "train") + text_of(whole, "valid") == "".join(LINES)
    assert whole.fingerprint == TextData.from_files(sorted(folder.iterdir()), device="cpu").fingerprint


def test_the_second_reading_comes_from_the_cache_and_a_changed_file_is_noticed(book, monkeypatch):
    first = TextData.from_files(book, device="cpu")
    with monkeypatch.context() as patch:
        patch.setattr(TextFiles, "chunks", lambda self: pytest.fail("the text was read again"))
        again = TextData.from_files(book, device="cpu")
    assert again.fingerprint == first.fingerprint
    assert again.notes == first.notes
    np.testing.assert_array_equal(again.valid.tokens, first.valid.tokens)
    book.write_text("".join(LINES).upper())
    changed = TextData.from_files(book, device="cpu")
    assert text_of(changed, "train") == "".join(LINES[:80]).upper()
    assert changed.fingerprint != first.fingerprint


def test_a_damaged_cache_is_made_anew(book, cache):
    first = TextData.from_files(book, device="cpu")
    for file in (cache / "text").iterdir():
        file.write_bytes(file.read_bytes()[:50])
    assert TextData.from_files(book, device="cpu").fingerprint == first.fingerprint


def test_tokens_take_a_byte_each_and_are_mapped_not_read(book):
    tokens = TextData.from_files(book, device="cpu").train.tokens
    assert tokens.dtype == np.uint8
    assert isinstance(tokens.base if tokens.base is not None else tokens, np.memmap)


def test_options_are_those_of_the_reading(tmp_path):
    path = tmp_path / "latin.txt"
    path.write_bytes(("É" + "abc def\n" * 200).encode("latin-1"))
    data = TextData.from_files(path, encoding="latin-1", lowercase=True, minimum_frequency=2, device="cpu")
    assert text_of(data, "train").startswith("\ufffdabc def\n")  # the one é is too rare
    with pytest.raises(InputError, match="0xc9 at offset 0"):
        TextData.from_files(path, device="cpu")
    replaced = TextData.from_files(path, replace_invalid=True, device="cpu")
    assert any("1 bytes that are not utf-8 were replaced" in note for note in replaced.notes)


def test_a_short_text_gets_fewer_streams_and_says_so(book):
    data = TextData.from_files(book, batch_size=64, window=200, device="cpu")
    assert data.train.batch_size < 64
    assert data.train.stream_length >= data.train.window >= 100
    assert any(note.startswith("warning") and "streams and windows" in note for note in data.notes)
    assert len(list(data.train)) == len(data.train)


@pytest.mark.parametrize("length", [10, 30, 100])
def test_even_a_tiny_text_can_be_gone_through(tmp_path, length):
    path = tmp_path / "tiny.txt"
    path.write_text(("abcdefg" * 20)[:length])
    data = TextData.from_files(path, device="cpu")
    for part in ("train", "valid"):
        assert sum(y.numel() for _, y in data.part(part)) > 0


def test_one_distinct_character_is_warned_of_and_nul_is_one_like_others(tmp_path):
    path = tmp_path / "nul.txt"
    path.write_bytes(b"\0" * 500)
    data = TextData.from_files(path, device="cpu")
    assert any("one distinct character" in note for note in data.notes)
    assert text_of(data, "train") == "\0" * 400


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "is empty"), (b"a", "needs more"), (b"\xef\xbb\xbf", "is empty")]
)
def test_a_text_with_nothing_to_learn_from_is_refused(tmp_path, content, message):
    path = tmp_path / "nothing.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        TextData.from_files(path, device="cpu")


def test_names_are_those_of_the_catalog(monkeypatch):
    assert TextData.from_name("python-prose", device="cpu").train.samples > 300_000
    with pytest.raises(InputError, match="did you mean 'nietzsche'"):
        TextData.from_name("nietsche", device="cpu")
    with pytest.raises(InputError, match="set of images"):
        TextData.from_name("digits", device="cpu")


def test_bad_options_are_refused(book):
    for options, message in (
        ({"tokens": "words"}, "did you mean 'word'"),
        ({"valid_fraction": 0}, "validation fraction"),
        ({"minimum_frequency": 0}, "minimum frequency"),
        ({"window": 0}, "window"),
    ):
        with pytest.raises(InputError, match=message):
            TextData.from_files(book, **options)
    with pytest.raises(TypeError, match="did you mean 'lowercase'"):
        TextData.from_files(book, lowecase=True)
    with pytest.raises(InputError, match="unknown part"):
        TextData.from_files(book, device="cpu").part("training")
    with pytest.raises(InputError, match="no test part"):
        TextData.from_files(book, device="cpu").part("test")


@pytest.mark.data
def test_the_nietzsche_of_the_lecture(data_folder):
    text = data_folder / "nietzsche.txt"
    data = TextData.from_files(
        text, encoding="latin-1", lowercase=True, minimum_frequency=3, window=8, shift=False, device="cpu"
    )
    assert len(data.train.tokens) + len(data.valid.tokens) == text.stat().st_size
    assert 54 <= data.tokenizer.size <= 58  # the lecture's had 56, and other signs for unknown and padding
    assert 930 <= len(data.train) <= 1000  # the lecture's batches an epoch: about 942 to 963


@pytest.mark.parametrize("tokens", ["character", "word", "byte_pair"])
def test_a_text_is_read_by_any_kind_of_token_and_comes_back_from_the_cache(book, tokens):
    first, again = (TextData.from_files(book, tokens=tokens, device="cpu") for _ in range(2))
    assert text_of(first, "train") + text_of(first, "valid") == "".join(LINES)
    assert again.fingerprint == first.fingerprint


def test_the_same_files_as_one_text_and_as_parts_are_two_texts_in_the_cache(tmp_path):
    first, second = tmp_path / "a.txt", tmp_path / "b.txt"
    first.write_text("".join(LINES))
    second.write_text("of the line text 0123456789\n" * 5)
    joined = TextData.from_files([first, second], device="cpu")
    apart = TextData.from_files(first, second, device="cpu")
    assert text_of(apart, "train") == first.read_text()
    assert text_of(apart, "valid") == second.read_text()
    assert text_of(joined, "train") != text_of(apart, "train")
