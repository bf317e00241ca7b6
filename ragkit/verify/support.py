"""How well the sources bear out one claim, and the lines that do it.

Knows sentences, terms and vectors; knows nothing of drafts, answers or settings. A claim is compared with
every window of one to three neighbouring units of every source; what must be exact (numbers, names,
options) is checked letter by letter, and a number of a list or table must stand with what it is said of.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from ragkit.domain import Context, Source
from ragkit.domain.answers import Quote
from ragkit.nearness import nearness, unrelated_cosine
from ragkit.roles import Embedder
from ragkit.text import analyse, fold_line, rarity
from ragkit.units import Unit, contents
from ragkit.verify.alignment import Aligner
from ragkit.verify.names import CAPITAL_NOUNS, Names, names_in
from ragkit.verify.numbers import spelt_out
from ragkit.verify.times import is_time, same_time, times_in, without_times

WINDOW = 3
"""Neighbouring units that may bear out one claim together."""
CAP = 0.3
"""Support of a claim with a number, name or option that the source does not have is at most this."""
NEARER = 0.25
"""A number is another item's when an item with a number of its own covers this much more of the claim."""
PREMISE = 0.6
"""Factor on the support of a claim that takes over a word of the question which no source has."""
LENGTH_COST = 0.02
"""Coverage that one more unit in a window must bring."""
NEAREST = 3
"""Units of a source that a claim is compared with word by word."""
NEAREST_CHARACTERS = 700
"""A unit that makes them longer than this together is left out."""
MOST_NAMES = 2
"""More foreign names than this make a claim no worse."""


@dataclass(frozen=True, slots=True)
class Weights:
    """A logistic model of the features of `Measured`."""

    bias: float
    coverage: float = 0.0
    pairs: float = 0.0
    cosine: float = 0.0
    negation: float = 0.0
    lowest: float = 0.0
    learned: float = 0.0
    names: float = 0.0


# `python -m training.grounding.fit` with 800 statements of each set, 400 of RAGTruth: logistic regression on human
# judgements of development parts of BEGIN (CMU, TC, WoW), FactCheck-GPT, WiCE and RAGTruth summaries, every set and
# label of equal weight. Balanced accuracy at .5 when fitted without the set: .91 .76 .82 .74 .69 .67. QAGS, SummEdits
# and RAGTruth data2txt, whose wrong claims repeat the words of the source, are near chance (.51 to .59). Of 447
# sentences of reference answers (rhdh) 89 % are supported by their own context, and 4 % by that of another question.
WITH_VECTORS = Weights(-3.39, 3.91, 0.23, 2.13, -0.13, names=-0.62)
WITHOUT_VECTORS = Weights(-2.63, 4.64, 0.39, 0.0, -0.19, names=-0.55)
# Better ordered (mean AUROC over ten sets .794 for .787) and stricter, so the check of an answer does not use them.
WITH_WORDS = Weights(-3.23, coverage=2.00, negation=0.07, lowest=3.69, learned=1.54, names=-0.39)


@dataclass(frozen=True, slots=True)
class Window:
    """One to three neighbouring units of a source: `source.text[start:end]`."""

    source: Source
    start: int
    end: int
    terms: frozenset[str]
    pairs: frozenset[tuple[str, str]]
    negative: bool
    units: tuple[tuple[Unit, frozenset[str]], ...]
    """Each unit with its terms."""

    @property
    def size(self) -> int:
        """How many units it spans."""
        return len(self.units)

    @property
    def text(self) -> str:
        return self.source.text[self.start : self.end]

    def quote(self) -> Quote:
        """The window's lines, verbatim."""
        first, last = self.source.range(self.start, self.end)
        return Quote(self.source.number, self.source.path, first, last, self.source.unit, self.text)


@dataclass(frozen=True, slots=True)
class Measured:
    """A claim against one source: features in [0, 1] (`names` counts), the window that bears it out, the support."""

    window: Window | None
    coverage: float = 0.0
    pairs: float = 0.0
    cosine: float = 0.0
    negation: float = 0.0
    lowest: float = 0.0
    learned: float = 0.0
    names: int = 0
    """Names of the claim that the source does not have, counted up to `MOST_NAMES`."""
    missing: tuple[str, ...] = ()
    presumes: bool = False
    support: float = 0.0


class Evidence:
    """The sources of one context, cut and counted once, for any number of claims."""

    def __init__(
        self,
        context: Context,
        embedder: Embedder | None = None,
        language: str = "english",
        question: str = "",
        *,
        aligner: Aligner | None = None,
    ) -> None:
        self.sources = context.sources
        self._embedder = embedder
        self._aligner = aligner
        self._language = language
        self._heads = {s.number: frozenset(analyse(" ".join((s.title, *s.heading)), language)) for s in self.sources}
        self._exact = {
            s.number: _plain(" ".join((s.path, s.title, *s.heading, s.prefix, s.text))) for s in self.sources
        }
        self._names = {number: Names(plain) for number, plain in self._exact.items()}
        self._windows = {source.number: list(self._cut(source)) for source in self.sources}
        single = [window for found in self._windows.values() for window in found if window.size == 1]
        seen = Counter(term for window in single for term in window.terms)
        self._weights = {term: rarity(count, len(single)) for term, count in seen.items()}
        self._rarest = max(self._weights.values(), default=1.0)
        held = frozenset().union(seen, *self._heads.values(), *(analyse(s.path, language) for s in self.sources))
        self._premises = frozenset(analyse(question, language)) - held - frozenset(analyse(_FRAME, language))

    def measure(self, claims: Sequence[str]) -> list[dict[int, Measured]]:
        """For each claim, every source's support by its number. The vectors are made in one batch."""
        claims = [without_attribution(claim) for claim in claims]
        measured = [self._by_terms(claim) for claim in claims]
        if self._aligner is not None:
            self._add_alignments(claims, measured, self._aligner)
        elif self._embedder is not None:
            self._add_cosines(claims, measured, self._embedder)
        return [{number: self._weighed(one) for number, one in found.items()} for found in measured]

    def lacks(self, text: str) -> list[str]:
        """Exact terms of a text that no source has."""
        return [one for one in exact_terms(text) if not any(found_in(one, plain) for plain in self._exact.values())]

    def _by_terms(self, claim: str) -> dict[int, Measured]:
        terms = analyse(claim, self._language)
        wanted = {term: self._weights.get(term, self._rarest) for term in terms}
        exact, pairs, negative = exact_terms(claim), frozenset(pairwise(terms)), is_negative(claim)
        names = [] if self._language in CAPITAL_NOUNS else names_in(claim)
        found: dict[int, Measured] = {}
        for number, windows in self._windows.items():
            if not wanted or not windows:
                found[number] = Measured(None)
                continue
            coverage, best = self._best(wanted, windows, self._heads[number])
            missing = [one for one in exact if not found_in(one, self._exact[number])]
            missing += self._strayed([one for one in exact if one not in missing], wanted, best)
            found[number] = Measured(
                window=best,
                coverage=coverage,
                pairs=len(pairs & best.pairs) / len(pairs) if pairs else coverage,
                negation=float(negative != best.negative),
                names=min(MOST_NAMES, sum(name not in self._names[number] for name in names)),
                missing=tuple(missing),
                presumes=not self._premises.isdisjoint(terms),
            )
        return found

    def _best(
        self, wanted: Mapping[str, float], windows: Sequence[Window], head: frozenset[str]
    ) -> tuple[float, Window]:
        """The window that holds most of the wanted terms by weight; a shorter or earlier one where that is equal."""
        total = sum(wanted.values())

        def coverage(window: Window) -> float:
            return sum(weight for term, weight in wanted.items() if term in window.terms or term in head) / total

        best = max(windows, key=lambda window: (coverage(window) - LENGTH_COST * window.size, -window.start))
        return coverage(best), best

    def _strayed(self, exact: Sequence[str], wanted: Mapping[str, float], window: Window) -> list[str]:
        """Numbers that the window has in another item of a list, or row, than the one the claim speaks of.

        "- pods: 5 s", "- nodes: 40 s" do not bear out "pods: 40 s", though they have every word of it. In running
        text sentences lean on each other, and the same rule refuses more that is true than it finds wrong.
        """
        numbers = [one for one in exact if is_number(one)]
        items = [(_plain(unit.text), terms) for unit, terms in window.units if unit.kind in ("item", "row")]
        if not numbers or len(items) < 2:
            return []
        said = {term: weight for term, weight in wanted.items() if not any(map(str.isdigit, term))}
        total = sum(said.values()) or 1.0
        covers = [(text, sum(said[term] for term in terms & said.keys()) / total) for text, terms in items]
        strayed = []
        for number in numbers:
            with_it = [cover for text, cover in covers if found_in(number, text)]
            others = [cover for text, cover in covers if not found_in(number, text) and _has_number(text)]
            if with_it and others and max(others) > max(with_it) + NEARER:
                strayed.append(number)
        return strayed

    def _add_cosines(
        self, claims: Sequence[str], measured: Sequence[dict[int, Measured]], embedder: Embedder
    ) -> None:
        windows = [one.window.text for found in measured for one in found.values() if one.window]
        texts = list(dict.fromkeys((*claims, *windows)))
        vectors = dict(zip(texts, embedder.embed(texts), strict=True)) if windows else {}
        unrelated = unrelated_cosine(embedder)
        for claim, found in zip(claims, measured, strict=True):
            for number, one in found.items():
                if one.window:
                    cosine = float(vectors[claim] @ vectors[one.window.text])
                    found[number] = replace(one, cosine=nearness(cosine, unrelated))

    def _add_alignments(
        self, claims: Sequence[str], measured: Sequence[dict[int, Measured]], aligner: Aligner
    ) -> None:
        """The claim's words against those of the few units of each source that share most with it."""
        told = [{number: self._nearest(claim, number) for number in self._windows} for claim in claims]
        texts = [text for one in told for chosen in one.values() for text in chosen]
        words = aligner.words(list(dict.fromkeys((*claims, *texts))))
        for claim, found, chosen in zip(claims, measured, told, strict=True):
            for number, one in found.items():
                if one.window:
                    aligned = aligner.align(words[claim], [words[text] for text in chosen[number]])
                    found[number] = replace(one, lowest=aligned.lowest, learned=aligned.learned)

    def _nearest(self, claim: str, number: int) -> list[str]:
        """The units of a source that share most with the claim, in the source's order."""
        single = [window for window in self._windows[number] if window.size == 1]
        wanted = {term: self._weights.get(term, self._rarest) for term in analyse(claim, self._language)}
        chosen: list[str] = []
        room = NEAREST_CHARACTERS
        for at in nearest(wanted, [window.terms for window in single], NEAREST):
            room -= len(single[at].text)
            if room < 0 and chosen:
                break
            chosen.append(single[at].text)
        return chosen

    def _weighed(self, m: Measured) -> Measured:
        if m.window is None:
            return m
        w = WITH_WORDS if self._aligner else WITH_VECTORS if self._embedder else WITHOUT_VECTORS
        logit = w.bias + w.coverage * m.coverage + w.pairs * m.pairs + w.cosine * m.cosine + w.negation * m.negation
        logit += w.lowest * m.lowest + w.learned * m.learned + w.names * m.names
        support = (PREMISE if m.presumes else 1.0) / (1 + math.exp(-logit))
        return replace(m, support=min(support, CAP) if m.missing else support)

    def _cut(self, source: Source) -> Iterable[Window]:
        parts = contents(source.text)
        terms = [analyse(unit.text, self._language) for unit in parts]
        negative = [is_negative(unit.text) for unit in parts]
        for first in range(len(parts)):
            for last in range(first, min(first + WINDOW, len(parts))):
                together = [term for unit in terms[first : last + 1] for term in unit]
                yield Window(
                    source,
                    parts[first].start,
                    parts[last].end,
                    frozenset(together),
                    frozenset(pairwise(together)),
                    any(negative[first : last + 1]),
                    tuple((parts[at], frozenset(terms[at])) for at in range(first, last + 1)),
                )


def nearest(wanted: Mapping[str, float], held: Sequence[frozenset[str]], count: int) -> list[int]:
    """Places of at most `count` units that together hold most of the wanted terms by weight, in the text's order.

    Each next one is chosen for what those before it lack; one that adds nothing is not chosen.

    >>> nearest({"a": 1.0, "b": 2.0}, [frozenset("a"), frozenset("b"), frozenset("ab"), frozenset()], 2)
    [2]
    """
    chosen: list[int] = []
    open_terms = dict(wanted)
    while len(chosen) < count and open_terms:
        gains = [math.fsum(weight for term, weight in open_terms.items() if term in one) for one in held]
        best = max(range(len(held)), key=lambda at: (gains[at], -at), default=0)
        if not gains or gains[best] <= 0:
            break
        chosen.append(best)
        open_terms = {term: weight for term, weight in open_terms.items() if term not in held[best]}
    return sorted(chosen)


# Words that frame an answer and that a source need not have: "the steps are", "the main difference is".
_FRAME = (
    "answer command configuration configure describe detail difference example feature following function include "
    "information limitation list main mandatory mean method necessary need option part prerequisite primary "
    "procedure process purpose reason recommend require section set specific step task thing type use user way work"
)

# ---------------------------------------------------------------- what must be exact

_NEGATIVE = re.compile(
    r"\b(?:not|no|never|none|cannot|without|neither|nor|unsupported|disabled?)\b|n't\b", re.IGNORECASE
)
_CODE = re.compile(r"`+([^`\n]+)`+")
_QUOTED = re.compile(r"[\"“]([^\"“”\n]{2,80})[\"”]")
_NAME = re.compile(
    r"(?<![\w.-])(?:--?[A-Za-z][\w-]*"  # options
    r"|[A-Za-z]\w*_\w+(?:[./:-]\w+)*"  # snake_case
    r"|\w+(?:/[\w.-]+)+|\.?/[\w./-]+"  # paths
    r"|[a-z]+[A-Z]\w*|[A-Z][a-z]+[A-Z]\w*"  # camelCase
    r"|[A-Za-z_]\w+(?:\.[A-Za-z_]\w+)+)"  # dotted.names
)
_NUMBER = re.compile(r"(?<![\w.])v?\d+(?:[.,]\d+)*(?![\w]*[a-zA-Z]{4,})")


# "According to the documentation", "The guide also explains that": who says it is no part of what is said.
_SOURCE = (
    r"(?:the|this|these|its)(?: \w+)? (?:articles?|authors?|documents?|documentation|guide|manual|page|passages?"
    r"|reports?|sections?|sources?|text)"
)
_ATTRIBUTION = re.compile(
    rf"(?:\w+, )?(?:according to {_SOURCE},? "
    rf"|(?:as (?:stated|mentioned|described|explained|noted|shown) )?in {_SOURCE}, (?=\w)"
    rf"|{_SOURCE}(?: also| further| then)?"
    r" (?:says|states?|mentions?|argues?|describes?|explains?|notes?|suggests?|reports?|points? out|concludes?|shows?"
    r"|specif(?:y|ies)|recommends?|emphasi[sz]es?|highlights?)(?: that)? )",
    re.IGNORECASE,
)


def without_attribution(claim: str) -> str:
    """The claim without the words at its beginning that only tell which text says it.

    >>> without_attribution("According to the documentation, pods restart.")
    'pods restart.'
    """
    return claim[match.end() :] if (match := _ATTRIBUTION.match(claim)) else claim


def is_negative(text: str) -> bool:
    """Whether a sentence denies something."""
    return bool(_NEGATIVE.search(text))


def exact_terms(claim: str) -> list[str]:
    """Numbers, versions, options, paths, identifiers and quoted words of a claim: what a source must spell the same.

    >>> exact_terms("Set `size_tokens` to 256 with --chunk in v1.2 at 9:30 pm.")
    ['size_tokens', '9:30 pm', '--chunk', '256', 'v1.2']
    """
    found = [word for match in _CODE.finditer(claim) for word in match[1].split()]
    rest = _CODE.sub(" ", claim)
    found += times_in(rest)
    rest = without_times(rest)
    found += [match[1].strip() for match in _QUOTED.finditer(rest)]
    found += [match[0] for match in _NAME.finditer(rest)]
    found += [match[0].rstrip(".,") for match in _NUMBER.finditer(_NAME.sub(" ", rest))]
    cleaned = (word.strip("\"'`,;()").rstrip(".:") for word in found)
    return [word for word in dict.fromkeys(cleaned) if word and any(map(str.isalnum, word))]


def _has_number(text: str) -> bool:
    return bool(_NUMBER.search(_NAME.sub(" ", text)))


def is_number(exact: str) -> bool:
    """Whether an exact term is a number or a version."""
    return bool(re.match(r"v?\d", exact))


def found_in(exact: str, plain: str) -> bool:
    """Whether a source, as `_plain` gives it, spells an exact term.

    A number may be spelt out, or have noughts behind its point; a time of day may be spelt otherwise.
    """
    wanted = _plain(exact)
    if is_time(wanted):
        return same_time(wanted, plain)
    if is_number(wanted):
        number = wanted.removeprefix("v")
        noughts = r"(?:\.0+)?" if number.isdigit() else ""
        pattern = rf"(?<![\d.])v?{re.escape(number)}{noughts}(?!\d|\.\d)"
        return bool(re.search(pattern, plain)) or (number.isdigit() and spelt_out(int(number), plain))
    if wanted in plain:
        return True
    parts = wanted.split(".")  # a.b.c may stand in the source as nested keys of YAML
    return len(parts) > 2 and all(re.search(rf"(?<!\w){re.escape(part)}(?!\w)", plain) for part in parts)


def _plain(text: str) -> str:
    """Folded, blanks made single, thousands without their commas."""
    return re.sub(r"(?<=\d),(?=\d{3}\b)", "", fold_line(text))
