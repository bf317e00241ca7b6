"""What a whole command does behind the scenes: no connection leaves the machine, and torch is not imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Ingested

pytestmark = pytest.mark.slow

# Runs one command in this interpreter and reports, as the last line of stderr, every connection that was
# tried (an audit hook sees them whichever library makes them) and every heavy module that was imported.
WATCHED = """
import json, sys
tried = []
def hook(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        tried.append([event, repr(arguments[-1] if event == "socket.connect" else arguments[0])])
sys.addaudithook(hook)
from ragkit.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as stop:
    code = stop.code
heavy = sorted({"torch", "transformers", "sentence_transformers", "sqlalchemy"} & set(sys.modules))
print(json.dumps({"code": code, "tried": tried, "heavy": heavy}), file=sys.stderr)
"""


def watched(*arguments: str, environ: dict[str, str]) -> dict[str, object]:
    run = subprocess.run(
        [sys.executable, "-c", WATCHED, *arguments], env=environ, capture_output=True, text=True, check=False
    )
    report: dict[str, object] = json.loads(run.stderr.strip().splitlines()[-1])
    return report


@pytest.mark.parametrize(
    "arguments",
    [
        ["search", "restore a backup"],
        ["ask", "How long are backups kept?", "--no-llm"],
        ["ask", "How long are backups kept?", "-m", "smollm2-135m-instruct"],
        ["ingest", "--corpus", "docs"],
        ["models", "verify", "all-MiniLM-L6-v2"],
        ["models", "pull", "all-MiniLM-L6-v2", "smollm2-135m-instruct"],
        ["doctor"],
        ["corpus", "status"],
        ["--help"],
    ],
    ids=lambda arguments: " ".join(arguments),
)
def test_command_opens_no_connection_and_imports_nothing_heavy(ingested: Ingested, arguments: list[str]) -> None:
    """Torch is for preparing models, SQLAlchemy for writing the database: what only reads waits for neither."""
    report = watched(*arguments, environ=ingested.environ)
    assert report["tried"] == []
    assert report["heavy"] == (["sqlalchemy"] if arguments[0] == "ingest" else [])


def test_first_ingest_opens_no_connection(docs: Path, plain_environment: dict[str, str], models: None) -> None:
    report = watched("ingest", str(docs), environ=plain_environment)
    assert report == {"code": 0, "tried": [], "heavy": ["sqlalchemy"]}


def test_missing_model_is_not_fetched_while_offline(plain_environment: dict[str, str], tmp_path: Path) -> None:
    environ = {**plain_environment, "RAGKIT_MODELS_DIRECTORY": str(tmp_path / "models")}
    report = watched("models", "pull", "bge-small-en-v1.5", "--offline", environ=environ)
    assert (report["code"], report["tried"]) == (1, [])
