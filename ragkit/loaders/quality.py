"""Which files hold nothing to search, though they can be read, and why: written by tools, minified, or encoded data.

Knows file names and the text of documents; knows nothing of folders, encodings or settings. In doubt a file is read:
a rule wants nearly all of a text to be like that, and next to no words beside it. Data between words, data written
in base32, base85 or octal, and data files in plain numbers or words are not told from text.
"""

from __future__ import annotations

import re

from ragkit.domain import CODE_FORMATS, Document

LOCK_FILES = {
    "package-lock.json": "npm",
    "npm-shrinkwrap.json": "npm",
    "pnpm-lock.yaml": "pnpm",
    "conda-lock.yml": "conda-lock",
    "packages.lock.json": "NuGet",
}
"""Lock files to the tools that write them; those that end in .lock or .sum have no format that is read."""

SEARCH_INDEXES = {
    "searchindex.js": "Sphinx or mdBook",
    "searchindex.json": "mdBook",
    "search_index.json": "MkDocs",
    "search-index.js": "rustdoc",
    "lunr-index.json": "Docusaurus or Antora",
    "lunr-index.js": "Antora",
}
"""What a site searches itself by, which repeats the words of its pages, to the tools that write it."""

_MINIFIED_NAME = re.compile(r"\.min\.(?:js|mjs|cjs|css)$", re.I)
_LONG_LINE = 200
_MEAN_LINE = 300
_MARKS = re.compile(r"[!-~]+")
_SOLID = 0.92
_ENCODED = 0.9
_LEAST = 500
"""Characters below which data does no harm: a chunk or two."""
_FEW_LETTERS = 40
"""About eight words. A page with more of them is a page, however large the picture that it embeds."""
_RUN = re.compile(r"[A-Za-z0-9+/_-]{40,}=*(?:\n[ \t]*[A-Za-z0-9+/_-]+=*(?=\n|\Z))*")
_HEX = re.compile(r"(?=.*[0-9])(?=.*[A-Fa-f])[0-9A-Fa-f]+")
_CHANGE = re.compile(r"(?<=[a-z])[A-Z0-9]|(?<=[A-Z])[a-z0-9]|(?<=[0-9])[A-Za-z]")
_CHANGES = 0.4
_ARMOUR = re.compile(r"^-----(?:BEGIN|END) [A-Z0-9 ]+-----$", re.M)
_DUMP_LINE = re.compile(r"^[ \t]*(?:[0-9A-Fa-f]{4,16}:?[ \t]+)?((?:(?:[0-9A-Fa-f]{2}){1,8}[ \t]+){7,}).*$", re.M)
_DUMP_LETTERS = 0.05
_LONGEST_HOST = 300
_LETTER = re.compile(r"[^\W\d_]")


def useless_name(name: str) -> str:
    """Why no file of this name holds anything to search, or "".

    >>> useless_name("package-lock.json"), useless_name("app.min.js"), useless_name("app.js")
    ('lock file: written by npm', 'minified: its name ends in .min.js', '')
    """
    if tool := LOCK_FILES.get(name.lower()):
        return f"lock file: written by {tool}"
    if tool := SEARCH_INDEXES.get(name.lower()):
        return f"search index: written by {tool}"
    match = _MINIFIED_NAME.search(name)
    return f"minified: its name ends in {match[0]}" if match else ""


def useless_text(document: Document) -> str:
    """Why the text of a document is nothing to search, or ""."""
    return (_minified(document.text) if document.format in CODE_FORMATS else "") or _wordless(document)


def _minified(text: str) -> str:
    """Code without layout: lines of hundreds of characters, and next to none of them white space.

    Characters beyond ASCII are taken for words, since many scripts have no blanks; and lines of ordinary length are
    taken for code, which may stand beside a table or a picture on one line, unless they are as few as a licence's.
    """
    lines = [line for line in text.split("\n") if line.strip()]
    size = sum(map(len, lines))
    if size < _LEAST or size < _MEAN_LINE * len(lines):
        return ""
    ordinary = sum(len(line) for line in lines if len(line) <= _LONG_LINE)
    if ordinary > min(0.05 * size, 2_000) or sum(map(len, _MARKS.findall(text))) < _SOLID * size:
        return ""
    return f"minified: lines of {size // len(lines):,} characters on average, hardly any of them white space"


def _wordless(document: Document) -> str:
    """Encoded data: base64 or hexadecimal in long runs, or a dump of bytes with their offsets."""
    text = "\n".join(document.text[block.start : block.end] for block in document.blocks)
    data = [match for match in _RUN.finditer(text) if _is_encoded(match[0]) and not _in_url(text, match.start())]
    dump = list(_DUMP_LINE.finditer(text)) if not data else []
    digits = "".join(match[1] for match in dump)
    letters = sum(character.isalpha() for character in digits)
    if letters < _DUMP_LETTERS * len(digits):  # a table of numbers
        dump = []
    encoded = sum(_solid(match[0]) for match in data or dump)
    if encoded < _LEAST or encoded < _ENCODED * _solid(text):
        return ""
    rest = _ARMOUR.sub("", _without(text, data or dump))
    if len(_LETTER.findall(rest)) >= _FEW_LETTERS:
        return ""
    what = "base64 or hexadecimal" if data else "a hexadecimal dump"
    return f"no words: nearly all of it is encoded data ({what})"


def _is_encoded(run: str) -> bool:
    """Whether a long run of ASCII letters and digits is data: words seldom change their case or hold digits.

    Of neighbours in base64, 62% differ in being lower case, upper case or a digit when the data is random, 50% or
    more when it is text; in paths and names in camel case it is less than 30%.
    """
    solid = "".join(run.split())
    return bool(_HEX.fullmatch(solid)) or len(_CHANGE.findall(solid)) >= _CHANGES * len(solid)


def _in_url(text: str, at: int) -> bool:
    """Whether an address (not a data: URI, which has no `//`) goes on at `at`."""
    before = text[max(0, at - _LONGEST_HOST) : at]
    return "://" in before and "://" in re.split(r"\s", before)[-1]


def _without(text: str, spans: list[re.Match[str]]) -> str:
    ends = [0, *(match.end() for match in spans)]
    starts = [*(match.start() for match in spans), len(text)]
    return "\n".join(text[end:start] for end, start in zip(ends, starts, strict=True))


def _solid(text: str) -> int:
    return sum(map(len, text.split()))
