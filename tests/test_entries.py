"""A query that is a name finds the section of that name, whatever mentions the name more often."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragkit.domain import Chunk, Hit, Passage, StageScore
from ragkit.entries import EXACT, LIKE, forward, likeness, name_in, raised

BODY = "Attaches an option to the command and passes its value."


def passage(heading: str, text: str = BODY) -> Passage:
    return Passage(1, 1, 0, "api.md", "", Chunk(0, len(text), text, heading=("API", heading)))


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("click.option", "click.option"),
        ("`url_for()`", "url_for"),
        ("std::vector::push_back(const T& value)", "std::vector::push_back"),
        ("--dry-run", "dry-run"),
        ("Installation", "Installation"),
        ("how to install", ""),
        ("3.11", ""),
        ("", ""),
        ("???", ""),
    ],
)
def test_a_name_is_told_from_a_question(query: str, name: str) -> None:
    assert name_in(query) == name


@pytest.mark.parametrize(
    ("name", "line", "like"),
    [
        ("unseal", "    def unseal(self, key):", LIKE),
        ("Vault.unseal", "    async def unseal(self, key):", LIKE),
        ("Other.unseal", "    def unseal(self, key):", 0.0),
        ("PutAll", "func (s *Store) PutAll(all []Pair) error {", LIKE),
        ("unseal", ".. method:: Vault.unseal(key)", LIKE),
        ("unseal", "    def unseal_all(self):", 0.0),
        ("unseal", "    self.unseal(key)  # before def", 0.0),
    ],
)
def test_a_passage_that_declares_the_name_among_others_is_its_entry(name: str, line: str, like: float) -> None:
    assert likeness(name, passage("Vault", f"class Vault:\n{line}\n        Opens what was sealed.\n")) == like


@pytest.mark.parametrize(
    ("name", "heading", "like"),
    [
        ("click.option", "click.option(*param_decls, cls=None)", EXACT),
        ("click.option", "click.Option", LIKE),
        ("url_for", "flask.url_for", LIKE),
        ("flask.url_for", "`url_for`", LIKE),
        ("push_back", "std::vector::push_back", LIKE),
        ("level", "--level <n>", EXACT),
        ("file", "-f, --file=PATH", EXACT),
        ("option", "Options", 0.0),
        ("option", "The option", 0.0),
        ("for", "flask.url_for", 0.0),
    ],
)
def test_an_entry_has_the_name_with_or_without_what_it_belongs_to(name: str, heading: str, like: float) -> None:
    assert likeness(name, passage(heading)) == like


def test_a_line_that_only_announces_the_entry_is_none() -> None:
    assert likeness("url_for", passage("url_for", ".. autofunction:: url_for")) == 0.0
    assert likeness("url_for", Passage(1, 1, 0, "a.md", "", Chunk(0, len(BODY), BODY))) == 0.0


@given(st.lists(st.tuples(st.sampled_from(["a.b", "b", "A.b", "x"]), st.floats(0, 1)), max_size=8))
def test_no_hit_is_lost_scores_never_fall_and_stay_in_order(given: list[tuple[str, float]]) -> None:
    scored = sorted(given, key=lambda pair: -pair[1])
    hits = [Hit(passage(heading), score, (StageScore("fused", 1, score),)) for heading, score in scored]
    assert sorted(hit.score for hit in forward("a.b", hits)) == sorted(score for _, score in scored)
    found = raised("a.b", forward("a.b", hits))
    assert len(found) == len(hits)
    scores = [hit.score for hit in found]
    assert scores == sorted(scores, reverse=True)
    assert all(0.0 <= score <= 1.0 for score in scores)
    for hit in found:
        own = any(stage.stage == "name" for stage in hit.stages)
        assert own == (likeness("a.b", hit.passage) > 0)
        assert hit.score >= hit.stages[0].score
