"""Read a passage the way a question is made of it: in plain words, sentence by sentence, with its topic.

Pure. Knows a passage's text and headings, the marks of Markdown, reStructuredText and HTML, and what a reader who
does not have the page open would understand; knows nothing of corpora or files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

from ragkit.evaluation.phrasing import Asked, instruction, is_name, lower_first, topic_words, upper_first, words
from ragkit.units import Unit, units

Pattern: TypeAlias = Literal[
    "heading", "faq", "definition", "purpose", "condition", "reason", "order", "default", "list", "entry", "table",
    "signature", "written",
]  # fmt: skip
MAX_EVIDENCE = 700
"""Characters of a quote: a list or a command is taken along with the sentence that leads to it, up to here."""


@dataclass(frozen=True, slots=True)
class Fact:
    """`text[start:end]` of the passage answers the question; `subject` is what it is about.

    `answer` is the part of it that says it, in plain words, where the evidence is more than that: a cell of a row.
    """

    pattern: Pattern
    asked: Asked
    start: int
    end: int
    subject: str
    answer: str = ""


class View:
    """A passage as patterns look at it. `opens` says that it is the first of its section."""

    def __init__(self, text: str, heading: Sequence[str] = (), title: str = "", *, opens: bool = False) -> None:
        self.text = text
        self.heading = tuple(heading)
        self.title = title
        self.opens = opens

    @cached_property
    def units(self) -> list[Unit]:
        """Sentences, items, rows and lines of code."""
        return units(self.text)

    @cached_property
    def symbol(self) -> str:
        """The function or class that the section describes, or ""."""
        last = self.heading[-1] if self.heading else ""
        return last if re.fullmatch(r"[A-Za-z_]\w*(?:(?:\.|::)\w+)+|[a-z]\w*_\w+", last) else ""

    @cached_property
    def topic(self) -> str:
        """What the page is about, as it can follow `with`; "" when no heading says it."""
        return next((name for name in map(_topic, (*reversed(self.heading), self.title)) if name), "")


_HEADING = re.compile(r"^(#{1,6}|={2,6})[ \t]+(.+?)[ \t#=]*$", re.MULTILINE)
_ANCHOR = re.compile(r"\s*\{#[^}]*\}$")


def heading_at(heading: Sequence[str], text: str, offset: int) -> tuple[str, ...]:
    """The heading path at a character of a chunk, which may hold several sections and is headed by what they share.

    Headings within the chunk are seen in Markdown and AsciiDoc; elsewhere the path stays the chunk's.

    >>> heading_at(("Backups",), "# Backups\\n\\n## Restore\\n\\nRun it.", 24)
    ('Backups', 'Restore')
    """
    stack: list[tuple[int, str]] = []
    for match in _HEADING.finditer(text, 0, offset):
        level = len(match[1])
        stack = [one for one in stack if one[0] < level]
        stack.append((level, _ANCHOR.sub("", match[2])))
    names = [name for _, name in stack]
    if not names:
        return tuple(heading)
    base = list(heading)
    at = base.index(names[0]) if names[0] in base else len(base)
    return tuple(base[:at] + names)


# ---------------------------------------------------------------- markup

_MARKUP: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\{\{<[^>]*?\btext=\"([^\"]*)\"[^>]*>\}\}"), r"\1"),
    (re.compile(r"\{\{[^}]*\}\}"), ""),
    (re.compile(r"```+[\w-]*|~~~+"), " "),
    (re.compile(r"!\[[^\]]*\]\([^)]*\)"), ""),
    (re.compile(r"\[([^\]]+)\]\([^)\s]*(?:\s+\"[^\"]*\")?\)|\[([^\]]+)\]\[[^\]]*\]"), r"\1\2"),
    (re.compile(r":[a-z:+]+:`~?([^`<]+?)(?:\s*<[^`>]*>)?`"), r"\1"),
    (re.compile(r"``?([^`]+)``?"), r"\1"),
    (re.compile(r"\*\*([^*\n]+)\*\*|(?<![\w*])\*([^*\s][^*\n]*)\*(?![\w*])"), r"\1\2"),
    (re.compile(r"(?<!\w)_([^_\s][^_\n]*)_(?!\w)"), r"\1"),
    (re.compile(r"</?[a-z]\w*(?:\s[^>]*)?/?>"), ""),
    (re.compile(r"^#{1,6}\s+|\s*\{#[\w-]+\}", re.MULTILINE), ""),
)


def plain(text: str) -> str:
    """The text as it is read aloud: without links, emphasis and code marks, on one line.

    >>> plain("Use the [`kubelet`](/docs/kubelet) **only**\\n once.")
    'Use the kubelet only once.'
    """
    for pattern, replacement in _MARKUP:
        text = pattern.sub(replacement, text)
    return " ".join(re.sub(r"\\(?=[*_`<>\[\]#|~-])", "", text).split())


def is_whole(text: str) -> bool:
    """No half of a bracket or quotation, nothing left of markup, no sentence within the question."""
    pairs = all(text.count(a) == text.count(b) for a, b in ("()", "[]", "“”", "{}"))
    return pairs and text.count('"') % 2 == 0 and not re.search(r"[|<>{}*`;]|https?:|::|\.\.\.|…|\s[-–—]\s", text)


_ADMONITION = re.compile(
    r"^(?:(?:note|tip|important|warning|caution|info|however|therefore|thus|in addition|instead)\s*[:,]\s+|"
    r"(?:Note|Tip|Important|Warning|Caution)\s+(?=[A-Z]))",
    re.IGNORECASE,
)
_CODE = re.compile(r"^(?:import|from|def|class|return|print)\s\w+(?:[\s.(]|$)|^\W|\s=\s|^\S+\([^)]*\)$")


def prose(view: View) -> Iterator[tuple[int, str]]:
    """(index, plain text) of each unit that says something in a sentence."""
    for at, unit in enumerate(view.units):
        if unit.kind in ("sentence", "item") and 20 <= len(unit.text) <= 500:
            text = plain(unit.text)
            bare = re.sub(r"^(?:Note|Warning|Tip|Important)\s+(?=[A-Z])", "", text)
            bare = re.sub(_ADMONITION, "", bare)
            text = bare if bare == text else upper_first(bare)
            if text and not _CODE.search(text):
                yield at, text


def lowered(view: View, text: str) -> str:
    """A phrase that began a sentence, inside one: its first word is small if the passage has it small elsewhere."""
    first, _, rest = text.partition(" ")
    if is_name(first) or (rest[:1].isupper() and not is_name(rest.split(" ")[0]) and first != "The"):
        return text  # a name of two words
    if first[:1].isupper() and re.search(rf"(?<![\w`.]){re.escape(first.lower())}\b", view.text):
        return f"{first.lower()} {rest}".strip()
    return lower_first(text)


def span(view: View, at: int) -> tuple[int, int]:
    """Where the evidence stands: the unit, and what it leads to when it ends in a colon."""
    start, end = view.units[at].start, view.units[at].end
    if plain(view.units[at].text).endswith(":"):
        for unit in view.units[at + 1 :]:
            if unit.kind not in ("item", "code", "fence", "row") or unit.end - start > MAX_EVIDENCE:
                break
            end = unit.end
    return start, end


def leads_on(view: View, at: int) -> bool:
    """Whether the unit promises something (a colon) that does not come, or not whole, within its evidence."""
    if not plain(view.units[at].text).endswith(":"):
        return False
    end = span(view, at)[1]
    return view.text[:end].rstrip("`*_ ").endswith(":")


# ---------------------------------------------------------------- what is specific enough

_NO_TOPIC = re.compile(
    r"\b(?:cookbook|guide|reference|api|how-?to|tutorial|readme|manual|faq|changelog|notes?|index|introduction|"
    r"overview|examples?|support|supported|configuration|using|about|page|docs?|documentation|"
    r"when|why|how|what|which|where|improved|new|other|removed|deprecated|changes?|build|porting)\b",
    re.IGNORECASE,
)


def _topic(heading: str) -> str:
    """A heading as the name of a topic; "" when it is none."""
    name = re.sub(r"^(?:(?:\d+\.)+|[A-Z]\.\d+\.?)\s*", "", plain(heading)).strip(" .:")
    name = re.split(r"\s[—–-]+\s|:\s", name)[0]
    name = re.sub(r"^The (?=\w)", "the ", name)
    parts = name.split()
    if len(parts) == 1 and name[0].islower() and not is_name(name):
        return ""
    if not 1 <= len(parts) <= 4 or name.endswith(("?", "!")) or _NO_TOPIC.search(name) or instruction(name):
        return ""
    if parts[0].casefold().endswith("ing") or not topic_words(name) or re.search(r"[()\"“,/=]", name):
        return ""
    return name if any(is_name(part) for part in parts) else lower_title(name)


def lower_title(name: str) -> str:
    """A title in small letters, but for words whose capital says more than that they begin a title."""
    first, *rest = name.split()
    if any(part[0].isupper() for part in rest):
        return name
    return " ".join([first[0].lower() + first[1:], *rest])


def is_specific(clause: str) -> bool:
    """Whether a clause can be understood by someone who does not have the page open."""
    named = [word for at, word in enumerate(words(clause)) if is_name(word) or (at and word[0].isupper())]
    named = [word for word in named if word not in ("I", "YAML", "JSON", "API", "URL", "ID", "None", "NULL", "True")]
    return bool(named) or len(topic_words(clause)) >= 4


def with_topic(view: View, question: str, clause: str) -> str:
    """The question, with the page's topic in front where it would not be understood without; "" when it has none."""
    if is_specific(clause):
        return upper_first(question)
    if not view.topic or view.topic.casefold() in clause.casefold() or len(topic_words(clause)) < 1:
        return ""
    lead = "In" if re.search(r"\w[.:]\w", view.topic) else "With"
    return f"{lead} {view.topic}, {question[0].lower()}{question[1:]}"
