"""Which files are left out though they could be read: minified, written by tools, encoded, control characters."""

from __future__ import annotations

import base64
import random

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ragkit.errors import SkipFile
from ragkit.loaders import load
from ragkit.loaders.quality import useless_name

_QUIET = settings(deadline=None, max_examples=100, suppress_health_check=list(HealthCheck))

BYTES = random.Random(7).randbytes(6_000)
BASE64 = base64.b64encode(BYTES).decode()
WRAPPED = base64.encodebytes(BYTES).decode()
PAGE = "# Export\n\nThe logo is part of the page, which explains how an export is started and where it ends.\n\n"
MINIFIED = "".join(f'function f{i}(a,b){{var c=a[{i}]||b;return c.map(d=>d.x{i}+"k{i}")}}' for i in range(300))
STATEMENTS = "".join(f"def step_{i}(state):\n    return state + {i}\n\n\n" for i in range(60))


def dump(data: bytes, *, digits: int = 8) -> str:
    """Bytes as `xxd` or, without an offset, a plain editor shows them."""
    rows = []
    for start in range(0, len(data), 16):
        row = data[start : start + 16]
        pairs = " ".join(row[at : at + 2].hex() for at in range(0, 16, 2))
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        rows.append(f"{start:0{digits}x}: {pairs}  {shown}" if digits else pairs + " ")
    return "\n".join(rows)


def skipped(text: str | bytes, path: str) -> str:
    """Why a file is skipped, or "" when it is read."""
    try:
        load(text if isinstance(text, bytes) else text.encode(), path)
    except SkipFile as error:
        return error.message.removeprefix(f"{path}: ")
    return ""


# ---------------------------------------------------------------- names


def test_names_that_tools_give_are_told_from_those_that_people_give() -> None:
    assert useless_name("package-lock.json") == "lock file: written by npm"
    assert useless_name("searchindex.js") == "search index: written by Sphinx or mdBook"
    assert useless_name("pnpm-lock.yaml") == "lock file: written by pnpm"
    assert useless_name("app.min.js") == "minified: its name ends in .min.js"
    assert useless_name("Theme.MIN.css") == "minified: its name ends in .MIN.css"
    for name in ("package.json", "lock.md", "package-lock.md", "min.js", "admin.js", "app.js", "notes.min.md"):
        assert useless_name(name) == ""


# ---------------------------------------------------------------- minified


@pytest.mark.parametrize("path", ["app.js", "site.css", "app.mjs", "lib.ts"])
def test_minified_code_is_skipped_whatever_its_name(path: str) -> None:
    assert skipped(MINIFIED, path).startswith("minified: lines of ")
    assert skipped("/*! Licence: MIT. Keep this line. */\n" + MINIFIED + "\n", path).startswith("minified: ")


def test_what_is_asked_for_by_name_is_read_even_minified() -> None:
    assert load(MINIFIED.encode(), "app.js", named=True).text == MINIFIED
    assert load(BASE64.encode(), "blob.txt", named=True).text == BASE64


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("short.js", MINIFIED[:400]),
        ("steps.py", STATEMENTS),
        ("logo.py", f'LOGO = "{BASE64}"\n\n\n{STATEMENTS}'),
        ("words.js", 'const help = {"start": "' + "Start the export with a name of your own. " * 200 + '"};'),
        ("words.js", 'const help = {"start":"' + "导出从这里开始，完成后会有一份报告。" * 200 + '"};'),
        ("words.ts", 'const help={"start":"' + "Экспорт начинается здесь." * 200 + '"};'),
        ("data.json", '{"a":[' + "1,2,3," * 500 + "4]}"),
    ],
)
def test_code_with_lines_or_words_of_its_own_is_read(path: str, text: str) -> None:
    assert skipped(text, path) == ""


# ---------------------------------------------------------------- encoded data


@pytest.mark.parametrize(
    "text",
    [
        BASE64,
        WRAPPED,
        "# Blob\n\n" + WRAPPED,
        f"![](data:image/png;base64,{BASE64})\n",
        "".join(f"-----BEGIN CERTIFICATE-----\n{WRAPPED[:1_200]}\n-----END CERTIFICATE-----\n" for _ in range(9)),
        base64.b64encode(("A sentence in base64 is no sentence. " * 40).encode()).decode(),
        base64.urlsafe_b64encode(BYTES).decode(),
        BYTES.hex(),
        "\n".join(BYTES[at : at + 32].hex().upper() for at in range(0, 3_000, 32)),
        dump(BYTES),
        dump(BYTES, digits=0),
    ],
)
@pytest.mark.parametrize("path", ["blob.txt", "blob.md", "blob"])
def test_encoded_data_is_skipped(text: str, path: str) -> None:
    assert skipped(text, path).startswith("no words: nearly all of it is encoded data")


def test_encoded_data_is_skipped_in_a_page_of_html_as_well() -> None:
    assert skipped(f"<html><body><pre>{WRAPPED}</pre></body></html>", "blob.html").startswith("no words: ")
    assert skipped(f"<html><body>{PAGE}<pre>{WRAPPED}</pre></body></html>", "blob.html") == ""


@pytest.mark.parametrize(
    "text",
    [
        f"{PAGE}![logo](data:image/png;base64,{BASE64})\n",
        f"{PAGE}```\n{WRAPPED}```\n",
        f"{PAGE}{dump(BYTES)}\n",
        BASE64[:400],
        "\n".join(f"https://example.org/guides/{i}/Installing-On-A-Machine-Of-Your-Own?page={i}" for i in range(200)),
        "\n".join(f"https://docs.example.org/document/d/{BASE64[i * 60 : i * 60 + 60]}" for i in range(99)),
        "\n".join(f"/usr/share/Documentation/AbstractBeanFactory/postProcessor{i}" for i in range(200)),
        "\n".join(f"{BYTES[i : i + 32].hex()}  ragkit-{i}.tar.gz" for i in range(200)),
        "\n".join(" ".join(f"{number:04}" for number in range(start, start + 12)) for start in range(200)),
        "| a | b |\n|---|---|\n" + "| 10 | 20 |\n" * 300,
        "word" * 2_000,
        "x" * 20_000,
        "=" * 20_000,
        "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft" * 40,
    ],
)
@pytest.mark.parametrize("path", ["page.md", "page.txt"])
def test_what_only_looks_unbroken_is_read(text: str, path: str) -> None:
    assert skipped(text, path) == ""


SCRIPTS = {
    "Latin": ("abcdefghijklmnopqrstuvwxyzäöüßéèñçłøABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", " "),
    "Cyrillic": ("абвгдежзийклмнопрстуфхцчшщъыьэюяАБВГД", " "),
    "Greek": ("αβγδεζηθικλμνξοπρστυφχψω", " "),
    "Arabic": ("ابتثجحخدذرزسشصضطظعغفقكلمنهوي", " "),
    "Hebrew": ("אבגדהוזחטיכלמנסעפצקרשת", " "),
    "Devanagari": ("अआइईउऊकखगघचछजझटठडढणतथदधनपफबभमािीुू", " "),
    "Thai": ("กขคงจฉชซญดตถทธนบปผพฟภมยรลวศษสหอะาิีเแโ", ""),
    "Khmer": ("កខគឃងចឆជឈញដឋឌឍណតថទធនបផពភមយរលវសហឡអាិី", ""),
    "Han": ("的一是不了人我在有他这中大来上国个到说们为子和你地出道也时年得就", ""),
    "Kana": ("あいうえおかきくけこさしすせそたちつてとアイウエオカキクケコ漢字", ""),
    "Hangul": ("가나다라마바사아자차카타파하한국어문서", " "),
}


@st.composite
def prose(draw: st.DrawFn) -> str:
    """Words of a script, with or without blanks between them, in one line or in several."""
    letters, blank = SCRIPTS[draw(st.sampled_from(sorted(SCRIPTS)))]
    words = draw(st.lists(st.text(letters, min_size=1, max_size=24), min_size=1, max_size=40))
    repeat = draw(st.integers(1, 40))
    return draw(st.sampled_from(["", "\n", "\n\n", " "])).join([blank.join(words)] * repeat)


@_QUIET
@given(prose(), st.sampled_from(["page.md", "page.txt", "page.rst", "page.adoc", "page.html", "page.csv"]))
def test_prose_in_any_script_is_read(text: str, path: str) -> None:
    assert not skipped(text, path).startswith(("no words", "minified", "binary"))


@_QUIET
@given(prose(), st.binary(min_size=300, max_size=3_000))
def test_a_picture_in_a_page_never_costs_the_page(text: str, picture: bytes) -> None:
    assume(sum(character.isalpha() for character in text) >= 60)
    page = f"{text}\n\n![]({'data:image/png;base64,' + base64.b64encode(picture).decode()})\n"
    assert not skipped(page, "page.md").startswith("no words")


@_QUIET
@given(st.binary(min_size=1_000, max_size=4_000), st.sampled_from([0, 64, 76]), st.booleans())
def test_data_is_known_in_whatever_lines_it_comes(data: bytes, width: int, hexadecimal: bool) -> None:
    data = random.Random(data).randbytes(len(data))
    text = data.hex() if hexadecimal else base64.b64encode(data).decode()
    lines = [text[at : at + width] for at in range(0, len(text), width)] if width else [text]
    assert skipped("\n".join(lines) + "\n", "blob.txt").startswith("no words")


# ---------------------------------------------------------------- control characters


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01" * 500,
        b"\x01\x00" * 500,
        b"\xff\xfe" + b"\x01\x00" * 500,
        b"\xfe\xff" + b"\x00\x01" * 500,
        b"\xef\xbb\xbf" + b"\x01\x02a" * 500,
        b"".join(bytes([number % 200, 0]) for number in range(1, 900)),
    ],
)
@pytest.mark.parametrize("path", ["binary.md", "binary.txt", "binary"])
def test_control_characters_are_binary_even_when_they_decode(data: bytes, path: str) -> None:
    assert skipped(data, path) == "binary file"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_real_utf_16_is_still_read(encoding: str, mark: str) -> None:
    """Quotation marks, dashes and Cyrillic capitals have bytes of control characters in them."""
    text = "“One” — the word “Да” – and ‘Б’, ‘В’, ‘Г’ in a text of mostly Latin letters, which UTF-16 has.\n" * 5
    assert load((mark + text).encode(encoding), "page.txt").text == text


@_QUIET
@given(prose(), st.sampled_from(["utf-16-le", "utf-16-be"]))
def test_utf_16_with_its_mark_is_read_in_any_script(text: str, encoding: str) -> None:
    assume(text.strip())
    assert load(("\ufeff" + text).encode(encoding), "page.txt").text == text
