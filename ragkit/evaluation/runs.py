"""A run: a report with where it came from and what was found for each question; kept in the store or as one file.

Knows reports, their JSON form and the store's rows; knows nothing of engines or of how a score was made.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragkit.domain import JSON
from ragkit.errors import EvaluationError
from ragkit.evaluation import report as reports
from ragkit.evaluation.names import under_current_names
from ragkit.evaluation.report import Report, Scored
from ragkit.files import write_whole

if TYPE_CHECKING:
    from ragkit.store import Store


@dataclass(frozen=True, slots=True)
class Run:
    """One report, with a trace for each question. `id` is its number in the store, 0 when it came from a file."""

    name: str
    report: Report
    id: int = 0
    started_at: str = ""
    finished_at: str = ""
    about: Mapping[str, JSON] = field(default_factory=dict)
    """`settings`, `models`, `versions`, `machine` and `computed`, the number of questions that were not known."""
    traces: Mapping[str, Mapping[str, JSON]] = field(default_factory=dict)
    """Question id to what was found, said and missed."""
    contents: Mapping[str, str] = field(default_factory=dict)
    """Question id to the hash of the question and its gold: questions are only compared when it is the same."""

    @property
    def settings(self) -> Mapping[str, JSON]:
        """Every setting that the result depends on, by its full path."""
        return dict(self.about.get("settings", {}))

    @property
    def primary(self) -> str:
        """The metric that the run is judged by: its first one."""
        return self.report.names[0]


# ---------------------------------------------------------------- JSON


def to_json(run: Run, *, passages: bool = True) -> dict[str, JSON]:
    """The run as JSON values; docs/evaluation.md describes the keys. Without `passages` their texts are left out."""
    found: dict[str, JSON] = {
        "run": {
            "id": run.id,
            "name": run.name,
            "started_at": run.started_at,
            "finished_at": run.finished_at,
            **run.about,
        },
        **reports.to_json(run.report),
    }
    for row in found["questions"]:
        row["content"] = run.contents.get(row["id"], "")
        row["trace"] = _trace(run.traces.get(row["id"], {}), passages)
    return found


_SHORT = ("location", "number", "score", "relevant", "cited")
"""What is kept of a passage whose text is left out."""


def _trace(trace: Mapping[str, JSON], passages: bool) -> dict[str, JSON]:
    if passages:
        return dict(trace)
    shorter = dict(trace)
    for part in ("hits", "sources"):
        if part in trace:
            shorter[part] = [{key: one[key] for key in _SHORT if key in one} for one in trace[part]]
    return shorter


def from_json(data: Mapping[str, Any], where: str) -> Run:
    """The run that `to_json` wrote, or a report of `ragkit eval retrieval --out`; `where` names it in errors.

    Files that still call their metrics measures are read, too.
    """
    try:
        about = dict(data.get("run", {}))
        report = Report(
            task=data["task"],
            dataset=data["dataset"],
            fingerprint=data["fingerprint"],
            names=tuple(under_current_names(data["metrics"] if "metrics" in data else data["measures"])),
            questions=tuple(scored(row) for row in data["questions"]),
            about=data["about"],
            notices=tuple(data.get("notices", ())),
        )
        return Run(
            name=str(about.pop("name", "") or Path(where).stem),
            report=report,
            id=int(about.pop("id", 0)),
            started_at=str(about.pop("started_at", "")),
            finished_at=str(about.pop("finished_at", "")),
            about=about,
            traces={row["id"]: row.get("trace", {}) for row in data["questions"]},
            contents={row["id"]: row.get("content", "") for row in data["questions"]},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise EvaluationError(
            f"{where} is not a run: {type(error).__name__}: {error}", "write one with `ragkit eval run --output FILE`"
        ) from error


def scored(row: Mapping[str, Any]) -> Scored:
    """One question's row as the report has it."""
    return Scored(
        id=row["id"],
        question=row["question"],
        scores={name: float(value) for name, value in under_current_names(row["scores"]).items()},
        kind=row.get("kind", ""),
        seconds=float(row.get("seconds", 0.0)),
        hits=tuple(row.get("hits", ())),
        status=row.get("status", ""),
        answer=row.get("answer", ""),
        error=row.get("error", ""),
        left_out=dict(row.get("left_out", {})),
        failed=dict(row.get("failed_metrics") or row.get("failed_measures", {})),
    )


def write(run: Run, file: Path, *, passages: bool = True) -> None:
    """The run as one JSON file, written whole; each question stands on a line, for people who compare versions."""
    data = to_json(run, passages=passages)
    questions = ",\n".join(json.dumps(row, ensure_ascii=False) for row in data.pop("questions"))
    head = json.dumps(data, ensure_ascii=False, indent=1).removesuffix("\n}")
    write_whole(file, f'{head},\n "questions": [\n{questions}\n]}}\n'.encode())


# ---------------------------------------------------------------- finding one


def load(which: str, store: Store | None = None) -> Run:
    """A run by its file, its number in the store, or its name there (the latest of that name)."""
    file = Path(which)
    if file.suffix == ".json" or file.is_file():
        return read(file)
    if store is None:
        raise EvaluationError(f"run {which} is not a file", "name a JSON file of a run")
    from ragkit.store import Evaluations

    kept = Evaluations(store)
    record = kept.run(int(which) if which.isdigit() else which)
    if record is None:
        raise EvaluationError(f"there is no run {which}", "`ragkit eval runs` lists them")
    if not record.finished_at:
        raise EvaluationError(
            f"run {which} is not finished: {record.questions} questions are done", "start it again and it goes on"
        )
    rows = [result for result, _ in kept.questions(record.id)]
    about = dict(record.about)
    report = about.pop("report")
    data = {**report, "questions": rows, "metrics": dict.fromkeys(report["names"])}
    data["run"] = {
        "id": record.id,
        "name": record.name,
        "started_at": record.started_at,
        "finished_at": record.finished_at,
        **about,
    }
    return from_json(data, f"run {which}")


def read(file: Path) -> Run:
    """A run from its JSON file; its number is forgotten, for it means nothing in another store."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise EvaluationError(f"there is no run file {file}") from error
    except OSError as error:
        raise EvaluationError(f"run {file} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise EvaluationError(f"run {file} is not JSON: {error}") from error
    return replace(from_json(data if isinstance(data, dict) else {}, str(file)), id=0)


def rows(run: Run) -> Iterator[tuple[Scored, Mapping[str, JSON]]]:
    """Each question with its trace, in the dataset's order."""
    for one in run.report.questions:
        yield one, run.traces.get(one.id, {})
