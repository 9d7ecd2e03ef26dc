"""Text as it lies on disk, made plain: decoded, without a byte-order mark, with `\\n` at the end of every line.

A text is read in chunks of whole lines and never as a whole, so that one of a gigabyte needs no gigabyte of memory.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rushlight.runtime.errors import InputError, nearest_name

CHUNK_BYTES = 1 << 20
LONGEST_LINE = 1 << 24  # characters; a text without line ends is cut there all the same
_TEXT_ENDINGS = (".txt", ".md", ".rst", ".text", "")
_COMMON_ENCODINGS = ("utf-8", "latin-1", "cp1252", "utf-16", "shift_jis", "gb18030", "koi8-r", "ascii")
_BYTE_ORDER_MARK = "\ufeff"


@dataclass
class TextFiles:
    """One or several files that are read as one text, one after the other.

    Args:
        paths: the files, in their order.
        encoding: how bytes are to be read as characters.
        replace_invalid: put a sign for the unknown where bytes are no characters, and count them; without it they are
            an error.
        lowercase: make every letter small.

    Attributes:
        invalid: how many signs were put in place of bytes in the last reading.
    """

    paths: Sequence[Path]
    encoding: str = "utf-8"
    replace_invalid: bool = False
    lowercase: bool = False
    invalid: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        try:
            codecs.lookup(self.encoding)
        except LookupError:
            hint = nearest_name(self.encoding, _COMMON_ENCODINGS)
            raise InputError(f"there is no encoding '{self.encoding}': {hint}") from None

    def chunks(self) -> Iterator[str]:
        """The text in pieces that end where a line ends (all but the last of a file, and lines beyond all measure).

        Raises:
            InputError: a file cannot be read, or holds bytes that are no characters of the encoding; the message gives
                file and offset.
        """
        self.invalid = 0
        for path in self.paths:
            for text in _whole_lines(self._decoded(path)):
                yield text.lower() if self.lowercase else text

    def _decoded(self, path: Path) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder(self.encoding)("strict")
        offset, is_first = 0, True
        try:
            with path.open("rb") as file:
                while True:
                    data = file.read(CHUNK_BYTES)
                    text = self._decode(decoder, data, path, offset)
                    offset += len(data)
                    if is_first and text:
                        text, is_first = text.removeprefix(_BYTE_ORDER_MARK), False
                    yield text
                    if not data:
                        return
        except OSError as error:
            raise InputError(f"the text '{path}' cannot be read: {error.strerror or error}") from None

    def _decode(self, decoder: codecs.IncrementalDecoder, data: bytes, path: Path, offset: int) -> str:
        """Decode a block; `decoder` keeps the beginning of a character that the block cuts in two."""
        state = decoder.getstate()
        kept = state[0]
        try:
            return decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            if not self.replace_invalid:
                at = offset - len(kept) + error.start
                byte = (kept + data)[error.start]
                is_utf16 = at == 0 and data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
                likely = "utf-16 is likely: it begins with its mark" if is_utf16 else "latin-1 is common"
                raise InputError(
                    f"'{path}' is not {self.encoding}: byte {byte:#04x} at offset {at:,}; name its encoding "
                    f"(--encoding {likely}), or have such bytes replaced (--replace-invalid)"
                ) from None
        tolerant = codecs.getincrementaldecoder(self.encoding)("replace")
        tolerant.setstate(state)
        text = tolerant.decode(data, final=not data)
        self.invalid += text.count("\ufffd")
        decoder.setstate(tolerant.getstate())
        return text


def _whole_lines(pieces: Iterator[str]) -> Iterator[str]:
    """The same text cut behind line ends, with CRLF made LF."""
    rest = ""
    for piece in pieces:
        rest += piece
        end = rest.rfind("\n") + 1
        if not end and len(rest) > LONGEST_LINE:
            end = len(rest) - rest.endswith("\r")
        if end:
            yield rest[:end].replace("\r\n", "\n")
            rest = rest[end:]
    if rest:
        yield rest.replace("\r\n", "\n")


def text_paths(source: str | Path | Sequence[str | Path]) -> list[Path]:
    """The files that a person means: a file, several, or a folder of text files (searched to the bottom, by name).

    Raises:
        InputError: there is no such file, or a folder holds none.
    """
    sources = [source] if isinstance(source, str | Path) else list(source)
    if not sources:
        raise InputError("no text was named")
    paths: list[Path] = []
    for one in sources:
        path = Path(one).expanduser()
        if path.is_dir():
            found = sorted(
                file
                for file in path.rglob("*")
                if file.is_file() and file.suffix.lower() in _TEXT_ENDINGS and not file.name.startswith(".")
            )
            if not found:
                raise InputError(f"the folder '{path}' holds no text files ({', '.join(_TEXT_ENDINGS[:-1])})")
            paths += found
        elif path.is_file():
            paths.append(path)
        else:
            raise InputError(f"there is no text '{path}'" + _beside(path))
    return paths


def _beside(path: Path) -> str:
    try:
        names = [entry.name for entry in path.parent.iterdir() if entry.is_file()]
    except OSError:
        return ""
    return f": {nearest_name(path.name, names)}" if names and len(names) < 1000 else ""
