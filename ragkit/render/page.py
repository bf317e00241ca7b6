"""Hits, answers and reports as plain text and as Markdown, for people.

Knows the domain and the layout; whether there is colour, and how wide the page is, the caller says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ragkit.domain import Context, Hit, NearMiss, OtherVersion, SearchResult, Source, location
from ragkit.domain.answers import Answer, Claim, Quote
from ragkit.domain.corpora import DuplicateGroup, IngestReport
from ragkit.domain.queries import Expansion, Query
from ragkit.render.terminal import clean, emphasise, one_line, shorten, style, wrap
from ragkit.snippets import snippet, spelled
from ragkit.text import analyse, term_spans

SNIPPET = 240
"""Characters of a hit that are shown."""
CARRIER = 120
"""Columns of the sentence that carries a hit."""
SHOWN_COPIES = 5
"""Places of the same text that are listed; JSON has them all."""
QUOTED_LINES = 4
"""Lines of a quote that are shown; JSON has them all."""
NEAREST = 3
"""Passages that are named when the question was declined."""
_GUTTER = "    │ "
_CITATION = re.compile(r"\[\d{1,3}\]")


# ---------------------------------------------------------------- search


def search_text(result: SearchResult, *, color: bool = False, explain: bool = False, width: int = 0) -> str:
    """The hits, best first, each with its place, headings, score and a snippet. `width` 0 breaks no lines."""
    digits = len(str(len(result.hits)))
    why = _asked(result) if explain else None
    parts = [_hit(number, hit, digits, color, why, width) for number, hit in enumerate(result.hits, 1)]
    if explain:
        parts.append(_explanation(result, color))
    return "\n\n".join(parts)


def _asked(result: SearchResult) -> str:
    """The query in whose words hits are explained."""
    return result.understood.text if result.understood else result.query


def _hit(number: int, hit: Hit, digits: int, color: bool, why: str | None, width: int) -> str:
    """One hit; and why it was found, in the words of the query `why`."""
    indent = " " * (digits + 2)
    chunk = hit.passage.chunk
    wide = hit.expanded
    where = location(wide.path, wide.start_line, wide.end_line, wide.unit) if wide else hit.passage.location
    place = style(one_line(where), "path", color)
    score = f"{hit.score:.3f}{_version(hit.passage.doc_version)}"
    lines = [f"{style(f'{number:>{digits}}', 'number', color)}  {place}  {style(score, 'dim', color)}"]
    if trail := _trail(hit.passage.title, chunk.heading):
        lines.append(indent + style(trail, "dim", color))
    if wide:
        shown = clean(wide.text).strip("\n")
        spans = term_spans(shown, hit.terms)
    else:
        shown, spans = snippet(clean(chunk.text), hit.terms, SNIPPET)
    lines.append(wrap(emphasise(shown, spans, color), width, indent))
    lines += [indent + style(line, "dim", color) for line in _elsewhere(hit)]
    if why is not None:
        lines.append(indent + style(_stages(hit), "dim", color))
        lines += [wrap(style(line, "dim", color), width, indent) for line in _reasons(hit, why)]
    return "\n".join(lines)


def _elsewhere(hit: Hit) -> Iterator[str]:
    """Where the same text stands, and what other versions say."""
    if hit.copies:
        also = [one_line(passage.location) for passage in hit.copies[:SHOWN_COPIES]]
        more = f" and {len(hit.copies) - SHOWN_COPIES} more" if len(hit.copies) > SHOWN_COPIES else ""
        yield f"also in {', '.join(also)}{more}"
    yield from _differences(hit.other_versions)


def _stages(hit: Hit) -> str:
    return "  ".join(f"{s.stage} {_rank(s.rank)} {_score(s.score)}".rstrip() for s in hit.stages)


def _explanation(result: SearchResult, color: bool) -> str:
    reranker = f"reranked by {result.reranker}" if result.reranker else "not reranked: rerank.model is none or unused"
    seconds = "  ".join(f"{stage} {_duration(value)}" for stage, value in result.timings.items())
    lines = [
        f"mode {result.mode}; {reranker}; snapshot {result.snapshot}",
        *_read(result.understood),
        *_added(result.expansion),
        seconds,
    ]
    if result.near_misses:
        lines[:0] = ["nearly:", *(_near_miss(one) for one in result.near_misses), ""]
    return "\n".join(style(line, "dim", color) for line in lines).rstrip()


def _reasons(hit: Hit, query: str) -> Iterator[str]:
    """The query's words that a hit has and lacks, with their weights, and the sentence that carries it."""
    why = hit.explanation
    if why is None:
        return
    named = {
        what: _weights(terms, query) for what, terms in (("terms", why.matched), ("lacks", why.missing)) if terms
    }
    if named:
        yield "; ".join(f"{what} {terms}" for what, terms in named.items())
    if carrier := why.carrier:
        worth = (
            [f"only it has {', '.join(one_line(spelled(term, query)) for term in carrier.terms)}"]
            if carrier.terms
            else []
        )
        if carrier.passage_cosine is not None and carrier.cosine_without is not None:
            worth.insert(0, f"cosine {carrier.passage_cosine:.3f}, without it {carrier.cosine_without:.3f}")
        yield f"carried by “{shorten(one_line(carrier.text), CARRIER)}”" + (f": {'; '.join(worth)}" if worth else "")


def _weights(terms: Mapping[str, float], query: str) -> str:
    return "  ".join(f"{one_line(spelled(term, query))} {weight:.2f}" for term, weight in terms.items())


def _near_miss(one: NearMiss) -> str:
    return f"   {one_line(one.hit.passage.location)}  {one.hit.score:.3f}  {one_line(one.why)}"


def _read(query: Query | None) -> Iterator[str]:
    """What was found in the query besides words."""
    if query is None:
        return
    parts = [("phrases", query.phrases), ("identifiers", query.identifiers), ("versions", query.versions)]
    parts += [("an error message, without", query.left_out)] if query.left_out else []
    if said := [f"{what} {', '.join(map(one_line, found))}" for what, found in parts if found]:
        yield "; ".join(said)


def _added(expansion: Expansion | None) -> Iterator[str]:
    """What was asked besides the query."""
    if expansion is not None:
        added = "; ".join(one_line(one) for one in expansion.added)
        yield f"expansion {expansion.method}: {added or 'nothing to add'}"


def search_markdown(result: SearchResult, *, explain: bool = False) -> str:
    """The hits as a Markdown list with quoted snippets, or with the text around them as it stands, fenced."""
    parts = [f"# {_plain(result.query)}"]
    for number, hit in enumerate(result.hits, 1):
        wide = hit.expanded
        where = location(wide.path, wide.start_line, wide.end_line, wide.unit) if wide else hit.passage.location
        trail = _trail(hit.passage.title, hit.passage.chunk.heading)
        score = f"{hit.score:.3f}{_version(hit.passage.doc_version)}"
        parts.append(f"{number}. **`{one_line(where)}`** {_plain(trail)} ({score})")
        if wide:
            parts.append(_fenced(clean(wide.text).strip("\n")))
        else:
            shown, _ = snippet(clean(hit.passage.chunk.text), hit.terms, SNIPPET)
            parts.append(f"   > {_plain(shown)}")
        notes = [*_elsewhere(hit), *((_stages(hit), *_reasons(hit, _asked(result))) if explain else ())]
        parts += ["\n".join(f"   - {_plain(note)}" for note in notes)] if notes else []
    if not result.hits:
        parts.append("No passage matches.")
    if explain:
        said = [line.strip() for line in _explanation(result, False).splitlines()]
        parts.append("\n".join(f"- {_plain(line)}" for line in said if line))
    return "\n\n".join(parts)


def _fenced(text: str) -> str:
    """Text as a block of code within a list; its fence is longer than any that it holds."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join(f"   {line}" for line in (fence, *text.splitlines(), fence))


# ---------------------------------------------------------------- answers


def answer_text(answer: Answer, *, color: bool = False, width: int = 0) -> str:
    """The answer, the lines that prove it, and one line on how it came about. `width` 0 breaks no lines."""
    body = clean(answer.text)
    if color:
        body = _CITATION.sub(lambda match: style(match[0], "number", color), body)
    parts = [wrap(body, width)]
    if answer.status == "abstained":
        parts.append(_nearest(answer.context.sources, color))
    else:
        terms = analyse(answer.question)
        parts.append("\n".join(_proof(source, answer.claims, terms, color, width) for source in answer.sources))
    parts.append(_how(answer, color))
    return "\n\n".join(part for part in parts if part)


def _proof(source: Source, claims: Sequence[Claim], terms: Sequence[str], color: bool, width: int) -> str:
    """One source: where its quotes stand, under which headings, and the quotes."""
    quotes = _quotes(source, claims)
    first = min((quote.start_line for quote in quotes), default=source.start_line)
    last = max((quote.end_line for quote in quotes), default=source.end_line)
    place = one_line(location(source.path, first, last, source.unit))
    trail = _trail(source.title, source.heading)
    head = f"{style(f'[{source.number}]', 'number', color)} {style(place, 'path', color)}"
    trail += _version(source.doc_version)
    lines = [f"{head}  {style(trail, 'dim', color)}" if trail else head]
    for quote in quotes:
        for line in _quoted(quote):
            line = shorten(line, max(20, width - len(_GUTTER))) if width else line
            lines.append(style(_GUTTER, "dim", color) + emphasise(line, term_spans(line, terms), color))
    return "\n".join(lines)


def _quotes(source: Source, claims: Sequence[Claim]) -> list[Quote]:
    """A source's quotes in the order of its text, without those that lie within another."""
    found = {(q.start_line, q.text): q for claim in claims for q in claim.quotes if q.number == source.number}
    quotes = sorted(found.values(), key=lambda quote: (quote.start_line, source.text.find(quote.text)))
    return [q for q in quotes if not any(q is not other and q.text in other.text for other in quotes)]


def _quoted(quote: Quote) -> list[str]:
    lines = [line.rstrip() for line in clean(quote.text).split("\n") if line.strip()]
    indent = min((len(line) - len(line.lstrip()) for line in lines[1:]), default=0)
    lines = [line[min(indent, len(line) - len(line.lstrip())) :] for line in lines]
    return (
        lines
        if len(lines) <= QUOTED_LINES
        else [*lines[: QUOTED_LINES - 1], f"… {len(lines) - QUOTED_LINES + 1} more lines"]
    )


def _nearest(sources: Sequence[Source], color: bool) -> str:
    """Where to look for oneself when the question was declined."""
    if not sources:
        return ""
    lines = ["Nearest passages:"]
    for source in sources[:NEAREST]:
        trail = _trail(source.title, source.heading)
        lines.append(f"    {style(one_line(source.location), 'path', color)}  {style(trail, 'dim', color)}".rstrip())
    return "\n".join(lines)


def _how(answer: Answer, color: bool) -> str:
    tone = {"answered": "good", "partial": "warn", "abstained": "bad"}[answer.status]
    reason = f": {one_line(answer.reason)}" if answer.reason else ""
    total = answer.timings.get("total", 0.0)
    rest = [f"in {_duration(total)}" if total else "", one_line(answer.model)]
    tail = style(f" ({', '.join(part for part in rest if part)})" if any(rest) else "", "dim", color)
    return f"{style(answer.status, tone, color)}{reason}{tail}"


def answer_markdown(answer: Answer) -> str:
    """The answer with its quotes as footnote-like quotations."""
    parts = [f"# {_plain(answer.question)}", clean(answer.text)]
    for source in answer.sources:
        for quote in _quotes(source, answer.claims):
            trail = _plain(_trail(source.title, source.heading))
            quoted = "\n".join(f"> {line}" for line in clean(quote.text).split("\n"))
            parts.append(f"**[{source.number}]** `{one_line(quote.location)}` {trail}\n\n{quoted}")
    parts.append(f"*{_how(answer, color=False)}*")
    return "\n\n".join(parts)


def context_text(context: Context, *, color: bool = False) -> str:
    """What the model was shown, source by source, and what was left out and why."""
    parts = []
    for source in context.sources:
        head = f"[{source.number}] {one_line(source.location)}  score {source.score:.3f}  {source.tokens} tokens"
        parts.append(f"{style(head, 'number', color)}\n{clean(source.text)}")
    tail = [f"{context.tokens} tokens in {len(context.sources)} sources"]
    tail += [f"left out: chunk {id}: {one_line(reason)}" for id, reason in context.dropped]
    return "\n\n".join((*parts, "\n".join(style(line, "dim", color) for line in tail)))


# ---------------------------------------------------------------- ingest


def ingest_text(report: IngestReport, *, color: bool = False) -> str:
    """One ingest in two lines: what became of the files, and what was indexed."""
    counts = {outcome: count for outcome, count in report.counts.items() if count}
    tones = {"failed": "bad", "skipped": "warn"}
    files = ", ".join(
        style(f"{count:,} {outcome}", tones[outcome], color) if outcome in tones else f"{count:,} {outcome}"
        for outcome, count in counts.items()
    )
    pace = report.embedded / report.seconds if report.seconds else 0.0
    rate = f", {pace:,.0f} a second" if pace >= 1 else ""
    what = f"snapshot {report.snapshot} published" if report.published else f"snapshot {report.snapshot} still holds"
    return (
        f"{one_line(report.corpus)}: {files or 'no files'}\n"
        f"{report.chunks:,} chunks, {report.embedded:,} embedded{rate}; {what} in {_duration(report.seconds)}"
    )


def duplicates_text(groups: Sequence[DuplicateGroup]) -> str:
    """Groups of passages with nearly the same text: how often, how it begins, and where."""
    copies = sum(len(group.passages) - 1 for group in groups)
    total = f"{_counted(copies, 'copy', 'copies')} in {_counted(len(groups), 'group', 'groups')}"
    parts = [f"{total}; a search returns the best of each group"]
    for group in groups:
        begins = shorten(one_line(group.passages[0].chunk.text), CARRIER)
        places = [f"   {one_line(passage.location)}" for passage in group.passages[:SHOWN_COPIES]]
        if (more := len(group.passages) - SHOWN_COPIES) > 0:
            places.append(f"   and {more} more")
        documents = _counted(group.documents, "document", "documents")
        head = f"{len(group.passages)} times in {documents}: “{begins}”"
        parts.append("\n".join([head, *places]))
    return "\n\n".join(parts)


# ---------------------------------------------------------------- small parts


def _counted(count: int, one: str, more: str) -> str:
    return f"{count:,} {one if count == 1 else more}"


def _trail(title: str, heading: Iterable[str]) -> str:
    """Title and headings as one path, without the same words twice in a row."""
    steps: list[str] = []
    for step in (title, *heading):
        shown = one_line(step)
        if shown and shown not in steps[-1:]:
            steps.append(shown)
    return shorten(" > ".join(steps), 100)


def _version(doc_version: str) -> str:
    return f"  version {one_line(doc_version)}" if doc_version else ""


def _differences(others: Iterable[OtherVersion]) -> Iterator[str]:
    """The other versions of a document that do not say the same."""
    for one in others:
        if not one.same:
            yield one_line(one.difference)


def _plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    return re.sub(r"([\\`*_<>#\[\]])", r"\\\1", one_line(text))


def _rank(rank: int | None) -> str:
    return "-" if rank is None else f"#{rank}"


def _score(score: float | None) -> str:
    return "" if score is None else f"{score:.3f}"


def _duration(seconds: float) -> str:
    """
    >>> _duration(0.0042), _duration(2.345), _duration(75)
    ('4 ms', '2.3 s', '1 min 15 s')
    """
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)} min {int(seconds % 60)} s"
