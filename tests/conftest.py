"""What the tests share: a small folder of documentation, settings over temporary folders, development data."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ragkit import config
from ragkit.config import Settings


@pytest.fixture(scope="session")
def dev_data() -> Path:
    """The development data beside the project, or a skip."""
    path = Path(os.environ.get("RAGKIT_DEV_DATA", Path(__file__).parents[1] / ".." / "shared" / "data")).resolve()
    if not (path / "README.md").is_file():
        pytest.skip("development data not present (RAGKIT_DEV_DATA)")
    return path


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """A small folder of documentation with two topics."""
    folder = tmp_path / "docs"
    (folder / "guide").mkdir(parents=True)
    (folder / "backup.md").write_text(
        "---\ntitle: Backups\n---\n\n# Backups\n\nBackups run every night at 02:00.\n\n## Restore\n\n"
        "To restore a backup, run `vault restore --from FILE`. The service must be stopped first.\n\n"
        "## Retention\n\nBackups are kept for 30 days.\n",
        encoding="utf-8",
    )
    (folder / "guide" / "ports.md").write_text(
        "# Ports\n\nThe web interface listens on port 8443.\n\n## Changing the port\n\n"
        "Set `listen_port` in `server.toml` and restart the service.\n",
        encoding="utf-8",
    )
    return folder


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Defaults, with the store in a temporary folder."""
    return config.replace(Settings(), {"store.directory": str(tmp_path / "store")})


@pytest.fixture
def plain_environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Environment for subprocesses: no RAGKIT_* variable but a temporary home and store."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("RAGKIT_")}
    environ["RAGKIT_STORE_DIRECTORY"] = str(tmp_path / "store")
    environ["RAGKIT_HOME"] = str(config.home())
    environ["NO_COLOR"] = "1"
    yield environ


@pytest.fixture(scope="session")
def models() -> None:
    """The default embedder and the smallest generator, fetched and prepared once for all."""
    from ragkit.models.prepare import prepare

    directory = Settings().models_directory
    prepare("all-MiniLM-L6-v2", "embedder", directory)
    prepare("smollm2-135m-instruct", "generator", directory)
