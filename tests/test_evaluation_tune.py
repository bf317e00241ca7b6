"""Tuning chooses what raises the metric, promises only what questions left out confirm, and writes with care."""

from __future__ import annotations

import json
import random
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from ragkit import Settings, config
from ragkit.cli.main import cli
from ragkit.cli.settings_file import change, changed
from ragkit.domain import JSON, Chunk, Passage
from ragkit.errors import EvaluationError, SettingsError
from ragkit.evaluation.remembering import Remembering, RememberingReranker
from ragkit.evaluation.tune import axes, to_json, to_text, tune
from ragkit.testing import HashEmbedder, OverlapReranker

SPACE = {"a": (1, 2, 3, 4), "b": (10, 20)}
START = {"a": 1, "b": 10}
IDS = [f"q{at}" for at in range(80)]


def real(values: Mapping[str, JSON]) -> dict[str, float]:
    """Every question gains as `a` nears 3, each by another amount."""
    return {id: 0.6 - 0.1 * abs(values["a"] - 3) * (1 + at % 3) / 2 for at, id in enumerate(IDS)}


def noise(values: Mapping[str, JSON]) -> dict[str, float]:
    """Each combination is good for other questions, by chance."""
    drawn = random.Random(repr(sorted(values.items())))
    return {id: 0.5 + drawn.choice((-0.05, 0.0, 0.05)) for id in IDS}


def test_a_real_gain_is_found_by_every_fold_and_confirmed_on_questions_left_out() -> None:
    found = tune(real, SPACE, START, "nDCG@10")
    assert (found.chosen, found.verdict) == ({"a": 3}, "better")
    assert [choice["a"] for choice in found.folds] == [3] * 5
    assert found.gain.n == len(IDS)
    assert found.gain.mean == pytest.approx(found.fitted - found.old)
    assert "the gain is real" in to_text(found)


def test_the_best_of_many_by_chance_is_no_gain() -> None:
    found = tune(noise, SPACE, START, "nDCG@10")
    assert found.fitted >= found.old
    assert found.verdict == "no gain beyond noise"
    assert found.gain.mean <= found.fitted - found.old + 0.01


def test_few_questions_are_said_to_be_too_few() -> None:
    found = tune(
        lambda values: {id: float((at + values["a"]) % 2) for at, id in enumerate(IDS[:10])}, SPACE, START, "m"
    )
    assert found.verdict == "too small to tell"
    with pytest.raises(EvaluationError, match="too few for 5 folds"):
        tune(lambda values: {"q": 1.0}, SPACE, START, "m")


def test_nothing_better_leaves_the_present_settings() -> None:
    found = tune(real, SPACE, {"a": 3, "b": 10}, "m")
    assert (found.chosen, found.gain.mean) == ({}, 0.0)
    assert "the present settings are the best" in to_text(found)


def test_each_combination_is_measured_once() -> None:
    asked: list[str] = []

    def measure(values: Mapping[str, JSON]) -> dict[str, float]:
        asked.append(json.dumps(values))
        return real(values)

    found = tune(measure, SPACE, START, "m")
    assert len(asked) == len(set(asked)) == len(found.tried)
    assert {"metric", "chosen", "gain", "low", "high", "p", "verdict", "tried"} <= set(
        json.loads(json.dumps(to_json(found)))
    )


def test_only_what_has_a_part_in_the_ranking_is_searched() -> None:
    def keys(**changes: JSON) -> set[str]:
        return set(axes(config.replace(Settings(), {key.replace("_", ".", 1): v for key, v in changes.items()})))

    assert keys() == {"retrieve.dense_weight", "retrieve.candidates", "rerank.depth", "rerank.weight"}
    assert keys(retrieve_mode="dense") == {"rerank.depth", "rerank.weight"}
    assert keys(retrieve_fusion="rrf", rerank_model="none") == {"retrieve.rrf_k", "retrieve.candidates"}
    chunked = axes(config.replace(Settings(), {"chunk.size_tokens": 200}), (128,))
    assert chunked["chunk.size_tokens"] == (128, 200)
    with pytest.raises(EvaluationError, match="nothing to tune"):
        tune(real, {}, {}, "m")


def test_no_text_is_embedded_twice() -> None:
    embedder = HashEmbedder()
    remembering = Remembering(embedder)
    one, two = remembering.embed(["a b", "c"]), remembering.embed(["c", "a b", "d", "d"])
    assert embedder.embedded == 3
    assert (two[1] == one[0]).all()
    assert remembering.embed([]).shape == (0, remembering.dimension)
    assert remembering.fingerprint == embedder.fingerprint


@given(st.lists(st.tuples(st.sampled_from("ab"), st.lists(st.sampled_from(["a b", "b", "c d", ""]), max_size=6))))
def test_no_pair_is_read_twice_and_every_passage_has_its_own_score(searches: list[tuple[str, list[str]]]) -> None:
    read: list[tuple[str, str]] = []

    class Listening(OverlapReranker):
        def score(self, query: str, passages: Sequence[Passage]) -> list[float]:
            read.extend((query, passage.chunk.indexed) for passage in passages)
            return super().score(query, passages)

    remembering = RememberingReranker(Listening())
    for query, texts in searches:
        found = [Passage(at, 1, at, "a.md", "", Chunk(0, len(text), text)) for at, text in enumerate(texts)]
        assert remembering.score(query, found) == OverlapReranker().score(query, found)
    assert len(read) == len(set(read))
    assert remembering.name == OverlapReranker().name


# ---------------------------------------------------------------- the settings file

FILE = """# Our settings.
corpus = "docs"

[retrieve]  # tuned by hand
mode = "hybrid"  # both
# dense_weight = 0.75

[generate]
model = "x"
"""


def test_values_are_changed_and_every_comment_stays(tmp_path: Path) -> None:
    file = tmp_path / "ragkit.toml"
    file.write_text(FILE, encoding="utf-8")
    change(file, {"retrieve.dense_weight": 0.6, "rerank.depth": 25, "retrieve.mode": "dense"})
    text = file.read_text(encoding="utf-8")
    assert (
        text
        == FILE.replace("# dense_weight = 0.75\n", "# dense_weight = 0.75\ndense_weight = 0.6\n").replace(
            '"hybrid"', '"dense"'
        )
        + "\n[rerank]\ndepth = 25\n"
    )
    loaded = config.load(file).settings
    assert (loaded.retrieve.dense_weight, loaded.rerank.depth, loaded.corpus) == (0.6, 25, "docs")
    change(file, {"rerank.depth": 40})
    assert file.read_text(encoding="utf-8") == text.replace("depth = 25", "depth = 40")


def test_a_file_that_is_not_there_is_made(tmp_path: Path) -> None:
    change(tmp_path / "ragkit.toml", {"rerank.depth": 25})
    assert (tmp_path / "ragkit.toml").read_text(encoding="utf-8") == "[rerank]\ndepth = 25\n"


@pytest.mark.parametrize("text", ["rerank = {depth = 15}\n", "[rerank\n", 'corpus = """\n[rerank]\n"""\n'])
def test_a_file_that_cannot_be_changed_line_by_line_is_left_alone(tmp_path: Path, text: str) -> None:
    file = tmp_path / "ragkit.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError):
        change(file, {"rerank.depth": 25})
    assert file.read_text(encoding="utf-8") == text


KEYS = st.sampled_from(["retrieve.dense_weight", "retrieve.candidates", "rerank.depth", "corpus"])


@given(st.dictionaries(KEYS, st.integers(1, 99)), st.dictionaries(KEYS, st.integers(1, 99)))
def test_what_is_written_is_what_is_read(first: dict[str, int], second: dict[str, int]) -> None:
    text = changed(changed(FILE.replace('corpus = "docs"\n', ""), first), second)
    data = tomllib.loads(text)
    for key, value in {**first, **second}.items():
        section, _, name = key.rpartition(".")
        assert (data[section] if section else data)[name] == value
    assert all(line in text.splitlines() for line in ("# Our settings.", "[retrieve]  # tuned by hand"))


# ---------------------------------------------------------------- the command


@pytest.mark.slow
def test_the_command_searches_measures_and_writes_only_what_is_sure(tmp_path: Path, docs: Path) -> None:
    questions = tmp_path / "q.jsonl"
    rows = [
        {"question": f"how do I restore a backup {word}", "relevant": [{"path": "backup.md"}]}
        for word in ("now", "today", "again", "at night", "by hand", "from a file")
    ]
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    store = ["--set", f"store.directory={tmp_path / 'store'}"]
    runner, target = CliRunner(), tmp_path / "ragkit.toml"
    assert runner.invoke(cli, ["ingest", str(docs), "--corpus", "small", *store]).exit_code == 0
    asked = [
        "tune",
        "--corpus",
        "small",
        "--dataset",
        str(questions),
        "--folds",
        "2",
        "--chunk-size",
        "64",
        "--write",
        str(target),
        *store,
    ]
    result = runner.invoke(cli, [*asked, "--format", "json"])
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert (data["n"], data["chosen"]) == (6, {})
    assert len(data["tried"]) > 5
    assert not target.exists()
