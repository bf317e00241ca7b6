"""Acronyms of a snapshot, as its documents introduce them: "horizontal pod autoscaler (HPA)".

Knows texts and one file; knows nothing of queries, documents or databases. After Schwartz and Hearst, "A simple
algorithm for identifying abbreviation definitions in biomedical text" (PSB 2003): every letter of the short form has
to be in the long one, in order, the first at the beginning of its first word. Theirs takes the shortest long form,
"sockets layer" for SSL; here that with most letters at beginnings of words is taken, and more than half have to be.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
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
# What a word is made of and what stands between words share no character: else this would take exponential time.
_LAST_WORDS = re.compile(r"(?:[\w'’/&+-]+[\s\"“”*`]+)+$")
_STRAY = re.compile(r"[\"“”*_`]")
_WORDS = re.compile(r"\w+")
SHORT_WORD = 3
"""A long form may have words of so few letters that none of the short form's stands for."""

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
        merged: tally.Tally = Counter()
        for (short, long), chunks in counts.items():  # a plural counts as its singular
            singulars = (long.removesuffix("s"), long.removesuffix("es"), f"{long.removesuffix('ies')}y")
            merged[short, next((one for one in singulars if (short, one) in counts), long)] += chunks
        return tuple(
            Acronym(short, long, chunks)
            for (short, long), chunks in sorted(merged.items(), key=lambda item: (-item[1], item[0]))
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
    candidate = " ".join(words.split()[-most:]).strip("\"'“”’*_` ")
    long = long_form(short, candidate)
    words_of_it = _WORDS.findall(long.casefold())
    enough = len(words_of_it) >= 2 and len(long) > len(short) and short.casefold() not in words_of_it
    if enough and not _STRAY.search(long) and (not whole or long == candidate):
        yield short, long.casefold()


def long_form(short: str, text: str) -> str:
    """The end of a text that a short form stands for, or "".

    >>> long_form("SSL", "the so-called Secure Sockets Layer"), long_form("AB", "ASCII code for b")
    ('Secure Sockets Layer', '')
    """
    letters = "".join(filter(str.isalnum, short.casefold()))
    words = list(_WORDS.finditer(text))
    if not letters or not words or words[-1].end() != len(text):
        return ""
    parts = [(word[0].casefold(), _may_be_skipped(word)) for word in words]
    starts = [at for at, (part, _) in enumerate(parts) if _begins(part, letters[0]) and analyse(part, "english")]
    counts = {at: _initials(letters, parts[at:]) for at in starts}
    best = max(counts, key=lambda at: (counts[at], at), default=0)  # the shortest of the best
    return text[words[best].start() :] if 2 * counts.get(best, 0) > len(letters) else ""


def _may_be_skipped(word: re.Match[str]) -> bool:
    """Whether a long form may have a word that no letter stands for: of, for, and what a hyphen joins."""
    joined = word.string[: word.start()].endswith(("-", "/"))
    return joined or len(word[0]) <= SHORT_WORD or not analyse(word[0].casefold(), "english")


def _begins(word: str, letter: str) -> bool:
    """Whether a word begins with a letter; X stands for what begins with ex, as in XML."""
    return word.startswith(letter) or (letter == "x" and word.startswith("ex"))


def _initials(letters: str, words: Sequence[tuple[str, bool]]) -> int:
    """The most letters that can begin words, when all are in the words in order; 0 when that cannot be.

    Each word, and whether it may be skipped; the first may not, and the first letter begins it.
    """
    best = {0: 0}  # of so many letters that are placed, those that begin a word
    for number, (word, skipped) in enumerate(words):
        after = dict(best) if skipped and number else {}
        for placed, count in best.items():
            begins, at = _begins(word, letters[placed : placed + 1]), 0
            for end in range(placed, len(letters) if begins or number else placed):
                if not (at := word.find(letters[end], at) + 1):
                    break
                after[end + 1] = max(after.get(end + 1, 0), count + begins)
        best = after
    return best.get(len(letters), 0)


def _spaced(text: str) -> str:
    """The words of a text, a blank around each."""
    return f" {' '.join(_WORDS.findall(text))} "
