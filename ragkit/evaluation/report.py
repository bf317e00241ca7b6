"""A run's report: every question's scores, their means with intervals, as text, JSON and Markdown.

Knows numbers and their spelling; knows nothing of engines or of how a score was made.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from ragkit.domain import JSON
from ragkit.evaluation.metrics import Interval, bootstrap, percentile
from ragkit.evaluation.names import with_earlier_names
from ragkit.evaluation.tables import aligned, piped
from ragkit.files import write_whole

Task: TypeAlias = Literal["retrieval", "answers"]


@dataclass(frozen=True, slots=True)
class Scored:
    """One question of a run. A metric that does not apply to it is absent from `scores`, never NaN.

    With an `error`, every metric that applies has its worst value.
    """

    id: str
    question: str
    scores: Mapping[str, float]
    kind: str = ""
    seconds: float = 0.0
    hits: tuple[str, ...] = ()
    """Where the passages found or cited are: `path:L3-L9`, best first."""
    status: str = ""
    answer: str = ""
    error: str = ""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Of each metric that does not apply, why."""
    failed: Mapping[str, str] = field(default_factory=dict)
    """Of each metric that alone could not be computed, and has its worst value, why."""


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of one run over one dataset: `names` are its metrics, in the order in which they are shown."""

    task: Task
    dataset: str
    fingerprint: str
    names: tuple[str, ...]
    questions: tuple[Scored, ...]
    about: Mapping[str, JSON] = field(default_factory=dict)
    """What was run: corpus, snapshot, mode, level, models."""
    notices: tuple[str, ...] = ()

    @property
    def metrics(self) -> dict[str, Interval]:
        """Mean and 95 % bootstrap interval of each metric, over the questions that it applies to."""
        return {
            name: bootstrap([scored.scores[name] for scored in self.questions if name in scored.scores])
            for name in self.names
        }

    @property
    def failed(self) -> tuple[Scored, ...]:
        """Questions that ended in an error; they count at the worst value."""
        return tuple(scored for scored in self.questions if scored.error)

    def left_out(self, name: str) -> dict[str, int]:
        """How many questions a metric does not apply to, by reason, the commonest first."""
        reasons = Counter(scored.left_out[name] for scored in self.questions if name in scored.left_out)
        return dict(reasons.most_common())

    @property
    def seconds(self) -> dict[str, float]:
        """Median and 95th percentile of the seconds a question took."""
        taken = [scored.seconds for scored in self.questions]
        return {"p50": percentile(taken, 0.5), "p95": percentile(taken, 0.95)}


def to_json(report: Report, *, questions: bool = True) -> dict[str, JSON]:
    """The report as JSON values; docs/evaluation.md describes the keys, which are stable."""
    found: dict[str, JSON] = {
        "task": report.task,
        "dataset": report.dataset,
        "fingerprint": report.fingerprint,
        "about": dict(report.about),
        "n": len(report.questions),
        "failed": len(report.failed),
        "seconds": {name: round(value, 6) for name, value in report.seconds.items()},
        "metrics": with_earlier_names({name: _measure(report, name, i) for name, i in report.metrics.items()}),
        "notices": list(report.notices),
    }
    if questions:
        found["questions"] = list(question_rows(report))
    return found


def _measure(report: Report, name: str, i: Interval) -> dict[str, JSON]:
    nothing: dict[str, JSON] = {"mean": None, "low": None, "high": None}
    found: dict[str, JSON] = {**(i.rounded(6) if i.n else nothing), "n": i.n}
    if report.task == "answers":
        found["left_out"] = report.left_out(name)
        found["failed"] = sum(
            (bool(one.error) and name in one.scores) or name in one.failed for one in report.questions
        )
    return found


def question_rows(report: Report) -> Iterator[dict[str, JSON]]:
    """One JSON object for each question, in the dataset's order."""
    for scored in report.questions:
        row: dict[str, JSON] = {
            "id": scored.id,
            "question": scored.question,
            "kind": scored.kind,
            "scores": with_earlier_names({name: round(value, 6) for name, value in scored.scores.items()}),
            "seconds": round(scored.seconds, 6),
            "hits": list(scored.hits),
            "error": scored.error,
        }
        if report.task == "answers":
            row |= {"status": scored.status, "answer": scored.answer}
            row |= {"left_out": dict(scored.left_out), "failed_metrics": dict(scored.failed)}
        yield row


def write(report: Report, file: Path) -> None:
    """The report as one JSON file, written whole: a reader sees the old one or the new one."""
    text = json.dumps(to_json(report), ensure_ascii=False, indent=2) + "\n"
    write_whole(file, text.encode())


def to_text(report: Report) -> str:
    """The report for a terminal: aligned columns, each mean with its interval and its n."""
    lines = aligned(_table(report), _NUMBERS)
    return "\n".join([_headline(report), "", *lines, "", *_footnotes(report)])


def to_markdown(report: Report) -> str:
    """The report as a Markdown table."""
    lines = piped(_table(report), _NUMBERS)
    return "\n".join([_headline(report), "", *lines, "", *_footnotes(report)])


_HEADER = ["metric", "mean", "95 % interval", "n"]
_NUMBERS = range(1, 4)


def _table(report: Report) -> list[list[str]]:
    rows = [
        [name, f"{i.mean:.3f}", f"{i.low:.3f} to {i.high:.3f}", str(i.n)] if i.n else [name, "none", "", "0"]
        for name, i in report.metrics.items()
    ]
    if not any(scored.left_out for scored in report.questions):
        return [_HEADER, *rows]
    why = [", ".join(f"{n} {reason}" for reason, n in report.left_out(name).items()) for name in report.metrics]
    return [[*_HEADER, "left out"], *([*row, reasons] for row, reasons in zip(rows, why, strict=True))]


def _headline(report: Report) -> str:
    about = ", ".join(f"{name} {value}" for name, value in report.about.items() if value not in ("", None, {}))
    return f"{report.task} on {report.dataset}" + (f" ({about})" if about else "")


def _footnotes(report: Report) -> list[str]:
    taken = report.seconds
    lines = [
        f"{len(report.questions)} questions; seconds a question: median {taken['p50']:.2f}, 95 % {taken['p95']:.2f}"
    ]
    if report.failed:
        reasons = _reasons([scored.error for scored in report.failed])
        lines.append(f"{len(report.failed)} failed and count at the worst value: {reasons}")
    alone = [f"{name}: {why}" for scored in report.questions for name, why in scored.failed.items()]
    if alone:
        lines.append(f"{len(alone)} values could not be computed and count at the worst: {_reasons(alone)}")
    return [*lines, *report.notices]


def _reasons(errors: Sequence[str]) -> str:
    counts = Counter(errors)
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:3]
    return "; ".join(f"{count} x {error}" for error, count in most)
