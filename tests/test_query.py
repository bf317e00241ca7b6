"""How a query is read: phrases, names, error messages, and the words that the corpus spells otherwise."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragkit.domain.queries import Correction
from ragkit.query import correct, holds, named_versions, notices, parse, phrase_terms
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
        (
            "Error: bad duration: 5x\n    at parse (/home/u/app/node_modules/x.js:5:11)\n    at /home/u/b.js:3:1",
            "Error: bad duration: 5x",
            "at parse (/home/u/app/node_modules/x.js:5:11)",
        ),
        (
            "thread 'main' panicked at src/main.rs:4:5:\nindex out of bounds",
            "panicked at src/main.rs : index out of bounds",
            "thread 'main'",
        ),
        (
            "panic: index out of range\n\nmain.main()\n\t/home/u/x/main.go:8 +0x1d",
            "panic: index out of range",
            "main.main() /home/u/x/main.go:8 +0x1d",
        ),
        (
            "app.rb:12:in 'foo': undefined method `bar' for nil (NoMethodError)\n\tfrom app.rb:20:in `<main>'",
            "app.rb : undefined method `bar' for nil (NoMethodError)",
            "from app.rb:20:in `<main>'",
        ),
        (
            "[Tue Mar 04 10:11:12.345678 2025] [mpm_event:error] [pid 12:tid 140] AH00484: server reached the limit",
            "[ ] [mpm_event:error] [ ] AH00484: server reached the limit",
            "Tue Mar 04 10:11:12.345678 2025",
        ),
        (
            "2024/03/09 10:11:12 [error] 1234#1234: *5 connect() failed (111: Connection refused)",
            "[error] connect() failed (111: Connection refused)",
            "1234#1234: *5",
        ),
        ("main.c:3:5: error: expected ';'", "main.c : error: expected ';'", ":3:5"),
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


@pytest.mark.parametrize(
    "message",
    [
        "curl: (60) SSL certificate problem: unable to get local issuer certificate",
        "fatal: not a git repository",
        "ERROR 1045 (28000): Access denied for user",
        "bash: ragkit: command not found",
        "ls: cannot access '/etc/x': No such file or directory",
        "Error response from daemon: pull access denied",
        "make: *** [Makefile:3: all] Error 2",
        "Segmentation fault (core dumped)",
    ],
)
def test_a_message_without_noise_is_one_and_is_left_whole(message: str) -> None:
    query = parse(message)
    assert (query.error, query.words, query.left_out) == (True, message, ())


@pytest.mark.parametrize(
    "question",
    [
        "how do I log errors?",
        "what does error 404 mean",
        "What does exit code 137 mean?",
        "which ERROR level should I log?",
        "set the log level to ERROR",
        "what is a segmentation fault",
        "Error handling in modules",
        "curl: how do I skip verification (60 s timeout)",
        "LogLevel error or LogLevel warn?",
    ],
)
def test_a_question_about_errors_is_no_error_message(question: str) -> None:
    assert not parse(question).error


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


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ('The **quick** brown [fox](http://e.org "a fox") jumps', "quick brown fox jumps"),
        ("over `lazy` _old_ dogs", "over lazy old dogs"),
        ("> wrapped\n> quotation", "wrapped quotation"),
        ("- first item\n* second item\n1. third", "first item second item third"),
        ("| name | value |", "name value"),
    ],
)
def test_a_phrase_is_read_through_markup(text: str, phrase: str) -> None:
    assert holds(text, [phrase])
    assert not holds(text, [phrase, "something else"])


def test_signs_within_words_are_no_markup() -> None:
    assert not holds("a*b and snake_case", ["ab"])
    assert not holds("a*b and snake_case", ["snakecase"])
    assert holds("a*b and snake_case", ["a*b and snake_case"])


@pytest.mark.parametrize("text", ["1.2.3-" + "a1" * 30 + "/x", "3." + "1415926535" * 5 + "%", "v1" + ".1" * 40 + "%"])
def test_long_versions_are_read_at_once(text: str) -> None:
    assert parse(text).versions == ()


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
    "logging": 50,
    "auth": 20,
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
        ("erstore", "restore"),  # the first two letters in each other's place
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
        "oauth",  # and so does one
        "hogging",  # or another first letter
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


def test_versions_that_hold_a_phrase_are_told_with_what_to_type() -> None:
    assert notices(parse('"25 MB"'), held=False, elsewhere=["1.9", "1.8"]) == (
        'only older versions hold "25 MB": 1.9, 1.8; search them with --doc-version 1.9, or every version with '
        "--doc-version all",
    )


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("What is the limit in version 3.0?", ("3.0",)),
        ("upload limit of v3.0", ("v3.0",)),
        ("what changed in 3.0?", ("3.0",)),
        ("Is Python 3.11 needed?", ()),
        ("TLS v1.2 on 127.0.0.1", ()),
        ("in 2.5 seconds", ()),
        ("ValueError: bad version 3.0", ()),
    ],
)
def test_a_version_of_the_documentation_is_told_from_other_numbers(text: str, named: tuple[str, ...]) -> None:
    assert named_versions(parse(text)) == named


def test_the_vocabulary_is_not_asked_about_words_that_the_corpus_has() -> None:
    def never(word: str, edits: int) -> Mapping[str, tuple[int, int]]:
        raise AssertionError(word)

    assert correct(parse("restore which backups"), holders, never, "english").corrections == ()
