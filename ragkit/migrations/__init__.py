"""Changes of the database's tables from version to version, run by alembic when an older database is opened."""
