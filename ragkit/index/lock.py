"""One writer for each corpus, across processes (the door of filelock). Readers take no part in it.

Knows a lock file and who holds it; knows nothing of what is written under it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from ragkit.errors import CorpusLocked, StoreError


@contextmanager
def writer_lock(directory: Path, corpus: str) -> Iterator[None]:
    """Hold the writer lock of a corpus, or raise CorpusLocked saying who holds it.

    The operating system frees it when the process ends, however it ends.
    """
    from filelock import FileLock, Timeout

    locks = directory / "locks"
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", corpus)[:60] + "-" + hashlib.sha256(corpus.encode()).hexdigest()[:8]
    # The holder's name lies beside the lock: opening a lock file empties it.
    holder = locks / f"{stem}.json"
    try:
        locks.mkdir(parents=True, exist_ok=True)
        lock = FileLock(locks / f"{stem}.lock")
        lock.acquire(timeout=0)
    except Timeout as error:
        raise CorpusLocked(
            f"corpus {corpus} is being written by {_describe(holder)}", "wait until it ends, or stop that process"
        ) from error
    except OSError as error:
        raise StoreError(
            f"lock file {locks / stem}.lock cannot be made: {error.strerror or error}",
            "check the folder's permissions, or set store.directory",
        ) from error
    try:
        mine = {"pid": os.getpid(), "host": socket.gethostname(), "since": datetime.now().isoformat(" ", "seconds")}
        holder.write_text(json.dumps(mine), encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _describe(holder: Path) -> str:
    try:
        who = json.loads(holder.read_text(encoding="utf-8"))
        return f"process {who['pid']} on {who['host']} since {who['since']}"
    except (OSError, ValueError, KeyError):
        return "another process"
