"""Near-duplicates: found whatever the order, never across a changed number, and kept from ingest to ingest."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragkit.errors import SnapshotError
from ragkit.index import duplicates
from ragkit.index.duplicates import GROUPS_FILE, Duplicates, group, signature, write

WORDS = [f"word{chr(97 + n // 26)}{chr(97 + n % 26)}".replace("word", "") + "x" for n in range(300)]


def text(seed: int, length: int = 120) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=length))


def changed(original: str, at: int, word: str = "changed") -> str:
    words = original.split()
    words[at] = word
    return " ".join(words)


def grouped(texts: Mapping[int, str]) -> list[list[int]]:
    rows = {id: row for id, one in sorted(texts.items()) if (row := signature(one)) is not None}
    table = np.stack(list(rows.values())) if rows else np.zeros((0, 72), dtype=np.uint32)
    return group(list(rows), table, lambda ids: {id: texts[id] for id in ids})


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (text(1), True),
        (text(1).upper().replace(" ", "\n  "), True),
        (changed(text(1), 40), True),
        (changed(text(1), 119), True),
        (changed(changed(text(1), 20), 80), False),
        (changed(text(1), 40, "8080"), False),
        (" ".join(reversed(text(1).split())), False),
        (text(1) + " " + text(2), False),
    ],
)
def test_a_word_or_two_may_differ_but_no_number(other: str, same: bool) -> None:
    assert grouped({1: text(1), 2: other}) == ([[1, 2]] if same else [])


def test_what_stands_in_many_documents_is_boilerplate(tmp_path: Path) -> None:
    texts = {id: text(1) for id in range(1, 7)} | {id: text(2) for id in range(7, 10)} | {10: text(3)}
    write(tmp_path, None, np.array(sorted(texts)), texts.items(), lambda ids: {id: texts[id] for id in ids})
    found = Duplicates(tmp_path)
    assert found.boilerplate(10) == found.boilerplate(60) == frozenset(range(1, 7))
    assert found.boilerplate(61) == frozenset()


def test_short_texts_are_left_alone() -> None:
    few = " ".join(WORDS[: duplicates.MIN_WORDS - 1])
    assert grouped({1: few, 2: few}) == []
    assert grouped({1: f"{few} more", 2: f"{few} more"}) == [[1, 2]]


@given(st.lists(st.integers(0, 8), max_size=30))
def test_every_copy_is_in_the_group_of_its_text_and_nothing_else_is(seeds: list[int]) -> None:
    found = grouped({at: text(seed) for at, seed in enumerate(seeds)})
    expected = [[at for at, other in enumerate(seeds) if other == seed] for seed in dict.fromkeys(seeds)]
    assert sorted(found) == sorted(one for one in expected if len(one) > 1)


def written(
    folder: Path, base: Path | None, texts: Mapping[int, str], new: Sequence[int]
) -> tuple[tuple[int, ...], ...]:
    fresh = [(id, texts[id]) for id in new]
    write(folder, base, np.asarray(sorted(texts), dtype=np.int64), fresh, lambda ids: {id: texts[id] for id in ids})
    return Duplicates(folder).groups


def test_signatures_of_an_earlier_snapshot_serve_for_chunks_that_stayed(tmp_path: Path) -> None:
    first = {1: text(1), 2: text(2), 3: text(1)}
    assert written(tmp_path / "1", None, first, [1, 2, 3]) == ((1, 3),)
    second = {2: text(2), 3: text(1), 4: text(2), 5: "short"}
    assert written(tmp_path / "2", tmp_path / "1", second, [4, 5]) == ((2, 4),)
    anew = written(tmp_path / "3", None, second, [2, 3, 4, 5])
    assert anew == ((2, 4),)
    assert (tmp_path / "2" / GROUPS_FILE).read_bytes() == (tmp_path / "3" / GROUPS_FILE).read_bytes()


def test_an_older_snapshot_has_no_groups_and_a_damaged_file_is_named(tmp_path: Path) -> None:
    assert Duplicates(tmp_path).groups == ()
    (tmp_path / GROUPS_FILE).write_text("[[1, 2")
    with pytest.raises(SnapshotError, match=GROUPS_FILE):
        _ = Duplicates(tmp_path).groups


def test_pages_of_a_template_that_differ_in_a_number_are_never_compared() -> None:
    text = "The option number {} sets the limit of the buffer that the server keeps for all who ask for a page"
    signatures = [signature(text.format(number)) for number in range(50)]

    def compared(ids: Sequence[int]) -> Mapping[int, str]:
        raise AssertionError(f"chunks {ids} were compared")

    assert group(range(50), np.stack([one for one in signatures if one is not None]), compared) == []
