"""Bytes to text: which encoding, and one kind of line end.

Knows encodings (door of charset_normalizer); knows nothing of formats.
"""

from __future__ import annotations

import codecs
import contextlib
import re

from ragkit.errors import LoadError, SkipFile

_SAMPLE = 64 * 1024
_CONTROL = bytes(set(range(32)) - {7, 8, 9, 10, 11, 12, 13, 27})
_CONTROLS = re.compile(f"[{re.escape(_CONTROL.decode())}]+")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark is its beginning
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_HIGH = re.compile(rb"[\x80-\xff]+")
FEW = 40
"""Bytes beyond ASCII by which one encoding can hardly be told from another."""
LONGEST_RUN = 2
_LINE_END = re.compile(r"\r\n?")
_SURROGATE = re.compile("[\ud800-\udfff]")


def decode(data: bytes, path: str, declared: str = "") -> str:
    """Text of a file, without byte order mark and with LF line ends: source line n is text line n.

    A byte order mark wins, then UTF-8, then the encoding the file declares, then a guess. Raises SkipFile
    for binary data, also when it decodes, and LoadError for text that its byte order mark belies.
    """
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            try:
                return _text(data[len(mark) :].decode(encoding), path)
            except UnicodeDecodeError as error:
                raise LoadError(f"{path}: marked as {encoding} but is not: {error.reason}") from error
    if (encoding := _unmarked_utf16(data)) or not is_binary(data):
        for candidate in (encoding, "utf-8", declared):
            try:
                if candidate and "\0" not in (text := data.decode(candidate)):
                    return _text(text, path)
            except (UnicodeDecodeError, LookupError, ValueError):
                continue
        return _text(_guess(data, path), path)
    raise SkipFile(f"{path}: binary file")


def is_binary(data: bytes) -> bool:
    """Whether the first 64 KiB hold what no text does: NUL bytes, or many control characters."""
    sample = data[:_SAMPLE]
    if any(sample.startswith(mark) for mark, _ in _BOMS) or _unmarked_utf16(sample):
        return False
    if b"\0" in sample:
        return True
    return len(sample) - len(sample.translate(None, _CONTROL)) > len(sample) // 50


def _unmarked_utf16(data: bytes) -> str:
    """UTF-16 of mostly Latin text without its mark: nearly every other byte is NUL, and the text has no controls."""
    sample = data[:4096]
    half = len(sample) // 2
    if half < 8 or len(data) % 2:
        return ""
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    for low, high, encoding in ((even, odd, "utf-16-le"), (odd, even, "utf-16-be")):
        if high > 0.7 * half and low < 0.05 * half:
            # Numbers of two bytes look the same: what they decode to is control characters, too.
            return encoding if _controls(sample.decode(encoding, "replace")) <= 0.02 * half else ""
    return ""


def _controls(text: str) -> int:
    """How many characters are control characters that no text has."""
    return sum(map(len, _CONTROLS.findall(text)))


def _guess(data: bytes, path: str) -> str:
    """UTF-8 that is damaged in places, or what the frequency of letters says; where there are too few to count, and
    no runs of them as words in Cyrillic or Greek have, they are Western European."""
    damaged = data.decode("utf-8", "replace")
    lost = damaged.count("\ufffd")
    if sum(not character.isascii() for character in damaged) >= 4 * lost:
        return damaged
    runs = [len(run) for run in _HIGH.findall(data)]
    if sum(runs) <= FEW and max(runs, default=0) <= LONGEST_RUN:
        with contextlib.suppress(UnicodeDecodeError):
            return data.decode("cp1252")
    import charset_normalizer

    best = charset_normalizer.from_bytes(data[: 16 * _SAMPLE]).best()
    if best is None:
        raise SkipFile(f"{path}: binary file, or text in an unknown encoding")
    text = data.decode(best.encoding, "replace")
    if "\0" in text:
        raise SkipFile(f"{path}: binary file")
    return text


def _text(text: str, path: str) -> str:
    """Decoded text, tidied. Raises SkipFile when it is mostly control characters."""
    if _controls(text) > 0.5 * len(text):
        raise SkipFile(f"{path}: binary file")
    if text.startswith("\ufeff"):
        text = text[1:]
    if "\r" in text:
        text = _LINE_END.sub("\n", text)
    return _SURROGATE.sub("\ufffd", text)
