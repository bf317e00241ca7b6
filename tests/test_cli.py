"""The command line as a person uses it: whole processes, real models, real files; what goes where, and exit codes."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from ragkit.ingest.run import BATCH_TEXTS
from tests.conftest import Ingested

pytestmark = pytest.mark.slow

Environment = dict[str, str]


def ragkit(
    *arguments: str, environ: Environment, cwd: Path | None = None, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ragkit", *arguments],
        env=environ,
        cwd=cwd,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_help_lists_every_command_and_the_exit_codes(plain_environment: Environment) -> None:
    run = ragkit("--help", environ=plain_environment)
    assert run.returncode == 0
    for word in (
        "ingest",
        "ask",
        "search",
        "corpus",
        "models",
        "eval",
        "config",
        "doctor",
        "3 not in the documentation",
    ):
        assert word in run.stdout


def test_search_finds_the_passage_and_names_its_lines(ingested: Ingested) -> None:
    run = ragkit("search", "restore a backup", "--format", "json", environ=ingested.environ)
    assert run.returncode == 0, run.stderr
    hit = json.loads(run.stdout)["hits"][0]
    assert hit["path"] == "backup.md"
    lines = (ingested.docs / "backup.md").read_text().splitlines()[hit["start_line"] - 1 : hit["end_line"]]
    assert hit["text"] == "\n".join(lines)


def test_search_corrects_demands_phrases_explains_and_widens(ingested: Ingested) -> None:
    run = ragkit("search", 'restroe a "kept for"', "--explain", "--expand", "section", environ=ingested.environ)
    assert run.returncode == 0, run.stderr
    assert 'searched for "restore", not "restroe"' in run.stderr
    for part in ("backup.md:L", "Backups are kept for 30 days.", "carried by", "terms restore", "phrases kept for"):
        assert part in run.stdout
    plain = ragkit("search", "restroe", "--no-spelling", "--mode", "lexical", environ=ingested.environ)
    assert (plain.returncode, plain.stdout) == (0, "")


def test_a_filter_on_a_key_that_no_document_has_is_refused(ingested: Ingested) -> None:
    run = ragkit("search", "backup", "--filter", "titel=Backups", environ=ingested.environ)
    assert run.returncode == 2
    assert "no document has the key titel" in run.stderr
    assert "did you mean title?" in run.stderr


def test_near_duplicates_are_listed(ingested: Ingested) -> None:
    run = ragkit("corpus", "status", "docs", "--duplicates", environ=ingested.environ)
    assert run.returncode == 0, run.stderr
    assert "no two passages say nearly the same" in run.stderr
    run = ragkit("corpus", "status", "docs", "--duplicates", "--format", "json", environ=ingested.environ)
    assert json.loads(run.stdout)["duplicates"] == []


def test_answer_cites_lines_that_hold_the_quote(ingested: Ingested) -> None:
    run = ragkit("ask", "How long are backups kept?", "--no-llm", "--format", "json", environ=ingested.environ)
    assert run.returncode == 0, run.stderr
    answer = json.loads(run.stdout)
    assert answer["status"] == "answered"
    assert "30 days" in answer["answer"]
    source = answer["sources"][0]
    lines = (ingested.docs / source["path"]).read_text().splitlines()[source["start_line"] - 1 : source["end_line"]]
    assert source["quote"] in "\n".join(lines)


def test_question_outside_the_corpus_is_declined_with_exit_code_3(ingested: Ingested) -> None:
    run = ragkit("ask", "Who won the chess world championship in 1972?", "--no-llm", environ=ingested.environ)
    assert run.returncode == 3
    assert "Not in the documentation" in run.stdout


def test_stdout_is_data_and_stderr_is_talk(ingested: Ingested) -> None:
    run = ragkit("ingest", str(ingested.docs), "--format", "json", environ=ingested.environ)
    assert json.loads(run.stdout)["published"] is False
    run = ragkit("search", "backup", "--format", "jsonl", environ=ingested.environ)
    assert all(json.loads(line)["path"] for line in run.stdout.splitlines())


def test_no_hit_is_still_valid_json(ingested: Ingested) -> None:
    run = ragkit("search", "zzzz", "--mode", "lexical", "--format", "json", environ=ingested.environ)
    assert run.returncode == 0
    assert json.loads(run.stdout)["hits"] == []


def test_show_prints_the_lines_that_sed_prints(ingested: Ingested) -> None:
    run = ragkit("show", "guide/ports.md:L3-L7", environ=ingested.environ)
    sed = subprocess.run(
        ["sed", "-n", "3,7p", ingested.docs / "guide/ports.md"], capture_output=True, text=True, check=True
    )
    assert run.stdout == sed.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["ask", ""], 2, "the question is empty"),
        (["search", '""'], 2, "the query is empty"),
        (["search", "--dry-run"], 2, "write `ragkit search -- --dry-run`"),
        (["ask", "   ", "--no-llm"], 2, "the question is empty"),
        (["search", "x", "--corpus", "dosc"], 1, "corpus dosc does not exist"),
        (["search", "x", "--filter", "nonsense"], 2, "nonsense"),
        (["search", "x", "--doc-version", ""], 2, "--doc-version names no version"),
        (["search", "x", "--doc-version", ">=1.8 <"], 2, "'>=1.8 <' cannot be read"),
        (["search", "x", "-s", "retrieve.limt=3"], 2, "did you mean retrieve.limit"),
        (["search", "x", "-s", "context.diversity=7"], 2, "context.diversity must be a number from 0 to 1"),
        (["search", "x", "-s", "embed.model=no-such-model"], 1, "no-such-model"),
        (["ask", "x", "-m", "path:missing.gguf"], 1, "missing.gguf"),
        (["ingest", "missing-folder"], 2, "missing-folder"),
        (["show", "missing.md"], 2, "missing.md is not in corpus"),
        (
            ["show", "guide/ports.md:L400"],
            2,
            "there is no guide/ports.md:L400",
        ),
        (["show", "guide/ports.md:L9-L3"], 2, "there is no guide/ports.md:L9-L3"),
        (["show", "guide/ports.md:p4"], 2, "guide/ports.md is cited by the line"),
        (["corpus", "status", "--duplicates", "--acronyms"], 2, "give one of them"),
        (["search", "x", "-s", "nothing.like=3"], 2, "`ragkit config show` lists every setting"),
        (["search", "x", "--doc-version", ">=abc"], 2, ">=abc names no version"),
        (["serch", "x"], 2, "Did you mean search"),
        (["corpus", "remove", "nothing", "-y"], 1, "corpus nothing does not exist"),
        (["ask", "why " * 6000, "-m", "smollm2-135m-instruct"], 2, "too long"),
    ],
)
def test_bad_input_gets_one_clear_line(ingested: Ingested, arguments: list[str], code: int, expected: str) -> None:
    run = ragkit(*arguments, environ=ingested.environ)
    assert expected in run.stderr
    assert (run.returncode, run.stdout) == (code, "")
    assert "Traceback" not in run.stderr
    assert len(run.stderr.strip().splitlines()) <= 4


def test_traceback_comes_with_debug_alone(ingested: Ingested) -> None:
    assert "Traceback" in ragkit("search", "x", "--corpus", "dosc", "--debug", environ=ingested.environ).stderr


def test_empty_folder_says_what_to_do(tmp_path: Path, plain_environment: Environment, models: None) -> None:
    (tmp_path / "empty").mkdir()
    run = ragkit("ingest", str(tmp_path / "empty"), environ=plain_environment)
    assert run.returncode == 1
    assert "empty" in run.stderr


def test_strict_ingest_fails_when_a_file_failed(docs: Path, plain_environment: Environment, models: None) -> None:
    (docs / "broken.pdf").write_bytes(b"%PDF-1.7 nothing that a reader could use")
    assert ragkit("ingest", str(docs), "--strict", environ=plain_environment).returncode == 1
    status = ragkit("corpus", "status", "--format", "json", environ=plain_environment)
    failed = [row for row in json.loads(status.stdout)["ledger"] if row["outcome"] == "failed"]
    assert [row["path"] for row in failed] == ["broken.pdf"]


def test_index_of_another_embedder_is_refused_with_the_command(ingested: Ingested) -> None:
    run = ragkit("search", "backup", "-s", "embed.model=all-mpnet-base-v2", "--offline", environ=ingested.environ)
    assert run.returncode == 1
    assert "was ingested with embedder all-MiniLM-L6-v2" in run.stderr
    assert "ragkit ingest --corpus docs" in run.stderr


def vectors(database: Path) -> int:
    """How many vectors a store holds."""
    with closing(sqlite3.connect(database)) as connection:
        count: int = connection.execute("select count(*) from vectors").fetchone()[0]
        return count


def test_interrupted_ingest_keeps_the_last_snapshot_and_goes_on(own_ingested: Ingested, tmp_path: Path) -> None:
    for number in range(2 * BATCH_TEXTS):  # the interrupt comes when the first batch is kept, and one is still to do
        text = f"# Page {number}\n\n" + f"Fact {number} is about topic {number}. " * 24
        (own_ingested.docs / f"page{number}.md").write_text(text)
    process = subprocess.Popen(
        [sys.executable, "-m", "ragkit", "ingest", str(own_ingested.docs)],
        env=own_ingested.environ,
        stderr=subprocess.PIPE,
        text=True,
    )
    database = tmp_path / "store" / "ragkit.db"
    before = vectors(database)
    while process.poll() is None and vectors(database) == before:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert ragkit("search", "restore a backup", environ=own_ingested.environ).returncode == 0
    run = ragkit("ingest", str(own_ingested.docs), "--format", "json", environ=own_ingested.environ)
    report = json.loads(run.stdout)
    assert run.returncode == 0
    assert report["published"]
    assert report["embedded"] < report["chunks"]


def test_doctor_is_content_with_a_sound_store(ingested: Ingested) -> None:
    run = ragkit("doctor", "--format", "json", "-s", "generate.model=smollm2-135m-instruct", environ=ingested.environ)
    assert run.returncode == 0, run.stdout
    assert json.loads(run.stdout)["ok"]


def test_doctor_names_the_repairing_command(own_ingested: Ingested, tmp_path: Path) -> None:
    index = next((tmp_path / "store").rglob("dense.faiss"))
    index.write_bytes(index.read_bytes()[:-100])
    run = ragkit("doctor", "-s", "generate.model=smollm2-135m-instruct", environ=own_ingested.environ)
    assert run.returncode == 1
    assert "ragkit ingest" in run.stdout


def test_config_says_where_a_value_came_from(plain_environment: Environment) -> None:
    run = ragkit(
        "config", "show", "retrieve", "-s", "retrieve.limit=3", "--format", "json", environ=plain_environment
    )
    rows = {row["key"]: row for row in json.loads(run.stdout)["settings"]}
    assert rows["retrieve.limit"]["origin"] == "command line"
    assert rows["retrieve.mode"]["origin"] == "default"


def test_chat_keeps_going_until_an_empty_line(ingested: Ingested) -> None:
    run = ragkit(
        "chat", "--no-llm", environ=ingested.environ, stdin="How long are backups kept?\nWhich port is used?\n\n"
    )
    assert run.returncode == 0
    assert "30 days" in run.stdout
    assert "8443" in run.stdout


def test_broken_pipe_is_not_an_error(ingested: Ingested) -> None:
    command = f"{sys.executable} -m ragkit search backup | head -n 0"
    run = subprocess.run(["bash", "-c", command], env=ingested.environ, capture_output=True, text=True, check=False)
    assert run.stderr == ""


def test_a_model_that_is_not_here_is_not_wrong(tmp_path: Path, plain_environment: Environment) -> None:
    run = ragkit("models", "verify", f"path:{tmp_path / 'nowhere'}", environ=plain_environment)
    assert (run.returncode, run.stdout.split("  ")[0]) == (0, "not here"), run.stderr
