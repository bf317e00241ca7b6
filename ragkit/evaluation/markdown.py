"""A run as Markdown, for a pull request or a wiki: summary, kinds, misses, and what changed since the baseline.

Knows runs, comparisons and figures; knows nothing of pages, engines or stores.
"""

from __future__ import annotations

from collections.abc import Iterator

from ragkit.evaluation import compare_text, figures
from ragkit.evaluation import report as reports
from ragkit.evaluation.commands import why_not
from ragkit.evaluation.compare import Comparison
from ragkit.evaluation.runs import Run, rows

MISSES = 20


def page(run: Run, comparison: Comparison | None = None) -> str:
    """The whole report. `comparison` is with the baseline, which is its old run."""
    lines = [f"# {run.name}: {run.report.task} on {run.report.dataset}", "", reports.to_markdown(run.report)]
    if comparison:
        lines += ["", f"## Since {compare_text.named(comparison.old)}", "", compare_text.to_markdown(comparison)]
    lines += [*_by_k(run), *_kinds(run), *_confidence(run), *_misses(run), *_facts(run)]
    return "\n".join(lines) + "\n"


def _by_k(run: Run) -> Iterator[str]:
    curves = figures.by_k(run)
    if not curves:
        return
    ks = range(1, max(len(values) for values in curves.values()) + 1)
    yield from ("", "## By k", "", "| k | " + " | ".join(map(str, ks)) + " |", "|---" + "|---:" * len(ks) + "|")
    for name, values in curves.items():
        yield f"| {name} | " + " | ".join(f"{value:.3f}" for value in values) + " |"


def _kinds(run: Run) -> Iterator[str]:
    found = figures.kinds(run, run.primary)
    if len(found) < 2:
        return
    yield from ("", f"## {run.primary} by kind", "", "| kind | mean | 95 % interval | n |", "|---|---:|---:|---:|")
    for kind, i in found:
        yield f"| {kind} | {i.mean:.3f} | {i.low:.3f} to {i.high:.3f} | {i.n} |"


def _confidence(run: Run) -> Iterator[str]:
    points = figures.risk_coverage(run, run.primary)
    if len(points) < 3:
        return
    yield from ("", "## Risk and coverage", "", "| coverage | risk |", "|---:|---:|")
    for share in (0.25, 0.5, 0.75, 1.0):
        coverage, risk = next(point for point in points if point[0] >= share)
        yield f"| {coverage:.2f} | {risk:.3f} |"
    yield from ("", f"Risk is 1 - {run.primary}; its mean over all coverages is {figures.area(points):.3f}.")
    taken = figures.latencies(run)
    yield from ("", "Seconds a question: " + ", ".join(f"{name} {value:.3f}" for name, value in taken.items()))


def _misses(run: Run) -> Iterator[str]:
    missed = [(one, gold) for one, trace in rows(run) for gold in trace.get("missed", [])]
    if not missed:
        return
    yield from ("", f"## {len(missed)} places were missed", "")
    for one, gold in missed[:MISSES]:
        yield f"- {one.id}: {one.question}"
        yield f"  `{why_not(run, one.question, gold)}`"
    if len(missed) > MISSES:
        yield f"- and {len(missed) - MISSES} more"


def _facts(run: Run) -> Iterator[str]:
    yield from ("", "## What was run", "")
    for part in ("models", "machine", "versions", "settings"):
        values = dict(run.about.get(part, {}))
        if values:
            yield f"- {part}: " + ", ".join(f"{key} {value}" for key, value in values.items() if value != "")
