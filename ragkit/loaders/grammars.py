"""Symbols of source code by tree-sitter: which nodes of which grammar define something, and what it is called.

Door of tree_sitter and of the grammars, one wheel for each language, imported when a file of it is met. Nothing is
fetched and nothing is run; what a parser cannot make sense of, it skips.
"""

from __future__ import annotations

import functools
import importlib
import re
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from ragkit.domain import Span
from ragkit.loaders.symbols import MAX_DEPTH, Symbol

if TYPE_CHECKING:
    from tree_sitter import Node, Parser


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


@dataclass(frozen=True, slots=True)
class Grammar:
    """A language: where its parser comes from and which of its nodes are what.

    `functions` have no members of their own, `containers` have; both are named by the field `name`, unless
    `names` gives another one. `wrappers` stand around a symbol and belong to it (an `export`, a `template`);
    `transparent` nodes hold symbols without being one. `assigned` are nodes that name the function or class on
    their right-hand side.
    """

    module: str
    function: str = "language"
    functions: frozenset[str] = frozenset()
    containers: frozenset[str] = frozenset()
    wrappers: frozenset[str] = frozenset()
    transparent: frozenset[str] = frozenset()
    assigned: frozenset[str] = frozenset()
    names: Mapping[str, str] = field(default_factory=dict)


_JAVASCRIPT = Grammar(
    "tree_sitter_javascript",
    functions=_words("function_declaration generator_function_declaration method_definition"),
    containers=_words("class_declaration"),
    wrappers=_words("export_statement lexical_declaration variable_declaration expression_statement"),
    transparent=_words(
        "call_expression parenthesized_expression unary_expression arguments function_expression arrow_function"
        " statement_block"
    ),
    assigned=_words("variable_declarator assignment_expression field_definition pair"),
)
_TYPESCRIPT = Grammar(
    "tree_sitter_typescript",
    "language_typescript",
    functions=_JAVASCRIPT.functions
    | _words(
        "type_alias_declaration enum_declaration function_signature method_signature abstract_method_signature"
        " interface_declaration"
    ),
    containers=_JAVASCRIPT.containers | _words("abstract_class_declaration internal_module module"),
    wrappers=_JAVASCRIPT.wrappers | _words("ambient_declaration"),
    transparent=_JAVASCRIPT.transparent,
    assigned=_JAVASCRIPT.assigned | _words("public_field_definition"),
)
_C = Grammar(
    "tree_sitter_c",
    functions=_words(
        "function_definition function_declarator preproc_function_def struct_specifier union_specifier enum_specifier"
    ),
    wrappers=_words("type_definition declaration field_declaration pointer_declarator reference_declarator"),
    transparent=_words("preproc_ifdef preproc_if preproc_else preproc_elif linkage_specification declaration_list"),
    names={"function_definition": "declarator", "function_declarator": "declarator"},
)

GRAMMARS: dict[str, Grammar] = {
    "bash": Grammar("tree_sitter_bash", functions=_words("function_definition")),
    "c": _C,
    "c#": Grammar(
        "tree_sitter_c_sharp",
        functions=_words("method_declaration constructor_declaration enum_declaration delegate_declaration"),
        containers=_words(
            "class_declaration struct_declaration interface_declaration record_declaration namespace_declaration"
        ),
        transparent=_words("file_scoped_namespace_declaration"),
    ),
    "c++": Grammar(
        "tree_sitter_cpp",
        functions=_C.functions - _words("struct_specifier union_specifier") | _words("concept_definition"),
        containers=_words("class_specifier struct_specifier union_specifier namespace_definition"),
        wrappers=_C.wrappers | _words("template_declaration"),
        transparent=_C.transparent,
        names=_C.names,
    ),
    "go": Grammar(
        "tree_sitter_go",
        functions=_words("function_declaration method_declaration type_spec type_alias"),
        wrappers=_words("type_declaration"),
    ),
    "java": Grammar(
        "tree_sitter_java",
        functions=_words("method_declaration constructor_declaration annotation_type_declaration"),
        containers=_words("class_declaration interface_declaration enum_declaration record_declaration"),
        transparent=_words("enum_body_declarations"),
    ),
    "javascript": _JAVASCRIPT,
    "php": Grammar(
        "tree_sitter_php",
        "language_php",
        functions=_words("function_definition method_declaration"),
        containers=_words("class_declaration interface_declaration trait_declaration enum_declaration"),
        transparent=_words("namespace_definition compound_statement"),
    ),
    "ruby": Grammar(
        "tree_sitter_ruby",
        functions=_words("method singleton_method"),
        containers=_words("class module"),
        transparent=_words("singleton_class body_statement"),
    ),
    "rust": Grammar(
        "tree_sitter_rust",
        functions=_words(
            "function_item function_signature_item struct_item enum_item union_item type_item macro_definition"
        ),
        containers=_words("impl_item trait_item mod_item"),
        names={"impl_item": "type"},
    ),
    "tsx": Grammar(
        "tree_sitter_typescript",
        "language_tsx",
        _TYPESCRIPT.functions,
        _TYPESCRIPT.containers,
        _TYPESCRIPT.wrappers,
        _TYPESCRIPT.transparent,
        _TYPESCRIPT.assigned,
    ),
    "typescript": _TYPESCRIPT,
}

_LANGUAGES = {
    ".sh": "bash", ".bash": "bash", ".c": "c", ".h": "c", ".cs": "c#", ".cc": "c++", ".cpp": "c++", ".cxx": "c++",
    ".hh": "c++", ".hpp": "c++", ".go": "go", ".java": "java", ".js": "javascript", ".jsx": "javascript",
    ".mjs": "javascript", ".cjs": "javascript", ".php": "php", ".rb": "ruby", ".rs": "rust",
    ".ts": "typescript", ".tsx": "tsx",
}  # fmt: skip
_SHEBANG = re.compile(r"#!.*\b(bash|sh|dash|zsh|ksh|ruby|node|php)\b")
_INTERPRETERS = {"ruby": "ruby", "node": "javascript", "php": "php"}
_IS_CPP = re.compile(r"^\s*(?:class|namespace)\s+\w|^\s*template\s*<|^\s*(?:public|private|protected)\s*:", re.M)
_LEADING = re.compile(r"comment|attribute_item|decorator|annotation")
_NO_STATEMENTS = re.compile(
    r"argument|parameter|string|template|literal|array|object|hash|dictionary|initializer|heredoc"
)
_VALUES = _words("arrow_function function_expression function generator_function class object")
"""What makes a symbol of the name it is assigned to."""
_TAIL = re.compile(r"[;,)}\s]*(?://.*|#.*|/\*.*\*/\s*)?")
_LONGEST_NAME = 80
_NEVER_CUT = 400
"""A symbol of fewer characters fits into any chunk of sensible size: its statements are not looked for."""


def grammar_of(path: str, text: str) -> Grammar | None:
    """The grammar of a file, by its extension, else by its first line; None where none is known."""
    language = _LANGUAGES.get(PurePosixPath(path).suffix.lower(), "")
    if not language and (match := _SHEBANG.match(text)):
        language = _INTERPRETERS.get(match[1], "bash")
    if language == "c" and path.lower().endswith(".h") and _IS_CPP.search(text):
        language = "c++"
    return GRAMMARS.get(language)


def symbols(text: str, grammar: Grammar) -> list[Symbol]:
    """The definitions of a file, in order."""
    try:
        parser = _parser(grammar.module, grammar.function)
    except ImportError:  # installed without its dependencies: groups of lines are better than no text
        return []
    data = text.encode("utf-8")
    tree = parser.parse(data)
    return list(_Reader(text, data, grammar).symbols(tree.root_node, 0, 0))


@functools.cache
def _parser(module: str, function: str) -> Parser:
    from tree_sitter import Language, Parser

    return Parser(Language(getattr(importlib.import_module(module), function)()))


class _Reader:
    """One parsed file."""

    def __init__(self, text: str, data: bytes, grammar: Grammar) -> None:
        self.text = text
        self.grammar = grammar
        plain = len(data) == len(text)
        self._bytes = array("q") if plain else array("q", accumulate((len(c.encode()) for c in text), initial=0))

    def span(self, node: Node) -> Span:
        """The node's characters."""
        return self._offset(node.start_byte), self._offset(node.end_byte)

    def _offset(self, byte: int) -> int:
        return bisect_left(self._bytes, byte) if self._bytes else byte

    # ------------------------------------------------------------ definitions

    def symbols(self, parent: Node, after: int, depth: int, comment: Span | None = None) -> Iterator[Symbol]:
        """Definitions among a node's children, each with the comment right in front of it; none before `after`."""
        for child in parent.named_children:
            start, end = self.span(child)
            attached = comment is not None and self.text.count("\n", comment[1], start) <= 1
            if _LEADING.search(child.type):
                if self._opens_line(start):
                    comment = (comment[0] if comment and attached else start, end)
                continue
            start = comment[0] if comment and attached else start
            comment = None
            for symbol in self._found(child, max(start, after), depth):
                yield symbol
                after = symbol.end

    def _found(self, node: Node, start: int, depth: int) -> Iterator[Symbol]:
        """The symbols of one node. `start` is where the comment in front of it begins."""
        grammar, kind = self.grammar, node.type
        if depth > 3 * MAX_DEPTH:  # wrappers count, too
            return
        if kind in grammar.functions or kind in grammar.containers:
            symbol = self._symbol(node, node, start, depth)
            if symbol:
                yield symbol
            elif kind in grammar.containers:  # without a name, such as an anonymous namespace
                yield from self.symbols(_body(node) or node, start, depth + 1)
        elif kind in grammar.assigned:
            value = node.child_by_field_name("value") or node.child_by_field_name("right")
            if value is not None and value.type in _VALUES:
                symbol = self._symbol(node, value, start, depth)
                if symbol and (value.type != "object" or symbol.members):
                    yield symbol
                    return
            if value is not None:
                yield from self._found(value, start, depth + 1)
        elif kind in grammar.wrappers:
            inner = [s for child in node.named_children for s in self._found(child, self.span(child)[0], depth + 1)]
            direct = any(child.type not in grammar.transparent for child in node.named_children)
            if inner and direct:  # `export`, `template <...>` and the like belong to the symbol
                inner[0] = replace(inner[0], start=self._line(start))
                inner[-1] = replace(inner[-1], end=max(inner[-1].end, self._line_end(node)))
            yield from inner
        elif kind in grammar.transparent:
            begin = self.span(node)[0]
            yield from self.symbols(node, start, depth + 1, (start, begin) if start < begin else None)

    def _symbol(self, node: Node, value: Node, start: int, depth: int) -> Symbol | None:
        """The symbol that `node` names and `value` defines."""
        name = self._name(node)
        if not name or (node.type.endswith("_specifier") and _body(node) is None):
            return None  # `struct node *next` only speaks of one
        first, end = self._line(start), self._line_end(node)
        body = value if value.type == "object" else _body(value)
        opens = self.span(body)[0] if body is not None else end
        opens += self.text.startswith("{", opens)
        comments = [self.span(child)[0] for child in node.named_children if "comment" in child.type]
        opens = min([opens, *(at for at in comments if self._opens_line(at))])  # in Ruby, in front of the body
        members: tuple[Symbol, ...] = ()
        if body is not None and (node.type in self.grammar.containers or value.type in ("class", "object")):
            inside = (
                node if body.type in self.grammar.transparent else body
            )  # in Ruby, comments stand before the body
            members = tuple(self.symbols(inside, opens, depth + 1))
        rows = tuple(self._statements(body)) if body is not None and end - first > _NEVER_CUT and not members else ()
        return Symbol(name, first, end, (max(first, self._line(self.span(node)[0])), opens), rows, members)

    def _name(self, node: Node) -> str:
        """What a definition is called, as it is written."""
        grammar = self.grammar
        found = node.child_by_field_name(grammar.names.get(node.type, "name"))
        for other in ("left", "property", "key"):
            found = found or node.child_by_field_name(other)
        if found is None and node.type.endswith("_specifier") and node.parent is not None:
            found = node.parent.child_by_field_name("declarator")  # typedef struct {...} name;
        while found is not None and found.type.endswith("declarator"):
            inner = found.child_by_field_name("declarator")
            found = inner or next((child for child in found.named_children), None)
        name = " ".join(self.text[slice(*self.span(found))].split())[:_LONGEST_NAME] if found is not None else ""
        receiver = node.child_by_field_name("receiver")
        if name and receiver is not None:  # func (s *Server) Serve()
            owner = re.search(r"(\w+)\s*(?:\[[^]]*\])?\s*\)$", self.text[slice(*self.span(receiver))])
            name = f"{owner[1]}.{name}" if owner else name
        return name

    # ------------------------------------------------------------ lines and statements

    def _statements(self, body: Node) -> Iterator[int]:
        """Offsets of the lines on which a statement starts, or the comment in front of it, at any depth."""
        found: set[int] = set()
        pending = [body]
        while pending:
            node = pending.pop()
            inside = _NO_STATEMENTS.search(node.type) is not None
            commented = -2
            for child in node.named_children:
                first, last = child.start_point.row, child.end_point.row
                if not inside and first - commented > 1:
                    start = self._offset(child.start_byte)
                    if self._opens_line(start):
                        found.add(self._line(start))
                commented = last if "comment" in child.type else -2
                if last > first:
                    pending.append(child)
        return iter(sorted(found))

    def _line(self, offset: int) -> int:
        """Where the line of `offset` starts, if nothing but blanks stands before it; else `offset`."""
        start = self.text.rfind("\n", 0, offset) + 1
        return offset if self.text[start:offset].strip() else start

    def _line_end(self, node: Node) -> int:
        """The node's end, or that of its line where only punctuation and a comment follow."""
        end = self.span(node)[1]
        stop = self.text.find("\n", end)
        stop = len(self.text) if stop < 0 else stop
        return stop if _TAIL.fullmatch(self.text, end, stop) else end

    def _opens_line(self, offset: int) -> bool:
        return not self.text[self.text.rfind("\n", 0, offset) + 1 : offset].strip()


def _body(node: Node) -> Node | None:
    return node.child_by_field_name("body")
