"""Acronyms of a snapshot, as its documents introduce them: "horizontal pod autoscaler (HPA)".

Knows texts and one file; knows nothing of queries, documents or databases. Found by the algorithm of Schwartz and
Hearst, "A simple algorithm for identifying abbreviation definitions in biomedical text" (PSB 2003): from right to
left, every letter of the short form has to be in the long one, the first at the beginning of a word.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

from ragkit.domain.corpora import Acronym
from ragkit.errors import SnapshotError
from ragkit.index import tally
from ragkit.text import analyse

_SHORT = r"[A-Za-z][\w/&.+-]{1,9}"
_BEHIND = re.compile(rf"\( ?({_SHORT}?)s? ?\)")
_BEFORE = re.compile(rf"(?<![\w-])({_SHORT}) \(([\w'’/ \n-]{{5,80}})\)")
_BEFORE_CHARACTERS = 120
"""Where the long form of a short one in brackets is looked for."""
_LAST_WORDS = re.compile(r"(?:[\w'’/&+-]+[\s\"“”*_`]+)+$")
_WORDS = re.compile(r"\w+")

Pair = tuple[str, str]
_FIELDS = 2


class Acronyms:
    """The acronyms of one snapshot; none when its folder was written before they were looked for."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @cached_property
    def all(self) -> tuple[Acronym, ...]:
        """Each short form with each long form, the commonest first."""
        try:
            counts = tally.read(self._path, _FIELDS)
        except (OSError, ValueError) as error:
            raise SnapshotError(f"{self._path} cannot be read: {error}", "run `ragkit ingest --rebuild`") from error
        return tuple(
            Acronym(short, long, chunks)
            for (short, long), chunks in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        )

    @cached_property
    def _known(self) -> tuple[dict[str, str], dict[str, str]]:
        """The commonest long form of each short one, and the short form of each long one."""
        longs: dict[str, str] = {}
        shorts: dict[str, str] = {}
        for one in self.all:
            longs.setdefault(one.short, one.long)
            shorts.setdefault(one.long, one.short)
        return longs, shorts

    def meant(self, query: str, language: str) -> tuple[Pair, ...]:
        """(as the query writes it, the other form) of each acronym and each long form in it.

        A short form is recognised as it is spelled; in lower case when the query has no capitals at all and it is no
        stop word of the language, as who is.
        """
        longs, shorts = self._known
        lowered = (
            {} if any(character.isupper() for character in query) else {s.casefold(): s for s in reversed(longs)}
        )
        found: dict[str, str] = {}
        for word in re.findall(r"[\w/&.+-]*\w", query):
            short = word if word in longs else lowered.get(word, "") if analyse(word, language) else ""
            if short:
                found[word] = longs[short]
        text = _spaced(query.casefold())
        found |= {long: short for long, short in shorts.items() if short not in query and _spaced(long) in text}
        return tuple(found.items())


def build(path: Path, texts: Iterable[str]) -> None:
    """Write the acronyms of these chunks."""
    tally.write(path, _count(texts))


def extend(base: Path, path: Path, removed: Iterable[str], added: Iterable[str]) -> None:
    """Write the acronyms `base` without some chunks and with others."""
    tally.change(base, path, _FIELDS, _count(removed), _count(added))


def _count(texts: Iterable[str]) -> tally.Tally:
    counts: tally.Tally = Counter()
    for text in texts:
        counts.update(set(mine(text)))
    return counts


def mine(text: str) -> Iterator[Pair]:
    """(short form, long form in lower case) of every acronym that a text introduces.

    >>> list(mine("The horizontal pod autoscaler (HPA) reads CRDs (custom resource definitions)."))
    [('HPA', 'horizontal pod autoscaler'), ('CRD', 'custom resource definitions')]
    """
    if "(" not in text:
        return
    for match in _BEHIND.finditer(text):
        ahead = text[max(0, match.start() - _BEFORE_CHARACTERS) : match.start()]
        if words := _LAST_WORDS.search(ahead):
            yield from _pair(match[1], words[0])
    for match in _BEFORE.finditer(text):
        short = match[1][:-1] if match[1].endswith("s") and match[1][:-1].isupper() else match[1]
        yield from _pair(short, match[2], whole=True)


def _pair(short: str, words: str, *, whole: bool = False) -> Iterator[Pair]:
    if sum(character.isupper() for character in short) < 2 or len(short) < 2:
        return
    most = min(len(short) + 5, 2 * len(short))
    candidate = " ".join(words.split()[-most:])
    long = long_form(short, candidate).strip("\"'“”’*_` ")
    enough = len(long.split()) >= 2 and len(long) > len(short) and short.casefold() not in long.casefold().split()
    if enough and (not whole or long == candidate):
        yield short, long.casefold()


def long_form(short: str, text: str) -> str:
    """The end of a text that a short form stands for, or "".

    >>> long_form("CRD", "a so-called custom resource definition"), long_form("ABC", "something else")
    ('custom resource definition', '')
    """
    at = len(text) - 1
    for number in range(len(short) - 1, -1, -1):
        letter = short[number].lower()
        if not letter.isalnum():
            continue
        while at >= 0 and (text[at].lower() != letter or (number == 0 and at > 0 and text[at - 1].isalnum())):
            at -= 1
        if at < 0:
            return ""
        at -= 1
    return text[text.rfind(" ", 0, at + 2) + 1 :]


def _spaced(text: str) -> str:
    """The words of a text, a blank around each."""
    return f" {' '.join(_WORDS.findall(text))} "
