"""An explanation names the terms, finds the sentence whose loss costs most, and says why others came after."""

from __future__ import annotations

import pytest

from ragkit.domain import Chunk, Hit, Passage, StageScore
from ragkit.explain import explain, near_misses, weights
from ragkit.testing import HashEmbedder
from ragkit.text import analyse

TEXT = "# Vault\n\nBackups run every night. To restore a backup, run `vault restore`. Logs are kept for a week."
HOLDERS = {"restor": 2, "backup": 40, "quokka": 0}


def hit(text: str = TEXT, query: str = "restore a backup quokka", **stages: float | None) -> Hit:
    chunk = Chunk(0, len(text), text, context="Vault > Guide")
    terms = tuple(term for term in analyse(query) if term in analyse(text))
    scores = tuple(StageScore(stage, None if score is None else 1, score) for stage, score in stages.items())
    return Hit(Passage(1, 1, 0, "a.md", "A", chunk), 0.5, scores, terms)


def idf() -> dict[str, float]:
    return weights(["restor", "backup", "quokka"], lambda term: HOLDERS[term], 100)


def test_a_rarer_term_weighs_more_and_one_that_nobody_has_most() -> None:
    found = idf()
    assert found["quokka"] > found["restor"] > found["backup"] > 0
    assert weights(["x"], lambda term: 500, 100)["x"] > 0  # chunks that were removed may still be counted


def test_terms_that_a_hit_has_and_lacks_come_with_their_weights() -> None:
    (found,) = explain("restore a backup quokka", [hit()], idf(), None, "english")
    assert found.explanation is not None
    assert set(found.explanation.matched) == {"restor", "backup"}
    assert set(found.explanation.missing) == {"quokka"}


@pytest.mark.parametrize("embedder", [None, HashEmbedder(512)])
def test_the_sentence_that_carries_a_hit_is_the_one_whose_loss_costs_most(embedder: HashEmbedder | None) -> None:
    (found,) = explain("restore a backup", [hit()], idf(), embedder, "english")
    carrier = found.explanation.carrier  # type: ignore[union-attr]
    assert carrier is not None
    assert carrier.text == "To restore a backup, run `vault restore`."
    assert carrier.terms == ("restor",)  # backups stand elsewhere, too
    if embedder is None:
        assert (carrier.cosine, carrier.passage_cosine, carrier.cosine_without) == (None, None, None)
    else:
        assert carrier.cosine > carrier.passage_cosine > carrier.cosine_without  # type: ignore[operator]


@pytest.mark.parametrize("text", ["# Only a heading", "Nothing in common here."])
def test_a_passage_without_a_fitting_sentence_has_no_carrier(text: str) -> None:
    (found,) = explain("restore a backup", [hit(text)], idf(), None, "english")
    assert found.explanation is not None
    assert found.explanation.carrier is None


def test_a_passage_of_one_sentence_is_left_with_its_headings() -> None:
    (found,) = explain("restore a backup", [hit("Restore a backup.")], idf(), HashEmbedder(512), "english")
    carrier = found.explanation.carrier  # type: ignore[union-attr]
    assert carrier is not None
    assert carrier.cosine_without is not None
    assert carrier.cosine_without < 0.5


def test_a_sentence_that_only_says_the_heading_again_carries_nothing() -> None:
    text = "Restore a backup\n\nRun the command with the name of the backup. It takes an hour."
    chunk = Chunk(0, len(text), text, heading=("Restore a backup",), context="Vault > Restore a backup")
    found = explain(
        "restore a backup", [Hit(Passage(1, 1, 0, "a.md", "A", chunk), 0.5, (), ("backup",))], idf(), None, "english"
    )
    assert found[0].explanation.carrier.text.startswith("Run the command")  # type: ignore[union-attr]


def test_a_passage_that_is_as_near_without_any_sentence_has_no_carrier() -> None:
    text = "backup disk. backup disk."
    chunk = Chunk(0, len(text), text, context="backup")
    passage = Hit(Passage(1, 1, 0, "a.md", "A", chunk), 0.5, (), ("backup",))
    (found,) = explain("backup", [passage], idf(), HashEmbedder(512), "english")
    assert found.explanation is not None
    assert found.explanation.carrier is None


def test_a_near_miss_says_what_it_has_less_of_than_the_last_hit() -> None:
    last = hit(dense=0.5, lexical=4.0)
    misses = near_misses(
        [
            hit("About backup.", dense=0.4, lexical=4.0),
            hit(dense=0.6, lexical=None),
            hit(dense=0.5, lexical=4.0),
        ],
        last,
        "how to restore a backup",
    )
    assert [miss.why for miss in misses] == [
        "dense 0.400 against 0.500; lacks restore",
        "lexical did not find it",
        "as good as the last hit in every stage",
    ]
