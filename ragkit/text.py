"""Text to terms: one analyser for the index and for queries, and where its terms stand in a text.

Knows spelling: identifiers, versions, CJK, accents, stop words; knows nothing of sentences, documents, indexes,
models or settings. Every function is pure; offsets are those of the text given.
"""

from __future__ import annotations

import math
import re
import threading
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from ragkit.domain import Span


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# ---------------------------------------------------------------- folding

_INVISIBLE = dict.fromkeys([0xAD, *range(0x200B, 0x2010), 0x2060, 0xFEFF])
# Only the accents of Latin, Greek and Cyrillic: the vowel signs of Thai or Devanagari are combining marks, too.
_ACCENTS = re.compile("[\u0300-\u036f]+")


def fold(text: str) -> str:
    """NFKC, case-folded, without accents and invisible characters, so that what looks alike compares equal.

    >>> fold("Ｃａｆé STRAẞE ﬁle")
    'cafe strasse file'
    """
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", _strip_accents(_compose(text).casefold()))


def fold_line(text: str) -> str:
    """Folded and on one line, with one blank between words: as texts are compared word for word.

    >>> fold_line("To  Begin,\\nrun it.")
    'to begin, run it.'
    """
    return " ".join(fold(text).split())


def shingles(text: str, size: int) -> frozenset[str]:
    """Runs of `size` words, folded; a shorter text is one run.

    >>> sorted(shingles("Run make demo first", 3))
    ['make demo first', 'run make demo']
    """
    words = fold(text).split()
    return frozenset(" ".join(words[at : at + size]) for at in range(max(1, len(words) - size + 1)))


def _compose(text: str) -> str:
    return unicodedata.normalize("NFKC", text.translate(_INVISIBLE).replace("’", "'"))


def _strip_accents(text: str) -> str:
    if text.isascii():
        return text
    return unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFD", text)))


# ---------------------------------------------------------------- analysis

# Words that say nothing about the topic; chosen on four development collections, where the list is worth .03 nDCG@10
# and no single word of it matters. So words that turn a technical question round (not, no, without) or name commands
# (get, let, make, use, find) stay terms.
_ENGLISH = """
a about above after again all also am an and any are as at be because been before being below between both but by
can could did do does doing done down during each few for from further give had has have having he her here hers
herself him himself his how i if in into is it its itself just know like many may me more most much my myself need now
of off on once one only or other our ours ourselves out over own please same shall she should so some such tell than
that the their theirs them themselves then there these they this those through to too under until up upon us very want
was we were what when where which while who whom why will with would you your yours yourself yourselves
it's i'm i've i'd i'll you're you've you'd you'll he's she's we're we've we'd we'll they're they've they'd they'll
that's there's here's what's who's where's how's let's
"""
# The commonest function words only: a wrong stop word loses a document, a missing one costs little.
_STOP_WORDS = {
    "english": _ENGLISH,
    "german": """
        aber als am an auch auf aus bei bin bis da das dass dem den der des die durch ein eine einem einen einer eines
        er es für hat ich ihr im in ist kann man mit nach oder sein sich sie sind so über um und uns von vor war was
        wenn wer werden wie wir wird wo zu zum zur""",
    "french": """
        à au aux avec c ce ces cette comme d dans de des du elle en est et eux il ils j je l la le les leur lui m ma
        mais me mes n nous on ou où par pas pour qu que quel quelle qui s sa se ses son sont sur t un une vous y""",
    "spanish": """
        a al como con cual cuando de del donde el ella en entre es esta este ha la las le lo los más me mi muy o para
        pero por que qué se ser si su sus también un una unas uno unos y ya yo""",
    "italian": """
        a ad al alla anche che chi ci come con cui da dal de dei del della delle di e è gli ha i il in io la le lo ma
        mi nel nella o per più quale quando se si sono su sul un una uno""",
    "portuguese": """
        a ao as com como da das de do dos e ela ele em entre é eu foi há isso mais mas na nas no nos o os ou para pela
        pelo por qual quando que quem se são ser seu sua também um uma""",
    "dutch": """
        aan als bij dat de deze die dit door een en er had heb hem het hij hoe hun ik in is je kan maar me met mijn
        naar nog of om ook op over te tot uit van voor waar was wat we wel werd wie wij zijn zo""",
    "swedish": """
        alla att av de den det detta dig din du eller en ett från för han har hon hur i inte jag kan med men mig mot
        när och om på sig sin som till un ut var vi är""",
    "russian": """
        а без бы был была были было в вам вас во вот все вы где да для до его ее если есть же за и из или им их к как
        ко когда кто ли мне мы на над не него о об он она они от по под при с со та так то у что это я""",
}

LANGUAGES = (
    "none", "english", "arabic", "armenian", "basque", "catalan", "danish", "dutch", "esperanto", "estonian",
    "finnish", "french", "german", "greek", "hindi", "hungarian", "indonesian", "irish", "italian", "lithuanian",
    "nepali", "norwegian", "portuguese", "romanian", "russian", "serbian", "spanish", "swedish", "tamil", "turkish",
    "yiddish",
)  # fmt: skip
"""What `analyse` takes as a language: Snowball's stemmers, and none."""

MAX_TERM = 80
"""Longer words and identifiers (hashes, encoded data) are cut to this many characters."""

# A word as it stands in the text: what is left between blanks and the punctuation that never is part of a name.
# A comma inside a number belongs to it: 1,000 is the term 1000.
_SEPARATORS = r"\s,;!?\"()\[\]{}<>|`*=…“”„«»‹›¡¿、。，；：！？（）［］｛｝【】「」『』〈〉《》・～—–―•·^~$%&\\"
_RAW = re.compile(rf"[^{_SEPARATORS}]+(?:(?<=\d),(?=\d{{3}}(?!\d))[^{_SEPARATORS}]+)*")

# Scripts written without blanks: Han, kana, hangul; and Thai, Lao, Myanmar, Khmer.
_UNSPACED_CLASS = (
    "\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u3100-\u312f\u31a0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\uac00-\ud7a3\u1100-\u11ff\U00020000-\U000323af\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
)
_UNSPACED = re.compile(f"[{_UNSPACED_CLASS}]+")
NEVER_LAST = _words("e.g i.e eg ie z.b d.h u.a p.ex")
"""Abbreviations that are no terms, and that end no sentence."""
_EDGES = "-./:'+#@"
_FLAG = re.compile(r"-{1,2}(?=[^\W\d_])")
# C++, g++, C#, F#
_SUFFIXED = re.compile(r"[^\W\d_]{1,2}(?:\+\+|#)$")
_VERSION = re.compile(r"[vV]?(\d+(?:\.\d+)+)([-.]?(?:a|b|c|rc|alpha|beta|dev|post)[-.]?\d*|\+\w+)?$")
_LETTERS_NUMBER = re.compile(r"([^\W\d_]{3,})([\d.]*\d)$")
_ACRONYM = re.compile(r"(?:[A-Z]\.)+[A-Z]$")
_NAME_VERSION = re.compile(r"([^\W\d_]{2,})(\d+(?:\.\d+)+)$")
_UPPER, _LOWER = "A-ZÀ-ÖØ-ÞА-Я", "a-zß-öø-ÿа-я"
# Not iOS, eBay or IPv6: a hump has at least two letters on either side.
_HUMP = re.compile(rf"(?<=[{_LOWER}\d][{_LOWER}\d])(?=[{_UPPER}])|(?<=[{_UPPER}])(?=[{_UPPER}][{_LOWER}]{{2}})")
# Where a name is cut, outermost first; a dot between digits is the last, so that python3.11-doc holds python3.11.
_LEVELS = tuple(
    re.compile(level)
    for level in (r"[:@]+", r"/+", r"(?<!\d)\.+|\.+(?!\d)", r"[-+#']+", r"\.+", r"_+", _HUMP.pattern)
)


def analyse(text: str, language: str = "english") -> list[str]:
    """The terms of a text, in order, for BM25; the same function serves the index and the query.

    Words are case-folded, freed of accents, stemmed (Snowball) and dropped when they are stop words; identifiers,
    paths, flags and versions are kept whole and followed by their parts; unspaced scripts become bigrams. Language
    "none" turns stems and stop words off. Raises ValueError for a language that is not in `LANGUAGES`.

    >>> analyse("Reading the size_tokens of HTTPServer.py")
    ['read', 'size_tokens', 'size', 'token', 'httpserver.py', 'httpserver', 'http', 'server', 'py']
    >>> analyse("中文字 --dry-run v1.25")
    ['中文', '文字', '--dry-run', 'dry-run', 'dri', 'run', 'v1.25', '1.25']
    """
    terms_of = _analyser(language)
    terms: list[str] = []
    for raw in _RAW.findall(text):
        terms += terms_of[raw]
    return terms


class _Analyser(dict[str, tuple[str, ...]]):
    """Terms by raw word: words repeat (Zipf), so nearly every look-up is a hit, and analysis is as fast as a dict."""

    LIMIT = 200_000

    def __init__(self, language: str) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._stem: Any = None
        self._fold_first = language in ("english", "none")
        self._stop: frozenset[str] = frozenset()
        if language != "none":
            import Stemmer

            self._stop = _words(_strip_accents(_STOP_WORDS.get(language, "")))
            self._stem = Stemmer.Stemmer(language)

    def __missing__(self, raw: str) -> tuple[str, ...]:
        with self._lock:  # a Stemmer is not safe to share between threads
            if len(self) >= self.LIMIT:
                self.clear()
            terms = self[raw] = tuple(self._terms(raw))
        return terms

    def _terms(self, raw: str) -> Iterator[str]:
        composed = raw if raw.isascii() else _compose(raw)
        for word in _RAW.findall(composed) if composed != raw else (raw,):
            at = 0
            for match in _UNSPACED.finditer(word):
                yield from self._spaced(word[at : match.start()])
                yield from _bigrams(match.group().casefold())
                at = match.end()
            yield from self._spaced(word[at:] if at else word)

    def _spaced(self, word: str) -> Iterator[str]:
        if _is_plain(word):
            yield from self._word(word)
            return
        flag = _FLAG.match(word)
        body = word.replace(",", "").strip(_EDGES)
        suffix = re.search(r"[+#]+$", word.rstrip("-./:'@"))
        if suffix and _SUFFIXED.match(body + suffix.group()):
            yield (body + suffix.group()).casefold()
            return
        if suffix and "/" in body:  # C/C++
            for part in word.split("/"):
                yield from self._spaced(part)
            return
        if "'" in body:
            yield from self._apostrophe(body)
            return
        if body.casefold() in NEVER_LAST:
            return
        if _ACRONYM.match(body):
            yield from self._word(body.replace(".", ""))
            return
        if flag and body:
            yield (flag.group() + _strip_accents(body.casefold()))[:MAX_TERM]
        if body.strip("_"):
            yield from self._name(body)

    def _apostrophe(self, word: str) -> Iterator[str]:
        """Contractions and genitives in English; elisions, as in l'eau, elsewhere."""
        if self._fold_first:
            if _strip_accents(word.casefold()) in self._stop:
                return
            word = re.sub(r"'[sS]?$", "", word)
            word = re.sub(r"(?<=[^\W\d_])'(?=[^\W\d_])", "", word)
        for part in word.split("'"):
            yield from self._spaced(part)

    def _name(self, name: str) -> Iterator[str]:
        """An identifier: the whole, then its parts, outermost separator first."""
        if _is_plain(name):
            yield from self._word(name)
            return
        if version := _VERSION.match(name):
            yield name.casefold()
            if version.group(1) != name:
                yield version.group(1)
            shorter = version.group(1)
            while shorter.count(".") > 1:  # a question about 3.11 is answered by a page about 3.11.4
                shorter = shorter.rsplit(".", 1)[0]
                yield shorter
            return
        if match := _NAME_VERSION.match(name):
            yield _strip_accents(name.casefold())[:MAX_TERM]
            yield from self._word(match.group(1))
            yield from self._name(match.group(2))
            return
        parts = [name]
        for level in (_HUMP,) if name.isalnum() else _LEVELS:
            if level.search(name):
                parts = [part for part in (piece.strip(_EDGES) for piece in level.split(name)) if part]
                break
        if parts == [name]:
            yield from self._word(name)
            if match := _LETTERS_NUMBER.match(name):
                yield from self._word(match.group(1))
            return
        if name.isalpha():  # stemmed, so that errordocument finds ErrorDocument
            yield from self._word(name.lower())
        else:
            yield _strip_accents(name.casefold())[:MAX_TERM]
        for part in parts:
            yield from self._name(part)

    def _word(self, word: str) -> Iterator[str]:
        """One word, stemmed. Capitals tell a name from a stop word: IT, US, WHO."""
        lower = word.casefold()
        folded = _strip_accents(lower)
        if folded in self._stop and not (len(word) > 1 and word.isupper()):
            return
        if self._stem is not None:
            lower = self._stem.stemWord(folded if self._fold_first else lower)
            folded = _strip_accents(lower)
        if folded:
            yield folded[:MAX_TERM]


def _is_plain(word: str) -> bool:
    return word.isalpha() and (word.islower() or word[1:].islower() or word.isupper())


@lru_cache(maxsize=8)
def _analyser(language: str) -> _Analyser:
    if language not in LANGUAGES:
        raise ValueError(f"no stemmer for language {language!r}; choose from: {', '.join(LANGUAGES)}")
    return _Analyser(language)


def _bigrams(run: str) -> Iterator[str]:
    if len(run) == 1:
        yield run
    for i in range(len(run) - 1):
        yield run[i : i + 2]


# ---------------------------------------------------------------- helpers


def rarity(holders: int, total: int) -> float:
    """What a term is worth that `holders` of `total` texts hold: ln(1 + total / (holders + 0.5)); more when fewer do.

    >>> rarity(1, 10) > rarity(9, 10) > 0
    True
    """
    return math.log(1 + total / (0.5 + holders))


def trim(text: str, start: int, end: int) -> Span:
    """The span without blank lines before it and blanks after it; indentation of its first line stays.

    >>> text = "\\n  one\\n\\n"
    >>> text[slice(*trim(text, 0, len(text)))]
    '  one'
    """
    kept = text[start:end].rstrip()
    lead = kept.rfind("\n", 0, len(kept) - len(kept.lstrip())) + 1
    return start + lead, start + len(kept)


def term_spans(text: str, terms: Iterable[str], language: str = "english") -> list[Span]:
    """Spans of the words of `text` that carry one of the analysed `terms`, in order and apart.

    A name that holds a term only as one of its parts is marked whole.

    >>> text = "Set size_tokens; chunk sizes matter."
    >>> [text[start:end] for start, end in term_spans(text, analyse("size"))]
    ['size_tokens', 'sizes']
    """
    wanted = set(terms)
    terms_of = _analyser(language)
    found: list[Span] = []
    for match in _RAW.finditer(text):
        if wanted.isdisjoint(terms_of[match.group()]):
            continue
        start, end = match.span()
        if _UNSPACED.search(match.group()):
            found.extend(_unspaced_spans(match.group(), start, wanted))
            continue
        word = match.group()
        lead = len(word) - len(word.lstrip("./:'@"))
        found.append((start + lead, max(end - (len(word) - len(word.rstrip("-./:'@"))), start + lead + 1)))
    return found


def _unspaced_spans(word: str, offset: int, wanted: set[str]) -> list[Span]:
    """The bigrams found in a run without blanks, joined where they touch."""
    spans: list[Span] = []
    for run in _UNSPACED.finditer(word):
        width = min(2, run.end() - run.start())
        for i in range(run.start(), run.end() - width + 1):
            if _compose(word[i : i + width]).casefold() not in wanted:
                continue
            if spans and offset + i <= spans[-1][1]:
                spans[-1] = (spans[-1][0], offset + i + width)
            else:
                spans.append((offset + i, offset + i + width))
    return spans or [(offset, offset + len(word))]
