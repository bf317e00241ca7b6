"""Find what a passage says in a form that a question can be made of: definitions, purposes, conditions, lists.

Pure. Knows a passage's text, its headings and English phrasing; knows nothing of corpora, searches or files. Strict
on purpose: documentation says thousands of things, so whatever may read badly as a question is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from ragkit.evaluation.layouts import KINDS_OF_THINGS, entries, lists, signatures, tables
from ragkit.evaluation.passages import (
    Fact,
    View,
    is_specific,
    is_whole,
    leads_on,
    lower_title,
    lowered,
    plain,
    prose,
    span,
    with_topic,
)
from ragkit.evaluation.phrasing import (
    GENERIC,
    Asked,
    as_asker,
    instruction,
    is_imperative,
    is_name,
    lower_first,
    points_elsewhere,
    topic_words,
)

MAX_WORDS = 20
"""Words of a question: people ask shorter ones."""


def facts(view: View) -> list[Fact]:
    """Every fact of a passage, in order of its patterns; questions too long or empty are left out.

    >>> [fact.asked.text for fact in facts(View("To restore a backup, run `vault restore`."))]
    ['How do I restore a backup?']
    """
    found = [fact for finder in _FINDERS for fact in finder(view)]
    return [fact for fact in found if 3 <= len(fact.asked.text.split()) <= MAX_WORDS and is_whole(fact.asked.text)]


# ---------------------------------------------------------------- headings and purposes


def _how(view: View, task: str) -> Asked | None:
    """`How do I ...?`, with the topic in front where the object alone says too little."""
    thing = task.partition(" ")[2]
    if is_specific(task) or len(topic_words(thing)) >= (2 if thing.startswith(("the ", "my ")) else 1):
        return Asked("how", f"How do I {task}?", (task,))
    text = with_topic(view, f"How do I {task}?", task)
    return Asked("free", text) if text else None


_THIN = re.compile(r"^(?:\w+ )(?:a |an |the |your |my |some |any |new |all )*(\S+)$")


def _task(text: str) -> str:
    """A verb phrase that can be asked for by itself, said by the asker; "" when there is none."""
    task = re.sub(r"\b(the|a|an|to|of) \1\b", r"\1", instruction(text.rstrip(" .:")))
    if not task or points_elsewhere(task) or not topic_words(task):
        return ""
    thin = _THIN.match(task)
    if thin and (thin[1].casefold() in GENERIC or thin[1].casefold().rstrip("s") in GENERIC):
        return ""
    if re.match(r"\w+ that \w+(?: (?:in|to|with|on|by)\b|$)", task):
        return ""
    if re.search(r"\b(?:more|information|details|or not|do so)\b|[,;?!]", task) or not 2 <= len(task.split()) <= 14:
        return ""
    return as_asker(task)


def _headings(view: View) -> Iterator[Fact]:
    """A section that is headed by a task, answered by its first instruction."""
    heading = plain(view.heading[-1]) if view.heading else ""
    heading = re.sub(r"^(?:\d+\.)+\d*\s*|^Step \d+[:.]\s*", "", heading)
    if not view.opens or not heading or heading.endswith("?"):
        return
    task = _task(re.sub(r"\s*\([^)]*\)$", "", _sentence_case(heading, view.text)))
    question = _how(view, task)
    if not task or not question:
        return
    first = True
    for at, text in prose(view):
        if text.casefold().strip(".:") == heading.casefold():
            continue
        told = _tells(task, text, first=first) and not leads_on(view, at)
        first = False
        if not told:
            continue
        start, end = span(view, at)
        yield Fact("heading", question, start, end, task)
        return


def _tells(task: str, text: str, *, first: bool) -> bool:
    """Whether a sentence below a heading says how the task is done; the first one may share less with it."""
    if not text[:1].isupper() or _EMPTY.search(text) or re.match(r"You \w+ (?:be|have)\b", text):
        return False
    if re.match(r"(?:\S+ ){0,6}(?:this|so|it|that|them|these|such|those)\b", text):
        return False
    said = {word.casefold() for word in topic_words(text)}
    shared = sum(word.casefold() in said for word in dict.fromkeys(topic_words(task)))
    if shared < (1 if first else 2):
        return False
    purpose = re.match(r"(?:In order t|T)o (\w+) [^,]+, (.+)", text)
    if purpose and purpose[1] != task.partition(" ")[0]:
        return False
    return is_imperative(purpose[2] if purpose else text)


def _sentence_case(heading: str, text: str) -> str:
    """A heading in Title Case, as it stands in a sentence; what the text writes with a capital keeps it."""
    parts = heading.split()
    long = [part for part in parts[1:] if len(part) > 3 and part.isalpha()]
    if not long or not all(part[0].isupper() for part in long):
        return heading

    def lowered(part: str) -> str:
        plain_word = part.isalpha() and part[1:].islower()
        return part.lower() if plain_word and not re.search(rf"[a-z,] {part}\b", text) else part

    return " ".join([parts[0], *map(lowered, parts[1:])])


_PURPOSE = re.compile(
    r"^(?:In order t|T)o ((?!be\b|do so\b|learn\b|understand\b|summari|continue\b|read more|see more|know\b|this\b|"
    r"help\b|begin\b|get started|answer\b|illustrate\b|demonstrate\b|avoid\b|simplify\b|follow\b)"
    r"[a-z]+ [^,:]{4,90}), "
    r"(?:you (?:can |must |need to |have to |should |may |will need to )?|first,? |simply |just )?([a-z]+)\b(.*)$"
)
_CAN = re.compile(
    r"^You can ([a-z]+ [^,:;]{6,90}?) (?:by|using|through|via|with the) ((?:[a-z]+ing|the|a|an|`?-)[^.]*)"
)


def _purposes(view: View) -> Iterator[Fact]:
    """`To X, run Y` and `You can X by Y` answer `How do I X?`."""
    for at, text in prose(view):
        found = _PURPOSE.match(text)
        if found and not is_imperative(found[2] + found[3]):
            continue
        found = found or _CAN.match(text)
        task = _task(found[1]) if found else ""
        if not task or leads_on(view, at) or _EMPTY.search(text) or re.search(r", (?:see|refer to|read)\b", text):
            continue
        if question := _how(view, task):
            yield Fact("purpose", question, *span(view, at), task)


def _faqs(view: View) -> Iterator[Fact]:
    """A heading that asks, answered by the first sentence below it; asked a little otherwise than it stands there."""
    heading = plain(view.heading[-1]).strip() if view.heading else ""
    heading = re.sub(r"^(?:\d+\.)+\d*\s*", "", heading)
    if not view.opens or not heading.endswith("?") or points_elsewhere(heading) or len(topic_words(heading)) < 2:
        return
    asked = _faq_question(heading)
    for at, text in prose(view):
        if text.casefold() != heading.casefold() and not leads_on(view, at) and len(text.split()) >= 5:
            start, end = span(view, at)
            yield Fact("faq", asked, start, _paragraph_end(view, at, start, end), " ".join(topic_words(heading)[:4]))
            return


def _paragraph_end(view: View, at: int, start: int, end: int) -> int:
    """The end of the sentences that follow without a blank line between, up to 400 characters in all."""
    for unit in view.units[at + 1 :]:
        if unit.kind != "sentence" or unit.end - start > 400 or "\n\n" in view.text[end : unit.start]:
            break
        end = unit.end
    return end


_TURNED = (
    (re.compile(r"^What (?:do|does) (.+) mean\?$"), r"What is the meaning of \1?"),
    (re.compile(r"^What happens to (.+) (when|if) (.+)\?$"), r"What becomes of \1 \2 \3?"),
    (re.compile(r"^Which (.+)\?$"), r"What \1?"),
    (re.compile(r"^What is ((?:an? |the )?\w+(?: \w+)?)\?$"), r"Can you explain what \1 is?"),
    (re.compile(r"^Can (?:I|you|we) (.+)\?$"), r"Is it possible to \1?"),
    (re.compile(r"^Can ((?:an? |the )?\w+) (.+)\?$"), r"Is it possible for \1 to \2?"),
    (re.compile(r"^When (do|does|is|are) (.+)\?$"), r"In which cases \1 \2?"),
    (re.compile(r"^(?:Where|How) (?:do|can) (?:I|you|we) find (.+)\?$"), r"Where is \1 to be found?"),
)


def _faq_question(heading: str) -> Asked:
    """The question of a heading in other words, where its form has others: as it stands, it gives itself away."""
    task = re.match(r"How (?:do|can|should|would) (?:I|you|we) (.+)\?$", heading)
    if task and (how := _task(task[1])):
        return Asked("how", f"What do I have to do to {how}?", (how,))
    for pattern, replacement in _TURNED:
        if pattern.match(heading):
            return Asked("free", pattern.sub(replacement, as_asker(heading)))
    return Asked("free", as_asker(heading))


# ---------------------------------------------------------------- definitions and entries

_IS_A = re.compile(r"^(?:(An?|The) )?([\w`][\w.+/-]*(?: [\w.+/-]+){0,3}?) (is|are|refers to|stands for) (.+)$")
_NO_DEFINITION = re.compile(
    r"^(?:good|bad|not|the same|the following|the only|the first|the last|the case|the most|the best|the default|"
    r"the preferred|the recommended|the responsibility|an? (?:good|bad|common|list|example|must|matter|problem|"
    r"mistake|number|requirement|required|mandatory|optional|valid|comma|few|lot|bit|little|great|string|list|tuple|boolean|"
    r"single|different|new|further|simple example|result|technology preview)\b|an integer)",
    re.IGNORECASE,
)


def _definitions(view: View) -> Iterator[Fact]:
    """`A DaemonSet is a ...`, where headings or markup show that the subject is a term."""
    for at, text in prose(view):
        found = None if view.symbol else _IS_A.match(text)
        if not found or leads_on(view, at) or len(text.split()) < 7:
            continue
        lead, term, verb, predicate = found.groups()
        if (
            not re.match(KINDS_OF_THINGS, predicate)
            or _NO_DEFINITION.match(predicate)
            or not _is_term(view, term, at)
        ):
            continue
        term = term if lead else lowered(view, term)
        asked = _what_is(term, lead or "", plural=verb == "are")
        if asked and not points_elsewhere(term):
            yield Fact("definition", asked, *span(view, at), term)


def _is_term(view: View, term: str, at: int) -> bool:
    """Whether something shows that a noun phrase is a term: a heading, emphasis, code, its spelling."""
    parts = term.split()
    if not topic_words(term) or any(
        part.casefold() in ("and", "or", "that", "of", "in", "for", "to") for part in parts
    ):
        return False
    if parts[0].casefold() in GENERIC and len(parts) == 1:
        return False
    pure = term.casefold().rstrip("s")
    headed = any(pure in plain(part).casefold() for part in (*view.heading[-2:], view.title))
    marked = re.search(rf"(?:\*\*|`|\"|_|\*){re.escape(term)}(?:\*\*|`|\"|_|\*)", view.units[at].text)
    glossary = f'text="{term}"' in view.units[at].text
    return headed or bool(marked) or glossary or (len(term) > 2 and all(is_name(part) for part in parts))


def _what_is(term: str, lead: str, *, plural: bool) -> Asked | None:
    if len(re.findall(r"[^\W\d_]", term)) < 3 or term.casefold() in GENERIC:
        return None
    if not plural and not lead and term.endswith("s") and not any(map(is_name, term.split())):
        return None  # a slip of the text: "namespaces is"
    named = lead.lower() + " " if lead else ""
    if is_name(term) and " " not in term and lead == "" and not re.search(r"[A-Z]", term):
        return Asked("does", f"What is {term} used for?", (term,))
    shown = term if is_name(term.split()[0]) or (not lead and not plural) else lower_title(term)
    verb = "are" if plural else "is"
    return Asked("what-is", f"What {verb} {named}{shown}?", (f"{named}{shown}", shown, verb))


# ---------------------------------------------------------------- conditions, reasons, order

_SUBJECT = re.compile(
    r"^(?:the|an?|no|any|all|both|your|you|there|two|three|multiple|some|several|one of|one or|more|each|every|"
    r"neither|nothing|nobody|someone|[A-Z`-]\S*|\S*[_\d./]\S*)\b"
)  # fmt: skip
_FINITE = re.compile(
    r"\b(?:is|are|was|were|has|have|had|do|does|did|can|cannot|can't|will|would|may|must|should|isn't|aren't|doesn't|"
    r"don't|need|want|use|run|set|delete|create|change|remove|add|see|get|try|call|specify|enable|disable|start|stop|"
    r"update|upgrade|install|omit|pass|leave|\w{3,}(?:s|ed))\b"
)
_CONDITION = re.compile(r"^(If|When|Whenever|Once|Unless) ([^,:;]{10,100}), (?:then )?(.{15,})$")
# Main clauses that answer nothing.
_EMPTY = re.compile(
    r"^(?:please )?(?:see|refer|read|this|these|that|there|continue)\b|\b(?:this page|continue reading|"
    r"for (?:more|further) (?:details|information)|the following (?:example|section)|below|above)\b",
    re.IGNORECASE,
)
_WANTS = re.compile(r"^you(?:'d like to| want to| need to| wish to| would like to| have to| prefer to) (.+)$")


def _conditions(view: View) -> Iterator[Fact]:
    """`If the node fails, ...` answers `What happens if the node fails?`."""
    for at, text in prose(view):
        found = _CONDITION.match(text)
        if not found or leads_on(view, at):
            continue
        word, clause, rest = found.groups()
        if wants := _WANTS.match(clause):
            task = _task(wants[1])
            question = _how(view, task) if task else None
            if question and is_imperative(rest) and not points_elsewhere(rest[:40]) and not _EMPTY.search(rest):
                yield Fact("purpose", question, *span(view, at), task)
            continue
        clause = re.sub(r"\s*\([^)]*\)", "", clause)
        if not _askable(clause) or word == "Unless" or _EMPTY.search(rest):
            continue
        asked = _if(view, word, clause, rest)
        if asked:
            yield Fact("condition", asked, *span(view, at), " ".join(topic_words(clause)[:4]))


def _askable(clause: str) -> bool:
    """A clause of its own: a subject, a verb, nothing that points elsewhere, short enough to be asked."""
    return bool(
        _SUBJECT.match(clause)
        and _FINITE.search(clause)
        and len(clause.split()) <= 14
        and len(topic_words(clause)) >= 1
        and not points_elsewhere(clause)
        and not re.match(r"you (?:want|need|prefer|wish|like)\b", clause)
        and not re.search(r"\b(?:is|are|was|the|an?|to|of|by|with|for)$", clause)
    )


def _if(view: View, word: str, clause: str, rest: str) -> Asked | None:
    clause = as_asker(lower_first(clause))
    link = {"If": "if", "When": "when", "Whenever": "when", "Once": "after"}[word]
    if view.symbol:
        if is_imperative(rest) or points_elsewhere(rest.split(",")[0]):
            return None
        question = f"What does {view.symbol} do {link} {clause}?"
        return Asked("free", question)
    if is_imperative(rest):
        text = with_topic(view, f"What should I do {link} {clause}?", clause)
        return Asked("to-do", text, (link, clause)) if text else None
    text = with_topic(view, f"What happens {link} {clause}?", clause)
    scoped = text.startswith("With ")
    return Asked("free" if scoped else "happens", text, (link, clause)) if text else None


_BECAUSE = re.compile(
    r"^((?:The |An? )[\w.-]+(?: [\w.-]+){0,3}?|[A-Z][\w.-]+(?: [\w.-]+)?) (is|are|can|cannot|must|should) "
    r"([^,;:]{8,90}?),? (?:because|since) (?!of\b|[\d.]+|version|[A-Z]\w+ [\d.]+)(.{12,})$"
)


def _reasons(view: View) -> Iterator[Fact]:
    """`X is Y because Z` answers `Why is X Y?`."""
    for at, text in prose(view):
        found = _BECAUSE.match(text)
        if not found:
            continue
        subject, verb, rest, _ = found.groups()
        subject = lowered(view, subject)
        clause = f"{subject} {verb} {rest}"
        odd = re.search(r"\b(?:if|not|\w+ing|keep|note|only|you|that)\b", subject) or " if " in rest
        if points_elsewhere(clause) or not is_specific(clause) or not topic_words(subject) or odd:
            continue
        verb_first = "can't" if verb == "cannot" else verb
        text = as_asker(f"Why {verb_first} {subject} {rest}?")
        yield Fact("reason", Asked("why", text, (as_asker(clause),)), *span(view, at), subject)


_BEFORE = re.compile(r"^Before (you (?:can )?[a-z]+ [^,:]{5,70}|[a-z]+ing [^,:]{5,70}), (.{15,})$")


def _orders(view: View) -> Iterator[Fact]:
    """`Before you X, do Y` answers `What do I have to do before I X?`."""
    for at, text in prose(view):
        found = _BEFORE.match(text)
        if not found or not is_imperative(found[2]) or points_elsewhere(found[1]) or leads_on(view, at):
            continue
        if not (is_specific(found[1]) or len(topic_words(found[1])) >= 2):
            continue
        clause = as_asker(found[1].replace("you can ", "you "))
        text = f"What do I have to do before {clause}?"
        yield Fact("order", Asked("before", text, (clause,)), *span(view, at), " ".join(topic_words(clause)[:4]))


_DEFAULTS = (
    re.compile(r"^((?:The )?[\w./-]+(?: [\w./-]+){0,3}?) defaults to (?!\w+ing\b)\S"),
    re.compile(r"^The default (?:value )?(?:of|for) ((?:the )?[\w./-]+(?: [\w./-]+){0,4}?) is \S"),
    re.compile(r"^The default ([a-z]+(?: [\w./-]+){0,3}?) is (?!used|given|to\b)\S"),
)


def _defaults(view: View) -> Iterator[Fact]:
    """`X defaults to Y` and `The default of X is Y`."""
    for at, text in prose(view):
        for number, pattern in enumerate(_DEFAULTS):
            found = pattern.match(text)
            if not found:
                continue
            name = lower_first(found[1])
            shown = f"default {name}" if number == 2 else name
            odd = re.search(r"\b(?:and|or|is|are|now|which|that|not|always|most|value)\b", name)
            if points_elsewhere(name) or odd or not topic_words(name) or leads_on(view, at):
                break
            if number < 2 and not (name.startswith("the ") or is_name(name)):
                break
            question = f"What is the {shown}?" if number == 2 else f"What is the default value of {shown}?"
            text = with_topic(view, question, shown)
            if text and not (number == 2 and text[:4] != "With" and not is_specific(name)):
                form = Asked("default", text, (shown,)) if number < 2 and text == question else Asked("free", text)
                yield Fact("default", form, *span(view, at), name)
            break


_FINDERS: tuple[Callable[[View], Iterator[Fact]], ...] = (
    _faqs, _headings, _definitions, _purposes, _conditions, _reasons, _orders, _defaults, lists, entries, tables,
    signatures,
)  # fmt: skip
