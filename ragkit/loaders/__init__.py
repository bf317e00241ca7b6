"""Bytes of a file to a Document, by format.

Knows file names, magic bytes and which loader reads which format; knows nothing of folders, databases or
chunks. Loaders are imported when first needed, and each third-party library in exactly one of them.
"""

from __future__ import annotations

import dataclasses
import importlib
import re
from collections.abc import Callable
from pathlib import PurePosixPath

from ragkit.domain import Document
from ragkit.errors import LoadError, SkipFile
from ragkit.loaders.charset import is_binary
from ragkit.loaders.quality import useless_text

REGISTRY: dict[str, str] = {
    ".md": "markdown:load_markdown",
    ".markdown": "markdown:load_markdown",
    ".mdown": "markdown:load_markdown",
    ".mkd": "markdown:load_markdown",
    ".mdx": "markdown:load_markdown",
    ".rmd": "markdown:load_markdown",
    ".qmd": "markdown:load_markdown",
    ".rst": "rst:load_rst",
    ".rest": "rst:load_rst",
    ".html": "html:load_html",
    ".htm": "html:load_html",
    ".xhtml": "html:load_html",
    ".txt": "text:load_text",
    ".text": "text:load_text",
    ".log": "text:load_text",
    ".json": "text:load_text",
    ".jsonl": "text:load_text",
    ".yaml": "text:load_text",
    ".yml": "text:load_text",
    ".toml": "text:load_text",
    ".ini": "text:load_text",
    ".cfg": "text:load_text",
    ".conf": "text:load_text",
    ".properties": "text:load_text",
    ".xml": "text:load_text",
    ".tex": "text:load_text",
    ".org": "text:load_text",
    ".csv": "csv:load_csv",
    ".tsv": "csv:load_csv",
    ".adoc": "asciidoc:load_asciidoc",
    ".asciidoc": "asciidoc:load_asciidoc",
    ".asc": "asciidoc:load_asciidoc",
    ".ipynb": "notebook:load_notebook",
    ".pdf": "pdf:load_pdf",
    ".docx": "docx:load_docx",
    ".py": "python:load_python",
    ".pyi": "python:load_python",
    ".bash": "source:load_source",
    ".c": "source:load_source",
    ".h": "source:load_source",
    ".cc": "source:load_source",
    ".cjs": "source:load_source",
    ".cpp": "source:load_source",
    ".cxx": "source:load_source",
    ".hh": "source:load_source",
    ".hpp": "source:load_source",
    ".cs": "source:load_source",
    ".css": "source:load_source",
    ".go": "source:load_source",
    ".java": "source:load_source",
    ".js": "source:load_source",
    ".jsx": "source:load_source",
    ".kt": "source:load_source",
    ".lua": "source:load_source",
    ".mjs": "source:load_source",
    ".php": "source:load_source",
    ".pl": "source:load_source",
    ".proto": "source:load_source",
    ".r": "source:load_source",
    ".rb": "source:load_source",
    ".rs": "source:load_source",
    ".scala": "source:load_source",
    ".sh": "source:load_source",
    ".sql": "source:load_source",
    ".swift": "source:load_source",
    ".tf": "source:load_source",
    ".ts": "source:load_source",
    ".tsx": "source:load_source",
}
"""File name extension to "module:function" of its loader; the module's name is the format's name."""

EXTENSIONS = frozenset(REGISTRY)
"""Extensions that can be read. Files without an extension are judged by their first bytes."""

_LOADERS = {value.partition(":")[0]: value for value in REGISTRY.values()}
_MARKUP = re.compile(
    rb"\s*+(?:(?><!--.*?-->)\s*+)*+<(?:!doctype\s+html|html|\?xml[^>]*>\s*<!doctype\s+html)\b", re.I | re.S
)


def load(data: bytes, path: str, *, named: bool = False) -> Document:
    """Read one file. `path` is relative to the corpus root, with forward slashes; `named` is one asked for by name.

    Raises SkipFile for what holds nothing to index (empty, binary, of unknown format; minified or encoded,
    unless it is `named`) and LoadError for what should have been readable and is not; never anything else.
    """
    if not data.strip():
        raise SkipFile(f"{path}: empty file")
    format = format_of(path, data)
    module, _, function = _LOADERS[format].partition(":")
    try:
        loader: Callable[[bytes, str], Document] = getattr(importlib.import_module(f"{__name__}.{module}"), function)
        document = loader(data, path)
    except (LoadError, SkipFile):
        raise
    except Exception as error:  # a parser's own bug on hostile bytes must cost one file, never the ingest
        raise LoadError(f"{path}: cannot be read as {format}: {type(error).__name__}: {error}") from error
    if not document.blocks:
        raise SkipFile(f"{path}: no text to index")
    if not named and (reason := useless_text(document)):
        raise SkipFile(f"{path}: {reason}")
    return document if document.title else dataclasses.replace(document, title=_title_of(path))


def format_of(path: str, data: bytes) -> str:
    """Name of the format: by extension, else by the first bytes. Raises SkipFile when nothing reads it."""
    name = PurePosixPath(path).name
    suffix = PurePosixPath(path).suffix.lower()
    inner = PurePosixPath(name.removesuffix(suffix)).suffix.lower()
    if suffix == ".txt" and inner in (".rst", ".md", ".adoc"):  # Sphinx and others publish their sources so
        suffix = inner
    if suffix in REGISTRY:
        return REGISTRY[suffix].partition(":")[0]
    if data.startswith(b"%PDF-"):
        return "pdf"
    if is_binary(data):
        raise SkipFile(f"{path}: binary file")
    if suffix and not suffix[1:].isdigit():  # README.1st is unknown, changelog-2.7 is a name with a version
        raise SkipFile(f"{path}: unknown format {suffix}")
    if _MARKUP.match(data[:2048]):
        return "html"
    if data.startswith(b"#!"):
        return "python" if b"python" in data[:80].partition(b"\n")[0] else "source"
    if name.lower().startswith(("makefile", "dockerfile", "jenkinsfile", "vagrantfile")):
        return "source"
    return "text"


def _title_of(path: str) -> str:
    """Words of the file's name, for a file that names itself nowhere; "" when they would say nothing.

    >>> _title_of("guide/install-on_linux.md"), _title_of("guide/README.md"), _title_of("7.txt")
    ('install on linux', 'guide', '')
    """
    pure = PurePosixPath(path)
    stem = pure.stem
    if stem.lower() in ("readme", "index", "_index", "default"):
        stem = pure.parent.name or stem
    words = " ".join(re.split(r"[-_\s]+", stem)).strip()
    return words if any(character.isalpha() for character in words) else ""
