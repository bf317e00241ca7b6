"""Directives of reStructuredText that describe one symbol each: `.. function::`, `.. py:class::`, `.. option::`.

Knows Sphinx's domains by their names and indentation; knows no parser and no library.
"""

from __future__ import annotations

import re

from ragkit.loaders.symbols import Entry

_OBJECTS = (
    "attribute|class|classmethod|confval|data|decorator|decoratormethod|describe|directive|enum|enumerator|envvar"
    "|event|exception|function|interface|macro|member|method|namespace|object|opcode|option|pdbcommand|property|role"
    "|setting|signal|staticmethod|struct|templatefilter|templatetag|type|union|var|django-admin"
)
_AUTO = r"auto(?:class|function|method|attribute|data|exception|decorator|property)"
_DIRECTIVE = re.compile(
    rf"^([ \t]*)\.\. +(?:([a-z]+):)?({_OBJECTS}|{_AUTO}|module|currentmodule|automodule)::[ \t]*(.*)$", re.M
)
_MODULES = frozenset(["module", "currentmodule", "automodule"])
_PYTHON = re.compile(
    r"attribute|class|classmethod|data|decorator|decoratormethod|exception|function|method|property|staticmethod"
)
_LINE = re.compile(r"^([ \t]*)\S", re.M)
_CALL = re.compile(r"([\w.:~$@-]*[\w~])\s*(?:\[[^]]*\]|<[^>]*>)?\s*\(")
_DOTTED = re.compile(r"(?:(?:class|abstract|async|static|final|classmethod|staticmethod|const)\s+)*([A-Za-z_][\w.]*)")
_LONGEST_NAME = 80


def entries(text: str) -> list[Entry]:
    """What is said of each symbol, from its directive to the end of what is indented below it."""
    found: list[Entry] = []
    module = ""
    outer: list[tuple[int, str]] = []  # (end, qualified name) of the descriptions that are still open
    for match in _DIRECTIVE.finditer(text):
        indent, domain, kind, signature = match[1].expandtabs(8), match[2] or "py", match[3], match[4].strip()
        if kind in _MODULES:
            module = signature
            continue
        if not signature:
            continue
        end = _end(text, match.end(), len(indent))
        outer = [(stop, name) for stop, name in outer if stop > match.start()]
        python = domain == "py" and _PYTHON.fullmatch(kind.removeprefix("auto")) is not None
        name = symbol_name(signature, python=python or kind.startswith("auto"))
        if python and not kind.startswith("auto"):
            name = _qualified(name, outer[-1][1] if outer else "", module)
        anchor = name if python else f"{domain}.{name}" if domain != "py" and re.fullmatch(r"\w+", name) else ""
        outer.append((end, name))
        found.append(Entry(match.start(), end, name, anchor))
    return found


def symbol_name(signature: str, *, python: bool = True) -> str:
    """The name in a signature, as far as it has one; else its beginning.

    >>> symbol_name("Popen.poll(timeout=None)"), symbol_name("PyObject *PyList_New(Py_ssize_t len)", python=False)
    ('Popen.poll', 'PyList_New')
    >>> symbol_name("--level <n>, -l <n>", python=False)
    '--level <n>, -l <n>'
    """
    match = (_DOTTED.match(signature) if python else None) or _CALL.search(signature)
    return match[1].lstrip(":.") if match else signature[:_LONGEST_NAME]


def _qualified(name: str, outer: str, module: str) -> str:
    """`poll` in the description of `Popen` in the module `subprocess` is `subprocess.Popen.poll`."""
    if outer:
        last = outer.rpartition(".")[2]
        return f"{outer.removesuffix(last)}{name}" if name.startswith(f"{last}.") else f"{outer}.{name}"
    return f"{module}.{name}" if module and not name.startswith(f"{module}.") else name


def _end(text: str, start: int, indent: int) -> int:
    """Where the first line after `start` begins that is not indented deeper than `indent`."""
    for match in _LINE.finditer(text, start):
        if len(match[1].expandtabs(8)) <= indent and match.start() > start:
            return match.start()
    return len(text)
