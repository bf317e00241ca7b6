"""Carry an experiment out: each question's result is kept the moment it is there, and never computed twice.

Knows experiments, the runs of one question and where results are kept; knows nothing of how a question is
searched, answered or scored. A run that was killed goes on where it stopped, because a result is found by a
key made of all that it depends on: question, gold, corpus, settings, models, prompts, code.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from ragkit import config
from ragkit.domain import JSON, LineIndex, Progress
from ragkit.errors import CorpusError, DatasetError, RagkitError
from ragkit.evaluation import datasets, fingerprints, labels, metrics, rankings, run, runs
from ragkit.evaluation import report as reports
from ragkit.evaluation.datasets import Dataset, Gold, Level, Question
from ragkit.evaluation.experiments import Experiment
from ragkit.evaluation.fingerprints import digest
from ragkit.evaluation.names import answer_names
from ragkit.evaluation.progress import progressing
from ragkit.evaluation.recorder import Recorder
from ragkit.evaluation.report import Report
from ragkit.evaluation.runs import Run
from ragkit.evaluation.views import view

if TYPE_CHECKING:
    from ragkit import Engine
    from ragkit.config import Settings
    from ragkit.store import EvaluationRecord, Evaluations

SHOWN_HITS = 10
"""Passages of a question that a report shows."""
BY_K = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)


def carry_out(
    experiment: Experiment,
    settings: Settings,
    open_engine: Callable[[Settings], Engine],
    *,
    overrides: Mapping[str, JSON] | None = None,
    fresh: bool = False,
    progress: Progress | None = None,
) -> list[Run]:
    """Every run of the experiment, in the order of its grid.

    `overrides` win over what the experiment says. With `fresh` nothing that is kept is used.
    """
    found = []
    for name, changes in experiment.variants():
        chosen = config.replace(settings, {**changes, **(overrides or {})})
        if experiment.task == "answers" and "verify.unsupported" not in changes:
            chosen = config.replace(chosen, {"verify.unsupported": "mark"})  # what was written is measured
        with open_engine(chosen) as engine:
            dataset = datasets.load(experiment.dataset, experiment.limit)
            corpus = corpus_for(engine, experiment, dataset, settings)
            one = Variant(name, experiment, dataset, corpus, engine)
            found.append(one.run(fresh=fresh, progress=progress))
    return found


def corpus_for(engine: Engine, experiment: Experiment, dataset: Dataset, usual: Settings) -> str:
    """The corpus that is searched: the set's own, the experiment's documents, or an ingested one.

    Where the experiment cuts or embeds an ingested corpus in another way than usual, its very documents are read
    again into a corpus beside it.
    """
    if dataset.corpus_file is not None:
        return run.prepare_corpus(engine, dataset)
    chosen = engine.settings
    built_by = (chosen.chunk, chosen.ingest, chosen.lexical, engine.embedder.fingerprint)
    if experiment.documents:
        if missing := [str(path) for path in experiment.documents if not path.exists()]:
            raise DatasetError(f"documents {', '.join(missing)} do not exist", "correct the experiment's paths")
        return engine.ingest(experiment.documents, corpus=_slug(f"eval-{experiment.name}", built_by)).corpus
    record = engine.store.corpus(experiment.corpus or chosen.corpus)
    same = (chosen.chunk, chosen.embed.model, chosen.lexical.language)
    if same == (usual.chunk, usual.embed.model, usual.lexical.language):
        return record.name
    if not record.roots:
        raise CorpusError(
            f"corpus {record.name} has no folders to be read again, cut or embedded in another way",
            "give the experiment its documents",
        )
    return engine.ingest(corpus=_slug(f"eval-{record.name}", built_by), like=record.name).corpus


def _slug(name: str, built_by: object) -> str:
    return re.sub(r"[^a-z0-9]+", "-", f"{name}-{digest(repr(built_by))[:8]}".lower())


@dataclass(frozen=True, slots=True)
class Variant:
    """One run to be made: an experiment with its settings in force in `engine`."""

    name: str
    experiment: Experiment
    dataset: Dataset
    corpus: str
    engine: Engine

    @property
    def level(self) -> Level:
        """What is ranked."""
        return self.experiment.level or self.dataset.level

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics, the one that the run is judged by first."""
        if self.experiment.task == "answers":
            return answer_names(self.experiment.metrics, self.experiment.faithfulness_engine)
        return self.experiment.metrics or metrics.RETRIEVAL

    def run(self, *, fresh: bool = False, progress: Progress | None = None) -> Run:
        """Compute what is not known yet, keep it, and put the run together."""
        from ragkit.store import Evaluations

        kept = Evaluations(self.engine.store)
        questions = self._questions()
        about = self._about()
        recipe = {
            "task": self.experiment.task,
            "corpus": fingerprints.corpus(self.engine, self.corpus),
            "settings": {key: value for key, value in about["settings"].items() if not key.startswith("chunk.")},
            "models": about["models"],
            "code": fingerprints.code(),
        }
        keys = [self._key(recipe, question) for question in questions]
        record = kept.begin(
            digest(keys),
            name=self.name,
            task=self.experiment.task,
            dataset=self.dataset.name,
            corpus=self.corpus,
            about=about,
        )
        whole = None if self.level == "passage" else SHOWN_HITS
        recorder = Recorder(self.engine, kept, recipe, whole_hits=whole, fresh=fresh)
        rows, computed = self._rows(kept, record, recorder, questions, keys, fresh, progress)
        counts = {"computed": computed, "asked": recorder.asked}
        kept.finish(record.id, {**about, **counts, "report": self._summary(rows)})
        return runs.load(str(record.id), self.engine.store)

    def _rows(
        self,
        kept: Evaluations,
        record: EvaluationRecord,
        recorder: Recorder,
        questions: Sequence[Question],
        keys: Sequence[str],
        fresh: bool,
        progress: Progress | None,
    ) -> tuple[list[JSON], int]:
        known = {} if fresh else kept.results(keys)
        rows: list[JSON] = []
        computed = 0
        keyed = list(zip(questions, keys, strict=True))
        for position, (question, key) in enumerate(progressing(keyed, self.experiment.task, progress)):
            row, trace = known.get(key), ""
            if row is None:
                if not computed:
                    self._warm_up()
                recorder.restart()
                row, computed = self._row(question, self._one(recorder, question), recorder), computed + 1
                if row["error"]:  # it may pass: found again by this run alone
                    key = digest(key, record.id, row["error"])
                kept.keep(key, row)
                trace = recorder.keys[-1] if recorder.keys else ""
            kept.note(record.id, position, result_key=key, trace_key=trace)
            rows.append(row)
        return rows, computed

    def _warm_up(self) -> None:
        """Open index and models, so that the first question's seconds are like the others'."""
        with suppress(RagkitError):
            self.engine.search("warm up", corpus=self.corpus, limit=1)

    def _one(self, recorder: Recorder, question: Question) -> Report:
        """The report of one question alone."""
        alone = dataclasses.replace(self.dataset, questions=(question,))
        engine = cast("Engine", recorder)
        if self.experiment.task == "answers":
            chosen = self.experiment.faithfulness_engine
            return run.run_answers(engine, alone, corpus=self.corpus, names=self.names, faithfulness_engine=chosen)
        return run.run_retrieval(engine, alone, corpus=self.corpus, names=self.names, level=self.level, checked=False)

    def _row(self, question: Question, report: Report, recorder: Recorder) -> dict[str, JSON]:
        row = next(iter(reports.question_rows(report)))
        row["content"] = digest(question.text, question.answer, question.answerable, repr(question.relevant))[:16]
        row["trace"] = view(question, recorder, self.level, SHOWN_HITS, BY_K)
        for gold in row["trace"].get("missed", []):
            gold["line"] = self._line(gold)
        return row

    def _line(self, gold: Mapping[str, JSON]) -> int:
        """Where a gold quote stands in its document; 0 when it is not found word for word."""
        store = self.engine.store
        record = store.document_by_path(self.corpus, gold["path"]) if gold["path"] and gold["quote"] else None
        if record is None:
            return 0
        document = store.document(record.id)
        at = document.text.find(gold["quote"])
        return LineIndex(document).position(at) if at >= 0 else 0

    def _questions(self) -> list[Question]:
        """The questions that the task can score."""
        if self.experiment.task == "answers":
            return list(self.dataset.questions)
        return run.judged_questions(self.dataset)

    def _key(self, recipe: Mapping[str, JSON], question: Question) -> str:
        asked = dataclasses.asdict(question)
        return digest(recipe, asked, self.names, self.level, fingerprints.code("evaluation", "verify"))

    def _about(self) -> dict[str, JSON]:
        settings = self.engine.settings
        return {
            "settings": fingerprints.settings_that_matter(settings, self.experiment.task),
            "models": fingerprints.models(self.engine, self.experiment.task),
            "versions": fingerprints.versions(),
            "machine": fingerprints.machine(settings),
        }

    def _summary(self, rows: Sequence[JSON]) -> dict[str, JSON]:
        """What a report says of the whole run, beside its questions."""
        about = {"corpus": self.corpus, "snapshot": self.engine.store.current_snapshot(self.corpus).name}
        if self.experiment.task == "retrieval":
            about |= {"level": self.level, "mode": self.engine.settings.retrieve.mode}
        return {
            "task": self.experiment.task,
            "dataset": self.dataset.name,
            "fingerprint": self.dataset.fingerprint,
            "names": list(self.names),
            "about": about,
            "notices": [*run.left_out(self.dataset, len(rows)), *self._nowhere(rows)],
        }

    def _nowhere(self, rows: Sequence[JSON]) -> tuple[str, ...]:
        """A notice of labels that name nothing in the corpus."""
        if self.experiment.task == "answers":
            return ()
        missed = [
            (row["id"], Gold(place["path"], tuple(place["heading"]), place["quote"]))
            for row in rows
            for place in row["trace"].get("missed", [])
        ]
        count = sum(len(rankings.units(question.relevant, self.level)) for question in self._questions())
        return labels.notices(self.engine, self.corpus, missed, self.level, count)
