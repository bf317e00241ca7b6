"""Ingest that is killed at any instant, readers beside it, and any history of edits: the index is never wrong."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from ragkit import config
from ragkit.config import Settings
from ragkit.errors import CorpusEmpty
from ragkit.index.snapshot import open_snapshot, verify_snapshot
from ragkit.ingest import ingest
from ragkit.store import Store
from ragkit.testing import HashEmbedder

# An ingest that takes its time where a real one does, and ends in a kill or by itself.
PROGRAM = """
import sys, time
from pathlib import Path
from ragkit import config
from ragkit.config import Settings
from ragkit.ingest import ingest, run
from ragkit.store import Store
from ragkit.testing import HashEmbedder

run.BATCH_TEXTS, run.BATCH_CHUNKS = 8, 8

class Slow(HashEmbedder):
    def embed(self, texts, kind="passage", progress=None):
        time.sleep(0.01)
        return super().embed(texts, kind, progress)

settings = config.replace(Settings(), {"ingest.workers": -1, "lexical.engine": sys.argv[3]})
with Store(sys.argv[1]) as store:
    print("started", flush=True)
    report = ingest([Path(sys.argv[2])], "docs", store=store, embedder=Slow(), settings=settings)
    print(report.embedded, flush=True)
"""


@pytest.fixture
def quick(settings: Settings) -> Settings:
    return config.replace(settings, {"ingest.workers": -1})


def contents(store: Store) -> list[tuple[str, int, str]]:
    """(path, ordinal, text) of all that the current snapshot holds."""
    record = store.current_snapshot("docs")
    passages = store.passages(store.chunk_ids(record))
    return sorted((one.path, one.ordinal, one.chunk.indexed) for one in passages)


def write(folder: Path, name: str, seed: int) -> None:
    words = random.Random(seed)
    body = "\n\n".join(f"## Part {n}\n\n" + " ".join(f"w{words.randrange(50)}" for _ in range(12)) for n in range(3))
    (folder / name).write_text(f"# Title {name}\n\n{body}\n")


@pytest.mark.parametrize("engine", ["rank_bm25", "tantivy"])
def test_kill_at_any_instant_loses_nothing_published_and_the_next_ingest_completes(
    tmp_path: Path, engine: str
) -> None:
    docs, chance = tmp_path / "docs", random.Random(7)
    docs.mkdir()
    for number in range(12):
        write(docs, f"{number}.md", number)
    settings = config.replace(Settings(), {"ingest.workers": -1, "lexical.engine": engine})
    store = Store(tmp_path / "store")
    embedder = HashEmbedder()
    published = ingest([docs], "docs", store=store, embedder=embedder, settings=settings)
    before = contents(store)
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "store"), str(docs), engine]
    ended = 0
    for _ in range(8):
        for _ in range(4):  # edits between the kills, too
            write(docs, f"{chance.randrange(30)}.md", chance.randrange(10**6))
        (docs / f"{chance.randrange(12)}.md").unlink(missing_ok=True)
        run = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert run.stdout is not None
        assert run.stdout.readline() == "started\n"
        time.sleep(chance.uniform(0, 0.35))
        run.kill()
        ended += run.communicate()[0] != ""
        assert verify_snapshot(store, "docs", deep=True) == []
        if store.current_snapshot("docs").name == published.snapshot:
            assert contents(store) == before
    report = ingest([docs], "docs", store=store, embedder=embedder, settings=settings)
    assert report.counts.get("failed", 0) == 0
    with Store(tmp_path / "clean") as clean:
        ingest([docs], "docs", store=clean, embedder=HashEmbedder(), settings=settings)
        assert contents(store) == contents(clean)
    assert verify_snapshot(store, "docs", deep=True) == []
    assert not store.status("docs").unfinished
    store.close()
    assert ended < 8


def test_batches_embedded_before_a_kill_are_not_embedded_again(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    for number in range(60):
        write(docs, f"{number}.md", number)
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "store"), str(docs), "tantivy"]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    run.stdout.readline()

    def vectors() -> int:
        with store.database.reading() as connection:
            return int(connection.exec_driver_sql("select count(*) from vectors").scalar() or 0)

    with Store(tmp_path / "store") as store:
        while (known := vectors()) < 24:
            time.sleep(0.005)
        run.kill()
        run.communicate()
        known = vectors()
        embedder = HashEmbedder()
        settings = config.replace(Settings(), {"ingest.workers": -1})
        report = ingest([docs], "docs", store=store, embedder=embedder, settings=settings)
        assert embedder.embedded == report.embedded
        distinct = len({text for _, _, text in contents(store)})
        assert report.embedded == distinct - known


def test_readers_beside_an_ingest_see_whole_snapshots_only(tmp_path: Path, quick: Settings) -> None:
    """Every document says the same number in each snapshot; a reader never sees two numbers."""
    docs = tmp_path / "docs"
    docs.mkdir()

    def edition(number: int) -> None:
        for name in range(6):
            (docs / f"{name}.md").write_text(f"# Doc {name}\n\nsame edition{number} here\n")

    settings = config.replace(quick, {"store.keep_snapshots": 1})
    trouble: list[BaseException] = []
    seen: set[str] = set()
    done = threading.Event()

    def read() -> None:
        try:
            with Store(tmp_path / "store") as store:
                while not done.is_set():
                    with open_snapshot(store, "docs", settings) as opened:
                        for _ in range(3):
                            found = opened.lexical.search(["edit", "same"], 10)
                            passages = store.passages(one.id for one in found)
                            words = {one.chunk.text.split("same ")[1].split()[0] for one in passages}
                            assert (len(passages), len(words)) == (6, 1)
                            seen.update(words)
                            time.sleep(0.005)
        except BaseException as error:
            trouble.append(error)

    with Store(tmp_path / "store") as store:
        edition(0)
        ingest([docs], "docs", store=store, embedder=HashEmbedder(), settings=settings)
        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        for number in range(1, 9):
            edition(number)
            ingest([docs], "docs", store=store, embedder=HashEmbedder(), settings=settings)
        done.set()
        for reader in readers:
            reader.join()
    assert trouble == []
    assert len(seen) > 1


NAMES = st.sampled_from(["a.md", "b.md", "c.txt", "d.md", "e.rst"])
TEXTS = st.sampled_from([f"# T{n}\n\nwords w{n} and w{n + 1}\n\n## S\n\nmore v{n}\n" for n in range(4)] + [""])


class History(RuleBasedStateMachine):
    """Any history of edits and ingests ends in the content that a fresh ingest of the same files has."""

    @initialize()
    def begin(self) -> None:
        self.home = Path(tempfile.mkdtemp())
        self.docs = self.home / "docs"
        self.docs.mkdir()
        self.store = Store(self.home / "store")
        self.embedder = HashEmbedder()
        self.settings = config.replace(Settings(), {"ingest.workers": -1, "lexical.engine": "rank_bm25"})

    @rule(name=NAMES, text=TEXTS)
    def write(self, name: str, text: str) -> None:
        (self.docs / name).write_text(text)

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        (self.docs / name).unlink(missing_ok=True)

    @rule(name=NAMES, other=NAMES)
    def rename(self, name: str, other: str) -> None:
        if (self.docs / name).exists():
            (self.docs / name).rename(self.docs / other)

    @rule(size=st.sampled_from([256, 12]))
    def rechunk(self, size: int) -> None:
        self.settings = config.replace(self.settings, {"chunk.size_tokens": size, "chunk.overlap_tokens": 0})

    @rule(engine=st.sampled_from(["rank_bm25", "tantivy"]))
    def reindex(self, engine: str) -> None:
        self.settings = config.replace(self.settings, {"lexical.engine": engine})

    @rule()
    def ingest(self) -> None:
        with Store(self.home / "fresh") as fresh:
            try:
                ingest([self.docs], "docs", store=fresh, embedder=HashEmbedder(), settings=self.settings)
            except CorpusEmpty:
                with pytest.raises(CorpusEmpty):
                    self.run()
            else:
                self.run()
                assert contents(self.store) == contents(fresh)
                assert verify_snapshot(self.store, "docs", deep=True) == []
                with open_snapshot(self.store, "docs", self.settings) as opened:
                    ids = [one.id for one in opened.dense.search(self.embedder.embed(["w1"], "query")[0], 999)]
                    assert sorted(ids) == self.store.chunk_ids(opened.record).tolist()
        shutil.rmtree(self.home / "fresh")

    def run(self) -> None:
        ingest([self.docs], "docs", store=self.store, embedder=self.embedder, settings=self.settings)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            shutil.rmtree(self.home)


TestHistory = History.TestCase
TestHistory.settings = hypothesis_settings(
    max_examples=12, stateful_step_count=14, deadline=None, suppress_health_check=list(HealthCheck)
)
