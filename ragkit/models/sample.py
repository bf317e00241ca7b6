"""Real technical English that is on every machine: the docstrings of the standard library.

What models are measured and compared on when they are prepared. Knows Python sources; imports and runs none.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from ragkit.roles import Tokenizer

MODULES = (
    *("argparse", "subprocess", "logging/__init__", "decimal", "doctest", "pathlib", "random", "statistics"),
    *("typing", "unittest/mock", "threading", "tarfile", "zipfile", "datetime", "json/__init__", "csv"),
    *("configparser", "http/client", "asyncio/tasks", "pdb"),
)


@cache
def prose() -> str:
    """Docstrings of some twenty modules, one after the other: about 80,000 tokens."""
    library = Path(ast.__file__).parent
    found = []
    for name in MODULES:
        path = library / f"{name}.py"
        if path.is_file():
            found += [text for text in _docstrings(path) if len(text) > 80]
    return "\n\n".join(found)


def passages(tokenizer: Tokenizer, count: int, tokens: int) -> list[str]:
    """`count` consecutive passages of at most `tokens` tokens, every fourth of them half as long."""
    text = prose()[: count * tokens * 8]  # English has four or five characters to a token
    spans = tokenizer.spans(text)
    cut: list[str] = []
    at = 0
    while len(cut) < count and at < len(spans):
        size = tokens // 2 if len(cut) % 4 == 3 else tokens
        window: Sequence[tuple[int, int]] = spans[at : at + size]
        cut.append(text[window[0][0] : window[-1][1]])
        at += size
    return cut


def questions(count: int) -> list[str]:
    """Short texts, as questions are: first sentences of docstrings."""
    firsts = [paragraph.split(".")[0].strip() for paragraph in prose().split("\n\n")]
    return [line.replace("\n", " ") for line in firsts if 20 < len(line) < 120][:count]


def _docstrings(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and (
            text := ast.get_docstring(node)
        ):
            yield text
