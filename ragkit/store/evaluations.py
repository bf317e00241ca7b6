"""Runs of evaluations, and the result of each of their questions, kept the moment it is there.

Knows rows and keys; knows nothing of questions, metrics or engines. A result is found again by its key, which
is a hash of all that it depends on, so what a killed run has finished is never computed again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import delete, func, insert, select, update

from ragkit.domain import JSON
from ragkit.store import schema as t
from ragkit.store.reading import BATCH, Store
from ragkit.store.rows import now

NAME_LENGTH = 200
"""Longer names, of grids of many settings, are cut here: their column holds no more."""


@dataclass(frozen=True, slots=True)
class EvaluationRecord:
    """A run: `finished_at` is "" while it is under way, or was interrupted. Runs of the same content share `key`."""

    id: int
    key: str
    name: str
    task: str
    dataset: str
    corpus: str
    started_at: str
    finished_at: str
    about: Mapping[str, JSON] = field(default_factory=dict)
    """What was run, on what, with which versions."""
    questions: int = 0
    """How many are finished."""


class Evaluations:
    """The runs in a store. Every method that writes has committed when it returns."""

    def __init__(self, store: Store) -> None:
        self._database = store.database

    # ------------------------------------------------------------ results

    def results(self, keys: Sequence[str]) -> dict[str, JSON]:
        """The kept results among these keys."""
        found: dict[str, JSON] = {}
        with self._database.reading() as connection:
            for start in range(0, len(keys), BATCH):
                table = t.evaluation_results
                query = select(table.c.key, table.c.result).where(table.c.key.in_(keys[start : start + BATCH]))
                found.update({row.key: row.result for row in connection.execute(query)})
        return found

    def keep(self, key: str, result: JSON) -> None:
        """Keep a result under its key, in place of the one that was there."""
        table = t.evaluation_results
        with self._database.writing() as connection:
            connection.execute(delete(table).where(table.c.key == key))
            connection.execute(insert(table).values(key=key, kept_at=now(), result=result))

    # ------------------------------------------------------------ runs

    def begin(
        self, key: str, *, name: str, task: str, dataset: str, corpus: str, about: Mapping[str, JSON]
    ) -> EvaluationRecord:
        """A new run; or the one of the same key and name that was interrupted, which goes on."""
        table, name = t.evaluations, name[:NAME_LENGTH]
        values = {"name": name, "task": task, "dataset": dataset, "corpus": corpus, "about": dict(about)}
        with self._database.writing() as connection:
            query = select(table.c.id).where(table.c.key == key, table.c.name == name, table.c.finished_at == "")
            id = connection.execute(query.order_by(table.c.id.desc())).scalar()
            if id is None:
                row = {"key": key, "started_at": now(), "finished_at": "", **values}
                made = connection.execute(insert(table).values(row)).inserted_primary_key
                id = made[0] if made else 0
            else:
                connection.execute(update(table).where(table.c.id == id).values(values))
        found = self.run(int(id))
        assert found is not None
        return found

    def note(self, run: int, position: int, *, result_key: str, trace_key: str) -> None:
        """Say which result the question at `position` of a run has."""
        table = t.evaluation_questions
        where = (table.c.evaluation_id == run) & (table.c.position == position)
        row = {"evaluation_id": run, "position": position, "result_key": result_key, "trace_key": trace_key}
        with self._database.writing() as connection:
            connection.execute(delete(table).where(where))
            connection.execute(insert(table).values(row))

    def finish(self, run: int, about: Mapping[str, JSON]) -> None:
        """Every question of the run has its result."""
        values = {"finished_at": now(), "about": dict(about)}
        with self._database.writing() as connection:
            connection.execute(update(t.evaluations).where(t.evaluations.c.id == run).values(values))

    def run(self, which: int | str) -> EvaluationRecord | None:
        """The run with this id, or the latest with this name: a finished one before one that is not."""
        table = t.evaluations
        wanted = table.c.id == which if isinstance(which, int) else table.c.name == which[:NAME_LENGTH]
        with self._database.reading() as connection:
            query = select(table).where(wanted).order_by((table.c.finished_at != "").desc(), table.c.id.desc())
            row = connection.execute(query.limit(1)).mappings().first()
        return self._records([row])[0] if row else None

    def runs(self, limit: int = 20) -> list[EvaluationRecord]:
        """The latest runs, newest first."""
        with self._database.reading() as connection:
            query = select(t.evaluations).order_by(t.evaluations.c.id.desc()).limit(limit)
            rows = list(connection.execute(query).mappings())
        return self._records(rows)

    def questions(self, run: int) -> list[tuple[JSON, JSON]]:
        """(result, trace) of each finished question of a run, in the order of the questions."""
        table = t.evaluation_questions
        with self._database.reading() as connection:
            query = select(table).where(table.c.evaluation_id == run).order_by(table.c.position)
            rows = list(connection.execute(query))
        kept = self.results([key for row in rows for key in (row.result_key, row.trace_key) if key])
        return [(kept.get(row.result_key, {}), kept.get(row.trace_key)) for row in rows]

    def _records(self, rows: Sequence[Any]) -> list[EvaluationRecord]:
        table = t.evaluation_questions
        ids = [row["id"] for row in rows]
        with self._database.reading() as connection:
            query = select(table.c.evaluation_id, func.count()).where(table.c.evaluation_id.in_(ids))
            done = {row[0]: row[1] for row in connection.execute(query.group_by(table.c.evaluation_id))}
        return [EvaluationRecord(**row, questions=done.get(row["id"], 0)) for row in rows]
