"""Opens a database of any system with SQLAlchemy, brings its tables up to date, and hands out transactions.

Knows URLs, dialects and migrations, and turns the database's errors into StoreError; knows nothing of what the
rows mean. Every difference between database systems is in this file and in sqlite.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    Insert,
    RowMapping,
    Table,
    create_engine,
    event,
    exc,
    insert,
    select,
    text,
)
from sqlalchemy.engine import make_url

from ragkit.errors import MissingExtra, StoreError
from ragkit.store import SCHEMA_VERSION, sqlite
from ragkit.store.schema import metadata, version


class Database:
    """A connection pool with read and write transactions. Safe to share between threads."""

    def __init__(self, where: str | Path) -> None:
        """`where` is a URL, or the path of a SQLite file."""
        try:
            self._url = URL.create("sqlite", database=str(where)) if isinstance(where, Path) else make_url(where)
        except exc.ArgumentError as error:
            raise StoreError(f"database URL {where} cannot be read", "correct store.database_url") from error
        try:
            self._engine = _engine(self._url)
            self._prepare()
        except ModuleNotFoundError as error:
            raise MissingExtra(
                f"the driver {error.name} of database {self.shown} is not installed",
                "pip install 'ragkit[postgresql]'" if error.name == "psycopg" else f"pip install {error.name}",
            ) from error
        except exc.SQLAlchemyError as error:
            raise _translated(error, self.shown) from error

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
            raise _translated(error, self.shown) from error

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is committed when the block ends and undone when it raises."""
        try:
            with self._engine.connect().execution_options(ragkit_writes=True) as connection, connection.begin():
                yield connection
        except exc.SQLAlchemyError as error:
            raise _translated(error, self.shown) from error

    def rows(self, sql: str, values: Mapping[str, Any] | None = None) -> list[RowMapping]:
        """Every row that a query in plain SQL finds."""
        with self.reading() as connection:
            return list(connection.execute(text(sql), values).mappings())

    def stream(self, sql: str, values: Mapping[str, Any] | None = None) -> Iterator[RowMapping]:
        """The rows that a query in plain SQL finds, some at a time, as they were when it began."""
        with self.reading() as connection:
            yield from connection.execution_options(yield_per=2000).execute(text(sql), values).mappings()

    def add(self, table: str, row: Mapping[str, Any]) -> int:
        """Add one row in a transaction of its own; returns its id."""
        with self.writing() as connection:
            key = connection.execute(insert(metadata.tables[table]).values(row)).inserted_primary_key
        return int(key[0]) if key else 0

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


def _translated(error: exc.SQLAlchemyError, shown: str) -> StoreError:
    return sqlite.translated(str(getattr(error, "orig", None) or error), shown)


def _engine(url: URL) -> Engine:
    options: dict[str, Any] = {"json_serializer": sqlite.dumps}
    if url.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True, **options)
    engine = create_engine(url, connect_args={"timeout": sqlite.BUSY_SECONDS}, **options)
    event.listen(engine, "connect", _tune_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _tune_sqlite(connection: Any, _record: Any) -> None:
    sqlite.tune(connection)  # _begin_sqlite begins the transactions


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later fails at once when another one wrote in between: say
    # from the start that it will write, and it waits its turn.
    writes = connection.get_execution_options().get("ragkit_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _no_such_table(error: exc.DBAPIError) -> bool:
    text = str(error.orig).lower()
    return "no such table" in text or "does not exist" in text or "doesn't exist" in text
