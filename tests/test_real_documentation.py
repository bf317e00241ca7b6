"""Ten real questions to real documentation, answered by the default models: every citation is opened and found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ragkit import Engine, config
from ragkit.config import Settings

pytestmark = [pytest.mark.slow, pytest.mark.data]

QUESTIONS = 10


@pytest.fixture(scope="module")
def kubernetes(dev_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A folder with the pages that answer ten questions, among others that do not; and the questions."""
    source = dev_data / "docs" / "kubernetes"
    rows = [json.loads(line) for line in (source / "questions.jsonl").read_text(encoding="utf-8").splitlines()]
    rows = rows[:: len(rows) // QUESTIONS][:QUESTIONS]
    pages = {row["target_doc"] for row in rows} | {path.name for path in sorted((source / "docs").glob("*.md"))[::24]}
    folder = tmp_path_factory.mktemp("kubernetes") / "docs"
    folder.mkdir()
    for page in pages:
        shutil.copy(source / "docs" / page, folder / page)
    return folder, [row["question"] for row in rows]


@pytest.fixture(scope="module")
def engine(kubernetes: tuple[Path, list[str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    # Short answers: a quote is as well checked in the first sentence as in the tenth.
    values = {"store.directory": str(tmp_path_factory.mktemp("store")), "generate.max_tokens": 80}
    settings = config.replace(Settings(), values)
    with Engine(settings) as engine:
        report = engine.ingest([kubernetes[0]], corpus="kubernetes")
        assert report.counts.get("failed", 0) == 0
        yield engine


def test_every_citation_of_ten_answers_stands_verbatim_in_its_file(
    engine: Engine, kubernetes: tuple[Path, list[str]]
) -> None:
    folder, questions = kubernetes
    answers = [engine.ask(question) for question in questions]
    quotes = [quote for answer in answers for quote in answer.quotes]
    for quote in quotes:
        lines = (folder / quote.path).read_text(encoding="utf-8").splitlines()
        assert quote.text in "\n".join(lines[quote.start_line - 1 : quote.end_line]), quote.location
    given = [answer for answer in answers if answer.status != "abstained"]
    assert all(answer.quotes for answer in given)
    assert len(given) >= QUESTIONS // 2
