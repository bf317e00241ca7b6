"""What stands around a hit is its neighbours or its section, cut from the document's own text."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ragkit.domain import Chunk, Hit, Passage
from ragkit.expand import SECTION_PASSAGES, belonging, join, widen

HEADINGS = [("Guide",), ("Guide", "Install"), ("Guide", "Install"), ("Guide", "Install", "Linux"), ("Guide", "Use")]


def document(headings: Sequence[tuple[str, ...]]) -> list[Passage]:
    lines = [f"passage {at}\n" for at in range(len(headings))]
    starts = [sum(len(line) for line in lines[:at]) for at in range(len(lines))]
    return [
        Passage(
            100 + at,
            1,
            at,
            "guide.md",
            "Guide",
            Chunk(start, start + len(line) - 1, line.strip(), heading, start_line=at + 1, end_line=at + 1),
        )
        for at, (start, line, heading) in enumerate(zip(starts, lines, headings, strict=True))
    ]


def around(passages: Sequence[Passage]):
    def within(id: int, before: int, after: int) -> list[Passage]:
        return [one for one in passages if id - before <= one.id <= id + after]

    return within


def ids(found: Sequence[Passage]) -> list[int]:
    return [one.id - 100 for one in found]


@pytest.mark.parametrize(
    ("how", "at", "expected"),
    [
        ("neighbours", 2, [1, 2, 3]),
        ("neighbours", 0, [0, 1]),
        ("section", 1, [1, 2, 3]),
        ("section", 2, [1, 2, 3]),
        ("section", 3, [3]),
        ("section", 4, [4]),
        ("section", 0, [0, 1, 2, 3, 4]),
    ],
)
def test_neighbours_are_the_next_ones_and_a_section_holds_its_subsections(how, at, expected) -> None:
    passages = document(HEADINGS)
    assert ids(belonging(passages[at], how, around(passages))) == expected


def test_without_headings_the_neighbours_stand_in_for_the_section() -> None:
    passages = document([()] * 6)
    assert ids(belonging(passages[3], "section", around(passages))) == [2, 3, 4]


def test_a_long_section_is_cut_around_the_hit() -> None:
    passages = document([("All",)] * 60)
    assert len(belonging(passages[30], "section", around(passages))) == 2 * SECTION_PASSAGES + 1


def test_a_widened_hit_has_the_text_and_the_lines_of_all_that_belongs_to_it() -> None:
    passages = document(HEADINGS)
    text = "".join(f"passage {at}\n" for at in range(len(HEADINGS)))
    hit = Hit(passages[2], 0.5)
    (wide,) = widen([hit], "neighbours", around(passages), lambda _: text)
    assert wide.expanded is not None
    assert wide.expanded.text == "passage 1\npassage 2\npassage 3"
    assert (wide.expanded.start_line, wide.expanded.end_line) == (2, 4)
    assert (wide.passage, wide.score) == (hit.passage, hit.score)
    assert widen([hit], "none", around(passages), lambda _: text) == (hit,)


def test_joined_passages_follow_their_hit_with_its_score_and_none_comes_twice() -> None:
    passages = document(HEADINGS)
    joined = join([Hit(passages[2], 0.9), Hit(passages[3], 0.5)], "neighbours", around(passages))
    assert ids([hit.passage for hit in joined]) == [2, 1, 3, 4]
    assert [hit.score for hit in joined] == [0.9, 0.9, 0.9, 0.5]
    assert join([Hit(passages[2], 0.9)], "none", around(passages)) == (Hit(passages[2], 0.9),)
