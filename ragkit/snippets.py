"""The stretch of a text that shows why it was found.

Knows terms and where they stand; knows nothing of hits, colours or pages.
"""

from __future__ import annotations

from collections.abc import Iterable

from ragkit.domain import Span
from ragkit.text import analyse, fold, term_spans


def snippet(text: str, terms: Iterable[str], width: int = 240, language: str = "english") -> tuple[str, list[Span]]:
    """The stretch of at most `width` characters that holds most different terms, on one line, and what to highlight.

    Cuts are at blanks and marked with an ellipsis; the spans are offsets into the snippet.

    >>> from ragkit.text import analyse
    >>> snippet("One two three four five six seven eight nine ten.", analyse("seven"), 24)
    ('… seven eight nine …', [(2, 7)])
    """
    line = " ".join(text.split())
    if len(line) <= width:
        return line, term_spans(line, terms, language)
    wanted = list(dict.fromkeys(terms))
    start, end = _window(line, term_spans(line, wanted, language), max(1, width - 4))
    head, tail = ("… " if start else ""), (" …" if end < len(line) else "")
    shown = f"{head}{line[start:end]}{tail}"[:width]
    body = (len(head), len(shown) - len(tail))
    return shown, [span for span in term_spans(shown, wanted, language) if body[0] <= span[0] and span[1] <= body[1]]


def _window(line: str, spans: list[Span], width: int) -> Span:
    """The window of `width` characters with most different marked words, a little lead before the first."""
    best, best_start = -1, 0
    for i, (start, _) in enumerate(spans):
        inside = {line[a:b].lower() for a, b in spans[i : i + 60] if b <= start + width}
        if len(inside) > best:
            best, best_start = len(inside), start
    last = max((b for _, b in spans if b <= best_start + width), default=best_start)
    start = max(0, min(best_start - (width - (last - best_start)) // 4, len(line) - width))
    if start and (blank := line.find(" ", start, best_start)) >= 0:
        start = blank + 1
    end = min(len(line), start + width)
    if end < len(line) and (blank := line.rfind(" ", max(start, last), end)) > start:
        end = blank
    return start, end


def spelled(term: str, query: str, language: str = "english") -> str:
    """An analysed term as the query spells it, or the term where only a part of a name has it.

    >>> spelled("backup", "restoring backups"), spelled("size", "size_tokens"), spelled("listenport", "ListenPort")
    ('backups', 'size', 'ListenPort')
    """
    words = (query[start:end] for start, end in term_spans(query, [term], language))
    return next((word for word in words if analyse(word, language) == [term] or fold(word) == term), term)
