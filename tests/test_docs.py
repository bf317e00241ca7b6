"""The documentation: its generated parts are fresh, it names everything, its links lead somewhere, its code runs."""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest

from ragkit import Engine, config, errors
from ragkit.config import Settings
from ragkit.testing import HashEmbedder, ScriptedGenerator

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
LINKED = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "corpora" / "README.md", *PAGES]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
KEYS = set(config.keys())
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def load(path: Path) -> ModuleType:
    """A Python file outside the package, as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


# ---------------------------------------------------------------- nothing is out of date


def test_generated_parts_are_fresh() -> None:
    assert load(ROOT / "docs" / "generate.py").stale() == [], "run `python docs/generate.py`"


def test_every_setting_is_described() -> None:
    text = page("configuration.md")
    assert [key for key in sorted(KEYS) if f"`{key}`" not in text] == []


def test_every_error_is_described() -> None:
    kinds = [k for k in vars(errors).values() if inspect.isclass(k) and issubclass(k, errors.RagkitError)]
    text = page("errors.md")
    assert [kind.__name__ for kind in kinds if f"`{kind.__name__}`" not in text] == []


def commands(command: click.Command, context: click.Context) -> Iterator[str]:
    yield context.command_path
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from commands(inner, click.Context(inner, info_name=name, parent=context))


def all_commands() -> set[str]:
    from ragkit.cli.main import cli

    return set(commands(cli, click.Context(cli, info_name="ragkit")))


def test_every_command_is_described() -> None:
    text = page("cli.md")
    assert [path for path in sorted(all_commands() - {"ragkit"}) if f"### `{path}`" not in text] == []


def test_commands_without_json_are_named() -> None:
    from ragkit.cli.main import cli

    without = set()
    for path in all_commands():
        command: click.Command = cli
        for name in path.split()[1:]:
            assert isinstance(command, click.Group)
            found = command.get_command(click.Context(command), name)
            assert found is not None
            command = found
        if not isinstance(command, click.Group) and not any("--format" in one.opts for one in command.params):
            without.add(path.removeprefix("ragkit "))
    named, _ = page("json.md").split("which print paths", 1)
    assert set(re.findall("`([a-z][a-z ]*[a-z])`", named)) == without


def shown_commands(text: str) -> list[str]:
    """`ragkit ...` in code: fenced, indented or between backticks."""
    fenced = "\n".join(FENCED.findall(text))
    prose = FENCED.sub("", text)
    found = re.findall(r"^(?:\$ |\S+/)?(ragkit [a-z].*)$", fenced, re.MULTILINE)
    found += re.findall(r"^ {4}(?:\S.*&& )?(ragkit [a-z].*)$", prose, re.MULTILINE)
    return found + re.findall(r"`(ragkit [a-z][^`\n]*)`", prose)


def test_every_command_line_shown_names_a_command_and_flags_that_exist() -> None:
    from ragkit.cli.main import cli

    wrong = []
    for path in LINKED:
        for line in shown_commands(path.read_text(encoding="utf-8")):
            words = line.split(" #")[0].split()[1:]
            command: click.Command = cli
            context = click.Context(cli, info_name="ragkit")
            while words and isinstance(command, click.Group):
                found = command.get_command(context, words[0])
                if found is None:
                    break
                command, context = found, click.Context(found, info_name=words[0], parent=context)
                words = words[1:]
            known = {name for p in command.params for name in (*p.opts, *p.secondary_opts)} | {"--help", "--version"}
            flags = {re.split("[=,;]", word)[0] for word in words if re.match(r"--?[a-z]", word)}
            if command is cli or not flags <= known:
                wrong.append(f"{path.name}: {line}")
    assert wrong == []


def test_settings_named_in_the_pages_exist() -> None:
    sections = "|".join({key.split(".")[0] for key in KEYS if "." in key})
    wrong = [
        f"{path.name}: {key}"
        for path in PAGES
        for key in re.findall(rf"`((?:{sections})\.[a-z_]+)\b", path.read_text(encoding="utf-8"))
        if key not in KEYS and not key.endswith((".py", ".toml", ".md", ".txt"))
    ]
    assert wrong == []


def test_toml_examples_are_valid_settings(tmp_path: Path) -> None:
    for path in PAGES:
        for number, body in enumerate(re.findall(r"```toml\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)):
            if not body.startswith(("[corpus]", "[experiment]")):
                file = tmp_path / f"{path.stem}-{number}.toml"
                file.write_text(body, encoding="utf-8")
                config.load(file, {})


def test_toml_examples_of_experiments_can_be_carried_out(tmp_path: Path) -> None:
    from ragkit.evaluation import experiments

    found = re.findall(r"```toml\n(\[experiment\].*?)```", page("experiments.md"), re.DOTALL)
    assert found
    for number, body in enumerate(found):
        file = tmp_path / f"{number}.toml"
        file.write_text(body, encoding="utf-8")
        assert list(experiments.load(file).variants())
    for file in (ROOT / "eval" / "experiments").glob("*.toml"):
        assert experiments.load(file).dataset.exists()


# ---------------------------------------------------------------- links and spelling


def anchors(text: str) -> set[str]:
    """Fragments of a page's headings, as GitHub makes them."""
    found = set()
    for heading in re.findall(r"^#+ +(.+)$", FENCED.sub("", text), re.MULTILINE):
        found.add(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-"))
    return found


@pytest.mark.parametrize("path", LINKED, ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_resolve(path: Path) -> None:
    wrong = []
    text = path.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)\s]+)\)", FENCED.sub("", text)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, fragment = link.partition("#")
        target = path.parent / name if name else path
        if not target.exists() or (fragment and fragment not in anchors(target.read_text(encoding="utf-8"))):
            wrong.append(link)
    assert wrong == []


def test_index_links_every_page() -> None:
    text = page("index.md")
    assert [path.name for path in PAGES if path.name != "index.md" and f"({path.name})" not in text] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_opens_with_what_it_answers(path: Path) -> None:
    title, blank, opening = path.read_text(encoding="utf-8").split("\n", 2)
    assert title.startswith("# ")
    assert blank == ""
    assert opening[0].isupper()
    assert opening.split("\n\n")[0].rstrip().endswith(".")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_no_line_is_too_long_to_quote(path: Path) -> None:
    text = FENCED.sub("", path.read_text(encoding="utf-8"))
    long = [line for line in text.split("\n") if len(line) > 140]
    assert [line for line in long if not re.match(r"\||- |\d+\. ", line)] == []


@pytest.mark.parametrize("path", LINKED, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_left_to_do(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"TODO\S*|FIXME|OUTPUT-\S+|PLACEHOLDER", text) == []


def test_no_code_is_left_to_write() -> None:
    """Words that promise what is not there. Prompts have placeholders: that word is theirs."""
    promises = re.compile(
        r"\b(?:TODO|FIXME|XXX|HACK|placeholders?|not (?:yet )?implemented|NotImplemented\w*)\b", re.I
    )
    found = {
        str(path.relative_to(ROOT)): promises.findall(path.read_text(encoding="utf-8"))
        for path in (ROOT / "ragkit").rglob("*.py")
        if path.name != "prompting.py"
    }
    assert {path: words for path, words in found.items() if words} == {}


# ---------------------------------------------------------------- code


@pytest.fixture
def engine(docs: Path, settings: Settings) -> Iterator[Engine]:
    """An engine over the small folder of documentation, with fakes for models."""
    generator = ScriptedGenerator("Backups are kept for 30 days. [1]")
    settings = config.replace(settings, {"verify.min_relevance": 0.0})  # the fake embedder knows no synonyms
    with Engine(settings, embedder=HashEmbedder(), generator=generator) as engine:
        engine.ingest([docs], corpus="handbook")
        yield engine


def blocks(mark: str) -> list[Any]:
    """The Python blocks of all pages that carry this mark in the line before."""
    found = []
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        for match in re.finditer(rf"<!-- {mark} -->\n```python\n(.*?)```", text, re.DOTALL):
            line = text.count("\n", 0, match.start()) + 1
            found.append(pytest.param("\n" * (line + 1) + match[1], id=f"{path.name}:{line}"))
    return found


def test_pages_have_blocks_to_run() -> None:
    assert len(blocks("run")) >= 5
    assert blocks("run: models")


@pytest.mark.parametrize("code", blocks("run"))
def test_python_block_runs(code: str, engine: Engine, docs: Path) -> None:
    here = Path.cwd()
    os.chdir(docs.parent)
    try:
        exec(compile(code, "documentation", "exec"), {"engine": engine, "answer": engine.ask("How long?")})
    finally:
        os.chdir(here)


def small_models(environment: dict[str, str]) -> dict[str, str]:
    return {**environment, "RAGKIT_GENERATE_MODEL": "smollm2-135m-instruct"}


@pytest.mark.slow
@pytest.mark.parametrize("code", blocks("run: models"))
def test_python_block_runs_with_models(code: str, docs: Path, plain_environment: dict[str, str]) -> None:
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=docs.parent,
        env=small_models(plain_environment),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout


def test_search_example_finds_the_page(engine: Engine, docs: Path) -> None:
    hits = load(ROOT / "examples" / "search_a_folder.py").search(engine, str(docs), "restore a backup")
    assert hits[0].passage.path == "backup.md"


def test_ask_example_proves_its_answer(engine: Engine, docs: Path) -> None:
    example = load(ROOT / "examples" / "ask_with_citations.py")
    answer = example.ask(engine, str(docs), "How long are backups kept?")
    assert answer.status == "answered"
    proof = example.proof(engine, answer)
    assert proof
    for quote, (place, lines) in zip(answer.quotes, proof, strict=True):
        assert place == quote.location
        assert quote.text in lines


def test_embedder_example_forgives_typing_errors(docs: Path, settings: Settings) -> None:
    example = load(ROOT / "examples" / "own_embedder.py")
    with Engine(settings, embedder=example.TrigramEmbedder()) as engine:
        hits = example.search(engine, str(docs), "backkup retentoin")
    assert hits[0].passage.path == "backup.md"


def test_evaluation_example_reports_every_mode(engine: Engine, docs: Path, tmp_path: Path) -> None:
    questions = tmp_path / "questions.jsonl"
    rows = [
        {"question": "How long are backups kept?", "relevant": [{"path": "backup.md", "heading": "Retention"}]},
        {"question": "Which port does the web interface listen on?", "relevant": ["guide/ports.md"]},
    ]
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    example = load(ROOT / "examples" / "evaluate.py")
    reports = example.compare(engine, str(docs), str(questions))
    assert {mode: report.metrics["nDCG@10"].n for mode, report in reports.items()} == dict.fromkeys(
        ("hybrid", "dense", "lexical"), 2
    )


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_example_runs_as_a_program(path: Path, docs: Path, plain_environment: dict[str, str]) -> None:
    questions = docs.parent / "questions.jsonl"
    questions.write_text('{"question": "How long are backups kept?", "relevant": ["backup.md"]}\n', encoding="utf-8")
    argument = str(questions) if path.stem == "evaluate" else "How long are backups kept?"
    run = subprocess.run(
        [sys.executable, str(path), str(docs), argument],
        env=small_models(plain_environment),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode in ((0, 3, 4) if path.stem == "ask_with_citations" else (0,)), run.stderr
    assert run.stdout
