"""Notebooks, PDF, DOCX, code and tables: text out of what is not prose, and the way back."""

from __future__ import annotations

import json
from io import BytesIO

import pytest

from ragkit.domain import Document, LineIndex
from ragkit.errors import LoadError, SkipFile
from ragkit.loaders import load
from tests.loader_samples import PYTHON, SAMPLES, check, docx_file, notebook_file, pdf


def read(data: bytes, path: str) -> Document:
    document = load(data, path)
    check(document)
    return document


def place(document: Document, words: str) -> int:
    return LineIndex(document).position(document.text.index(words))


# ---------------------------------------------------------------- notebooks


def test_notebook_cells_keep_their_structure_and_number() -> None:
    document = read(notebook_file(), "work.ipynb")
    assert document.lines.unit == "cell" and document.title == "Analysis"
    assert [section.heading for section in document.sections] == [("Analysis",), ("Analysis", "Result")]
    assert [block.kind for block in document.blocks] == [
        "heading",
        "paragraph",
        "code",
        "other",
        "heading",
        "paragraph",
    ]
    assert [place(document, words) for words in ("We load", "print(i)", "It *works*")] == [1, 2, 3]


def test_notebook_outputs_are_kept_short() -> None:
    document = read(notebook_file(), "work.ipynb")
    assert "\n19\n..." in document.text and "\n20\n" not in document.text


def test_old_notebooks_are_converted() -> None:
    cell = {"cell_type": "markdown", "metadata": {}, "source": "# Old"}
    old = {"metadata": {}, "nbformat": 3, "nbformat_minor": 0, "worksheets": [{"cells": [cell], "metadata": {}}]}
    assert read(json.dumps(old).encode(), "old.ipynb").text == "# Old"


@pytest.mark.parametrize("data", [b"{", b"[]", b"{}", b'{"cells": 3}', b'"x"'])
def test_a_file_that_is_no_notebook_is_refused(data: bytes) -> None:
    with pytest.raises(LoadError, match=r"work\.ipynb: not a notebook"):
        load(data, "work.ipynb")


# ---------------------------------------------------------------- PDF


def test_an_outline_that_points_back_makes_no_heading() -> None:
    data = pdf(["Intro", "Some text."], ["Setup", "More text."], outline=[("Setup", 1), ("Cover", 0)])
    assert [section.heading for section in read(data, "a.pdf").sections] == [(), ("Setup",)]


def test_pdf_text_knows_its_pages_and_its_outline() -> None:
    data = pdf(
        ["Intro", "Some text here."], ["Setup", "More text."], title="Book", outline=[("Intro", 0), ("Setup", 1)]
    )
    document = read(data, "book.pdf")
    assert document.lines.unit == "page" and document.title == "Book"
    assert (place(document, "Some text"), place(document, "More text")) == (1, 2)
    assert [section.heading for section in document.sections] == [("Intro",), ("Setup",)]
    assert [block.kind for block in document.blocks] == ["heading", "paragraph", "heading", "paragraph"]
    assert document.metadata == {"pages": 2, "date": "2024-05-01T10:30:00"}


def test_pdf_words_are_joined_over_a_hyphen_at_the_line_s_end() -> None:
    assert "the information given" in read(pdf(["the infor-", "mation given", "x"]), "a.pdf").text.replace("\n", " ")


def test_pdf_running_titles_and_page_numbers_are_left_out() -> None:
    pages = [["The Running Title", f"Text number {chr(65 + i)} of it.", "And more.", f"Page {i}"] for i in range(6)]
    document = read(pdf(*pages), "a.pdf")
    assert "Running" not in document.text and "Page 3" not in document.text and "Text number D" in document.text


def test_scanned_and_damaged_pdf_files_say_what_they_are() -> None:
    with pytest.raises(SkipFile, match="scanned"):
        load(pdf([]), "scan.pdf")
    with pytest.raises(LoadError, match=r"bad\.pdf: cannot be read as PDF: it is damaged"):
        load(b"%PDF-1.4 nothing", "bad.pdf")


# ---------------------------------------------------------------- DOCX


def test_docx_headings_lists_and_tables() -> None:
    document = read(docx_file(), "hand.docx")
    assert document.text == (
        "Install\n\nRun the installer.\n\n- first step\n- second step\n\n"
        "Ports\n\nname | port\nhttp | 80\n\nAfter the table."
    )
    assert document.title == "Handbook" and document.lines.unit == "paragraph"
    assert [section.heading for section in document.sections] == [("Install",), ("Install", "Ports")]
    assert [block.kind for block in document.blocks] == [
        "heading",
        "paragraph",
        "list",
        "heading",
        "table",
        "paragraph",
    ]
    assert [place(document, words) for words in ("Run", "second", "http", "After")] == [2, 4, 8, 10]
    assert str(document.metadata["date"]).startswith("20")


def test_docx_text_that_stands_twice_or_was_moved_is_read_once() -> None:
    import docx
    from docx.oxml import parse_xml

    word = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    compatible = 'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
    box = "<w:pict><w:r><w:t>Boxed.</w:t></w:r></w:pict>"
    written = docx.Document()
    paragraph = written.add_paragraph("Before. ")
    paragraph._p.append(
        parse_xml(
            f'<w:r {word} {compatible}><mc:AlternateContent><mc:Choice Requires="wps">{box}</mc:Choice>'
            f"<mc:Fallback>{box}</mc:Fallback></mc:AlternateContent></w:r>"
        )
    )
    paragraph._p.append(parse_xml(f"<w:moveFrom {word}><w:r><w:t>Moved.</w:t></w:r></w:moveFrom>"))
    file = BytesIO()
    written.save(file)
    assert read(file.getvalue(), "a.docx").text == "Before. Boxed."


def test_damaged_docx_is_refused() -> None:
    for data in (b"PK\x03\x04 not a zip", docx_file()[:2000], b"\xd0\xcf\x11\xe0 old"):
        with pytest.raises(LoadError, match=r"a\.docx: cannot be read as DOCX"):
            load(data, "a.docx")


# ---------------------------------------------------------------- code and tables


def test_python_sections_are_qualified_names() -> None:
    document = read(PYTHON, "pkg/box.py")
    names = [section.anchor for section in document.sections if section.anchor]
    assert names == ["Box", "Box.area", "run"]
    area = next(section for section in document.sections if section.anchor == "Box.area")
    assert area.heading == ("Box", "Box.area")
    assert document.text[area.start : area.end].lstrip().startswith("@property")
    assert document.title == "pkg.box"


def test_python_blocks_are_docstrings_and_definitions() -> None:
    document = read(PYTHON, "box.py")
    shown = [(block.kind, document.text[block.start : block.end]) for block in document.blocks]
    assert shown[0] == ("paragraph", '"""Module doc."""')
    assert ("paragraph", 'class Box:\n    """A box."""') in shown
    assert shown[-1] == ("code", "async def run():\n    return os.name")
    assert "".join(text for _, text in shown).replace(" ", "").replace("\n", "") == "".join(PYTHON.decode().split())


def test_python_that_does_not_parse_is_still_read() -> None:
    document = read(b"def broken(:\n\n    pass\n", "a.py")
    assert [block.kind for block in document.blocks] == ["code", "code"]


def test_csv_rows_may_span_lines() -> None:
    document = read(SAMPLES["table.csv"], "table.csv")
    (table,) = document.blocks
    assert table.header is not None and document.text[slice(*table.header)] == "name,note"
    assert [document.text[slice(*row)] for row in table.rows] == ['a,"two\nlines"', "b,c"]
