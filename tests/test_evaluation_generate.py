"""Questions made of documents read like a person's, are found again, and say where their answer stands."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragkit import Engine, config
from ragkit.config import Settings
from ragkit.domain.answers import Message
from ragkit.errors import DatasetError, UsageError
from ragkit.evaluation.datasets import holds_quote
from ragkit.evaluation.generate import SHARES, WEIGHTS, Generated, generate
from ragkit.evaluation.passages import Fact, Pattern, View, plain
from ragkit.evaluation.patterns import facts
from ragkit.evaluation.phrasing import Asked, instruction, keywords, mistyped, reworded
from ragkit.evaluation.questions import KINDS, unlike
from ragkit.evaluation.variants import joined, unanswered
from ragkit.evaluation.written import unfit
from ragkit.testing import HashEmbedder, ScriptedGenerator

PAGES = {
    "backup.md": """# Backups

A snapshot is a copy of the whole vault at one moment. A mirror snapshot is a copy that another site keeps up to date.

## Restoring a backup

To restore a backup, run `vault restore --from FILE`. Before you restore a backup, stop the ledger service.

## Retention

If the archive disk is full, the oldest backup is deleted first. The retention period defaults to 30 days.
The vault is locked during a backup because two writers would damage the journal.

## Deleting a backup

To delete a backup, use `vault prune` with the name of its archive.
""",
    "ports.md": """# Ports

The following ports are opened by default:

- 8443, for the web interface
- 9090, for the metrics endpoint

| Setting | Meaning |
|---|---|
| `listen_port` | The port that the web interface listens on. |
| `metrics_port` | The port on which Prometheus finds the counters. |

If you want to change the listen port, set `listen_port` in `server.toml`.
When the `listen_port` is taken, the server logs an error and exits with code 7.
""",
    "agents.md": """# Agents

The **harvest agent** is a process that collects log files and sends them to the vault.

- `--batch-size`: How many log lines the agent sends at once.
- `--spool-dir`: Where the agent keeps lines while the vault cannot be reached.

To register a new agent, call `vault agent add` with its host name.
When an agent loses its certificate, the vault refuses every line that it sends.
You can pause an agent by sending it the signal SIGUSR1.
""",
}


@pytest.fixture
def engine(settings: Settings, tmp_path: Path) -> Iterator[Engine]:
    folder = tmp_path / "vault"
    folder.mkdir()
    for name, text in PAGES.items():
        (folder / name).write_text(text, encoding="utf-8")
    settings = config.replace(settings, {"generate.backend": "extractive", "chunk.size_tokens": 80})
    with Engine(settings, embedder=HashEmbedder(256)) as opened:
        opened.ingest([folder], corpus="vault")
        yield opened


@pytest.fixture
def made(engine: Engine) -> Generated:
    return generate(engine, corpus="vault", count=20)


def ask(text: str, *heading: str, opens: bool = False) -> list[str]:
    return [fact.asked.text for fact in facts(View(text, heading, opens=opens))]


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("To restore a backup, run `vault restore`.", "How do I restore a backup?"),
        (
            "If you want to rotate the signing certificates, open the console.",
            "How do I rotate the signing certificates?",
        ),
        ("You can pause an agent by sending it SIGUSR1.", "How do I pause an agent?"),
        ("If a Pod cannot be scheduled, it stays pending.", "What happens if a Pod cannot be scheduled?"),
        (
            "If you use the S3 bucket for backups, enable versioning first.",
            "What should I do if I use the S3 bucket for backups?",
        ),
        (
            "The S3 journal is flushed twice because one write may be lost.",
            "Why is the S3 journal flushed twice?",
        ),
        ("A `DaemonSet` is a set of Pods, one for each node.", "What is a DaemonSet?"),
        (
            "Before you upgrade the Vault server, make a backup of it.",
            "What do I have to do before I upgrade the Vault server?",
        ),
        ("The VAULT_HOME variable defaults to /var/vault.", "What is the default value of the VAULT_HOME variable?"),
        (
            "Vault supports the following backends:\n\n- S3 buckets\n- NFS shares\n",
            "Which backends does Vault support?",
        ),
        ("- `--spool-dir`: Where the agent keeps its unsent lines.", "What is --spool-dir used for?"),
        (
            "| Flag | Meaning |\n|---|---|\n| `--dry-run` | Say what would be done. |",
            "What is the flag --dry-run for?",
        ),
    ],
)
def test_a_statement_becomes_the_question_that_it_answers(text: str, question: str) -> None:
    assert ask(text) == [question]


@pytest.mark.parametrize(
    "text",
    [
        "To do so, run the command.",
        "If it fails, try again.",
        "When this happens, see below.",
        "This is a good idea.",
        "It is a good idea, because it helps.",
        "To learn more about backups, read the guide.",
        "If you use Vault on Windows, see the page about Windows for more information.",
        "The following example is valid:",
        "The result is a list of names.",
        "Overview",
        "| Name | Age |\n|---|---|\n| Ann | 40 years and a day |",
    ],
)
def test_what_would_read_badly_gives_no_question(text: str) -> None:
    assert ask(text) == []


def test_a_heading_that_says_nothing_by_itself_gives_no_question() -> None:
    for heading in ("Overview", "Introduction", "Configuration", "Notes", "Access modes", "What's next"):
        assert ask("Configure the ports of the server first, then start it.", heading, opens=True) == []


def test_a_heading_that_tells_what_to_do_is_asked_for() -> None:
    text = "Configure the S3 bucket in `server.toml`, then restart the server."
    assert ask(text, "Configuring your S3 bucket", opens=True) == ["How do I configure my S3 bucket?"]
    assert ask(text, "Configuring your S3 bucket", opens=False) == []


def test_a_heading_that_asks_is_asked_in_other_words() -> None:
    text = "Backups are kept for 30 days and are then deleted."
    assert ask(text, "Which backups are deleted?", opens=True) == ["What backups are deleted?"]
    assert ask(text, "How do I delete old backups?", opens=True) == ["What do I have to do to delete old backups?"]


def test_a_function_is_asked_for_what_it_takes_returns_and_raises() -> None:
    text = "vault.open(path, mode)\nReturn a handle of the vault at path. Raises VaultError if the path is locked."
    found = ask(text, "vault", "vault.open", opens=True)
    assert found == [
        "Which arguments does vault.open take?",
        "What does vault.open return?",
        "When does vault.open raise a VaultError?",
    ]


def test_markup_is_not_part_of_a_question() -> None:
    text = 'To drain a {{< glossary_tooltip text="node" term_id="node" >}}, use [`kubectl drain`](/docs/drain).'
    (fact,) = facts(View(text))
    assert fact.asked.text == "How do I drain a node?"
    assert plain(text[fact.start : fact.end]) == "To drain a node, use kubectl drain."


PIECES = (
    """To |If |the Pod| is a |run|`x_y`|**|, |. |: |Return |because |you |this |{{< x >}}|[a](b)|<br>|()|?|- |## """
)
pieces = st.sampled_from([*PIECES.split("|"), "| a | b |\n", "The following ", "defaults to ", "\n", "\n\n"])


@given(st.lists(pieces, max_size=40).map("".join), st.lists(st.text(max_size=12), max_size=2))
def test_no_text_is_too_odd_to_be_read(text: str, heading: list[str]) -> None:
    for one in facts(View(text, heading, "Title", opens=True)):
        assert 0 <= one.start < one.end <= len(text)
        assert one.asked.text.endswith("?")


def test_headings_of_nouns_are_no_instructions() -> None:
    assert instruction("Access modes") == ""
    assert instruction("Use cases") == ""
    assert instruction("Configuring and testing a backup") == "configure and test a backup"


# ---------------------------------------------------------------- other wordings


@given(st.integers(0, 500))
def test_another_wording_is_another_question_and_keeps_the_object(seed: int) -> None:
    asked = Asked("how", "How do I delete the S3 bucket?", ("delete the S3 bucket",))
    found = reworded(asked, random.Random(seed))
    assert found.endswith("?")
    assert found != asked.text
    assert "the S3 bucket" in found


@given(st.integers(0, 500), st.sampled_from(["How do I configure backups?", "What is --retention of prune_vault?"]))
def test_a_typing_mistake_is_one_and_never_in_a_name(seed: int, question: str) -> None:
    found = mistyped(question, random.Random(seed))
    if found:
        assert found != question
        assert abs(len(found) - len(question)) <= 1
        assert ("--retention" in question) == ("--retention" in found)
        assert ("prune_vault" in question) == ("prune_vault" in found)


def test_keywords_keep_names_as_they_are_spelled() -> None:
    assert keywords("What happens if listen_port of the Server is taken?") == "listen_port server taken"


def fact(form: str, *parts: str, subject: str = "x") -> Fact:
    return Fact("purpose", Asked(form, "", parts), 0, 1, subject)  # type: ignore[arg-type]


def test_two_facts_are_joined_only_when_they_belong_together() -> None:
    delete = fact("how", "delete a backup", subject="delete a backup")
    restore = fact("how", "restore a backup", subject="restore a backup")
    agent = fact("how", "pause an agent", subject="pause an agent")
    assert joined(delete, restore) == "How do I delete a backup, and how do I restore a backup?"
    assert joined(delete, agent) == ""
    assert joined(delete, delete) == ""


def test_an_unanswerable_question_asks_for_what_no_text_holds() -> None:
    backup = fact("how", "delete a backup", subject="delete a backup")
    texts = ["a backup is deleted with prune.", "the archive can be renamed."]
    for seed in range(20):
        question = unanswered(backup, texts, random.Random(seed))
        verb = question.removeprefix("How do I ").split()[0]
        assert question
        assert not any("backup" in text and verb[:5] in text for text in texts if verb != "delete")


@pytest.mark.parametrize(
    ("question", "why"),
    [
        ("How long are backups kept?", ""),
        ("Backups are kept for 30 days", "not a question"),
        ("What does this sentence say about backups?", "speaks of the text"),
        ("Is it kept for long then?", "not understood by itself"),
        ("What is the capital city of France?", "about something else"),
    ],
)
def test_what_the_model_writes_is_held_to_be_a_question(question: str, why: str) -> None:
    assert unfit(question, "Backups are kept for 30 days and then deleted by the nightly job.") == why


# ---------------------------------------------------------------- sets


def test_every_answerable_question_is_found_and_its_answer_stands_in_its_quote(
    made: Generated, engine: Engine
) -> None:
    assert made.entries
    for entry in made.entries:
        question = entry.question
        assert question.text.strip()
        if not question.answerable:
            assert not question.relevant
            continue
        assert question.answer
        hits = engine.search(question.text, corpus="vault", limit=10).hits
        for gold in question.relevant:
            assert gold.quote in PAGES[gold.path]
            assert any(
                hit.passage.path == gold.path and holds_quote(gold.quote, hit.passage.chunk.text) for hit in hits
            )
        for line in question.answer.split("\n"):
            assert any(line in plain(gold.quote) or line in gold.quote for gold in question.relevant)


def test_kinds_patterns_and_difficulty_are_recorded(made: Generated) -> None:
    kinds = {entry.question.kind for entry in made.entries}
    assert {"single-passage", "paraphrased", "keyword", "unanswerable"} <= kinds <= set(KINDS)
    for entry in made.entries:
        difficulty = entry.notes["difficulty"]
        assert difficulty["level"] in ("easy", "medium", "hard")
        assert entry.notes["pattern"]
        assert entry.question.id


def test_no_question_is_asked_twice(made: Generated) -> None:
    texts = [entry.question.text for entry in made.entries]
    assert all(unlike(texts[:at], text, share=0.7) for at, text in enumerate(texts))


def test_the_same_seed_gives_the_same_questions_and_another_does_not(made: Generated, engine: Engine) -> None:
    assert generate(engine, corpus="vault", count=20).entries == made.entries
    assert generate(engine, corpus="vault", count=20, seed=2).entries != made.entries


def test_only_the_kinds_asked_for_are_made(engine: Engine) -> None:
    found = generate(engine, corpus="vault", count=4, kinds=("keyword",))
    assert {entry.question.kind for entry in found.entries} == {"keyword"}


def test_a_corpus_that_says_nothing_is_named(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "a.md").write_text("# Overview\n\nTo be done.\n", encoding="utf-8")
    with Engine(settings, embedder=HashEmbedder(64)) as engine:
        engine.ingest([tmp_path / "bare"], corpus="bare")
        with pytest.raises(DatasetError, match="no question could be made of corpus bare"):
            generate(engine, corpus="bare")


def test_the_language_model_writes_some_and_what_is_unfit_is_counted(settings: Settings, engine: Engine) -> None:
    def reply(messages: list[Message]) -> str:
        said = messages[-1].content.rpartition("Sentence: ")[2]
        return "What does the harvest agent collect?" if "harvest" in said else "Backups are nice"

    with Engine(engine.settings, embedder=HashEmbedder(256), generator=ScriptedGenerator(reply)) as opened:  # type: ignore[arg-type]
        found = generate(opened, corpus="vault", count=20, llm=True)
    assert found.dropped["written by the model, not a question"] >= 1
    assert SHARES["single-passage"] > 0


def test_without_a_language_model_it_cannot_be_asked_to_write(engine: Engine) -> None:
    with pytest.raises(UsageError, match=r"--llm needs a language model, and generate\.backend is extractive"):
        generate(engine, corpus="vault", llm=True)


def test_every_pattern_has_a_weight_and_every_kind_a_share() -> None:
    assert set(WEIGHTS) == set(get_args(Pattern))
    assert set(SHARES) == set(KINDS)
    assert sum(SHARES.values()) == pytest.approx(1.0)
