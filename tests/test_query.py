"""How a query is read: phrases, names, error messages, and the words that the corpus spells otherwise."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragkit.domain.queries import Correction
from ragkit.query import correct, holds, notices, parse, phrase_terms
from ragkit.text import analyse

TRACEBACK = """Traceback (most recent call last):
  File "/home/ada/app/.venv/lib/python3.11/site-packages/urllib3/connection.py", line 174, in _new_conn
    conn = connection.create_connection(
  File "/home/ada/app/main.py", line 3, in <module>
ConnectionRefusedError: [Errno 111] Connection refused
"""


# ---------------------------------------------------------------- phrases


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ('"connection refused"', ("connection refused",)),
        ('what does "connection  refused" mean?', ("connection refused",)),
        ("“typographic” and «French» and „German“", ("typographic", "French", "German")),
        ('an "open quotation', ()),
        ('print("hello")', ()),
        ('key="value" in a file', ()),
        ('"" and "..." say nothing', ()),
        ("it's the server's port", ()),
        ('5" or 6" of rain', ()),
    ],
)
def test_quotations_that_stand_alone_are_phrases(text: str, phrases: tuple[str, ...]) -> None:
    assert parse(text).phrases == phrases


@pytest.mark.parametrize(
    ("text", "phrase", "held"),
    [
        ("The CONNECTION\n    refused", "connection refused", True),
        ("Café au lait", "cafe AU", True),
        ("on port 8080", "port 80", False),
        ("reports", "port", False),
        ("listen_port", "port", False),
        ("(port)", "port", True),
        ("the port, the port 80.", "port 80", True),
        ("run --dry-run now", "--dry-run", True),
        ("中文字", "文", True),
        ("refused connection", "connection refused", False),
    ],
)
def test_a_phrase_is_held_word_by_word_whatever_case_accents_and_line_breaks(text, phrase, held) -> None:
    assert holds(text, [phrase]) is held


words = st.sampled_from(
    [
        "the",
        "a",
        "port",
        "ports",
        "8443",
        "restore",
        "size_tokens",
        "HTTPServer",
        "v1.2.3",
        "--dry-run",
        "Café",
        "IT",
        "中文字",
        "of",
        "x",
    ]
)


@given(st.lists(words, min_size=1, max_size=12), st.data())
def test_a_text_that_holds_a_phrase_has_its_terms(text, data) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    phrase = " ".join(text[start : data.draw(st.integers(start + 1, len(text)))])
    whole = " ".join(text)
    assert holds(whole, [phrase])
    assert set(phrase_terms(phrase, "english")) <= set(analyse(whole))


# ---------------------------------------------------------------- names and error messages


def test_identifiers_and_versions_are_told_from_words() -> None:
    query = parse("Does os.path or size_tokens with --dry-run=yes, HTTPServer, k8s and iOS need v1.25.3-rc1?")
    assert query.identifiers == ("os.path", "size_tokens", "--dry-run=yes", "HTTPServer", "k8s", "iOS")
    assert query.versions == ("v1.25.3-rc1",)
    assert parse("How do I restore a well-known Backup?").identifiers == ()


def test_a_stack_trace_is_searched_without_its_frames() -> None:
    query = parse(TRACEBACK)
    assert query.error
    assert query.text == TRACEBACK
    assert "ConnectionRefusedError: [Errno 111] Connection refused" in query.words
    for noise in ("ada", "urllib3", "174", "site-packages"):
        assert noise not in query.words
    assert query.left_out[0].startswith('File "/home/ada')


@pytest.mark.parametrize(
    ("message", "kept", "left_out"),
    [
        (
            "2024-03-09T10:11:12.3Z ERROR cannot bind port 8443",
            "ERROR cannot bind port 8443",
            "2024-03-09T10:11:12.3Z",
        ),
        ("error: segmentation fault at 0x7ffdeadbeef", "error: segmentation fault at", "0x7ffdeadbeef"),
        ("Mar  9 10:11:12 FATAL lock held by pid 4711", "FATAL lock held by", "pid 4711"),
        ("fatal: cannot open /tmp/build-x/a.toml: denied", "fatal: cannot open a.toml: denied", "/tmp/build-x/"),
        (r"error: cannot open C:\Users\ada\a.toml", "error: cannot open a.toml", r"C:\Users\ada" + "\\"),
        ("error: bad key in server.py:12:3", "error: bad key in server.py", ":12:3"),
        ("ValueError: 123e4567-e89b-12d3-a456-426614174000", "ValueError:", "123e4567-e89b-12d3-a456-426614174000"),
    ],
)
def test_what_only_one_machine_would_say_is_left_out_of_an_error_message(message, kept, left_out) -> None:
    query = parse(message)
    assert " ".join(query.words.split()) == kept
    assert left_out in query.left_out


@pytest.mark.parametrize(
    "text",
    [
        "What was decided on 2024-03-09 at 10:11:12?",
        "Which files lie in /usr/lib/python3?",
        "error: cannot open /etc/vault/server.toml",
        "What does line 12 of the example do?",
        "How are errors and exceptions handled?",
    ],
)
def test_questions_and_what_an_error_is_about_are_left_whole(text: str) -> None:
    assert parse(text).words == text
    assert parse(text).left_out == ()


def test_an_error_message_has_no_must_match_phrases() -> None:
    assert parse('NameError: name "vault" is not defined').phrases == ()


def test_what_long_prose_puts_in_quotation_marks_is_no_phrase() -> None:
    assert parse("word " * 14 + '"quoted"').phrases == ("quoted",)
    assert parse("word " * 15 + '"quoted"').phrases == ()
    assert notices(parse("word " * 15 + '"quoted"')) == (
        'the query is longer than 15 words: "quoted" need not be found word for word',
    )


def test_a_message_of_noise_alone_is_searched_as_it_is() -> None:
    text = '  File "/tmp/x.py", line 3, in f\n  File "/tmp/y.py", line 4, in g'
    assert parse(text).words == text


@given(st.text(max_size=200))
def test_any_text_can_be_read(text: str) -> None:
    query = parse(text)
    assert query.text == text
    assert query.words == text or query.left_out
    assert all(holds(" ".join(text.split()), [phrase]) for phrase in query.phrases)


# ---------------------------------------------------------------- spelling

WORDS = {
    "restore": 40,
    "backup": 90,
    "restart": 12,
    "which": 500,
    "kubernetes": 30,
    "password": 25,
    "port": 80,
    "part": 70,
    "citation": 60,
}


def holders(term: str) -> int:
    return sum(count for word, count in WORDS.items() if term in analyse(word))


def near(word: str, edits: int) -> Mapping[str, tuple[int, int]]:
    from rapidfuzz.distance import OSA

    distances = {other: OSA.distance(word, other) for other in WORDS}
    return {other: (edit, WORDS[other]) for other, edit in distances.items() if edit <= edits}


def corrected(text: str) -> str:
    return correct(parse(text), holders, near, "english").text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("restroe a backup", "restore a backup"),
        ("Bakcup of passwrods", "Backup of password"),
        ("kubenretis", "kubernetes"),
        ("whihc backup", "which backup"),
        ("RESTROE", "RESTORE"),
    ],
)
def test_a_misspelt_word_is_searched_as_the_corpus_spells_it(text: str, expected: str) -> None:
    assert corrected(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "restoring the backups",  # other forms of known words
        "the bakc of it",  # nothing near
        "pxrt",  # as near to port as to part
        "backupper",  # a longer form
        "recitation",  # two letters before a word make another
        "the RESTROE option",  # a name in capitals
        "restroe_all --restroe restroe.py a/restroe restroe2 HTTPRestroe",  # identifiers
        '"restroe"',  # quoted: in these words
        "RestoreError: cannot restroe",  # an error message
        "bak",  # too short
    ],
)
def test_what_may_be_meant_is_left_as_it_is(text: str) -> None:
    assert corrected(text) == text


def test_corrections_feed_both_sides_and_are_told() -> None:
    query = correct(parse("restroe the bakcup"), holders, near, "english")
    assert query.text == query.words == "restore the backup"
    assert query.corrections == (Correction("restroe", "restore"), Correction("bakcup", "backup"))
    assert notices(query)[0] == 'searched for "restore", not "restroe"'


def test_words_that_texts_in_general_have_are_no_misspellings() -> None:
    def familiar(word: str) -> bool:
        return word == "pork"

    only_port = {"port": (1, 80)}
    assert correct(parse("pork"), holders, lambda word, edits: only_port, "english").text == "port"
    assert correct(parse("Pork"), holders, lambda word, edits: only_port, "english", familiar).text == "Pork"


def test_a_phrase_that_nothing_holds_is_told() -> None:
    told = notices(parse('"no such words" here'), held=False)
    assert told == (
        'no passage holds "no such words"; without the quotation marks, passages that come near are found',
    )
    assert notices(parse("no such words"), held=False) == ()


def test_the_vocabulary_is_not_asked_about_words_that_the_corpus_has() -> None:
    def never(word: str, edits: int) -> Mapping[str, tuple[int, int]]:
        raise AssertionError(word)

    assert correct(parse("restore which backups"), holders, never, "english").corrections == ()
