"""What a query asks: quoted phrases, identifiers, versions, pasted error messages and misspelt words.

Pure. Knows the text of a query, and of the corpus what it is told by `holders` and `near`; knows nothing of
indexes, models or settings.

    "connection refused"     a phrase that every hit must hold, in these words and this order
    size_tokens, --dry-run   identifiers: matched as they are, never corrected
    v1.25.3                  a version: likewise
    a pasted stack trace     an error message: addresses, times, line numbers and paths of the machine that it
                             came from are left out of the lexical query, for no document holds them
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from ragkit.domain.queries import Correction, Query
from ragkit.text import analyse, fold

Holders = Callable[[str], int]
"""How many chunks hold an analysed term."""
Familiar = Callable[[str], bool]
"""Whether a word is one that texts in general have, in the corpus or not: no misspelling."""
Near = Callable[[str, int], Mapping[str, tuple[int, int]]]
"""The corpus's words within so many edits of a word, each with its edits and the number of chunks that hold it."""

PROSE_WORDS = 15
"""A longer query is prose: what it puts in quotation marks, it mentions. On cacm, where people describe at length
what they look for, demanding those words cost .05 nDCG@10 over all, and .015 where only up to 30 words counted."""
MIN_CORRECTED = 4
"""Shorter words are too near to too many others."""
LONG_WORD = 8
"""From this many letters on two edits are tried where one finds nothing."""
COMMONER = 5.0
"""A correction is held by this many times the chunks of the next best one, or none is made."""
SHOWN_VERSIONS = 5
"""So many are named in a notice."""

# A quotation stands alone: what is quoted inside print("x") or key="x" is code.
_QUOTED = re.compile(r"(?<!\S)(?:\"([^\"\n]+)\"|“([^“”\n]+)”|„([^„“”\n]+)[“”]|«([^«»\n]+)»)(?=[\s.,;:?!)]|$)")
# Of a word that goes on or ends; scripts written without blanks have no such words.
_LETTER = re.compile(r"[^\W\u0e00-\U0010ffff]")
# What Markdown puts around words and in front of lines, or between cells; links are read as their text.
_MARKUP = re.compile(
    r"^[ \t]*(?:>|[*+-]|\d{1,3}[.)])(?=[ \t])|(?<!\w)[*`_]+(?=\S)|(?<=\S)[*`_]+(?!\w)|~~|\|", re.MULTILINE
)
_LINK = re.compile(r"!?\[([^\]\[\n]*)\]\([^()\n]*\)")
_EDGES = ".,;:?!()[]{}<>\"'`“”„«»"
_VERSION = re.compile(r"[vV]?\d+(?:\.\d+)+[0-9A-Za-z]*(?:[-.+][0-9A-Za-z]+)*")
# TLS v1.2 is a version of TLS, and port 3.5 or 2.5 seconds are none; "in 3.0" is one where nothing follows.
_NAMED = re.compile(
    rf"(?:(?<![\w.])(?:[vV]ersions?|[rR]eleases?) |(?<![A-Z][A-Z] )(?<!\S)(?=[vV]\d)|(?<!\S)in (?=\S+\s*$))"
    rf"({_VERSION.pattern})"
)
# Something that no sentence holds: a joint of two characters, a flag, a hump, or letters and digits mixed.
_IDENTIFIER = re.compile(
    r"--?[^\W\d_][\w-]*(?:=\S*)?|@[\w./-]+|\w+(?:::|->|\.(?=\w)|/|_|\\|@)[\w./\\:@-]*\w|_+\w+|\w+\(\)|"
    r"[^\W\d_]*[^\W\d_A-Z][A-Z]\w*|[A-Z]{2,}[a-z]\w*|(?=\w*\d)(?=\w*[^\W\d_])\w{2,}"
)
_PLAIN = re.compile(rf"(?<![\w./:@#+\\'’=-])[^\W\d_]{{{MIN_CORRECTED},}}(?![\w/@#+\\=]|[.:'’-]\w)")

_ERROR = re.compile(
    r"Traceback \(most recent call last\)|\b(?:[A-Za-z_][\w.]*(?:Error|Exception|Warning|Panic)|ERROR|FATAL)\b\s*:|"
    # Behind what a program puts in front: "ls:", "main.c:3:5:", "PHP Fatal".
    r"^[ \t]*(?:\S+:[ \t]+|PHP )?(?i:(?:fatal |parse |syntax |runtime |uncaught )?error|fatal|panic|warning|E\d{4})"
    r"(?: response from \w+)?\b\s*[:\[!]|^E: |^npm ERR! |^[ \t]*(?:ERROR|FATAL)[ \t]+[\d(\[]|"
    r"^[\w.+-]+: (?:\(\d+\)|\*\*\*) |^\S+: line \d+: |\bat \S+\.\w+ line \d+\.|"
    r": (?:command not found|No such file or directory|Permission denied|Operation not permitted|"
    r"Connection (?:refused|timed out|reset by peer)|Address already in use)[ \t]*$|"
    r"(?:\d\d:\d\d:\d\d|\])[^\n]{0,80}(?:\[(?:[\w.]+:)?(?:notice|warn|error|crit|alert|emerg)\]|\b(?:ERROR|FATAL)\b)|"
    r"\bthread '[^'\n]*'(?: \(\d+\))? panicked at |^\S+\.rb:\d+:in [`']|\((?:\w+::)*\w+Error\)[ \t]*$|"
    r"^[ \t]*at [\w.$<>]+ ?\([^\n]*\)[ \t]*$",
    re.MULTILINE,
)
# What a message says, and a question may ask about.
_FAILURE = re.compile(
    r"^[ \t]*(?:ERROR|FATAL)\b|(?i:\bsegmentation fault\b|\bcore dumped\b|\bexit(?:ed with)? (?:code|status) \d)",
    re.MULTILINE,
)
_QUESTION = re.compile(r"\s*(?:how|what|when|where|which|who|why)\b|[^\n]*\?\s*\Z", re.IGNORECASE)
# Folders whose names say where the message came up, not what it is about. /etc/app.conf is what it is about.
_LOCAL = r"home|Users|root|tmp|private|var/folders|usr/lib|usr/local/lib|opt/conda|proc|workspace|runner|builds?"
_MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_NOISE = re.compile(
    r"^[ \t]*File \"[^\"\n]*\", line \d+(?:, in \S+)?|"  # a frame of Python
    # of Java, JavaScript and C#
    r"^[ \t]*at (?:async |new )?[\w.$<>/]+(?: \[as \w+\])? ?\([^)\n]*\)(?: in [^\n]*:line \d+)?|"
    r"^[ \t]+at \S+:\d+:\d+$|^[ \t]*\.\.\. \d+ (?:more|common frames omitted)|"
    r"^[^\s:][^\n]*\)\n\t\S+\.go:\d+(?: \+0x[0-9a-f]+)?|^goroutine \d+ \[[^\]\n]*\]:|"  # of Go
    r"^[ \t]+from \S+:\d+:in [^\n]*|:\d+:in [`'][^`'\n]*'|"  # of Ruby
    r"^[ \t]*\d+: (?:0x[0-9a-f]+ - )?[\w<>$]+::\S+$|\bthread '[^'\n]*'(?: \(\d+\))?|"  # of Rust
    r"\b\d{4}[-/]\d\d[-/]\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?)?(?:Z|[+-]\d\d:?\d\d\b)?|"
    rf"(?:\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? )?\b(?:{_MONTHS}) {{1,2}}\d{{1,2}} \d\d:\d\d:\d\d"
    r"(?:\.\d+)?(?: \d{4}\b)?|"
    rf"\b\d\d/(?:{_MONTHS})/\d{{4}}:\d\d:\d\d:\d\d(?: [+-]\d{{4}})?|"
    r"\b\d\d:\d\d:\d\d(?:[.,]\d+)?\b|\[ *\d+\.\d{3,}\]|"
    r"\b0x[0-9a-fA-F]{4,}\b|\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b|"
    r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{12,}\b|"
    r"[^\s:\"',;(\[]*/(?:site-packages|dist-packages|node_modules|\.venv)/[^\s:\"',;)\]]*|"
    # Of a local path the folders: the file's own name may well be documented.
    rf"(?<![\w.])(?:[A-Za-z]:\\(?:Users|Windows|Temp)\\|~/|/(?:{_LOCAL})/)(?:[^\s:\"',;)\]/\\]+[/\\])*|"
    r"(?<=\.\w\w):\d+(?::\d+)?|(?<=\.\w):\d+(?::\d+)?|(?<=\.\w\w\w):\d+(?::\d+)?|"
    r"\bline \d+(?:, col(?:umn)? \d+)?|\b[Pp](?:ID|id)[ =:]*\d+(?::tid \d+)?|"
    r"\[client [^\]\n]*\]|\b\d+#\d+:(?: \*\d+)?|\[\d+\](?=[ :])|\bthread[- ]\d+\b",
    re.MULTILINE,
)


def parse(text: str) -> Query:
    """Read a query.

    >>> query = parse('restore "point in time" with --dry-run on v1.25')
    >>> query.phrases, query.identifiers, query.versions, query.error
    (('point in time',), ('--dry-run',), ('v1.25',), False)
    """
    error = bool(_ERROR.search(text) or (_FAILURE.search(text) and not _QUESTION.match(text)))
    left_out: tuple[str, ...] = ()
    words = text
    if error:
        left_out = tuple(dict.fromkeys(" ".join(match.group().split()) for match in _NOISE.finditer(text)))
        words = _NOISE.sub(" ", text)
        if not any(character.isalpha() for character in words):  # nothing but noise: better that than nothing
            left_out, words = (), text
    versions, identifiers = [], []
    for word in (piece.strip(_EDGES) for piece in words.split()):
        if _VERSION.fullmatch(word):
            versions.append(word)
        elif _IDENTIFIER.fullmatch(word):
            identifiers.append(word)
    return Query(
        text=text,
        words=words,
        phrases=() if error or len(text.split()) > PROSE_WORDS else tuple(dict.fromkeys(_phrases(text))),
        identifiers=tuple(dict.fromkeys(identifiers)),
        versions=tuple(dict.fromkeys(versions)),
        error=error,
        left_out=left_out,
    )


def _phrases(text: str) -> Iterator[str]:
    for match in _QUOTED.finditer(text):
        phrase = " ".join(next(part for part in match.groups() if part).split())
        if any(character.isalnum() for character in phrase):
            yield phrase


def named_versions(query: Query) -> tuple[str, ...]:
    """Versions that the query names as those of the documentation, not of something else, as in Python 3.11.

    >>> named_versions(parse("What is the limit in version 3.0?")), named_versions(parse("Is Python 3.11 needed?"))
    (('3.0',), ())
    """
    if query.error:
        return ()
    named = {match[1] for match in _NAMED.finditer(query.text)}
    return tuple(version for version in query.versions if version in named)


# ---------------------------------------------------------------- phrases


def holds(text: str, phrases: Iterable[str]) -> bool:
    """Whether a text holds every phrase as whole words, compared folded and with runs of blanks as one; as it stands,
    or as it reads without marks of Markdown.

    >>> holds("Connection\\n  refused: port 8080", ["connection refused"]), holds("port 8080", ["port 80"])
    (True, False)
    >>> holds("The **quick** [fox](fox.md) runs\\n> away", ["quick fox", "runs away"])
    True
    """
    folded = fold(text)
    missing = [phrase for phrase in phrases if not _held(_pattern(phrase), folded)]
    if not missing or not _MARKUP.search(folded):
        return not missing
    read = _MARKUP.sub("", _LINK.sub(r"\1", folded))
    return all(_held(_pattern(phrase), read) for phrase in missing)


def _held(pattern: re.Pattern[str], text: str) -> bool:
    """Whether a match begins with a word; tried here, as a look-behind would cost the regex its literal beginning."""
    match = pattern.search(text)
    while match:
        at = match.start()
        if not (at and _LETTER.match(text, at) and _LETTER.match(text, at - 1)):
            return True
        match = pattern.search(text, at + 1)
    return False


@lru_cache(maxsize=64)
def _pattern(phrase: str) -> re.Pattern[str]:
    """A phrase in folded text, ending with a word."""
    words = fold(phrase).split()
    behind = f"(?!{_LETTER.pattern})" if _LETTER.match(words[-1][-1]) else ""
    return re.compile(r"\s+".join(map(re.escape, words)) + behind)


def phrase_terms(phrase: str, language: str) -> list[str]:
    """Analysed terms that every text holding the phrase has: those of its plain words.

    >>> phrase_terms("the nightly backups of v1.2", "english")
    ['night', 'backup']
    """
    words = (word.strip(_EDGES) for word in phrase.casefold().split())
    # Where scripts meet in one word, the terms depend on what stands beside it.
    plain = [word for word in words if len(word) > 1 and word.isalpha() and len(set(map(_is_spaced, word))) == 1]
    return list(dict.fromkeys(term for word in plain for term in analyse(word, language)))


def _is_spaced(letter: str) -> bool:
    return _LETTER.match(letter) is not None


# ---------------------------------------------------------------- spelling


def correct(query: Query, holders: Holders, near: Near, language: str, familiar: Familiar | None = None) -> Query:
    """The query with words that the corpus does not have replaced by the one that is meant.

    A word is corrected only if no chunk holds its term, it is plain (no name in capitals, no identifier, no part of
    a phrase or of an error message) and not `familiar`, and one term of the corpus within one edit, or two from
    `LONG_WORD` letters on, is clearly commoner than any other. `familiar` and `near` are asked only about words that
    the corpus lacks.
    """
    if query.error:
        return query
    quoted = [match.span() for match in _QUOTED.finditer(query.text)]
    shouted = query.text.isupper()
    found: dict[str, str] = {}
    for match in _PLAIN.finditer(query.text):
        word = match.group()
        if word in found or any(start <= match.start() < end for start, end in quoted):
            continue
        if not (word.islower() or word[1:].islower() or shouted):
            continue
        terms = analyse(word.casefold(), language)
        if len(terms) != 1 or holders(terms[0]) or (familiar and familiar(word.casefold())):
            continue
        if meant := _meant(word.casefold(), near, language):
            found[word] = _cased(meant, word)
    if not found:
        return query

    def replaced(match: re.Match[str]) -> str:
        inside = any(start <= match.start() < end for start, end in quoted)
        return match.group() if inside else found.get(match.group(), match.group())

    text = _PLAIN.sub(replaced, query.text)
    corrections = tuple(Correction(written, searched) for written, searched in found.items())
    return replace(query, text=text, words=text, corrections=corrections)


def _meant(word: str, near: Near, language: str) -> str:
    """The one word that stands out among those with the fewest edits, or "".

    The first letter is hardly ever wrong: another one would make auth of oauth and logging of hogging, so it may only
    be swapped with the second. And a word with something at its end is another form, scapular of scapula, unless its
    last letter is only doubled.
    """
    candidates = near(word, 2 if len(word) >= LONG_WORD else 1)
    fewest = min((edits for edits, _ in candidates.values()), default=0)
    terms: dict[tuple[str, ...], int] = {}
    spelled: dict[tuple[str, ...], tuple[int, str]] = {}
    for other, (edits, chunks) in sorted(candidates.items()):
        longer = word.startswith(other) and word[-1] != other[-1]
        swapped = edits == 1 and other[:2] == word[1::-1]
        if edits > fewest or longer or (other[0] != word[0] and not swapped):
            continue
        term = tuple(analyse(other, language)) or (other,)  # a stop word stands for itself
        terms[term] = terms.get(term, 0) + chunks
        spelled[term] = max(spelled.get(term, (0, "")), (chunks, other))
    ranked = sorted(terms.items(), key=lambda item: -item[1])
    if not ranked or (len(ranked) > 1 and ranked[0][1] < COMMONER * ranked[1][1]):
        return ""
    return spelled[ranked[0][0]][1]


def _cased(word: str, like: str) -> str:
    if like.isupper():
        return word.upper()
    return word.capitalize() if like[0].isupper() else word


# ---------------------------------------------------------------- what there is to say


def notices(
    query: Query, *, held: bool = True, elsewhere: Sequence[str] = (), filtered: bool = False
) -> tuple[str, ...]:
    """What a user should know about how the query was read; `held` tells whether any hit holds its phrases.

    `elsewhere` are versions that were not searched, the latest first, of which documents hold them; `filtered` tells
    whether filters left some documents out.
    """
    said = [f'searched for "{one.searched}", not "{one.written}"' for one in query.corrections]
    if query.phrases and not held:
        quoted = " and ".join(f'"{phrase}"' for phrase in query.phrases)
        if elsewhere:
            kind = "other" if query.versions or filtered else "older"
            said.append(
                f"only {kind} versions hold {quoted}: {some(elsewhere)}; "
                f"search them with --doc-version {elsewhere[0]}, or every version with --doc-version all"
            )
        else:
            where = " that the filters leave" if filtered else ""
            near = "without the quotation marks, passages that come near are found"
            said.append(f"no passage{where} holds {quoted}; {near}")
    if not query.phrases and not query.error and (mentioned := next(_phrases(query.text), "")):
        said.append(f'the query is longer than {PROSE_WORDS} words: "{mentioned}" need not be found word for word')
    return tuple(said)


def some(versions: Sequence[str]) -> str:
    """A few versions by name, and how many more there are.

    >>> some(["2.0", "1.9"]), some([f"1.{n}" for n in range(9)])
    ('2.0, 1.9', '1.0, 1.1, 1.2, 1.3, 1.4 and 4 more')
    """
    more = len(versions) - SHOWN_VERSIONS
    return ", ".join(versions[:SHOWN_VERSIONS]) + (f" and {more} more" if more > 0 else "")
