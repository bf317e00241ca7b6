"""Opens the database, brings its tables up to date, and hands out transactions.

Knows URLs, dialects, pragmas and migrations, and turns the database's errors into StoreError; knows nothing
of what the rows mean. Every difference between database systems is in this file.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, Insert, Table, create_engine, event, exc, insert, select
from sqlalchemy.engine import make_url

from ragkit.errors import MissingExtra, StoreError
from ragkit.store.schema import SCHEMA_VERSION, metadata, version

BUSY_SECONDS = 15.0
"""How long a write waits for another process's write."""


class Database:
    """A connection pool with read and write transactions. Safe to share between threads."""

    def __init__(self, url: str | URL) -> None:
        try:
            self._url = make_url(url)
        except exc.ArgumentError as error:
            raise StoreError(f"database URL {url} cannot be read", "correct store.database_url") from error
        try:
            self._engine = _engine(self._url)
            self._prepare()
        except ModuleNotFoundError as error:
            raise MissingExtra(
                f"the driver {error.name} of database {self.shown} is not installed", "install it"
            ) from error
        except exc.SQLAlchemyError as error:
            raise translated(error, self.shown) from error

    @property
    def shown(self) -> str:
        """The URL without its password, or the file's path, for messages."""
        url = self._url
        if url.get_backend_name() == "sqlite":
            return url.database or "in memory"
        return url.render_as_string(hide_password=True)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent view of the database, without a lock."""
        try:
            with self._engine.connect() as connection, connection.begin():
                yield connection
        except exc.SQLAlchemyError as error:
            raise translated(error, self.shown) from error

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is committed when the block ends and undone when it raises."""
        try:
            with self._engine.connect().execution_options(ragkit_writes=True) as connection, connection.begin():
                yield connection
        except exc.SQLAlchemyError as error:
            raise translated(error, self.shown) from error

    def insert_new(self, table: Table) -> Insert:
        """An INSERT that passes over rows whose key is there already."""
        backend = self._engine.dialect.name
        if backend == "sqlite":
            from sqlalchemy.dialects.sqlite import insert as sqlite_insert

            return sqlite_insert(table).on_conflict_do_nothing()
        if backend == "postgresql":
            from sqlalchemy.dialects.postgresql import insert as postgresql_insert

            return postgresql_insert(table).on_conflict_do_nothing()
        if backend in ("mysql", "mariadb"):
            return insert(table).prefix_with("IGNORE")
        return insert(table)

    def compact(self) -> None:
        """Fold SQLite's write-ahead log back into the file; nothing elsewhere. Never waits for a reader."""
        if self._engine.dialect.name == "sqlite":
            with self._engine.connect() as connection:
                connection.exec_driver_sql("COMMIT")
                connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)").all()
                connection.exec_driver_sql("BEGIN")

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def _prepare(self) -> None:
        """Make the tables of a new database; migrate an older one. alembic is only imported for the latter."""
        found = self._version()
        if found == SCHEMA_VERSION:
            return
        if found is None:
            with self.writing() as connection:
                metadata.create_all(connection)
                if connection.execute(select(version)).first() is None:
                    connection.execute(insert(version).values(version_num=SCHEMA_VERSION))
            return
        if found > SCHEMA_VERSION:
            raise StoreError(
                f"database {self.shown} (schema {found}) is newer than this ragkit (schema {SCHEMA_VERSION})",
                "upgrade ragkit, or name another folder with --set store.directory=DIR",
            )
        with self.writing() as connection:
            migrate(connection)

    def _version(self) -> str | None:
        try:
            with self._engine.connect() as connection:
                found: str | None = connection.execute(select(version.c.version_num)).scalar()
                return found
        except (exc.OperationalError, exc.ProgrammingError) as error:
            if not _no_such_table(error):
                raise
            return None


def migrate(connection: Connection, target: str = "head") -> None:
    """Run the migrations up to `target` on an open transaction."""
    from alembic import command
    from alembic.config import Config

    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).parents[1] / "migrations").replace("%", "%%"))
    settings.attributes["connection"] = connection
    command.upgrade(settings, target)


def translated(error: exc.SQLAlchemyError, shown: str) -> StoreError:
    """The StoreError that says in one line what the database complained about."""
    text = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
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


def _engine(url: URL) -> Engine:
    options: dict[str, Any] = {"json_serializer": _dumps}
    if url.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True, **options)
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS}, **options)
    event.listen(engine, "connect", _tune_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def _tune_sqlite(connection: Any, _record: Any) -> None:
    # The driver would begin transactions late, and only for writes; _begin_sqlite does it instead.
    connection.isolation_level = None
    cursor = connection.cursor()
    _write_ahead(cursor)
    for pragma in ("synchronous=NORMAL", "foreign_keys=ON", "cache_size=-32768"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _write_ahead(cursor: Any) -> None:
    """Turn the write-ahead log on; two processes that make the same database at once take turns."""
    for _ in range(50):
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:  # this pragma does not wait for a lock by itself
            if "locked" not in str(error):
                raise
            time.sleep(0.1)


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later fails at once when another one wrote in between: say
    # from the start that it will write, and it waits its turn.
    writes = connection.get_execution_options().get("ragkit_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _no_such_table(error: exc.DBAPIError) -> bool:
    text = str(error.orig).lower()
    return "no such table" in text or "does not exist" in text or "doesn't exist" in text
