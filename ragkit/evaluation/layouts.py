"""Find facts in what a passage lays out: entries, lists, tables, the signatures of functions.

Pure. Knows the marks of lists and tables and English phrasing; knows nothing of corpora, searches or files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ragkit.evaluation.passages import Fact, View, is_specific, lowered, plain, prose, span, with_topic
from ragkit.evaluation.phrasing import (
    GENERIC,
    Asked,
    article,
    is_imperative,
    is_name,
    lower_first,
    points_elsewhere,
    topic_words,
)
from ragkit.units import units

KINDS_OF_THINGS = (
    r"(?:an? |the |one of |any |used (?:to|for|by|as|when|in) |responsible |designed |intended |meant |short for |"
    r"what )"
)


# ---------------------------------------------------------------- entries

_ENTRY = re.compile(
    r"^(?:\*\*|__)?(`[^`]+`|[\w./-]+(?: [\w./-]+){0,3})(?:\*\*|__)?(?:\s*\([^)]*\))?\s*(?:::?|—|–|\s-)\s+(?:\*\*)?"
    r"([A-Z].{20,})$",
    re.DOTALL,
)


def entries(view: View) -> Iterator[Fact]:
    """An item that explains a name or a term: `--flag: Does this`."""
    for unit in view.units:
        found = _ENTRY.match(unit.text) if unit.kind == "item" and not view.symbol else None
        if not found:
            continue
        name, meaning = plain(found[1]), plain(found[2])
        if (
            len(meaning.split()) < 5
            or meaning.endswith((":", "?"))
            or is_imperative(meaning)
            or points_elsewhere(name)
        ):
            continue
        if re.match(r"(?:See|For|If|When|This|These|It|No|Yes|Not|Only|Must|Should)\b", meaning):
            continue
        if _is_code(name) and len(name) >= 4:
            asked = Asked("does", f"What is {name} used for?", (name,))
        elif (
            found[0].startswith(("**", "__"))
            and topic_words(name)
            and re.match(KINDS_OF_THINGS, meaning, re.IGNORECASE)
        ):
            asked = Asked("free", f"What is meant by {lower_first(name)}?")
        else:
            continue
        yield Fact("entry", asked, unit.start, unit.end, name, meaning)


_NO_NAME = r"[\d.]+|[A-Z]+|[A-Za-z]+-?\d+|.*\.(?:md|html|txt)"


def _is_code(name: str) -> bool:
    return is_name(name) and " " not in name and not re.fullmatch(_NO_NAME, name)


# ---------------------------------------------------------------- lists and tables

_PROVIDES = re.compile(
    r"^((?:The |An? )?[\w.-]+(?: [\w.-]+){0,4}?) (?:currently |also )?(supports?|provides?|offers?|"
    r"includes?|accepts?|contains?|defines?|requires?|recogni[sz]es?|uses?|has|have|consists? of) "
    r"the following ([\w-]+(?: [\w-]+){0,3}):$"
)
_ARE = re.compile(r"^The following ([\w-]+(?: [\w-]+){0,4}) (are|is) ([a-z]+(?: [\w.-]+){0,6}):$")
_THERE = re.compile(
    r"^There are (?:\w+ )?(?:different |main |possible )*(kinds|types|ways|modes|methods|forms|phases|options|"
    r"strategies|levels) (of|to|in) ([\w.-]+(?: [\w.-]+){0,6}):$"
)


def lists(view: View) -> Iterator[Fact]:
    """A list, by the sentence that leads to it: `X supports the following Y:`."""
    for at, text in prose(view):
        if not text.endswith(":") or _items(view, at) < 2:
            continue
        asked = _list_question(view, text)
        if asked and not points_elsewhere(asked.text):
            yield Fact("list", asked, *span(view, at), " ".join(topic_words(asked.text)[:4]))


def _items(view: View, at: int) -> int:
    """How many items follow a unit, all of which are in its evidence."""
    end = span(view, at)[1]
    inside = [unit for unit in view.units[at + 1 :] if unit.end <= end]
    following = view.units[at + 1 + len(inside) : at + 2 + len(inside)]
    whole = not (following and following[0].kind == "item")
    return len(inside) if whole and all(unit.kind == "item" for unit in inside) else 0


def _list_question(view: View, text: str) -> Asked | None:
    if found := _PROVIDES.match(text):
        subject, verb, things = found.groups()
        if not topic_words(subject) or not is_specific(f"x {lowered(view, subject)}"):
            return None
        plural = not verb.endswith("s") and verb != "has"
        base = "have" if verb == "has" else re.sub(r"s( of)?$", r"\1", verb)
        shown = lowered(view, subject)
        return Asked("free", f"Which {things} {'do' if plural else 'does'} {shown} {base}?")
    if found := _ARE.match(text):
        things, verb, rest = found.groups()
        question = with_topic(view, f"Which {things} {verb} {rest}?", f"{things} {rest}")
        form = Asked("which", question, (things, f"that {verb} {rest}"))
        return form if question and question.startswith("Which") else Asked("free", question) if question else None
    if found := _THERE.match(text):
        things, of, rest = found.groups()
        if not topic_words(rest):
            return None
        return Asked("which", f"Which {things} {of} {rest} are there?", (things, f"{of} {rest}"))
    return None


_NAMES = {
    "flag", "option", "parameter", "setting", "field", "variable", "environment variable", "property", "attribute",
    "annotation", "label", "argument", "command", "metric", "key", "function", "method", "operator", "column",
    "measure", "event", "signal", "plugin", "role", "permission", "module",
}  # fmt: skip
_MEANINGS = re.compile(r"description|meaning|purpose|use|explanation|effect|what it does|behaviou?r", re.I)
_CODES = {
    "status",
    "code",
    "exit code",
    "error",
    "error code",
    "status code",
    "reason",
    "state",
    "condition",
    "phase",
}


def tables(view: View) -> Iterator[Fact]:
    """A row of a table whose head says what its columns are: a name and what it is for, a code and what it means."""
    head: list[str] = []
    for unit in view.units:
        if unit.kind != "row":
            head = []
            continue
        cells = [plain(cell) for cell in unit.text.strip().strip("|").split("|")]
        if not head:
            head = [cell.casefold() for cell in cells]
            continue
        asked = _row_question(view, head, cells)
        if asked:
            yield Fact("table", asked, unit.start, unit.end, cells[0], _described(head, cells))


def _described(head: Sequence[str], cells: Sequence[str]) -> str:
    """The cell of a row that says what its first one means."""
    return next((c for h, c in zip(head[1:], cells[1:], strict=False) if _MEANINGS.fullmatch(h)), "")


def _row_question(view: View, head: Sequence[str], cells: Sequence[str]) -> Asked | None:
    if len(cells) != len(head) or len(head) < 2 or not cells[0] or len(cells[0].split()) > 3:
        return None
    thing, name = head[0].rstrip("s") if not head[0].endswith("ss") else head[0], cells[0]
    if len(_described(head, cells).split()) < 4:
        return None
    if thing in _CODES and re.fullmatch(r"[\w -]+", name):
        return Asked("means", f"What does the {thing} {name} mean?", (f"the {thing} {name}",))
    if thing in _NAMES and re.fullmatch(r"[\w.:@/-]+(?:\(\))?", name) and name.casefold() not in GENERIC:
        if not is_name(name):
            text = with_topic(view, f"What is the {thing} {name} for?", name)
            return Asked("free", text) if text and len(name) >= 4 else None
        return Asked("does", f"What is the {thing} {name} for?", (f"the {thing} {name}",))
    return None


# ---------------------------------------------------------------- signatures

_SIGNATURE = re.compile(r"^(?:class |async |def |static |classmethod )*([\w.:]+)\(([^()\n]{0,120})\)", re.MULTILINE)
_RETURNS = re.compile(r"^(?:Return|Returns) (?!value\b|type\b)(.{12,})$", re.DOTALL)
_RAISES = re.compile(r"\b(?:[Rr]aises? (?:an? )?(\w+(?:Error|Exception|Warning)) (?:if|when|unless)|"
                     r"(?:[Aa]n? )?(\w+(?:Error|Exception|Warning)) is raised (?:if|when|unless))\b")  # fmt: skip
_SINCE = re.compile(r"^(New|Deprecated) (?:in|since) version ([\d.]+\d)(?:\.$|,|$)")


def signatures(view: View) -> Iterator[Fact]:
    """What a described function takes, returns and raises, and since when it is there."""
    name = view.symbol
    if not name or not view.text.strip():
        return
    signature = _SIGNATURE.search(view.text)
    if signature and (signature.start() > 40 or not name.endswith(signature[1].rpartition(".")[2])):
        signature = None
    if signature and signature[2].count(",") >= 1 and view.opens:
        text = f"Which arguments does {name} take?"
        yield Fact("signature", Asked("takes", text, (name,)), signature.start(), signature.end(), name)
    after = signature.end() if signature else 0
    for number, (start, end, text) in enumerate(_sentences_after(view, after)):
        if text.endswith(":"):
            continue
        if signature and number == 0 and _RETURNS.match(text):
            yield Fact("signature", Asked("returns", f"What does {name} return?", (name,)), start, end, name)
        elif signature and (raised := _RAISES.search(text)):
            error = raised[1] or raised[2]
            asked = Asked("raises", f"When does {name} raise {article(error)} {error}?", (name, error))
            yield Fact("signature", asked, start, end, name)
        elif since := _SINCE.match(text):
            if since[1] == "New":
                asked = Asked("since", f"In which version was {name} added?", (name,))
            else:
                asked = Asked("free", f"Since which version has {name} been deprecated?")
            yield Fact("signature", asked, start, end, name)


def _sentences_after(view: View, offset: int) -> Iterator[tuple[int, int, str]]:
    """The prose behind a signature, which stands on a line of its own."""
    for unit in units(view.text[offset:]):
        if unit.kind == "sentence":
            yield unit.start + offset, unit.end + offset, plain(unit.text)
