"""Text to sentences.

Knows abbreviations, initials, and the lines of a list, a table or code; knows nothing of what sentences are for.
Offsets are those of the text given.

The rules are our own, after trying what is alive: sentencex (Rust) panics on an ideographic space beside an initial
and cuts dotted names such as System.Out in two; nupunkt runs headings, list items and table rows together; pysbd and
syntok have had no release since 2021 and 2022.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ragkit.domain import Span
from ragkit.text import NEVER_LAST


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MARKER = r"(?:[-*+•]|\d{1,3}[.)]|[a-zA-Z][.)]|\[\w+\]:|:\w+:|\.\.(?=\s))(?=\s|$)"
_LINE = re.compile(r"[^\n]*\n?")
_FENCE = re.compile(r"\s*(```+(?![^`\n]*`)|~~~+)")
_STANDS_ALONE = re.compile(
    r"\s*(?:#{1,6}\s|\||\+[-=+]+\+|={3,}\s*$|-{3,}\s*$|\.\.\s.*::\s*$|\{\{|<!--|:::)|.*\s\|\s.*\|"
)
_STARTS = re.compile(rf"\s*(?:>\s*)*(?:{_MARKER}|>>>\s|\$\s)")
_CODE_LINE = re.compile(r"(?: {4,}|\t).*(?:[;{}\\]\s*$|\w\(.*\)\s*$|\s=\s|^\s*(?:\$|#|//|>>>)\s)")

_END = re.compile(r"(?:(?:[.!?…]+|[.!?…]*[!?])[\"'”’»)\]`*_]*(?=\s)|[。！？｡]+[」』”’）)\]]*)\s*")
_WORD_BEFORE = re.compile(r"[\"'“‘«(\[`*_]*(\S*)$")
_INITIAL = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]$")
_ABBREVIATIONS = _words(
    """mr mrs ms dr prof sr jr st rev gen sen rep gov capt col lt sgt hon messrs mt ft dept univ assn bros vs v cf al
    approx ca resp incl excl esp viz def thm lem prop ed eds trans jan feb mar apr jun jul aug sep sept oct nov dec
    mon tue tues wed thu thur thurs fri bzw usw evtl ggf vgl abb bspw"""
)
# These may also end a sentence: a capital letter after them decides.
_MAYBE_LAST = _words("etc inc ltd corp co a.m p.m u.s u.k u.n ph.d b.sc m.sc e.u u.s.a")
# And these are abbreviations only in front of a number.
_BEFORE_NUMBER = _words("no nos nr fig figs eq eqs sec secs ch chap vol vols p pp pt art ref refs ex")


def sentences(text: str) -> list[Span]:
    """Spans of the sentences, in order and apart, without the blanks around them; every other character is in one.

    A line break ends a sentence only where the layout says so: a blank line, a list item, heading, table row or line
    of code. Elsewhere it is a wrapped line.

    >>> text = "Use v1.2, e.g. with Dr. No. Done!\\n- first item\\n- second"
    >>> [text[start:end] for start, end in sentences(text)]
    ['Use v1.2, e.g. with Dr. No.', 'Done!', '- first item', '- second']
    """
    found: list[Span] = []
    for start, end, prose in _runs(text):
        if prose:
            found.extend(_prose(text, start, end))
        else:
            _keep(found, text, start, end)
    return found


def _runs(text: str) -> Iterator[tuple[int, int, bool]]:
    """(start, end, is prose): lines joined as long as they are one paragraph, list item or the like."""
    start = 0
    fence = ""
    open_run = False
    for match in _LINE.finditer(text):
        at, end = match.span()
        line = match.group()
        if at == end:
            break
        marker = _FENCE.match(line)
        alone = bool(fence or marker or _STANDS_ALONE.match(line) or _CODE_LINE.match(line)) or line.isspace()
        if marker and not fence:
            fence = marker.group(1)
        elif marker and fence and marker.group(1).startswith(fence):
            fence = ""
        if (alone or _STARTS.match(line)) and open_run:
            yield start, at, True
            open_run = False
        if alone:
            yield at, end, False
        elif not open_run:
            start, open_run = at, True
    if open_run:
        yield start, len(text), True


def _prose(text: str, start: int, end: int) -> list[Span]:
    found: list[Span] = []
    marker = _STARTS.match(text, start, end)
    at = marker.end() if marker else start  # "1. First" is one sentence
    for match in _END.finditer(text, at, end):
        if match.end() < end and _ends_here(text, start, match):
            _keep(found, text, start, match.end())
            start = match.end()
    _keep(found, text, start, end)
    return found


def _keep(found: list[Span], text: str, start: int, end: int) -> None:
    piece = text[start:end]
    stripped = piece.strip()
    if stripped:
        lead = len(piece) - len(piece.lstrip())
        found.append((start + lead, start + lead + len(stripped)))


def _ends_here(text: str, start: int, match: re.Match[str]) -> bool:
    """Whether the punctuation at `match` ends a sentence: looks at the word before and the character after."""
    mark = match.group().rstrip()
    if mark[0] in "。！？｡":
        return True
    following = text[match.end() : match.end() + 1]
    opening = following.islower()
    if "!" in mark or "?" in mark:
        return not (opening and mark[-1] not in "!?")  # "Why?" he asked
    if mark.startswith(("..", "…")):
        return not opening
    before = _WORD_BEFORE.search(text, max(start, match.start() - 40), match.start())
    word = before.group(1).lower() if before else ""
    if word in NEVER_LAST:
        return False
    if word in _MAYBE_LAST:
        return following.isupper()
    if word in _BEFORE_NUMBER:
        return not (following.isdigit() or following in "([#" or opening)
    if word in _ABBREVIATIONS:
        return False
    if _INITIAL.fullmatch(word) and len(word) < 6 and word != "i":
        return False
    # A lower-case start may be a name, such as kubectl; after a short word, that one is an unknown abbreviation.
    return not opening or len(word) > 3
