"""The pairs that the grounding model is trained on: made by rule, labelled rightly, the same for the same seed."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.grounding import data, rules

PARAGRAPH = [
    "In 1998, the Karlsruhe office opened with 12 engineers.",
    "The server must listen on port 8080 unless --insecure-port is given.",
    "Maria Keller, the first director of the office, retired in 2011.",
    "Requests are always logged before they are answered (see the manual).",
    "The cache, which is optional, keeps at most 500 entries.",
    "In 2004 the company was bought by Nordwind Systems for 30 million euros.",
]


@pytest.mark.parametrize("seed", range(40))
def test_a_corrupted_sentence_says_something_else_and_a_rewritten_one_adds_no_number(seed: int) -> None:
    rng = random.Random(seed)
    around = rules.surroundings(" ".join(PARAGRAPH), PARAGRAPH[4:])
    for sentence in PARAGRAPH:
        changed = rules.corrupt(sentence, around, rng)
        assert changed is not None
        assert changed.lower() != sentence.lower()
        rewritten = rules.rewrite(sentence, around, rng)
        assert {word for word in rewritten.split() if word[0].isdigit()} <= set(sentence.split()) | {
            word + "." for word in sentence.replace(",", "").split()
        } | {word.rstrip(".,") for word in sentence.split()}


def test_every_rule_does_what_it_is_named_for() -> None:
    rng = random.Random(1)
    around = rules.surroundings(" ".join(PARAGRAPH), PARAGRAPH[4:])
    assert rules._moved_front(PARAGRAPH[0], around, rng) == "The Karlsruhe office opened with 12 engineers in 1998."
    assert rules._unconditional(PARAGRAPH[1], around, rng) == "The server must listen on port 8080."
    assert rules._negated(PARAGRAPH[1], around, rng) == PARAGRAPH[1].replace("must", "must not")
    assert rules._apposition(PARAGRAPH[2], around, rng) == "Maria Keller is the first director of the office."
    assert rules._without_parenthesis(PARAGRAPH[3], around, rng) == PARAGRAPH[3].replace(" (see the manual)", "")
    assert rules._without_clause(PARAGRAPH[4], around, rng) == "The cache keeps at most 500 entries."
    option = rules._option("Use --insecure-port only for tests.", around, rng)
    assert option is not None and "--insecure-port " not in option


def test_a_rule_that_does_not_apply_says_so() -> None:
    plain = "Nothing here has digits or names."
    nothing = rules.Surroundings()
    assert rules._number(plain, nothing, random.Random(1)) is None
    assert rules._name(plain, nothing, random.Random(1)) is None
    assert rules.corrupt("Well then", nothing, random.Random(1)) is None


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10_000))
def test_pairs_of_a_text_are_labelled_both_ways_and_reproducible(seed: int) -> None:
    texts = [("wiki", PARAGRAPH)] * 3
    pairs = list(data.by_rule(texts, random.Random(seed)))
    assert pairs == list(data.by_rule(texts, random.Random(seed)))
    for pair in pairs:
        assert pair.label in (0, 1)
        assert pair.claim not in pair.evidence.split("\n") or pair.label == 1
        assert len(pair.evidence.split("\n")) <= data.SENTENCES


def test_evidence_is_the_sentences_that_share_most_with_the_claim() -> None:
    assert data.choose("Nordwind Systems bought the company in 2004.", PARAGRAPH)[-1] == 5
    assert data.choose("Zebras graze.", PARAGRAPH) == []


def test_datasets_without_a_licence_for_it_are_not_trained_on(tmp_path: Path) -> None:
    rows = [
        {"dataset": name, "premise": f"{name} holds {n} dogs.", "hypothesis": "Dogs.", "label": label}
        for name in ("mnli_dev", "sick_train", "rte_dev", "healthver")
        for n, label in enumerate(("entailment", "neutral", "contradiction", "entailment"))
    ]
    file = tmp_path / "nli.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    pairs = data.entailment(file, data.TRAINED_ON, random.Random(1))
    assert {pair.kind for pair in pairs} == {"mnli_dev"}
    assert sorted(pair.label for pair in pairs) == [0, 0, 1, 1]
    assert "sick_train" not in data.HELD_OUT and "sick_train" not in data.TRAINED_ON
