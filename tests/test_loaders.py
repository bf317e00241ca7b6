"""What holds for every format: registry, detection, encodings, invariants, hostile bytes."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ragkit.errors import LoadError, SkipFile
from ragkit.loaders import EXTENSIONS, REGISTRY, format_of, load
from tests.loader_samples import DATA, SAMPLES, TEXT_FORMATS, check, outside_blocks

_QUIET = settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("path", SAMPLES)
def test_every_format_keeps_the_invariants(path: str) -> None:
    document = load(SAMPLES[path], path)
    check(document)
    assert document.path == path and document.title


@pytest.mark.parametrize(
    "path", [path for path in SAMPLES if not path.endswith((".html", ".pdf", ".docx", ".ipynb"))]
)
def test_text_formats_keep_the_file_s_own_text(path: str) -> None:
    assert load(SAMPLES[path], path).text == SAMPLES[path].decode()
    crlf = SAMPLES[path].replace(b"\n", b"\r\n")
    assert load(b"\xef\xbb\xbf" + crlf, path).text == SAMPLES[path].decode()


@pytest.mark.parametrize("extension", sorted(EXTENSIONS))
def test_every_registered_loader_can_be_imported_and_refuses_or_reads_anything(extension: str) -> None:
    assert re.fullmatch(r"\w+:load_\w+", REGISTRY[extension])
    try:
        document = load(b"plain words\n", "file" + extension)
    except LoadError as error:
        assert extension in (".pdf", ".docx", ".ipynb") and f"file{extension}" in error.message
    else:
        check(document)


@_QUIET
@given(st.sampled_from(sorted(set(REGISTRY.values()))), st.binary(max_size=400))
def test_arbitrary_bytes_are_read_skipped_or_refused(loader: str, data: bytes) -> None:
    extension = next(extension for extension, value in REGISTRY.items() if value == loader)
    try:
        check(load(data, "any" + extension))
    except (SkipFile, LoadError) as error:
        assert error.message.startswith("any" + extension)


@settings(_QUIET, max_examples=150)
@given(st.sampled_from(sorted(SAMPLES)), st.data())
def test_damaged_files_are_read_skipped_or_refused(path: str, data: st.DataObject) -> None:
    raw = bytearray(SAMPLES[path])
    for _ in range(data.draw(st.integers(1, 6))):
        start = data.draw(st.integers(0, len(raw)))
        length = data.draw(st.integers(0, 30))
        raw[start : start + length] = data.draw(st.binary(max_size=8))
    with contextlib.suppress(SkipFile, LoadError):
        check(load(bytes(raw), path))


_MARKUP = st.lists(
    st.sampled_from(
        [*"ab \n\n\n#*-_=`~>|:.[](){}<!+/\t1", "```", "---\n", "\n\n# ", "- ", "::\n\n", "é", "<!--", "-->"]
    ),
    max_size=80,
).map("".join)


@settings(_QUIET, max_examples=300)
@given(st.sampled_from(["x.md", "x.rst", "x.adoc", "x.txt", "x.html", "x.py", "x.csv"]), _MARKUP)
def test_any_mixture_of_markup_keeps_the_invariants(path: str, text: str) -> None:
    try:
        document = load(text.encode(), path)
    except (SkipFile, LoadError):
        return
    check(document)
    if document.format in TEXT_FORMATS:
        assert document.text == text
    if document.format in ("text", "python", "source", "csv"):
        assert outside_blocks(document) == ""


@settings(_QUIET, max_examples=200)
@given(_MARKUP)
def test_outside_the_blocks_of_markdown_is_only_front_matter_and_comments(text: str) -> None:
    try:
        document = load(text.encode(), "x.md")
    except SkipFile:
        return
    rest = outside_blocks(document)
    if not text.startswith(("---", "+++")):
        rest = re.sub(r"<!--.*?-->|\{/\*.*?\*/\}|\{#-.*?-#\}", "", rest)
        assert rest == ""


def test_unknown_binary_and_empty_files_are_skipped_with_the_reason() -> None:
    for path, data, reason in [
        ("a.xyz", b"text", "unknown format .xyz"),
        ("LICENSE", b"\x00\x01\x02" * 50, "binary"),
        ("a.txt", b"\x00\xff\x00\x00" * 50, "binary"),
        ("a.md", b"", "empty"),
        ("a.md", b" \n\n ", "empty"),
        ("a.md", b"---\ntitle: only\n---\n", "no text"),
    ]:
        with pytest.raises(SkipFile, match=reason):
            load(data, path)


def test_files_without_extension_are_judged_by_their_content() -> None:
    assert format_of("README", b"words\n") == "text"
    assert format_of("index", b"<!doctype html><p>x") == "html"
    assert format_of("paper", b"%PDF-1.7 ...") == "pdf"
    assert format_of("run", b"#!/usr/bin/env python3\n") == "python"
    assert format_of("run", b"#!/bin/sh\n") == "source"
    assert format_of("guide.rst.txt", b"Title\n=====\n") == "rst"


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-8", b""),
        ("utf-8", b"\xef\xbb\xbf"),
        ("utf-16-le", b"\xff\xfe"),
        ("utf-16-be", b"\xfe\xff"),
        ("utf-16-le", b""),
    ],
)
def test_unicode_encodings_are_recognised(encoding: str, mark: bytes) -> None:
    text = "Größe und Maß\n\nZweiter Absatz mit “Zitat”.\n"
    assert load(mark + text.encode(encoding), "a.txt").text == text


def test_an_old_encoding_is_guessed_and_a_declared_one_obeyed() -> None:
    text = "Die Größe des Gerätes läßt sich ändern. Übrigens müssen die Schlüssel geprüft werden.\n" * 5
    assert "Größe des Gerätes" in load(text.encode("cp1252"), "a.txt").text
    for word in ("Élève", "Straße", "naïve façade", "“Zitat”"):
        assert load(f"A page about {word}.\n".encode("cp1252"), "a.txt").text == f"A page about {word}.\n"
    damaged = text.encode().replace("Übrigens".encode(), b"\xdcbrigens")
    assert load(damaged, "a.txt").text == text.replace("Übrigens", "\ufffdbrigens")
    page = '<html><head><meta charset="iso-8859-2"></head><body><p>Žluťoučký kůň</p></body></html>'
    assert load(page.encode("iso-8859-2"), "a.html").text == "Žluťoučký kůň"


def test_a_file_that_belies_its_byte_order_mark_is_refused() -> None:
    with pytest.raises(LoadError, match=r"a\.txt: marked as utf-16-le"):
        load(b"\xff\xfea\xd8b", "a.txt")


def test_old_mac_line_ends_are_lines() -> None:
    assert load(b"# A\r\rtext\rmore\r", "a.md").text == "# A\n\ntext\nmore\n"


def test_one_endless_line_is_cut_into_bounded_blocks() -> None:
    document = load(b"word " * 400_000, "a.log")
    check(document)
    assert max(block.end - block.start for block in document.blocks) <= 8_000
    unbroken = load(b"x" * 100_000, "a.txt")
    assert outside_blocks(unbroken) == "" and len(unbroken.blocks) == 13


def test_titles_fall_back_to_the_file_s_name() -> None:
    assert load(b"just words, nothing else.", "guide/set-up_linux.md").title == "set up linux"


def test_no_loader_imports_what_it_does_not_need() -> None:
    heavy = ("docutils", "selectolax", "docx", "pypdfium2", "nbformat", "numpy")
    code = f"import sys, ragkit.loaders as l; l.load(b'# A', 'a.md'); print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="development data not beside the project")
@pytest.mark.parametrize("tree", ["kubernetes", "rhdh", "single-topic"])
def test_real_documentation_keeps_the_invariants(tree: str) -> None:
    files = sorted((DATA / "docs" / tree / "docs").rglob("*.*"))[::3]
    read = 0
    for file in files:
        raw = file.read_bytes()
        try:
            document = load(raw, file.name)
        except SkipFile as skipped:
            assert "no text" in skipped.message
            continue
        check(document)
        assert document.text == raw.decode().replace("\r\n", "\n")
        read += 1
    assert read > 0.9 * len(files)
