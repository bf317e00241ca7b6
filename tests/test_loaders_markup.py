"""Markdown, reStructuredText, AsciiDoc and plain text: structure over the untouched text."""

from __future__ import annotations

import pytest

from ragkit.domain import Block, Document
from ragkit.errors import SkipFile
from ragkit.loaders import load
from ragkit.loaders.frontmatter import front_matter
from ragkit.loaders.markdown import plain_inline
from tests.loader_samples import ASCIIDOC, MARKDOWN, RST, check


def read(text: str | bytes, path: str = "page.md") -> Document:
    document = load(text.encode() if isinstance(text, str) else text, path)
    check(document)
    return document


def shown(document: Document) -> list[tuple[str, str]]:
    return [(block.kind, document.text[block.start : block.end]) for block in document.blocks]


def rows(document: Document, block: Block) -> list[str]:
    return [document.text[slice(*row)] for row in block.rows]


# ---------------------------------------------------------------- Markdown


def test_markdown_blocks_are_the_structure_of_the_page() -> None:
    assert shown(read(MARKDOWN)) == [
        ("heading", "# Install {#setup}"),
        ("paragraph", "Some *text* here."),
        ("list", "- one"),
        ("code", "  ```sh\n  ls -l\n  ```"),
        ("list", "- two"),
        ("table", "| flag | use |\n|------|-----|\n| -a   | all |\n| -b   | both |"),
        ("heading", "Setext `code`\n-------------"),
        ("code", "    indented()"),
        ("paragraph", "{{< note >}}\nCareful.\n{{< /note >}}"),
        ("other", "[ref]: https://example.org"),
    ]


def test_markdown_sections_have_paths_and_anchors() -> None:
    document = read(MARKDOWN)
    assert [(section.heading, section.anchor) for section in document.sections] == [
        ((), ""),
        (("Install",), "setup"),
        (("Install", "Setext code"), "setext-code"),
    ]
    assert (document.title, document.metadata["date"]) == ("Guide", "2024-05-01")
    assert document.metadata["tags"] == ["a", "b"]


def test_markdown_table_rows_and_its_header() -> None:
    document = read(MARKDOWN)
    table = next(block for block in document.blocks if block.kind == "table")
    assert table.header is not None
    assert document.text[slice(*table.header)] == "| flag | use |\n|------|-----|"
    assert rows(document, table) == ["| -a   | all |", "| -b   | both |"]


def test_list_rows_are_its_items_with_what_they_hold() -> None:
    document = read("- one\n  - inner\n\n  more\n- two\n")
    assert rows(document, document.blocks[0]) == ["- one\n  - inner\n\n  more", "- two"]


def test_equal_headings_get_distinct_anchors_as_on_github() -> None:
    document = read("# A b\n\n## Use\n\n## Use\n\n## C++ & `D`!\n")
    assert [section.anchor for section in document.sections] == ["a-b", "use", "use-1", "c--d"]


def test_comments_that_stand_alone_are_in_no_block() -> None:
    document = read("<!-- one\n\nline -->\n\ntext\n\n<!-- two --> with text\n\n{/* mdx */}\n")
    assert [text for _, text in shown(document)][:2] == ["text", "<!-- two --> with text"]


def test_html_tables_with_blank_lines_are_one_table_with_a_row_for_each_tr() -> None:
    source = "<table>\n<tr>\n<td>--port</td>\n\n<td>80</td>\n</tr>\n\n<tr><td>--host</td></tr>\n\n</table>\n\nafter\n"
    document = read(source)
    assert [block.kind for block in document.blocks] == ["table", "paragraph"]
    assert len(document.blocks[0].rows) == 2


def test_a_hash_inside_a_fence_is_no_heading() -> None:
    document = read("# A\n\n~~~\n# not\n~~~\n")
    assert [section.heading for section in document.sections] == [("A",)]


def test_admonitions_of_mkdocs_are_prose() -> None:
    document = read("!!! note\n\n    Mind this.\n")
    assert [block.kind for block in document.blocks] == ["paragraph", "paragraph"]


@pytest.mark.parametrize(
    ("source", "plain"),
    [
        ("**Bold** and `a_b_c`", "Bold and a_b_c"),
        ("[link [x]](http://a(b)) ![img](y)", "link [x] img"),
        ('{{% heading "whatsnext" %}}', "whatsnext"),
        ("snake_case_name and 2 * 3 * 4", "snake_case_name and 2 * 3 * 4"),
        ("A &amp; B \\* C <br/>", "A & B * C"),
    ],
)
def test_headings_read_as_a_reader_sees_them(source: str, plain: str) -> None:
    assert plain_inline(source) == plain


@pytest.mark.parametrize(
    ("text", "metadata"),
    [
        ("---\ntitle: A\ndate: 2024-01-02 03:04:05\n---\n", {"title": "A", "date": "2024-01-02T03:04:05"}),
        ("+++\ntitle = 'A'\ndate = 2024-01-02\n+++\n", {"title": "A", "date": "2024-01-02"}),
        ("---\nlastmod: 2024-01-02\n...\n", {"lastmod": "2024-01-02", "date": "2024-01-02"}),
        ("---\ntitle: a: b: {\nx: 1\n---\n", {"title": "a: b: {", "x": "1"}),
        ("---\nn: .nan\nk: {1: [2]}\n---\n", {"n": "nan", "k": {"1": [2]}}),
        ("---\n---\n", {}),
        ("---\n# nothing but a comment\n---\n", {}),
        ('---\n"my key": x\n---\n', {"my key": "x"}),
        ("---\nmy key: x\ntitle: A\n---\n", {"my key": "x", "title": "A"}),
        ("---\nowner: a: b\nmy key: x\nstatus: ok # fine\n---\n", {"owner": "a: b", "status": "ok"}),
        ("---\ndate: 2024-02-30\ntags: [a]\n---\n", {"date": "2024-02-30", "tags": ["a"]}),
        ("---\ndate: 05.03.2024\nupdated: 2025-06-01\n---\n", {"date": "2024-03-05", "updated": "2025-06-01"}),
        ("---\ndate: TBD\nlastmod: 2024-01-01\n---\n", {"date": "TBD", "lastmod": "2024-01-01"}),
        ("---\nupdated: March 5, 2024\n---\n", {"updated": "March 5, 2024", "date": "2024-03-05"}),
    ],
)
def test_front_matter_becomes_json_metadata(text: str, metadata: dict[str, object]) -> None:
    assert front_matter(text + "body")[:2] == (metadata, len(text))


@pytest.mark.parametrize(
    "text",
    [
        *("---\nwords\n---\nmore", "no", "---\nNote: see\n\nThis is prose.\n\n---\n", "--- \n"),
        "---\nImportant note: read this\n---\n",
    ],
)
def test_a_rule_at_the_top_is_no_front_matter(text: str) -> None:
    assert front_matter(text) == ({}, 0, "")


@pytest.mark.parametrize(
    ("head", "complaint"),
    [
        ("---\ntitle: A\nowner: team: docs\n---\n", "no valid YAML: line 3: mapping values"),
        ("---\ntitle: A\n\tb: 1\n---\n", "no valid YAML: line 3"),
        ("+++\ntitle = 'A'\nweight = 5 5\n+++\n", "at line 3"),
        ("---\ntitle: A\nowner: b\n\n", "not closed by ---"),
        (f"---\ntitle: A\na: {'[' * 9000}\n---\n", "nested too deeply"),
        ("---\ntitle: A\n---\n", ""),
        ("+++\ntitle = 'A'\n+++\n", ""),
    ],
)
def test_front_matter_that_is_broken_is_complained_of(head: str, complaint: str) -> None:
    found = load(f"{head}Some text.\n".encode(), "a.md").complaint
    assert complaint in found and bool(found) == bool(complaint)


def test_front_matter_can_neither_build_objects_nor_explode() -> None:
    assert "boom" not in str(read("---\na: !!python/object/apply:os.system ['boom']\n---\ntext\n").title)
    bomb = "---\na: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{b}: &{b} [{','.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    assert len(str(front_matter(bomb + "---\ntext")[0])) < 100_000


# ---------------------------------------------------------------- plain text


def test_titles_of_two_lines_of_asciidoc_open_no_block() -> None:
    text = (
        "git-gc(1)\n=========\n\nSYNOPSIS\n--------\n[verse]\n'git gc'\n\nREMOTES[[REMOTES]]\n------------------\n"
        "Text.\n\n----\ncode\n----\n\nSEE ALSO\n--------\nMore.\n"
    )
    document = load(text.encode(), "git-gc.adoc")
    assert [(section.heading[-1], section.anchor) for section in document.sections] == [
        ("git-gc(1)", "_git_gc1"),
        ("SYNOPSIS", "_synopsis"),
        ("REMOTES", "REMOTES"),
        ("SEE ALSO", "_see_also"),
    ]
    assert [document.text[b.start : b.end] for b in document.blocks if b.kind == "code"] == ["----\ncode\n----"]


def test_a_table_of_html_without_rows_costs_no_file() -> None:
    assert "after" in load(b"Before\n\n<table id='x'></table>\n\nafter\n", "a.md").text
    rows = (
        load("x\n\n<table>\n<tr><td>İx</td></tr>\n<tr><td>b</td></tr>\n</table>\n".encode(), "a.md").blocks[-1].rows
    )
    assert len(rows) == 2


def test_many_comments_on_a_line_are_read_at_once() -> None:
    line = "<!--[--><!--]-->" * 40
    assert "words" in load(f"{line} words\n".encode(), "a.md").text
    assert "words" in load(f"{line} words\n".encode(), "page").text


def test_what_a_target_of_restructuredtext_stands_before_is_no_comment() -> None:
    document = load(b".. _setup:\n\n    An indented paragraph.\n\nText.\n", "a.rst")
    assert any("An indented paragraph." in document.text[b.start : b.end] for b in document.blocks)


def test_a_table_of_restructuredtext_without_a_head_ends_where_it_ends() -> None:
    document = load(b"=====  =====\nA      B\n=====  =====\n\nProse that follows.\n\nMore of it.\n", "a.rst")
    assert [b.kind for b in document.blocks] == ["table", "paragraph", "paragraph"]


def test_underlined_lines_of_plain_text_are_headings() -> None:
    table = "Name\n----  ----\na     1\n"
    text = f"=====\nTitle\n=====\n\nIntro.\n\nFirst part\n----------\nWords.\n\n{table}\nNext\n~~~~\nMore.\n"
    document = load(text.encode(), "notes.txt")
    assert document.title == "Title"
    assert [section.heading for section in document.sections] == [
        ("Title",),
        ("Title", "First part"),
        ("Title", "First part", "Next"),
    ]
    assert document.sections[1].anchor == "first-part"
    shown = [(block.kind, document.text[block.start : block.end]) for block in document.blocks]
    assert shown[:4] == [
        ("heading", "=====\nTitle\n====="),
        ("paragraph", "Intro."),
        ("heading", "First part\n----------"),
        ("paragraph", "Words."),
    ]


@pytest.mark.parametrize(
    ("text", "headings"),
    [
        ("第二章の設定\n============\n\n本文。\n", ["第二章の設定"]),
        ("Short\n----------------------------------------\n\nText.\n", ["Short"]),
        ("  Indented\n  --------\n\nText.\n", ["Indented"]),
        ("It ends here, says the text.\n----------------------------------------\nMore.\n", []),
        ("A long line that a short rule follows\n-----\n\nText.\n", []),
    ],
)
def test_what_a_rule_makes_a_heading(text: str, headings: list[str]) -> None:
    found = load(text.encode(), "notes.txt")
    assert [section.heading[-1] for section in found.sections if section.heading] == headings


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("git-gc(1)\n=========\n\nNAME\n----\n", "git-gc(1)"),
        ("Release Notes\n\nText.\n", "Release Notes"),
        ("See the manual for\nmore of this.\n", "notes"),
        ("Format: https://example.org/1.0/\nSource: here\n", "notes"),
        ("From someone@example.org Thu Jul 22\nFlags: 10\n", "notes"),
        ("A whole sentence stands here.\n", "notes"),
        ("The clock is a program that runs under Linux and sets the\nHardware Clock.\n", "notes"),
    ],
)
def test_the_title_of_plain_text(text: str, title: str) -> None:
    assert load(text.encode(), "notes.txt").title == title


def test_text_with_standing_headings_is_read_as_markdown() -> None:
    document = read("# About\n\nProse here.\n\n## More\n\n* a\n* b\n", "about.txt")
    assert document.format == "markdown"
    assert [section.heading for section in document.sections] == [("About",), ("About", "More")]


@pytest.mark.parametrize(
    "text",
    [
        "#!/bin/sh\n\n# install\n\nmake install\n",
        "# server settings\n# one per line\nport = 80\n\n# host\nhost = here\n",
        "# section\n\nport = 80\nhost = here\nuser = me\n",
        "prose first\n\nimport os\n# a comment\nprint(1)\n",
        "# comment\n\nint main() {\n  return 0;\n}\n",
    ],
)
def test_comments_are_no_headings(text: str) -> None:
    document = read(text, "file.txt")
    assert document.format == "text" and [section.heading for section in document.sections] == [()]


def test_the_first_line_is_the_title_when_it_looks_like_one() -> None:
    assert read("Bullet Kin\nBullet Kin are common enemies.\n", "0.txt").title == "Bullet Kin"
    assert read("A sentence that ends here.\n\nMore.\n", "notes.txt").title == "notes"


# ---------------------------------------------------------------- reStructuredText


def test_rst_blocks_are_the_structure_of_the_page() -> None:
    kinds = shown(read(RST, "guide.rst"))
    assert ("heading", "=======\n Guide\n=======") in kinds
    assert ("paragraph", ".. unknown-directive:: argument\n\n   Kept text.") in kinds
    assert ("code", ".. code-block:: python\n\n   print(1)\n\n   print(2)") in kinds
    assert ("code", "    literal\n\n    block") in kinds
    assert not any("comment" in text or "_label" in text for _, text in kinds)


def test_rst_sections_titles_and_fields() -> None:
    document = read(RST, "guide.rst")
    assert [(section.heading, section.anchor) for section in document.sections] == [
        ((), ""),
        (("Guide",), "guide"),
        (("Guide", "Usage"), "usage"),
    ]
    assert (document.title, document.metadata) == ("Guide", {"date": "2024-05-01"})


def test_rst_tables_and_lists_have_rows() -> None:
    document = read(RST, "guide.rst")
    table = next(block for block in document.blocks if block.kind == "table")
    assert table.header is not None and "name  value" in document.text[slice(*table.header)]
    assert rows(document, table) == ["a     1", "b     2"]
    items = next(block for block in document.blocks if block.kind == "list")
    assert rows(document, items) == ["* one", "* two"]


def test_rst_grid_tables_have_a_row_between_borders() -> None:
    source = "+---+---+\n| a | b |\n+===+===+\n| 1 | 2 |\n|   | x |\n+---+---+\n| 3 | 4 |\n+---+---+\n"
    document = read(source, "t.rst")
    assert rows(document, document.blocks[0]) == ["| 1 | 2 |\n|   | x |", "| 3 | 4 |"]
    assert document.text[slice(*(document.blocks[0].header or (0, 0)))].endswith("+===+===+")


def test_rst_never_reads_another_file_nor_writes_to_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    document = read(
        RST + b"\n\n:unknown:`role` *broken ``markup\n\nTitle\n==\n\n.. csv-table::\n   :file: /etc/passwd\n", "a.rst"
    )
    assert "root:" not in document.text
    assert capfd.readouterr() == ("", "")


# ---------------------------------------------------------------- AsciiDoc


def test_asciidoc_headings_anchors_and_blocks() -> None:
    document = read(ASCIIDOC, "manual.adoc")
    assert [(section.heading, section.anchor) for section in document.sections] == [
        (("Manual",), "_manual"),
        (("Manual", "Install"), "inst"),
    ]
    assert (document.title, document.metadata["author"]) == ("Manual", "Ann")
    assert ("code", "----\nmake\n\nmake install\n----") in shown(document)
    table = document.blocks[-1]
    assert rows(document, table) == ["|1 |2"] and table.header is not None


def test_a_file_of_comments_alone_is_skipped() -> None:
    with pytest.raises(SkipFile, match="no text"):
        load(b"<!-- nothing -->\n", "a.md")


@pytest.mark.parametrize(
    "text", [":author: Zed\n:date: 2024-01-01\n\nTitle\n=====\n\nText.\n", "Title\n=====\n\n:author: Zed\n\nText.\n"]
)
def test_fields_of_restructuredtext_stand_before_the_title_or_below_it(text: str) -> None:
    document = load(text.encode(), "a.rst")
    assert (document.title, document.metadata["author"]) == ("Title", "Zed")
