"""Each metric of one answer, against worked examples, and what is left out of it or counted at its worst."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragkit.domain import Context, Source
from ragkit.domain.answers import Answer, Claim, Draft, Quote
from ragkit.errors import EvaluationError, GenerationError, SettingsError
from ragkit.evaluation import experiments, html, metrics, names, runs
from ragkit.evaluation.answers import Instruments, Scores, score_answer
from ragkit.evaluation.correctness import correctness, held, is_short
from ragkit.evaluation.datasets import Question
from ragkit.evaluation.report import Report, Scored, to_json
from ragkit.testing import HashEmbedder

REFERENCE = "The port is 8443. Backups run at night. They go to a vault."


def source(number: int, text: str) -> Source:
    return Source(number, 1, f"{number}.md", "", (), "", 0, len(text), 1, 1, "line", text, 1.0)


SOURCES = (
    source(1, "The port is 8443."),
    source(2, "Backups run at night."),
    source(3, "Cats purr."),
    source(4, "Dogs bark."),
)
QUOTE = Quote(1, "1.md", 1, 1, "line", "The port is 8443.")
ANSWER = Answer(
    question="How is it set up?",
    status="partial",
    text="The port is 8443 [1]. Cats purr [3]. Fish swim.",
    claims=(
        Claim(0, 21, "The port is 8443 [1].", True, 0.9, (QUOTE,)),
        Claim(22, 36, "Cats purr [3].", True, 0.9, (replace(QUOTE, number=3, text="Cats purr."),)),
        Claim(37, 47, "Fish swim.", False, 0.1),
    ),
    sources=SOURCES[:1],
    quotes=(QUOTE, replace(QUOTE, text="The port is 80.")),
    model="m",
    snapshot="s",
    draft=Draft("The port is 8443 [1]. Cats purr [2]. Fish swim.", "m", 100, 21, 0.5, 2.5),
    context=Context(SOURCES),
)
QUESTION = Question("a", "How is it set up?", REFERENCE)
UNANSWERABLE = Question("u", "Who won?", answerable=False)
DECLINED = replace(ANSWER, status="abstained", text="Not in the documentation.", claims=(), quotes=(), draft=None)


def verbatim(claims: Sequence[str], sources: Sequence[Source], question: str) -> list[list[float]]:
    return [[float(claim.rstrip(".") in one.text) for one in sources] for claim in claims]


TOOLS = Instruments(verbatim, HashEmbedder(256).embed, lambda quote: "# Ports\nThe port is 8443.\n")


def scored(question: Question = QUESTION, answer: Answer = ANSWER, tools: Instruments = TOOLS) -> Scores:
    return score_answer(question, answer, tools)


# ---------------------------------------------------------------- worked example
# Three claims: one right, one from the context but not in the reference (noise), one from nowhere. Of the three
# reference claims two are in the context, one of which is said. Two of four sources bear out a reference claim.


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("Faithfulness", 2 / 3),
        ("ContextRecall", 2 / 3),
        ("ContextPrecision", 2 / 4),
        ("ContextUtilisation", 1 / 2),
        ("NoiseSensitivity", 1 / 3),
        ("CitationPrecision", 1 / 2),
        ("CitationRecall", 1 / 3),
        ("QuoteFidelity", 1 / 2),
        ("ExactMatch", 0.0),
        ("PromptTokens", 100.0),
        ("CompletionTokens", 21.0),
        ("TimeToFirstToken", 0.5),
        ("TokensPerSecond", 10.0),
    ],
)
def test_each_metric_of_the_worked_example_is_what_its_formula_gives(metric: str, expected: float) -> None:
    assert scored().values[metric] == pytest.approx(expected)


def test_correctness_is_of_what_would_be_shown() -> None:
    values = scored().values
    shown = "The port is 8443. Cats purr."
    found = correctness(QUESTION.text, shown, [REFERENCE])
    assert (values["AnswerPrecision"], values["AnswerRecall"]) == (found.precision, found.recall)
    assert values["AnswerCorrectness"] == found.f1
    assert values["TokenF1"] == metrics.token_f1(shown, REFERENCE)
    assert values["ROUGE-L"] == metrics.rouge_l(shown, REFERENCE)


def test_every_metric_is_either_scored_or_left_out_with_a_reason() -> None:
    for question in (QUESTION, UNANSWERABLE, Question("b", "How?")):
        for answer in (ANSWER, DECLINED, replace(DECLINED, context=Context(()))):
            found = scored(question, answer)
            assert {*found.values, *found.left_out} == set(names.ANSWERS)
            assert not set(found.values) & set(found.left_out)
            assert all(math.isfinite(value) for value in found.values.values())
            assert all(found.left_out.values())


def test_an_answerable_question_that_is_declined_is_wrong_and_not_unfaithful() -> None:
    found = scored(answer=DECLINED)
    zero = ("AnswerCorrectness", "AnswerRelevancy", "ROUGE-L", "ContextUtilisation", "RefusalPrecision")
    assert [found.values[name] for name in zero] == [0.0] * 5
    assert found.values["ContextRecall"] == pytest.approx(2 / 3)
    assert {found.left_out[name] for name in ("Faithfulness", "NoiseSensitivity", "CitationRecall")} == {"declined"}
    assert found.left_out["TokensPerSecond"] == "no language model wrote"


def test_a_question_without_an_answer_is_rightly_declined() -> None:
    found = scored(UNANSWERABLE, DECLINED)
    assert (found.values["RefusalPrecision"], found.values["RefusalRecall"]) == (1.0, 1.0)
    assert found.left_out["AnswerRelevancy"] == "declined, and rightly"
    assert scored(UNANSWERABLE).values["RefusalRecall"] == 0.0


def test_an_answer_with_nothing_supported_counts_as_declined() -> None:
    nothing = replace(ANSWER, claims=tuple(replace(claim, supported=False) for claim in ANSWER.claims))
    found = scored(answer=nothing)
    assert (found.values["Faithfulness"], found.values["TokenF1"], found.values["RefusalPrecision"]) == (0, 0, 0)
    assert scored(UNANSWERABLE, nothing).values["RefusalRecall"] == 1.0


def test_a_draft_without_citations_has_none_to_show() -> None:
    uncited = replace(ANSWER, draft=Draft("The port is 8443.", "m"))
    values = scored(answer=uncited).values
    assert (values["CitationPrecision"], values["CitationRecall"]) == (0.0, 0.0)


def test_words_in_quotation_marks_must_stand_in_a_source() -> None:
    for phrase, expected in (("the port is 8443", 1.0), ("the port is 9999", 0.0)):
        said = replace(ANSWER, quotes=(), draft=Draft(f'It says "{phrase}" there [1].', "m"))
        assert scored(answer=said).values["QuoteFidelity"] == expected


def test_sentences_that_bear_on_the_question_make_the_context_relevant() -> None:
    asked = Question("r", "cats purr", "Cats purr.")
    assert scored(asked).values["ContextRelevancy"] == 1 / 4


def test_near_is_what_lies_above_the_cosine_of_unrelated_texts() -> None:
    asked = replace(QUESTION, text="How is the port changed?", answer=ANSWER.text)
    plain, lifted = scored(asked).values, scored(asked, tools=replace(TOOLS, unrelated=0.2)).values
    assert 0.0 < plain["SemanticSimilarity"] < 1.0
    assert lifted["SemanticSimilarity"] == pytest.approx((plain["SemanticSimilarity"] - 0.2) / 0.8)
    assert lifted["AnswerRelevancy"] < plain["AnswerRelevancy"]
    assert scored(asked, tools=replace(TOOLS, unrelated=0.9)).values["ContextRelevancy"] == 0.0


def test_a_second_faithfulness_stands_beside_the_first_and_its_failures_are_its_own() -> None:
    def check(claim: str, text: str, question: str) -> bool:
        if claim.startswith("Fish"):
            raise GenerationError("the judge said perhaps")
        return True

    tools = replace(TOOLS, beside={"FaithfulnessJudge": check})
    found = scored(tools=tools)
    assert (found.values["Faithfulness"], found.values["FaithfulnessJudge"]) == (pytest.approx(2 / 3), 0.0)
    assert found.failed["FaithfulnessJudge"].startswith("the judge said perhaps")
    assert (
        scored(tools=replace(tools, beside={"FaithfulnessJudge": lambda *_: True})).values["FaithfulnessJudge"] == 1
    )


# ---------------------------------------------------------------- correctness


def test_a_short_reference_is_right_when_the_answer_names_it() -> None:
    question, reference = "who sang buddy can you spare a dime", ["Rudy Vallee", "Bing Crosby"]
    assert correctness(question, "It was sung by Bing Crosby in 1932.", reference).f1 == 1.0
    assert correctness(question, "Al Jolson", reference).f1 == 0.0
    assert correctness(question, "", reference).f1 == 0.0
    assert is_short("Bing Crosby")
    assert not is_short("- pip\n- apt")


def test_another_number_than_the_references_is_wrong() -> None:
    question = "when did scotland beat england"
    assert correctness(question, "9 March 2008", ["8 March 2008"]).f1 <= 0.3
    assert correctness(question, "in March 2008", ["8 March 2008"]).f1 > 0.5


def test_the_questions_own_words_are_no_merit() -> None:
    question = "Where are the Washington Redskins based?"
    claims = held(
        "The Washington Redskins are based in Landover.", "The Washington Redskins play football.", question
    )
    assert [claim.degree for claim in claims] == [0.0]
    assert correctness("Is it red or blue?", "It is red.", ["red"]).f1 == 1.0


PARTS = ("port", "8443", "9000", "backup", "vault.", "the", "runs", "at", "night.", "-", "`x`", "[1]", "中文", "?")
WORDS = st.lists(st.sampled_from(PARTS), max_size=12)


@settings(deadline=None)
@given(WORDS.map(" ".join), WORDS.map(" ".join), WORDS.map(" ".join))
def test_correctness_is_between_0_and_1_and_1_for_the_same_text(question: str, answer: str, reference: str) -> None:
    found = correctness(question, answer, [reference])
    assert 0.0 <= min(found.precision, found.recall, found.f1) <= max(found.precision, found.recall, found.f1) <= 1.0
    if any(map(str.isalnum, answer)):
        assert correctness(question, answer, [answer]).f1 == 1.0


# ---------------------------------------------------------------- published examples


def test_rouge_l_is_that_of_the_papers_example() -> None:
    # Lin (2004), section 3.1: of S1 "police killed the gunman", S2 and S3 have an LCS of 3 and 2 words.
    reference = "police killed the gunman"
    assert metrics.rouge_l("police kill the gunman", reference) == 0.75
    assert metrics.rouge_l("the gunman kill police", reference) == 0.5


def test_token_f1_and_exact_match_normalise_as_squad_does() -> None:
    assert metrics.exact_match("The Eiffel Tower.", "eiffel tower") == 1.0
    assert metrics.token_f1("Denver Broncos", "the Denver Broncos won") == 0.8


# ---------------------------------------------------------------- names


def test_metrics_are_chosen_by_todays_and_earlier_names() -> None:
    assert names.answer_names(["AbstentionRecall", "RougeL", "RefusalRecall"]) == ("RefusalRecall", "ROUGE-L")
    assert names.answer_names(engine="judge")[:2] == ("Faithfulness", "FaithfulnessJudge")
    with pytest.raises(EvaluationError, match="unknown metric 'Niceness'"):
        names.answer_names(["Niceness"])


def test_a_failure_is_worst_where_less_is_better_too() -> None:
    worst = names.worst_scores(answerable=True, reference=True)
    assert {name for name, value in worst.items() if value} == {"NoiseSensitivity"}
    assert not set(worst) & names.COSTS


def test_an_experiment_names_metrics_and_the_engine_of_a_second_faithfulness(tmp_path: Path) -> None:
    file = tmp_path / "one.toml"
    file.write_text('[experiment]\ndataset = "q.jsonl"\ntask = "answers"\nfaithfulness_engine = "judge"\n')
    assert experiments.load(file).faithfulness_engine == "judge"
    file.write_text(file.read_text().replace("judge", "oracle"))
    with pytest.raises(SettingsError, match=r"faithfulness_engine must be one of fast, .*judge"):
        experiments.load(file)


def test_earlier_runs_are_read_under_todays_names() -> None:
    row = {"id": "a", "question": "q", "scores": {"RougeL": 0.5, "Faithfulness": 1.0}, "seconds": 1}
    data = {"task": "answers", "dataset": "d", "fingerprint": "f", "about": {}, "questions": [row]}
    run = runs.from_json({**data, "measures": {"Faithfulness": {}, "RougeL": {}}}, "old.json")
    assert run.report.names == ("Faithfulness", "ROUGE-L")
    assert run.report.metrics["ROUGE-L"].mean == 0.5
    again = runs.to_json(run)
    assert (again["metrics"]["RougeL"], again["questions"][0]["scores"]["RougeL"]) == (
        again["metrics"]["ROUGE-L"],
        0.5,
    )
    assert runs.from_json(again, "new.json").report.names == ("Faithfulness", "ROUGE-L")


def test_the_report_says_what_is_left_out_and_why() -> None:
    left_out = Scored("b", "q", {}, left_out={"Faithfulness": "declined <really>"})
    report = Report("answers", "set", "f", ("Faithfulness",), (Scored("a", "q", {"Faithfulness": 1.0}), left_out))
    page = html.page(runs.Run("r", report))
    assert "<li>1 declined &lt;really&gt;: Faithfulness</li>" in page
    assert to_json(report)["metrics"]["Faithfulness"]["left_out"] == {"declined <really>": 1}


def test_the_mean_of_no_question_is_null_in_json() -> None:
    report = Report("answers", "set", "f", ("RefusalRecall",), (Scored("a", "q", {}),))
    found = to_json(report)["metrics"]["RefusalRecall"]
    assert [found[name] for name in ("mean", "low", "high", "n")] == [None, None, None, 0]
