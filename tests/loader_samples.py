"""Small files of every format, made by the tests themselves, and the invariants that every Document keeps."""

from __future__ import annotations

import json
import os
from io import BytesIO
from pathlib import Path

from ragkit.domain import Document

_REPOSITORY = Path(__file__).parents[1]
DATA = Path(os.environ.get("RAGKIT_DEV_DATA", str(_REPOSITORY / "../shared/data")))

TEXT_FORMATS = ("markdown", "rst", "text", "asciidoc", "python", "source", "csv")
"""Formats whose text is the file's own."""


def check(document: Document) -> None:
    """Blocks ordered, disjoint and in range; sections cover the text; every line has its place; metadata is JSON."""
    text = document.text
    cursor = 0
    for block in document.blocks:
        assert cursor <= block.start < block.end <= len(text), block
        assert text[block.start : block.end].strip(), block
        cursor = block.end
        parts = [*([block.header] if block.header else []), *block.rows]
        inner = block.start
        for start, end in parts:
            assert inner <= start < end <= block.end, block
            inner = end
    cursor = 0
    for section in document.sections:
        assert section.start == cursor < section.end, section
        cursor = section.end
    assert cursor == len(text)
    numbers = document.lines.numbers
    if document.format in TEXT_FORMATS:
        assert numbers == () and document.lines.unit == "line"
    else:
        assert len(numbers) == text.count("\n") + 1
        assert numbers[0] >= 1 and list(numbers) == sorted(numbers)
    json.dumps(dict(document.metadata), allow_nan=False)
    text.encode("utf-8")


def outside_blocks(document: Document) -> str:
    """The text that is in no block, blanks removed."""
    cursor, rest = 0, []
    for block in document.blocks:
        rest.append(document.text[cursor : block.start])
        cursor = block.end
    return "".join("".join([*rest, document.text[cursor:]]).split())


def pdf(*pages: list[str], title: str = "", outline: list[tuple[str, int]] = ()) -> bytes:  # type: ignore[assignment]
    """A PDF file of lines of Helvetica, written by hand."""
    count = len(pages)
    objects: dict[int, bytes] = {}
    kids = " ".join(f"{10 + 2 * i} 0 R" for i in range(count))
    marks = "/Outlines 5 0 R" if outline else ""
    objects[1] = f"<< /Type /Catalog /Pages 2 0 R {marks} >>".encode()
    objects[2] = f"<< /Type /Pages /Kids [{kids}] /Count {count} >>".encode()
    objects[3] = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
    objects[4] = f"<< /Title ({title}) /ModDate (D:20240501103000Z) >>".encode()
    for i, lines in enumerate(pages):
        drawn = " ".join(f"({line}) Tj 0 -16 Td" for line in lines)
        stream = f"BT /F1 12 Tf 72 720 Td {drawn} ET".encode() if lines else b""
        objects[10 + 2 * i] = (
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {11 + 2 * i} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>"
        ).encode()
        objects[11 + 2 * i] = b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream)
    if outline:
        first = 100
        last = first + len(outline) - 1
        objects[5] = f"<< /Type /Outlines /First {first} 0 R /Last {last} 0 R /Count {len(outline)} >>".encode()
        for i, (name, page) in enumerate(outline):
            following = f"/Next {first + i + 1} 0 R" if first + i < last else ""
            destination = f"/Dest [{10 + 2 * page} 0 R /Fit]"
            objects[first + i] = f"<< /Title ({name}) /Parent 5 0 R {destination} {following} >>".encode()
    out = BytesIO(b"")
    out.write(b"%PDF-1.4\n")
    places = {}
    for number, body in sorted(objects.items()):
        places[number] = out.tell()
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
    xref = out.tell()
    out.write(b"xref\n0 1\n0000000000 65535 f \n")
    for number, place in sorted(places.items()):
        out.write(b"%d 1\n%010d 00000 n \n" % (number, place))
    out.write(b"trailer << /Size %d /Root 1 0 R /Info 4 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (max(objects) + 1, xref))
    return out.getvalue()


def docx_file() -> bytes:
    """A Word document with a title, headings, a list, a table and text after it."""
    import docx

    document = docx.Document()
    document.core_properties.title = "Handbook"
    document.add_heading("Install", 1)
    document.add_paragraph("Run the installer.")
    document.add_paragraph("first step", style="List Bullet")
    document.add_paragraph("second step", style="List Bullet")
    document.add_heading("Ports", 2)
    table = document.add_table(rows=2, cols=2)
    for cell, text in zip((c for row in table.rows for c in row.cells), ("name", "port", "http", "80"), strict=True):
        cell.text = text
    document.add_paragraph("After the table.")
    out = BytesIO()
    document.save(out)
    return out.getvalue()


def notebook_file() -> bytes:
    """A notebook with Markdown, code and a long output."""
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": ["# Analysis\n", "\n", "We load the data."]},
        {
            "cell_type": "code",
            "metadata": {},
            "execution_count": 1,
            "source": "for i in range(99):\n    print(i)",
            "outputs": [{"output_type": "stream", "name": "stdout", "text": [f"{i}\n" for i in range(99)]}],
        },
        {"cell_type": "markdown", "metadata": {}, "source": "## Result\n\nIt *works*."},
    ]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()


MARKDOWN = b"""---
title: Guide
date: 2024-05-01
tags: [a, b]
---
<!-- overview -->

# Install {#setup}

Some *text* here.

- one

  ```sh
  ls -l
  ```
- two

| flag | use |
|------|-----|
| -a   | all |
| -b   | both |

Setext `code`
-------------

    indented()

{{< note >}}
Careful.
{{< /note >}}

[ref]: https://example.org
"""

RST = b""".. _label:

=======
 Guide
=======

:date: 2024-05-01

Intro with :py:func:`os.path.join`.

Usage
-----

.. unknown-directive:: argument

   Kept text.

.. code-block:: python

   print(1)

   print(2)

Example::

    literal

    block

===== =====
name  value
===== =====
a     1
b     2
===== =====

.. a comment

* one
* two

.. include:: /etc/passwd

.. raw:: html
   :file: /etc/passwd
"""

HTML = b"""<!DOCTYPE html>
<html><head><title>Guide &mdash; Site</title>
<meta name="description" content="How to">
<style>p { color: red }</style></head>
<body>
<nav><a href="/">Home</a> navigation</nav>
<div class="sphinxsidebar"><h3>Sidebar words</h3></div>
<main>
<h1 id="top">Guide<a class="headerlink" href="#top">&para;</a></h1>
<p>First &amp; foremost,
a <b>bold</b>
statement.</p>
<table><thead><tr><th>Name</th><th>Port</th></tr></thead>
<tbody>
<tr><td>http</td><td>80</td></tr>
<tr><td>https</td>
<td>443</td></tr>
</tbody></table>
<pre>def f():
    return 1 &lt; 2

</pre>
<dl class="py function">
<dt class="sig" id="pkg.run">pkg.run(x)<a class="headerlink" href="#pkg.run">#</a></dt>
<dd><p>Run it.</p></dd>
</dl>
<ul><li>one<ul><li>inner</li></ul></li><li>two</li></ul>
</main>
<footer>Copyright words</footer>
<script>var hidden = "script words";</script>
</body></html>
"""

ASCIIDOC = b"""= Manual
:author: Ann

Intro.

[[inst]]
== Install

----
make

make install
----

* one
* two

|===
|a |b

|1 |2
|===
"""

PYTHON = b'''"""Module doc."""

import os

LIMIT = 3


class Box:
    """A box."""

    size = 1

    @property
    def area(self):
        """Its area."""
        return self.size ** 2


async def run():
    return os.name
'''

SAMPLES: dict[str, bytes] = {
    "guide.md": MARKDOWN,
    "guide.rst": RST,
    "guide.html": HTML,
    "guide.adoc": ASCIIDOC,
    "box.py": PYTHON,
    "main.go": b"package main\n\n// Run it.\nfunc main() {\n\n\tprintln(1)\n}\n",
    "notes.txt": b"Release notes\n\nFirst paragraph\nof two lines.\n\nSecond.\n",
    "table.csv": b'name,note\na,"two\nlines"\nb,c\n',
    "book.pdf": pdf(["Hello world."], ["Second page."], title="Book"),
    "hand.docx": docx_file(),
    "work.ipynb": notebook_file(),
    "settings.yaml": b"# comment\n\nport: 80\n\n# other\n\nhost: here\n",
}
