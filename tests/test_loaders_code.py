"""Source code by its syntax, and what reference pages say of symbols: a section for each one, under its name."""

from __future__ import annotations

import contextlib
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ragkit.domain import Block, Document
from ragkit.errors import LoadError, SkipFile
from ragkit.loaders import load
from ragkit.loaders.grammars import GRAMMARS
from ragkit.loaders.rst_entries import symbol_name
from ragkit.loaders.symbols import plain_words
from tests.loader_samples import check, outside_blocks

_QUIET = settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))

GO = """package server

// Server answers.
type Server struct {
	addr string
}

// Serve listens, été.
// For ever.
func (s *Server) Serve(l net.Listener) error {
	return nil
}
"""
JAVASCRIPT = """import x from "y";

/** Adds. */
export function add(a, b) { return a + b; }

class Cart extends Base {
  items = [];

  /** Count them. */
  get count() {
    return 1;
  }

  onClick = () => { };
}

const mul = (a, b) => a * b;

module.exports = { run() { return 1; } };

(function () {
  function hidden() { }
})();
"""
TYPESCRIPT = """export interface Options { a: string }
export abstract class Base<T> {
  abstract run(x: number): void;
}
declare function outside(x: number): string;
"""
RUST = """/// A point.
#[derive(Debug)]
pub struct Point { x: i32 }

impl Point {
    /// New one.
    pub fn new(x: i32) -> Self { Point { x } }
}
"""
JAVA = """/** A thing. */
public class Thing<T> {
    private int x;

    @Override
    public int get() {
        return x;
    }
}
"""
C = """#include <stdio.h>

/* Finds é. */
static char *
find(const char *s, int c)
{
    return 0;
}

typedef struct { int a; } pair_t;

struct node *head;

char *declared(int x);
"""
CPP = """namespace shop {
template <typename T>
class Cart {
 public:
  Cart() {}
  T total() const { return 0; }
};
int Other::method() { return 1; }
}  // namespace shop
"""
RUBY = """module Shop
  # A cart.
  class Cart
    # Adds.
    def add(item)
      item
    end

    def self.build; end
  end
end
"""
BASH = """#!/bin/bash
set -e

# Prints how to use it.
usage() {
  echo "x"
}
"""
PHP = """<?php
class Cart {
    public function add($x) { return $x; }
}
function total() { return 1; }
"""
CSHARP = """namespace Shop {
    public class Cart {
        public int Add(int x) { return x; }
    }
}
"""
SOURCES = {
    "server.go": (GO, ["Server", "Server.Serve"]),
    "cart.js": (
        JAVASCRIPT,
        ["add", "Cart", "Cart.count", "Cart.onClick", "mul", "module.exports", "module.exports.run", "hidden"],
    ),
    "base.ts": (TYPESCRIPT, ["Options", "Base", "Base.run", "outside"]),
    "point.rs": (RUST, ["Point", "Point.new"]),
    "Thing.java": (JAVA, ["Thing", "Thing.get"]),
    "find.c": (C, ["find", "pair_t", "declared"]),
    "cart.hpp": (CPP, ["shop", "shop.Cart", "shop.Cart.Cart", "shop.Cart.total", "shop.Other::method"]),
    "cart.rb": (RUBY, ["Shop", "Shop.Cart", "Shop.Cart.add", "Shop.Cart.build"]),
    "run.sh": (BASH, ["usage"]),
    "cart.php": (PHP, ["Cart", "Cart.add", "total"]),
    "Cart.cs": (CSHARP, ["Shop", "Shop.Cart", "Shop.Cart.Add"]),
}


def read(text: str, path: str) -> Document:
    document = load(text.encode(), path)
    check(document)
    assert document.text == text
    return document


def names(document: Document) -> list[str]:
    """Anchors in the order in which their sections begin."""
    return list(dict.fromkeys(section.anchor for section in document.sections if section.anchor))


def said(document: Document, anchor: str) -> str:
    """The text of the first section of a symbol."""
    section = next(section for section in document.sections if section.anchor == anchor)
    return document.text[section.start : section.end].strip()


# ---------------------------------------------------------------- source code


@pytest.mark.parametrize("path", SOURCES)
def test_every_symbol_is_a_section_under_its_qualified_name(path: str) -> None:
    text, symbols = SOURCES[path]
    document = read(text, path)
    assert names(document) == symbols
    assert outside_blocks(document) == ""
    assert all(section.symbol == bool(section.anchor) and section.words for section in document.sections)


def test_a_symbol_keeps_the_comment_attributes_and_export_in_front_of_it() -> None:
    assert said(read(GO, "server.go"), "Server.Serve").startswith("// Serve listens, été.\n// For ever.\nfunc (s")
    assert said(read(RUST, "point.rs"), "Point").startswith("/// A point.\n#[derive(Debug)]\npub struct")
    assert said(read(JAVASCRIPT, "cart.js"), "add") == "/** Adds. */\nexport function add(a, b) { return a + b; }"
    assert said(read(RUBY, "cart.rb"), "Shop.Cart") == "# A cart.\n  class Cart"
    assert said(read(RUBY, "cart.rb"), "Shop.Cart.add").startswith("# Adds.\n    def add(item)")
    assert said(read(C, "find.c"), "find").startswith("/* Finds é. */\nstatic char *\nfind(")


def test_a_class_has_its_head_and_its_members_sections_of_their_own() -> None:
    document = read(JAVA, "Thing.java")
    assert said(document, "Thing") == "/** A thing. */\npublic class Thing<T> {\n    private int x;"
    assert said(document, "Thing.get").startswith("@Override\n    public int get()")
    assert [section.heading for section in document.sections][:2] == [("Thing",), ("Thing", "Thing.get")]


def test_closing_brackets_are_no_blocks_of_their_own() -> None:
    for path, (text, _) in SOURCES.items():
        blocks = [text[block.start : block.end] for block in read(text, path).blocks]
        assert not [block for block in blocks if block.strip() in ("}", "};", "end", "})();")], path


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (
            "a.py",
            "def f(a,\n      b):\n    x = 1\n    for i in x:\n        y(\n            i\n        )\n    return x\n",
        ),
        ("a.go", "package a\n\nfunc f(a int) {\n\tx := 1\n\tfor i := range x {\n\t\ty(\n\t\t\ti,\n\t\t)\n\t}\n}\n"),
    ],
)
def test_a_long_definition_knows_its_signature_and_its_statements(path: str, code: str) -> None:
    filler = "".join(f"{'    ' if path == 'a.py' else chr(9)}x{i} = {i}\n" for i in range(100))
    first = code.index("x ")
    line = code.rindex("\n", 0, first) + 1
    document = read(code[:line] + filler + code[line:], path)
    block = next(block for block in document.blocks if block.rows)
    assert block.header is not None
    assert document.text[slice(*block.header)].startswith(("def f(a,\n      b):", "func f(a int) {"))
    starts = [document.text[a:b].strip().split("\n")[0] for a, b in block.rows]
    assert len(block.rows) >= 100 and any(start.startswith("y(") for start in starts)
    assert "i" not in starts and "i," not in starts


def test_names_are_split_into_plain_words_with_those_of_the_path_in_front() -> None:
    document = read("class HTTPServer:\n    def addItem(self):\n        return self.items_of\n", "src/net/web_app.py")
    assert document.sections[-2].words == ("net web app", "http server", "add item")
    assert document.title == "net.web_app"
    assert plain_words("std::to_string2<T>") == "std to string2 t"


def test_python_definitions_may_depend_on_a_condition() -> None:
    code = "try:\n    import x\nexcept ImportError:\n    def load():\n        return 1\nelse:\n    class Box: ...\n"
    assert names(read(code, "a.py")) == ["load", "Box"]


def test_code_without_a_grammar_is_groups_of_lines() -> None:
    document = read("a {\n}\n\nb {\n}\n", "style.css")
    assert [document.text[b.start : b.end] for b in document.blocks] == ["a {\n}", "b {\n}"]
    assert document.sections[0].words == ("style",) and not document.sections[0].symbol


def test_broken_code_is_still_read() -> None:
    document = read("func broken( {\n\n}}}} class ((\n\nfunc good() {}\n", "a.go")
    assert outside_blocks(document) == ""


def test_a_grammar_that_is_not_installed_costs_only_the_sections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tree_sitter_lua", None)
    monkeypatch.setitem(GRAMMARS, "go", type(GRAMMARS["go"])("tree_sitter_lua", functions=GRAMMARS["go"].functions))
    document = read(GO, "server.go")
    assert names(document) == [] and len(document.blocks) > 1


_PIECES = st.lists(
    st.sampled_from([*"{}()[];:=.,\n\n\t é", "func ", "class ", "def ", "struct ", "function ", "end\n", "// x\n",
                     "/*", "*/", "export ", "A", "b", "=>", "const ", "impl ", "fn ", "    ", "pub ", "# y\n", '"'])
    , max_size=60,
).map("".join)  # fmt: skip


@settings(_QUIET, max_examples=200)
@given(st.sampled_from(sorted(SOURCES)), _PIECES)
def test_any_mixture_of_code_keeps_the_invariants(path: str, text: str) -> None:
    try:
        document = load(text.encode(), path)
    except (SkipFile, LoadError):
        return
    check(document)
    assert document.text == text and outside_blocks(document) == ""


@_QUIET
@given(st.sampled_from(sorted(SOURCES)), st.data())
def test_damaged_code_keeps_the_invariants(path: str, data: st.DataObject) -> None:
    text = SOURCES[path][0]
    start = data.draw(st.integers(0, len(text)))
    damaged = (
        text[:start] + data.draw(st.text("{}()é\n;", max_size=5)) + text[start + data.draw(st.integers(0, 20)) :]
    )
    with contextlib.suppress(SkipFile):
        document = load(damaged.encode(), path)
        check(document)
        assert outside_blocks(document) == ""


# ---------------------------------------------------------------- reference pages

REFERENCE = """
Subprocesses
============

.. module:: subprocess

.. function:: run(args, *, timeout=None)

   Run the command.

.. class:: Popen(args)
           Popen(args, bufsize)

   Execute a child.

   .. method:: Popen.poll()

      Check.

   .. attribute:: returncode

.. code-block:: rst

   .. function:: no_section()

C API
-----

.. c:function:: PyObject *PyList_New(Py_ssize_t len)

   New list.

.. option:: --level <n>, -l <n>

   Level.
"""


def test_descriptions_of_symbols_in_rst_are_sections_under_their_qualified_names() -> None:
    document = read(REFERENCE, "ref.rst")
    paths = [section.heading for section in document.sections if section.symbol]
    assert paths == [
        ("Subprocesses", "subprocess.run"),
        ("Subprocesses", "subprocess.Popen"),
        ("Subprocesses", "subprocess.Popen", "subprocess.Popen.poll"),
        ("Subprocesses", "subprocess.Popen", "subprocess.Popen.returncode"),
        ("Subprocesses", "C API", "PyList_New"),
        ("Subprocesses", "C API", "--level <n>, -l <n>"),
    ]
    assert said(document, "subprocess.run") == ".. function:: run(args, *, timeout=None)\n\n   Run the command."
    assert next(s.anchor for s in document.sections if s.heading[-1:] == ("PyList_New",)) == "c.PyList_New"


def test_the_name_is_read_out_of_a_signature() -> None:
    assert symbol_name("class collections.Counter([iterable])") == "collections.Counter"
    assert symbol_name("int std::vector<T>::size() const", python=False) == "size"
    assert symbol_name("PATH", python=False) == "PATH"


def test_signatures_in_html_are_sections_with_their_anchors() -> None:
    page = (
        "<main><h1>Module</h1><dl class='py function'><dt class='sig sig-object py' id='m.run'>m.run(args)</dt>"
        "<dd><p>Run it.</p></dd></dl><dl class='py data'><dt class='sig sig-object py' id='m.PIPE'>m.PIPE</dt>"
        "<dd><p>A pipe.</p></dd></dl><p>After.</p></main>"
    )
    document = load(page.encode(), "m.html")
    found = [(section.heading, section.anchor, section.symbol) for section in document.sections]
    assert found == [
        (("Module",), "", False),
        (("Module", "m.run"), "m.run", True),
        (("Module", "m.PIPE"), "m.PIPE", True),
        (("Module",), "", False),
    ]


def test_headings_that_are_signatures_are_sections_in_markdown() -> None:
    document = load(b"# API\n\n## `run(args, *, timeout=None)`\n\nRun it.\n\n## `PIPE`\n\nA pipe.\n", "api.md")
    assert [section.heading for section in document.sections] == [
        ("API",),
        ("API", "run(args, *, timeout=None)"),
        ("API", "PIPE"),
    ]
    assert [section.symbol for section in document.sections] == [False, True, True]


def test_blocks_are_still_blocks() -> None:
    kinds = {block.kind for block in read(REFERENCE, "ref.rst").blocks}
    assert {"heading", "paragraph", "code"} <= kinds
    assert all(isinstance(block, Block) for block in read(REFERENCE, "ref.rst").blocks)
