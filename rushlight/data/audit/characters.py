"""Characters that do not belong into a text: signs of a wrong encoding, control characters, rare strangers."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator

from rushlight.data.audit.findings import Finding, counted

RARE = 3  # times; of so few nothing can be learned
_MOST_LISTED = 12
# UTF-8 that was read as Latin-1: the first byte of an accented letter or of a curly quote, and what follows it.
_MISREAD = ("Ã", "Â", "â€")
_REPLACEMENT = "\ufffd"
_ALLOWED = {"\n", "\t", "\r"}


def character_findings(counts: Counter[str], misread: int) -> Iterator[Finding]:
    """What there is to say of the characters of a text.

    Args:
        counts: how often each occurs.
        misread: how often two characters stand where one was meant; see `misread_in`.
    """
    if misread:
        yield Finding(
            "misread_encoding",
            "fault",
            f"{counted(misread, 'sign')} of UTF-8 that was read as Latin-1, such as 'Ã©' for 'é'",
            "read the file with --encoding utf-8, or save it anew from where it came",
        )
    if counts[_REPLACEMENT]:
        yield Finding(
            "replaced",
            "fault",
            f"{counted(counts[_REPLACEMENT], 'replacement sign')} where bytes could not be read",
            "name the encoding with --encoding, latin-1 for example",
        )
    strange = {c: n for c, n in counts.items() if _is_control(c)}
    if strange:
        yield Finding(
            "control_characters",
            "doubt",
            f"{counted(sum(strange.values()), 'invisible character')} of {counted(len(strange), 'kind')}",
            "take them out, unless they mean something: the model has to learn them like letters",
            lines=_listed(strange),
        )
    rare = {c: n for c, n in counts.items() if n <= RARE and c not in strange and c != _REPLACEMENT}
    if rare:
        yield Finding(
            "rare_characters",
            "note",
            f"{counted(len(rare), 'character')} that {'occurs' if len(rare) == 1 else 'occur'} {RARE} times or less",
            f"--minimum-frequency {RARE + 1} makes them one sign for the unknown",
            lines=_listed(rare),
        )


def count_characters(chunks: Iterable[str]) -> tuple[Counter[str], int]:
    """How often each character occurs, and how many places look misread."""
    counts: Counter[str] = Counter()
    misread = 0
    for chunk in chunks:
        counts.update(chunk)
        misread += misread_in(chunk)
    return counts, misread


def misread_in(text: str) -> int:
    """Places where UTF-8 seems to have been read as Latin-1: a first byte with a following one after it."""
    count = 0
    for sign in _MISREAD:
        start = text.find(sign)
        while start >= 0:
            after = text[start + len(sign) : start + len(sign) + 1]
            count += len(sign) > 1 or "\x80" <= after <= "\xbf"
            start = text.find(sign, start + 1)
    return count


def _is_control(character: str) -> bool:
    # Cc control, Cf invisible marks of direction or joining, Co private, Cn not assigned.
    return character not in _ALLOWED and unicodedata.category(character) in ("Cc", "Cf", "Co", "Cn")


def _listed(counts: dict[str, int]) -> list[str]:
    lines = []
    for character, count in sorted(counts.items(), key=lambda item: -item[1])[:_MOST_LISTED]:
        name = unicodedata.name(character, "without a name")
        shown = "" if _is_control(character) else f" {character}"
        lines.append(f"U+{ord(character):04X}{shown} ({name.lower()}): {count:,}")
    if len(counts) > _MOST_LISTED:
        lines.append(f"and {len(counts) - _MOST_LISTED:,} more")
    return lines
