"""Python modules: a section for every class and function, under its qualified name; the text untouched.

Parses with `ast` and never imports or runs what it reads.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from ragkit.domain import Block, Document, Section, Span
from ragkit.loaders.charset import decode
from ragkit.loaders.source import source_document
from ragkit.loaders.structure import fill_gaps, line_starts, trim

_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def load_python(data: bytes, path: str) -> Document:
    """Blocks are docstrings, definitions and the statements between them. A broken module is read as text."""
    text = decode(data, path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes and the like are the author's concern
            module = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return source_document(text, path, "python")
    starts = line_starts(text)
    blocks: list[Block] = []
    marks: list[tuple[int, tuple[str, ...]]] = [(0, ())]
    _walk(text, starts, module.body, (), (0, len(text)), blocks, marks)
    filled = tuple(fill_gaps(text, blocks, kind="code"))
    return Document(path, text, "python", module_name(path), {}, _sections(marks, len(text)), filled)


def module_name(path: str) -> str:
    """Dotted name of the module, as far as the path tells.

    >>> module_name("ragkit/loaders/python.py"), module_name("ragkit/__init__.py")
    ('ragkit.loaders.python', 'ragkit')
    """
    parts = [part for part in PurePosixPath(path).with_suffix("").parts if part not in ("/", "..", "src", "lib")]
    if len(parts) > 1 and parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts)


def _walk(
    text: str,
    starts: Sequence[int],
    body: Sequence[ast.stmt],
    names: tuple[str, ...],
    within: Span,
    blocks: list[Block],
    marks: list[tuple[int, tuple[str, ...]]],
) -> None:
    """Blocks of a module's or a class's body; `marks` gets (offset, qualified names) where a section starts."""
    for at, statement in enumerate(body):
        start, end = _span(text, starts, statement)
        start = max(start, within[0])
        if at == 0 and _is_docstring(statement):
            blocks.append(Block("paragraph", *_with_opening(text, start, end, within, names)))
        elif isinstance(statement, _Definition):
            inner = (*names, statement.name)
            if start < end and start >= marks[-1][0]:
                marks.append((start, inner))
            if isinstance(statement, ast.ClassDef) and len(names) < 8:
                _walk(text, starts, statement.body, inner, (start, end), blocks, marks)
            else:
                blocks.append(Block("code", start, end))
            marks.append((end, names))


def _with_opening(text: str, start: int, end: int, within: Span, names: tuple[str, ...]) -> Span:
    """A class's docstring goes with its `class` line."""
    return (within[0], end) if names else (start, end)


def _is_docstring(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _span(text: str, starts: Sequence[int], statement: ast.stmt) -> Span:
    decorators = statement.decorator_list if isinstance(statement, _Definition) else []
    first = min([statement.lineno, *(decorator.lineno for decorator in decorators)])
    last = min(statement.end_lineno or first, len(starts) - 1)
    return trim(text, starts[first - 1], starts[last])


def _sections(marks: Sequence[tuple[int, tuple[str, ...]]], length: int) -> tuple[Section, ...]:
    def covering() -> Iterator[Section]:
        for (start, names), (end, _) in zip(marks, [*marks[1:], (length, ())], strict=True):
            if start < end:
                path = tuple(".".join(names[: depth + 1]) for depth in range(len(names)))
                yield Section(start, end, path, ".".join(names))

    return tuple(covering())
