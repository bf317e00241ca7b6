"""What the tests share: a small folder of documentation, settings over temporary folders, development data."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from ragkit import config
from ragkit.config import CROSS_ENCODER, Settings


@pytest.fixture(scope="session")
def dev_data() -> Path:
    """The development data beside the project, or a skip."""
    path = Path(os.environ.get("RAGKIT_DEV_DATA", Path(__file__).parents[1] / ".." / "shared" / "data")).resolve()
    if not (path / "README.md").is_file():
        pytest.skip("development data not present (RAGKIT_DEV_DATA)")
    return path


def write_docs(folder: Path) -> Path:
    """A small folder of documentation with two topics."""
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


def environment(store: Path) -> dict[str, str]:
    """Variables for subprocesses: no RAGKIT_* but the home of the models, and this store."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("RAGKIT_")}
    environ["RAGKIT_STORE_DIRECTORY"] = str(store)
    environ["RAGKIT_HOME"] = str(config.home())
    environ["NO_COLOR"] = "1"
    return environ


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """A small folder of documentation, to be changed by the test."""
    return write_docs(tmp_path / "docs")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Defaults, with the store in a temporary folder."""
    return config.replace(Settings(), {"store.directory": str(tmp_path / "store")})


@pytest.fixture
def plain_environment(tmp_path: Path) -> dict[str, str]:
    """Environment for subprocesses, with a store of the test's own."""
    return environment(tmp_path / "store")


@dataclass(frozen=True)
class Ingested:
    """A folder of documentation and the environment of subprocesses whose store holds it as corpus `docs`."""

    docs: Path
    environ: dict[str, str]


def ingest(base: Path) -> Ingested:
    """Write the small folder of documentation below `base`, and ingest it as a person would."""
    docs, environ = write_docs(base / "docs"), environment(base / "store")
    command = [sys.executable, "-m", "ragkit", "ingest", str(docs), "-q"]
    subprocess.run(command, env=environ, check=True, capture_output=True)
    return Ingested(docs, environ)


@pytest.fixture(scope="session")
def ingested(models: None, tmp_path_factory: pytest.TempPathFactory) -> Ingested:
    """Ingested once for all tests that only read."""
    return ingest(tmp_path_factory.mktemp("ingested"))


@pytest.fixture
def own_ingested(models: None, tmp_path: Path) -> Ingested:
    """Ingested for this test alone, to be damaged or changed."""
    return ingest(tmp_path)


@pytest.fixture(scope="session")
def models() -> None:
    """The default embedder and reranker and the smallest generator, fetched and prepared once for all."""
    from ragkit.models.prepare import prepare

    directory = Settings().models_directory
    prepare("all-MiniLM-L6-v2", "embedder", directory)
    prepare(CROSS_ENCODER, "reranker", directory)
    prepare("smollm2-135m-instruct", "generator", directory)


def pytest_unconfigure() -> None:
    """llama_cpp keeps two files open to the end; Python would complain of them in our name."""
    if utilities := sys.modules.get("llama_cpp._utils"):
        utilities.outnull_file.close()
        utilities.errnull_file.close()
