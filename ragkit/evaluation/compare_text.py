"""A comparison of two runs as text, Markdown and JSON.

Knows comparisons and their spelling; knows nothing of tests, stores or terminals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ragkit.domain import JSON
from ragkit.evaluation.compare import Change, Compared, Comparison
from ragkit.evaluation.runs import Run
from ragkit.evaluation.tables import aligned, piped

HEADER = ("metric", "old", "new", "change", "95 % interval", "p", "adjusted", "detectable", "verdict")
_NUMBERS = range(1, len(HEADER) - 1)
SHOWN_HITS = 3
TOLD = 3
"""Metrics of which it is said how many questions they would take; the others are named."""


def to_json(found: Comparison, *, examples: int | None = None) -> dict[str, JSON]:
    """The comparison as JSON values; docs/evaluation.md describes the keys."""
    return {
        "old": _run(found.old),
        "new": _run(found.new),
        "n": found.n,
        "alpha": found.alpha,
        "drop": found.drop,
        "metrics": [_metric(one) for one in found.metrics],
        "settings": {key: {"old": old, "new": new} for key, (old, new) in found.settings.items()},
        "worse": [_change(change) for change in found.worse[:examples]],
        "better": [_change(change) for change in found.better[:examples]],
        "notices": list(found.notices),
    }


def _run(run: Run) -> dict[str, JSON]:
    return {"id": run.id, "name": run.name, "dataset": run.report.dataset, "finished_at": run.finished_at}


def _metric(one: Compared) -> dict[str, JSON]:
    return {
        "metric": one.metric,
        "old": round(one.old, 6),
        "new": round(one.new, 6),
        "change": round(one.interval.mean, 6),
        "low": round(one.interval.low, 6),
        "high": round(one.interval.high, 6),
        "n": one.interval.n,
        "p": round(one.p, 6),
        "adjusted_p": round(one.adjusted, 6),
        "detectable": round(one.detectable, 6),
        "needed": one.needed,
        "verdict": one.verdict,
    }


def _change(change: Change) -> dict[str, JSON]:
    return {
        "id": change.new.id,
        "question": change.new.question,
        "metric": change.metric,
        "old": round(change.old.scores[change.metric], 6),
        "new": round(change.new.scores[change.metric], 6),
        "old_hits": list(change.old.hits),
        "new_hits": list(change.new.hits),
        "old_answer": change.old.answer,
        "new_answer": change.new.answer,
        "missed": list(change.new_trace.get("missed", [])),
        "error": change.new.error,
    }


# ---------------------------------------------------------------- text


def to_text(found: Comparison, *, examples: int = 10) -> str:
    """For a terminal: the metrics, what else differs, and the questions that moved."""
    table = aligned([HEADER, *(_row(one) for one in found.metrics)], _NUMBERS)
    lines = [_headline(found), "", *table]
    lines += ["", *_remarks(found)]
    for what, changes in (("worse", found.worse), ("better", found.better)):
        if changes:
            lines += ["", _got(len(changes), what, examples)]
        for change in changes[:examples]:
            lines += _trace(change, "  ")
    return "\n".join(lines)


def to_markdown(found: Comparison, *, examples: int = 10) -> str:
    """As Markdown: tables of metrics, and lists of questions."""
    table = piped([HEADER, *(_row(one) for one in found.metrics)], _NUMBERS)
    lines = [_headline(found), "", *table]
    lines += ["", *(f"- {remark}" for remark in _remarks(found))]
    for what, changes in (("worse", found.worse), ("better", found.better)):
        if changes:
            lines += ["", f"### {_got(len(changes), what, examples)}", ""]
        for change in changes[:examples]:
            first, *rest = _trace(change, "")
            lines += [f"- {first}", *(f"  - {line.strip()}" for line in rest)]
    return "\n".join(lines)


def _headline(found: Comparison) -> str:
    return f"{named(found.old)} -> {named(found.new)}: {found.n} questions of {found.new.report.dataset}"


def named(run: Run) -> str:
    """A run as people call it."""
    return f"{run.name} (run {run.id})" if run.id else run.name


def _row(one: Compared) -> tuple[str, ...]:
    return (
        one.metric,
        f"{one.old:.3f}",
        f"{one.new:.3f}",
        f"{one.interval.mean:+.3f}",
        f"{one.interval.low:+.3f} to {one.interval.high:+.3f}",
        spell_p(one.p),
        spell_p(one.adjusted),
        f"{one.detectable:.3f}",
        one.verdict,
    )


def spell_p(p: float) -> str:
    """A p value as people read it.

    >>> spell_p(0.04), spell_p(0.00005)
    ('0.040', '<0.001')
    """
    return f"{p:.3f}" if p >= 0.001 else "<0.001"


def _remarks(found: Comparison) -> list[str]:
    """What the numbers mean, and what else differs between the runs."""
    lines = [
        f"{one.metric}: {one.interval.n} questions are too few to tell; a difference below {one.detectable:.2f} "
        f"goes unseen, and one of {found.drop:g} takes about {one.needed:,} questions"
        for one in found.too_small[:TOLD]
    ]
    if more := [one.metric for one in found.too_small[TOLD:]]:
        lines.append(f"too few to tell, too: {', '.join(more)}")
    lines += [f"{key}: {spell_setting(old)} -> {spell_setting(new)}" for key, (old, new) in found.settings.items()]
    old, new = found.old.report.seconds, found.new.report.seconds
    lines.append(
        f"seconds a question: median {old['p50']:.3f} -> {new['p50']:.3f}, 95 % {old['p95']:.3f} -> {new['p95']:.3f}"
    )
    return [*lines, *found.notices]


def spell_setting(value: JSON) -> JSON:
    """A setting as people read it; a run leaves out those of a part that is switched off."""
    return "not set" if value is None else value


def _got(count: int, what: str, examples: int) -> str:
    shown = f"; the first {examples}:" if count > examples > 0 else ":" if examples else ""
    return f"{count} question{'' if count == 1 else 's'} got {what}{shown}"


def _trace(change: Change, indent: str) -> list[str]:
    scores = f"{change.old.scores[change.metric]:.3f} -> {change.new.scores[change.metric]:.3f}"
    lines = [f"{indent}{change.new.id}  {change.metric} {scores}  {change.new.question}"]
    if change.new.error:
        return [*lines, f"{indent}  failed: {change.new.error}"]
    for label, scored, trace in (("old", change.old, change.old_trace), ("new", change.new, change.new_trace)):
        if scored.answer:
            lines.append(f"{indent}  {label} answer: {' '.join(scored.answer.split())}")
        elif scored.hits:
            lines.append(f"{indent}  {label}: {', '.join(_marked(scored.hits, trace))}")
    return lines


def _marked(hits: Sequence[str], trace: Mapping[str, JSON]) -> list[str]:
    """The first hits, those that answer the question with a star."""
    relevant = {hit["location"] for hit in trace.get("hits", []) if hit.get("relevant")}
    return [hit + (" *" if hit in relevant else "") for hit in hits[:SHOWN_HITS]]
