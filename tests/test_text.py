from __future__ import annotations

import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragkit.sentences import sentences
from ragkit.snippets import snippet
from ragkit.text import LANGUAGES, MAX_TERM, analyse, fold, term_spans

WORD = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=8)
IDENTIFIERS = st.one_of(
    st.lists(WORD, min_size=2, max_size=4).map("_".join),
    st.lists(WORD, min_size=2, max_size=4).map("-".join),
    st.lists(WORD, min_size=2, max_size=4).map(".".join),
    st.lists(WORD, min_size=2, max_size=4).map("/".join),
    st.lists(WORD.map(str.capitalize), min_size=2, max_size=4).map("".join),
    st.lists(WORD, min_size=1, max_size=3).map(lambda words: "--" + "-".join(words)),
    st.lists(st.integers(0, 99).map(str), min_size=2, max_size=4).map(lambda parts: "v" + ".".join(parts)),
    st.sampled_from(
        ["C++", "C#", "A002", "3.11", "os.path.join()", "std::vector", "x86_64", "python3.11-doc", "中文"]
    ),
)


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("snake_case", ["snake_case", "snake", "case"]),
        ("camelCase", ["camelcas", "camel", "case"]),
        ("HTTPServer", ["httpserver", "http", "server"]),
        ("dotted.names", ["dotted.names", "dot", "name"]),
        ("kebab-case", ["kebab-case", "kebab", "case"]),
        ("--long-flags", ["--long-flags", "long-flags", "long", "flag"]),
        ("path/to/file.ext", ["path/to/file.ext", "path", "file.ext", "file", "ext"]),
        ("A002", ["a002"]),
        ("v1.25", ["v1.25", "1.25"]),
        ("3.11", ["3.11"]),
        ("3.11.4", ["3.11.4", "3.11"]),
        ("C++", ["c++"]),
        ("C/C++", ["c", "c++"]),
        ("C#.", ["c#"]),
        ("os.path.join()", ["os.path.join", "os", "path", "join"]),
        ("std::vector", ["std::vector", "std", "vector"]),
        ("python3.11-doc", ["python3.11-doc", "python3.11", "python", "3.11", "doc"]),
        ("__init__", ["__init__", "init"]),
        ("iOS IPv6", ["io", "ipv6", "ipv"]),
        ("1,000,000", ["1000000"]),
    ],
)
def test_identifiers_are_kept_whole_and_followed_by_their_parts(text, terms):
    assert analyse(text) == terms


@given(st.lists(WORD.map(str.capitalize), min_size=2, max_size=4).map("".join))
def test_a_name_in_capitals_and_small_letters_is_found_by_the_same_letters_in_small(name: str) -> None:
    assert set(analyse(name.lower())) <= set(analyse(name))


@given(
    identifier=IDENTIFIERS,
    before=st.sampled_from(["", "see ", "(", "`", '"', "the "]),
    after=st.sampled_from(["", " it", ")", "`", '"', ",", ".", "; x", "!"]),
)
def test_a_text_has_the_terms_of_every_identifier_in_it(identifier, before, after):
    assert set(analyse(identifier)) <= set(analyse(before + identifier + after))


@given(text=st.text(), language=st.sampled_from(LANGUAGES))
def test_terms_are_folded_short_and_the_same_every_time(text, language):
    terms = analyse(text, language)
    assert terms == analyse(text, language)
    assert all(term and len(term) <= MAX_TERM and not any(map(str.isspace, term)) for term in terms)


@given(left=st.text("ab .-_/é漢字", max_size=20), right=st.text("ab .-_/é漢字", max_size=20))
def test_terms_of_a_text_are_those_of_its_lines(left, right):
    assert analyse(f"{left}\n{right}") == analyse(left) + analyse(right)


def test_stop_words_go_but_words_that_matter_to_a_technical_question_stay():
    assert analyse("How do I not use the cache without it?") == ["not", "use", "cach", "without"]
    assert analyse("get, make and find are commands") == ["get", "make", "find", "command"]
    assert analyse("the IT department of the US") == ["it", "depart", "us"]
    assert analyse("e.g. the U.S. and i.e. that's") == ["us"]


def test_a_word_matches_whatever_its_accents_case_and_ending():
    assert analyse("Café naïve ﬁles RUNNING") == analyse("cafe naive files runs")
    assert analyse("don’t") == analyse("don't") == ["dont"]
    assert analyse("the user's") == analyse("users'") == ["user"]


def test_unspaced_scripts_become_bigrams():
    assert analyse("日本語 x 字") == ["日本", "本語", "x", "字"]
    assert analyse("Kubernetes的配置") == ["kubernet", "的配", "配置"]
    assert analyse("검색엔진") == ["검색", "색엔", "엔진"]


def test_language_none_neither_stems_nor_stops():
    assert analyse("The running size_tokens", "none") == ["the", "running", "size_tokens", "size", "tokens"]


def test_other_languages_use_their_own_stems_and_stop_words():
    assert analyse("die Häuser und das Haus", "german") == ["haus", "haus"]
    assert analyse("l'utilisation des données", "french") == ["utilis", "don"]
    assert set(analyse("настройки системы", "russian")) == set(analyse("настройка системе", "russian"))


def test_unknown_language_is_refused_with_the_choices():
    with pytest.raises(ValueError, match=r"klingon.*english"):
        analyse("x", "klingon")


def test_threads_share_an_analyser():
    """Stemmers are not safe to share; the analyser is."""
    texts = [f"running{i} Walking_{i} flies{i}" for i in range(2000)]
    expected = [analyse(text, "danish") for text in texts]
    results: list[list[list[str]]] = []

    def work() -> None:
        results.append([analyse(text + " ", "danish") for text in texts])

    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        workers = [threading.Thread(target=work) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    finally:
        sys.setswitchinterval(switch)
    assert results == [expected] * 4


@given(st.text())
def test_folding_is_idempotent(text):
    assert fold(fold(text)) == fold(text)


def test_folding_keeps_the_vowel_signs_of_other_scripts():
    assert fold("हिन्दी") == "हिन्दी"
    assert fold("ที่นี่") == "ที่นี่"
    assert fold("ガ") == "ガ"


SENTENCES = [
    "It works, e.g. with Dr. Smith and Prof. J. R. R. Tolkien.|See Fig. 3 and No. 5 of vol. 2.|Done.",
    "Use v1.2.|Use file.ext now.|Visit https://a.b/c.d?x=1.|It costs 3.5 dollars.",
    "Python 3.11.|Then System.Out and os.path.join() work.|kubectl starts one, too.",
    "Wait... what?|Yes!|No?!|Then… nothing.",
    'He said "Stop."|Then he left.|(See above.)|Good.',
    "In the U.S. we say so.|He lives in the U.S.|We do not.|Bring pens, etc.|Then go.",
    "今日は晴れ。|明日は雨！|「そうですか？」|はい。",
    "First line wraps\ninto the second one.|Next.",
    "A title\n\n|A paragraph.",
    "# Heading\n|Text under it.",
    "Options:\n|- first item that\n  wraps\n|- second. |It has two.\n|1. third is one sentence\n|2. fourth",
    "| a | b |\n||---|---|\n|| c. D | e |\n|After.",
    "```\n|x = 1. Y\n|z = 2\n|```\n|After.",
    ".. note::\n|   Text.",
    "The answer is no.|It is 5.|Is it?|yes",
]


@pytest.mark.parametrize("marked", SENTENCES)
def test_sentences_end_where_a_reader_ends_them(marked):
    table = "| a |" in marked
    parts = ["| a | b |", "|---|---|", "| c. D | e |", "After."] if table else [p.strip() for p in marked.split("|")]
    text = "| a | b |\n|---|---|\n| c. D | e |\nAfter." if table else _joined(marked)
    assert [text[start:end] for start, end in sentences(text)] == parts


def _joined(marked: str) -> str:
    pieces = marked.split("|")
    return "".join(
        piece if piece.endswith(("\n", " ", "。", "！", "」")) else piece + " " for piece in pieces
    ).rstrip()


@given(st.text("ab .!?。\n\t-#|`>1\"'()\u3000é漢\x00\u2028\ud800", max_size=120))
@settings(max_examples=300)
def test_sentences_are_in_order_apart_and_lose_nothing(text):
    at = 0
    for start, end in sentences(text):
        assert text[at:start].strip() == ""
        assert text[start:end].strip() == text[start:end] != ""
        at = end
    assert text[at:].strip() == ""


def test_long_text_without_a_full_stop_is_one_sentence():
    assert sentences("word " * 50_000) == [(0, 249_999)]
    assert len(sentences("a. " * 50_000)) >= 1


def test_words_that_carry_a_term_are_found_where_they_stand():
    text = "Set size_tokens (sizes) to 10; HTTPServer.start() 全文検索エンジン, 1,000."
    marked = [text[a:b] for a, b in term_spans(text, analyse("size server 検索 1000"))]
    assert marked == ["size_tokens", "sizes", "HTTPServer.start", "検索", "1,000"]


@given(text=st.text("ab_-. é漢字\n", max_size=60), query=st.text("ab_-. é漢字", max_size=10))
def test_spans_of_terms_are_in_order_apart_and_carry_a_term(text, query):
    wanted = set(analyse(query))
    at = 0
    for start, end in term_spans(text, wanted):
        assert at <= start < end <= len(text)
        assert wanted & set(analyse(text[start:end]))
        at = end
    assert bool(term_spans(text, wanted)) == bool(wanted & set(analyse(text)))


def test_snippet_shows_the_stretch_with_most_terms():
    text = "filler words here. " * 30 + "The snapshot is published whole.\nThen read. " + "more filler text. " * 30
    shown, spans = snippet(text, analyse("publish a snapshot"), 80)
    assert "snapshot is published whole. Then read." in shown
    assert [shown[a:b] for a, b in spans] == ["snapshot", "published"]
    assert shown.startswith("… ")
    assert shown.endswith(" …")


@given(
    text=st.lists(st.sampled_from(["cache", "index", "word", "x" * 50, "漢字" * 30]), max_size=60).map(" ".join),
    width=st.integers(10, 120),
)
def test_snippet_is_within_its_width_and_its_spans_hold_terms(text, width):
    terms = analyse("cache index 漢字")
    shown, spans = snippet(text, terms, width)
    assert len(shown) <= width
    for start, end in spans:
        assert set(analyse(shown[start:end])) & set(terms)
