"""A judge writes one of two words; what a server writes besides is an error and never a guess."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragkit import Engine, Settings, config
from ragkit.domain.answers import GenerationOptions, Message
from ragkit.errors import GenerationError, ModelUnsuitable
from ragkit.evaluation import agreement
from ragkit.generate.openai import OpenAIGenerator
from ragkit.roles import Generator
from ragkit.testing import HashEmbedder, ScriptedGenerator
from ragkit.verify.verdict import decide, read
from tests.test_generate import Misbehaving, Reply, answers, endpoint, event, gguf, llama, serve  # noqa: F401

CHOICES = ("Yes", "No")
ASKED = [Message("user", "Text: Pods restart.\n\nStatement: Pods restart.\n\nIs it supported? Answer Yes or No.")]
ITEMS = [
    agreement.Item("1", "", "Pods restart.", "Pods restart.", 1),
    agreement.Item("2", "", "Pods restart.", "Cats purr.", 0),
]


def engine(tmp_path: Path, reply: str | Callable[..., str]) -> Engine:
    settings = config.replace(Settings(), {"store.directory": str(tmp_path)})
    return Engine(settings, embedder=HashEmbedder(), generator=ScriptedGenerator(reply))


@given(st.text(max_size=30))
def test_whatever_is_replied_is_one_of_the_choices_or_none(reply: str) -> None:
    assert read(reply, CHOICES) in (*CHOICES, None)


@pytest.mark.parametrize("reply", ["", "yes", "Yes and no", "[1]", '{"reply": "Maybe"}', '{"reply": {}}', '{"reply'])
def test_a_reply_that_is_no_verdict_is_an_error(reply: str) -> None:
    with pytest.raises(GenerationError, match="which is none of Yes, No"):
        decide(ASKED, ScriptedGenerator(reply), CHOICES)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["llama", "endpoint"])
def test_a_real_model_can_write_nothing_else(request: pytest.FixtureRequest, name: str) -> None:
    found = request.getfixturevalue(name)
    generator: Generator = (
        OpenAIGenerator(found, "smollm2", api_key="secret", timeout_seconds=120) if name == "endpoint" else found
    )
    story = [Message("user", "Tell me a long story about the sea.")]
    assert decide(ASKED, generator, CHOICES) in CHOICES
    assert decide(story, generator, ("Left", "Right")) in ("Left", "Right")
    assert len("".join(generator.generate(story, GenerationOptions(max_tokens=12)))) > 5  # the grammar is gone


def test_a_server_is_asked_for_a_schema_and_in_the_older_form_if_it_refuses(
    serve: Callable[[Reply], Misbehaving],  # noqa: F811
) -> None:
    good = answers(200, event('{"reply": "No"}') + "data: [DONE]\n\n")
    bodies: list[dict[str, object]] = []

    def reply(handler) -> None:
        form = handler.server.bodies[-1]["response_format"]
        bodies.append(form)
        (good if form["type"] == "json_object" else answers(422, "unknown type"))(handler)

    generator = OpenAIGenerator(serve(reply).url, "m")
    assert [decide(ASKED, generator, CHOICES) for _ in range(2)] == ["No", "No"]
    assert [form["type"] for form in bodies] == ["json_schema", "json_object", "json_object"]
    assert json.loads(json.dumps(bodies[1]))["schema"]["properties"]["reply"]["enum"] == ["Yes", "No"]


# ---------------------------------------------------------------- as an engine of the faithfulness check


def test_the_judges_word_is_the_support(tmp_path: Path) -> None:
    with engine(tmp_path, lambda messages: "Yes" if "Statement: Pods" in messages[-1].content else "No") as opened:
        one = opened.ground("Pods restart. Cats purr.", "Pods restart. Cats purr.", engine="judge")
    assert [claim.support for claim in one.claims] == [1.0, 0.0]
    assert (one.engine, one.supported) == ("judge", False)
    assert one.claims[0].spans


def test_a_judge_that_will_not_answer_costs_its_item_the_worst_score(tmp_path: Path) -> None:
    with engine(tmp_path, "Perhaps") as opened:
        found = agreement.measure(opened, ITEMS, name="two", faithfulness_engine="judge")
    assert (found.n, len(found.errors), found.balanced_accuracy) == (2, 2, 0.5)


def test_without_a_language_model_there_is_no_judge(tmp_path: Path) -> None:
    settings = config.replace(Settings(), {"store.directory": str(tmp_path), "generate.backend": "extractive"})
    with Engine(settings, embedder=HashEmbedder()) as opened, pytest.raises(ModelUnsuitable, match="could judge"):
        opened.ground("Pods restart.", "Pods restart.", engine="judge")
