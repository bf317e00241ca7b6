"""Python modules: a section for every class and function, under its qualified name; the text untouched.

Parses with `ast` and never imports or runs what it reads.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from ragkit.domain import Block, Document
from ragkit.loaders.charset import decode
from ragkit.loaders.source import plain_source
from ragkit.loaders.structure import line_starts
from ragkit.loaders.symbols import MAX_DEPTH, Symbol, code_document
from ragkit.text import trim

_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_BRANCHES = (ast.If, ast.Try, ast.With, ast.For, ast.While)


def load_python(data: bytes, path: str) -> Document:
    """Blocks are docstrings, definitions and the statements between them. A broken module is read as text."""
    text = decode(data, path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes and the like are the author's concern
            module = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return plain_source(text, path, "python")
    reader = _Reader(text)
    blocks = []
    if module.body and _is_docstring(module.body[0]):
        blocks.append(Block("paragraph", *trim(text, *reader.lines(module.body[0]))))
    return code_document(text, path, "python", module_name(path), list(reader.symbols(module.body, 0)), blocks)


def module_name(path: str) -> str:
    """Dotted name of the module, as far as the path tells.

    >>> module_name("ragkit/loaders/python.py"), module_name("ragkit/__init__.py")
    ('ragkit.loaders.python', 'ragkit')
    """
    parts = [part for part in PurePosixPath(path).with_suffix("").parts if part not in ("/", "..", "src", "lib")]
    if len(parts) > 1 and parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts)


class _Reader:
    """A module's text and where its lines start."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.starts = line_starts(text)

    def symbols(self, body: Sequence[ast.stmt], after: int, depth: int = 0) -> Iterator[Symbol]:
        """Definitions in a module's or class's body, also where they depend on a condition; none before `after`."""
        for statement in body:
            if isinstance(statement, _Definition):
                symbol = self._symbol(statement, after, depth)
                if symbol.start < symbol.end:
                    yield symbol
                    after = symbol.end
            elif isinstance(statement, _BRANCHES):
                for branch in _bodies(statement):
                    for symbol in self.symbols(branch, after, depth):
                        yield symbol
                        after = symbol.end

    def lines(self, statement: ast.stmt) -> tuple[int, int]:
        """The statement's lines, decorators included."""
        decorators = statement.decorator_list if isinstance(statement, _Definition) else []
        first = min([statement.lineno, *(decorator.lineno for decorator in decorators)])
        last = min(statement.end_lineno or first, len(self.starts) - 1)
        return self.starts[first - 1], self.starts[last]

    def _symbol(self, node: _Definition, after: int, depth: int) -> Symbol:
        start, end = self.lines(node)
        start = max(self._comment(start), after)
        end = max(trim(self.text, start, end)[1], start)
        inner = self.starts[node.body[0].lineno - 1]
        if isinstance(node.body[0], _Definition):
            inner = self.lines(node.body[0])[0]
        head = (self.starts[node.lineno - 1], inner)
        opening = self.lines(node.body[0])[1] if _is_docstring(node.body[0]) else 0
        members: tuple[Symbol, ...] = ()
        if isinstance(node, ast.ClassDef) and depth < MAX_DEPTH:
            members = tuple(self.symbols(node.body, max(start, opening, head[1]), depth + 1))
        statements = sorted({self.lines(part)[0] for part in _statements(node)})
        return Symbol(node.name, start, end, head, tuple(statements), members, opening)

    def _comment(self, start: int) -> int:
        """Where the comment right above a line begins; the line itself if there is none."""
        while start:
            above = self.text.rfind("\n", 0, start - 1) + 1
            if not self.text[above:start].lstrip().startswith("#"):
                break
            start = above
        return start


def _bodies(statement: ast.stmt) -> Iterator[Sequence[ast.stmt]]:
    """The branches of a compound statement, in order."""
    yield getattr(statement, "body", ())
    for handler in getattr(statement, "handlers", ()):
        yield handler.body
    yield getattr(statement, "orelse", ())
    yield getattr(statement, "finalbody", ())


def _statements(node: ast.AST) -> Iterator[ast.stmt]:
    """Every statement below a node."""
    pending = list(ast.iter_child_nodes(node))
    while pending:
        part = pending.pop()
        if isinstance(part, ast.stmt):
            yield part
        if isinstance(part, ast.stmt | ast.ExceptHandler | ast.match_case):
            pending.extend(ast.iter_child_nodes(part))


def _is_docstring(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )
