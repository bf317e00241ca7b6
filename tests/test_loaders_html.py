"""HTML: content kept, navigation dropped, and every line led back to the file."""

from __future__ import annotations

import html

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragkit.domain import Document
from ragkit.errors import SkipFile
from ragkit.loaders import load
from ragkit.loaders.html_lines import source_lines
from tests.loader_samples import HTML, check


def page(body: str) -> Document:
    document = load(body.encode(), "page.html")
    check(document)
    return document


def test_a_page_becomes_its_content() -> None:
    document = page(HTML.decode())
    assert document.text == (
        "Guide\n\nFirst & foremost,\na bold\nstatement.\n\nName | Port\nhttp | 80\nhttps | 443\n\n"
        "def f():\n    return 1 < 2\n\npkg.run(x)\nRun it.\n\n- one\n  - inner\n- two"
    )
    assert document.title == "Guide"
    assert document.metadata == {"description": "How to"}
    assert [block.kind for block in document.blocks] == ["heading", "paragraph", "table", "code", "paragraph", "list"]


def test_lines_lead_back_to_the_file() -> None:
    source = HTML.decode().split("\n")
    document = page(HTML.decode())
    for line, number in zip(document.text.split("\n"), document.lines.numbers, strict=True):
        for word in line.replace("|", " ").replace("- ", " ").split()[:1]:
            assert html.escape(word, quote=False) in source[number - 1], (line, number)


def test_table_rows_and_header_are_spans() -> None:
    document = page(HTML.decode())
    table = next(block for block in document.blocks if block.kind == "table")
    assert table.header is not None and document.text[slice(*table.header)] == "Name | Port"
    assert [document.text[slice(*row)] for row in table.rows] == ["http | 80", "https | 443"]


def test_list_rows_are_its_outer_items() -> None:
    document = page("<ol start=3><li><p>one</p><p>more</p><li>two<ul><li>in</ul></ol>")
    assert document.text == "3. one\n   more\n4. two\n  - in"
    assert [document.text[slice(*row)] for row in document.blocks[0].rows] == ["3. one\n   more", "4. two\n  - in"]


def test_api_descriptions_are_sections_under_their_qualified_name() -> None:
    document = page(HTML.decode())
    assert [(section.heading, section.anchor) for section in document.sections] == [
        (("Guide",), "top"),
        (("Guide", "pkg.run"), "pkg.run"),
        (("Guide",), "top"),
    ]


def test_anchors_come_from_the_heading_its_section_or_a_link_in_it() -> None:
    document = page(
        "<h1 id=a>A</h1><section id=b><h2>B</h2></section><div id=c><div><h2>C</h2></div></div>"
        "<h2><a name=d></a>D</h2><p>x</p><div id=e><p>text</p><h2>no anchor</h2></div>"
    )
    assert [section.anchor for section in document.sections] == ["a", "b", "c", "d", ""]


@pytest.mark.parametrize(
    "boilerplate",
    [
        "<nav>gone</nav>",
        "<header>gone</header>",
        "<footer>gone</footer>",
        "<aside>gone</aside>",
        "<div role=navigation>gone</div>",
        "<div role=search>gone</div>",
        "<form>gone</form>",
        "<script>gone</script><style>gone</style><template>gone</template><noscript>gone</noscript>",
        "<div class='sphinxsidebar'>gone</div>",
        "<div class=related>gone</div>",
        "<div class=navheader>gone</div><div class='navfooter'>gone</div>",
        "<ul class=breadcrumbs><li>gone</ul>",
        "<div id=cookie-banner>gone</div><div class='cookie-consent open'>gone</div>",
        "<p hidden>gone</p><p style='display: none'>gone</p><span aria-hidden=true>gone</span>",
        "<div class=toc><p>gone</div>",
        "<svg><text>gone</text></svg><button>gone</button>",
    ],
)
def test_boilerplate_is_dropped(boilerplate: str) -> None:
    document = page(f"<body>{boilerplate}<h1>Kept</h1><p>words</p>{boilerplate}</body>")
    assert document.text == "Kept\n\nwords"


def test_content_that_looks_like_boilerplate_is_kept() -> None:
    document = page(
        "<main><header><h2>Section</h2></header><aside class='admonition note'><p class=admonition-title>Note</p>"
        "<p>Mind this.</p></aside>"
        "<aside class=sidebar><p class=sidebar-title>Read also</p></aside>"
        "<div role=tabpanel hidden>Tab words</div></main>"
    )
    for words in ("Read also", "Section", "Note\nMind this.", "Tab words"):
        assert words in document.text


def test_a_banner_that_holds_the_page_s_title_is_kept() -> None:
    banner = "<header><h1>git-add(1)</h1><p>git-add - add</p></header>"
    document = page(f"{banner}<div id=footer>gone</div><p>More.")
    assert document.text == "git-add(1)\n\ngit-add - add\n\nMore."


def test_the_main_part_is_taken_only_when_it_holds_the_content() -> None:
    assert page("<div>around</div><main><p>the content</p></main>").text == "the content"
    lots = "<p>much more text that is outside of it</p>" * 9
    assert lots.count("<p>") == page(f"<main><p>little</p></main>{lots}").text.count("much more")


def test_code_is_verbatim_also_with_line_numbers_beside_it() -> None:
    document = page(
        "<table class=highlighttable><tr><td class=linenos><pre>1\n2</pre></td>"
        "<td class=code><pre><span></span><b>if</b> x:\n\n\treturn  1&nbsp;&amp; 2\n</pre></td></tr></table>"
    )
    assert document.text == "if x:\n\n\treturn  1 & 2"
    assert [block.kind for block in document.blocks] == ["code"]


@pytest.mark.parametrize(
    ("opens", "closes"), [("<div class=line>", "</div>"), ("<ol><li>", "</li></ol>"), ("<p>", "</p>")]
)
def test_code_in_an_element_for_each_line_keeps_its_lines_and_indentation(opens: str, closes: str) -> None:
    lines = ["def f():", "    return 1"]
    code = "".join(f"{opens}{line}{closes}" for line in lines)
    document = page(f"<p>before</p><pre><code>{code}</code></pre><p>after</p>")
    shown = [document.text[block.start : block.end] for block in document.blocks if block.kind == "code"]
    assert shown == ["\n".join(lines)]


def test_code_that_starts_indented_starts_on_its_own_line() -> None:
    document = page("<p>text</p>\n<div>\n<pre><span></span> <b>def</b> f():\n\n    <b>pass</b>\n</pre></div>")
    assert document.text == "text\n\n def f():\n\n    pass" and document.lines.numbers == (1, 1, 3, 4, 5)


def test_definitions_stay_with_their_terms() -> None:
    document = page("<dl><dt>-n<dt>--dry-run<dd><p>Do nothing.</p><p>Really.</p><dt>-v<dd>Be loud.</dl>")
    assert document.text == "-n\n--dry-run\n    Do nothing.\n\n    Really.\n\n-v\n    Be loud."
    assert len(document.blocks) == 3


def test_a_page_of_navigation_alone_is_skipped() -> None:
    with pytest.raises(SkipFile, match="only navigation"):
        load(b"<body><nav><a href=x>home</a></nav></body>", "page.html")


def test_a_page_may_nest_as_deep_as_it_likes() -> None:
    assert load(b"<div>" * 10_000 + b"deep" + b"</div>" * 10_000, "page.html").text == "deep"


def test_a_page_of_headings_alone_is_skipped() -> None:
    with pytest.raises(SkipFile, match="only navigation"):
        load(b"<h1>Part II</h1><div class=toc><a href=x>Chapter</a></div>", "page.html")


def test_a_table_of_one_row_is_layout() -> None:
    document = page(
        "<table><tr><td class=icon><div>Note</div></td><td><p>Mind this.</p><p>And that.</p></td></tr></table>"
    )
    assert document.text == "Note\nMind this.\n\nAnd that."


def test_the_line_that_dates_a_page_becomes_metadata() -> None:
    document = page("<p>words</p><p><i>This page last modified on 2020-06-18 21:18:56 UTC</i></p>")
    assert (document.text, document.metadata["date"]) == ("words", "2020-06-18 21:18:56")


def test_dates_and_titles_come_from_the_head() -> None:
    document = page(
        "<head><title>Page | The Site</title>"
        "<meta property='article:modified_time' content='2024-03-02T10:00:00Z'></head>"
        "<p>words</p>"
    )
    assert (document.title, document.metadata["date"]) == ("Page", "2024-03-02T10:00:00Z")


_WORD = st.text(alphabet="abcxyz019äß<>&\"'-", min_size=1, max_size=6)
_GAP = st.sampled_from([" ", "\n", "\n\n  ", ""])
_WRAP = st.sampled_from(
    [
        ("", ""),
        ("<p>", "</p>"),
        ("<b title='a > b'>", "</b>"),
        ('<div\nclass="x">\n', "</div>\n"),
        ("<!-- no\n<p> -->", ""),
        ("<ul>\n<li>", "</li></ul>"),
        ("<script>var a = '<b>';\n</script>", ""),
        ("<pre>\n", "\n</pre>"),
        ("<table>\n<tr><td>", "</td>\n</tr><tr><td>end</td></tr></table>"),
    ]
)

_PIECE = st.tuples(_WRAP, st.lists(st.tuples(_WORD, _GAP), min_size=1, max_size=5))


@settings(deadline=None, max_examples=300)
@given(st.lists(_PIECE, max_size=12))
def test_every_word_is_found_on_the_line_it_came_from(
    pieces: list[tuple[tuple[str, str], list[tuple[str, str]]]],
) -> None:
    """Words are numbered, so that each is unique; between them stand all kinds of tags."""
    source, expected, count = "<html><body>\n", {}, 0
    for (before, after), words in pieces:
        source += before
        first = source.count("\n") + 1
        for word, gap in words:
            marked = f"w{count}{word}"
            expected[marked] = first if "<td>" in before else source.count("\n") + 1  # a row is one line
            source += html.escape(marked) + (gap or " ")
            count += 1
        source += after
    if not expected:
        return
    document = page(source)
    found = {}
    for line, number in zip(document.text.split("\n"), document.lines.numbers, strict=True):
        for word in line.replace(" | ", " ").split():
            found[word] = number
    for word, number in expected.items():
        assert found[word] == number


@settings(deadline=None)
@given(st.text(alphabet="<>ab/!-\"'&; \n=p", max_size=200), st.lists(st.text(alphabet="ab \n", max_size=5)))
def test_alignment_never_fails_and_stays_in_the_file(source: str, texts: list[str]) -> None:
    lines = source_lines(source, texts)
    assert len(lines) == len(texts)
    assert all(line <= source.count("\n") + 1 for line in lines)


@pytest.mark.parametrize("unit", ["<", "<a ", "<a '", "<!--", "<script>", "&", "<p", '<a b="', "</"])
def test_hostile_markup_costs_linear_time(unit: str) -> None:
    """A quadratic scan of these 400 kB would take minutes, and the test's time limit with it."""
    source_lines(unit * (400_000 // len(unit)), ["x"])
