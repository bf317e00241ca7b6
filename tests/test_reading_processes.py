"""Files are read in processes of their own: what hangs, crashes or changes costs one file."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ragkit.loaders.pool import read_all
from ragkit.loaders.worker import Job, Read, decode, encode, read


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    found = []
    for number in range(20):
        (tmp_path / f"{number:02}.md").write_text(
            f"---\ndate: 2024-05-01\n---\n# Title {number}\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n- one\n- two\n"
        )
        found.append(Job(f"{number:02}.md", str(tmp_path / f"{number:02}.md")))
    return found


def children() -> set[int]:
    """Processes that this one started and that still run."""
    listed = Path(f"/proc/self/task/{threading.main_thread().native_id}/children")
    ids = set()
    for thread in listed.parents[1].iterdir():
        with contextlib.suppress(FileNotFoundError):  # a thread of another test that has just ended
            ids |= {int(id) for id in (thread / "children").read_text().split()}
    return ids


def test_processes_give_what_this_process_would_in_the_same_order(jobs: list[Job]) -> None:
    expected = list(read_all(jobs, 0))
    assert list(read_all(jobs, 2)) == expected
    assert [job for job, _ in expected] == jobs
    document = expected[3][1].document
    assert document is not None
    assert document.title == "Title 3"
    assert document.metadata["date"] == "2024-05-01"
    assert any(block.kind == "table" and block.header and block.rows for block in document.blocks)


def test_results_survive_the_way_between_processes(jobs: list[Job]) -> None:
    result = read(jobs[0])
    assert decode(encode(result)) == result
    assert decode(encode(Read("failed", "why"))) == Read("failed", "why")


def test_known_files_are_not_parsed_again(jobs: list[Job]) -> None:
    known = read(jobs[0])
    again = read(Job(jobs[0].path, jobs[0].file, known.sha256))
    assert (again.outcome, again.document, again.sha256) == ("same", None, known.sha256)


def test_vanished_file_is_a_failure(jobs: list[Job]) -> None:
    Path(jobs[0].file).unlink()
    assert read(jobs[0]) == Read("failed", "cannot be read: No such file or directory")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_file_that_hangs_costs_only_itself(jobs: list[Job], tmp_path: Path) -> None:
    """Opening a pipe that nobody writes to waits for ever."""
    os.mkfifo(tmp_path / "hang.md")
    hanging = Job("hang.md", str(tmp_path / "hang.md"), timeout_seconds=1.5)
    results = list(read_all([jobs[0], hanging, *jobs[1:]], 2))
    assert [result.outcome for job, result in results if job != hanging] == ["read"] * 20
    assert results[1][1].reason == "took longer than 1.5 s to read; see ingest.file_timeout_seconds"
    assert children() == set()


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
def test_reader_that_dies_costs_only_its_file(jobs: list[Job], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "crash.md")
    crashing = Job("crash.md", str(tmp_path / "crash.md"))
    results = []

    def kill_when_waiting() -> None:
        while not (started := children()):
            time.sleep(0.01)
        time.sleep(0.5)
        os.kill(started.pop(), signal.SIGSEGV)

    killer = threading.Thread(target=kill_when_waiting)
    killer.start()
    results = list(read_all([crashing, *jobs[:5]], 1))
    killer.join()
    assert results[0][1] == Read("failed", "the process that read it died (SIGSEGV)")
    assert [result.outcome for _, result in results[1:]] == ["read"] * 5


def test_no_process_outlives_its_use(jobs: list[Job]) -> None:
    reading = read_all(jobs, 2)
    next(reading)
    assert len(children()) == 2
    reading.close()
    assert children() == set()


def test_changing_file_is_read_again_and_then_given_up(tmp_path: Path) -> None:
    """Another process writes to it without pause."""
    file = tmp_path / "a.txt"
    with file.open("wb") as sparse:
        sparse.truncate(150_000_000)  # long enough to read that a write falls into it
    code = (
        "import sys\nwith open(sys.argv[1], 'ab', buffering=0) as file:\n    while True:\n        file.write(b'y')\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", code, str(file)])
    try:
        while file.stat().st_size == 150_000_000:
            time.sleep(0.01)
        result = read(Job("a.txt", str(file)))
    finally:
        writer.kill()
        writer.wait()
    assert result == Read("failed", "changed while it was read, twice")


def test_a_module_in_the_current_folder_is_not_run(jobs: list[Job], tmp_path: Path) -> None:
    """The folder that is ingested may hold a json.py."""
    (tmp_path / "json.py").write_text("raise SystemExit('run by mistake')\n")
    code = (
        "import sys\n"
        "sys.path.remove('')\n"
        "from ragkit.loaders.pool import read_all\n"
        "from ragkit.loaders.worker import Job\n"
        "print([r.outcome for _, r in read_all([Job('00.md', '00.md')], 1)])\n"
    )
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environ, capture_output=True, text=True, check=True
    )
    assert run.stdout == "['read']\n"
