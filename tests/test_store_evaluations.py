"""Runs and results in the store: found again by key, continued after an interruption, removed without a trace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ragkit.store import Evaluations, Store

ABOUT = {"settings": {"retrieve.mode": "dense"}}


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Evaluations]:
    with Store(tmp_path) as store:
        yield Evaluations(store)


def begin(runs: Evaluations, key: str = "k", name: str = "docs"):
    return runs.begin(key, name=name, task="retrieval", dataset="set", corpus="c", about=ABOUT)


def test_a_result_is_found_again_by_its_key_and_replaced_whole(runs: Evaluations) -> None:
    runs.keep("a", {"scores": {"nDCG@10": 1.0}})
    runs.keep("a", {"scores": {"nDCG@10": 0.5}})
    assert runs.results(["a", "b"]) == {"a": {"scores": {"nDCG@10": 0.5}}}


def test_an_interrupted_run_goes_on_and_a_finished_one_does_not(runs: Evaluations) -> None:
    first = begin(runs)
    runs.keep("r", {"id": "q1"})
    runs.note(first.id, 0, result_key="r", trace_key="")
    again = begin(runs)
    assert (again.id, again.questions, again.finished_at) == (first.id, 1, "")
    runs.finish(first.id, {"computed": 1})
    assert begin(runs).id != first.id
    assert begin(runs, name="other").id != first.id


def test_a_name_means_the_latest_finished_run(runs: Evaluations) -> None:
    first = begin(runs, "k1")
    runs.finish(first.id, ABOUT)
    begin(runs, "k2")
    found = runs.run("docs")
    assert found is not None
    assert (found.id, found.about) == (first.id, ABOUT)
    assert runs.run("nothing") is None
    assert [record.key for record in runs.runs()] == ["k2", "k1"]


def test_questions_come_back_in_order_with_their_traces(runs: Evaluations) -> None:
    run = begin(runs).id
    for position in (1, 0):
        runs.keep(f"r{position}", {"id": position})
        runs.keep(f"t{position}", {"hits": [position]})
        runs.note(run, position, result_key=f"r{position}", trace_key=f"t{position}")
    assert runs.questions(run) == [({"id": 0}, {"hits": [0]}), ({"id": 1}, {"hits": [1]})]
