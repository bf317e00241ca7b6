"""A SQLite file, spoken to in plain SQL through the standard library alone, and how its connections are tuned.

Knows pragmas, locks and the version of the tables; knows nothing of what the rows mean. What reads a store by
default needs no more than this, so that a search from a cold process never imports SQLAlchemy, which takes a
quarter of its time.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from ragkit.errors import StoreError

BUSY_SECONDS = 15.0
"""How long a write waits for another process's write."""


class SqliteFile:
    """A database file with its tables in place. Safe to share between threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def version(self) -> str | None:
        """Which version of the tables the file holds; None when it holds none, or is not there."""
        if not self._path.is_file():
            return None
        with self._lock, self._translating():
            try:
                row = self._connected().execute("SELECT version_num FROM alembic_version").fetchone()
            except sqlite3.OperationalError as error:
                if "no such table" not in str(error):
                    raise
                return None
        return row["version_num"] if row else None

    def rows(self, sql: str, values: Mapping[str, Any] | None = None) -> list[sqlite3.Row]:
        """Every row that a query finds."""
        with self._lock, self._translating():
            return self._connected().execute(sql, values or {}).fetchall()

    def stream(self, sql: str, values: Mapping[str, Any] | None = None) -> Iterator[sqlite3.Row]:
        """The rows that a query finds, one at a time, as they were when it began."""
        with self._translating(), closing(_connect(self._path)) as connection:
            yield from connection.execute(sql, values or {})

    def add(self, table: str, row: Mapping[str, Any]) -> int:
        """Add one row in a transaction of its own; returns its id."""
        columns, marks = ", ".join(row), ", ".join(f":{name}" for name in row)
        values = {name: dumps(value) if isinstance(value, list | dict) else value for name, value in row.items()}
        with self._lock, self._translating():
            sql = f"INSERT INTO {table} ({columns}) VALUES ({marks})"
            return int(self._connected().execute(sql, values).lastrowid or 0)

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = _connect(self._path)
        return self._connection

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise translated(str(error), str(self._path)) from error


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, check_same_thread=False)
    try:
        tune(connection)
    except BaseException:
        connection.close()
        raise
    connection.row_factory = sqlite3.Row
    return connection


def tune(connection: sqlite3.Connection) -> None:
    """Set a new connection up: no transactions but those that are asked for, and the write-ahead log."""
    # The driver would begin transactions late, and only for writes.
    connection.isolation_level = None
    _write_ahead(connection)
    for pragma in ("synchronous=NORMAL", "foreign_keys=ON", "cache_size=-32768"):
        connection.execute(f"PRAGMA {pragma}")


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Turn the write-ahead log on; two processes that make the same database at once take turns."""
    for _ in range(50):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:  # this pragma does not wait for a lock by itself
            if "locked" not in str(error):
                raise
            time.sleep(0.1)


def dumps(value: Any) -> str:
    """A JSON value as columns hold it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def translated(complaint: str, shown: str) -> StoreError:
    """The StoreError that says in one line what database `shown`, of any system, complained about."""
    text = complaint.strip().splitlines()[0]
    lowered = text.lower()
    if "full" in lowered or "no space" in lowered:
        return StoreError(f"no space left for database {shown}", "free some space and run the command again")
    if "locked" in lowered:
        return StoreError(
            f"database {shown} stayed locked by another process for {BUSY_SECONDS:.0f} s", "try again when it is done"
        )
    if "readonly" in lowered or "permission" in lowered or "unable to open" in lowered:
        return StoreError(
            f"database {shown} cannot be written: {text}", "check the folder's permissions, or set store.directory"
        )
    if "not a database" in lowered or "malformed" in lowered:
        return StoreError(f"database {shown} is damaged: {text}", "move it away and run `ragkit ingest` again")
    return StoreError(f"database {shown} failed: {text}", "run `ragkit doctor`")
