"""Claims compared with their evidence word by word: what the engine `words` of the faithfulness check does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragkit.domain import Span
from ragkit.errors import ModelUnsuitable
from ragkit.testing import HashEmbedder
from ragkit.verify import ground
from ragkit.verify.alignment import Aligner, Alignment, Words, open_aligner, word_spans

TEXT = "The cache keeps 500 entries. Pods share one network. Backups are kept for 30 days."


class WordEmbedder(HashEmbedder):
    """Gives every part of a text the vector that it has by itself."""

    def __init__(self, fingerprint: str = "all-MiniLM-L6-v2-0123456789abcdef", embeds_parts: bool = True) -> None:
        super().__init__(dimension=384)
        self._fingerprint, self.embeds_parts = fingerprint, embeds_parts

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    def embed_with_parts(self, texts: list[str], parts: list[list[Span]]) -> tuple[np.ndarray, list[np.ndarray]]:
        found = [self.embed([text[a:b] for a, b in spans]) for text, spans in zip(texts, parts, strict=True)]
        return self.embed(texts), found


def words_of(embedder: WordEmbedder, text: str) -> Words:
    return open_aligner(embedder).words([text])[text]


def test_a_claim_in_the_words_of_its_evidence_is_matched_in_full() -> None:
    embedder = WordEmbedder()
    claim, other = "Pods share one network.", "Zebras graze quietly abroad."
    evidence = [words_of(embedder, TEXT)]
    assert open_aligner(embedder).align(words_of(embedder, claim), evidence).lowest == pytest.approx(1.0)
    assert open_aligner(embedder).align(words_of(embedder, other), evidence).lowest < 0.5


@settings(deadline=None, max_examples=25)
@given(st.lists(st.sampled_from(TEXT.split()), max_size=80), st.lists(st.sampled_from(TEXT.split()), max_size=200))
def test_any_two_texts_give_two_numbers_between_0_and_1(claim: list[str], evidence: list[str]) -> None:
    embedder = WordEmbedder()
    texts = [" ".join(claim), " ".join(evidence)]
    found = open_aligner(embedder).words(texts)
    aligned = open_aligner(embedder).align(found[texts[0]], [found[texts[1]]])
    assert 0 <= aligned.lowest <= 1 and 0 < aligned.learned < 1


def test_without_words_on_either_side_nothing_is_borne_out() -> None:
    nothing = Words((), np.zeros((0, 384), dtype=np.float32))
    some = words_of(WordEmbedder(), TEXT)
    aligner = open_aligner(WordEmbedder())
    assert aligner.align(nothing, [some]) == aligner.align(some, []) == aligner.align(some, [nothing]) == Alignment()
    assert aligner.words([]) == {}


def test_words_outside_the_window_are_left_out() -> None:
    class Short(WordEmbedder):
        def embed_with_parts(self, texts: list[str], parts: list[list[Span]]) -> tuple[np.ndarray, list[np.ndarray]]:
            whole, found = super().embed_with_parts(texts, parts)
            for vectors in found:
                vectors[3:] = 0
            return whole, found

    assert words_of(Short(), TEXT).words == ("The", "cache", "keeps")


def test_another_embedder_or_one_without_states_is_refused_with_the_way_out() -> None:
    with pytest.raises(ModelUnsuitable, match="not of bge-small"):
        open_aligner(WordEmbedder("bge-small-en-v1.5-0123456789abcdef"))
    with pytest.raises(ModelUnsuitable, match="no embedder"):
        open_aligner(None)
    with pytest.raises(ModelUnsuitable, match="without the states") as caught:
        open_aligner(WordEmbedder(embeds_parts=False))
    assert "models prepare" in str(caught.value.hint)


def test_the_engine_words_says_so_and_keeps_to_what_must_be_exact() -> None:
    embedder = WordEmbedder()
    true = ground("Backups are kept for 30 days.", TEXT, min_support=0.5, embedder=embedder, by_words=True)
    false = ground("Backups are kept for 90 days.", TEXT, min_support=0.5, embedder=embedder, by_words=True)
    assert true.engine == "words" and true.support > false.support
    assert false.claims[0].missing == ("90",) and not false.supported
    fast = ground("Backups are kept for 30 days.", TEXT, min_support=0.5, embedder=embedder)
    assert fast.engine == "fast" and fast.support != true.support


def test_words_are_found_with_their_numbers_and_hyphens() -> None:
    text = "Don't set max-size to 1,024.5 in v3.11."
    assert [text[a:b] for a, b in word_spans(text)] == ["Don't", "set", "max-size", "to", "1,024.5", "in", "v3.11"]


@pytest.mark.slow
def test_the_network_of_the_product_and_that_which_is_trained_are_one() -> None:
    """In a process of its own, because the network is trained with torch."""
    script = Path(__file__).with_name("same_network.py")
    found = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert float(found.stdout) < 1e-3


def test_the_network_that_ships_is_small_and_complete() -> None:
    aligner = open_aligner(WordEmbedder())
    assert isinstance(aligner, Aligner)
    from ragkit.verify.alignment import NETWORK

    assert NETWORK.stat().st_size < 400_000
    with np.load(NETWORK, allow_pickle=False) as file:
        assert {"embedder", "down", "beta", "gamma", "claim1", "evidence2_bias", "out2"} <= set(file.files)
