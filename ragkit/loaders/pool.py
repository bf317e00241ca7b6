"""Reads many files in worker processes, so that a crash or a hang costs one file.

Knows processes, pipes and time; knows nothing of formats, folders or databases.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from ragkit.loaders.worker import Job, Read, decode, read

FILES_PER_WORKER = 8
"""A worker takes a tenth of a second to start: so many files must wait for it."""


def read_all(jobs: Sequence[Job], workers: int) -> Iterator[tuple[Job, Read]]:
    """Read every file, in order, in up to `workers` processes; with none, in this process without time limits."""
    if not workers or not sys.executable:
        yield from ((job, read(job)) for job in jobs)
        return
    count = max(1, min(workers, -(-len(jobs) // FILES_PER_WORKER)))
    crew = [_Worker() for _ in range(count)]
    idle = deque(crew)

    def run(job: Job) -> Read:
        worker = idle.popleft()  # as many threads as workers: there is always one
        try:
            return worker.read(job)
        finally:
            idle.append(worker)

    pool = ThreadPoolExecutor(count, thread_name_prefix="ragkit-read")
    waiting: deque[tuple[Job, Future[Read]]] = deque()
    try:
        for job in jobs:
            waiting.append((job, pool.submit(run, job)))
            if len(waiting) > count * 4:  # what was read and not yet taken lies in memory
                first, result = waiting.popleft()
                yield first, result.result()
        while waiting:
            first, result = waiting.popleft()
            yield first, result.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in crew:
            worker.stop()
        pool.shutdown(wait=True)


class _Worker:
    """One process, started when first needed and again after it died."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False
        self._lock = threading.Lock()

    def read(self, job: Job) -> Read:
        process = self._started()
        if process is None or process.stdin is None or process.stdout is None:
            return Read("failed", "interrupted")
        late = threading.Event()

        def give_up() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(job.timeout_seconds, give_up)
        timer.start()
        line = b""
        try:
            process.stdin.write(json.dumps(asdict(job)).encode() + b"\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except OSError:
            pass  # it died: what is left to say is below
        finally:
            timer.cancel()
        if line.endswith(b"\n"):
            return decode(json.loads(line))
        code = self._end()
        if late.is_set():
            return Read(
                "failed", f"took longer than {job.timeout_seconds:g} s to read; see ingest.file_timeout_seconds"
            )
        return Read("failed", f"the process that read it died ({_death(code)})")

    def stop(self) -> None:
        """End the process, whatever it is doing."""
        with self._lock:
            self._stopped = True
        self._end()

    def _started(self) -> subprocess.Popen[bytes] | None:
        with self._lock:
            if self._stopped:
                return None
            if self._process is None:
                self._process = _start()
            return self._process

    def _end(self) -> int:
        with self._lock:
            process, self._process = self._process, None
        if process is None:
            return 0
        process.kill()
        code = process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what was left in its buffer has no reader any more
                    pipe.close()
        return code


def _start() -> subprocess.Popen[bytes]:
    package = Path(__file__).parents[2]
    paths = [str(package), *filter(None, [os.environ.get("PYTHONPATH")])]
    # -P: the folder that is being ingested may be the current one, and hold a json.py of its own.
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "ragkit.loaders.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )


def _death(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
