"""Make a code collection of the Python packages installed here: find the function by what its docstring says.

A question is the first sentence of a function's or class's docstring; the answer is any part of its source.
Docstrings are removed from every file of the corpus, so that none of the words leak. What is left out follows
CodeSearchNet (Husain et al., 2019): special methods, tests, bodies under three lines, documentation said twice; and
here also first sentences under five words, overloads, and sources that another one of the same file resembles.

    python -m eval.collections.code DIR --set dev           the packages that choices were made on
    python -m eval.collections.code DIR --set held-out      others, on which nothing is chosen
    ragkit ingest DIR/corpus --corpus code-dev
    ragkit eval retrieval --dataset DIR --corpus code-dev

Files and questions are drawn with a fixed seed; versions of the packages are in DIR/packages.json, because
another environment makes another collection. DIR should be outside the repository.
"""

from __future__ import annotations

import argparse
import ast
import json
import random
import re
import shutil
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata, util
from pathlib import Path

from ragkit.evaluation.datasets import holds_quote
from ragkit.sentences import sentences

SETS: Mapping[str, tuple[str, ...]] = {
    "dev": ("stdlib", "click", "sqlalchemy", "networkx", "httpx", "hypothesis", "markdown_it", "alembic"),
    "held-out": (
        "docutils",
        "_pytest",
        "jinja2",
        "huggingface_hub",
        "langchain_core",
        "sympy",
        "sklearn",
        "filelock",
    ),
}
FUNCTIONS = 320
"""Functions of one package that are in the corpus, in whole files."""
QUESTIONS = 50
"""Questions about one package."""

LEFT_OUT = re.compile(
    r"(?:^|[/_.])(?:tests?|testing|conftest|idlelib|lib2to3|turtledemo|ensurepip|site-packages|dist-packages"
    r"|_vendor|vendored|examples?|encodings|pydoc_data|pb2|externals)(?:[/_.]|$)"
)
_ROLE = re.compile(
    r":[\w:.+-]+:`[~!.]*([^`<]*?)(?:\s*<[^`>]*>)?`|\\?`+([^`]*?)(?:\s*<[^`>]*>)?\\?`+_{0,2}|\*\*([^*]+)\*\*"
)
_INHERITED = re.compile(r"(?i)\b(?:see|same as|inherit\w*|override[sn]?|deprecated|alias|proxied|implements?)\b")

_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True, slots=True)
class Target:
    """A definition that a question may be about: `source` has no docstring, `question` is empty if none fits."""

    path: str
    name: str
    question: str
    source: str
    package: str
    kind: str


def main() -> None:
    """Write DIR/corpus, DIR/questions.jsonl and DIR/packages.json."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("directory", type=Path, metavar="DIR")
    parser.add_argument("--set", choices=SETS, default="dev")
    parser.add_argument("--seed", type=int, default=13)
    options = parser.parse_args()
    packages = [package for package in SETS[options.set] if folder_of(package)]
    shutil.rmtree(options.directory / "corpus", ignore_errors=True)
    targets: list[Target] = []
    functions = 0
    for package in packages:
        for path, source in drawn_files(package, random.Random(f"{options.seed} {package}")):
            stripped, found = strip(source, path, package)
            file = options.directory / "corpus" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(stripped, encoding="utf-8")
            functions += len(found)
            targets += found
    questions = list(chosen(targets, packages, random.Random(options.seed)))
    write(options.directory, questions, packages)
    missing = sorted(set(SETS[options.set]) - set(packages))
    print(
        f"{functions} definitions of {len(packages)} packages, {len(questions)} questions in {options.directory}"
        + (f"; not installed here: {', '.join(missing)}" if missing else ""),
        file=sys.stderr,
    )


def folder_of(package: str) -> Path | None:
    """Where the package's source lies, or None when it is not installed."""
    if package == "stdlib":
        return Path(json.__file__).parents[1]
    spec = util.find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else None


def drawn_files(package: str, draw: random.Random) -> Iterator[tuple[str, str]]:
    """(path, text) of whole files, in a drawn order, until they hold enough functions."""
    folder = folder_of(package)
    assert folder is not None
    files = sorted(path for path in folder.rglob("*.py") if not LEFT_OUT.search(str(path.relative_to(folder))))
    draw.shuffle(files)
    functions = 0
    for file in files:
        text = file.read_text(encoding="utf-8", errors="replace").replace("\r\n", "\n")
        module = parsed(text)
        if module is None or functions >= FUNCTIONS:
            continue
        count = sum(isinstance(node, _FUNCTIONS) for node in ast.walk(module))
        if 0 < count <= FUNCTIONS // 3:  # one file is not a whole package
            functions += count
            yield f"{package}/{file.relative_to(folder).as_posix()}", text


def parsed(text: str) -> ast.Module | None:
    """The syntax tree, or None for what this Python cannot read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError):
            return None


# ---------------------------------------------------------------- a file without its docstrings


def strip(text: str, path: str, package: str) -> tuple[str, list[Target]]:
    """The file without any docstring, and its definitions with what their docstrings said."""
    module = parsed(text)
    if module is None:
        return text, []
    lines = text.split("\n")
    for node in ast.walk(module):
        docstring = docstring_of(node)
        if docstring is None:
            continue
        first, last = docstring.lineno - 1, docstring.end_lineno or docstring.lineno
        alone = len(node.body) == 1 and not isinstance(node, ast.Module)  # type: ignore[attr-defined]
        for number in range(first, last):
            lines[number] = "\0"
        before = text.split("\n")[first][: docstring.col_offset]
        if alone or before.strip():  # `def f(): "text"` keeps its body
            lines[first] = before + "..."
    stripped = "\n".join(line for line in lines if line != "\0")
    return stripped, list(targets_of(module, parsed(stripped), stripped, path, package))


def docstring_of(node: ast.AST) -> ast.Expr | None:
    """The statement that is the docstring of a module, class or function."""
    if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or not node.body:
        return None
    first = node.body[0]
    is_text = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    return first if is_text else None


def targets_of(
    module: ast.Module, stripped: ast.Module | None, text: str, path: str, package: str
) -> Iterator[Target]:
    """Definitions of the original and of the stripped file, pair by pair."""
    if stripped is None:
        return
    lines = text.split("\n")
    pairs = zip(definitions(module), definitions(stripped), strict=True)
    for (name, original), (_, node) in pairs:
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        last = node.end_lineno or node.lineno
        source = "\n".join(lines[first - 1 : last])
        question = question_of(original) if eligible(node, name, source) else ""
        yield Target(path, name, question, source, package, "class" if isinstance(node, ast.ClassDef) else "function")


def definitions(node: ast.AST, outer: str = "") -> Iterator[tuple[str, _Definition]]:
    """Classes and functions of modules and classes with their qualified names; not those inside functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _Definition):
            name = f"{outer}.{child.name}" if outer else child.name
            yield name, child
            if isinstance(child, ast.ClassDef):
                yield from definitions(child, name)
        elif isinstance(child, ast.If | ast.Try | ast.With):
            yield from definitions(child, outer)


# ---------------------------------------------------------------- questions


def eligible(node: _Definition, name: str, source: str) -> bool:
    """Whether a question about this definition would be fair and not trivial."""
    if node.name.startswith("__") or "test" in name.lower():
        return False
    if any("overload" in ast.unparse(decorator) for decorator in node.decorator_list):
        return False
    return isinstance(node, ast.ClassDef) or len(body_lines(source)) >= 3


def body_lines(source: str) -> list[str]:
    """Lines that are not blank, not a comment, and not of the decorators and the signature."""
    (node,) = ast.parse(re.sub(r"(?m)^" + re.match(r"[ \t]*", source)[0], "", source)).body  # type: ignore[index]
    lines = source.split("\n")[node.body[0].lineno - 1 :]  # type: ignore[attr-defined]
    return [line for line in lines if line.strip() and not line.strip().startswith("#")]


def question_of(node: _Definition) -> str:
    """The first sentence of the docstring without markup; "" where it is too short or says where to look."""
    documentation = ast.get_docstring(node) or ""
    paragraph = " ".join(documentation.partition("\n\n")[0].split())
    plain = _ROLE.sub(lambda match: match[1] or match[2] or match[3] or "", paragraph)
    sentence = first_sentence(plain)
    return "" if _INHERITED.search(sentence) else sentence


def first_sentence(text: str) -> str:
    """The first sentence of a plain text without its full stop; "" where it is too short to ask, or very long."""
    spans = sentences(text)
    sentence = text[slice(*spans[0])].rstrip(".: ") if spans else ""
    words = re.findall(r"[^\W\d_]{2,}", sentence)
    return "" if len(words) < 5 or len(sentence) > 300 else sentence


def chosen(targets: Sequence[Target], packages: Sequence[str], draw: random.Random) -> Iterator[Target]:
    """Questions drawn evenly from the packages, none that two definitions would answer."""
    said: dict[str, int] = {}
    files: dict[str, list[Target]] = {}
    for target in targets:
        files.setdefault(target.path, []).append(target)
        key = re.sub(r"\W+", " ", target.question.casefold())
        said[key] = said.get(key, 0) + 1
    for package in packages:
        pool = [target for target in targets if target.package == package and target.question]
        pool = [t for t in pool if said[re.sub(r"\W+", " ", t.question.casefold())] == 1]
        draw.shuffle(pool)
        taken = 0
        for target in pool:
            twins = (other for other in files[target.path] if apart(target.name, other.name))
            if taken < QUESTIONS and not any(holds_quote(target.source, other.source) for other in twins):
                taken += 1
                yield replace(target, question=target.question[0].upper() + target.question[1:])


def apart(one: str, two: str) -> bool:
    """Whether neither of two qualified names is the other's own or stands in it."""
    return not f"{one}.".startswith(f"{two}.") and not f"{two}.".startswith(f"{one}.")


def write(directory: Path, questions: Sequence[Target], packages: Sequence[str]) -> None:
    """questions.jsonl as docs/evaluation.md describes it, and the versions that the collection was made of."""
    rows = [
        {
            "id": f"{target.path}:{target.name}",
            "question": target.question,
            "relevant": [{"path": target.path, "quote": target.source}],
            "kind": target.kind,
        }
        for target in questions
    ]
    (directory / "questions.jsonl").write_text(
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8"
    )
    versions = {package: version_of(package) for package in packages}
    (directory / "packages.json").write_text(json.dumps(versions, indent=2) + "\n", encoding="utf-8")


def version_of(package: str) -> str:
    """The installed version."""
    if package == "stdlib":
        return ".".join(map(str, sys.version_info[:3]))
    return metadata.version(metadata.packages_distributions()[package][0])


if __name__ == "__main__":
    main()
