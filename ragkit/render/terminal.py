"""Text for a terminal: nothing in it can steer the terminal, and it is measured in columns.

Knows control characters, colours and widths; knows nothing of answers or hits.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

from ragkit.domain import Span

# What a terminal obeys: CSI and OSC sequences whole, then single C0 and C1 controls but for line feed; and the
# marks that reverse the order of what follows (the "Trojan Source" attack, CVE-2021-42574).
_SEQUENCE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_].*?(?:\x07|\x1b\\|$)|\x9b[0-?]*[ -/]*[@-~]", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

STYLES = {"bold": "1", "dim": "2", "number": "36", "path": "35", "good": "32", "warn": "33", "bad": "31"}
"""Names of styles and their SGR codes."""


def clean(text: str) -> str:
    """Text without anything a terminal would obey; tabs become blanks, other controls a replacement character.

    >>> clean("safe \\x1b[31mred\\x1b[0m \\x07bell")
    'safe red \\ufffdbell'
    """
    text = _SEQUENCE.sub("", text.replace("\r\n", "\n").replace("\t", "    "))
    return _CONTROL.sub("\ufffd", text)


def one_line(text: str) -> str:
    """Cleaned text on one line."""
    return " ".join(clean(text).split())


def style(text: str, name: str, color: bool) -> str:
    """`text` in one of the STYLES, if colour is wanted."""
    return f"\x1b[{STYLES[name]}m{text}\x1b[0m" if color and text else text


def emphasise(text: str, spans: Iterable[Span], color: bool) -> str:
    """`text` with the spans, which are in order and apart, in bold."""
    if not color:
        return text
    shown, at = "", 0
    for start, end in spans:
        shown += text[at:start] + style(text[start:end], "bold", color)
        at = end
    return shown + text[at:]


def columns(text: str) -> int:
    """Columns that a line takes; wide characters take two, combining ones none, styles none.

    >>> columns("abc"), columns("日本"), columns("e\\u0301")
    (3, 4, 1)
    """
    if text.isascii() and "\x1b" not in text:
        return len(text)
    return sum(_width(character) for character in _SEQUENCE.sub("", text))


def shorten(text: str, width: int) -> str:
    """At most `width` columns, an ellipsis at the end of what was cut.

    >>> shorten("a long line", 7), shorten("日本語", 4)
    ('a long…', '日…')
    """
    if columns(text) <= width:
        return text
    taken = 0
    for at, character in enumerate(text):
        taken += _width(character)
        if taken > width - 1:
            return text[:at].rstrip() + "…"
    return text


def wrap(text: str, width: int, indent: str = "") -> str:
    """Break lines at blanks so that none takes more than `width` columns, unless a word alone does; 0 breaks none.

    Every line is indented; the lines after the first of a list item hang below its text. A run without blanks in
    wide characters is broken anywhere.
    """
    return "\n".join(line for raw in text.split("\n") for line in _wrapped(raw, width, indent))


def _wrapped(raw: str, width: int, indent: str) -> Iterator[str]:
    body = raw.lstrip(" ")
    lead = indent + " " * (len(raw) - len(body))
    if not width or columns(lead + body) <= width:
        yield (lead + body).rstrip()
        return
    marker = re.match(r"(?:[-*+•]|\d{1,3}[.)]) ", body)
    hang = lead + " " * (marker.end() if marker else 0)
    line = lead
    empty = True
    for word in re.findall(r"\S+\s*", body):
        for piece in _pieces(word):
            if not empty and columns(line + piece.rstrip()) > width:
                yield line.rstrip()
                line = hang
            line += piece
            empty = False
    yield line.rstrip()


def _pieces(word: str) -> Iterable[str]:
    """A word, or the characters of a word in wide characters."""
    wide = any(_width(character) == 2 for character in word)
    return re.findall(r"(?:\x1b\[[\d;]*m)*.\s*(?:\x1b\[0m)?", word, re.DOTALL) if wide else (word,)


def _width(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
