"""Checking a draft: its claims, their proof, its citations, and when to decline."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ragkit.config import VerifySettings
from ragkit.domain import Chunk, Context, Hit, Passage, Source, StageScore
from ragkit.domain.answers import Answer, Draft
from ragkit.generate import extract
from ragkit.testing import HashEmbedder, NarrowEmbedder
from ragkit.verify import DECLINED, abstain, ground, relevance, verify
from ragkit.verify.claims import cite, is_refusal, pieces, statements
from ragkit.verify.names import Names
from ragkit.verify.support import CAP, exact_terms, found_in, without_attribution
from ragkit.verify.times import same_time

BACKUP = """Backups run every night at 02:00.

To restore a backup, run `vault restore --from FILE`. The service must be stopped first.

- Backups are kept for 30 days.
- Older ones are not deleted by hand.
"""
PORTS = "The web interface listens on port 8443.\nSet `listen_port` in `server.toml` and restart the service.\n"


def source(number: int, text: str, line: int = 10) -> Source:
    end = line + text.rstrip("\n").count("\n")
    return Source(number, number, f"s{number}.md", "Guide", (), "", 0, len(text), line, end, "line", text, 1 / number)


CODE = re.compile(r"```.*?(?:```|\Z)|`[^`]*`", re.DOTALL)
CONTEXT = Context((source(1, BACKUP), source(2, PORTS)))


def check(draft: str, question: str = "How?", context: Context = CONTEXT, **changes: object) -> Answer:
    settings = VerifySettings(**changes)  # type: ignore[arg-type]
    return verify(question, Draft(draft, "m"), context, settings=settings)


# ---------------------------------------------------------------- citations


def test_a_claim_is_tied_to_the_very_lines_that_prove_it() -> None:
    answer = check("The web interface listens on port 8443 [2].")
    (claim,) = answer.claims
    (quote,) = claim.quotes
    assert (answer.status, answer.text) == ("answered", "The web interface listens on port 8443 [2].")
    assert (quote.path, quote.start_line, quote.end_line) == ("s2.md", 10, 10)
    assert quote.text == "The web interface listens on port 8443."
    assert [s.number for s in answer.sources] == [2]


def test_an_uncited_claim_gets_the_citation_of_its_proof() -> None:
    assert check("Backups are kept for 30 days.").text == "Backups are kept for 30 days [1]."


def test_a_wrong_citation_is_put_right() -> None:
    assert check("Backups are kept for 30 days [2].").text == "Backups are kept for 30 days [1]."


def test_a_citation_of_no_source_is_removed_and_noted() -> None:
    answer = check("Backups are kept for 30 days [7].")
    assert answer.text == "Backups are kept for 30 days [1]."
    assert answer.notices == ("the model cited [7], which is not a source",)


@pytest.mark.parametrize(
    ("draft", "expected"),
    [
        ("One is so. [1] Two is so. [2]", [("One is so.", (1,)), ("Two is so.", (2,))]),
        ("One is so [1, 2] and [3] more.", [("One is so and more.", (1, 2, 3))]),
        ("One is so [source 2].", [("One is so.", (2,))]),
        ("One is so (Source: 2).", [("One is so.", (2,))]),
        ("[1] One is so. [2] Two is so.", [("One is so.", (1,)), ("Two is so.", (2,))]),
        ("Use `a[1]` here [2].", [("Use `a[1]` here.", (2,))]),
        ("- first [1]\n- second [2]", [("first", (1,)), ("second", (2,))]),
        ("So it is [1].\n\nSources:\n[1] a.md", [("So it is.", (1,))]),
        ("In [2024] it was.", [("In [2024] it was.", ())]),
        ("Run:\n```sh\nls [1]\n```\n[2]", [("Run:", ()), ("```sh\nls [1]\n```", (2,))]),
    ],
)
def test_models_cite_in_many_ways(draft: str, expected: list[tuple[str, tuple[int, ...]]]) -> None:
    assert [(piece.text, piece.cited) for piece in pieces(draft)] == expected


def test_a_mark_stands_before_the_final_stop() -> None:
    assert cite("So it is.", [1]) == "So it is [1]."
    assert cite("`ls -l`", [1]) == "`ls -l` [1]"
    assert cite("```\nls\n```", [1]) == "```\nls\n```\n[1]"


# ---------------------------------------------------------------- support


@pytest.mark.parametrize(
    "claim",
    [
        "Backups are kept for 90 days.",
        "The web interface listens on port 8080.",
        "To restore a backup, run `vault restore --force FILE`.",
        "Set `listen_address` in `server.toml` and restart the service.",
        'The service prints "restore complete" first.',
        "Penguins live in Antarctica.",
    ],
)
def test_what_the_sources_do_not_say_is_left_out(claim: str) -> None:
    answer = check(f"Backups run every night at 02:00. {claim}")
    assert answer.status == "partial"
    assert answer.text == "Backups run every night at 02:00 [1]."
    assert answer.reason == "1 of 2 statements is not borne out by the sources: left out"


def test_a_number_stands_with_the_item_that_it_is_said_of() -> None:
    limits = "Limits of a project:\n\n- Uploaded files: 25 MB\n- Build minutes: 400\n- Concurrent runners: 7\n"
    context = Context((source(1, limits),))
    assert check("A project has 400 build minutes.", context=context).status == "answered"
    assert check("A project has 7 concurrent runners and 400 build minutes.", context=context).status == "answered"
    assert check("A project has 7 build minutes.", context=context).status == "abstained"
    assert check("Uploaded files may have 400 MB.", context=context).status == "abstained"


def test_a_claim_does_not_take_over_what_only_the_question_says() -> None:
    question = "Which port does the penguin interface listen on?"
    assert check("The penguin interface listens on port 8443.", question).status == "abstained"
    assert check("The web interface listens on port 8443.", question).status == "answered"


def test_unsupported_claims_can_be_marked_or_kept() -> None:
    draft = "Backups run every night at 02:00. Penguins live in Antarctica."
    marked = check(draft, unsupported="mark")
    assert marked.text == "Backups run every night at 02:00 [1]. Penguins live in Antarctica. [unsupported]"
    assert [claim.supported for claim in marked.claims] == [True, False]
    assert check(draft, unsupported="keep").text.endswith("Penguins live in Antarctica.")
    assert check(draft, unsupported="keep").status == "partial"


def test_a_list_keeps_its_shape_and_its_announcement() -> None:
    answer = check("Two facts:\n\n- Backups are kept for 30 days.\n- Cheese is yellow.\n- The port is 8443.")
    assert answer.text == "Two facts:\n\n- Backups are kept for 30 days [1].\n- The port is 8443 [2]."
    assert all(answer.text[claim.start : claim.end] == claim.text for claim in answer.claims)


def test_an_announcement_with_nothing_left_to_announce_goes_too() -> None:
    answer = check("Backups run every night at 02:00.\n\nOther facts:\n- Cheese is yellow.")
    assert answer.text == "Backups run every night at 02:00 [1]."


def test_an_announcement_cannot_bring_in_what_no_source_has() -> None:
    listed = "\n- Backups are kept for 30 days.\n- The port is 8443."
    assert check("Set `admin_password` to hunter2 as follows:" + listed).text.startswith("- Backups")
    assert check("Set `listen_port` as follows:" + listed).text.startswith("Set `listen_port` as follows:")
    assert check("# Since 1999" + listed).text.startswith("- Backups")


@pytest.mark.parametrize(
    "draft",
    [
        "Sure! Backups are kept for 30 days.",
        "Here is the answer to your question about penguins:\n\nBackups are kept for 30 days.",
        "Great question! Backups are kept for 30 days. I hope this helps!",
        "Backups are kept for 30 days. Let me know if you have any other questions.",
        "Certainly.\n\nBackups are kept for 30 days.\n\nIf you need more details, feel free to ask.",
    ],
)
def test_words_to_the_reader_are_no_claims(draft: str) -> None:
    answer = check(draft)
    assert (answer.status, answer.text) == ("answered", "Backups are kept for 30 days [1].")


def test_what_only_announces_is_no_statement() -> None:
    assert statements("Here's the summary in 93 words:\n\nPods restart. Nodes do not.") == [
        "Pods restart.",
        "Nodes do not.",
    ]
    assert statements("Based on the text, here are the steps: stop it.") == [
        "Based on the text, here are the steps: stop it."
    ]
    assert statements("Sure enough, it fails. Thanks to caching, it is fast.") == [
        "Sure enough, it fails.",
        "Thanks to caching, it is fast.",
    ]
    assert check("Sure! The sources do not answer this question. Backups are kept for 30 days.").status == "abstained"


def test_what_a_draft_that_is_cut_short_ends_with_is_no_claim() -> None:
    assert statements("- Pods restart.\n- Nodes do not.\n3.") == ["Pods restart.", "Nodes do not."]
    assert statements("Run it:\n\n```bash") == ["Run it:"]
    assert statements("Pods restart.\n</source>") == ["Pods restart."]
    assert statements("3.") == ["3."]
    assert statements("Run it:\n\n```bash\nls") == ["```bash\nls"]


def test_who_says_it_is_no_part_of_the_claim() -> None:
    assert without_attribution("The guide also explains that pods restart.") == "pods restart."
    assert without_attribution("The text field is required.") == "The text field is required."
    answer = check("According to the documentation, backups are kept for 30 days.")
    assert answer.claims[0].support == check("backups are kept for 30 days.").claims[0].support


def test_code_is_a_claim_of_its_own() -> None:
    assert check("Run:\n\n```\nvault restore --from FILE\n```").status == "answered"
    assert check("Run:\n\n```\nvault destroy --all\n```").status == "abstained"


def test_vectors_take_part_when_there_is_an_embedder() -> None:
    embedder = HashEmbedder()
    settings = VerifySettings()
    answer = verify(
        "How?", Draft("Backups are kept for 30 days.", "m"), CONTEXT, settings=settings, embedder=embedder
    )
    assert answer.status == "answered"
    narrow = verify(
        "How?", Draft("Backups are kept for 30 days.", "m"), CONTEXT, settings=settings, embedder=NarrowEmbedder(0.6)
    )
    assert narrow.claims[0].support == pytest.approx(answer.claims[0].support, abs=1e-4)
    assert embedder.embedded == 2  # the claim, which is the best window of source 1, and that of source 2


def test_what_must_be_exact() -> None:
    assert exact_terms("Version v1.2.3 of config_file.yml needs 2 GB, see /etc/app.") == [
        "config_file.yml", "/etc/app", "v1.2.3", "2",
    ]  # fmt: skip
    assert found_in("8443", "port 8443.")
    assert not found_in("844", "port 8443")
    assert not found_in("1.2", "version 1.2.3")
    assert found_in("3", "keep three copies")
    assert found_in("15", "fifteen copies")
    assert found_in("42", "forty-two copies")
    assert not found_in("2", "forty-two copies")
    assert not found_in("40", "forty two copies")
    assert found_in("1,000", "1000 files")
    assert found_in("4", "stars: 4.0")
    assert not found_in("4", "version 4.1")
    assert not found_in("4.0", "version 4")
    assert found_in("auth.providers.guest", "auth: providers: guest: true")
    assert not found_in("auth.providers.github", "auth: providers: guest: true")


@pytest.mark.parametrize(
    ("time", "text", "same"),
    [
        ("2:00 am", "every night at 02:00", True),
        ("2 a.m.", "every night at 02:00", True),
        ("8:00 PM", "Monday: 11:0-20:0", True),
        ("8:00 PM", "from 8:00 to 10:00 PM", True),
        ("8:00", "at 8 p.m.", True),
        ("12:30 am", "at 0:30", True),
        ("12 pm", "at 12:00", True),
        ("8:00 PM", "at 8:00", False),
        ("8:00 PM", "at 8:00 AM", False),
        ("8:00 AM", "at 18:00", False),
        ("8:00", "at 8:30", False),
        ("21:00", "at 9 am", False),
    ],
)
def test_a_time_of_day_is_the_same_however_it_is_spelt(time: str, text: str, same: bool) -> None:
    assert same_time(time, text) is same
    assert found_in(time, text.lower()) is same


@given(st.integers(0, 23), st.integers(0, 59))
def test_a_time_of_day_is_itself_on_either_clock(hour: int, minute: int) -> None:
    half = f"{(hour - 1) % 12 + 1}:{minute:02} {'am' if hour < 12 else 'pm'}"
    whole = f"{hour:02}:{minute:02}"
    assert exact_terms(f"It starts at {whole} and at {half}, on 3 hosts.") == [whole, half, "3"]
    assert same_time(half, f"at {whole}")
    assert same_time(whole, f"at {half}")
    assert not same_time(half, f"at {(hour + 1) % 24:02}:{minute:02}")


def test_a_name_is_found_in_another_form_of_it() -> None:
    names = Names("the u.s. and mexico met in europe; the committee's republican members and a grammy")
    assert all(name in names for name in ("us", "mexican", "mexicans", "european", "republicans", "grammys"))
    assert not any(name in names for name in ("uk", "canadian", "europa2", "commodore", "term"))


def test_a_number_that_the_text_lacks_makes_the_whole_statement_wrong() -> None:
    true = "Backups run every night at 02:00. Backups are kept for 30 days. Older ones are not deleted by hand."
    assert ground(true, BACKUP, min_support=0.5).supported
    wrong = true.replace("30", "45")
    assert ground(wrong, BACKUP, min_support=0.5).support <= CAP


# ---------------------------------------------------------------- declining


@pytest.mark.parametrize(
    "text",
    [
        "The sources do not answer this question.",
        "The provided documentation doesn't mention the price.",
        "There is no information about the price in the sources.",
        "I don't know.",
        "I cannot answer this from the given context.",
        "The answer is not provided in the sources.",
        "Not in the documentation.",
    ],
)
def test_a_refusal_is_recognised(text: str) -> None:
    assert is_refusal(text)
    answer = check(text)
    assert (answer.status, answer.text, answer.sources) == ("abstained", DECLINED, ())


@pytest.mark.parametrize(
    "text", ["The service does not restart.", "The context menu shows the port.", "You cannot delete it by hand."]
)
def test_a_plain_denial_is_no_refusal(text: str) -> None:
    assert not is_refusal(text)


def test_a_refusal_after_an_answer_makes_it_partial() -> None:
    answer = check("Backups are kept for 30 days. The sources do not mention the price.")
    assert (answer.status, answer.text) == ("partial", "Backups are kept for 30 days [1].")


def test_nothing_borne_out_is_an_abstention() -> None:
    answer = check("Penguins live in Antarctica. They are 40 cm tall.")
    assert answer.status == "abstained"
    assert answer.reason == "nothing that the model wrote is borne out by the sources"
    assert answer.draft is not None
    assert answer.draft.text.startswith("Penguins")


def test_of_a_draft_that_is_mostly_unsupported_nothing_is_shown() -> None:
    draft = "Backups run every night at 02:00. Penguins live in Antarctica. Cats like fish. Dogs bark at night."
    answer = check(draft)
    assert answer.status == "abstained"
    assert answer.reason == "3 of 4 statements that the model wrote are not borne out by the sources"
    assert check(draft, min_supported_share=0.0).text == "Backups run every night at 02:00 [1]."
    assert check(draft, unsupported="mark").status == "partial"


def test_an_answer_that_only_repeats_the_question_is_an_abstention() -> None:
    answer = check("The port that the web interface listens on [2].", "Which port does the web interface listen on?")
    assert answer.reason == "the model only repeated the question"
    confirmed = check("Backups run every night.", "Do backups run every night?")
    assert confirmed.status == "answered"


@pytest.mark.parametrize("draft", ["", "   ", "[1]"])
def test_an_empty_draft_is_an_abstention(draft: str) -> None:
    assert check(draft).status == "abstained"


def test_no_sources_is_an_abstention() -> None:
    assert check("Backups run.", context=Context(())).reason == "no passage was found"


def test_an_answer_cut_short_is_partial_and_says_so() -> None:
    draft = Draft("Backups are kept for 30 days.", "m", truncated=True)
    answer = verify("How?", draft, CONTEXT, settings=VerifySettings())
    assert answer.status == "partial"
    assert "generate.max_tokens" in answer.reason
    fragment = Draft("Backups are kept for 30 days. The web interface of the penguin is", "m", truncated=True)
    assert verify("How?", fragment, CONTEXT, settings=VerifySettings()).text == "Backups are kept for 30 days [1]."
    assert "max_tokens" in verify("How?", fragment, CONTEXT, settings=VerifySettings()).reason


def test_abstaining_keeps_the_reason_and_the_model() -> None:
    answer = abstain("Q?", "nothing relevant", model="m")
    assert (answer.status, answer.reason, answer.model, answer.text) == (
        "abstained",
        "nothing relevant",
        "m",
        DECLINED,
    )


def found(text: str, cosine: float | None) -> Hit:
    stages = () if cosine is None else (StageScore("dense", 1, cosine),)
    return Hit(Passage(1, 1, 0, "a.md", "", Chunk(0, len(text), text)), 1.0, stages)


def test_relevance_rises_with_the_cosine_and_with_the_terms_found() -> None:
    question = "How long are backups kept?"
    near, far = (relevance(question, [found(BACKUP, cosine)]).value for cosine in (0.7, 0.1))
    assert far < near
    assert relevance(question, [found(PORTS, 0.1)]).value < far
    assert relevance(question, [found(PORTS, None)]).value < 0.35 < relevance(question, [found(BACKUP, None)]).value


def test_relevance_is_not_taken_in_by_an_embedder_that_calls_everything_near() -> None:
    question = "How long are backups kept?"
    far = relevance(question, [found(PORTS, 0.1)])
    assert relevance(question, [found(PORTS, 0.55)], unrelated=0.5).value == pytest.approx(far.value)
    assert relevance(question, [found(PORTS, 0.55)]).value > far.value


def test_relevance_names_the_terms_that_no_passage_has() -> None:
    assert relevance("Which penguins eat backups?", [found(BACKUP, 0.2)]).missing == ("penguins", "eat")
    assert relevance("Anything?", []).value == 0.0


# ---------------------------------------------------------------- without a model


def test_the_best_sentences_answer_without_a_model() -> None:
    draft = extract("How do I restore a backup?", CONTEXT)
    assert draft.text.startswith("To restore a backup, run `vault restore --from FILE`. [1]")
    assert draft.model == "extractive"


def test_an_extract_is_always_borne_out() -> None:
    for question in ("How long are backups kept?", "Which port does the web interface use?"):
        answer = verify(question, extract(question, CONTEXT), CONTEXT, settings=VerifySettings())
        assert answer.status == "answered"


def test_a_sentence_that_announces_a_list_brings_it_along() -> None:
    text = "To upgrade the server, do this:\n\n1. Stop it.\n2. Install the package.\n\nUnrelated words follow here.\n"
    draft = extract("How do I upgrade the server?", Context((source(1, text),)), limit=1)
    assert draft.text == "To upgrade the server, do this: [1]\n- Stop it. [1]\n- Install the package. [1]"


def test_code_is_quoted_whole_in_a_fence() -> None:
    code = "# replace NODE by the name of the node to drain\nkubectl drain NODE\nkubectl uncordon NODE"
    text = f"Some work has to be done.\n\n```shell\n{code}\n```\n"
    context = Context((source(1, text),))
    draft = extract("How do I drain a NODE by kubectl?", context, limit=2)
    assert f"```\n{code}\n```\n[1]" in draft.text
    answer = verify("How do I drain a node?", draft, context, settings=VerifySettings())
    assert answer.status == "answered"


def test_a_comment_in_code_is_no_answer() -> None:
    text = "Nothing to see here.\n\n```shell\n# how to drain a node\nls\n```\n"
    assert "how to drain" not in extract("How to drain a node?", Context((source(1, text),)), limit=1).text


def test_nothing_to_extract_is_an_empty_draft() -> None:
    assert extract("Anything?", Context(())).text == ""


# ---------------------------------------------------------------- whatever the model writes

fragments = st.sampled_from(
    [
        "Backups are kept for 30 days.", "Cheese is yellow.", " [1]", "[2]", " [9]", "\n- ", "\n\n", "Steps:",
        "\n```\n", "vault restore", "The sources do not answer.", "# Title\n", " 日本語。", "**bold**", "`x[1]`",
        ". ", "e.g. ",
    ]
)  # fmt: skip


@given(st.lists(fragments, max_size=12).map("".join), st.sampled_from(["drop", "mark", "keep"]))
@example("`x[1]``x[1]` [1]`x[1]`", "mark")
def test_whatever_the_model_writes_the_promises_hold(draft: str, unsupported: str) -> None:
    answer = check(draft, unsupported=unsupported)
    cited = {int(number) for number in re.findall(r"\[(\d)\]", CODE.sub("", answer.text))}
    assert cited <= {s.number for s in answer.sources}
    for claim in answer.claims:
        assert answer.text[claim.start : claim.end] == claim.text
        assert claim.supported == bool(claim.quotes)
        assert 0 <= claim.support <= 1
    for quote in answer.quotes:
        text = next(s.text for s in CONTEXT.sources if s.number == quote.number)
        lines = text.split("\n")[quote.start_line - 10 : quote.end_line - 9]
        assert quote.text in "\n".join(lines)
    if answer.status == "abstained":
        assert (answer.text, answer.claims, answer.quotes) == (DECLINED, (), ())
    if unsupported == "drop":
        assert all(claim.supported for claim in answer.claims)
