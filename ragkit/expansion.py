"""What is asked besides a query: terms of what it finds first, acronyms spelled out, other words for it, its parts.

Knows the text of a query, texts of passages and what a language model writes; knows nothing of indexes, the store or
how hits are ordered. Five methods, each of which gives an `Expansion`:

    feedback      terms that weigh most in the first passages (RM3: Abdul-Jaleel et al., "UMass at TREC 2004")
    acronyms      HPA for horizontal pod autoscaler and the other way round, as the corpus itself introduces them
    paraphrases   the question in other words, by the language model (multi-query)
    hyde          a passage as it might answer, by the language model (Gao et al., "Precise Zero-Shot Dense Retrieval
                  without Relevance Labels", ACL 2023)
    parts         the questions that a question is made of, each searched by itself
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from ragkit.choices import ExpansionMethod
from ragkit.domain import text_hash
from ragkit.domain.answers import GenerationOptions, Message
from ragkit.domain.queries import Expansion
from ragkit.files import write_whole
from ragkit.query import parse
from ragkit.roles import Generator
from ragkit.text import analyse

FEEDBACK_PASSAGES = 10
FEEDBACK_TERMS = 10
FEEDBACK_SHARE = 0.2
"""What the added terms count of the lexical query; its own terms have the rest."""
OWN = 8
"""How often the query's own terms are said: weights are whole numbers, and eight are fine enough."""
OWN_BESIDE_ACRONYMS = 3
"""Likewise: a long form has several words, and all of them are one thing."""
PART_SHARE = 0.9
"""What the score that a passage has for a part counts of one that it has for the whole question."""
PARAPHRASES = 3
PART_TERMS = 2
"""A part with fewer terms asks nothing by itself, unless it asks for something that is rare or a name."""
RARE = 0.05
"""A rare term is held by at most this share of the chunks."""
MOST_PARTS = 4
MAX_TOKENS = {"paraphrases": 80, "hyde": 80}
PROMPTS = {
    "paraphrases": (
        "Write {count} other ways to ask the question, each on its own line. Use other words where there are other "
        "words. Write nothing else.",
        "Question: {question}\n\n{count} other ways to ask it, one a line:",
    ),
    "hyde": (
        "Write two sentences that answer the question, as they would stand in the documentation of the software that "
        "it is about. Write nothing else.",
        "Question: {question}",
    ),
}

_ASKING = (
    r"(?:how|what|why|when|where|which|who|whose|can|could|does|do|did|is|are|was|should|must|will|would|may|has)\b"
)
_BETWEEN = re.compile(
    rf"\?\s+(?=\S)|;\s+|,?\s+(?:and|or|as well as|but|plus)\s+(?:also\s+)?(?={_ASKING})|,\s+(?={_ASKING})|"
    rf",?\s+and\s+also\s+|\n[\s*•-]*(?={_ASKING})",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"(?:^|\s)\(?1[.)]\s.*\s\(?2[.)]\s", re.DOTALL)
_NUMBER = re.compile(r"(?:^|\s+)\(?\d{1,2}[.)]\s+")
_OF_ANOTHER = re.compile(r"\b(?:it|its|they|them|their|this|that|these|those)\b", re.IGNORECASE)
_QUESTION = re.compile(_ASKING, re.IGNORECASE)
_LISTED = re.compile(r"^[\s\-*•\d.)\"'“]+|[\s\"'”]+$")


# ---------------------------------------------------------------- by rule


def feedback(terms: Sequence[str], passages: Sequence[tuple[float, str]], language: str) -> Expansion:
    """RM3 over the lexical side: terms of the first passages (score, text), weighed by how much of each they are.

    Terms and passages are in the analysed form of `language`; a term of the query that is found again counts more.
    """
    total = math.fsum(score for score, _ in passages) or 1.0
    model: dict[str, float] = {}
    for score, text in passages:
        counts = Counter(analyse(text, language))
        length = sum(counts.values()) or 1
        for term, count in counts.items():
            if len(term) > 1 and not term.isdigit():
                model[term] = model.get(term, 0.0) + score / total * count / length
    best = sorted(model.items(), key=lambda item: (-item[1], item[0]))[:FEEDBACK_TERMS]
    mass = math.fsum(weight for _, weight in best) or 1.0
    # As many words as bring the added ones to their share of the whole query.
    words = len(terms) * OWN * FEEDBACK_SHARE / (1 - FEEDBACK_SHARE)
    added = [term for term, weight in best for _ in range(round(words * weight / mass))]
    return Expansion("feedback", tuple(dict.fromkeys(added)), tuple(added), OWN)


def acronyms(known: Sequence[tuple[str, str]], language: str) -> Expansion:
    """Terms of the other spelling of each (written, meant) pair of a query."""
    terms = [term for _, meant in known for term in analyse(meant, language)]
    said = tuple(f"{written}: {meant}" for written, meant in known)
    return Expansion("acronyms", said, tuple(terms), OWN_BESIDE_ACRONYMS)


def parts(text: str, language: str, rare: Callable[[str], bool] | None = None) -> Expansion:
    """The questions that a question is made of; none when it is one. `rare` tells whether few chunks hold a term.

    >>> parts("How do I restore a backup, and what ports does the server listen on?", "english").parts
    ('How do I restore a backup', 'what ports does the server listen on?')
    >>> parts("1. what is SNI 2. how to rotate logs", "english").parts
    ('what is SNI', 'how to rotate logs')
    >>> parts("How are pods created and deleted?", "english").parts
    ()
    """
    pieces = _NUMBER.split(text) if _NUMBERED.search(text) else [text]
    found = [part.strip(" ,;") for piece in pieces for part in _BETWEEN.split(piece.strip())]
    found = [part for part in found if not part.endswith(":") and _asks(part, language, rare)]
    several = tuple(found) if 2 <= len(found) <= MOST_PARTS else ()
    return Expansion("parts", several, parts=several)


def _asks(part: str, language: str, rare: Callable[[str], bool] | None) -> bool:
    """Whether a part asks something by itself: for several things, or for one that says by itself what is meant."""
    terms = set(analyse(part, language))
    if len(terms) >= PART_TERMS or not terms or not _QUESTION.match(part) or _OF_ANOTHER.search(part):
        return len(terms) >= PART_TERMS
    named = parse(part).identifiers or any(len(word) > 1 and word.isupper() for word in re.findall(r"\w+", part))
    return bool(named) or (rare is not None and rare(*terms))


def merged(whole: Mapping[int, float], *others: Mapping[int, float]) -> dict[int, float]:
    """Scores of a whole question and of its parts in one ranking, best first: a passage's best score counts.

    >>> merged({1: 0.5, 2: 0.4}, {2: 0.6}, {3: 0.5})
    {2: 0.54, 1: 0.5, 3: 0.45}
    """
    best = dict(whole)
    for scores in others:
        for id, score in scores.items():
            best[id] = max(round(PART_SHARE * score, 9), best.get(id, 0.0))
    return dict(sorted(best.items(), key=lambda item: (-item[1], item[0])))


# ---------------------------------------------------------------- by the language model


def written(
    method: ExpansionMethod,
    question: str,
    generator: Callable[[], Generator],
    *,
    name: str,
    folder: Path,
    language: str,
) -> Expansion:
    """What a language model of that name writes to a question, or wrote before: it is kept in `folder`.

    The generator is opened only for what is not kept. It is asked greedily, so the same question gets the same reply.
    """
    system, user = PROMPTS[method]
    question = " ".join(question.split())
    values = {"count": str(PARAPHRASES), "question": question}
    asked = [system.format(**values), user.format(**values)]
    kept = folder / f"{text_hash(json.dumps([method, name, MAX_TOKENS[method], asked]))[:32]}.json"
    if (reply := _kept(kept)) is None:
        messages = [Message("system", asked[0]), Message("user", asked[1])]
        options = GenerationOptions(max_tokens=MAX_TOKENS[method], temperature=0.0)
        reply = "".join(generator().generate(messages, options)).strip()
        table = {"method": method, "question": question, "reply": reply}
        with suppress(OSError):  # a store that cannot be written to is no reason not to search
            write_whole(kept, json.dumps(table, ensure_ascii=False).encode())
    if method == "hyde":
        passage = (reply,) if reply else ()
        return Expansion(method, passage, passages=passage)
    lines = [_LISTED.sub("", line) for line in reply.splitlines()]
    asked_as = question.casefold().rstrip(" ?.")
    others = dict.fromkeys(line for line in lines if line and line.casefold().rstrip(" ?.") != asked_as)
    said = tuple(others)[:PARAPHRASES]
    terms = tuple(term for line in said for term in analyse(line, language))
    return Expansion(method, said, terms, own=len(said) or 1, queries=said)


def _kept(path: Path) -> str | None:
    """A reply of before; None when there is none, or none that can be read."""
    try:
        reply = json.loads(path.read_text(encoding="utf-8"))["reply"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return reply if isinstance(reply, str) else None
