"""Questions made of facts rather than found: over two passages, and such as the corpus does not answer.

Pure. Knows facts and, for what must not be answered, the texts of the whole corpus; knows nothing of searches.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence

from ragkit.evaluation.passages import Fact
from ragkit.evaluation.phrasing import is_name, topic_words, words

MAX_WORDS = 28
"""Of a question over two passages."""

# ---------------------------------------------------------------- over two passages


def joined(one: Fact, two: Fact) -> str:
    """One question that needs both facts; "" when the two do not belong together.

    >>> from ragkit.evaluation.phrasing import Asked
    >>> def term(t): return Fact("definition", Asked("what-is", "", (f"a {t}", t, "is")), 0, 1, t)
    >>> joined(term("role"), term("user role"))
    'What is the difference between a role and a user role?'
    """
    text = (
        _joined(one, two)
        if one.asked.form == two.asked.form and one.subject.casefold() != two.subject.casefold()
        else ""
    )
    return text if len(text.split()) <= MAX_WORDS else ""


def _joined(one: Fact, two: Fact) -> str:
    form, first, second = one.asked.form, one.asked.parts, two.asked.parts
    if form == "what-is" and first[2] == second[2]:
        # Two things have a difference worth asking about when their names say that they are of a kind.
        alike = not _last(first[1]).isdisjoint(_last(second[1]))
        return f"What is the difference between {first[0]} and {second[0]}?" if alike else ""
    shared = {word.casefold() for word in topic_words(one.subject)} & {w.casefold() for w in topic_words(two.subject)}
    if form == "how" and shared - {_verb(first[0]), _verb(second[0])}:
        return f"How do I {first[0]}, and how do I {second[0]}?" if _verb(first[0]) != _verb(second[0]) else ""
    if form == "happens" and shared and first[0] == second[0]:
        nested = first[1] in second[1] or second[1] in first[1]
        return "" if nested else f"What happens {first[0]} {first[1]}, and what happens {second[0]} {second[1]}?"
    if form == "does" and " " not in first[0] + second[0]:
        return f"What are {first[0]} and {second[0]} used for?"
    if form == "returns" and first[0].rpartition(".")[0] == second[0].rpartition(".")[0] != "":
        return f"What do {first[0]} and {second[0]} return?"
    if form == "default" and one.subject != two.subject:
        return f"What are the default values of {first[0]} and {second[0]}?"
    return ""


def _last(term: str) -> set[str]:
    parts = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", term)
    return {parts[-1].casefold().rstrip("s")} if parts else set()


def _verb(task: str) -> str:
    return task.partition(" ")[0]


# ---------------------------------------------------------------- not answered

# A way of doing it, and words one of which a passage about it would have.
_WAYS = (
    ("from my phone", ("phone", "mobile", "android", "ios")),
    ("with Ansible", ("ansible",)),
    ("with Terraform", ("terraform",)),
    ("with Puppet", ("puppet",)),
    ("on FreeBSD", ("freebsd", "bsd")),
    ("on Solaris", ("solaris",)),
    ("from PowerShell", ("powershell",)),
    ("from Jenkins", ("jenkins",)),
    ("in a Jupyter notebook", ("jupyter", "notebook")),
    ("from Visual Studio Code", ("visual studio", "vs code", "vscode")),
    ("on a Raspberry Pi", ("raspberry",)),
    ("from a spreadsheet", ("excel", "spreadsheet")),
)
# What is rarely written about a thing, and words one of which a passage about it would have beside its name.
_ASPECTS = (
    ("Who came up with {0}?", ("invent", "author", "created by", "designed by", "developed by", "written by")),
    ("Which book is best for learning about {0}?", ("book",)),
    ("Is there a video course about {0}?", ("video", "course")),
    ("Is there a certification exam about {0}?", ("certificat", "exam ")),
    ("Which companies use {0} in production?", ("compan", "production")),
)
# The same of a setting, an option or a field.
_NAME_ASPECTS = (
    ("In which version was {0} removed?", ("remov", "deprecat", "no longer")),
    ("What is the maximum value of {0}?", ("max", "at most", "limit", "up to", "less than")),
    ("Which environment variable overrides {0}?", ("environment", "env")),
    ("Does {0} need a restart to take effect?", ("restart", "reload")),
    ("Is there a short form of {0}?", ("short", "abbrev", "alias")),
)
_OTHER_VERBS = (
    ("rename", ("renam",)), ("encrypt", ("encrypt", "crypt")), ("translate", ("translat", "locali", "i18n")),
    ("archive", ("archiv",)), ("duplicate", ("duplic", "copy", "copies", "clone")), ("compress", ("compress", "zip")),
    ("print", ("print",)), ("publish", ("publish",)),
    ("benchmark", ("benchmark", "performance")), ("lock", ("lock",)), ("back up", ("backup", "back up", "snapshot")),
    ("schedule", ("schedul", "cron")), ("share", ("shar",)),
)  # fmt: skip
_OBJECT = re.compile(r"^(?:the|an?|my) [\w.-]+(?: [\w.-]+){0,2}$")
_TASK = re.compile(r"^[a-z]+ (?:(?:the|an?|my) )?(?!any\b|all\b)[\w.-]+(?: [\w.-]+){0,3}$")


def unanswered(fact: Fact, texts: Sequence[str], chooser: random.Random, taken: Sequence[str] = ()) -> str:
    """A question near the fact that no text of the corpus answers; "" when none can be made.

    `texts` are the corpus's passages in small letters. That nothing answers it follows from words that an answer
    would have and no passage has: corpus-wide for a way of doing it, beside the thing's name for the rest. No two
    questions, `taken` included, ask for the same way.
    """
    makers = (_another_verb, _another_way) if fact.asked.form == "how" else (_another_aspect, _another_property)
    ways = [way for way, _ in _WAYS if any(text.endswith(f" {way}?") for text in taken)]
    made = (text for maker in makers for text in maker(fact, texts, chooser))
    return next((text for text in made if not text.removesuffix("?").endswith(tuple(ways) or "?")), "")


def _another_way(fact: Fact, texts: Sequence[str], chooser: random.Random) -> Iterator[str]:
    task = fact.asked.parts[0]
    if (
        task.startswith(("make ", "keep ", "leave "))
        or not _TASK.match(task)
        or re.search(r"\b(?:in|on|with|from|by|using|through|via|for|over)\b", task)
    ):
        return
    for way, signs in chooser.sample(_WAYS, len(_WAYS)):
        if not _any_holds(texts, (), signs):
            yield f"How do I {task} {way}?"


def _another_verb(fact: Fact, texts: Sequence[str], chooser: random.Random) -> Iterator[str]:
    verb, _, thing = fact.asked.parts[0].partition(" ")
    if not _OBJECT.match(thing) or not topic_words(thing) or verb in ("make", "keep", "leave", "set", "work", "get"):
        return
    for other, signs in chooser.sample(_OTHER_VERBS, len(_OTHER_VERBS)):
        if other != verb and not _any_holds(texts, _stems(thing), signs):
            yield f"How do I {other} {thing}?"


def _another_aspect(fact: Fact, texts: Sequence[str], chooser: random.Random) -> Iterator[str]:
    if (
        fact.asked.form != "what-is"
        or fact.asked.parts[0][:2] in ("a ", "an")
        or len(fact.asked.parts[1].split()) > 3
    ):
        return
    term = fact.asked.parts[0]
    if is_name(term) and re.search(r"[_.\d]|^[a-z]", term):
        return  # nobody asks who invented a setting
    for form, signs in chooser.sample(_ASPECTS, len(_ASPECTS)):
        if not _any_holds(texts, _stems(term), signs):
            yield form.format(term)


def _another_property(fact: Fact, texts: Sequence[str], chooser: random.Random) -> Iterator[str]:
    if fact.asked.form not in ("does", "default") or not is_name(fact.subject) or " " in fact.subject:
        return
    for form, signs in chooser.sample(_NAME_ASPECTS, len(_NAME_ASPECTS)):
        if not _any_holds(texts, (fact.subject.casefold(),), signs):
            yield form.format(fact.subject)


def _stems(thing: str) -> tuple[str, ...]:
    """What a passage about a thing would hold: its topic words, without a plural's ending."""
    return tuple(word.casefold().rstrip("s") for word in topic_words(thing) or words(thing))


def _any_holds(texts: Sequence[str], every: Sequence[str], one_of: Sequence[str]) -> bool:
    """Whether a text holds each of `every` and at least one of `one_of`, all at the start of a word."""
    signs = [re.compile(rf"(?<![a-z]){re.escape(sign)}") for sign in one_of]
    for text in texts:
        if (
            all(word in text for word in every)
            and any(s in text for s in one_of)
            and any(p.search(text) for p in signs)
        ):
            return True
    return False
