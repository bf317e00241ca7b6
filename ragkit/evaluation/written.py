"""Let the language model write questions to sentences of the corpus, and keep those that can be asked.

Knows messages, sentences and what makes a question unfit; knows nothing of searches. A small model writes much that
nobody would ask, so the checks are strict and what fails them is counted, not mended.
"""

from __future__ import annotations

import dataclasses
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from ragkit import generate
from ragkit.config import GenerateSettings
from ragkit.domain import Passage, Progress
from ragkit.domain.answers import Message
from ragkit.evaluation.datasets import plain_words
from ragkit.evaluation.passages import Fact, View, is_specific, is_whole, leads_on, prose, span
from ragkit.evaluation.phrasing import Asked, as_asker, points_elsewhere, topic_words
from ragkit.roles import Generator

_SYSTEM = (
    "You are given one sentence of a product's documentation. Write the one question that a user of the product "
    "would ask to be told this sentence. Name what the question is about. Do not give the answer away. "
    "Reply with the question alone."
)
_EXAMPLES = (
    (
        "Backups > Retention",
        "Backups are kept for 30 days, and the oldest one is deleted first.",
        "How long are backups kept?",
    ),
    (
        "Ports",
        "The web interface listens on port 8443 unless `listen_port` says otherwise.",
        "On which port does the web interface listen?",
    ),
)
_ASKS = re.compile(
    r"^(?:what|which|when|where|who|why|how|can|could|does|do|is|are|should|must|may|will|in which|on which|to which|"
    r"at which|for which|from which|under which)\b",
    re.IGNORECASE,
)
_ABOUT_THE_TEXT = re.compile(
    r"\b(?:sentence|passage|documentation|document|page|section|text|question|according|mentioned|described|this|"
    r"user|purpose of|correct)\b|^what (?:\w+ )?not\b",
    re.IGNORECASE,
)
_FINITE = re.compile(r"\b(?:is|are|was|has|have|does|do|can|cannot|must|should|will|may|takes|uses|needs|returns)\b")
MAX_NEW_TOKENS = 40


def write_facts(
    generator: Generator,
    passages: Sequence[Passage],
    wanted: int,
    *,
    settings: GenerateSettings,
    chooser: random.Random,
    progress: Progress | None = None,
) -> tuple[list[tuple[Fact, Passage]], Counter[str]]:
    """Up to `wanted` facts with questions that the model wrote, and why others were not kept."""
    options = dataclasses.replace(generate.options(settings), max_tokens=MAX_NEW_TOKENS, temperature=0.0)
    found: list[tuple[Fact, Passage]] = []
    dropped: Counter[str] = Counter()
    for tried, (passage, at, view, sentence) in enumerate(_sentences(passages, chooser)):
        if len(found) == wanted or tried >= 3 * wanted:
            break
        draft = generate.write(generator, _messages(passage, sentence), options)
        question = as_asker(draft.text.strip().split("\n")[0].strip("\"' "))
        if why := unfit(question, sentence):
            dropped[f"written by the model, {why}"] += 1
        else:
            fact = Fact("written", Asked("free", question), *span(view, at), " ".join(topic_words(question)[:4]))
            found.append((fact, passage))
        if progress:
            progress("write questions", len(found), wanted)
    return found, dropped


def _sentences(passages: Sequence[Passage], chooser: random.Random) -> Iterator[tuple[Passage, int, View, str]]:
    """One sentence a passage that says something by itself."""
    for passage in passages:
        view = View(passage.chunk.text, passage.chunk.heading, passage.title)
        fit = [
            (at, text)
            for at, text in prose(view)
            if 10 <= len(text.split()) <= 40
            and text[0].isupper()
            and text.endswith(".")
            and ":" not in text
            and _FINITE.search(text)
            and not leads_on(view, at)
            and not points_elsewhere(text)
            and is_specific(text)
            and is_whole(text)
        ]
        if fit:
            at, text = chooser.choice(fit)
            yield passage, at, view, text


def _messages(passage: Passage, sentence: str) -> list[Message]:
    title = () if passage.title in passage.chunk.heading[:1] or not passage.title else (passage.title,)
    place = " > ".join((*title, *passage.chunk.heading[-2:]))
    messages = [Message("system", _SYSTEM)]
    for where, said, asked in _EXAMPLES:
        messages += [Message("user", f"Page: {where}\nSentence: {said}"), Message("assistant", asked)]
    return [*messages, Message("user", f"Page: {place}\nSentence: {sentence}")]


def unfit(question: str, sentence: str) -> str:
    """Why a question is not one to ask, or "".

    >>> unfit("How long are backups kept?", "Backups are kept for 30 days.")
    ''
    >>> unfit("What does the sentence say about backups?", "Backups are kept for 30 days.")
    'speaks of the text'
    """
    if not question.endswith("?") or question.count("?") > 1 or not _ASKS.match(question) or not is_whole(question):
        return "not a question"
    if not 4 <= len(question.split()) <= 20:
        return "too short or too long"
    if _ABOUT_THE_TEXT.search(question):
        return "speaks of the text"
    if points_elsewhere(question.rstrip("?")):
        return "not understood by itself"
    asked, said = set(plain_words(question)), set(plain_words(sentence))
    topics = {word.casefold() for word in topic_words(question)}
    if not topics & said:
        return "about something else"
    copied = " ".join(plain_words(question)) in " ".join(plain_words(sentence))
    if copied or len(said - asked) <= 2 or len(topics - said) > len(topics & said):
        return "gives the answer away, or brings in what the sentence does not say"
    return ""
