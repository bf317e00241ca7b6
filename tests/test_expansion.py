"""Query expansion: what each method adds, and that a search asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragkit import Engine, config
from ragkit.choices import ExpansionMethod
from ragkit.config import Settings
from ragkit.errors import ModelUnsuitable
from ragkit.expansion import FEEDBACK_TERMS, MOST_PARTS, acronyms, feedback, merged, parts, written
from ragkit.index.acronyms import Acronyms, build, extend, long_form, mine
from ragkit.render import search_json, search_text
from ragkit.testing import HashEmbedder, ScriptedGenerator

# ---------------------------------------------------------------- acronyms


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("The horizontal pod autoscaler (HPA) scales.", [("HPA", "horizontal pod autoscaler")]),
        ("Uses role-based access control (RBAC).", [("RBAC", "role-based access control")]),
        ("Several **container network interfaces** (CNIs) exist.", [("CNI", "container network interfaces")]),
        ("Send a CSR (certificate signing request) first.", [("CSR", "certificate signing request")]),
        ("The National Football League ( NFL ) season", [("NFL", "national football league")]),
        ("Run it again (see below), or stop (SIGTERM).", []),
        ("It is deprecated (v1.25) and gone (REMOVED).", []),
        ("A file (PDF) of pages", []),
        ("The Secure Sockets Layer (SSL) is old.", [("SSL", "secure sockets layer")]),
        ("Denial of service (DoS) attacks", [("DoS", "denial of service")]),
        ("The Multi-Processing Module (MPM)", [("MPM", "multi-processing module")]),
        ("The hypertext transfer protocol (HTTP)", [("HTTP", "hypertext transfer protocol")]),
        ("XML (eXtensible Markup Language) and XSL", [("XML", "extensible markup language")]),
        ("The file is read-only (RO).", [("RO", "read-only")]),
        ("It is used for clone and fetch (URL).", []),
        ("See the caveats section below (SVN).", []),
        ("It is the ASCII code for b (AB).", []),
        ("``dts` suitable for devicetree (DTS)", []),
        ("as obtained from the AuthorityInfoAccess (AIA)", []),
        ("Nothing in brackets", []),
        (f"Signature: {'_' * 60} Date: {'_' * 30} (MM/DD/YYYY)", []),
    ],
)
def test_an_acronym_is_found_where_it_is_introduced(text: str, pairs: list[tuple[str, str]]) -> None:
    assert list(mine(text)) == pairs


@given(st.text("abcdXY -", max_size=8), st.text("abcdxy -", max_size=40))
def test_every_letter_of_a_short_form_is_in_its_long_one(short: str, text: str) -> None:
    long = long_form(short, text)
    assert text.endswith(long)
    letters = iter(long.casefold())
    assert not long or all(letter in letters for letter in short.casefold() if letter.isalnum())


def test_acronyms_are_counted_by_chunk_and_go_on_from_an_earlier_count(tmp_path: Path) -> None:
    old, new = "The access control list (ACL) is an access control list (ACL).", "A virtual machine (VM) runs."
    build(tmp_path / "a.tsv", [old, old, new])
    extend(tmp_path / "a.tsv", tmp_path / "b.tsv", [old], [new])
    build(tmp_path / "c.tsv", [old, new, new])
    assert (tmp_path / "b.tsv").read_text() == (tmp_path / "c.tsv").read_text()
    assert [(one.short, one.chunks) for one in Acronyms(tmp_path / "b.tsv").all] == [("VM", 2), ("ACL", 1)]


def test_a_plural_is_listed_with_its_singular(tmp_path: Path) -> None:
    build(tmp_path / "a.tsv", ["An access list (AL)", *["The access lists (ALs)", "The last access (LA)"] * 2])
    found = [(one.short, one.long, one.chunks) for one in Acronyms(tmp_path / "a.tsv").all]
    assert found == [("AL", "access list", 3), ("LA", "last access", 2)]


def test_a_query_is_told_the_other_form(tmp_path: Path) -> None:
    build(tmp_path / "a.tsv", ["The horizontal pod autoscaler (HPA).", "The World Health Organization (WHO)."])
    known = Acronyms(tmp_path / "a.tsv")
    assert known.meant("What does the HPA do?", "english") == (("HPA", "horizontal pod autoscaler"),)
    assert known.meant("tune hpa", "english") == (("hpa", "horizontal pod autoscaler"),)
    assert known.meant("Horizontal Pod Autoscaler limits", "english") == (("horizontal pod autoscaler", "HPA"),)
    assert known.meant("who restarts it", "english") == ()
    assert Acronyms(tmp_path / "missing.tsv").meant("HPA", "english") == ()
    assert "autoscal" in acronyms(known.meant("HPA", "english"), "english").terms


# ---------------------------------------------------------------- feedback and parts


def test_feedback_adds_what_the_first_passages_speak_of() -> None:
    found = feedback(["backup"], [(2.0, "backup vault vault"), (1.0, "backup disk")], "english")
    assert found.added[0] == "vault"
    assert found.terms.count("vault") >= found.terms.count("disk")


@given(
    st.lists(st.sampled_from("abcdefghij"), max_size=6),
    st.lists(st.tuples(st.floats(0, 9), st.text("abcdefg hij", max_size=60)), max_size=5),
)
def test_feedback_never_outweighs_the_query(terms: list[str], passages: list[tuple[float, str]]) -> None:
    found = feedback(terms, passages, "none")
    assert len(set(found.terms)) <= FEEDBACK_TERMS
    assert len(found.terms) <= len(terms) * found.own + FEEDBACK_TERMS


@pytest.mark.parametrize(
    ("question", "count"),
    [
        ("How do I restore a backup?", 0),
        ("How are pods created and deleted?", 0),
        ("How do I restore a backup and where are backups kept?", 2),
        ("Which port does the server use? How do I change the port?", 2),
        ("what is a node taint, how do I remove one from a node; which pods tolerate taints", 3),
        ("Is it big, or is it small?", 0),
        ("what is the MPM and how do I raise MaxRequestWorkers", 2),
        ("what is SNI and what is OCSP stapling", 2),
        ("How do I enable SSL and also compress responses?", 2),
        ("1. how to log requests 2. how to rotate logs", 2),
        ("Two things: 1) how to log requests\n2) what is SNI", 2),
        ("how are pods created and how are they deleted", 0),
        ("Is it fast and also safe?", 0),
        ("what is a worker and what is a node", 0),
    ],
)
def test_a_question_is_taken_apart_where_another_one_begins(question: str, count: int) -> None:
    found = parts(question, "english").parts
    assert len(found) == count <= MOST_PARTS
    assert all(part in question for part in found)


def test_a_part_of_one_term_asks_something_where_the_term_is_rare() -> None:
    question = "what is a worker and what is a node"
    assert parts(question, "english", lambda term: True).parts == ("what is a worker", "what is a node")
    assert parts(question, "english", lambda term: term == "node").parts == ()


@given(st.lists(st.dictionaries(st.integers(0, 9), st.floats(0, 1)), min_size=1, max_size=4))
def test_merged_rankings_hold_every_passage_once_at_its_best(rankings: list[dict[int, float]]) -> None:
    best = merged(*rankings)
    assert list(best.values()) == sorted(best.values(), reverse=True)
    assert set(best) == {id for one in rankings for id in one}
    assert all(best[id] >= score for id, score in rankings[0].items())
    assert all(0.0 <= score <= 1.0 for score in best.values())


# ---------------------------------------------------------------- the language model


def test_what_a_model_wrote_is_kept_and_not_asked_for_again(tmp_path: Path) -> None:
    generator = ScriptedGenerator('1. How is a copy put back?\n- "Restoring copies"\n\nHow do I restore?')

    def ask(question: str) -> tuple[str, ...]:
        return written(
            "paraphrases", question, lambda: generator, name="scripted", folder=tmp_path, language="english"
        ).queries

    first = ask("How do I restore?")
    assert first == ask("How do I  restore?") == ("How is a copy put back?", "Restoring copies")
    assert len(generator.prompts) == 1
    for kept in tmp_path.iterdir():
        kept.write_text("damaged")
    assert ask("How do I restore?") == first


@pytest.fixture
def engine(settings: Settings, docs: Path) -> Iterator[Engine]:
    (docs / "acl.md").write_text("# Access\n\nAn access control list (ACL) names who may read.\n")
    (docs / "rights.md").write_text("# Rights\n\nThe access control list is checked at every read.\n")
    plain = config.replace(settings, {"rerank.model": "none"})
    with Engine(plain, embedder=HashEmbedder(256), generator=ScriptedGenerator("Set listen_port.")) as engine:
        engine.ingest([docs], corpus="docs")
        yield engine


@pytest.mark.parametrize("method", ["feedback", "acronyms", "paraphrases", "hyde", "parts"])
def test_every_method_finds_passages_and_says_what_it_added(engine: Engine, method: ExpansionMethod) -> None:
    result = engine.search("How do I change the port, and where is the ACL checked?", expansion=method, explain=True)
    assert result.hits
    assert result.expansion is not None
    assert result.expansion.added
    assert "expansion" in result.timings
    assert f"expansion {method}: " in search_text(result, explain=True)
    assert search_json(result)["expansion"] == {"method": method, "added": list(result.expansion.added)}


def test_an_acronym_finds_passages_that_only_spell_it_out(engine: Engine) -> None:
    plain = engine.search("ACL", mode="lexical")
    found = engine.search("ACL", mode="lexical", expansion="acronyms")
    assert [hit.passage.path for hit in plain.hits] == ["acl.md"]
    assert {hit.passage.path for hit in found.hits} >= {"acl.md", "rights.md"}


def test_each_part_of_a_question_finds_its_passage(engine: Engine) -> None:
    question = "Where do I set the listen_port, and how long are backups kept in retention?"
    best = engine.search(question, expansion="parts", limit=2)
    assert {hit.passage.path for hit in best.hits} == {"guide/ports.md", "backup.md"}


def test_without_expansion_nothing_is_added(engine: Engine) -> None:
    result = engine.search("How do I change the port?")
    assert result.expansion is None
    assert "expansion" not in result.timings
    assert search_json(result)["expansion"] is None


def test_a_method_that_needs_a_language_model_says_so_without_one(settings: Settings, docs: Path) -> None:
    with Engine(config.replace(settings, {"generate.backend": "extractive"}), embedder=HashEmbedder()) as engine:
        engine.ingest([docs], corpus="docs")
        with pytest.raises(ModelUnsuitable, match="has no language model to expand a query with"):
            engine.search("ports", expansion="hyde")


def test_acronyms_of_a_corpus_are_listed(engine: Engine) -> None:
    assert [(one.short, one.long) for one in engine.acronyms("docs")] == [("ACL", "access control list")]
