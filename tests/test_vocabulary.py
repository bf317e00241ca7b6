"""The vocabulary of a snapshot: whole plain words, counted by chunk, followed as chunks come and go."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragkit.errors import SnapshotError
from ragkit.index.vocabulary import Vocabulary, build, extend

TEXTS = ["Restore the backup, restore it.", "A Backup of size_tokens", "HTTPServer v1.2 restored", "RESTORE naïve"]


@pytest.fixture
def words(tmp_path: Path) -> Vocabulary:
    build(tmp_path / "words", TEXTS)
    return Vocabulary(tmp_path / "words")


@pytest.mark.parametrize(
    ("word", "edits", "expected"),
    [
        ("restore", 0, {"restore": (0, 2)}),
        ("restroe", 1, {"restore": (1, 2)}),
        ("restores", 1, {"restore": (1, 2), "restored": (1, 1)}),
        ("backpu", 1, {"backup": (1, 2)}),
        ("naïv", 1, {"naïve": (1, 1)}),
        ("tokens", 1, {}),  # a part of a name
        ("httpserver", 1, {}),
        ("zzz", 2, {}),
        ("", 1, {}),
    ],
)
def test_words_near_another_come_with_their_edits_and_chunks(words, word, edits, expected) -> None:
    assert words.near(word, edits) == expected


texts = st.lists(st.sampled_from(["alpha beta", "Beta gamma", "GAMMA gamma", "delta_one epsilon", ""]), max_size=8)


@given(texts, texts, texts)
def test_a_vocabulary_that_was_extended_is_the_one_built_anew(tmp_path_factory, kept, removed, added) -> None:
    folder = tmp_path_factory.mktemp("words")
    build(folder / "base", [*kept, *removed])
    extend(folder / "base", folder / "extended", removed, added)
    build(folder / "anew", [*added, *kept])
    assert (folder / "extended").read_bytes() == (folder / "anew").read_bytes()


def test_an_older_snapshot_has_no_words_and_a_damaged_file_is_named(tmp_path: Path) -> None:
    assert Vocabulary(tmp_path / "missing").near("restore", 1) == {}
    (tmp_path / "words").write_text("restore\tmany\n")
    with pytest.raises(SnapshotError, match="words"):
        Vocabulary(tmp_path / "words").near("restore", 1)
