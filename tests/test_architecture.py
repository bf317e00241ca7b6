"""The shape of the code: which module may import which, one door for each library, no cycles, quick imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "ragkit"

# Top to bottom: a module imports only from rows below its own, or within its own package.
ROWS = [
    {"cli"},
    {"evaluation"},
    {"ragkit"},
    {"engine"},
    {"searching"},
    {"resources"},
    {
        "ingest",
        "retrieve",
        "rerank",
        "entailment",
        "entries",
        "expand",
        "explain",
        "disagree",
        "expansion",
        "context",
        "generate",
        "verify",
        "render",
        "testing",
        "testing_hub",
        "doctor",
    },
    {"index"},
    {"loaders", "chunking", "embed", "cross_encoder", "store", "models"},
    {"encoder", "sbert", "units", "prompting", "filters", "query", "scan"},
    {"sentences", "snippets"},
    {"config", "dates", "nearness", "prepared", "files", "text", "stopwatch", "versions"},
    {"roles"},
    {"domain"},
    {"choices", "errors", "setting_types"},
]
LEVEL = {name: level for level, row in enumerate(ROWS) for name in row}

# Each third-party library is imported in these modules alone.
DOORS = {
    "sqlalchemy": {"store", "migrations"},
    "alembic": {"store", "migrations"},
    "faiss": {"index.dense"},
    "rank_bm25": {"index.lexical"},
    "tantivy": {"index.lexical"},
    "rapidfuzz": {"index.vocabulary", "evaluation.anchors"},
    "llama_cpp": {"generate", "models"},
    "onnxruntime": {"encoder", "models"},
    "tokenizers": {"encoder"},
    "sentence_transformers": {"sbert"},
    "langchain_text_splitters": {"chunking"},
    "Stemmer": {"text"},
    "ir_measures": {"evaluation.metrics"},
    "selectolax": {"loaders"},
    "docutils": {"loaders"},
    "markdown_it": {"loaders"},
    "tree_sitter": {"loaders.grammars"},
    "pypdfium2": {"loaders"},
    "docx": {"loaders"},
    "nbformat": {"loaders"},
    "pathspec": {"scan"},
    "filelock": {"index", "models"},
    "huggingface_hub": {"models"},
    "httpx": {"generate"},
    "tqdm": {"cli", "models"},
    "click": {"cli"},
}


def modules() -> dict[str, Path]:
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = list(path.relative_to(PACKAGE).with_suffix("").parts)
        if parts[-1] == "__init__":
            parts.pop()
        found[".".join(parts)] = path
    return found


def imports(path: Path) -> set[str]:
    """Full names of what a file imports when it runs; imports for type checkers alone are left out."""
    names: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return names


def top(module: str) -> str:
    return module.split(".")[0] or "ragkit"


def test_modules_import_only_from_rows_below_their_own() -> None:
    wrong = []
    for module, path in modules().items():
        if module in ("", "__main__"):
            continue
        own = top(module)
        for name in imports(path):
            if not name.startswith("ragkit"):
                continue
            target = name.split(".")[1] if name.count(".") else "ragkit"
            if target not in LEVEL:
                target = "ragkit"  # a public name of the package itself
            if target != own and own in LEVEL and LEVEL[target] <= LEVEL[own]:
                wrong.append(f"{module} imports {name}")
    assert wrong == []


def test_every_module_has_a_row() -> None:
    known = set(LEVEL) | {"", "__main__", "migrations", "prompts"}
    assert {top(module) if module else "" for module in modules()} <= known


def test_each_third_party_library_has_one_door() -> None:
    wrong = []
    for module, path in modules().items():
        for name in imports(path):
            library = name.split(".")[0]
            doors = DOORS.get(library)
            if doors and module not in doors and top(module) not in doors:
                wrong.append(f"{module} imports {library}")
    assert wrong == []


def test_no_import_cycles_between_modules() -> None:
    known = modules()
    edges: dict[str, set[str]] = {}
    for module, path in known.items():
        targets = set()
        for name in imports(path):
            stripped = name.removeprefix("ragkit.") if name.startswith("ragkit.") else None
            while stripped:
                if stripped in known and stripped != module:
                    targets.add(stripped)
                    break
                stripped = stripped.rpartition(".")[0]
        edges[module] = targets
    done: set[str] = set()

    def walk(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join((*trail, module))
        if module in done:
            return
        for target in edges[module]:
            walk(target, (*trail, module))
        done.add(module)

    for module in edges:
        walk(module, ())


def test_every_module_says_what_it_does() -> None:
    silent = [m for m, path in modules().items() if not ast.get_docstring(ast.parse(path.read_bytes()))]
    assert silent == []


HELP = "from ragkit.cli.main import cli\nimport click\ncli.get_help(click.Context(cli))"


def loaded_by(code: str) -> set[str]:
    """Modules in sys.modules after running `code` in a new interpreter."""
    run = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint('\\n'.join(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(run.stdout.split())


def imported_by(code: str) -> set[str]:
    """The same, top-level modules alone."""
    return {name.split(".")[0] for name in loaded_by(code)}


HEAVY = {"torch", "sentence_transformers", "transformers", "numpy", "faiss", "onnxruntime", "llama_cpp", "sqlalchemy"}


@pytest.mark.parametrize(
    "code",
    [
        "import ragkit",
        HELP,
        "import ragkit.models, ragkit.loaders, ragkit.index, ragkit.evaluation, ragkit.config",
    ],
)
def test_help_and_package_import_nothing_heavy(code: str) -> None:
    assert imported_by(code) & HEAVY == set()


def test_help_loads_commands_and_not_what_they_do() -> None:
    loaded = {name for name in loaded_by(HELP) if name.startswith("ragkit.")}
    light = {"choices", "errors", "cli", "evaluation"}
    assert {name.split(".")[1] for name in loaded} == light
    assert {name for name in loaded if name.startswith("ragkit.evaluation.")} == {"ragkit.evaluation.tables"}


def test_engine_and_stages_do_not_import_torch() -> None:
    code = (
        "import ragkit.engine, ragkit.retrieve, ragkit.rerank, ragkit.embed, ragkit.generate, ragkit.verify\n"
        "import numpy, faiss, onnxruntime"
    )
    assert imported_by(code) & {"torch", "sentence_transformers", "transformers"} == set()
